//! `owlet eval`: a dataset with true boxes in, how good the detections are out.

mod args;
mod asked;
mod calibration;
mod detected;
mod files;
mod looking;
mod measured;
mod pictures;
mod print;
mod source;
mod true_boxes;

use anyhow::bail;
use owlet::config::Config;
use owlet::eval::{Comparison, EvalRecord, Remarks};
use serde_json::json;

pub(crate) use self::args::{AFTER_HELP, EvalArgs};
use self::asked::Asked;
use self::calibration::Calibration;
use self::detected::Detected;
use self::files::{OutFolder, Output};
use self::measured::Measured;
pub(in crate::app) use self::source::Source;
use super::console::{PrintError, print_out};
use super::settings::{Settings, load_config_without_prompts};
use super::{Chatter, Finish, Refused};

/// The same where each detection costs a mask: no more than COCO counts of an image and category.
const MAX_WITH_MASKS: &str = "100";

/// The most that the parameter allows, above the number of patches of every known model: COCO's 100
/// for each image and category are then never cut by the limit of the frame.
const MAX_DETECTIONS: &str = "10000";

pub(crate) fn run(args: &EvalArgs, chatter: &Chatter) -> anyhow::Result<Finish> {
    let config = configuration(args)?;
    let mut remarks = Remarks::default();
    let source = Source::open(&args.dataset, args.images.as_deref(), &mut remarks)?;
    let mut calibration = Calibration::open(args, &source, &mut remarks)?;
    let asked = Asked::new(args, &config, &source.dataset.categories)?;
    let earlier = args.against.as_deref().map(files::read_earlier).transpose()?;
    if let Some((path, earlier)) = &earlier {
        let whole = source.dataset.fingerprint(&source.dataset.whole());
        Comparison::check(earlier, &whole)
            .map_err(|error| Refused(format!("--against {path}: {error}")))?;
    }
    let folder =
        args.out.as_deref().map(|out| OutFolder::claim(out, args.overwrite)).transpose()?;

    let mut part = calibration.rest_of(&source.dataset);
    let detected = match &args.results {
        Some(path) => Detected::read(path, &source, &mut remarks)?,
        None if args.true_boxes => {
            let settings = Settings::new(config.clone(), asked.prompt_set())?;
            let detected = Detected::by_true_boxes(&settings, &source, chatter, &mut remarks)?;
            detected.leave_out(&mut part, &mut calibration);
            detected
        }
        None => {
            let settings = Settings::new(config.clone(), asked.prompt_set())?;
            let aside = calibration.source();
            let detected = Detected::by_model(&settings, &source, aside, chatter, &mut remarks)?;
            detected.leave_out(&mut part, &mut calibration);
            detected
        }
    };
    for remark in remarks.iter() {
        tracing::warn!("{remark}");
    }
    if part.is_empty() {
        bail!("none of the pictures could be worked on");
    }
    let chosen = calibration.choose(&source, &detected, &asked);
    let measured = Measured::of(&source.dataset, part, &detected.found, &asked, chosen);
    let mut record = record(&source, &asked, &measured, &detected, &config);
    record.remarks = remarks.iter().cloned().collect();
    let compared = earlier.map(|(path, earlier)| {
        Comparison::of(&path, &earlier, &record)
            .map_err(|error| Refused(format!("--against {path}: {error}")))
    });
    let compared = compared.transpose();
    if let Ok(comparison) = &compared {
        record.against.clone_from(comparison);
    }
    let output = Output {
        args,
        config: &config,
        source: &source,
        asked: &asked,
        measured: &measured,
        detected: &detected,
        record: &record,
    };
    output.write(folder.as_ref())?;
    let text = match args.json {
        true => serde_json::to_string_pretty(&record)? + "\n",
        false => print::tables(&record) + &output.list(),
    };
    match print_out(text) {
        // All is done and written: that nobody reads the tables takes nothing away.
        Err(PrintError::NobodyReads) if folder.is_some() => {}
        printed => printed?,
    }
    compared?;
    if let (Some(limit), Some(comparison)) = (args.fail_below, &record.against)
        && comparison.fall() > limit
    {
        bail!("AP fell by {:.4}, which is more than {limit} (--fail-below)", comparison.fall());
    }
    Ok(if remarks.is_loss() { Finish::DataLost } else { Finish::Done })
}

fn configuration(args: &EvalArgs) -> Result<Config, Refused> {
    let load = |max_detections: &str| {
        let defaults = [("max_detections", max_detections.to_owned())];
        let prompts_file = args.prompts_file.as_deref();
        load_config_without_prompts(&args.model, args.threshold, prompts_file, &defaults)
    };
    let config = load(MAX_DETECTIONS)?;
    if config.segmenter.is_some() { load(MAX_WITH_MASKS) } else { Ok(config) }
}

fn record(
    source: &Source,
    asked: &Asked,
    measured: &Measured,
    detected: &Detected,
    config: &Config,
) -> EvalRecord {
    let mut record = measured.record(&source.dataset, asked);
    if let Some(masks) = &mut record.masks {
        masks.true_boxes = detected.detector["boxes"] == "true";
    }
    record.owlet = env!("CARGO_PKG_VERSION").to_owned();
    record.dataset.path = source.path.display().to_string();
    record.dataset.left_out =
        detected.left_out.iter().map(|image| source.dataset.images[*image].id).collect();
    record.detector = detected.detector.clone();
    record.looking_secs = detected.looking.map(|took| took.as_secs_f64());
    record.settings = match detected.looking {
        Some(_) => json!({
            "min_score": asked.min_score,
            "threshold": config.threshold,
            "nms_iou": config.nms_iou,
            "nms_across_prompts": config.nms_across_prompts,
            "names_per_box": config.names_per_box,
            "max_detections": config.max_detections,
            "segmenter": config.segmenter,
            "max_batch": config.max_batch,
            "threads": config.threads,
            "prompts": asked.identities(),
        }),
        None => json!({ "threshold": config.threshold }),
    };
    record
}
