//! CLIPSeg (Lüddecke and Ecker 2022, arXiv:2112.10003): draws what a text, or a picture of the
//! thing, asks for.
//!
//! A CLIP whose image tower is read at some of its layers, and a small decoder that the prompt
//! modulates. Held against `transformers` 5.23.0, `models/clipseg/modeling_clipseg.py`
//! (`CLIPSegForImageSegmentation`).
//!
//! The parts are separate on purpose: prompts are encoded when they change
//! ([`ClipSeg::embed_texts`]), the image tower runs once for each image and no further than the
//! decoder reads ([`ClipSeg::layers`]), what all prompts share is worked out once
//! ([`ClipSeg::decoder_input`]), and a further prompt costs the rest of the decoder alone
//! ([`ClipSeg::logits`]).

mod config;
mod decoder;
mod known;

use std::path::Path;

use tch::{Device, Kind, TchError, Tensor, no_grad};

pub use config::{ClipSegConfig, DecoderConfig};
pub use decoder::DecoderInput;
pub use known::KNOWN_NAMES;
pub(super) use known::RELEASED_SIDE_PX;

use super::clip::{ClipConfig, Towers};
use super::inputs::{check_pixel_values, check_token_ids};
use super::{ConfigError, ForwardError, LoadError};
use crate::nn::{self, Scope};
use crate::weights::Weights;
use decoder::Decoder;

/// A CLIPSeg network for square images of one size.
#[derive(Debug)]
pub struct ClipSeg {
    config: ClipSegConfig,
    side_px: i64,
    device: Device,
    kind: Kind,
    parameters: u64,
    network: Network,
    /// `[1 + patches, hidden]` for the grid of that size.
    positions: Tensor,
}

/// All that is learned.
#[derive(Debug)]
struct Network {
    /// CLIP's temperature in it is part of every checkpoint, and segmentation does not use it.
    clip: Towers,
    decoder: Decoder,
}

impl Network {
    fn new(root: &Scope<'_>, config: &ClipSegConfig) -> Self {
        Self {
            clip: Towers::new(
                &root.at("clip"),
                &ClipConfig {
                    text: config.text,
                    image: config.image,
                    projection: config.projection,
                },
            ),
            decoder: Decoder::new(&root.at("decoder"), config),
        }
    }
}

impl ClipSeg {
    /// Loads a Hugging Face folder: `config.json` and safetensors. The weights are converted to
    /// `kind` and moved to `device`. Images will be squares of `side_px`; where that is not the
    /// size that positions were learned for, their embeddings are stretched to it, as in the
    /// reference.
    ///
    /// # Errors
    /// A configuration that cannot be used, images smaller than a patch, weights that do not fit
    /// (every key at once), a device without room.
    pub fn load(
        folder: &Path,
        side_px: u32,
        device: Device,
        kind: Kind,
    ) -> Result<Self, LoadError> {
        let config = ClipSegConfig::open(folder)?;
        let side_px = i64::from(side_px);
        let patch_size = config.image.patch_size;
        if side_px < patch_size {
            return Err(LoadError::Config(ConfigError::Values {
                path: folder.join("config.json"),
                problems: vec![format!(
                    "vision_config.patch_size: expected at most the side of the images \
                     ({side_px}), found {patch_size}"
                )],
            }));
        }
        let loader = Weights::open(folder)?.loader(device, kind);
        let network = Network::new(&Scope::root(&loader), &config);
        let parameters = loader.finish()?;
        let positions = no_grad(|| network.clip.vision_model.positions(side_px / patch_size))?;
        Ok(Self { config, side_px, device, kind, parameters, network, positions })
    }

