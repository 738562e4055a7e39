//! `owlet detect`: pictures in, a table or JSON out.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use image::RgbImage;
use owlet::transport::records::DetectionRecord;
use owlet::types::{Detection, PromptSet};
use owlet::vision::decode::decode_file;
use owlet::vision::encode::{encode_jpeg, encode_png};
use owlet::vision::overlay::{self, OverlayItem};
use serde::Serialize;

use super::settings::{Settings, load_detector};
use super::{Finish, Refused, plain_table};
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

pub(crate) fn run(args: DetectArgs) -> anyhow::Result<Finish> {
    let settings = Settings::from_args(&args.run)?;
    let overlay_paths = overlay_paths(&args)?;
    let mut detector = load_detector(&settings.detector_options())?;
    detector
        .set_prompts(Arc::clone(&settings.prompts))
        .map_err(|error| Refused(error.to_string()))?;

    let mut read = 0;
    for (path, overlay_path) in args.images.iter().zip(overlay_paths) {
        let image = match decode_file(path) {
            Ok(image) => Arc::new(image),
            Err(error) => {
                eprintln!("error: {error}");
                continue;
            }
        };
        read += 1;
        let found = detector
            .detect(&[Arc::clone(&image)])
            .with_context(|| format!("cannot look at {}", path.display()))?
            .pop()
            .context("the detector gave no result for the picture")?
            .detections;
        if args.json {
            print_json(path, &image, &settings, &found)?;
        } else {
            print_table(path, &image, &settings.prompts, &found);
        }
        if let Some(overlay_path) = overlay_path {
            let drawn = overlay::draw(&image, &overlay_items(&found, &settings.prompts));
            write_picture(&overlay_path, &drawn, settings.config.jpeg_quality)?;
            tracing::info!("drawn: {}", overlay_path.display());
        }
    }
    match args.images.len() - read {
        0 => Ok(Finish::Done),
        _ if read == 0 => bail!("none of the pictures could be read"),
        _ => Ok(Finish::DataLost),
    }
}

/// Where the overlay of each picture goes.
fn overlay_paths(args: &DetectArgs) -> anyhow::Result<Vec<Option<PathBuf>>> {
    let Some(overlay) = &args.overlay else { return Ok(vec![None; args.images.len()]) };
    if let [_] = args.images.as_slice() {
        return match overlay.extension().and_then(|extension| extension.to_str()) {
            Some("png" | "jpg" | "jpeg") => Ok(vec![Some(overlay.clone())]),
            _ => Err(Refused(format!(
                "--overlay: expected a file that ends in .png or .jpg, found {}",
                overlay.display()
            ))
            .into()),
        };
    }
    std::fs::create_dir_all(overlay)
        .with_context(|| format!("cannot make the folder {}", overlay.display()))?;
    // The position keeps pictures of one name from different folders apart.
    let paths = args.images.iter().enumerate().map(|(index, image)| {
        let stem = image.file_stem().unwrap_or_default().to_string_lossy();
        Some(overlay.join(format!("{:03}_{stem}.png", index + 1)))
    });
    Ok(paths.collect())
}

/// What is drawn for each detection.
pub(super) fn overlay_items<'a>(
    found: &[Detection],
    prompts: &'a PromptSet,
) -> Vec<OverlayItem<'a>> {
    found
        .iter()
        .map(|detection| OverlayItem {
            label: &prompts.prompts[detection.prompt].name,
            score: detection.score,
            box_in_source_px: detection.box_in_source_px,
            color_index: detection.prompt,
        })
        .collect()
}

fn write_picture(path: &Path, image: &RgbImage, jpeg_quality: u8) -> anyhow::Result<()> {
    let bytes = match path.extension().and_then(|extension| extension.to_str()) {
        Some("jpg" | "jpeg") => encode_jpeg(image, jpeg_quality)?,
        _ => encode_png(image)?,
    };
    std::fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

#[expect(clippy::print_stdout, reason = "the result of the command")]
fn print_json(
    path: &Path,
    image: &RgbImage,
    settings: &Settings,
    found: &[Detection],
) -> anyhow::Result<()> {
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
    println!("{}", serde_json::to_string(&record)?);
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the result of the command")]
fn print_table(path: &Path, image: &RgbImage, prompts: &PromptSet, found: &[Detection]) {
    println!("{} ({}x{})", path.display(), image.width(), image.height());
    if found.is_empty() {
        println!("  nothing reached the threshold; --threshold 0 shows what came closest\n");
        return;
    }
    let header = ["prompt", "score", "x0", "y0", "x1", "y1"];
    let mut table = plain_table(header, &[1, 2, 3, 4, 5]);
    for detection in found {
        let mut row =
            vec![prompts.prompts[detection.prompt].name.clone(), format!("{:.3}", detection.score)];
        row.extend(detection.box_in_source_px.corners().map(|pixel| format!("{pixel:.1}")));
        table.add_row(row);
    }
    println!("{table}\n");
}
