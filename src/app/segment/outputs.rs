//! The files of `owlet segment`.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use image::{ImageBuffer, Luma, RgbImage};
use owlet::segment::{ImageMasks, PromptMask};
use owlet::types::{CocoRle, PromptSet};
use owlet::vision::encode::{encode_gray_png, encode_gray16_png, encode_jpeg};
use owlet::vision::mask::{ScoreMap, score_of_logit};
use owlet::vision::overlay::{OverlayItem, draw_masks};
use serde::Serialize;

use super::super::out_folder::{FolderLock, remove_matching, results_in};
use super::super::settings::Settings;
use super::super::{Refused, replace_file};
use crate::app::args::SegmentArgs;

const LINES: &str = "segments.jsonl";

/// One line of `segments.jsonl`.
#[derive(Serialize)]
struct ImageRecord<'a> {
    image: String,
    width: u32,
    height: u32,
    model: &'a str,
    mask: String,
    overlay: String,
    segments: Vec<SegmentRecord<'a>>,
}

#[derive(Serialize)]
struct SegmentRecord<'a> {
    prompt: &'a str,
    label: usize,
    score: f32,
    #[serde(skip_serializing_if = "Option::is_none")]
    threshold: Option<f32>,
    area_px: u64,
    box_px: Option<[f32; 4]>,
    centroid_px: Option<[f32; 2]>,
    rle: CocoRle,
}

impl<'a> SegmentRecord<'a> {
    fn new(found: &PromptMask, prompts: &'a PromptSet, by_score: bool) -> Self {
        Self {
            prompt: &prompts.prompts[found.prompt].name,
            label: found.prompt + 1,
            score: found.score,
            threshold: by_score.then(|| prompts.threshold_of(found.prompt)),
            area_px: found.area_px,
            box_px: found.box_in_source_px.map(|area| area.corners()),
            centroid_px: found.centroid_in_source_px.map(<[f32; 2]>::from),
            rle: found.mask.rle(),
        }
    }
}

/// The folder of the results, held against other programs of Owlet.
pub(super) struct Outputs {
    folder: PathBuf,
    lines: Option<File>,
    /// Whether masks are what scores above a threshold.
    by_score: bool,
    _lock: FolderLock,
}

impl Outputs {
    /// Makes the folder where it is missing. Changes nothing of what is in it yet.
    ///
    /// # Errors
    /// Results of an earlier run that nobody said what to do with; what cannot be written.
    pub(super) fn claim(args: &SegmentArgs) -> anyhow::Result<Self> {
        let folder = args.out.clone();
        let lock = FolderLock::make(&folder)?;
        if !args.overwrite && !results_in(&folder, &[LINES]).is_empty() {
            let folder = folder.display();
            let text = format!(
                "{folder}: holds the results of an earlier run ({LINES}): --overwrite replaces them"
            );
            return Err(Refused(text).into());
        }
        let by_score = args.boxes.is_empty() && args.points.is_empty();
        Ok(Self { folder, lines: None, by_score, _lock: lock })
    }

    /// Takes away what an earlier run has left: files of its own names only.
    pub(super) fn start(&mut self) -> anyhow::Result<()> {
        remove_matching(&self.folder, |name| name == LINES || is_of_a_picture(name))?;
        std::fs::create_dir_all(&self.folder)
            .with_context(|| format!("cannot make {}", self.folder.display()))?;
        let path = self.folder.join(LINES);
        let lines = OpenOptions::new().create(true).append(true).open(&path);
        self.lines = Some(lines.with_context(|| format!("cannot write {}", path.display()))?);
        Ok(())
    }

