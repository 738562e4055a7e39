//! Segmentation on the golden checkpoints.

mod groupvit;
mod masks;
mod network;
mod refusals;
mod sam;
mod segmenter;
mod visual;

use std::sync::Arc;

use owlet::segment::{ClipSegmenter, SegmenterOptions};
use owlet::types::{DeviceChoice, Prompt, PromptSet};

use crate::golden_models::fixture;

/// One transposed convolution, and three; see `tools/make_clipseg_goldens.py`.
const FOLDERS: [&str; 2] = ["clipseg_tiny", "clipseg_refined_tiny"];

/// The texts that golden values were made for.
const TEXTS: [&str; 3] =
    ["a cat", "the left hand", "a photo of two red cups left of the blue dog of a cat"];

/// For logits of up to 26: f32 keeps 7 digits, and sums in another order (fused attention, blocked
/// matrix products and convolutions) cost one or two of them over eight layers.
const LOGITS: f64 = 2e-4;

fn options(folder: &str) -> SegmenterOptions {
    SegmenterOptions { device: DeviceChoice::Cpu, ..SegmenterOptions::new(fixture(folder), folder) }
}

fn segmenter(folder: &str) -> ClipSegmenter {
    ClipSegmenter::load(&options(folder)).unwrap()
}

fn set(prompts: Vec<Prompt>) -> Arc<PromptSet> {
    Arc::new(PromptSet { version: 1, prompts, default_threshold: 0.5 })
}

fn texts(texts: &[&str]) -> Arc<PromptSet> {
    set(texts.iter().map(|text| Prompt::from_text(text)).collect())
}
