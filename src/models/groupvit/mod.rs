//! GroupViT (Xu et al. 2022, arXiv:2202.11094): sorts the patches of an image into groups, with
//! nothing but captions to learn from, and says how well each group fits a text.
//!
//! Held against `transformers` 5.23.0, `models/groupvit/modeling_groupvit.py` (`GroupViTModel`
//! with `output_segmentation=True`).
//!
//! Texts are encoded when they change ([`GroupVit::embed_texts`]), the image tower runs once for
//! each image ([`GroupVit::groups`]), and a further text costs a row of a small matrix product.

mod config;
mod grouping;
mod known;
mod tower;

use std::path::Path;

use tch::{Device, Kind, TchError, Tensor, no_grad};

pub use config::{GroupVitConfig, GroupingConfig};
pub use known::KNOWN_NAMES;

use super::inputs::{check_pixel_values, check_token_ids};
use super::{ForwardError, LoadError};
use crate::nn::{self, BatchNorm, Linear, Scope, TextTower, unit_length};
use crate::weights::Weights;
use tower::GroupingTower;

/// A GroupViT network.
#[derive(Debug)]
pub struct GroupVit {
    config: GroupVitConfig,
    device: Device,
    kind: Kind,
    parameters: u64,
    network: Network,
    /// The factor on cosines, `exp(logit_scale)`.
    scale: f64,
}

/// The groups of a batch of images.
#[derive(Debug)]
pub struct ImageGroups {
    /// f32 `[batch, groups, projection]`, each row of length 1.
    pub embeds: Tensor,
    /// f32 `[batch, projection]`, each row of length 1: of the image as a whole (`image_embeds` of
    /// the reference).
    pub image_embeds: Tensor,
    /// f32 `[batch, groups, grid, grid]`: how much each patch is part of each group; the numbers
    /// of a patch add up to 1.
    pub shares: Tensor,
}

impl ImageGroups {
    /// The shares at `height` x `width` places that cover the same square, f32
    /// `[batch, groups, height, width]`: bilinear, as in the reference's
    /// `get_grouping_from_attentions`.
    ///
    /// # Errors
    /// What libtorch reports.
    pub fn shares_at(&self, height: i64, width: i64) -> Result<Tensor, ForwardError> {
        no_grad(|| self.shares.f_upsample_bilinear2d([height, width], false, None, None))
            .map_err(ForwardError::from)
    }
}

/// `Linear`, batch norm, ReLU, `Linear`: keys `0`, `1` and `3`.
#[derive(Debug)]
struct Projection {
    inner: Linear,
    norm: BatchNorm,
    outer: Linear,
}

impl Projection {
    fn new(scope: &Scope<'_>, inputs: i64, config: &GroupVitConfig) -> Self {
        let inside = config.projection_intermediate;
        Self {
            inner: Linear::new(&scope.at(0), inputs, inside),
            norm: BatchNorm::new(&scope.at(1), inside),
            outer: Linear::new(&scope.at(3), inside, config.projection),
        }
    }

    /// `[rows, inputs]` to `[rows, projection]`.
    fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let mut x = self.norm.forward(&self.inner.forward(x)?)?;
        self.outer.forward(&x.f_relu_()?)
    }
}

/// All that is learned.
#[derive(Debug)]
struct Network {
    text_model: TextTower,
    vision_model: GroupingTower,
    text_projection: Projection,
    visual_projection: Projection,
    logit_scale: Tensor,
}

impl Network {
    fn new(root: &Scope<'_>, config: &GroupVitConfig) -> Self {
        let projection = |name: &str, inputs: i64| Projection::new(&root.at(name), inputs, config);
        Self {
            text_model: TextTower::new(&root.at("text_model"), &config.text),
            vision_model: GroupingTower::new(&root.at("vision_model"), config),
            text_projection: projection("text_projection", config.text.encoder.size),
            visual_projection: projection("visual_projection", config.image.encoder.size),
            logit_scale: root.take("logit_scale", &[]),
        }
    }
}

impl GroupVit {
    /// Loads a Hugging Face folder: `config.json` and safetensors. The weights are converted to
    /// `kind` and moved to `device`.
    ///
    /// # Errors
    /// A configuration that cannot be used, weights that do not fit it (every key at once), a
    /// device without room.
    pub fn load(folder: &Path, device: Device, kind: Kind) -> Result<Self, LoadError> {
        let config = GroupVitConfig::open(folder)?;
        let loader = Weights::open(folder)?.loader(device, kind);
        let network = Network::new(&Scope::root(&loader), &config);
        let parameters = loader.finish()?;
        let scale = no_grad(|| network.logit_scale.f_double_value(&[]))?.exp();
        Ok(Self { config, device, kind, parameters, network, scale })
    }

