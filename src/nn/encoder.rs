//! Transformer encoders in the pre-norm form of CLIP.

use tch::{TchError, Tensor};

use super::{Activation, Attention, LayerNorm, Linear, Scope};

/// Sizes of an [`Encoder`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EncoderConfig {
    /// Channels of a token (`hidden_size`); a multiple of `heads`.
    pub size: i64,
    /// Channels inside the two-layer perceptron (`intermediate_size`).
    pub intermediate: i64,
    /// Number of layers (`num_hidden_layers`).
    pub layers: i64,
    /// Attention heads (`num_attention_heads`).
    pub heads: i64,
    /// What the perceptron uses (`hidden_act`).
    pub activation: Activation,
    /// What layer norms add to the variance (`layer_norm_eps`).
    pub layer_norm_eps: f64,
}

/// `fc2(activation(fc1(x)))`.
#[derive(Debug)]
pub struct Mlp {
    fc1: Linear,
    fc2: Linear,
    activation: Activation,
}

impl Mlp {
    /// Keys `fc1` and `fc2`.
    #[must_use]
    pub fn new(scope: &Scope<'_>, config: &EncoderConfig) -> Self {
        Self::with_keys(scope, ["fc1", "fc2"], config)
    }

    /// With keys of other names: SAM says `lin1` and `lin2`.
    #[must_use]
    pub fn with_keys(scope: &Scope<'_>, keys: [&str; 2], config: &EncoderConfig) -> Self {
        Self {
            fc1: Linear::new(&scope.at(keys[0]), config.size, config.intermediate),
            fc2: Linear::new(&scope.at(keys[1]), config.intermediate, config.size),
            activation: config.activation,
        }
    }

    /// From layers of any keys: the first to the channels inside, the second back.
    #[must_use]
    pub fn from_parts(fc1: Linear, fc2: Linear, activation: Activation) -> Self {
        Self { fc1, fc2, activation }
    }

    /// `[.., size]` to `[.., size]`.
    ///
    /// # Errors
    /// What libtorch reports.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        self.fc2.forward(&self.activation.forward_over(self.fc1.forward(x)?)?)
    }

    /// As [`forward`](Self::forward), at most `rows` tokens at a time. Where there are far more
    /// channels inside than outside, this is what keeps them in a core's cache: they are written
    /// and read once, and the way to memory would take longer than the products. Tokens are columns
    /// inside, which is a fifth faster there.
    ///
    /// # Errors
    /// What libtorch reports.
    pub fn forward_in_blocks(&self, x: &Tensor, rows: i64) -> Result<Tensor, TchError> {
        let shape = x.size();
        let flat = x.f_flatten(0, -2)?;
        let blocks = flat
            .f_split(rows, 0)?
            .iter()
            .map(|block| {
                let inside = self.fc1.forward_columns(&block.f_transpose(0, 1)?)?;
                let inside = self.activation.forward_over(inside)?;
                self.fc2.forward_columns(&inside)?.f_transpose(0, 1)
            })
            .collect::<Result<Vec<_>, _>>()?;
        Tensor::f_cat(&blocks, 0)?.f_view(shape.as_slice())
    }
}

/// Attention and perceptron, each after a layer norm and around a residual.
#[derive(Debug)]
pub struct EncoderLayer {
    self_attn: Attention,
    layer_norm1: LayerNorm,
    mlp: Mlp,
    layer_norm2: LayerNorm,
}

impl EncoderLayer {
    /// Keys `self_attn`, `layer_norm1`, `mlp`, `layer_norm2`.
    #[must_use]
    pub fn new(scope: &Scope<'_>, config: &EncoderConfig) -> Self {
        let norm = |name: &str| LayerNorm::new(&scope.at(name), config.size, config.layer_norm_eps);
        Self {
            self_attn: Attention::new(&scope.at("self_attn"), config.size, config.heads),
            layer_norm1: norm("layer_norm1"),
            mlp: Mlp::new(&scope.at("mlp"), config),
            layer_norm2: norm("layer_norm2"),
        }
    }

    /// `[batch, tokens, size]` to the same shape; see [`Attention::forward`] for `causal`.
    ///
    /// # Errors
    /// What libtorch reports.
    pub fn forward(&self, x: &Tensor, causal: bool) -> Result<Tensor, TchError> {
        let attended = self.self_attn.forward(&self.layer_norm1.forward(x)?, causal)?;
        let x = x.f_add(&attended)?;
        let thought = self.mlp.forward(&self.layer_norm2.forward(&x)?)?;
        x.f_add(&thought)
    }
}

/// A stack of [`EncoderLayer`]s.
#[derive(Debug)]
pub struct Encoder {
    layers: Vec<EncoderLayer>,
}

impl Encoder {
    /// Keys `layers.0`, `layers.1`, …
    #[must_use]
    pub fn new(scope: &Scope<'_>, config: &EncoderConfig) -> Self {
        let layers = scope.at("layers");
        Self {
            layers: (0..config.layers).map(|i| EncoderLayer::new(&layers.at(i), config)).collect(),
        }
    }

    /// `[batch, tokens, size]` to the same shape.
    ///
    /// # Errors
    /// What libtorch reports.
    pub fn forward(&self, x: Tensor, causal: bool) -> Result<Tensor, TchError> {
        self.layers.iter().try_fold(x, |x, layer| layer.forward(&x, causal))
    }

    /// What the layers with these indices (from 0) give, in the order asked for. No layer behind
    /// the last of them runs.
    ///
    /// # Errors
    /// What libtorch reports.
    ///
    /// # Panics
    /// Where there is no such layer.
    pub fn layer_outputs(
        &self,
        mut x: Tensor,
        wanted: &[usize],
        causal: bool,
    ) -> Result<Vec<Tensor>, TchError> {
        let count = wanted.iter().max().map_or(0, |last| last + 1);
        let mut outputs: Vec<Option<Tensor>> = Vec::with_capacity(count);
        for (index, layer) in self.layers[..count].iter().enumerate() {
            x = layer.forward(&x, causal)?;
            // Only those are kept: the others' memory is free for the next layer.
            outputs.push(wanted.contains(&index).then(|| x.shallow_clone()));
        }
        Ok(wanted
            .iter()
            .filter_map(|index| outputs[*index].as_ref().map(Tensor::shallow_clone))
            .collect())
    }
}
