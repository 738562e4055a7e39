//! SAM's image encoder: a vision transformer (Li et al. 2022, arXiv:2203.16527) most of whose
//! layers look at windows, with decomposed relative positions (Li et al. 2021, arXiv:2112.01526).

use tch::{Device, Kind, TchError, Tensor};

use super::{SamConfig, VitConfig};
use crate::nn::{Conv2d, ConvShape, LayerNorm, Linear, Mlp, Scope};

/// Elements of the largest bias that attention is given at once: 64 MB in f32. One for all pairs
/// of patches of a whole image would take 800 MB at full size.
const BIAS_ELEMENTS: i64 = 1 << 24;

/// From pixels to features of each patch.
#[derive(Debug)]
pub(super) struct Vit {
    projection: Conv2d,
    pos_embed: Option<Tensor>,
    layers: Vec<Layer>,
    neck: Neck,
}

/// Attention in windows and perceptron, each after a layer norm and around a residual.
#[derive(Debug)]
struct Layer {
    layer_norm1: LayerNorm,
    attn: WindowAttention,
    layer_norm2: LayerNorm,
    mlp: Mlp,
    /// Side of a window in patches; 0 where the layer sees all.
    window: i64,
}

/// Self-attention over a square of patches.
#[derive(Debug)]
struct WindowAttention {
    qkv: Linear,
    proj: Linear,
    /// `[2 * side - 1, head]` each: along the height and along the width.
    rel_pos: Option<[Tensor; 2]>,
    tables: Option<PairTables>,
    heads: i64,
    side: i64,
}

/// What relative positions add to attention, for each pair of rows and of columns:
/// `[side, side, head]`, queries first.
#[derive(Debug)]
struct PairTables {
    rows: Tensor,
    columns: Tensor,
}

/// Two convolutions from the channels of the encoder to those of the decoder.
#[derive(Debug)]
pub(super) struct Neck {
    conv1: Conv2d,
    layer_norm1: LayerNorm,
    conv2: Conv2d,
    layer_norm2: LayerNorm,
}

impl Neck {
    /// Keys `conv1`, `layer_norm1`, `conv2`, `layer_norm2`.
    pub(super) fn new(scope: &Scope<'_>, inputs: i64, outputs: i64) -> Self {
        let conv = |name: &str, inputs: i64, side: i64| {
            Conv2d::without_bias(&scope.at(name), ConvShape::same(inputs, outputs, side))
        };
        let norm = |name: &str| LayerNorm::new(&scope.at(name), outputs, 1e-6);
        Self {
            conv1: conv("conv1", inputs, 1),
            layer_norm1: norm("layer_norm1"),
            conv2: conv("conv2", outputs, 3),
            layer_norm2: norm("layer_norm2"),
        }
    }

    /// `[batch, inputs, grid, grid]` to `[batch, outputs, grid, grid]`.
    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let x = self.layer_norm1.forward_channels(&self.conv1.forward(x)?)?;
        self.layer_norm2.forward_channels(&self.conv2.forward(&x)?)
    }
}

impl WindowAttention {
    fn new(scope: &Scope<'_>, config: &VitConfig, side: i64) -> Self {
        let size = config.encoder.size;
        let qkv = scope.at("qkv");
        let head = size / config.encoder.heads;
        let positions = |name: &str| scope.take(name, &[2 * side - 1, head]);
        Self {
            qkv: match config.qkv_bias {
                true => Linear::new(&qkv, size, 3 * size),
                false => Linear::without_bias(&qkv, size, 3 * size),
            },
            proj: Linear::new(&scope.at("proj"), size, size),
            rel_pos: config
                .relative_positions
                .then(|| [positions("rel_pos_h"), positions("rel_pos_w")]),
            tables: None,
            heads: config.encoder.heads,
            side,
        }
    }

    fn prepare(&mut self, device: Device) -> Result<(), TchError> {
        let Some([rows, columns]) = &self.rel_pos else { return Ok(()) };
        let side = self.side;
        let places = Tensor::f_arange(side, (Kind::Int64, device))?;
        let apart = places
            .f_view([side, 1])?
            .f_sub(&places.f_view([1, side])?)?
            .f_add_scalar(side - 1)?
            .f_view([-1])?;
        let table = |learned: &Tensor| learned.f_index_select(0, &apart)?.f_view([side, side, -1]);
        self.tables = Some(PairTables { rows: table(rows)?, columns: table(columns)? });
        Ok(())
    }

    /// `[batch, height, width, size]` to the same shape; with relative positions height and width
    /// are those that they were learned for.
    fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let (batch, height, width, size) = x.size4()?;
        let (heads, head) = (self.heads, size / self.heads);
        let qkv = self
            .qkv
            .forward(x)?
            .f_view([batch, height * width, 3, heads, head])?
            .f_permute([2, 0, 3, 1, 4])?;
        let [query, key, value] = [0, 1, 2].map(|part| qkv.f_select(0, part));
        let (query, key, value) = (query?, key?, value?);
        let attend = |query: &Tensor, bias: Option<&Tensor>| {
            Tensor::f_scaled_dot_product_attention(
                query, &key, &value, bias, 0.0, false, None, false,
            )
        };
        let joined = match &self.tables {
            None => attend(&query, None)?,
            Some(tables) => {
                // Some rows of queries after the other, so that their bias stays small.
                let row = batch * heads * width * height * width;
                let rows = (BIAS_ELEMENTS / row).clamp(1, height);
                let mut parts = Vec::with_capacity((height / rows + 1) as usize);
                let mut first = 0;
                while first < height {
                    let rows = rows.min(height - first);
                    let part = query.f_narrow(2, first * width, rows * width)?;
                    let squares = part.f_reshape([batch * heads, rows, width, head])?;
                    let by_row = tables.rows.f_narrow(0, first, rows)?;
                    let along = |equation: &str, table: &Tensor| {
                        // In order while they are small: so is then what they add up to.
                        Tensor::f_einsum(equation, &[&squares, table], None::<i64>)?.f_contiguous()
                    };
                    let by_row = along("bhwc,hkc->bhwk", &by_row)?.f_unsqueeze(-1)?;
                    let by_column = along("bhwc,wkc->bhwk", &tables.columns)?.f_unsqueeze(-2)?;
                    let bias = by_row.f_add(&by_column)?.f_view([
                        batch,
                        heads,
                        rows * width,
                        height * width,
                    ])?;
                    parts.push(attend(&part, Some(&bias))?);
                    first += rows;
                }
                match parts.len() {
                    1 => parts.remove(0),
                    _ => Tensor::f_cat(&parts, 2)?,
                }
            }
        };
        self.proj.forward(&joined.f_transpose(1, 2)?.f_reshape([batch, height, width, size])?)
    }
}

