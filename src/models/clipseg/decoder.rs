//! The decoder: from tokens of the image tower and a condition to a map of logits.

use tch::{Device, Kind, TchError, Tensor};

use super::ClipSegConfig;
use crate::nn::{
    Activation, Attention, Conv2d, ConvShape, EncoderConfig, Enlargement, LayerNorm, Linear, Mlp,
    Scope,
};

/// What the decoder makes of an image before it knows any prompt.
#[derive(Debug)]
pub struct DecoderInput {
    /// `[batch, 1 + patches, size]`: what goes into the conditional layer, not yet modulated.
    start: Tensor,
    /// What is added before each layer behind it, of the same shape.
    rest: Vec<Tensor>,
}

/// Tokens that each CPU thread takes through a perceptron at a time: their 2048 channels inside are
/// 1 MB, half of what a core's second cache holds today. Measured with 64 to 512 of them: 128 are
/// the fastest, three times as fast as all tokens of 20 maps at once.
const ROWS_PER_THREAD: i64 = 128;

/// Attention and perceptron around a residual, each before its layer norm.
#[derive(Debug)]
struct DecoderLayer {
    self_attn: Attention,
    layer_norm1: LayerNorm,
    mlp: Mlp,
    layer_norm2: LayerNorm,
}

impl DecoderLayer {
    fn new(scope: &Scope<'_>, config: &EncoderConfig) -> Self {
        let norm = |name: &str| LayerNorm::new(&scope.at(name), config.size, config.layer_norm_eps);
        Self {
            self_attn: Attention::new(&scope.at("self_attn"), config.size, config.heads),
            layer_norm1: norm("layer_norm1"),
            mlp: Mlp::new(&scope.at("mlp"), config),
            layer_norm2: norm("layer_norm2"),
        }
    }

    /// `[batch, tokens, size]` to the same shape.
    fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let x = self.layer_norm1.forward(&x.f_add(&self.self_attn.forward(x, false)?)?)?;
        // 32 times as many channels inside as outside.
        let thought = match x.device() {
            Device::Cpu => {
                let rows = ROWS_PER_THREAD * i64::from(tch::get_num_threads().max(1));
                self.mlp.forward_in_blocks(&x, rows)?
            }
            _ => self.mlp.forward(&x)?,
        };
        self.layer_norm2.forward(&x.f_add(&thought)?)
    }
}

/// From tokens on their grid to one channel at the size of pixels.
#[derive(Debug)]
enum ToPixels {
    /// Key `transposed_convolution`.
    Plain(Enlargement),
    /// Keys `transposed_convolution.0`, `.2` and `.4`; between them is a ReLU.
    Refined { smooth: Conv2d, first: Enlargement, second: Enlargement },
}

impl ToPixels {
    fn new(scope: &Scope<'_>, size: i64, patch_size: i64, refined: bool) -> Self {
        if !refined {
            return Self::Plain(Enlargement::new(scope, size, 1, patch_size));
        }
        let side = patch_size / 4;
        Self::Refined {
            smooth: Conv2d::new(&scope.at(0), ConvShape::same(size, size, 3)),
            first: Enlargement::new(&scope.at(2), size, size / 2, side),
            second: Enlargement::new(&scope.at(4), size / 2, 1, side),
        }
    }

    /// `[batch, size, grid, grid]` to `[batch, 1, height, width]`.
    fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        match self {
            Self::Plain(enlargement) => enlargement.forward(x),
            Self::Refined { smooth, first, second } => {
                let x = smooth.forward(x)?.f_relu_()?.f_permute([0, 2, 3, 1])?;
                let (maps, rows, columns, size) = x.size4()?;
                let side = first.side();
                let (first, second) = (first.for_rows()?, second.for_rows()?);
                // One map after the other its channels stay in the CPU's cache.
                let per_pass = if x.device() == Device::Cpu { 1 } else { maps };
                let (height, width) = (rows * side * side, columns * side * side);
                let drawn = x.f_new_empty([maps, 1, height, width], (x.kind(), x.device()))?;
                for start in (0..maps).step_by(per_pass.max(1) as usize) {
                    let count = per_pass.min(maps - start);
                    let some = x.f_narrow(0, start, count)?.f_reshape([-1, size])?;
                    let some = second.forward(&first.forward(&some)?.f_relu_()?)?;
                    // Each place is a square of squares.
                    let some = some
                        .f_view([count, rows, columns, side, side, side, side].as_slice())?
                        .f_permute([0, 1, 3, 5, 2, 4, 6])?;
                    let place = drawn.f_narrow(0, start, count)?;
                    let mut place =
                        place.f_view([count, rows, side, side, columns, side, side].as_slice())?;
                    place.f_copy_(&some)?;
                }
                Ok(drawn)
            }
        }
    }
}

