//! What segmenters that take texts share: pictures to tensors, the size of a set, errors.

use std::sync::Arc;

use image::RgbImage;
use tch::{Device, Kind, TchError, Tensor, no_grad};

use super::SegmenterError;
use super::masks::MAX_PROMPTS;
use crate::models::ForwardError;
use crate::tasks::DetectError;
use crate::types::{PromptProblem, PromptSet, Stage};
use crate::vision::preprocess::BatchPreprocessor;
use crate::vision::recipe::Recipe;

/// Prepares pictures by a checkpoint's recipe.
#[derive(Debug)]
pub(super) struct Pictures {
    preprocessor: BatchPreprocessor,
    /// Values of the last batch, kept for its memory.
    values: Vec<f32>,
}

impl Pictures {
    /// With as many threads as there are cores where nothing else was asked for.
    pub(super) fn new(recipe: Recipe, threads: Option<usize>) -> Self {
        let available = std::thread::available_parallelism().map_or(1, usize::from);
        let preprocessor = BatchPreprocessor::new(recipe, threads.unwrap_or(available));
        Self { preprocessor, values: Vec::new() }
    }

    /// `[batch, 3, H, W]` in `kind` on `device`.
    pub(super) fn prepare(
        &mut self,
        images: &[Arc<RgbImage>],
        device: Device,
        kind: Kind,
    ) -> Result<Tensor, DetectError> {
        self.preprocessor.write_batch(images, &mut self.values).map_err(|(index, refused)| {
            DetectError::EmptyImage { index, width: refused.width, height: refused.height }
        })?;
        let recipe = self.preprocessor.recipe();
        let sides = [recipe.canvas_height, recipe.canvas_width].map(i64::from);
        let shape = [images.len() as i64, 3, sides[0], sides[1]];
        let upload = || -> Result<Tensor, TchError> {
            let values = Tensor::f_from_slice(&self.values)?.f_view(shape)?;
            values.f_to_device_(device, kind, false, false)
        };
        no_grad(upload).map_err(|error| backend(Stage::Preprocess, &error.into()))
    }
}

/// Refuses a number of threads that makes no sense.
pub(super) fn check_threads(threads: Option<usize>) -> Result<(), SegmenterError> {
    match threads.filter(|threads| !(1..=1024).contains(threads)) {
        Some(found) => Err(SegmenterError::Threads { found }),
        None => Ok(()),
    }
}

/// What is wrong with a set that has more prompts than a class mask has numbers.
pub(super) fn too_many(set: &PromptSet) -> Option<PromptProblem> {
    let count = set.prompts.len();
    (count > MAX_PROMPTS).then(|| {
        PromptProblem::of_set(format!(
            "expected at most {MAX_PROMPTS} prompts for a class mask, found {count}"
        ))
    })
}

pub(super) fn backend(stage: Stage, error: &ForwardError) -> DetectError {
    DetectError::Backend { stage: stage.name(), message: error.to_string() }
}

/// Values that are no numbers came out of the network.
pub(super) fn no_numbers(count: usize, what: &str, kind: Kind) -> DetectError {
    let advice = match kind {
        Kind::Half => "f16 overflowed in this checkpoint, use bf16 or f32",
        _ => "are the weights damaged?",
    };
    let message = format!("{count} {what} hold what is no number: {advice}");
    DetectError::Backend { stage: Stage::Heads.name(), message }
}
