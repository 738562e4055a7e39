//! `owlet detect`: pictures in, a table or JSON out.

mod overlays;

use std::fmt::Write;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, anyhow, bail};
use image::RgbImage;
use owlet::tasks::Detector;
use owlet::transport::records::DetectionRecord;
use owlet::types::{Detection, PromptSet, PromptSetRefused};
use owlet::vision::decode::{DecodeFileError, decode_file};
use serde::Serialize;

pub(super) use self::overlays::overlay_items;
use self::overlays::{overlay_paths, write_overlay};
use super::console::{PrintError, print_error};
use super::settings::{Settings, load_detector};
use super::{Finish, Refused, plain_table, print_out, visible};
use crate::DetectArgs;

/// One line of `--json`.
#[derive(Serialize)]
struct ImageRecord<'a> {
    image: String,
    width: u32,
    height: u32,
    model: &'a str,
    detections: Vec<DetectionRecord>,
}

pub(crate) fn run(args: &DetectArgs) -> anyhow::Result<Finish> {
    let settings = Settings::from_args(&args.run)?;
    let overlay_paths = overlay_paths(args)?;
    let missing: Vec<_> = args.images.iter().filter_map(|path| why_missing(path)).collect();
    if missing.len() == args.images.len() {
        // Known before gigabytes are read.
        return Err(none_done(missing));
    }
    let mut detector = load_detector(&settings.detector_options())?;
    detector
        .set_prompts(Arc::clone(&settings.prompts))
        .map_err(|error| Refused(error.to_string()))?;

    let mut lost = 0;
    for (path, overlay_path) in args.images.iter().zip(overlay_paths) {
        match look_at(path, overlay_path.as_deref(), args.json, &mut *detector, &settings) {
            Ok(()) => {}
            // Without stdout the other pictures are of no use; and the reason comes last.
            Err(error) if error.is::<PrintError>() || args.images.len() == 1 => return Err(error),
            Err(error) => {
                print_error(&error);
                lost += 1;
            }
        }
    }
    match args.images.len() {
        _ if lost == 0 => Ok(Finish::Done),
        all if lost == all => bail!(NONE_DONE),
        _ => Ok(Finish::DataLost),
    }
}

const NONE_DONE: &str = "none of the pictures could be worked on";

/// The reason where there is one picture; of several reasons the last line is a sum.
fn none_done(reasons: Vec<DecodeFileError>) -> anyhow::Error {
    let mut errors: Vec<anyhow::Error> = reasons.into_iter().map(Into::into).collect();
    match errors.pop() {
        Some(only) if errors.is_empty() => only,
        last => {
            errors.iter().chain(&last).for_each(print_error);
            anyhow!(NONE_DONE)
        }
    }
}

/// Why nothing can be read at a path, as far as its name tells.
fn why_missing(path: &Path) -> Option<DecodeFileError> {
    let source = match fs::metadata(path) {
        Ok(about) if about.is_dir() => io::Error::from(io::ErrorKind::IsADirectory),
        Ok(_) => return None,
        Err(error) => error,
    };
    Some(DecodeFileError::Read { path: path.to_owned(), source })
}

/// All that is done with one picture.
fn look_at(
    path: &Path,
    overlay_path: Option<&Path>,
    json: bool,
    detector: &mut dyn Detector,
    settings: &Settings,
) -> anyhow::Result<()> {
    let image = Arc::new(decode_file(path)?);
    let found = detector
        .detect(&[Arc::clone(&image)])
        .with_context(|| format!("cannot look at {}", path.display()))?
        .pop()
        .context("the detector gave no result for the picture")?
        .detections;
    print_out(match json {
        true => json_line(path, &image, settings, &found)?,
        false if found.is_empty() => closest(path, &image, detector, settings)?,
        false => table(path, &image, &settings.prompts, &found),
    })?;
    if let Some(overlay_path) = overlay_path {
        write_overlay(overlay_path, &image, &found, settings)?;
    }
    Ok(())
}

fn json_line(
    path: &Path,
    image: &RgbImage,
    settings: &Settings,
    found: &[Detection],
) -> anyhow::Result<String> {
    let record = ImageRecord {
        image: path.display().to_string(),
        width: image.width(),
        height: image.height(),
        model: &settings.config.model,
        detections: found
            .iter()
            .map(|detection| DetectionRecord::new(detection, &settings.prompts))
            .collect(),
    };
    Ok(serde_json::to_string(&record)? + "\n")
}

/// Why nothing was found: how far each prompt stayed below its threshold. Costs a second look, with
/// no threshold at all; the prompts in use are put back after it.
fn closest(
    path: &Path,
    image: &Arc<RgbImage>,
    detector: &mut dyn Detector,
    settings: &Settings,
) -> anyhow::Result<String> {
    let mut open = PromptSet { default_threshold: 0.0, ..PromptSet::clone(&settings.prompts) };
    open.prompts.iter_mut().for_each(|prompt| prompt.threshold = None);
    let reset = |error: PromptSetRefused| anyhow!("{error}");
    detector.set_prompts(Arc::new(open)).map_err(reset)?;
    let looked = detector.detect(std::slice::from_ref(image));
    // Whatever came of it: the next picture is not looked at without thresholds.
    detector.set_prompts(Arc::clone(&settings.prompts)).map_err(reset)?;
    let found = looked?.pop().unwrap_or_default();

    let prompts = &settings.prompts;
    let mut text = heading(path, image) + "  nothing reached its threshold\n";
    for (index, prompt) in prompts.prompts.iter().enumerate().filter(|(_, p)| !p.negative) {
        let name = visible(&prompt.name);
        // Sorted by falling score: the first is the best.
        let best = found.detections.iter().find(|detection| detection.prompt == index);
        let threshold = prompts.threshold_of(index);
        // Writing to a String cannot fail.
        let _ = match best {
            Some(best) => {
                writeln!(text, "  {name}: best score {:.3}, threshold {threshold}", best.score)
            }
            None => writeln!(text, "  {name}: further below than the others"),
        };
    }
    Ok(text + "\n")
}

fn heading(path: &Path, image: &RgbImage) -> String {
    let (width, height) = image.dimensions();
    format!("{} ({width}x{height})\n", visible(&path.display().to_string()))
}

fn table(path: &Path, image: &RgbImage, prompts: &PromptSet, found: &[Detection]) -> String {
    let mut text = heading(path, image);
    let header = ["prompt", "score", "x0", "y0", "x1", "y1"];
    let mut table = plain_table(header, &[1, 2, 3, 4, 5]);
    for detection in found {
        let name = &prompts.prompts[detection.prompt].name;
        let mut row = vec![visible(name), format!("{:.3}", detection.score)];
        row.extend(detection.box_in_source_px.corners().map(|pixel| format!("{pixel:.1}")));
        table.add_row(row);
    }
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{table}\n");
    text
}