/// Reads some layers of the image tower, is told by a condition what to look for (FiLM, Perez et
/// al. 2018, arXiv:1709.07871), and draws where it is.
#[derive(Debug)]
pub(super) struct Decoder {
    film_mul: Linear,
    film_add: Linear,
    transposed_convolution: ToPixels,
    reduces: Vec<Linear>,
    layers: Vec<DecoderLayer>,
    conditional_layer: usize,
}

impl Decoder {
    pub(super) fn new(scope: &Scope<'_>, config: &ClipSegConfig) -> Self {
        let decoder = &config.decoder;
        let image = &config.image.encoder;
        let layer = EncoderConfig {
            size: decoder.size,
            intermediate: decoder.intermediate,
            heads: decoder.heads,
            layers: config.extract_layers.len() as i64,
            activation: Activation::Relu,
            layer_norm_eps: image.layer_norm_eps,
        };
        let film = |name: &str| Linear::new(&scope.at(name), config.projection, decoder.size);
        let (reduces, layers) = (scope.at("reduces"), scope.at("layers"));
        let each = 0..config.extract_layers.len();
        Self {
            film_mul: film("film_mul"),
            film_add: film("film_add"),
            transposed_convolution: ToPixels::new(
                &scope.at("transposed_convolution"),
                decoder.size,
                config.image.patch_size,
                decoder.refined,
            ),
            reduces: each
                .clone()
                .map(|i| Linear::new(&reduces.at(i), image.size, decoder.size))
                .collect(),
            layers: each.map(|i| DecoderLayer::new(&layers.at(i), &layer)).collect(),
            conditional_layer: decoder.conditional_layer,
        }
    }

    /// All that the prompts of an image share. `layers` are the tokens of the layers that the
    /// decoder reads, in the order of the configuration.
    pub(super) fn input(&self, layers: &[Tensor]) -> Result<DecoderInput, TchError> {
        let mut reduced = Vec::with_capacity(layers.len());
        for (reduce, tokens) in self.reduces.iter().zip(layers.iter().rev()) {
            reduced.push(reduce.forward(tokens)?);
        }
        let rest = reduced.split_off(self.conditional_layer + 1);
        let mut start: Option<Tensor> = None;
        for (index, tokens) in reduced.into_iter().enumerate() {
            start = Some(match start {
                Some(before) => self.layers[index - 1].forward(&before)?.f_add(&tokens)?,
                None => tokens,
            });
        }
        // The conditional layer is one of the layers, so there was at least one.
        let start =
            start.ok_or_else(|| TchError::Torch("the decoder reads no layer".to_owned()))?;
        Ok(DecoderInput { start, rest })
    }

    /// `conditions` `[n, projection]`, in the number format of the weights, to f32
    /// `[batch, n, height, width]`.
    pub(super) fn forward(
        &self,
        input: &DecoderInput,
        conditions: &Tensor,
    ) -> Result<Tensor, TchError> {
        let (batch, tokens, size) = input.start.size3()?;
        let count = conditions.size2()?.0;
        let film = |linear: &Linear| linear.forward(conditions)?.f_view([1, count, 1, size]);
        let mut x = input
            .start
            .f_unsqueeze(1)?
            .f_mul(&film(&self.film_mul)?)?
            .f_add(&film(&self.film_add)?)?
            .f_view([batch * count, tokens, size])?;
        x = self.layers[self.conditional_layer].forward(&x)?;
        for (layer, reduced) in self.layers[self.conditional_layer + 1..].iter().zip(&input.rest) {
            let sum = x.f_view([batch, count, tokens, size])?.f_add(&reduced.f_unsqueeze(1)?)?;
            x = layer.forward(&sum.f_view([batch * count, tokens, size])?)?;
        }
        let grid = ((tokens - 1) as f64).sqrt() as i64;
        // Without the class token.
        let patches = x.f_narrow(1, 1, tokens - 1)?.f_transpose(1, 2)?;
        let logits = self.transposed_convolution.forward(&patches.f_reshape([
            batch * count,
            size,
            grid,
            grid,
        ])?)?;
        let (_, _, height, width) = logits.size4()?;
        logits.f_view([batch, count, height, width])?.f_to_kind(Kind::Float)
    }
}
