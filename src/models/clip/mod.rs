//! CLIP (Radford et al. 2021, arXiv:2103.00020): images and texts as vectors of one space.
//!
//! Held against `transformers` 5.23.0, `models/clip/modeling_clip.py` (`CLIPModel`).

mod config;
mod known;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use tch::{Device, Kind, Tensor, no_grad};

pub use config::ClipConfig;
pub use known::KNOWN_NAMES;

use super::inputs::{check_pixel_values, check_token_ids};
use super::{ForwardError, LoadError};
use crate::nn::{self, ImageTower, Linear, Scope, TextTower, TextTowerConfig};
use crate::weights::Weights;

/// Both towers and their projections: a CLIP as it also stands inside other networks.
#[derive(Debug)]
pub(super) struct Towers {
    pub(super) text_model: TextTower,
    pub(super) vision_model: ImageTower,
    pub(super) text_projection: Linear,
    pub(super) visual_projection: Linear,
    pub(super) logit_scale: Tensor,
}

impl Towers {
    /// Keys `text_model`, `vision_model`, `text_projection`, `visual_projection`, `logit_scale`.
    pub(super) fn new(scope: &Scope<'_>, config: &ClipConfig) -> Self {
        let projection = |name: &str, inputs: i64| {
            Linear::without_bias(&scope.at(name), inputs, config.projection)
        };
        Self {
            text_model: TextTower::new(&scope.at("text_model"), &config.text),
            vision_model: ImageTower::new(&scope.at("vision_model"), &config.image, "pre_layrnorm"),
            text_projection: projection("text_projection", config.text.encoder.size),
            visual_projection: projection("visual_projection", config.image.encoder.size),
            logit_scale: scope.take("logit_scale", &[]),
        }
    }
}

/// A CLIP network.
#[derive(Debug)]
pub struct Clip {
    config: ClipConfig,
    device: Device,
    kind: Kind,
    parameters: u64,
    texts: ClipTexts,
    vision_model: ImageTower,
    visual_projection: Linear,
    /// The factor on cosines, `exp(logit_scale)`.
    scale: f64,
}

/// The part of a [`Clip`] that reads texts, which may go to another thread.
#[derive(Clone, Debug)]
pub struct ClipTexts {
    config: TextTowerConfig,
    device: Device,
    /// Behind a lock, since a tensor may be sent to another thread and not shared with it.
    half: Arc<Mutex<TextHalf>>,
}

#[derive(Debug)]
struct TextHalf {
    text_model: TextTower,
    text_projection: Linear,
}

impl ClipTexts {
    /// As [`Clip::embed_texts`].
    ///
    /// # Errors
    /// As there.
    pub fn embed(&self, ids: &Tensor) -> Result<Tensor, ForwardError> {
        check_token_ids(ids, &self.config)?;
        // Nothing is changed under the lock.
        let half = self.half.lock().unwrap_or_else(PoisonError::into_inner);
        no_grad(|| {
            let pooled = half.text_model.forward(&ids.f_to_device(self.device)?)?;
            half.text_projection.forward(&pooled)?.f_to_kind(Kind::Float)
        })
        .map_err(ForwardError::from)
    }
}

impl Clip {
    /// Loads a Hugging Face folder: `config.json` and safetensors. The weights are converted to
    /// `kind` and moved to `device`.
    ///
    /// # Errors
    /// A configuration that cannot be used, weights that do not fit it (every key at once), a
    /// device without room.
    pub fn load(folder: &Path, device: Device, kind: Kind) -> Result<Self, LoadError> {
        let config = ClipConfig::open(folder)?;
        let loader = Weights::open(folder)?.loader(device, kind);
        let Towers { text_model, vision_model, text_projection, visual_projection, logit_scale } =
            Towers::new(&Scope::root(&loader), &config);
        let parameters = loader.finish()?;
        let scale = no_grad(|| logit_scale.f_double_value(&[]))?.exp();
        let half = Arc::new(Mutex::new(TextHalf { text_model, text_projection }));
        let texts = ClipTexts { config: config.text, device, half };
        Ok(Self { config, device, kind, parameters, texts, vision_model, visual_projection, scale })
    }

    /// The configuration it was loaded from.
    #[must_use]
    pub fn config(&self) -> &ClipConfig {
        &self.config
    }

    /// Where it runs.
    #[must_use]
    pub fn device(&self) -> Device {
        self.device
    }

    /// The number format of its weights.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Number of learned parameters.
    #[must_use]
    pub fn parameters(&self) -> u64 {
        self.parameters
    }

    /// The learned factor on cosines between images and texts, above 0: a softmax over texts of
    /// cosine times it is CLIP's answer to which of them an image shows.
    #[must_use]
    pub fn scale(&self) -> f64 {
        self.scale
    }

    /// Encodes texts.
    ///
    /// `ids` is `[texts, tokens]` i64 on the CPU, with at most `max_tokens` tokens, each in
    /// `0..vocabulary`, as [`ClipTokenizer`](crate::tokenize::ClipTokenizer) gives them. The
    /// result is f32 `[texts, projection]`, not normalised, on the model's device: what
    /// `get_text_features` of the reference gives.
    ///
    /// # Errors
    /// Another shape, an id outside the vocabulary, what libtorch reports.
    pub fn embed_texts(&self, ids: &Tensor) -> Result<Tensor, ForwardError> {
        self.texts.embed(ids)
    }

    /// The part that reads texts. It shares its weights with this network.
    #[must_use]
    pub fn texts(&self) -> ClipTexts {
        self.texts.clone()
    }

    /// Encodes images.
    ///
    /// `pixel_values` is `[batch, 3, image_size, image_size]`, normalised as the checkpoint asks
    /// for, in any float format and on any device. The result is f32 `[batch, projection]`, not
    /// normalised, on the model's device: what `get_image_features` of the reference gives.
    ///
    /// # Errors
    /// Another shape, what libtorch reports.
    pub fn embed_images(&self, pixel_values: &Tensor) -> Result<Tensor, ForwardError> {
        check_pixel_values(pixel_values, self.config.image.image_size)?;
        no_grad(|| {
            let pixel_values = pixel_values.f_to_device_(self.device, self.kind, false, false)?;
            let tokens = self.vision_model.forward(&pixel_values)?;
            self.visual_projection.forward(&tokens.f_select(1, 0)?)?.f_to_kind(Kind::Float)
        })
        .map_err(ForwardError::from)
    }
}

/// The key and shape of every learned tensor of a configuration, in the order in which a network
/// is built.
#[must_use]
pub fn parameter_shapes(config: &ClipConfig) -> Vec<(String, Vec<i64>)> {
    nn::parameter_shapes(|root| {
        Towers::new(root, config);
    })
}
