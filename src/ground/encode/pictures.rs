//! What encoders of pictures have in common: preparing them, and vectors out of tensors.

use std::sync::Arc;

use image::RgbImage;
use tch::{Device, Kind, TchError, Tensor, no_grad};

use crate::models::ForwardError;
use crate::tasks::DetectError;
use crate::types::Stage;
use crate::vision::preprocess::BatchPreprocessor;
use crate::vision::recipe::Recipe;

/// Pictures in one pass on the CPU: bounds the memory of a call with any number of them. More of
/// them gain nothing there.
const PER_PASS_ON_CPU: usize = 8;

/// The same on CUDA, where a pass has to fill the device.
const PER_PASS_ON_CUDA: usize = 64;

/// Prepares pictures for a network.
#[derive(Debug)]
pub(super) struct Pictures {
    preprocessor: BatchPreprocessor,
    device: Device,
    kind: Kind,
    /// Values of the last pass, kept for its memory.
    pixel_values: Vec<f32>,
}

impl Pictures {
    pub(super) fn new(
        recipe: Recipe,
        threads: Option<usize>,
        (device, kind): (Device, Kind),
    ) -> Self {
        let available = std::thread::available_parallelism().map_or(1, usize::from);
        let preprocessor = BatchPreprocessor::new(recipe, threads.unwrap_or(available));
        Self { preprocessor, device, kind, pixel_values: Vec::new() }
    }

    pub(super) fn recipe(&self) -> &Recipe {
        self.preprocessor.recipe()
    }

    /// Pictures in one pass.
    pub(super) fn per_pass(&self) -> usize {
        if self.device.is_cuda() { PER_PASS_ON_CUDA } else { PER_PASS_ON_CPU }
    }

    /// `[batch, 3, H, W]` in the model's number format on its device. `first` is the place of the
    /// first image in the whole call, for messages.
    fn pixel_values(
        &mut self,
        images: &[Arc<RgbImage>],
        first: usize,
    ) -> Result<Tensor, DetectError> {
        self.preprocessor.write_batch(images, &mut self.pixel_values).map_err(
            |(index, refused)| DetectError::EmptyImage {
                index: first + index,
                width: refused.width,
                height: refused.height,
            },
        )?;
        let recipe = self.preprocessor.recipe();
        let (height, width) = (i64::from(recipe.canvas_height), i64::from(recipe.canvas_width));
        let upload = || -> Result<Tensor, TchError> {
            let values = Tensor::f_from_slice(&self.pixel_values)?.f_view([
                images.len() as i64,
                3,
                height,
                width,
            ])?;
            values.f_to_device_(self.device, self.kind, false, false)
        };
        no_grad(upload).map_err(|error| backend(Stage::Preprocess, &error.into()))
    }

    /// Gives `forward` the images pass by pass, with what it prepared of them, and joins the rows
    /// that it answers with, each `[images, dimension]`.
    pub(super) fn encode(
        &mut self,
        images: &[Arc<RgbImage>],
        mut forward: impl FnMut(&[Arc<RgbImage>], &Tensor) -> Result<Tensor, ForwardError>,
    ) -> Result<Vec<Vec<f32>>, DetectError> {
        let mut vectors = Vec::with_capacity(images.len());
        for (pass, images) in images.chunks(self.per_pass()).enumerate() {
            let pixel_values = self.pixel_values(images, pass * self.per_pass())?;
            let rows = no_grad(|| forward(images, &pixel_values))
                .and_then(|rows| Ok(rows_of(&rows)?))
                .map_err(|error| backend(Stage::ImageTower, &error))?;
            let broken = rows.iter().flatten().filter(|value| !value.is_finite()).count();
            if broken > 0 {
                let message = no_numbers(broken, self.kind);
                return Err(DetectError::Backend { stage: Stage::ImageTower.name(), message });
            }
            vectors.extend(rows);
        }
        Ok(vectors)
    }
}

/// The rows of `[n, size]` on any device and in any float format.
pub(super) fn rows_of(rows: &Tensor) -> Result<Vec<Vec<f32>>, TchError> {
    let (count, size) = rows.size2()?;
    let rows = rows.f_to_device_(Device::Cpu, Kind::Float, false, false)?.f_contiguous()?;
    let mut values = vec![0.0_f32; rows.numel()];
    rows.f_copy_data(&mut values, rows.numel())?;
    let rows: Vec<_> = values.chunks_exact(size.max(1) as usize).map(<[f32]>::to_vec).collect();
    debug_assert_eq!(rows.len() as i64, count, "every row was read");
    Ok(rows)
}

/// Why vectors with values that are no numbers are not given out.
pub(super) fn no_numbers(broken: usize, kind: Kind) -> String {
    let advice = match kind {
        Kind::Half => "f16 overflowed in this checkpoint, use bf16 or f32",
        _ => "are the weights damaged?",
    };
    format!("{broken} values of vectors are no numbers: {advice}")
}

pub(super) fn backend(stage: Stage, error: &ForwardError) -> DetectError {
    DetectError::Backend { stage: stage.name(), message: error.to_string() }
}
