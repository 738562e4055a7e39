//! Masks of what boxes and points lie on.

use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use image::{GrayImage, Luma, RgbImage};
use owlet::segment::{ImageMasks, MAX_PROMPTS, MaskRules, PromptMask};
use owlet::tasks::{ImageInstances, MaskPrompt, PointPrompt, PromptableSegmenter};
use owlet::types::{InstanceMask, PixelBox, Prompt, PromptSet};
use owlet::vision::decode::decode_file;

use super::super::loading::load_promptable;
use super::super::pictures::{for_each_picture, heading, some_are_there};
use super::super::settings::Settings;
use super::super::{Finish, Refused, print_out};
use super::outputs::Outputs;
use super::{empty_table, row};
use crate::app::args::SegmentArgs;

pub(super) fn run(args: &SegmentArgs) -> anyhow::Result<Finish> {
    let (names, asked) = prompts(args);
    refuse_what_is_for_texts(args, asked.len())?;
    let settings = Settings::for_boxes(&args.run, names)?;
    some_are_there(&args.images)?;
    let mut outputs = Outputs::claim(args)?;
    let rules = MaskRules { min_region_px: args.min_region, ..MaskRules::default() };
    let mut segmenter = load_promptable(&settings.segmenter_options(), rules)?;
    outputs.start()?;
    for_each_picture(&args.images, |index, path| {
        let (image, found) = look_at(path, &asked, &mut *segmenter)?;
        let line = outputs.write(index, path, &image, &found, &settings)?;
        print_out(match args.json {
            true => line,
            false => table(path, &image, &settings.prompts, &found),
        })?;
        Ok(())
    })
}

fn refuse_what_is_for_texts(args: &SegmentArgs, count: usize) -> Result<(), Refused> {
    let run = &args.run;
    let mut problems = Vec::new();
    if !run.prompts.is_empty() || run.prompts_file.is_some() {
        problems.push(
            "--prompt and --prompts: a mask is asked for by text, or by box and point, \
                       not by both"
                .to_owned(),
        );
    }
    if run.threshold.is_some() {
        problems.push("--threshold: masks of boxes and points have no threshold".to_owned());
    }
    if count > MAX_PROMPTS {
        problems.push(format!(
            "--box and --point: expected at most {MAX_PROMPTS} for a class mask, found {count}"
        ));
    }
    if problems.is_empty() { Ok(()) } else { Err(Refused(problems.join("\n"))) }
}

/// Boxes, then points, and what they are called.
fn prompts(args: &SegmentArgs) -> (PromptSet, Vec<MaskPrompt>) {
    let boxes = args.boxes.iter().map(|corners| {
        let area = PixelBox::from_corners(*corners);
        ("box", MaskPrompt { box_in_source_px: Some(area), points: Vec::new() })
    });
    let points = args.points.iter().map(|&[x_px, y_px]| {
        let points = vec![PointPrompt { x_px, y_px, inside: true }];
        ("point", MaskPrompt { box_in_source_px: None, points })
    });
    let (names, asked) = boxes
        .chain(points)
        .enumerate()
        .map(|(index, (kind, prompt))| {
            (Prompt::from_text(&format!("{kind} {}", index + 1)), prompt)
        })
        .unzip();
    (PromptSet { version: 1, prompts: names, default_threshold: 0.0 }, asked)
}

fn look_at(
    path: &Path,
    asked: &[MaskPrompt],
    segmenter: &mut dyn PromptableSegmenter,
) -> anyhow::Result<(Arc<RgbImage>, ImageMasks)> {
    let image = Arc::new(decode_file(path)?);
    let ImageInstances { masks, .. } = segmenter
        .segment(&[Arc::clone(&image)], &[asked.to_vec()])
        .with_context(|| format!("cannot look at {}", path.display()))?
        .pop()
        .context("the segmenter gave no result for the picture")?;
    let found = image_masks(masks, image.dimensions());
    Ok((image, found))
}

/// Masks as they are written. Of several that have a pixel that one has its class which the model
/// trusts most.
fn image_masks(masks: Vec<InstanceMask>, (width, height): (u32, u32)) -> ImageMasks {
    let masks: Vec<PromptMask> = masks
        .into_iter()
        .enumerate()
        .map(|(prompt, InstanceMask { mask, predicted_iou })| PromptMask {
            prompt,
            score: predicted_iou.unwrap_or(0.0),
            area_px: mask.area_px(),
            box_in_source_px: mask.box_px(),
            centroid_in_source_px: mask.centroid_px(),
            mask,
        })
        .collect();
    let mut classes = GrayImage::new(width, height);
    let mut by_score: Vec<_> = masks.iter().collect();
    by_score.sort_by(|a, b| a.score.total_cmp(&b.score));
    for mask in by_score {
        let label = u8::try_from(mask.prompt + 1).unwrap_or(u8::MAX);
        for (x, y) in mask.mask.points() {
            classes.put_pixel(x, y, Luma([label]));
        }
    }
    ImageMasks { masks, classes }
}

fn table(path: &Path, image: &RgbImage, prompts: &PromptSet, found: &ImageMasks) -> String {
    let mut text = heading(path, image);
    let mut table = empty_table();
    let pixels = f64::from(image.width()) * f64::from(image.height());
    let mut nothing = String::new();
    for mask in &found.masks {
        let name = prompts.prompts[mask.prompt].name.clone();
        match mask.box_in_source_px {
            Some(area) => {
                table.add_row(row(name, mask, area, pixels));
            }
            // Writing to a String cannot fail.
            None => {
                let _ = writeln!(nothing, "  {name}: nothing");
            }
        }
    }
    if table.row_iter().len() > 0 {
        let _ = writeln!(text, "{table}");
    }
    text + &nothing + "\n"
}
