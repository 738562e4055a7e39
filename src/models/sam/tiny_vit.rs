//! TinyViT (Wu et al. 2022, arXiv:2207.10666) as MobileSAM's image encoder (Zhang et al. 2023,
//! arXiv:2306.14289).
//!
//! Held against the authors' published structure, written out in plain torch in
//! `tools/tiny_vit_reference.py`, whose blocks are held against timm's. The batch norms that stand
//! behind each convolution there are folded into it when a checkpoint is converted
//! (`tools/convert_mobile_sam.py`).

use tch::{Device, Kind, TchError, Tensor};

use super::vit::{Neck, in_windows};
use super::{SamConfig, TinyVitConfig};
use crate::nn::{Activation, Conv2d, ConvShape, LayerNorm, Linear, Scope};

/// What layer norms add to the variance.
const EPS: f64 = 1e-5;

/// From pixels to features of each place.
#[derive(Debug)]
pub(super) struct TinyVit {
    patch_embed: [Conv2d; 2],
    convolutions: Vec<MbConv>,
    /// Behind each stage but the last.
    merges: Vec<PatchMerging>,
    /// Stages of attention.
    stages: Vec<Vec<Block>>,
    neck: Neck,
}

/// Widens, looks around, narrows, around a residual (Sandler et al. 2018, arXiv:1801.04381).
#[derive(Debug)]
struct MbConv {
    conv1: Conv2d,
    conv2: Conv2d,
    conv3: Conv2d,
}

/// Makes an image of features smaller, or only deeper.
#[derive(Debug)]
struct PatchMerging {
    conv1: Conv2d,
    conv2: Conv2d,
    conv3: Conv2d,
}

/// Attention in windows, a convolution that crosses their borders, and a perceptron.
#[derive(Debug)]
struct Block {
    attn: WindowAttention,
    local_conv: Conv2d,
    mlp_norm: LayerNorm,
    fc1: Linear,
    fc2: Linear,
    window: i64,
}

#[derive(Debug)]
struct WindowAttention {
    layer_norm: LayerNorm,
    qkv: Linear,
    proj: Linear,
    /// `[heads, window * window]`: for each distance in rows and columns.
    attention_biases: Tensor,
    /// The same for each pair of places: `[1, heads, window^2, window^2]`.
    biases: Option<Tensor>,
    heads: i64,
    window: i64,
}

fn conv(scope: &Scope<'_>, name: &str, shape: ConvShape) -> Conv2d {
    Conv2d::new(&scope.at(name), shape)
}

fn gelu(x: &Tensor) -> Result<Tensor, TchError> {
    Activation::Gelu.forward(x)
}

impl MbConv {
    fn new(scope: &Scope<'_>, size: i64, inside: i64) -> Self {
        Self {
            conv1: conv(scope, "conv1", ConvShape::same(size, inside, 1)),
            conv2: conv(scope, "conv2", ConvShape::depthwise(inside, 3)),
            conv3: conv(scope, "conv3", ConvShape::same(inside, size, 1)),
        }
    }

    /// `[batch, size, H, W]` to the same shape.
    fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let inside = gelu(&self.conv1.forward(x)?)?;
        let inside = gelu(&self.conv2.forward(&inside)?)?;
        gelu(&self.conv3.forward(&inside)?.f_add(x)?)
    }
}

impl PatchMerging {
    fn new(scope: &Scope<'_>, inputs: i64, outputs: i64, stride: i64) -> Self {
        let around = ConvShape::depthwise(outputs, 3).with_stride(stride);
        Self {
            conv1: conv(scope, "conv1", ConvShape::same(inputs, outputs, 1)),
            conv2: conv(scope, "conv2", around),
            conv3: conv(scope, "conv3", ConvShape::same(outputs, outputs, 1)),
        }
    }

    /// `[batch, inputs, H, W]` to `[batch, outputs, H / stride, W / stride]`.
    fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let x = gelu(&self.conv1.forward(x)?)?;
        self.conv3.forward(&gelu(&self.conv2.forward(&x)?)?)
    }
}

impl WindowAttention {
    fn new(scope: &Scope<'_>, size: i64, heads: i64, window: i64) -> Self {
        Self {
            layer_norm: LayerNorm::new(&scope.at("layer_norm"), size, EPS),
            qkv: Linear::new(&scope.at("qkv"), size, 3 * size),
            proj: Linear::new(&scope.at("proj"), size, size),
            attention_biases: scope.take("attention_biases", &[heads, window * window]),
            biases: None,
            heads,
            window,
        }
    }

    fn prepare(&mut self, device: Device) -> Result<(), TchError> {
        let (window, places) = (self.window, self.window * self.window);
        let along = Tensor::f_arange(window, (Kind::Int64, device))?;
        let apart = along.f_view([window, 1])?.f_sub(&along.f_view([1, window])?)?.f_abs()?;
        let rows = apart.f_view([window, 1, window, 1])?.f_mul_scalar(window)?;
        let index = rows.f_add(&apart.f_view([1, window, 1, window])?)?.f_reshape([-1])?;
        let biases = self.attention_biases.f_index_select(1, &index)?;
        self.biases = Some(biases.f_view([1, self.heads, places, places])?);
        Ok(())
    }

