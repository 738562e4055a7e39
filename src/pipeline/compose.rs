//! Tasks that make one detector together.

mod ahead;
mod classify;
mod grid;
mod ground;

use std::sync::Arc;
use std::time::Instant;

use image::RgbImage;

pub use self::classify::ClassifyingDetector;
pub use self::grid::{PointGrid, SharedSegmenter};
pub use self::ground::{GroundingDetector, ProposesNothing};
use crate::segment::masks;
use crate::tasks::{
    BankChange, BankChanged, BankRefused, DetectError, DetectionRules, Detector, ImageDetections,
    ImageScores, MaskPrompt, ModelInfo, PromptableSegmenter, PromptsAhead, Segmenter,
};
use crate::types::{Detection, InstanceMask, PromptSet, PromptSetRefused, Stage};
use crate::vision::mask::{components, score_of_logit};

/// The share of an image below which a connected part of a mask is no thing of its own: 75 pixels
/// of 640x480.
const SMALLEST_SHARE: f64 = 1.0 / 4096.0;

/// A detector whose boxes get masks from a segmenter.
pub struct MaskingDetector {
    info: ModelInfo,
    detector: Box<dyn Detector>,
    segmenter: Box<dyn PromptableSegmenter>,
}

impl MaskingDetector {
    /// Both together, called by both names.
    #[must_use]
    pub fn new(detector: Box<dyn Detector>, segmenter: Box<dyn PromptableSegmenter>) -> Self {
        let (boxes, masks) = (detector.info(), segmenter.info());
        let info = ModelInfo {
            name: format!("{} + {}", boxes.name, masks.name),
            architecture: format!("{} + {}", boxes.architecture, masks.architecture),
            parameters: boxes.parameters + masks.parameters,
            useful_batch: boxes.useful_batch.min(masks.useful_batch),
            ..boxes.clone()
        };
        Self { info, detector, segmenter }
    }
}

impl Detector for MaskingDetector {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn set_prompts(&mut self, prompts: Arc<PromptSet>) -> Result<(), PromptSetRefused> {
        self.detector.set_prompts(prompts)
    }

    fn prompts_ahead(&self) -> Option<Arc<dyn PromptsAhead>> {
        self.detector.prompts_ahead()
    }

    fn set_rules(&mut self, rules: DetectionRules) {
        self.detector.set_rules(rules);
    }

    fn set_proposals(&mut self, most: usize) -> bool {
        self.detector.set_proposals(most)
    }

    fn change_bank(&mut self, change: BankChange) -> Result<BankChanged, BankRefused> {
        self.detector.change_bank(change)
    }

    fn detect(&mut self, images: &[Arc<RgbImage>]) -> Result<Vec<ImageDetections>, DetectError> {
        let mut found = self.detector.detect(images)?;
        found.iter_mut().for_each(|found| found.has_masks = true);
        let started = Instant::now();
        // Where nothing was found there is nothing to encode the image for.
        let (places, wanted): (Vec<usize>, Vec<Arc<RgbImage>>) = found
            .iter()
            .zip(images)
            .enumerate()
            .filter(|(_, (found, _))| !found.detections.is_empty())
            .map(|(place, (_, image))| (place, Arc::clone(image)))
            .unzip();
        let prompts: Vec<Vec<MaskPrompt>> = places
            .iter()
            .map(|place| {
                let boxes = found[*place].detections.iter().map(|found| found.box_in_source_px);
                boxes
                    .map(|area| MaskPrompt { box_in_source_px: Some(area), points: Vec::new() })
                    .collect()
            })
            .collect();
        let masks = match wanted.is_empty() {
            true => Vec::new(),
            false => self.segmenter.segment(&wanted, &prompts)?,
        };
        let elapsed = started.elapsed();
        for (place, masks) in places.into_iter().zip(masks) {
            let found = &mut found[place];
            if masks.masks.len() != found.detections.len() {
                let message =
                    format!("{} masks for {} boxes", masks.masks.len(), found.detections.len());
                return Err(DetectError::Backend { stage: Stage::Masks.name(), message });
            }
            for (detection, mask) in found.detections.iter_mut().zip(masks.masks) {
                let size = (mask.mask.width(), mask.mask.height());
                if size != images[place].dimensions() {
                    let (width, height) = images[place].dimensions();
                    let message =
                        format!("a mask of {}x{} in an image of {width}x{height}", size.0, size.1);
                    return Err(DetectError::Backend { stage: Stage::Masks.name(), message });
                }
                detection.mask = Some(mask);
            }
            found.timings.add(Stage::Masks, elapsed);
        }
        Ok(found)
    }
}

