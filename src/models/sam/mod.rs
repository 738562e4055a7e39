//! SAM (Kirillov et al. 2023, arXiv:2304.02643): boxes and points to masks.
//!
//! Held against `transformers` 5.23.0, `models/sam/modeling_sam.py` (`SamModel`). The image encoder
//! may also be MobileSAM's, which the reference does not have: see [`TinyVitConfig`].
//!
//! The parts are separate on purpose: the image encoder runs once for each image
//! ([`Sam::embed_images`]), and prompts, which cost little, are made into tokens
//! ([`Sam::embed_prompts`]) and decoded ([`Sam::decode`]) many at a time. Prompts of one pass have
//! tokens of the same kinds: with fillers between them, as the reference has them in mixed
//! batches, a prompt would get another mask in company than alone.

mod attention;
mod config;
mod decoder;
mod known;
mod prompt;
mod tiny_vit;
mod vit;

use std::path::Path;

use tch::{Device, Kind, TchError, Tensor, no_grad};

pub use config::{ImageEncoderConfig, MaskDecoderConfig, SamConfig, TinyVitConfig, VitConfig};
pub use decoder::Decoded;
pub use known::{KNOWN_NAMES, MOBILE_SAM};
pub use prompt::{CanvasPoint, CanvasPrompt};

use super::inputs::check_pixel_values;
use super::{ForwardError, LoadError};
use crate::nn::{self, Scope};
use crate::weights::Weights;
use decoder::MaskDecoder;
use prompt::{PositionEncoding, PromptEncoder};
use tiny_vit::TinyVit;
use vit::Vit;

/// A SAM network.
#[derive(Debug)]
pub struct Sam {
    config: SamConfig,
    device: Device,
    kind: Kind,
    parameters: u64,
    network: Network,
    prepared: Prepared,
}

/// All that is learned.
#[derive(Debug)]
struct Network {
    /// `[2, size / 2]`.
    frequencies: Tensor,
    vision_encoder: ImageEncoder,
    prompt_encoder: PromptEncoder,
    mask_decoder: MaskDecoder,
}

/// The image encoders that there are.
#[derive(Debug)]
enum ImageEncoder {
    Vit(Vit),
    TinyVit(TinyVit),
}

/// What follows from what was learned and is the same for every image.
#[derive(Debug)]
struct Prepared {
    positions: PositionEncoding,
    /// `[1, grid * grid, size]`, in the number format of the weights.
    places: Tensor,
}

impl Network {
    fn new(root: &Scope<'_>, config: &SamConfig) -> Self {
        const POSITIONS: &str = "positional_embedding";
        let frequencies = root.at("shared_image_embedding").take(POSITIONS, &[2, config.size / 2]);
        let prompt_encoder = root.at("prompt_encoder");
        // Some writers store the tensor that both share a second time.
        prompt_encoder
            .at("shared_embedding")
            .tied(POSITIONS, "shared_image_embedding.positional_embedding");
        let vision_encoder = root.at("vision_encoder");
        Self {
            frequencies,
            vision_encoder: match &config.image {
                ImageEncoderConfig::Vit(vit) => {
                    ImageEncoder::Vit(Vit::new(&vision_encoder, config, vit))
                }
                ImageEncoderConfig::TinyVit(vit) => {
                    ImageEncoder::TinyVit(TinyVit::new(&vision_encoder, config, vit))
                }
            },
            prompt_encoder: PromptEncoder::new(&prompt_encoder, config),
            mask_decoder: MaskDecoder::new(&root.at("mask_decoder"), config),
        }
    }

    /// Works out what follows from what was learned.
    fn prepare(
        &mut self,
        config: &SamConfig,
        device: Device,
        kind: Kind,
    ) -> Result<Prepared, TchError> {
        match &mut self.vision_encoder {
            ImageEncoder::Vit(vit) => vit.prepare(device)?,
            ImageEncoder::TinyVit(vit) => vit.prepare(device)?,
        }
        let positions = PositionEncoding::new(&self.frequencies)?;
        let places = positions.of_grid(config.grid())?.f_to_kind(kind)?;
        Ok(Prepared { positions, places })
    }
}

