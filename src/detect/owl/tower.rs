//! The network with its preprocessing.

use std::sync::Arc;

use image::RgbImage;
use tch::{TchError, Tensor, no_grad};

use super::backend;
use crate::detect::exemplars::{NoQuery, Query, query_of};
use crate::models::owl::Owl;
use crate::tasks::DetectError;
use crate::types::{Exemplar, ExemplarPicture};
use crate::vision::preprocess::BatchPreprocessor;
use crate::vision::recipe::Recipe;

/// An OWL-ViT or OWLv2 and what prepares its images: all that looks at pictures on one thread.
#[derive(Debug)]
pub(super) struct Tower {
    pub(super) model: Owl,
    pub(super) preprocessor: BatchPreprocessor,
    /// Values of the last batch, kept for its memory.
    pixel_values: Vec<f32>,
}

/// The picture that was looked at last, and its features: the exemplars of one picture mostly stand
/// together.
pub(super) type Newest = Option<(Arc<ExemplarPicture>, Tensor)>;

impl Tower {
    /// Prepares up to `threads` images at a time.
    pub(super) fn new(model: Owl, recipe: Recipe, threads: usize) -> Self {
        let preprocessor = BatchPreprocessor::new(recipe, threads);
        Self { model, preprocessor, pixel_values: Vec::new() }
    }

    /// The same for another thread, which looks at one picture at a time.
    pub(super) fn twin(&self) -> Self {
        Self::new(self.model.twin(), self.preprocessor.recipe().clone(), 1)
    }

    /// Prepared images as `[batch, 3, H, W]` in the model's number format on its device.
    pub(super) fn pixel_values(&mut self, images: &[Arc<RgbImage>]) -> Result<Tensor, DetectError> {
        self.preprocessor.write_batch(images, &mut self.pixel_values).map_err(
            |(index, refused)| DetectError::EmptyImage {
                index,
                width: refused.width,
                height: refused.height,
            },
        )?;
        let recipe = self.preprocessor.recipe();
        let (height, width) = (i64::from(recipe.canvas_height), i64::from(recipe.canvas_width));
        let shape = [images.len() as i64, 3, height, width];
        let upload = || -> Result<Tensor, TchError> {
            let values = Tensor::f_from_slice(&self.pixel_values)?.f_view(shape)?;
            values.f_to_device_(self.model.device(), self.model.kind(), false, false)
        };
        no_grad(upload).map_err(|error| backend("preprocess", &error.into()))
    }

    /// What an exemplar asks for.
    pub(super) fn query_of(
        &mut self,
        exemplar: &Exemplar,
        newest: &mut Newest,
    ) -> Result<Query, NoQuery> {
        let picture = &exemplar.picture;
        let features = match newest {
            Some((known, features)) if Arc::ptr_eq(known, picture) => features.shallow_clone(),
            _ => {
                let pixel_values = self.pixel_values(&[Arc::clone(&picture.image)])?;
                let features = self.model.image_features(&pixel_values)?;
                *newest = Some((Arc::clone(picture), features.shallow_clone()));
                features
            }
        };
        let (width, height) = picture.image.dimensions();
        let geometry = self.preprocessor.recipe().geometry(width, height);
        no_grad(|| query_of(&self.model, &features, &geometry, exemplar))
    }
}
