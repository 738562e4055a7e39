//! ViT, DINO and DINOv2 as encoders of pictures.

use std::sync::Arc;

use image::RgbImage;
use tch::{TchError, Tensor};

use super::pictures::Pictures;
use super::{EncoderError, EncoderOptions};
use crate::models::vit::Vit;
use crate::nn::{device_name, kind_name};
use crate::tasks::{DetectError, ImageEncoder, ModelInfo, PatchVectors};
use crate::vision::recipe::Recipe;

/// A ViT with its preprocessing. The vector of a picture is that of the class token after the last
/// layer norm: see [`Vit`].
#[derive(Debug)]
pub struct VitEncoder {
    info: ModelInfo,
    model: Vit,
    pictures: Pictures,
}

impl VitEncoder {
    /// Loads a checkpoint from a folder of `transformers` or timm.
    ///
    /// # Errors
    /// An option out of range, a device that is not there, and every way in which the folder is
    /// not a checkpoint that can be run.
    pub fn load(options: &EncoderOptions) -> Result<Self, EncoderError> {
        let (device, kind) = options.resolve()?;
        // The small file first: what is wrong with it is known before the weights are read.
        let recipe = Recipe::open(&options.model_dir)?;
        let (width, height) = (recipe.canvas_width, recipe.canvas_height);
        let model = Vit::load(&options.model_dir, (width, height), device, kind)?;
        let patch_size = model.config().patch_size;
        if i64::from(width) % patch_size != 0 || i64::from(height) % patch_size != 0 {
            // The network would not see the right and lower edges, and patches would not lie where
            // they are said to.
            return Err(EncoderError::Canvas {
                model_dir: options.model_dir.clone(),
                width,
                height,
                expected: format!("multiples of its patches of {patch_size}"),
            });
        }
        options.set_threads();
        let pictures = Pictures::new(recipe, options.threads, (device, kind));
        Ok(Self {
            info: ModelInfo {
                name: options.name.clone(),
                architecture: model.config().family.name().to_owned(),
                device: device_name(device),
                dtype: kind_name(kind).to_owned(),
                input_size: (height, width),
                parameters: model.parameters(),
                useful_batch: pictures.per_pass(),
            },
            model,
            pictures,
        })
    }

    /// The network, for callers that need more than vectors.
    #[must_use]
    pub fn model(&self) -> &Vit {
        &self.model
    }

    /// One vector for each patch of each image, in the order of the images.
    ///
    /// # Errors
    /// As [`encode`](ImageEncoder::encode).
    pub fn encode_patches(
        &mut self,
        images: &[Arc<RgbImage>],
    ) -> Result<Vec<PatchVectors>, DetectError> {
        let (rows, columns) = self.model.grid();
        let (rows, columns) = (rows as usize, columns as usize);
        let model = &self.model;
        let vectors = self.pictures.encode(images, |_, pixel_values| {
            let tokens = model.tokens(pixel_values)?;
            Ok(patches(&tokens)?)
        })?;
        let recipe = self.pictures.recipe();
        let of_images = vectors.chunks_exact((rows * columns).max(1)).zip(images);
        Ok(of_images
            .map(|(vectors, image)| PatchVectors {
                rows,
                columns,
                vectors: vectors.to_vec(),
                geometry: recipe.geometry(image.width(), image.height()),
            })
            .collect())
    }
}

/// `[batch, 1 + patches, size]` to `[batch * patches, size]`.
fn patches(tokens: &Tensor) -> Result<Tensor, TchError> {
    let (batch, count, size) = tokens.size3()?;
    tokens.f_narrow(1, 1, count - 1)?.f_reshape([batch * (count - 1), size])
}

impl ImageEncoder for VitEncoder {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn patches(
        &mut self,
        images: &[Arc<RgbImage>],
    ) -> Result<Option<Vec<PatchVectors>>, DetectError> {
        self.encode_patches(images).map(Some)
    }

    fn dimension(&self) -> usize {
        self.model.config().encoder.size as usize
    }

    fn encode(&mut self, images: &[Arc<RgbImage>]) -> Result<Vec<Vec<f32>>, DetectError> {
        let model = &self.model;
        self.pictures
            .encode(images, |_, pixel_values| Ok(model.tokens(pixel_values)?.f_select(1, 0)?))
    }
}
