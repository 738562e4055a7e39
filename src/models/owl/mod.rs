//! OWL-ViT (Minderer et al. 2022, arXiv:2205.06230) and OWLv2 (Minderer et al. 2023,
//! arXiv:2306.09683): open-vocabulary detectors with one prediction for each image patch.
//!
//! Both are CLIP with heads on the patch tokens, and share every line here: OWLv2 adds a head for
//! objectness, other defaults, and the prefix of its keys. Held against `transformers` 5.23.0,
//! `models/owlvit/modeling_owlvit.py` and `models/owlv2/modeling_owlv2.py`.
//!
//! The parts are separate on purpose: texts are encoded when prompts change
//! ([`Owl::embed_texts`]), the image tower runs once for each image
//! ([`Owl::image_features`]), and the heads ([`Owl::class_logits`], [`Owl::boxes`],
//! [`Owl::objectness`]) cost little, whatever the number of queries.

mod config;
mod heads;
mod known;

use std::path::Path;

use tch::{Device, Kind, TchError, Tensor, no_grad};

pub use config::{OwlConfig, OwlVersion};
pub use heads::box_bias;
pub use known::KNOWN_NAMES;

use super::inputs::{check_pixel_values, check_token_ids};
use super::{ForwardError, LoadError};
use crate::nn::{
    self, EncoderConfig, ImageTower, Kept, LayerNorm, Linear, Scope, TextTower, unit_length,
};
use crate::weights::Weights;
use heads::{ClassHead, PatchMlp};

/// An OWL-ViT or OWLv2 network.
#[derive(Debug)]
pub struct Owl {
    config: OwlConfig,
    device: Device,
    kind: Kind,
    parameters: u64,
    network: Network,
    /// All that was loaded, for [`twin`](Self::twin).
    weights: Kept,
    /// f32 `[patches, 4]` on the device.
    box_bias: Tensor,
}

/// All that is learned.
#[derive(Debug)]
struct Network {
    clip: Clip,
    layer_norm: LayerNorm,
    class_head: ClassHead,
    box_head: PatchMlp,
    objectness_head: Option<PatchMlp>,
}

impl Network {
    fn new(root: &Scope<'_>, config: &OwlConfig) -> Self {
        let EncoderConfig { size: hidden, layer_norm_eps, .. } = config.image.encoder;
        Self {
            clip: Clip::new(&root.at(config.version.model_type()), config),
            layer_norm: LayerNorm::new(&root.at("layer_norm"), hidden, layer_norm_eps),
            class_head: ClassHead::new(&root.at("class_head"), hidden, config.projection),
            box_head: PatchMlp::new(&root.at("box_head"), hidden, 4),
            objectness_head: match config.version {
                OwlVersion::OwlVit => None,
                OwlVersion::Owlv2 => Some(PatchMlp::new(&root.at("objectness_head"), hidden, 1)),
            },
        }
    }
}

/// The part that is CLIP: keys below `owlvit` or `owlv2`.
#[derive(Debug)]
struct Clip {
    text_model: TextTower,
    text_projection: Linear,
    vision_model: ImageTower,
    visual_projection: Linear,
    /// A scalar: the logarithm of CLIP's temperature. Detection does not use it.
    logit_scale: Tensor,
}

impl Clip {
    fn new(scope: &Scope<'_>, config: &OwlConfig) -> Self {
        let projection = |name: &str, inputs: i64| {
            Linear::without_bias(&scope.at(name), inputs, config.projection)
        };
        Self {
            text_model: TextTower::new(&scope.at("text_model"), &config.text),
            text_projection: projection("text_projection", config.text.encoder.size),
            vision_model: ImageTower::new(
                &scope.at("vision_model"),
                &config.image,
                "pre_layernorm",
            ),
            visual_projection: projection("visual_projection", config.image.encoder.size),
            logit_scale: scope.take("logit_scale", &[]),
        }
    }
}

impl Owl {
    /// Loads a Hugging Face folder: `config.json` and safetensors. The weights are converted to
    /// `kind` and moved to `device`.
    ///
    /// # Errors
    /// A configuration that cannot be used, weights that do not fit it (every key at once), a
    /// device without room.
    pub fn load(folder: &Path, device: Device, kind: Kind) -> Result<Self, LoadError> {
        let config = OwlConfig::open(folder)?;
        let loader = Weights::open(folder)?.loader(device, kind);
        let (network, weights) = Kept::build(&loader, |root| Network::new(root, &config));
        let parameters = loader.finish()?;
        // Only now: a configuration that claims a huge grid has been refused by its weights.
        let box_bias = no_grad(|| box_bias(config.image.grid())?.f_to_device(device))?;
        Ok(Self { config, device, kind, parameters, network, weights, box_bias })
    }

