//! The mask decoder: tokens of prompts and an image embedding to masks and how good they are.

use tch::{Device, Kind, TchError, Tensor};

use super::attention::CrossAttention;
use super::{MaskDecoderConfig, SamConfig};
use crate::nn::{Enlargement, LayerNorm, Linear, Mlp, Scope};

/// Tokens look at each other, at the image, think, and the image looks at them.
#[derive(Debug)]
struct TwoWayLayer {
    self_attn: CrossAttention,
    layer_norm1: LayerNorm,
    cross_attn_token_to_image: CrossAttention,
    layer_norm2: LayerNorm,
    mlp: Mlp,
    layer_norm3: LayerNorm,
    layer_norm4: LayerNorm,
    cross_attn_image_to_token: CrossAttention,
    /// Whether it takes the tokens without their positions and drops what came before.
    first: bool,
}

impl TwoWayLayer {
    fn new(scope: &Scope<'_>, config: &MaskDecoderConfig, first: bool) -> Self {
        let encoder = &config.encoder;
        let norm =
            |name: &str| LayerNorm::new(&scope.at(name), encoder.size, encoder.layer_norm_eps);
        let attention =
            |name: &str, downsample: i64| CrossAttention::new(&scope.at(name), config, downsample);
        Self {
            self_attn: attention("self_attn", 1),
            layer_norm1: norm("layer_norm1"),
            cross_attn_token_to_image: attention("cross_attn_token_to_image", config.downsample),
            layer_norm2: norm("layer_norm2"),
            mlp: Mlp::with_keys(&scope.at("mlp"), ["lin1", "lin2"], encoder),
            layer_norm3: norm("layer_norm3"),
            layer_norm4: norm("layer_norm4"),
            cross_attn_image_to_token: attention("cross_attn_image_to_token", config.downsample),
            first,
        }
    }

    /// `queries` and `tokens`, which stand for their positions, `[prompts, n, size]`; `keys`
    /// `[prompts or 1, places, size]`; `places` `[1, places, size]`. Gives queries and keys.
    fn forward(
        &self,
        queries: &Tensor,
        keys: &Tensor,
        tokens: &Tensor,
        places: &Tensor,
    ) -> Result<(Tensor, Tensor), TchError> {
        let queries = if self.first {
            self.self_attn.forward(queries, queries, queries)?
        } else {
            let placed = queries.f_add(tokens)?;
            queries.f_add(&self.self_attn.forward(&placed, &placed, queries)?)?
        };
        let queries = self.layer_norm1.forward(&queries)?;
        let key = keys.f_add(places)?;
        let seen =
            self.cross_attn_token_to_image.tokens_to_image(&queries.f_add(tokens)?, &key, keys)?;
        let queries = self.layer_norm2.forward(&queries.f_add(&seen)?)?;
        let queries = self.layer_norm3.forward(&queries.f_add(&self.mlp.forward(&queries)?)?)?;
        let mut seen = self.cross_attn_image_to_token.image_to_tokens(
            &key,
            &queries.f_add(tokens)?,
            &queries,
        )?;
        let keys = self.layer_norm4.forward(&seen.f_add_(keys)?)?;
        Ok((queries, keys))
    }
}

/// Linear layers with a ReLU between them.
#[derive(Debug)]
struct FeedForward {
    proj_in: Linear,
    layers: Vec<Linear>,
    proj_out: Linear,
}

impl FeedForward {
    /// `sizes` are those of input, inside and output; `depth` is the number of layers, at least 2.
    fn new(scope: &Scope<'_>, [inputs, inside, outputs]: [i64; 3], depth: i64) -> Self {
        let layers = scope.at("layers");
        Self {
            proj_in: Linear::new(&scope.at("proj_in"), inputs, inside),
            layers: (0..depth - 2).map(|i| Linear::new(&layers.at(i), inside, inside)).collect(),
            proj_out: Linear::new(&scope.at("proj_out"), inside, outputs),
        }
    }

    /// `[.., inputs]` to `[.., outputs]`.
    fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let mut x = self.proj_in.forward(x)?.f_relu_()?;
        for layer in &self.layers {
            x = layer.forward(&x)?.f_relu_()?;
        }
        self.proj_out.forward(&x)
    }
}

