//! Prompts that change while the masks of a frame are drawn.

use std::sync::mpsc;

use super::*;
use crate::pipeline::{MaskingDetector, SegmentingDetector};
use crate::tasks::{ImageInstances, ImageScores, MaskPrompt, PromptableSegmenter, Segmenter};
use crate::types::{InstanceMask, Mask};
use crate::vision::mask::ScoreMap;

/// Where a frame under way waits until it may go on.
struct Gate {
    arrived: mpsc::Sender<()>,
    go_on: mpsc::Receiver<()>,
}

impl Gate {
    /// The gate, what tells that a frame is there, and what opens it once.
    fn new() -> (Self, mpsc::Receiver<()>, mpsc::Sender<()>) {
        let (arrived, arrivals) = mpsc::channel();
        let (open, go_on) = mpsc::channel();
        (Self { arrived, go_on }, arrivals, open)
    }

    fn wait(&self) {
        self.arrived.send(()).unwrap();
        self.go_on.recv().unwrap();
    }
}

fn info(name: &str) -> ModelInfo {
    ModelInfo {
        name: name.to_owned(),
        architecture: "test".to_owned(),
        device: "cpu".to_owned(),
        dtype: "f32".to_owned(),
        input_size: (1, 1),
        parameters: 0,
        useful_batch: 1,
    }
}

/// Finds each of its prompts in a column of its own.
struct Columns(ModelInfo, usize);

impl Detector for Columns {
    fn info(&self) -> &ModelInfo {
        &self.0
    }

    fn set_prompts(&mut self, prompts: Arc<PromptSet>) -> Result<(), PromptSetRefused> {
        self.1 = prompts.prompts.len();
        Ok(())
    }

    fn set_rules(&mut self, _rules: DetectionRules) {}

    fn detect(&mut self, images: &[Arc<RgbImage>]) -> Result<Vec<ImageDetections>, DetectError> {
        let of_prompt = |prompt: usize| {
            let x = prompt as f32;
            Detection {
                prompt,
                score: 0.5,
                objectness: None,
                box_in_source_px: PixelBox::from_corners([x, 0.0, x + 1.0, 1.0]),
                mask: None,
                finer: Vec::new(),
                explanation: None,
            }
        };
        let found = images.iter().map(|_| ImageDetections {
            weak: Vec::new(),
            has_masks: false,
            detections: (0..self.1).map(of_prompt).collect(),
            best_scores: vec![0.5; self.1],
            proposals: Vec::new(),
            timings: StageTimings::default(),
        });
        Ok(found.collect())
    }
}

/// Fills boxes when it is let.
struct Filler(ModelInfo, Gate);

impl PromptableSegmenter for Filler {
    fn info(&self) -> &ModelInfo {
        &self.0
    }

    fn segment(
        &mut self,
        images: &[Arc<RgbImage>],
        prompts: &[Vec<MaskPrompt>],
    ) -> Result<Vec<ImageInstances>, DetectError> {
        self.1.wait();
        let of_image = |(image, prompts): (&Arc<RgbImage>, &Vec<MaskPrompt>)| {
            let fill = |prompt: &MaskPrompt| {
                let x = prompt.box_in_source_px.unwrap().x0 as u32;
                let pixels = (0..image.width()).map(|at| at == x).collect();
                InstanceMask { mask: Mask::new(image.width(), 1, pixels), predicted_iou: None }
            };
            ImageInstances {
                masks: prompts.iter().map(fill).collect(),
                timings: StageTimings::default(),
            }
        };
        Ok(images.iter().zip(prompts).map(of_image).collect())
    }
}

/// Sees each of its prompts in a column of its own, when it is let.
struct Maps(ModelInfo, usize, Gate);

impl Segmenter for Maps {
    fn info(&self) -> &ModelInfo {
        &self.0
    }

    fn set_prompts(&mut self, prompts: Arc<PromptSet>) -> Result<(), PromptSetRefused> {
        self.1 = prompts.prompts.len();
        Ok(())
    }

