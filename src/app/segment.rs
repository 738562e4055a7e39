//! `owlet segment`: pictures in, masks out.

mod boxes;
mod outputs;

use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use image::RgbImage;
use owlet::segment::{ImageMasks, PromptMask, masks};
use owlet::tasks::{ImageScores, Segmenter};
use owlet::types::{PixelBox, PromptSet};
use owlet::vision::decode::decode_file;

use self::outputs::Outputs;
use super::loading::load_segmenter;
use super::pictures::{for_each_picture, heading, some_are_there};
use super::settings::Settings;
use super::{Finish, Refused, plain_table, print_out, visible};
use crate::app::args::SegmentArgs;

/// What stands in the help of the command.
pub(crate) const AFTER_HELP: &str = "\
Example:
  owlet segment kitchen.jpg --model clipseg-rd64-refined -p 'a mug' -p 'a sponge' --out out/kitchen

Written to the folder of --out, for the picture kitchen.jpg as the first one:
  001_kitchen_mask.png       class mask, 8 bits, of the picture's size: 0 is none, i is the prompt i
                             in the order given, and of several the one that scores best there
  001_kitchen_overlay.jpg    the picture with the masks drawn in
  001_kitchen_score_<i>.png  with --score-maps: scores of the prompt i, 16 bits, 65535 for 1.0
  segments.jsonl             one line for each picture, which --json prints, too:
    {\"image\": PATH, \"width\": W, \"height\": H, \"model\": NAME, \"mask\": FILE, \"overlay\": FILE,
     \"segments\": [{\"prompt\": NAME, \"label\": i, \"score\": S, \"threshold\": T, \"area_px\": A,
                   \"box_px\": [x0, y0, x1, y1], \"centroid_px\": [x, y],
                   \"rle\": {\"size\": [H, W], \"counts\": TEXT}}]}

There is a segment for each prompt that is no distractor. `score` is the best anywhere in the
picture. A pixel is in the mask of a prompt where its score there is above the threshold (0.5
unless something else is asked for); masks of several prompts may overlap. Where there is none,
`area_px` is 0, box and centroid are null. `rle` is COCO's run-length code, as of pycocotools.

With a model that takes boxes and points (SAM) each of them gets the mask of the thing that it lies
on, boxes first:
  owlet segment kitchen.jpg --model sam-vit-base --box 120,80,300,260 --point 400,90 --out out/sam
`prompt` is then \"box 1\", \"point 2\" and so on; `score` is the intersection over union that the
model expects its mask to have, and there is no `threshold`.";

pub(crate) fn run(args: &SegmentArgs) -> anyhow::Result<Finish> {
    if !args.boxes.is_empty() || !args.points.is_empty() {
        return boxes::run(args);
    }
    let settings = Settings::for_segmentation(&args.run)?;
    some_are_there(&args.images)?;
    let mut outputs = Outputs::claim(args)?;
    let mut segmenter =
        load_segmenter(&settings.segmenter_options(), settings.model_dir.architecture())?;
    segmenter
        .set_prompts(Arc::clone(&settings.prompts))
        .map_err(|error| Refused(error.to_string()))?;
    outputs.start()?;
    for_each_picture(&args.images, |index, path| {
        look_at(index, path, args, &mut *segmenter, &settings, &mut outputs)
    })
}

/// All that is done with one picture.
fn look_at(
    index: usize,
    path: &Path,
    args: &SegmentArgs,
    segmenter: &mut dyn Segmenter,
    settings: &Settings,
    outputs: &mut Outputs,
) -> anyhow::Result<()> {
    let image = Arc::new(decode_file(path)?);
    let ImageScores { maps, .. } = segmenter
        .segment(&[Arc::clone(&image)])
        .with_context(|| format!("cannot look at {}", path.display()))?
        .pop()
        .context("the segmenter gave no result for the picture")?;
    let (width, height) = image.dimensions();
    let found = masks(&maps, &settings.prompts, width, height);
    if args.score_maps {
        outputs.write_score_maps(index, path, &maps, &found, (width, height))?;
    }
    let line = outputs.write(index, path, &image, &found, settings)?;
    print_out(match args.json {
        true => line,
        false => table(path, &image, &settings.prompts, &found),
    })?;
    Ok(())
}

/// What was found; and how far each other prompt stayed below its threshold.
fn table(path: &Path, image: &RgbImage, prompts: &PromptSet, found: &ImageMasks) -> String {
    let mut text = heading(path, image);
    let mut table = empty_table();
    let pixels = f64::from(image.width()) * f64::from(image.height());
    let mut nothing = String::new();
    for mask in &found.masks {
        let name = visible(&prompts.prompts[mask.prompt].name);
        let Some(area) = mask.box_in_source_px else {
            let threshold = prompts.threshold_of(mask.prompt);
            let score = mask.score;
            // Writing to a String cannot fail.
            let _ = writeln!(
                nothing,
                "  {name}: nothing; best score {score:.3}, threshold {threshold}"
            );
            continue;
        };
        table.add_row(row(name, mask, area, pixels));
    }
    if table.row_iter().len() > 0 {
        let _ = writeln!(text, "{table}");
    }
    text + &nothing + "\n"
}

fn empty_table() -> comfy_table::Table {
    let header = ["prompt", "label", "score", "area px", "area %", "x0", "y0", "x1", "y1"];
    plain_table(header, &[1, 2, 3, 4, 5, 6, 7, 8])
}

/// Of a mask in a picture of so many pixels.
fn row(name: String, mask: &PromptMask, area: PixelBox, pixels: f64) -> Vec<String> {
    let mut row = vec![
        name,
        (mask.prompt + 1).to_string(),
        format!("{:.3}", mask.score),
        mask.area_px.to_string(),
        format!("{:.1}", 100.0 * mask.area_px as f64 / pixels),
    ];
    row.extend(area.corners().map(|pixel| format!("{pixel:.0}")));
    row
}
