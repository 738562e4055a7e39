//! `owlet detect`: pictures in, a table or JSON out.

mod overlays;

use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use image::RgbImage;
use owlet::tasks::{Detector, ImageDetections};
use owlet::transport::records::DetectionRecord;
use owlet::types::{Detection, PromptSet};
use owlet::vision::decode::decode_file;
use serde::Serialize;

use self::overlays::{overlay_paths, write_overlay};
use super::pictures::{for_each_picture, heading, some_are_there};
use super::settings::Settings;
use super::{Finish, Refused, plain_table, print_out, visible};
use crate::app::args::DetectArgs;

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
    some_are_there(&args.images)?;
    let mut detector = settings.detector_source().load()?;
    detector
        .set_prompts(Arc::clone(&settings.prompts))
        .map_err(|error| Refused(error.to_string()))?;

    for_each_picture(&args.images, |index, path| {
        let overlay_path = overlay_paths[index].as_deref();
        look_at(path, overlay_path, args.json, &mut *detector, &settings)
    })
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
    let ImageDetections { detections: found, best_scores, .. } = detector
        .detect(&[Arc::clone(&image)])
        .with_context(|| format!("cannot look at {}", path.display()))?
        .pop()
        .context("the detector gave no result for the picture")?;
    print_out(match json {
        true => json_line(path, &image, settings, &found)?,
        false if found.is_empty() => closest(path, &image, &settings.prompts, &best_scores),
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

/// Why nothing was found: how far each prompt stayed below its threshold.
fn closest(path: &Path, image: &RgbImage, prompts: &PromptSet, best_scores: &[f32]) -> String {
    let mut text = heading(path, image) + "  nothing reached its threshold\n";
    for (index, (prompt, best)) in prompts.prompts.iter().zip(best_scores).enumerate() {
        if !prompt.negative {
            let (name, threshold) = (visible(&prompt.name), prompts.threshold_of(index));
            // Writing to a String cannot fail.
            let _ = writeln!(text, "  {name}: best score {best:.3}, threshold {threshold}");
        }
    }
    text + "\n"
}

fn table(path: &Path, image: &RgbImage, prompts: &PromptSet, found: &[Detection]) -> String {
    let mut text = heading(path, image);
    let header = ["prompt", "score", "x0", "y0", "x1", "y1"];
    let mut table = plain_table(header, &[1, 2, 3, 4, 5]);
    for detection in found {
        let name = visible(&prompts.prompts[detection.prompt].name);
        let name = match detection.finer_names(prompts).next() {
            None => name,
            Some((finer, score)) => format!("{name}: {} {score:.3}", visible(finer)),
        };
        let mut row = vec![name, format!("{:.3}", detection.score)];
        row.extend(detection.box_in_source_px.corners().map(|pixel| format!("{pixel:.1}")));
        table.add_row(row);
    }
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{table}\n");
    text
}
