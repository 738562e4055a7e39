//! The layers of a ViT, under the key names of each family.

use tch::{TchError, Tensor};

use super::config::{FeedForward, VitConfig, VitFamily};
use crate::nn::{
    Attention, EncoderConfig, LayerNorm, Linear, Mlp, PatchEmbedding, Projections, Scope,
};

/// All that is learned.
#[derive(Debug)]
pub(super) struct Network {
    /// `[1, 1, size]`.
    pub(super) class_token: Tensor,
    pub(super) patch_embedding: PatchEmbedding,
    /// `[1, 1 + grid * grid, size]`.
    pub(super) position_embeddings: Tensor,
    pub(super) layers: Vec<Layer>,
    pub(super) norm: LayerNorm,
}

impl Network {
    pub(super) fn new(root: &Scope<'_>, config: &VitConfig) -> Self {
        let EncoderConfig { size, layers, layer_norm_eps, .. } = config.encoder;
        let tokens = config.grid() * config.grid() + 1;
        let timm = config.family == VitFamily::Timm;
        let (embeddings, class, positions, patches, blocks, norm) = if timm {
            let patches = root.at("patch_embed").at("proj");
            (root.clone(), "cls_token", "pos_embed", patches, root.at("blocks"), "norm")
        } else {
            let embeddings = root.at("embeddings");
            let patches = embeddings.at("patch_embeddings").at("projection");
            let blocks = root.at("encoder").at("layer");
            (embeddings, "cls_token", "position_embeddings", patches, blocks, "layernorm")
        };
        Self {
            class_token: embeddings.take(class, &[1, 1, size]),
            patch_embedding: PatchEmbedding::with_bias(&patches, config.patch_size, size),
            position_embeddings: embeddings.take(positions, &[1, tokens, size]),
            layers: (0..layers).map(|index| Layer::new(&blocks.at(index), config)).collect(),
            norm: LayerNorm::new(&root.at(norm), size, layer_norm_eps),
        }
    }
}

/// Attention and a feed-forward layer, each after a layer norm and around a residual.
#[derive(Debug)]
pub(super) struct Layer {
    norm1: LayerNorm,
    attention: Attention,
    norm2: LayerNorm,
    feed_forward: FeedForwardLayer,
    /// Factors of what attention and feed-forward add, each `[size]`: DINOv2 only.
    scales: Option<[Tensor; 2]>,
}

impl Layer {
    fn new(scope: &Scope<'_>, config: &VitConfig) -> Self {
        let EncoderConfig { size, layer_norm_eps, .. } = config.encoder;
        let (norm1, norm2) = match config.family {
            VitFamily::Vit => ("layernorm_before", "layernorm_after"),
            VitFamily::Dinov2 | VitFamily::Timm => ("norm1", "norm2"),
        };
        let norm = |name: &str| LayerNorm::new(&scope.at(name), size, layer_norm_eps);
        let scales = (config.family == VitFamily::Dinov2).then(|| {
            ["layer_scale1", "layer_scale2"].map(|name| scope.at(name).take("lambda1", &[size]))
        });
        Self {
            norm1: norm(norm1),
            attention: attention(scope, config),
            norm2: norm(norm2),
            feed_forward: FeedForwardLayer::new(scope, config),
            scales,
        }
    }

    /// `[batch, tokens, size]` to the same shape.
    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let scaled = |added: Tensor, which: usize| match &self.scales {
            Some(scales) => added.f_mul(&scales[which]),
            None => Ok(added),
        };
        let attended = self.attention.forward(&self.norm1.forward(x)?, false)?;
        let x = x.f_add(&scaled(attended, 0)?)?;
        let thought = self.feed_forward.forward(&self.norm2.forward(&x)?)?;
        x.f_add(&scaled(thought, 1)?)
    }
}

fn attention(scope: &Scope<'_>, config: &VitConfig) -> Attention {
    let EncoderConfig { size, heads, .. } = config.encoder;
    let into = |scope: Scope<'_>, outputs: i64| match config.qkv_bias {
        true => Linear::new(&scope, size, outputs),
        false => Linear::without_bias(&scope, size, outputs),
    };
    if config.family == VitFamily::Timm {
        let scope = scope.at("attn");
        let fused = Projections::Fused(into(scope.at("qkv"), 3 * size));
        return Attention::from_parts(fused, Linear::new(&scope.at("proj"), size, size), heads);
    }
    let scope = scope.at("attention");
    let inner = scope.at("attention");
    let projections = Projections::Separate {
        query: into(inner.at("query"), size),
        key: into(inner.at("key"), size),
        value: into(inner.at("value"), size),
    };
    let out = Linear::new(&scope.at("output").at("dense"), size, size);
    Attention::from_parts(projections, out, heads)
}

#[derive(Debug)]
enum FeedForwardLayer {
    Mlp(Mlp),
    /// From `size` to twice the channels inside, and from half of that back.
    SwiGlu {
        weights_in: Linear,
        weights_out: Linear,
    },
}

impl FeedForwardLayer {
    fn new(scope: &Scope<'_>, config: &VitConfig) -> Self {
        let EncoderConfig { size, intermediate, activation, .. } = config.encoder;
        if config.feed_forward == FeedForward::SwiGlu {
            let scope = scope.at("mlp");
            return Self::SwiGlu {
                weights_in: Linear::new(&scope.at("weights_in"), size, 2 * intermediate),
                weights_out: Linear::new(&scope.at("weights_out"), intermediate, size),
            };
        }
        Self::Mlp(match config.family {
            VitFamily::Vit => Mlp::from_parts(
                Linear::new(&scope.at("intermediate").at("dense"), size, intermediate),
                Linear::new(&scope.at("output").at("dense"), intermediate, size),
                activation,
            ),
            VitFamily::Dinov2 | VitFamily::Timm => Mlp::new(&scope.at("mlp"), &config.encoder),
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        match self {
            Self::Mlp(mlp) => mlp.forward(x),
            Self::SwiGlu { weights_in, weights_out } => {
                let both = weights_in.forward(x)?;
                let halves = both.f_chunk(2, -1)?;
                weights_out.forward(&halves[0].f_silu()?.f_mul(&halves[1])?)
            }
        }
    }
}
