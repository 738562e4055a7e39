//! Floor 2: the contract between the networks and the rest. No tensor and no async in it.
//!
//! A task takes images and gives results in pixels of those images. Whoever implements one owns
//! its tensors and lives on the inference thread; whoever calls one needs no torch.

use std::sync::Arc;

use image::RgbImage;

use crate::types::{Detection, PromptSet, PromptSetRefused, StageTimings};

/// Finds what the prompts ask for.
pub trait Detector: Send {
    /// What is running and where.
    fn info(&self) -> &ModelInfo;

    /// Checks and encodes a prompt set and puts it into use. Encoding happens here and never per
    /// image.
    ///
    /// # Errors
    /// Every problem of every prompt; the set in use before stays in use.
    fn set_prompts(&mut self, prompts: Arc<PromptSet>) -> Result<(), PromptSetRefused>;

    /// One pass over a batch of images of any sizes; one result for each, in the same order.
    ///
    /// # Errors
    /// [`DetectError::NoPrompts`] before the first [`set_prompts`](Self::set_prompts), and what
    /// the backend reports.
    fn detect(&mut self, images: &[Arc<RgbImage>]) -> Result<Vec<ImageDetections>, DetectError>;
}

/// What was found in one image of a batch.
#[derive(Clone, Debug, Default)]
pub struct ImageDetections {
    /// Sorted by falling score.
    pub detections: Vec<Detection>,
    /// Times of the stages from preprocess to postprocess.
    pub timings: StageTimings,
}

/// What is running and where, for people and for outputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelInfo {
    /// Name or folder that the model was asked for by.
    pub name: String,
    /// The architecture (`owlvit`, `owlv2`).
    pub architecture: String,
    /// The device it runs on (`cpu`, `cuda:0`).
    pub device: String,
    /// The number format of its weights (`f32`, `f16`, `bf16`).
    pub dtype: String,
    /// Side of the network's input in pixels, `(height, width)`.
    pub input_size: (u32, u32),
    /// Number of learned parameters.
    pub parameters: u64,
    /// Images in one pass beyond which this device gains nothing; at least 1.
    pub useful_batch: usize,
}

/// Why a batch gave no result.
#[derive(Debug, thiserror::Error)]
pub enum DetectError {
    /// No prompt set is in use yet.
    #[error("no prompts are set: nothing to look for")]
    NoPrompts,
    /// An image with no pixels.
    #[error("image {index} of the batch has no pixels ({width}x{height})")]
    EmptyImage {
        /// Position in the batch.
        index: usize,
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
    },
    /// What libtorch reported (out of memory, a lost device).
    #[error("the backend failed in {stage}: {message}")]
    Backend {
        /// The stage in which it happened.
        stage: &'static str,
        /// libtorch's own words.
        message: String,
    },
}
