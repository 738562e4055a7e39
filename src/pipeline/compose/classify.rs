//! A detector whose detections get finer labels.

use std::sync::Arc;
use std::time::Instant;

use image::RgbImage;

use super::ahead::Ahead;
use crate::ground::{crop_with_margin, square_around};
use crate::tasks::{
    BankChange, BankChanged, BankRefused, Classifier, DetectError, DetectionRules, Detector,
    ImageDetections, ModelInfo, PromptsAhead,
};
use crate::types::{Detection, PromptSet, PromptSetRefused, Stage};

/// How much of a thing's surroundings the classifier sees on each side, as a share of its side:
/// boxes are never exact, and CLIP was trained on things that do not fill the picture.
const MARGIN: f32 = 0.1;

/// A detector whose prompts may have finer labels ([`Prompt::finer`](crate::types::Prompt::finer)),
/// among which a classifier chooses for every detection, by a square around its box. The detector
/// itself never hears of them.
pub struct ClassifyingDetector {
    info: ModelInfo,
    detector: Box<dyn Detector>,
    classifier: Box<dyn Classifier>,
    /// Of each prompt in use the vectors of its labels.
    labels: Vec<Vec<Vec<f32>>>,
}

impl ClassifyingDetector {
    /// Both together, called by both names.
    #[must_use]
    pub fn new(detector: Box<dyn Detector>, classifier: Box<dyn Classifier>) -> Self {
        let (boxes, names) = (detector.info(), classifier.info());
        let info = ModelInfo {
            name: format!("{} + {}", boxes.name, names.name),
            architecture: format!("{} + {}", boxes.architecture, names.architecture),
            parameters: boxes.parameters + names.parameters,
            ..boxes.clone()
        };
        Self { info, detector, classifier, labels: Vec::new() }
    }

    /// The part of an image that the classifier is shown of a detection; `None` where there is
    /// nothing to see.
    #[must_use]
    pub fn crop(image: &RgbImage, detection: &Detection) -> Option<RgbImage> {
        let (width, height) = image.dimensions();
        let area = detection.box_in_source_px.clipped_to(width, height);
        crop_with_margin(image, &square_around(&area, (width, height)), MARGIN)
    }

    fn classify(
        &mut self,
        images: &[Arc<RgbImage>],
        found: &mut [ImageDetections],
    ) -> Result<(), DetectError> {
        let labels = &self.labels;
        let labels_of = |detection: &Detection| {
            labels.get(detection.prompt).filter(|labels| !labels.is_empty())
        };
        let mut wanted = Vec::new();
        for (image, found) in images.iter().zip(found) {
            for detection in &mut found.detections {
                if let Some(labels) = labels_of(detection) {
                    wanted.push((image, detection, labels.as_slice()));
                }
            }
        }
        // Crops of a few at a time: their number times the size of an image has no bound.
        for few in wanted.chunks_mut(self.classifier.info().useful_batch.max(1)) {
            let (mut crops, mut labels, mut places) = (Vec::new(), Vec::new(), Vec::new());
            for (place, (image, detection, of_prompt)) in few.iter().enumerate() {
                if let Some(crop) = Self::crop(image, detection) {
                    crops.push(Arc::new(crop));
                    labels.push(*of_prompt);
                    places.push(place);
                }
            }
            if crops.is_empty() {
                continue;
            }
            let scores = self.classifier.classify(&crops, &labels)?;
            if scores.len() != crops.len() {
                let message = format!("{} answers for {} crops", scores.len(), crops.len());
                return Err(DetectError::Backend { stage: Stage::Classify.name(), message });
            }
            for (place, scores) in places.into_iter().zip(scores) {
                few[place].1.finer = scores;
            }
        }
        Ok(())
    }

    fn asks(&self, found: &ImageDetections) -> bool {
        let has_labels =
            |prompt: usize| self.labels.get(prompt).is_some_and(|labels| !labels.is_empty());
        found.detections.iter().any(|detection| has_labels(detection.prompt))
    }
}

impl Detector for ClassifyingDetector {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    /// Where labels are refused, of the other problems those are told that need no detector.
    fn set_prompts(&mut self, prompts: Arc<PromptSet>) -> Result<(), PromptSetRefused> {
        let labels = self.classifier.encode_finer(&prompts)?;
        self.detector.set_prompts(prompts.without_finer())?;
        self.labels = labels;
        Ok(())
    }

    fn prompts_ahead(&self) -> Option<Arc<dyn PromptsAhead>> {
        let mut ahead = Ahead::default();
        ahead.add(self.detector.prompts_ahead(), |set| Arc::clone(set).without_finer());
        ahead.add(self.classifier.prompts_ahead(), Arc::clone);
        ahead.into_one()
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
        let started = Instant::now();
        self.classify(images, &mut found)?;
        let elapsed = started.elapsed();
        for found in &mut found {
            if self.asks(found) {
                found.timings.add(Stage::Classify, elapsed);
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests;
