//! What pairs are made of: each source told by what it is, and all of them checked before the first
//! is read.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use indicatif::{ProgressBar, ProgressState, ProgressStyle};

use super::args::HowArgs;
use super::gather::{Gatherer, Shown};
use super::recording::Finder;
use super::{Chatter, Refused, captions, coco, recording};
use crate::app::interrupt::Interrupt;

/// What a source is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Pictures,
    Coco,
    Recording,
}

/// All sources of a command.
pub(super) struct Sources {
    sources: Vec<(PathBuf, Kind)>,
    /// Only where there is a recording.
    finder: Option<Finder>,
}

impl Sources {
    /// # Errors
    /// Every path that is none of the kinds; options of recordings without one, and the other way
    /// round.
    pub(super) fn open(paths: &[PathBuf], how: &HowArgs) -> anyhow::Result<Self> {
        let mut problems = Vec::new();
        let mut sources = Vec::new();
        for path in paths {
            match kind_of(path) {
                Ok(kind) => sources.push((path.clone(), kind)),
                Err(reason) => problems.push(format!("{}: {reason}", path.display())),
            }
        }
        let has = |wanted| sources.iter().any(|(_, kind)| *kind == wanted);
        let asked = !how.run.prompts.is_empty() || how.run.prompts_file.is_some();
        if problems.is_empty() && asked && !has(Kind::Recording) {
            problems
                .push("--prompt and --prompts are for recordings, and none is given".to_owned());
        }
        if problems.is_empty() && how.images.is_some() && !has(Kind::Coco) {
            problems.push("--images is for COCO annotations, and none are given".to_owned());
        }
        if !problems.is_empty() {
            return Err(Refused(problems.join("\n")).into());
        }
        let finder = has(Kind::Recording).then(|| Finder::load(how)).transpose()?;
        Ok(Self { sources, finder })
    }

    /// Reads all of them; whether it was interrupted. What was gathered by then is encoded.
    pub(super) fn read(
        self,
        gatherer: &mut Gatherer<'_>,
        how: &HowArgs,
        chatter: &Chatter,
        interrupt: &Interrupt,
    ) -> anyhow::Result<bool> {
        let Self { sources, mut finder } = self;
        for (path, kind) in sources {
            if interrupt.requested() {
                break;
            }
            match (kind, &mut finder) {
                (Kind::Recording, Some(finder)) => {
                    recording::read(&path, how, finder, gatherer, interrupt)
                        .with_context(|| format!("cannot read {}", path.display()))?;
                }
                (Kind::Coco, _) => {
                    let found = coco::read(&path, how.images.as_deref(), &mut gatherer.skipped)?;
                    read_pictures(found, gatherer, chatter, interrupt)?;
                }
                _ => {
                    let found = captions::read(&path, &mut gatherer.skipped)?;
                    read_pictures(found, gatherer, chatter, interrupt)?;
                }
            }
        }
        gatherer.flush()?;
        Ok(interrupt.requested())
    }
}

fn kind_of(path: &Path) -> Result<Kind, &'static str> {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    if path.is_dir() {
        let is_recording = path.join("metadata.yaml").is_file();
        let is_coco = path.join("annotations.json").is_file();
        return Ok(match (is_recording, is_coco) {
            (true, _) => Kind::Recording,
            (false, true) => Kind::Coco,
            (false, false) => Kind::Pictures,
        });
    }
    if !path.exists() {
        return Err("there is nothing at this path");
    }
    match ending {
        "json" => Ok(Kind::Coco),
        "mcap" | "db3" => Ok(Kind::Recording),
        _ => Err(
            "expected a folder of pictures, COCO annotations (.json) or a recording (.mcap, .db3)",
        ),
    }
}

fn read_pictures(
    pictures: Vec<(PathBuf, Vec<Shown>)>,
    gatherer: &mut Gatherer<'_>,
    chatter: &Chatter,
    interrupt: &Interrupt,
) -> anyhow::Result<()> {
    let progress = pictures_bar(pictures.len() as u64, chatter);
    for (path, shown) in pictures {
        if interrupt.requested() {
            break;
        }
        if !shown.is_empty() {
            gatherer.offer_file(&path, shown)?;
        }
        progress.inc(1);
    }
    progress.finish_and_clear();
    Ok(())
}

fn pictures_bar(pictures: u64, chatter: &Chatter) -> ProgressBar {
    let bar = chatter.show(ProgressBar::new(pictures));
    let form = "{bar:40} {pos}/{len} pictures, {rate} pictures/s, {eta} left";
    let style = ProgressStyle::with_template(form).expect("the template is a constant").with_key(
        "rate",
        |state: &ProgressState, text: &mut dyn fmt::Write| {
            // A bar that cannot be drawn is not worth an error.
            let _ = write!(text, "{:.1}", state.per_sec());
        },
    );
    bar.set_style(style);
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
