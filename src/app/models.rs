//! `owlet pull`, `owlet models` and `owlet random-model`.

use std::time::Duration;

use anyhow::Context;
use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use owlet::hub::{
    self, HubSettings, InstalledModel, ModelLocations, ModelState, PullEvent, PullRequest, Verify,
};
use owlet::models::clip::ClipConfig;
use owlet::models::clipseg::ClipSegConfig;
use owlet::models::groupvit::GroupVitConfig;
use owlet::models::owl::OwlConfig;
use owlet::models::random::{RandomConfig, known_names, write_checkpoint};
use owlet::models::sam::SamConfig;

use super::loading::refused_name;
use super::{Chatter, Finish, Refused, plain_table, print_out, replace_file, visible};
use crate::app::args::{ModelsArgs, PullArgs, RandomModelArgs};

pub(crate) fn pull(args: &PullArgs, chatter: &Chatter) -> anyhow::Result<Finish> {
    let (name, revision) = hub::split_revision(&args.name).map_err(refused_name)?;
    let locations = ModelLocations::from_env();
    if let Some(path) = locations.builtin(name) {
        tracing::info!("{name} comes with Owlet: there is nothing to fetch");
        if args.json {
            let record = serde_json::json!({"path": path, "manifest": null});
            print_out(format_args!("{record}\n"))?;
        } else {
            print_out(format_args!("{}\n", path.display()))?;
        }
        return Ok(Finish::Done);
    }
    let request = PullRequest {
        name: name.to_owned(),
        revision: revision.map(str::to_owned),
        settings: HubSettings::from_env(),
        locations,
    };
    let mut progress = PullProgress::new(chatter);
    let pulled = hub::pull(&request, &mut |event| progress.show(event));
    progress.bar.finish_and_clear();
    let model = pulled.map_err(refused_name)?;
    if args.json {
        let (path, manifest) = (model.path().display().to_string(), model.manifest());
        let record = serde_json::json!({"path": path, "manifest": manifest});
        print_out(format_args!("{record}\n"))?;
    } else {
        print_out(format_args!("{}\n", model.path().display()))?;
    }
    Ok(Finish::Done)
}

/// One bar over all files of a download.
struct PullProgress {
    bar: ProgressBar,
    /// Bytes of the files that are whole.
    whole_bytes: u64,
}

impl PullProgress {
    fn new(chatter: &Chatter) -> Self {
        let bar = chatter.show(ProgressBar::new(0));
        let form = "{msg} {bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta}";
        bar.set_style(ProgressStyle::with_template(form).expect("the template is a constant"));
        Self { bar, whole_bytes: 0 }
    }

    fn show(&mut self, event: PullEvent) {
        match event {
            PullEvent::UpToDate { commit } => {
                tracing::info!("here already, at commit {commit}, and its files are right");
            }
            PullEvent::Resolved { repo, commit, files, total_bytes, present_bytes } => {
                let size = HumanBytes(total_bytes);
                tracing::info!("{repo} at commit {commit}: {files} files, {size}");
                self.bar.set_length(total_bytes);
                self.bar.set_position(present_bytes);
                // What is left of the sum are files that are not announced again.
                self.whole_bytes = 0;
                self.bar.enable_steady_tick(Duration::from_millis(200));
            }
            PullEvent::FileStarted { file, present_bytes, .. } => {
                if present_bytes > 0 {
                    tracing::info!("{file}: going on after {}", HumanBytes(present_bytes));
                }
                self.bar.set_message(file);
            }
            PullEvent::Progress { done_bytes, .. } => {
                self.bar.set_position(self.whole_bytes + done_bytes);
            }
            PullEvent::FileDone { size_bytes, .. } => {
                self.whole_bytes += size_bytes;
                self.bar.set_position(self.whole_bytes);
            }
            PullEvent::Retrying { what, failures, attempts, wait, reason } => tracing::warn!(
                "{what} failed ({reason}); again in {:.1} s, attempt {} of {attempts}",
                wait.as_secs_f64(),
                failures + 1
            ),
        }
    }
}

pub(crate) fn list(args: &ModelsArgs) -> anyhow::Result<Finish> {
    let how = if args.verify { Verify::Full } else { Verify::SizesOnly };
    let list = hub::list(&ModelLocations::from_env(), how)?;
    let is_broken = |model: &InstalledModel| matches!(model.state, ModelState::Broken(_));
    let finish = match list.installed.iter().any(is_broken) {
        true => Finish::DataLost,
        false => Finish::Done,
    };
    if args.json {
        print_out(format_args!("{}\n", serde_json::to_string_pretty(&list)?))?;
        return Ok(finish);
    }
    let mut table = plain_table(["model", "architecture", "size", "state", "where"], &[2]);
    for model in &list.installed {
        table.add_row([
            visible(&model.name),
            visible(model.architecture.as_deref().unwrap_or("?")),
            HumanBytes(model.size_bytes).to_string(),
            visible(&state_in_words(model)),
            model.path.display().to_string(),
        ]);
    }
    for name in &list.interrupted {
        let state = format!("interrupted: owlet pull {name}");
        table.add_row([name.as_str(), "", "", &state, ""]);
    }
    for known in &list.available {
        table.add_row([
            known.name.to_owned(),
            known.architecture.to_owned(),
            format!("about {}", HumanBytes(known.approximate_bytes)),
            format!("not here: owlet pull {}", known.name),
            format!("{} ({})", known.repo, known.licence),
        ]);
    }
    print_out(format_args!("{table}\n"))?;
    Ok(finish)
}

fn state_in_words(model: &InstalledModel) -> String {
    match &model.state {
        ModelState::Verified => "verified".to_owned(),
        ModelState::NotYetVerified => "verified when loaded".to_owned(),
        ModelState::NoManifest if model.builtin => "built in".to_owned(),
        ModelState::NoManifest => "not pulled by owlet: no checksums".to_owned(),
        ModelState::Broken(problem) => format!("broken: {problem}"),
    }
}

/// The file that tells that a checkpoint's weights are random.
pub(crate) const RANDOM_MARK: &str = "owlet-random.json";

pub(crate) fn write_random(args: &RandomModelArgs) -> anyhow::Result<Finish> {
    let name = &args.name;
    let (owl, clipseg) = (OwlConfig::known(name), ClipSegConfig::known(name));
    let (groupvit, clip) = (GroupVitConfig::known(name), ClipConfig::known(name));
    let sam = SamConfig::known(name);
    let config = (owl.as_ref().map(RandomConfig::from))
        .or(clipseg.as_ref().map(RandomConfig::from))
        .or(groupvit.as_ref().map(RandomConfig::from))
        .or(clip.as_ref().map(RandomConfig::from))
        .or(sam.as_ref().map(RandomConfig::from));
    let Some(config) = config else {
        let known: Vec<_> = known_names().collect();
        let known = known.join(", ");
        return Err(Refused(format!("unknown model {name:?}: expected one of {known}")).into());
    };
    let folder = &args.out;
    std::fs::create_dir_all(folder)
        .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    if std::fs::read_dir(folder)?.next().is_some() {
        return Err(Refused(format!("--out: {} is not empty", folder.display())).into());
    }
    let mark = serde_json::json!({"model": args.name, "seed": args.seed});
    replace_file(&folder.join(RANDOM_MARK), format!("{mark:#}\n").as_bytes())?;
    write_checkpoint(folder, config, args.seed)?;
    tracing::warn!("the weights are random: what this model finds means nothing");
    print_out(format_args!("{}\n", folder.display()))?;
    Ok(Finish::Done)
}
