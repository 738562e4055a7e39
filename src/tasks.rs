//! Floor 2: the contract between the networks and the rest. No tensor and no async in it.
//!
//! A task takes images and gives results in pixels of those images. Whoever implements one owns
//! its tensors and lives on the inference thread; whoever calls one needs no torch.

use std::sync::Arc;

use image::RgbImage;

use crate::types::{
    Detection, FinerScore, InstanceMask, PairId, PixelBox, PromptSet, PromptSetRefused,
    StageTimings, WeakDetection,
};
use crate::vision::canvas::CanvasGeometry;
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

    /// What encodes texts and exemplars while this detector looks at images on another thread, so
    /// that [`set_prompts`](Self::set_prompts) has little to do; `None` where nothing can.
    fn prompts_ahead(&self) -> Option<Arc<dyn PromptsAhead>> {
        None
    }

    /// Changes what happens to boxes after the network, from the next batch on.
    fn set_rules(&mut self, rules: DetectionRules);

    /// Asks for regions that look like things, whatever they are, with every image
    /// ([`ImageDetections::proposals`]): at most so many, 0 for none. Whether it can give any. While
    /// it does, it also takes a set without prompts.
    fn set_proposals(&mut self, most: usize) -> bool {
        most == 0
    }

    /// Changes the bank of pairs that prompts are looked up in, from the next batch on, in
    /// milliseconds and with no rebuild.
    ///
    /// # Errors
    /// There is no bank; a pair that cannot be one. Then nothing is changed.
    fn change_bank(&mut self, change: BankChange) -> Result<BankChanged, BankRefused> {
        let _ = change;
        Err(BankRefused("no bank is configured".to_owned()))
    }

    /// One pass over a batch of images of any sizes; one result for each, in the same order.
    ///
    /// # Errors
    /// [`DetectError::NoPrompts`] before the first [`set_prompts`](Self::set_prompts), and what
    /// the backend reports.
    fn detect(&mut self, images: &[Arc<RgbImage>]) -> Result<Vec<ImageDetections>, DetectError>;
}

/// What is to be other in a bank of pairs.
#[derive(Clone, Debug)]
pub enum BankChange {
    /// A part of a picture and what it is called become a pair.
    Add {
        /// The picture.
        image: Arc<RgbImage>,
        /// The part of it; `None` is all.
        box_in_source_px: Option<PixelBox>,
        /// What it is, for the bank's text encoder.
        caption: String,
        /// Where the picture came from, for people.
        source: Arc<str>,
    },
    /// Pairs go.
    Remove(PairsToRemove),
}

/// Which pairs go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PairsToRemove {
    /// All with this caption.
    Caption(String),
    /// This one.
    Pair(PairId),
}

/// What became of a bank.
pub struct BankChanged {
    /// The pair that is new.
    pub added: Option<PairId>,
    /// Pairs that are gone.
    pub removed: usize,
    /// Pairs that there are now.
    pub pairs: usize,
    /// Saves the bank as it is now, on any thread, or says why it could not be saved.
    pub save: Box<dyn FnOnce() -> Result<(), String> + Send>,
}

/// Why a bank is as it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BankRefused(pub String);

/// Encodes prompt sets before they are put into use.
pub trait PromptsAhead: Send + Sync {
    /// Encodes the texts and exemplars of a set for the detector that this is of. Whether the set
    /// can be used at all is told by [`Detector::set_prompts`].
    fn encode(&self, prompts: &PromptSet);
}

/// What happens to boxes after the network.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DetectionRules {
    /// Intersection over union, in `[0, 1]`, above which the lower of two boxes of one prompt is
    /// dropped; `None` keeps them all, as the reference does.
    pub nms_iou: Option<f32>,
    /// Whether boxes of all prompts suppress each other, and not only those of one.
    pub nms_across_prompts: bool,
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
    /// What scored too low to be one, sorted by falling score; only from detectors that were loaded
    /// to give it.
    pub weak: Vec<WeakDetection>,
    /// Whether detections have masks, also where there are none.
    pub has_masks: bool,
    /// The best score of each prompt anywhere in the image, in `[0, 1]`, in the order of the set
    /// and whatever the thresholds: says how far from being found a thing was.
    pub best_scores: Vec<f32>,
    /// Regions that look like things, best first; none unless they are asked for
    /// ([`Detector::set_proposals`]).
    pub proposals: Vec<Proposal>,
    /// Times of the stages from preprocess to postprocess.
    pub timings: StageTimings,
}

/// A region that looks like a thing, whatever it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Proposal {
    /// Where it is, in pixels of the source image, clipped to the image.
    pub box_in_source_px: PixelBox,
    /// In `[0, 1]`; comparable within a model.
    pub score: f32,
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

/// Draws the things that boxes or points lie on.
pub trait PromptableSegmenter: Send {
    /// What is running and where.
    fn info(&self) -> &ModelInfo;

    /// One pass over a batch of images of any sizes, with the prompts of each; one result for
    /// each, in the same order. A prompt that asks for nothing (a box outside of the image or
    /// without an area) gets an empty mask.
    ///
    /// # Errors
    /// What the backend reports.
    fn segment(
        &mut self,
        images: &[Arc<RgbImage>],
        prompts: &[Vec<MaskPrompt>],
    ) -> Result<Vec<ImageInstances>, DetectError>;
}