    /// The configuration it was loaded from.
    #[must_use]
    pub fn config(&self) -> &GroupVitConfig {
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

    /// The learned factor on cosines between groups and texts, above 0.
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
        check_token_ids(ids, &self.config.text)?;
        no_grad(|| {
            let pooled = self.network.text_model.forward(&ids.f_to_device(self.device)?)?;
            self.network.text_projection.forward(&pooled)?.f_to_kind(Kind::Float)
        })
        .map_err(ForwardError::from)
    }

    /// Runs the image tower.
    ///
    /// `pixel_values` is `[batch, 3, image_size, image_size]`, normalised as the checkpoint asks
    /// for, in any float format and on any device.
    ///
    /// # Errors
    /// Another shape, what libtorch reports.
    pub fn groups(&self, pixel_values: &Tensor) -> Result<ImageGroups, ForwardError> {
        check_pixel_values(pixel_values, self.config.image.image_size)?;
        let grid = self.config.image.grid();
        no_grad(|| {
            let pixel_values = pixel_values.f_to_device_(self.device, self.kind, false, false)?;
            let found = self.network.vision_model.forward(&pixel_values)?;
            let (batch, groups, size) = found.tokens.size3()?;
            let project = |x: &Tensor| unit_length(&self.network.visual_projection.forward(x)?);
            let mean = found.tokens.f_mean_dim([1].as_slice(), false, None::<Kind>)?;
            Ok(ImageGroups {
                embeds: project(&found.tokens.f_reshape([batch * groups, size])?)?.f_view([
                    batch,
                    groups,
                    self.config.projection,
                ])?,
                image_embeds: project(&mean)?,
                shares: found
                    .of_patches
                    .f_transpose(1, 2)?
                    .f_reshape([batch, groups, grid, grid])?,
            })
        })
        .map_err(|error: TchError| error.into())
    }

    /// How well each group fits each text: cosines times [`scale`](Self::scale), f32
    /// `[batch, groups, texts]`. `texts` are as [`embed_texts`](Self::embed_texts) gives them, of
    /// any length.
    ///
    /// # Errors
    /// Texts of another shape, what libtorch reports.
    pub fn group_logits(
        &self,
        groups: &ImageGroups,
        texts: &Tensor,
    ) -> Result<Tensor, ForwardError> {
        self.logits(&groups.embeds, texts)
    }

    /// How well each image as a whole fits each text, f32 `[batch, texts]`: `logits_per_image` of
    /// the reference.
    ///
    /// # Errors
    /// As [`group_logits`](Self::group_logits).
    pub fn image_logits(
        &self,
        groups: &ImageGroups,
        texts: &Tensor,
    ) -> Result<Tensor, ForwardError> {
        self.logits(&groups.image_embeds, texts)
    }

    /// `segmentation_logits` of the reference, f32 `[batch, texts, image_size, image_size]`: the
    /// logits of the groups, mixed by their shares of each pixel, times [`scale`](Self::scale)
    /// once more. No softmax over texts comes out of them that one could put a threshold on;
    /// scores are made of [`group_logits`](Self::group_logits) instead.
    ///
    /// # Errors
    /// As [`group_logits`](Self::group_logits).
    pub fn segmentation_logits(
        &self,
        groups: &ImageGroups,
        texts: &Tensor,
    ) -> Result<Tensor, ForwardError> {
        let side = self.config.image.image_size;
        let of_groups = self.group_logits(groups, texts)?;
        let shares = groups.shares_at(side, side)?;
        no_grad(|| {
            let (batch, _, texts) = of_groups.size3()?;
            of_groups
                .f_transpose(1, 2)?
                .f_matmul(&shares.f_flatten(2, -1)?)?
                .f_mul_scalar(self.scale)?
                .f_view([batch, texts, side, side])
        })
        .map_err(ForwardError::from)
    }

    fn logits(&self, embeds: &Tensor, texts: &Tensor) -> Result<Tensor, ForwardError> {
        match *texts.size() {
            [count, size] if count > 0 && size == self.config.projection => {}
            _ => {
                return Err(ForwardError::Shape {
                    tensor: "texts",
                    expected: format!("[texts, {}]", self.config.projection),
                    found: texts.size(),
                });
            }
        }
        no_grad(|| {
            embeds.f_matmul(&unit_length(texts)?.f_transpose(0, 1)?)?.f_mul_scalar(self.scale)
        })
        .map_err(ForwardError::from)
    }
}

/// The key and shape of every tensor of a configuration, in the order in which a network is built;
/// those of `running_mean` and `running_var` were measured and not learned.
#[must_use]
pub fn parameter_shapes(config: &GroupVitConfig) -> Vec<(String, Vec<i64>)> {
    nn::parameter_shapes(|root| {
        Network::new(root, config);
    })
}