    /// `[windows, window, window, size]` to the same shape.
    fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let (windows, side, _, size) = x.size4()?;
        let head = size / self.heads;
        let qkv = self
            .qkv
            .forward(&self.layer_norm.forward(x)?)?
            .f_view([windows, side * side, self.heads, 3, head])?
            .f_permute([3, 0, 2, 1, 4])?;
        Tensor::f_scaled_dot_product_attention(
            &qkv.f_select(0, 0)?,
            &qkv.f_select(0, 1)?,
            &qkv.f_select(0, 2)?,
            self.biases.as_ref(),
            0.0,
            false,
            None,
            false,
        )?
        .f_transpose(1, 2)?
        .f_reshape([windows, side, side, size])
        .and_then(|joined| self.proj.forward(&joined))
    }
}

impl Block {
    fn new(scope: &Scope<'_>, config: &TinyVitConfig, stage: usize) -> Self {
        let (size, window) = (config.sizes[stage], config.windows[stage]);
        let (attn, mlp) = (scope.at("attn"), scope.at("mlp"));
        let inside = config.intermediate(size);
        Self {
            attn: WindowAttention::new(&attn, size, config.heads[stage], window),
            local_conv: conv(scope, "local_conv", ConvShape::depthwise(size, config.local_conv)),
            mlp_norm: LayerNorm::new(&mlp.at("layer_norm"), size, EPS),
            fc1: Linear::new(&mlp.at("fc1"), size, inside),
            fc2: Linear::new(&mlp.at("fc2"), inside, size),
            window,
        }
    }

    /// `[batch, H, W, size]` to the same shape.
    fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let attended = in_windows(x, self.window, |windows| self.attn.forward(windows))?;
        let x = channels_first(&x.f_add(&attended)?)?;
        let x = channels_last(&self.local_conv.forward(&x)?)?;
        let inside = gelu(&self.fc1.forward(&self.mlp_norm.forward(&x)?)?)?;
        x.f_add(&self.fc2.forward(&inside)?)
    }
}

fn channels_first(x: &Tensor) -> Result<Tensor, TchError> {
    x.f_permute([0, 3, 1, 2])
}

fn channels_last(x: &Tensor) -> Result<Tensor, TchError> {
    x.f_permute([0, 2, 3, 1])
}

impl TinyVit {
    /// Keys `patch_embed.conv1` and `.conv2`, `stages.<i>.blocks.<j>`, `stages.<i>.downsample`,
    /// `neck`.
    pub(super) fn new(scope: &Scope<'_>, sam: &SamConfig, config: &TinyVitConfig) -> Self {
        let sizes = config.sizes;
        let (patches, stages) = (scope.at("patch_embed"), scope.at("stages"));
        let halving = |name: &str, inputs: i64, outputs: i64| {
            conv(&patches, name, ConvShape::same(inputs, outputs, 3).with_stride(2))
        };
        let blocks = |stage: usize| stages.at(stage).at("blocks");
        Self {
            patch_embed: [
                halving("conv1", 3, sizes[0] / 2),
                halving("conv2", sizes[0] / 2, sizes[0]),
            ],
            convolutions: (0..config.depths[0])
                .map(|index| MbConv::new(&blocks(0).at(index), sizes[0], config.expanded()))
                .collect(),
            merges: (0..3)
                .map(|stage| {
                    // The last one leaves the size as it is: SAM's decoder wants a 16th.
                    let stride = if stage == 2 { 1 } else { 2 };
                    let scope = stages.at(stage).at("downsample");
                    PatchMerging::new(&scope, sizes[stage], sizes[stage + 1], stride)
                })
                .collect(),
            stages: (1..4)
                .map(|stage| {
                    (0..config.depths[stage])
                        .map(|index| Block::new(&blocks(stage).at(index), config, stage))
                        .collect()
                })
                .collect(),
            neck: Neck::new(&scope.at("neck"), sizes[3], sam.size),
        }
    }

    /// Works out what follows from what was learned.
    pub(super) fn prepare(&mut self, device: Device) -> Result<(), TchError> {
        self.stages.iter_mut().flatten().try_for_each(|block| block.attn.prepare(device))
    }

    /// `[batch, 3, image_size, image_size]` to `[batch, output_channels, grid, grid]`.
    pub(super) fn forward(&self, pixel_values: &Tensor) -> Result<Tensor, TchError> {
        let [first, second] = &self.patch_embed;
        let mut x = second.forward(&gelu(&first.forward(pixel_values)?)?)?;
        for block in &self.convolutions {
            x = block.forward(&x)?;
        }
        for (merge, blocks) in self.merges.iter().zip(&self.stages) {
            let mut tokens = channels_last(&merge.forward(&x)?)?.f_contiguous()?;
            for block in blocks {
                tokens = block.forward(&tokens)?;
            }
            x = channels_first(&tokens)?;
        }
        self.neck.forward(&x)
    }
}