/// What the decoder says of some prompts in one image. Masks are drawn when they are asked for.
#[derive(Debug)]
pub struct Decoded<'a> {
    /// f32 `[prompts, masks]`: the intersection over union that each mask is expected to have with
    /// the thing; not bounded.
    pub iou: Tensor,
    /// `[prompts, masks, size / 8]`.
    kernels: Tensor,
    /// `[prompts, height * width, size]`: what each prompt made of the places of the image.
    image: Tensor,
    height: i64,
    width: i64,
    upscaling: &'a Upscaling,
}

impl Decoded<'_> {
    /// All masks as logits, f32 `[prompts, masks, side, side]`, over the whole canvas.
    ///
    /// # Errors
    /// What libtorch reports.
    pub fn logits(&self) -> Result<Tensor, TchError> {
        self.draw(&self.kernels)
    }

    /// For each prompt the mask of the highest [`iou`](Self::iou), as logits f32
    /// `[prompts, side, side]`, and that value, f32 `[prompts]`.
    ///
    /// # Errors
    /// What libtorch reports.
    pub fn best(&self) -> Result<(Tensor, Tensor), TchError> {
        let (iou, index) = self.iou.f_max_dim(1, false)?;
        let (count, _, size) = self.kernels.size3()?;
        let index = index.f_view([count, 1, 1])?.f_expand([count, 1, size], false)?;
        let kernels = self.kernels.f_gather(1, &index, false)?;
        Ok((self.draw(&kernels)?.f_squeeze_dim(1)?, iou))
    }

    fn draw(&self, kernels: &Tensor) -> Result<Tensor, TchError> {
        let (count, masks, _) = kernels.size3()?;
        let pixels = self.upscaling.draw(&self.image, kernels)?;
        // Each place is a square of squares.
        pixels
            .f_view([count, self.height, self.width, 2, 2, 2, 2, masks].as_slice())?
            .f_permute([0, 7, 1, 3, 5, 2, 4, 6])?
            .f_reshape([count, masks, 4 * self.height, 4 * self.width])?
            .f_to_kind(Kind::Float)
    }
}

/// From places of the image to pixels of masks.
#[derive(Debug)]
struct Upscaling {
    conv1: Enlargement,
    layer_norm: LayerNorm,
    conv2: Enlargement,
}

impl Upscaling {
    fn new(scope: &Scope<'_>, size: i64) -> Self {
        Self {
            conv1: Enlargement::new(&scope.at("upscale_conv1"), size, size / 4, 2),
            layer_norm: LayerNorm::new(&scope.at("upscale_layer_norm"), size / 4, 1e-6),
            conv2: Enlargement::new(&scope.at("upscale_conv2"), size / 4, size / 8, 2),
        }
    }

    /// `image` `[prompts, places, size]` and `kernels` `[prompts, masks, size / 8]` to
    /// `[prompts, places * 16, masks]`: the pixels of each place's square, each of which is a
    /// square of four.
    ///
    /// Channels stay side by side, so that nothing is copied from one order into another.
    fn draw(&self, image: &Tensor, kernels: &Tensor) -> Result<Tensor, TchError> {
        let (count, places, size) = image.size3()?;
        let (first, second) = (self.conv1.for_rows()?, self.conv2.for_rows()?);
        // The channels of all pixels are many times what they are made of: one prompt after the
        // other they stay in the CPU's cache.
        let per_pass = if image.device() == Device::Cpu { 1 } else { count };
        let mut drawn = Vec::new();
        for start in (0..count).step_by(per_pass.max(1) as usize) {
            let some = per_pass.min(count - start);
            let rows = image.f_narrow(0, start, some)?.f_reshape([some * places, size])?;
            let mut x = self.layer_norm.forward(&first.forward(&rows)?)?;
            let mut x = second.forward(&x.f_gelu_("none")?)?;
            let pixels = x.f_gelu_("none")?.f_view([some, places * 16, size / 8])?;
            drawn.push(pixels.f_bmm(&kernels.f_narrow(0, start, some)?.f_transpose(1, 2)?)?);
        }
        Tensor::f_cat(&drawn, 0)
    }
}