    /// The configuration it was loaded from.
    #[must_use]
    pub fn config(&self) -> &ClipSegConfig {
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

    /// Encodes texts into conditions for [`logits`](Self::logits).
    ///
    /// `ids` is `[texts, tokens]` i64 on the CPU, with at most `max_tokens` tokens, each in
    /// `0..vocabulary`, as [`ClipTokenizer`](crate::tokenize::ClipTokenizer) gives them. The
    /// result is f32 `[texts, projection]`, not normalised, on the model's device: what
    /// `get_text_features` of the reference gives.
    ///
    /// # Errors
    /// Another shape, an id outside the vocabulary, what libtorch reports.
    pub fn embed_texts(&self, ids: &Tensor) -> Result<Tensor, ForwardError> {
        check_token_ids(ids, &self.config.text)?;
        no_grad(|| {
            let pooled = self.network.clip.text_model.forward(&ids.f_to_device(self.device)?)?;
            self.network.clip.text_projection.forward(&pooled)?.f_to_kind(Kind::Float)
        })
        .map_err(ForwardError::from)
    }

    /// Encodes images into conditions for [`logits`](Self::logits): pictures of what to look for.
    /// `pixel_values` as for [`layers`](Self::layers); here the whole image tower runs. The result
    /// is f32 `[batch, projection]`, not normalised.
    ///
    /// # Errors
    /// Another shape, what libtorch reports.
    pub fn embed_images(&self, pixel_values: &Tensor) -> Result<Tensor, ForwardError> {
        check_pixel_values(pixel_values, self.side_px)?;
        no_grad(|| {
            let clip = &self.network.clip;
            let tokens =
                clip.vision_model.forward_at(&self.upload(pixel_values)?, &self.positions)?;
            clip.visual_projection.forward(&tokens.f_select(1, 0)?)?.f_to_kind(Kind::Float)
        })
        .map_err(ForwardError::from)
    }

    /// Runs the image tower as far as the decoder reads it.
    ///
    /// `pixel_values` is `[batch, 3, side_px, side_px]`, normalised as the checkpoint asks for, in
    /// any float format and on any device. The results are `[batch, 1 + patches, hidden]` in the
    /// model's number format, one for each of `extract_layers` in their order: the class token,
    /// then the patches row by row.
    ///
    /// # Errors
    /// Another shape, what libtorch reports.
    pub fn layers(&self, pixel_values: &Tensor) -> Result<Vec<Tensor>, ForwardError> {
        check_pixel_values(pixel_values, self.side_px)?;
        no_grad(|| {
            self.network.clip.vision_model.layer_outputs(
                &self.upload(pixel_values)?,
                &self.positions,
                &self.config.extract_layers,
            )
        })
        .map_err(ForwardError::from)
    }

    /// What all prompts of a batch share, from [`layers`](Self::layers).
    ///
    /// # Errors
    /// Another number of layers, what libtorch reports.
    pub fn decoder_input(&self, layers: &[Tensor]) -> Result<DecoderInput, ForwardError> {
        let expected = self.config.extract_layers.len();
        if layers.len() != expected {
            return Err(ForwardError::Shape {
                tensor: "layers of the image tower",
                expected: format!("[{expected}]"),
                found: vec![layers.len() as i64],
            });
        }
        no_grad(|| self.network.decoder.input(layers)).map_err(ForwardError::from)
    }

    /// Draws every condition in every image. `conditions` is `[n, projection]` of any float
    /// format, on the model's device, from [`embed_texts`](Self::embed_texts) or
    /// [`embed_images`](Self::embed_images). The result is f32 `[batch, n, height, width]` over
    /// the whole of each image; its sigmoid is the score.
    ///
    /// # Errors
    /// Conditions of another shape, what libtorch reports.
    pub fn logits(
        &self,
        input: &DecoderInput,
        conditions: &Tensor,
    ) -> Result<Tensor, ForwardError> {
        match *conditions.size() {
            [count, size] if count > 0 && size == self.config.projection => {}
            _ => {
                return Err(ForwardError::Shape {
                    tensor: "conditions",
                    expected: format!("[conditions, {}]", self.config.projection),
                    found: conditions.size(),
                });
            }
        }
        no_grad(|| self.network.decoder.forward(input, &conditions.f_to_kind(self.kind)?))
            .map_err(ForwardError::from)
    }

    fn upload(&self, pixel_values: &Tensor) -> Result<Tensor, TchError> {
        pixel_values.f_to_device_(self.device, self.kind, false, false)
    }
}

/// The key and shape of every learned tensor of a configuration, in the order in which a network
/// is built.
#[must_use]
pub fn parameter_shapes(config: &ClipSegConfig) -> Vec<(String, Vec<i64>)> {
    nn::parameter_shapes(|root| {
        Network::new(root, config);
    })
}