impl Sam {
    /// Loads a Hugging Face folder: `config.json` and safetensors. The weights are converted to
    /// `kind` and moved to `device`.
    ///
    /// # Errors
    /// A configuration that cannot be used, weights that do not fit (every key at once), a device
    /// without room.
    pub fn load(folder: &Path, device: Device, kind: Kind) -> Result<Self, LoadError> {
        let config = SamConfig::open(folder)?;
        let loader = Weights::open(folder)?.loader(device, kind);
        let mut network = Network::new(&Scope::root(&loader), &config);
        let parameters = loader.finish()?;
        let prepared = no_grad(|| network.prepare(&config, device, kind))?;
        Ok(Self { config, device, kind, parameters, network, prepared })
    }

    /// The configuration it was loaded from.
    #[must_use]
    pub fn config(&self) -> &SamConfig {
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

    /// Runs the image encoder.
    ///
    /// `pixel_values` is `[batch, 3, image_size, image_size]`, normalised as the checkpoint asks
    /// for, in any float format and on any device. The result is `[batch, size, grid, grid]` in
    /// the model's number format on its device.
    ///
    /// # Errors
    /// Another shape, what libtorch reports.
    pub fn embed_images(&self, pixel_values: &Tensor) -> Result<Tensor, ForwardError> {
        check_pixel_values(pixel_values, self.config.image_size)?;
        no_grad(|| {
            let pixel_values = pixel_values.f_to_device_(self.device, self.kind, false, false)?;
            match &self.network.vision_encoder {
                ImageEncoder::Vit(vit) => vit.forward(&pixel_values),
                ImageEncoder::TinyVit(vit) => vit.forward(&pixel_values),
            }
        })
        .map_err(ForwardError::from)
    }

    /// Makes prompts into tokens `[prompts, tokens, size]`, in the model's number format on its
    /// device: points, then the corners of the box, or what stands for none.
    ///
    /// # Errors
    /// No prompt, a prompt with neither box nor points, prompts that are not alike
    /// ([`CanvasPrompt::is_like`]), what libtorch reports.
    pub fn embed_prompts(&self, prompts: &[CanvasPrompt]) -> Result<Tensor, ForwardError> {
        let Prepared { positions, .. } = &self.prepared;
        no_grad(|| self.network.prompt_encoder.forward(prompts, positions, self.config.image_size))
    }

    /// Decodes prompts in one image.
    ///
    /// `image` is `[1, size, grid, grid]` from [`embed_images`](Self::embed_images), `prompts`
    /// `[prompts, tokens, size]` from [`embed_prompts`](Self::embed_prompts). Memory goes with the
    /// number of prompts: 15 MB for each at full size in f32.
    ///
    /// # Errors
    /// Another shape, what libtorch reports.
    pub fn decode(&self, image: &Tensor, prompts: &Tensor) -> Result<Decoded<'_>, ForwardError> {
        let (size, grid) = (self.config.size, self.config.grid());
        if *image.size() != [1, size, grid, grid] {
            return Err(ForwardError::Shape {
                tensor: "image embedding",
                expected: format!("[1, {size}, {grid}, {grid}]"),
                found: image.size(),
            });
        }
        match *prompts.size() {
            [count, tokens, channels] if count > 0 && tokens > 0 && channels == size => {}
            _ => {
                return Err(ForwardError::Shape {
                    tensor: "tokens of prompts",
                    expected: format!("[prompts, tokens, {size}]"),
                    found: prompts.size(),
                });
            }
        }
        let Network { prompt_encoder, mask_decoder, .. } = &self.network;
        no_grad(|| {
            let image = image.f_add(&prompt_encoder.no_mask()?)?;
            mask_decoder.forward(&image, &self.prepared.places, prompts)
        })
        .map_err(ForwardError::from)
    }
}

/// The key and shape of every learned tensor of a configuration, in the order in which a network
/// is built.
#[must_use]
pub fn parameter_shapes(config: &SamConfig) -> Vec<(String, Vec<i64>)> {
    nn::parameter_shapes(|root| {
        Network::new(root, config);
    })
}