    /// The same network for another thread. Both share their weights.
    #[must_use]
    pub fn twin(&self) -> Self {
        Self {
            network: Network::new(&Scope::root(&self.weights), &self.config),
            weights: self.weights.clone(),
            box_bias: self.box_bias.shallow_clone(),
            ..*self
        }
    }

    /// The configuration it was loaded from.
    #[must_use]
    pub fn config(&self) -> &OwlConfig {
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

    /// Encodes texts into queries for [`class_logits`](Self::class_logits).
    ///
    /// `ids` is `[texts, tokens]` i64 on the CPU, with at most `max_tokens` tokens, each in
    /// `0..vocabulary`, as [`ClipTokenizer`](crate::tokenize::ClipTokenizer) gives them. The
    /// result is f32 `[texts, projection]`, each row of length 1, on the model's device:
    /// `text_embeds` of the reference.
    ///
    /// # Errors
    /// Another shape, an id outside the vocabulary, what libtorch reports.
    pub fn embed_texts(&self, ids: &Tensor) -> Result<Tensor, ForwardError> {
        check_token_ids(ids, &self.config.text)?;
        let clip = &self.network.clip;
        no_grad(|| {
            let pooled = clip.text_model.forward(&ids.f_to_device(self.device)?)?;
            unit_length(&clip.text_projection.forward(&pooled)?)
        })
        .map_err(ForwardError::from)
    }

    /// Runs the image tower.
    ///
    /// `pixel_values` is `[batch, 3, image_size, image_size]`, normalised as the checkpoint asks
    /// for, in any float format and on any device. The result is `[batch, 1 + patches, hidden]`
    /// in the model's number format: the class token, then the patches row by row, after the
    /// tower's last layer norm.
    ///
    /// # Errors
    /// Another shape, what libtorch reports.
    pub fn image_tokens(&self, pixel_values: &Tensor) -> Result<Tensor, ForwardError> {
        check_pixel_values(pixel_values, self.config.image.image_size)?;
        no_grad(|| {
            let pixel_values = pixel_values.f_to_device_(self.device, self.kind, false, false)?;
            self.network.clip.vision_model.forward(&pixel_values)
        })
        .map_err(ForwardError::from)
    }

    /// The feature map that the heads work on, from [`image_tokens`](Self::image_tokens): each
    /// patch token times the class token, normalised. `[batch, grid, grid, hidden]` in the
    /// model's number format.
    ///
    /// # Errors
    /// What libtorch reports.
    pub fn feature_map(&self, image_tokens: &Tensor) -> Result<Tensor, ForwardError> {
        let grid = self.config.image.grid();
        no_grad(|| {
            let (batch, tokens, hidden) = image_tokens.size3()?;
            let class = image_tokens.f_narrow(1, 0, 1)?;
            let merged = image_tokens.f_narrow(1, 1, tokens - 1)?.f_mul(&class)?;
            self.network.layer_norm.forward(&merged)?.f_view([batch, grid, grid, hidden])
        })
        .map_err(ForwardError::from)
    }

    /// [`image_tokens`](Self::image_tokens) and [`feature_map`](Self::feature_map) in one:
    /// `image_embeds` of the reference's detection output.
    ///
    /// # Errors
    /// As [`image_tokens`](Self::image_tokens).
    pub fn image_features(&self, pixel_values: &Tensor) -> Result<Tensor, ForwardError> {
        self.feature_map(&self.image_tokens(pixel_values)?)
    }

    /// CLIP's embedding of the whole image, from [`image_tokens`](Self::image_tokens): f32
    /// `[batch, projection]`, each row of length 1. Detection does not use it.
    ///
    /// # Errors
    /// What libtorch reports.
    pub fn image_embeds(&self, image_tokens: &Tensor) -> Result<Tensor, ForwardError> {
        no_grad(|| {
            let class = image_tokens.f_select(1, 0)?;
            unit_length(&self.network.clip.visual_projection.forward(&class)?)
        })
        .map_err(ForwardError::from)
    }

    /// CLIP's scores of whole images against texts (`logits_per_image`): f32 `[images, texts]`
    /// from [`image_embeds`](Self::image_embeds) and [`embed_texts`](Self::embed_texts).
    ///
    /// # Errors
    /// What libtorch reports.
    pub fn clip_logits(
        &self,
        image_embeds: &Tensor,
        text_embeds: &Tensor,
    ) -> Result<Tensor, ForwardError> {
        no_grad(|| {
            let scale = self.network.clip.logit_scale.f_to_kind(Kind::Float)?.f_exp()?;
            image_embeds.f_matmul(&text_embeds.f_transpose(0, 1)?)?.f_mul(&scale)
        })
        .map_err(ForwardError::from)
    }

    /// What each patch would be as a query: `[batch, grid * grid, projection]` in the model's
    /// number format, not normalised. A row of it can be given to
    /// [`class_logits`](Self::class_logits), which is how detection is guided by an image.
    ///
    /// # Errors
    /// What libtorch reports.
    pub fn image_class_embeds(&self, features: &Tensor) -> Result<Tensor, ForwardError> {
        no_grad(|| self.network.class_head.class_embeds(&flat(features)?))
            .map_err(ForwardError::from)
    }

    /// Scores every patch against every query. `features` is a
    /// [`feature_map`](Self::feature_map); `queries` is `[n, projection]`, of any length and
    /// float format, on the model's device. The result is f32 `[batch, grid * grid, n]`; its
    /// sigmoid is the score.
    ///
    /// # Errors
    /// Queries of another shape, what libtorch reports.
    pub fn class_logits(
        &self,
        features: &Tensor,
        queries: &Tensor,
    ) -> Result<Tensor, ForwardError> {
        match *queries.size() {
            [_, size] if size == self.config.projection => {}
            _ => {
                return Err(ForwardError::Shape {
                    tensor: "queries",
                    expected: format!("[queries, {}]", self.config.projection),
                    found: queries.size(),
                });
            }
        }
        no_grad(|| self.network.class_head.forward(&flat(features)?, queries))
            .map_err(ForwardError::from)
    }

    /// The highest logit that any query could get at each patch, that of a query which is the patch
    /// itself: f32 `[batch, grid * grid]`. OWL-ViT learned to shift and scale the logits of a patch
    /// by what is there, so that it is low where there is no thing.
    ///
    /// # Errors
    /// What libtorch reports.
    pub fn highest_possible_logits(&self, features: &Tensor) -> Result<Tensor, ForwardError> {
        no_grad(|| self.network.class_head.highest_possible(&flat(features)?)?.f_squeeze_dim(-1))
            .map_err(ForwardError::from)
    }

    /// Places one box for each patch. `features` is a [`feature_map`](Self::feature_map). The
    /// result is f32 `[batch, grid * grid, 4]`: centre x, centre y, width, height in `[0, 1]` of
    /// the network's canvas.
    ///
    /// # Errors
    /// What libtorch reports.
    pub fn boxes(&self, features: &Tensor) -> Result<Tensor, ForwardError> {
        no_grad(|| {
            self.network.box_head.forward(&flat(features)?)?.f_add(&self.box_bias)?.f_sigmoid()
        })
        .map_err(ForwardError::from)
    }

    /// How much each patch looks like any object: logits, f32 `[batch, grid * grid]`. Only OWLv2
    /// has such a head; `None` for OWL-ViT.
    ///
    /// # Errors
    /// What libtorch reports.
    pub fn objectness(&self, features: &Tensor) -> Result<Option<Tensor>, ForwardError> {
        let Some(head) = &self.network.objectness_head else { return Ok(None) };
        no_grad(|| head.forward(&flat(features)?)?.f_squeeze_dim(-1))
            .map(Some)
            .map_err(ForwardError::from)
    }
}

/// The key and shape of every learned tensor of a configuration, in the order in which a network
/// is built.
#[must_use]
pub fn parameter_shapes(config: &OwlConfig) -> Vec<(String, Vec<i64>)> {
    nn::parameter_shapes(|root| {
        Network::new(root, config);
    })
}

/// `[batch, grid, grid, hidden]` to `[batch, grid * grid, hidden]`.
fn flat(features: &Tensor) -> Result<Tensor, TchError> {
    features.f_flatten(1, 2)
}