    fn segment(&mut self, images: &[Arc<RgbImage>]) -> Result<Vec<ImageScores>, DetectError> {
        self.2.wait();
        let of_image = |image: &Arc<RgbImage>| {
            let map = |prompt: usize| {
                let logit = |at| if at == prompt { 5.0 } else { -5.0 };
                let (width, height) = image.dimensions();
                ScoreMap::new(width, height, (0..width as usize).map(logit).collect())
            };
            let maps = (0..self.1).map(map).collect();
            ImageScores { maps, timings: StageTimings::default() }
        };
        Ok(images.iter().map(of_image).collect())
    }
}

/// Version of the set, and name and first column of each mask, by column.
fn named_columns(outcome: Option<Outcome>) -> (u64, Vec<(String, u32)>) {
    let Some(Outcome::Found { detections, .. }) = outcome else { panic!("a frame failed") };
    let prompts = &detections.prompts;
    let mut named: Vec<_> = detections
        .detections
        .iter()
        .map(|found| {
            let (x, _) = found.mask.as_ref().unwrap().mask.points().next().unwrap();
            (prompts.prompts[found.prompt].name.clone(), x)
        })
        .collect();
    named.sort_by_key(|(_, x)| *x);
    (prompts.version, named)
}

/// The set changes while the masks of the first frame are drawn, and the second waits already.
fn hold(detector: Box<dyn Detector>, arrivals: &mpsc::Receiver<()>, open: &mpsc::Sender<()>) {
    let options = PipelineOptions {
        cameras: vec!["/left".into()],
        policy: Policy::Block,
        max_batch: 1,
        results_capacity: 2,
    };
    let (pipeline, mut results) =
        Pipeline::start(options, move || Ok::<_, String>(detector)).unwrap();
    let left = pipeline.camera("/left").unwrap();
    pipeline.set_prompts(prompts(1, &["a bowl", "a cup", "a mug"])).unwrap();
    pipeline.post(left, frame("/left", 1, 4));
    arrivals.recv().unwrap();
    // As `set_prompts` does it, which would wait here for the answer.
    let (reply, mut answer) = oneshot::channel();
    let next = prompts(2, &["a spoon", "a fork"]);
    assert!(pipeline.inbox.command(Command::SetPrompts(next, reply)).is_ok());
    pipeline.post(left, frame("/left", 2, 4));
    assert!(answer.try_recv().is_err(), "not while a frame is looked at");
    open.send(()).unwrap();
    let named = |named: &[(&str, u32)]| -> Vec<(String, u32)> {
        named.iter().map(|(name, x)| ((*name).to_owned(), *x)).collect()
    };
    let first = named_columns(results.blocking_recv());
    assert_eq!(first, (1, named(&[("a bowl", 0), ("a cup", 1), ("a mug", 2)])));
    arrivals.recv().unwrap();
    // The second frame is looked at, so the set was taken.
    assert!(matches!(answer.try_recv(), Ok(Ok(()))));
    open.send(()).unwrap();
    let second = named_columns(results.blocking_recv());
    assert_eq!(second, (2, named(&[("a spoon", 0), ("a fork", 1)])));
}

#[test]
fn masks_of_a_frame_under_way_keep_the_set_that_its_boxes_are_of() {
    let (gate, arrivals, open) = Gate::new();
    let boxes = Box::new(Columns(info("columns"), 0));
    let masks = Box::new(Filler(info("filler"), gate));
    hold(Box::new(MaskingDetector::new(boxes, masks)), &arrivals, &open);
}

#[test]
fn masks_by_text_keep_the_set_that_they_were_begun_with() {
    let (gate, arrivals, open) = Gate::new();
    let rules = DetectionRules {
        nms_iou: None,
        nms_across_prompts: false,
        max_detections: 9,
        names_per_box: 1,
    };
    let masks = Box::new(Maps(info("maps"), 0, gate));
    hold(Box::new(SegmentingDetector::new(masks, rules)), &arrivals, &open);
}