/// What a mask is asked for by: a box, points, or both.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MaskPrompt {
    /// A box around the thing.
    pub box_in_source_px: Option<PixelBox>,
    /// Points on the thing or beside it.
    pub points: Vec<PointPrompt>,
}

/// A point on a thing or beside it, in continuous pixels of the source image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PointPrompt {
    /// Columns from the left edge.
    pub x_px: f32,
    /// Rows from the top edge.
    pub y_px: f32,
    /// Whether it lies on the thing.
    pub inside: bool,
}

/// The masks of one image of a batch.
#[derive(Clone, Debug, Default)]
pub struct ImageInstances {
    /// One for each prompt, in their order, over the whole image.
    pub masks: Vec<InstanceMask>,
    /// Times of the stages from preprocess to postprocess.
    pub timings: StageTimings,
}

/// Turns images into vectors that can be compared.
pub trait ImageEncoder: Send {
    /// What is running and where.
    fn info(&self) -> &ModelInfo;

    /// Number of values of a vector.
    fn dimension(&self) -> usize;

    /// One vector for each image, as the model gives it (not normalised), in the same order.
    ///
    /// # Errors
    /// An image with no pixels; what the backend reports.
    fn encode(&mut self, images: &[Arc<RgbImage>]) -> Result<Vec<Vec<f32>>, DetectError>;

    /// One vector for each patch of each image, in the order of the images; `None` where the encoder
    /// gives none.
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    fn patches(
        &mut self,
        images: &[Arc<RgbImage>],
    ) -> Result<Option<Vec<PatchVectors>>, DetectError> {
        let _ = images;
        Ok(None)
    }
}

/// One vector for each patch of a picture.
#[derive(Clone, Debug, PartialEq)]
pub struct PatchVectors {
    /// Patches along the height of the canvas.
    pub rows: usize,
    /// Patches along the width of the canvas.
    pub columns: usize,
    /// `rows * columns` vectors, row by row from the left top, not normalised.
    pub vectors: Vec<Vec<f32>>,
    /// Where the canvas lies in the picture. The patches cover the canvas evenly.
    pub geometry: CanvasGeometry,
}

/// Turns texts into vectors that can be compared.
pub trait TextEncoder: Send {
    /// What is running and where.
    fn info(&self) -> &ModelInfo;

    /// Number of values of a vector.
    fn dimension(&self) -> usize;

    /// One vector for each text, as the model gives it (not normalised), in the same order.
    ///
    /// # Errors
    /// The first text that cannot be encoded; what the backend reports.
    fn encode(&mut self, texts: &[String]) -> Result<Vec<Vec<f32>>, EncodeError>;
}

/// Tells which of several labels fits a picture best.
pub trait Classifier: Send {
    /// What is running and where.
    fn info(&self) -> &ModelInfo;

    /// Encodes the finer labels of a prompt set: for each prompt a vector for each of its labels,
    /// of length 1. Encoding happens here and never per picture. Nothing is put into use.
    ///
    /// # Errors
    /// Every problem of the labels.
    fn encode_finer(&self, prompts: &PromptSet) -> Result<Vec<Vec<Vec<f32>>>, PromptSetRefused>;

    /// What encodes labels while this classifier looks at pictures on another thread; `None` where
    /// nothing can.
    fn prompts_ahead(&self) -> Option<Arc<dyn PromptsAhead>>;

    /// How well the labels of each picture fit it, by falling score. `labels` has those of each
    /// picture, as [`encode_finer`](Self::encode_finer) gave them.
    ///
    /// # Errors
    /// An image with no pixels; what the backend reports.
    fn classify(
        &mut self,
        images: &[Arc<RgbImage>],
        labels: &[&[Vec<f32>]],
    ) -> Result<Vec<Vec<FinerScore>>, DetectError>;
}

/// What is running and where, for people and for outputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelInfo {
    /// Name or folder that the model was asked for by.
    pub name: String,
    /// The architecture (`owlvit`, `owlv2`, `clipseg`, `sam`).
    pub architecture: String,
    /// The device it runs on (`cpu`, `cuda:0`).
    pub device: String,
    /// The number format of its weights (`f32`, `f16`, `bf16`).
    pub dtype: String,
    /// Side of the network's input in pixels, `(height, width)`; zeros where it takes texts only.
    pub input_size: (u32, u32),
    /// Number of learned parameters.
    pub parameters: u64,
    /// Images (or texts) in one pass beyond which this device gains nothing; at least 1.
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

/// Why texts gave no vectors.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// A text has more tokens than the encoder takes.
    #[error("text {index} has {tokens} tokens, the encoder takes at most {limit}: use fewer words")]
    TooLong {
        /// Its place among the texts, from 0.
        index: usize,
        /// Its tokens, with those for its start and end.
        tokens: usize,
        /// The most that the encoder takes.
        limit: usize,
    },
    /// A text without words.
    #[error("text {index} is empty")]
    Empty {
        /// Its place among the texts, from 0.
        index: usize,
    },
    /// What libtorch or the tokenizer reported.
    #[error("the texts could not be encoded: {message}")]
    Backend {
        /// Their own words.
        message: String,
    },
}
