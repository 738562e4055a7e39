//! True boxes in: masks of a segmenter out, or the names that a bank of pairs gives them.

use std::sync::Arc;
use std::time::Instant;

use image::RgbImage;
use owlet::eval::{CocoBox, Found, RemarkKind, Remarks, StoredMask, decimal};
use owlet::ground::{Grounder, GrounderOptions, GroundingPrompt, MAX_REGIONS};
use owlet::segment::MaskRules;
use owlet::tasks::{DetectError, MaskPrompt, ModelInfo, PromptableSegmenter};
use owlet::types::PixelBox;

use super::super::loading::load_promptable;
use super::super::running::frames_bar;
use super::super::settings::Settings;
use super::super::{Chatter, Refused};
use super::looking::{self, LookedAt};
use super::source::Source;

/// The score of an object that was given: all are asked for.
const GIVEN: f64 = 1.0;

/// What is asked about boxes that are given.
enum Asked {
    Masks(Box<dyn PromptableSegmenter>),
    Names(Box<Grounder>),
}

impl Asked {
    fn load(settings: &Settings) -> anyhow::Result<Self> {
        let source = settings.detector_source();
        match (&source.segmenter, &source.bank) {
            (Some(options), None) => {
                Ok(Self::Masks(load_promptable(options, MaskRules::default())?))
            }
            (None, Some(bank)) => {
                let categories = settings.prompts.prompts.len();
                let options = GrounderOptions {
                    // All names of all boxes: to drop some is the matter of whoever finds boxes.
                    nms_iou: None,
                    max_detections: usize::MAX,
                    names_per_box: settings.config.names_per_box,
                    ..GrounderOptions::default()
                };
                let mut grounder = bank.load(options)?;
                let prompts = GroundingPrompt::of_set(&settings.prompts);
                if prompts.len() < categories {
                    let text = "--true-boxes with a bank: expected every prompt to be looked up in \
                                it (`asif: true` in the file of --prompts)";
                    return Err(Refused(text.to_owned()).into());
                }
                let encoded =
                    grounder.encode(prompts).map_err(|error| Refused(error.to_string()))?;
                grounder.set_prompts(encoded);
                Ok(Self::Names(Box::new(grounder)))
            }
            _ => {
                let text = "--true-boxes: expected a segmenter that draws masks for them (--param \
                            segmenter=NAME) or a bank that names them (--param bank=FOLDER), one of \
                            the two";
                Err(Refused(text.to_owned()).into())
            }
        }
    }

    fn info(&self) -> &ModelInfo {
        match self {
            Self::Masks(segmenter) => segmenter.info(),
            Self::Names(grounder) => grounder.image_encoder().info(),
        }
    }

    fn look(
        &mut self,
        image: usize,
        picture: Arc<RgbImage>,
        given: &[(usize, PixelBox)],
    ) -> Result<Vec<Found>, DetectError> {
        let found = |category: usize, area: PixelBox, score: f64| Found {
            image,
            category,
            box_in_source_px: CocoBox::from(area),
            score,
            mask: None,
        };
        match self {
            Self::Masks(segmenter) => {
                let prompts = given.iter().map(|(_, area)| MaskPrompt {
                    box_in_source_px: Some(*area),
                    points: Vec::new(),
                });
                let drawn = segmenter.segment(&[picture], &[prompts.collect()])?;
                let masks = drawn.into_iter().flat_map(|image| image.masks);
                let all = given.iter().zip(masks).map(|((category, area), one)| Found {
                    mask: Some(StoredMask::from(&one.mask)),
                    ..found(*category, *area, GIVEN)
                });
                Ok(all.collect())
            }
            Self::Names(grounder) => {
                let boxes: Vec<PixelBox> = given.iter().map(|(_, area)| *area).collect();
                let mut all = Vec::new();
                for boxes in boxes.chunks(MAX_REGIONS) {
                    all.extend(grounder.ground(&picture, boxes)?.found);
                }
                all.sort_by(|a, b| b.score.total_cmp(&a.score));
                let named = all.into_iter();
                Ok(named
                    .map(|one| found(one.prompt, one.box_in_source_px, decimal(one.score)))
                    .collect())
            }
        }
    }
}

/// Draws a mask for the box of every object, or names it, crowds left out. As
/// [`looking::look_at_all`], but one picture after the other.
pub(super) fn look_at_all(
    settings: &Settings,
    source: &Source,
    chatter: &Chatter,
    remarks: &mut Remarks,
) -> anyhow::Result<looking::Looked> {
    looking::some_are_there(source)?;
    let mut asked = Asked::load(settings)?;
    let images = source.dataset.images.len();
    let progress = frames_bar(images as u64, chatter);
    let started = Instant::now();
    let mut looked = LookedAt::default();
    for image in 0..images {
        progress.inc(1);
        let picture = match looking::read(source, image) {
            Ok(picture) => Arc::new(picture),
            Err((kind, reason)) => {
                remarks.add(kind, || reason);
                looked.left_out.push(image);
                continue;
            }
        };
        match asked.look(image, picture, &boxes(source, image)) {
            Ok(found) => looked.found.extend(found),
            Err(error) => {
                remarks.add(RemarkKind::PictureFailed, || error.to_string());
                looked.left_out.push(image);
            }
        }
    }
    progress.finish_and_clear();
    let took = started.elapsed();
    Ok(looking::Looked { model: asked.info().clone(), sources: vec![looked], took })
}

/// The categories and boxes of an image's objects.
fn boxes(source: &Source, image: usize) -> Vec<(usize, PixelBox)> {
    let truths = source.dataset.truths.iter();
    let of_image = truths.filter(|truth| truth.image == image && !truth.crowd);
    of_image.map(|truth| (truth.category, truth.box_in_source_px.to_pixel_box())).collect()
}