    /// Writes mask, overlay and the line of a picture, and gives the line.
    pub(super) fn write(
        &mut self,
        index: usize,
        path: &Path,
        image: &RgbImage,
        found: &ImageMasks,
        settings: &Settings,
    ) -> anyhow::Result<String> {
        let prompts = &settings.prompts;
        let (mask, overlay) =
            (name_of(index, path, "mask.png"), name_of(index, path, "overlay.jpg"));
        self.put(&mask, encode_gray_png(&found.classes))?;
        let items: Vec<_> = found
            .masks
            .iter()
            .filter_map(|mask| {
                Some(OverlayItem {
                    label: &prompts.prompts[mask.prompt].name,
                    score: mask.score,
                    finer: None,
                    box_in_source_px: mask.box_in_source_px?,
                    color_index: mask.prompt,
                })
            })
            .collect();
        let drawn = draw_masks(image, &found.classes, &items);
        self.put(&overlay, encode_jpeg(&drawn, settings.config.jpeg_quality))?;
        let record = ImageRecord {
            image: path.display().to_string(),
            width: image.width(),
            height: image.height(),
            model: &settings.config.model,
            mask,
            overlay,
            segments: found
                .masks
                .iter()
                .map(|mask| SegmentRecord::new(mask, prompts, self.by_score))
                .collect(),
        };
        let line = serde_json::to_string(&record)? + "\n";
        // Last, so that a line tells of files that are there.
        if let Some(lines) = &mut self.lines {
            lines
                .write_all(line.as_bytes())
                .with_context(|| format!("cannot write {}", self.folder.join(LINES).display()))?;
        }
        Ok(line)
    }

    /// Writes the scores of each prompt that is no distractor, at the size of the picture.
    pub(super) fn write_score_maps(
        &self,
        index: usize,
        path: &Path,
        maps: &[ScoreMap],
        found: &ImageMasks,
        (width, height): (u32, u32),
    ) -> anyhow::Result<()> {
        for mask in &found.masks {
            let logits = maps[mask.prompt].logits_at(width, height);
            let levels = logits
                .into_iter()
                .map(|logit| (score_of_logit(logit) * f32::from(u16::MAX)).round() as u16)
                .collect();
            let picture: ImageBuffer<Luma<u16>, Vec<u16>> =
                ImageBuffer::from_vec(width, height, levels)
                    .context("a score map of another size than its picture")?;
            let ending = format!("score_{}.png", mask.prompt + 1);
            self.put(&name_of(index, path, &ending), encode_gray16_png(&picture))?;
        }
        Ok(())
    }

    fn put<E>(&self, name: &str, encoded: Result<Vec<u8>, E>) -> anyhow::Result<()>
    where
        E: std::error::Error + Send + Sync + 'static,
    {
        let path = self.folder.join(name);
        let bytes = encoded.with_context(|| format!("cannot write {}", path.display()))?;
        replace_file(&path, &bytes)
    }
}

/// The position keeps pictures of one name from different folders apart.
fn name_of(index: usize, path: &Path, ending: &str) -> String {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    format!("{:03}_{stem}_{ending}", index + 1)
}

/// Whether [`name_of`] gives such names.
fn is_of_a_picture(name: &str) -> bool {
    let name = name.strip_suffix(super::super::PARTIAL_SUFFIX).unwrap_or(name);
    let Some((position, rest)) = name.split_once('_') else { return false };
    let is_score = |ending: &str| {
        ending
            .strip_prefix("score_")
            .and_then(|ending| ending.strip_suffix(".png"))
            .is_some_and(|label| label.parse::<u8>().is_ok())
    };
    position.len() >= 3
        && position.bytes().all(|byte| byte.is_ascii_digit())
        && (rest.ends_with("_mask.png")
            || rest.ends_with("_overlay.jpg")
            || rest.rfind("_score_").is_some_and(|at| is_score(&rest[at + 1..])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_its_own_are_taken_away() {
        for path in ["kitchen.jpg", "a_score_b.png", "über.jpeg", "001_x_mask.png"] {
            for ending in ["mask.png", "overlay.jpg", "score_1.png", "score_255.png"] {
                let name = name_of(11, Path::new(path), ending);
                assert!(is_of_a_picture(&name), "{name}");
                assert!(is_of_a_picture(&format!("{name}.partial")), "{name}");
            }
        }
        assert!(is_of_a_picture(&name_of(12_345, Path::new("x.png"), "mask.png")));
        for name in [
            "kitchen.jpg",
            "kitchen_mask.png",
            "01_kitchen_mask.png",
            "abc_kitchen_mask.png",
            "001_kitchen_mask.jpg",
            "001_kitchen_score_x.png",
            "001_kitchen_score_256.png",
            "001_kitchen.png",
            "mask.png",
        ] {
            assert!(!is_of_a_picture(name), "{name}");
        }
    }
}
