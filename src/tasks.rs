//! Floor 2: the contract between the networks and the rest. No tensor and no async in it.
//!
//! A task takes images and gives results in pixels of those images. Whoever implements one owns
//! its tensors and lives on the inference thread; whoever calls one needs no torch.

use std::sync::Arc;

use image::RgbImage;

use crate::types::{Detection, PromptSet, PromptSetRefused, StageTimings};
use crate::vision::mask::ScoreMap;

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

    /// Changes what happens to boxes after the network, from the next batch on.
    fn set_rules(&mut self, rules: DetectionRules);

    /// One pass over a batch of images of any sizes; one result for each, in the same order.
    ///
    /// # Errors
    /// [`DetectError::NoPrompts`] before the first [`set_prompts`](Self::set_prompts), and what
    /// the backend reports.
    fn detect(&mut self, images: &[Arc<RgbImage>]) -> Result<Vec<ImageDetections>, DetectError>;
}

/// What happens to boxes after the network.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DetectionRules {
    /// Intersection over union, in `[0, 1]`, above which the lower of two boxes of one prompt is
    /// dropped; `None` keeps them all, as the reference does.
    pub nms_iou: Option<f32>,
    /// The most detections for one image, best first; at least 1.
    pub max_detections: usize,
    /// The most prompts that one box is reported for; at least 1.
    pub names_per_box: usize,
}

/// What was found in one image of a batch.
#[derive(Clone, Debug, Default)]
pub struct ImageDetections {
    /// Sorted by falling score.
    pub detections: Vec<Detection>,
    /// The best score of each prompt anywhere in the image, in `[0, 1]`, in the order of the set
    /// and whatever the thresholds: says how far from being found a thing was.
    pub best_scores: Vec<f32>,
    /// Times of the stages from preprocess to postprocess.
    pub timings: StageTimings,
}

/// Draws where the things are that the prompts ask for.
pub trait Segmenter: Send {
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
    fn segment(&mut self, images: &[Arc<RgbImage>]) -> Result<Vec<ImageScores>, DetectError>;
}

/// Where the things of a prompt set are in one image of a batch.
#[derive(Clone, Debug, Default)]
pub struct ImageScores {
    /// One for each prompt, in the order of the set and whatever its threshold, over the whole of
    /// the image: distractors have one, too.
    pub maps: Vec<ScoreMap>,
    /// Times of the stages from preprocess to postprocess.
    pub timings: StageTimings,
}

/// Turns pictures into vectors whose directions tell what is in them.
pub trait ImageEncoder: Send {
    /// What is running and where.
    fn info(&self) -> &ModelInfo;

    /// Numbers in a vector; at least 1.
    fn dimension(&self) -> usize;

    /// One pass over a batch of images of any sizes; one vector for each, in the same order, not
    /// normalised.
    ///
    /// # Errors
    /// An image with no pixels; what the backend reports.
    fn encode(&mut self, images: &[Arc<RgbImage>]) -> Result<Vec<Vec<f32>>, DetectError>;
}

/// Turns texts into vectors whose directions tell what they say.
pub trait TextEncoder: Send {
    /// What is running and where.
    fn info(&self) -> &ModelInfo;

    /// Numbers in a vector; at least 1.
    fn dimension(&self) -> usize;

    /// One vector for each text, in the same order.
    ///
    /// # Errors
    /// The first text that is empty or too long, by its place: nothing is ever cut in silence; what
    /// the backend reports.
    fn encode(&mut self, texts: &[String]) -> Result<Vec<Vec<f32>>, EncodeError>;
}

/// Why texts were not encoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// A text with more tokens than the network has places for.
    #[error("text {index} has {tokens} tokens, at most {limit} are taken")]
    TooLong {
        /// Position in the batch.
        index: usize,
        /// Tokens of the text, those at its ends included.
        tokens: usize,
        /// The most that the network takes.
        limit: usize,
    },
    /// A text without content.
    #[error("text {index} is empty")]
    Empty {
        /// Position in the batch.
        index: usize,
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

/// What is running and where, for people and for outputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelInfo {
    /// Name or folder that the model was asked for by.
    pub name: String,
    /// The architecture (`owlvit`, `owlv2`, `clipseg`).
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