/// A transformer in which prompts and image look at each other, and heads that draw.
#[derive(Debug)]
pub(super) struct MaskDecoder {
    iou_token: Tensor,
    mask_tokens: Tensor,
    layers: Vec<TwoWayLayer>,
    final_attn_token_to_image: CrossAttention,
    layer_norm_final_attn: LayerNorm,
    upscaling: Upscaling,
    output_hypernetworks_mlps: Vec<FeedForward>,
    iou_prediction_head: FeedForward,
    masks: i64,
}

impl MaskDecoder {
    pub(super) fn new(scope: &Scope<'_>, sam: &SamConfig) -> Self {
        let (size, config) = (sam.size, &sam.decoder);
        // One for a single mask, which is not asked for, and the others.
        let tokens = config.masks + 1;
        let transformer = scope.at("transformer");
        let layers = transformer.at("layers");
        let mlps = scope.at("output_hypernetworks_mlps");
        Self {
            iou_token: scope.at("iou_token").take("weight", &[1, size]),
            mask_tokens: scope.at("mask_tokens").take("weight", &[tokens, size]),
            layers: (0..config.encoder.layers)
                .map(|index| TwoWayLayer::new(&layers.at(index), config, index == 0))
                .collect(),
            final_attn_token_to_image: CrossAttention::new(
                &transformer.at("final_attn_token_to_image"),
                config,
                config.downsample,
            ),
            layer_norm_final_attn: LayerNorm::new(
                &transformer.at("layer_norm_final_attn"),
                size,
                1e-5,
            ),
            upscaling: Upscaling::new(scope, size),
            output_hypernetworks_mlps: (0..tokens)
                .map(|index| FeedForward::new(&mlps.at(index), [size, size, size / 8], 3))
                .collect(),
            iou_prediction_head: FeedForward::new(
                &scope.at("iou_prediction_head"),
                [size, config.iou_size, tokens],
                config.iou_layers,
            ),
            masks: config.masks,
        }
    }

    /// `image` `[1, size, grid, grid]` with what stands for no mask added; `places`
    /// `[1, grid * grid, size]`, the positions of its places; `prompts` `[prompts, tokens, size]`.
    /// All in the number format of the weights.
    pub(super) fn forward(
        &self,
        image: &Tensor,
        places: &Tensor,
        prompts: &Tensor,
    ) -> Result<Decoded<'_>, TchError> {
        let (_, size, height, width) = image.size4()?;
        let count = prompts.size3()?.0;
        let outputs = Tensor::f_cat(&[&self.iou_token, &self.mask_tokens], 0)?;
        let of_outputs = outputs.size2()?.0;
        let outputs = outputs.f_unsqueeze(0)?.f_expand([count, of_outputs, size], false)?;
        let tokens = Tensor::f_cat(&[&outputs, prompts], 1)?;
        let mut keys = image.f_flatten(2, -1)?.f_transpose(1, 2)?.f_contiguous()?;
        let mut queries = tokens.shallow_clone();
        for layer in &self.layers {
            (queries, keys) = layer.forward(&queries, &keys, &tokens, places)?;
        }
        let key = keys.f_add(places)?;
        let seen = self.final_attn_token_to_image.tokens_to_image(
            &queries.f_add(&tokens)?,
            &key,
            &keys,
        )?;
        let queries = self.layer_norm_final_attn.forward(&queries.f_add(&seen)?)?;

        // The first token of the masks is that of the single one.
        let mut kernels = Vec::with_capacity(self.output_hypernetworks_mlps.len());
        for (index, mlp) in (0..).zip(&self.output_hypernetworks_mlps).skip(1) {
            kernels.push(mlp.forward(&queries.f_select(1, 1 + index)?)?);
        }
        let iou = self.iou_prediction_head.forward(&queries.f_select(1, 0)?)?;
        Ok(Decoded {
            iou: iou.f_narrow(1, 1, self.masks)?.f_to_kind(Kind::Float)?,
            kernels: Tensor::f_stack(&kernels, 1)?,
            image: keys.f_expand([count, height * width, size], false)?,
            height,
            width,
            upscaling: &self.upscaling,
        })
    }
}
