//! The image tower: from patches to groups, stage by stage.

use tch::{TchError, Tensor};

use super::GroupVitConfig;
use super::grouping::{Mixer, TokenAssign};
use crate::nn::{EncoderLayer, LayerNorm, PatchEmbedding, Scope};

/// What the image tower gives.
#[derive(Debug)]
pub(super) struct Groups {
    /// `[batch, groups, size]`, after the tower's last layer norm.
    pub(super) tokens: Tensor,
    /// f32 `[batch, patches, groups]`: how much each patch is part of each group; the numbers of
    /// a patch add up to 1.
    pub(super) of_patches: Tensor,
}

/// What a stage does at its end, and before it starts.
#[derive(Debug)]
struct Grouping {
    /// `[1, group tokens, size]`.
    group_token: Tensor,
    downsample: TokenAssign,
    /// Keys `0` and `1`: brings the group tokens of the stage before along.
    group_projector: Option<(LayerNorm, Mixer)>,
}

impl Grouping {
    /// Of the stage `stage`, which has group tokens.
    fn new(scope: &Scope<'_>, config: &GroupVitConfig, stage: usize) -> Self {
        let (encoder, grouping) = (&config.image.encoder, &config.grouping);
        let tokens = grouping.group_tokens[stage];
        let projector = scope.at("group_projector");
        Self {
            group_token: scope.take("group_token", &[1, tokens, encoder.size]),
            downsample: TokenAssign::new(&scope.at("downsample"), config, stage),
            group_projector: (stage > 0).then(|| {
                let mixed = [grouping.output_groups[stage - 1], encoder.size / 2, tokens];
                (
                    LayerNorm::new(&projector.at(0), encoder.size, encoder.layer_norm_eps),
                    Mixer::new(&projector.at(1), mixed, encoder),
                )
            }),
        }
    }

    /// The group tokens that a stage starts with, `[batch, group tokens, size]`.
    fn start(&self, batch: i64, before: Option<&Tensor>) -> Result<Tensor, TchError> {
        let (_, tokens, size) = self.group_token.size3()?;
        let learned = self.group_token.f_expand([batch, tokens, size], false)?;
        match (&self.group_projector, before) {
            (Some((norm, mixer)), Some(before)) => {
                learned.f_add(&mixer.forward(&norm.forward(before)?)?)
            }
            _ => Ok(learned),
        }
    }
}

#[derive(Debug)]
struct Stage {
    layers: Vec<EncoderLayer>,
    grouping: Option<Grouping>,
}

/// Keys `embeddings`, `encoder.stages` and `layernorm`.
#[derive(Debug)]
pub(super) struct GroupingTower {
    patch_embeddings: PatchEmbedding,
    /// `[1, patches, size]`.
    position_embeddings: Tensor,
    embeddings_layernorm: LayerNorm,
    stages: Vec<Stage>,
    layernorm: LayerNorm,
}

impl GroupingTower {
    pub(super) fn new(scope: &Scope<'_>, config: &GroupVitConfig) -> Self {
        let (image, grouping) = (&config.image, &config.grouping);
        let encoder = &image.encoder;
        let (embeddings, stages) = (scope.at("embeddings"), scope.at("encoder.stages"));
        let norm = |scope: &Scope<'_>| {
            LayerNorm::new(&scope.at("layernorm"), encoder.size, encoder.layer_norm_eps)
        };
        let patches = image.grid() * image.grid();
        let stage = |(index, depth): (usize, &i64)| {
            let scope = stages.at(index);
            let layers = scope.at("layers");
            Stage {
                layers: (0..*depth).map(|i| EncoderLayer::new(&layers.at(i), encoder)).collect(),
                grouping: (grouping.group_tokens[index] > 0)
                    .then(|| Grouping::new(&scope, config, index)),
            }
        };
        Self {
            patch_embeddings: PatchEmbedding::with_bias(
                &embeddings.at("patch_embeddings.projection"),
                image.patch_size,
                encoder.size,
            ),
            position_embeddings: embeddings
                .take("position_embeddings", &[1, patches, encoder.size]),
            embeddings_layernorm: norm(&embeddings),
            stages: grouping.depths.iter().enumerate().map(stage).collect(),
            layernorm: norm(scope),
        }
    }

    /// `[batch, 3, image_size, image_size]`, normalised, in the number format of the weights.
    pub(super) fn forward(&self, pixel_values: &Tensor) -> Result<Groups, TchError> {
        let patches = self.patch_embeddings.forward(pixel_values)?;
        let mut x =
            self.embeddings_layernorm.forward(&patches)?.f_add(&self.position_embeddings)?;
        let mut group_tokens: Option<Tensor> = None;
        let mut of_patches: Option<Tensor> = None;
        for Stage { layers, grouping } in &self.stages {
            let (batch, tokens, _) = x.size3()?;
            let joined = match grouping {
                Some(grouping) => {
                    let start = grouping.start(batch, group_tokens.as_ref())?;
                    Tensor::f_cat(&[&x, &start], 1)?
                }
                None => x,
            };
            let joined = layers.iter().try_fold(joined, |x, layer| layer.forward(&x, false))?;
            let Some(grouping) = grouping else {
                x = joined;
                continue;
            };
            let own = joined.f_narrow(1, tokens, joined.size3()?.1 - tokens)?;
            let (groups, soft) =
                grouping.downsample.forward(&joined.f_narrow(1, 0, tokens)?, &own)?;
            let of_tokens = soft.f_transpose(1, 2)?;
            of_patches = Some(match of_patches {
                Some(before) => before.f_matmul(&of_tokens)?,
                None => of_tokens,
            });
            (x, group_tokens) = (groups, Some(own));
        }
        // A configuration without a stage that groups was refused.
        let of_patches =
            of_patches.ok_or_else(|| TchError::Torch("no stage makes groups".to_owned()))?;
        Ok(Groups { tokens: self.layernorm.forward(&x)?, of_patches })
    }
}
