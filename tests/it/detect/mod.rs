//! The detector on the golden checkpoints.

mod ahead;
mod guided;
mod proposals;
mod reference;
mod refusals;
mod rules;

use std::sync::Arc;

use image::RgbImage;
use owlet::detect::{DetectorOptions, OwlDetector};
use owlet::tasks::Detector;
use owlet::types::{Detection, DeviceChoice, Prompt, PromptSet};
use owlet::vision::canvas::Placement;

use crate::golden_models::fixture;

const FOLDERS: [(&str, Placement); 2] =
    [("owlvit_tiny", Placement::Stretch), ("owlv2_tiny", Placement::PadToSquare)];

/// The contract is 1e-3; 1e-5 is what f32 keeps of a sigmoid of sums in another order.
const SCORE: f32 = 1e-5;

/// The contract is half a pixel; boxes in [0, 1] agree to 1e-5, images are up to 230 pixels.
const BOX_PX: f32 = 1e-2;

fn options(folder: &str) -> DetectorOptions {
    DetectorOptions {
        device: DeviceChoice::Cpu,
        max_detections: usize::MAX,
        ..DetectorOptions::new(fixture(folder), folder)
    }
}

fn detector(folder: &str) -> OwlDetector {
    OwlDetector::load(&options(folder)).unwrap()
}

fn set(prompts: Vec<Prompt>, default_threshold: f32) -> Arc<PromptSet> {
    Arc::new(PromptSet { version: 1, prompts, default_threshold })
}

fn texts(texts: &[&str], default_threshold: f32) -> Arc<PromptSet> {
    set(texts.iter().map(|text| Prompt::from_text(text)).collect(), default_threshold)
}

fn prompt(name: &str, texts: &[&str], threshold: Option<f32>, negative: bool) -> Prompt {
    let texts = texts.iter().map(|text| (*text).to_owned()).collect();
    Prompt { name: name.to_owned(), texts, threshold, negative, ..Prompt::default() }
}

fn detect_one(detector: &mut OwlDetector, image: &RgbImage) -> Vec<Detection> {
    detector.detect(&[Arc::new(image.clone())]).unwrap().remove(0).detections
}

#[track_caller]
fn assert_same(what: &str, found: &[Detection], expected: &[Detection]) {
    assert_eq!(found.len(), expected.len(), "{what}: number of detections");
    for (rank, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert_eq!(found.prompt, expected.prompt, "{what}: prompt at rank {rank}");
        let off = (found.score - expected.score).abs();
        assert!(off <= SCORE, "{what}: score at rank {rank} is off by {off:e}");
        let corners = found.box_in_source_px.corners();
        for (a, b) in corners.iter().zip(expected.box_in_source_px.corners()) {
            assert!((a - b).abs() <= BOX_PX, "{what}: box at rank {rank} is off by {}", a - b);
        }
    }
}