impl Layer {
    fn new(scope: &Scope<'_>, config: &VitConfig, grid: i64, window: i64) -> Self {
        let encoder = &config.encoder;
        let norm =
            |name: &str| LayerNorm::new(&scope.at(name), encoder.size, encoder.layer_norm_eps);
        let side = if window == 0 { grid } else { window };
        Self {
            layer_norm1: norm("layer_norm1"),
            attn: WindowAttention::new(&scope.at("attn"), config, side),
            layer_norm2: norm("layer_norm2"),
            mlp: Mlp::with_keys(&scope.at("mlp"), ["lin1", "lin2"], encoder),
            window,
        }
    }

    /// `[batch, grid, grid, size]` to the same shape.
    fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let normed = self.layer_norm1.forward(x)?;
        let attended = match self.window {
            0 => self.attn.forward(&normed)?,
            side => in_windows(&normed, side, |windows| self.attn.forward(windows))?,
        };
        let x = x.f_add(&attended)?;
        let thought = self.mlp.forward(&self.layer_norm2.forward(&x)?)?;
        x.f_add(&thought)
    }
}

/// Cuts `[batch, height, width, size]` into windows of `side`, padded with zeros on the right and
/// at the bottom, runs `inside` on `[windows, side, side, size]`, and puts them together again.
pub(super) fn in_windows(
    x: &Tensor,
    side: i64,
    inside: impl FnOnce(&Tensor) -> Result<Tensor, TchError>,
) -> Result<Tensor, TchError> {
    let (batch, height, width, size) = x.size4()?;
    let count = |pixels: i64| (pixels + side - 1) / side;
    let (rows, columns) = (count(height), count(width));
    let (pad_below, pad_right) = (rows * side - height, columns * side - width);
    let padded = match (pad_below, pad_right) {
        (0, 0) => x.shallow_clone(),
        _ => x.f_constant_pad_nd([0, 0, 0, pad_right, 0, pad_below])?,
    };
    let windows = padded
        .f_reshape([batch, rows, side, columns, side, size])?
        .f_permute([0, 1, 3, 2, 4, 5])?
        .f_reshape([batch * rows * columns, side, side, size])?;
    let joined = inside(&windows)?
        .f_view([batch, rows, columns, side, side, size])?
        .f_permute([0, 1, 3, 2, 4, 5])?
        .f_reshape([batch, rows * side, columns * side, size])?;
    joined.f_narrow(1, 0, height)?.f_narrow(2, 0, width)
}

impl Vit {
    /// Keys `patch_embed.projection`, `pos_embed`, `layers`, `neck`.
    pub(super) fn new(scope: &Scope<'_>, sam: &SamConfig, config: &VitConfig) -> Self {
        let VitConfig { patch_size, encoder, .. } = config;
        let grid = sam.grid();
        let layers = scope.at("layers");
        let window = |index: i64| match config.global_layers.contains(&index) {
            true => 0,
            false => config.window,
        };
        Self {
            projection: Conv2d::new(
                &scope.at("patch_embed").at("projection"),
                ConvShape {
                    inputs: 3,
                    outputs: encoder.size,
                    side: *patch_size,
                    stride: *patch_size,
                    padding: 0,
                    groups: 1,
                },
            ),
            pos_embed: config
                .absolute_positions
                .then(|| scope.take("pos_embed", &[1, grid, grid, encoder.size])),
            layers: (0..encoder.layers)
                .map(|index| Layer::new(&layers.at(index), config, grid, window(index)))
                .collect(),
            neck: Neck::new(&scope.at("neck"), encoder.size, sam.size),
        }
    }

    /// Works out what follows from what was learned.
    pub(super) fn prepare(&mut self, device: Device) -> Result<(), TchError> {
        self.layers.iter_mut().try_for_each(|layer| layer.attn.prepare(device))
    }

    /// `[batch, 3, image_size, image_size]` to `[batch, output_channels, grid, grid]`.
    pub(super) fn forward(&self, pixel_values: &Tensor) -> Result<Tensor, TchError> {
        let patches = self.projection.forward(pixel_values)?.f_permute([0, 2, 3, 1])?;
        let mut x = match &self.pos_embed {
            Some(positions) => patches.f_add(positions)?.f_contiguous()?,
            None => patches.f_contiguous()?,
        };
        for layer in &self.layers {
            x = layer.forward(&x)?;
        }
        self.neck.forward(&x.f_permute([0, 3, 1, 2])?)
    }
}
