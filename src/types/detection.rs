//! What was found.

use std::sync::Arc;

use super::{FrameHeader, PixelBox, PromptSet, StageTimings};

/// One object that was found in one image.
#[derive(Clone, Debug, PartialEq)]
pub struct Detection {
    /// Index into the prompts of the set that made it.
    pub prompt: usize,
    /// In `[0, 1]`; comparable within a model, not a probability.
    pub score: f32,
    /// In `[0, 1]`, how much it looks like any object at all; only models that have such a head
    /// (OWLv2) give it.
    pub objectness: Option<f32>,
    /// Where it is, in pixels of the source image, clipped to the image.
    pub box_in_source_px: PixelBox,
}

/// All that was found in one frame, best score first.
#[derive(Clone, Debug)]
pub struct FrameDetections {
    /// The camera that the frame came from.
    pub camera: Arc<str>,
    /// Header of the source image, unchanged.
    pub header: FrameHeader,
    /// Width of the source image in pixels.
    pub width: u32,
    /// Height of the source image in pixels.
    pub height: u32,
    /// The prompts in use when it was made; its version is the version of this output.
    pub prompts: Arc<PromptSet>,
    /// What was found, sorted by falling score.
    pub detections: Vec<Detection>,
    /// Where the time went.
    pub timings: StageTimings,
}