/// A segmenter that looks for texts, as a detector: each connected part of a prompt's mask is one
/// object, with the best score of its pixels and the box around them. Parts of less than 1/4096 of
/// the image are no objects.
///
/// [`DetectionRules::names_per_box`] says whether a pixel goes to the prompt that scores best there
/// (1) or to all above their thresholds; overlaps are not looked at (`nms_iou`): parts of one
/// prompt have none.
pub struct SegmentingDetector {
    segmenter: Box<dyn Segmenter>,
    rules: DetectionRules,
    prompts: Option<Arc<PromptSet>>,
}

impl SegmentingDetector {
    /// As `rules` say, until others are set.
    #[must_use]
    pub fn new(segmenter: Box<dyn Segmenter>, rules: DetectionRules) -> Self {
        Self { segmenter, rules, prompts: None }
    }

    fn parts(
        &self,
        image: &RgbImage,
        scores: &ImageScores,
    ) -> Result<ImageDetections, DetectError> {
        let prompts = self.prompts.as_ref().ok_or(DetectError::NoPrompts)?;
        let (width, height) = image.dimensions();
        let smallest_px = f64::from(width) * f64::from(height) * SMALLEST_SHARE;
        let masks = masks(&scores.maps, prompts, width, height);
        let shared = self.rules.names_per_box > 1;
        let mut detections = Vec::new();
        for of_prompt in &masks.masks {
            if of_prompt.area_px == 0 {
                continue;
            }
            let logits = scores.maps[of_prompt.prompt].logits_at(width, height);
            let whole = match shared {
                true => of_prompt.mask.clone(),
                false => masks.of_class(of_prompt.prompt),
            };
            let parts = components(&whole).map_err(|error| DetectError::Backend {
                stage: Stage::Postprocess.name(),
                message: error.to_string(),
            })?;
            for part in parts {
                if (part.area_px() as f64) < smallest_px {
                    continue;
                }
                let best = part
                    .points()
                    .map(|(x, y)| logits[y as usize * width as usize + x as usize])
                    .fold(f32::NEG_INFINITY, f32::max);
                // A part has pixels, and so a box.
                let Some(box_in_source_px) = part.box_px() else { continue };
                detections.push(Detection {
                    prompt: of_prompt.prompt,
                    score: score_of_logit(best),
                    objectness: None,
                    box_in_source_px,
                    mask: Some(InstanceMask { mask: part, predicted_iou: None }),
                    finer: Vec::new(),
                    explanation: None,
                });
            }
        }
        detections.sort_by(|a, b| b.score.total_cmp(&a.score));
        detections.truncate(self.rules.max_detections);
        Ok(ImageDetections {
            has_masks: true,
            detections,
            weak: Vec::new(),
            best_scores: scores.maps.iter().map(|map| map.best_score()).collect(),
            proposals: Vec::new(),
            timings: scores.timings.clone(),
        })
    }
}

impl Detector for SegmentingDetector {
    fn info(&self) -> &ModelInfo {
        self.segmenter.info()
    }

    fn set_prompts(&mut self, prompts: Arc<PromptSet>) -> Result<(), PromptSetRefused> {
        self.segmenter.set_prompts(Arc::clone(&prompts))?;
        self.prompts = Some(prompts);
        Ok(())
    }

    fn set_rules(&mut self, rules: DetectionRules) {
        self.rules = rules;
    }

    fn detect(&mut self, images: &[Arc<RgbImage>]) -> Result<Vec<ImageDetections>, DetectError> {
        let scores = self.segmenter.segment(images)?;
        images
            .iter()
            .zip(&scores)
            .map(|(image, scores)| {
                let started = Instant::now();
                let mut found = self.parts(image, scores)?;
                found.timings.add(Stage::Postprocess, started.elapsed());
                Ok(found)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests;
