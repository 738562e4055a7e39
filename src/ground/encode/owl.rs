//! The image tower of OWL-ViT and OWLv2 as an encoder of pictures.

use std::sync::Arc;

use image::RgbImage;
use tch::{Kind, TchError, Tensor};

use super::pictures::Pictures;
use super::{EncoderError, EncoderOptions};
use crate::models::owl::Owl;
use crate::nn::{device_name, kind_name};
use crate::tasks::{DetectError, ImageEncoder, ModelInfo};
use crate::types::PixelBox;
use crate::vision::recipe::Recipe;

/// A detector's image tower with its preprocessing.
///
/// The vector of a picture is the mean over its patches of what each would be as a query
/// (`image_class_embeds`), each scaled to length 1: the space that the detector was trained to
/// tell things apart in. Patches in the padding of OWLv2 do not count. CLIP's own vector of the
/// class token, which is in these checkpoints too, was left as it was when the detector was
/// trained, and where a detector was trained from nothing (the built-in one) it means nothing.
#[derive(Debug)]
pub struct OwlTowerEncoder {
    info: ModelInfo,
    model: Owl,
    pictures: Pictures,
}

impl OwlTowerEncoder {
    /// Loads a checkpoint from a Hugging Face folder.
    ///
    /// # Errors
    /// An option out of range, a device that is not there, and every way in which the folder is
    /// not a checkpoint that can be run.
    pub fn load(options: &EncoderOptions) -> Result<Self, EncoderError> {
        let (device, kind) = options.resolve()?;
        let recipe = Recipe::open(&options.model_dir)?;
        let (width, height) = (recipe.canvas_width, recipe.canvas_height);
        let model = Owl::load(&options.model_dir, device, kind)?;
        let side = model.config().image.image_size;
        if i64::from(width) != side || i64::from(height) != side {
            return Err(EncoderError::Canvas {
                model_dir: options.model_dir.clone(),
                width,
                height,
                expected: format!("{side}x{side}"),
            });
        }
        options.set_threads();
        let pictures = Pictures::new(recipe, options.threads, (device, kind));
        Ok(Self {
            info: ModelInfo {
                name: options.name.clone(),
                architecture: model.config().version.model_type().to_owned(),
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
    pub fn model(&self) -> &Owl {
        &self.model
    }
}

impl ImageEncoder for OwlTowerEncoder {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn dimension(&self) -> usize {
        self.model.config().projection as usize
    }

    fn encode(&mut self, images: &[Arc<RgbImage>]) -> Result<Vec<Vec<f32>>, DetectError> {
        let model = &self.model;
        let grid = model.config().image.grid();
        let recipe = self.pictures.recipe().clone();
        self.pictures.encode(images, |images, pixel_values| {
            let embeds = model.image_class_embeds(&model.image_features(pixel_values)?)?;
            let weights: Vec<f32> =
                images.iter().flat_map(|image| weights_of(&recipe, image, grid)).collect();
            Ok(weighted_mean(&embeds, &weights)?)
        })
    }
}

/// What each patch counts, row by row: all the same, and their sum is 1, but nothing those whose
/// centre lies outside of the picture.
fn weights_of(recipe: &Recipe, image: &RgbImage, grid: i64) -> Vec<f32> {
    let (width, height) = (image.width() as f32, image.height() as f32);
    let whole = PixelBox::from_corners([0.0, 0.0, width, height]);
    let [cx, cy, w, h] = recipe.geometry(image.width(), image.height()).norm_from_source_px(whole);
    let is_inside = |index: i64, centre: f32, size: f32| {
        let at = (index as f32 + 0.5) / grid as f32;
        (at - centre).abs() <= 0.5 * size
    };
    let mut inside: Vec<bool> = (0..grid * grid)
        .map(|patch| is_inside(patch % grid, cx, w) && is_inside(patch / grid, cy, h))
        .collect();
    if !inside.contains(&true) {
        // A strip so thin that it holds no centre: the first patch has what there is of it.
        inside[0] = true;
    }
    let share = 1.0 / inside.iter().filter(|inside| **inside).count() as f32;
    inside.into_iter().map(|inside| if inside { share } else { 0.0 }).collect()
}

/// f32 `[batch, size]` from `[batch, patches, size]` and a weight for each patch.
fn weighted_mean(embeds: &Tensor, weights: &[f32]) -> Result<Tensor, TchError> {
    let (batch, patches, _) = embeds.size3()?;
    let embeds = embeds.f_to_kind(Kind::Float)?;
    let length = embeds.f_linalg_norm(2.0, [-1].as_slice(), true, None)?.f_clamp_min(1e-12)?;
    let weights =
        Tensor::f_from_slice(weights)?.f_view([batch, 1, patches])?.f_to_device(embeds.device())?;
    weights.f_matmul(&embeds.f_div(&length)?)?.f_squeeze_dim(1)
}
