use super::*;
use crate::types::{Mask, PixelBox, Prompt, StageTimings};
use crate::vision::mask::ScoreMap;

fn info(name: &str) -> ModelInfo {
    ModelInfo {
        name: name.to_owned(),
        architecture: "test".to_owned(),
        device: "cpu".to_owned(),
        dtype: "f32".to_owned(),
        input_size: (1, 1),
        parameters: 5,
        useful_batch: 4,
    }
}

/// Finds as many boxes as an image has columns beyond 10.
struct Boxes(ModelInfo);

impl Detector for Boxes {
    fn info(&self) -> &ModelInfo {
        &self.0
    }

    fn set_prompts(&mut self, prompts: Arc<PromptSet>) -> Result<(), PromptSetRefused> {
        prompts.check()
    }

    fn set_rules(&mut self, _rules: DetectionRules) {}

    fn detect(&mut self, images: &[Arc<RgbImage>]) -> Result<Vec<ImageDetections>, DetectError> {
        let found = images.iter().map(|image| ImageDetections {
            weak: Vec::new(),
            has_masks: false,
            detections: (0..image.width().saturating_sub(10))
                .map(|at| Detection {
                    prompt: 0,
                    score: 0.5,
                    objectness: None,
                    box_in_source_px: PixelBox::from_corners([at as f32, 0.0, 9.0, 4.0]),
                    mask: None,
                    finer: Vec::new(),
                    explanation: None,
                })
                .collect(),
            best_scores: vec![0.5],
            proposals: Vec::new(),
            timings: StageTimings::default(),
        });
        Ok(found.collect())
    }
}

/// Fills each box; forgets one of three, and draws the masks of images of 14 columns too narrow.
struct Filler(ModelInfo);

impl PromptableSegmenter for Filler {
    fn info(&self) -> &ModelInfo {
        &self.0
    }

    fn segment(
        &mut self,
        images: &[Arc<RgbImage>],
        prompts: &[Vec<MaskPrompt>],
    ) -> Result<Vec<crate::tasks::ImageInstances>, DetectError> {
        assert_eq!(images.len(), prompts.len());
        assert!(prompts.iter().all(|prompts| !prompts.is_empty()), "nothing is asked for");
        let of_image = |(image, prompts): (&Arc<RgbImage>, &Vec<MaskPrompt>)| {
            let (width, height) = image.dimensions();
            let width = if width == 14 { 12 } else { width };
            let fill = |prompt: &MaskPrompt| {
                let area = prompt.box_in_source_px.unwrap();
                let inside = |at: u32| (at % width) as f32 >= area.x0;
                let mask = Mask::new(width, height, (0..width * height).map(inside).collect());
                InstanceMask { mask, predicted_iou: Some(0.9) }
            };
            let count = if prompts.len() == 3 { 2 } else { prompts.len() };
            crate::tasks::ImageInstances {
                masks: prompts.iter().take(count).map(fill).collect(),
                timings: StageTimings::default(),
            }
        };
        Ok(images.iter().zip(prompts).map(of_image).collect())
    }
}

#[test]
fn every_box_gets_the_mask_that_was_drawn_for_it() {
    let (boxes, masks) = (Box::new(Boxes(info("boxes"))), Box::new(Filler(info("masks"))));
    let mut both = MaskingDetector::new(boxes, masks);
    assert_eq!((both.info().name.as_str(), both.info().parameters), ("boxes + masks", 10));
    // The image in the middle has no boxes and costs nothing.
    let images = [12, 10, 11].map(|width| Arc::new(RgbImage::new(width, 4)));
    let found = both.detect(&images).unwrap();
    for (image, found) in images.iter().zip(&found) {
        assert_eq!(found.detections.len() as u32, image.width() - 10);
        assert_eq!(found.timings.get(Stage::Masks).is_some(), image.width() != 10);
        for detection in &found.detections {
            let mask = detection.mask.as_ref().unwrap();
            assert_eq!(mask.mask.width(), image.width());
            assert_eq!(mask.mask.box_px().unwrap().x0, detection.box_in_source_px.x0);
        }
    }
    // A mask too few is an error and no shift.
    let error = both.detect(&[Arc::new(RgbImage::new(13, 4))]).unwrap_err();
    assert!(error.to_string().contains("2 masks for 3 boxes"), "{error}");
    // So is one that is not over the image.
    let error = both.detect(&[Arc::new(RgbImage::new(14, 4))]).unwrap_err();
    assert!(error.to_string().contains("a mask of 12x4 in an image of 14x4"), "{error}");
}

/// Gives the same maps for every image.
struct Maps(ModelInfo, Vec<ScoreMap>);

impl Segmenter for Maps {
    fn info(&self) -> &ModelInfo {
        &self.0
    }

    fn set_prompts(&mut self, prompts: Arc<PromptSet>) -> Result<(), PromptSetRefused> {
        prompts.check()
    }

    fn segment(&mut self, images: &[Arc<RgbImage>]) -> Result<Vec<ImageScores>, DetectError> {
        let scores = || ImageScores { maps: self.1.clone(), timings: StageTimings::default() };
        Ok(images.iter().map(|_| scores()).collect())
    }
}

#[test]
fn every_connected_part_of_a_mask_is_an_object() {
    let map = |logits: [f32; 8]| ScoreMap::new(8, 1, logits.to_vec());
    let maps = vec![
        map([1.0, 3.0, -9.0, 2.0, 1.0, -9.0, -9.0, 0.5]),
        map([-9.0, -9.0, -9.0, -9.0, 4.0, 4.0, -9.0, -9.0]),
    ];
    let rules = DetectionRules {
        nms_iou: None,
        nms_across_prompts: false,
        max_detections: 3,
        names_per_box: 1,
    };
    let mut detector = SegmentingDetector::new(Box::new(Maps(info("maps"), maps)), rules);
    let image = [Arc::new(RgbImage::new(8, 1))];
    assert!(matches!(detector.detect(&image), Err(DetectError::NoPrompts)));
    let prompts = ["bowl", "mug"].map(Prompt::from_text).into();
    let set = PromptSet { version: 1, prompts, default_threshold: 0.5 };
    detector.set_prompts(Arc::new(set)).unwrap();
    let columns = |found: &ImageDetections| -> Vec<(usize, Vec<u32>)> {
        let of = |found: &Detection| {
            let mask = &found.mask.as_ref().unwrap().mask;
            assert_eq!(mask.box_px(), Some(found.box_in_source_px));
            (found.prompt, mask.points().map(|(x, _)| x).collect())
        };
        found.detections.iter().map(of).collect()
    };
    let found = detector.detect(&image).unwrap().remove(0);
    // Best first; the pixel that both ask for is the mug's, and the fourth object is one too many.
    assert_eq!(columns(&found), [(1, vec![4, 5]), (0, vec![0, 1]), (0, vec![3])]);
    assert_eq!(found.detections[1].score, score_of_logit(3.0));
    assert_eq!(found.best_scores, [score_of_logit(3.0), score_of_logit(4.0)]);
    detector.set_rules(DetectionRules { names_per_box: 2, max_detections: 9, ..rules });
    let found = detector.detect(&image).unwrap().remove(0);
    assert_eq!(columns(&found), [(1, vec![4, 5]), (0, vec![0, 1]), (0, vec![3, 4]), (0, vec![7]),]);
    // What is smaller than 1/4096 of the image is no object: one of 16 pixels of 512x256 is.
    let large = [Arc::new(RgbImage::new(64 * 128, 1))];
    assert_eq!(detector.detect(&large).unwrap()[0].detections.len(), 4);
}
