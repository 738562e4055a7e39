//! The prompt encoder: boxes and points to tokens.

use std::f64::consts::PI;

use tch::{Device, Kind, TchError, Tensor};

use super::SamConfig;
use crate::models::ForwardError;
use crate::nn::{Conv2d, ConvShape, LayerNorm, Scope};

/// What a mask is asked for by, in pixels of the network's canvas: a box, points, or both.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CanvasPrompt {
    /// Corners `[x0, y0, x1, y1]`.
    pub box_in_canvas_px: Option<[f64; 4]>,
    /// Points.
    pub points: Vec<CanvasPoint>,
}

/// A point of a [`CanvasPrompt`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CanvasPoint {
    /// From the left edge.
    pub x_px: f64,
    /// From the top edge.
    pub y_px: f64,
    /// Whether the thing is there, or just not there.
    pub inside: bool,
}

impl CanvasPrompt {
    /// Tokens that the prompt becomes: two for a box; one for each point, and one more where
    /// there are only points.
    #[must_use]
    pub fn tokens(&self) -> usize {
        match (self.box_in_canvas_px.is_some(), self.points.len()) {
            (true, points) => points + 2,
            (false, 0) => 0,
            (false, points) => points + 1,
        }
    }

    /// Whether both become tokens of the same kinds, so that one pass takes both.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        self.box_in_canvas_px.is_some() == other.box_in_canvas_px.is_some()
            && self.points.len() == other.points.len()
    }
}

/// Rows of the table of kinds.
const OUTSIDE: i64 = 0;
const INSIDE: i64 = 1;
const TOP_LEFT: i64 = 2;
const BOTTOM_RIGHT: i64 = 3;
const NOT_A_POINT: i64 = 4;

/// All that prompts are made into tokens with.
#[derive(Debug)]
pub(super) struct PromptEncoder {
    /// `[1, size]` each, in the order of the constants above.
    kinds: [Tensor; 5],
    /// `[1, size]`: what is added to each place of the image where no mask is given.
    no_mask_embed: Tensor,
}

impl PromptEncoder {
    /// Keys `point_embed.0` to `.3`, `not_a_point_embed`, `no_mask_embed`, and `mask_embed`, which
    /// embeds masks as prompts: it is part of every checkpoint and not used here.
    pub(super) fn new(scope: &Scope<'_>, config: &SamConfig) -> Self {
        let row = |scope: &Scope<'_>| scope.take("weight", &[1, config.size]);
        let points = scope.at("point_embed");
        take_mask_embedding(&scope.at("mask_embed"), config);
        Self {
            kinds: [
                row(&points.at(0)),
                row(&points.at(1)),
                row(&points.at(2)),
                row(&points.at(3)),
                row(&scope.at("not_a_point_embed")),
            ],
            no_mask_embed: row(&scope.at("no_mask_embed")),
        }
    }

    /// `[1, size, 1, 1]`.
    pub(super) fn no_mask(&self) -> Result<Tensor, TchError> {
        self.no_mask_embed.f_view([1, -1, 1, 1])
    }

    /// `[prompts, tokens, size]` in the number format of the weights. All prompts have tokens of
    /// the same kinds.
    pub(super) fn forward(
        &self,
        prompts: &[CanvasPrompt],
        positions: &PositionEncoding,
        image_size: i64,
    ) -> Result<Tensor, ForwardError> {
        let tokens = prompts.first().map_or(0, CanvasPrompt::tokens);
        let first = prompts.first().filter(|_| tokens > 0);
        if !first.is_some_and(|first| prompts.iter().all(|prompt| prompt.is_like(first))) {
            return Err(ForwardError::Shape {
                tensor: "prompts",
                expected: "[prompts, tokens], with as many points and boxes in each".to_owned(),
                found: prompts.iter().take(8).map(|prompt| prompt.tokens() as i64).collect(),
            });
        }
        let (mut places, mut kinds, mut keep) = (Vec::new(), Vec::new(), Vec::new());
        let side = image_size as f64;
        let mut put = |x_px: f64, y_px: f64, kind: i64| {
            // Centres of pixels, over the canvas, from -1 to 1: in f64, as in the reference.
            let over = |px: f64| (2.0 * ((px + 0.5) / side) - 1.0) as f32;
            places.extend([over(x_px), over(y_px)]);
            kinds.push(kind);
            keep.push(if kind == NOT_A_POINT { 0.0_f32 } else { 1.0 });
        };
        for prompt in prompts {
            for point in &prompt.points {
                put(point.x_px, point.y_px, if point.inside { INSIDE } else { OUTSIDE });
            }
            match prompt.box_in_canvas_px {
                Some([x0, y0, x1, y1]) => {
                    put(x0, y0, TOP_LEFT);
                    put(x1, y1, BOTTOM_RIGHT);
                }
                None => put(0.0, 0.0, NOT_A_POINT),
            }
        }
        let (count, tokens) = (prompts.len() as i64, tokens as i64);
        let on_device = |tensor: Tensor| tensor.f_to_device(positions.device());
        let places = on_device(Tensor::f_from_slice(&places)?.f_view([count, tokens, 2])?)?;
        let keep = on_device(Tensor::f_from_slice(&keep)?.f_view([count, tokens, 1])?)?;
        let kinds = on_device(Tensor::f_from_slice(&kinds)?)?;
        let table = Tensor::f_cat(&self.kinds, 0)?;
        let added = table.f_index_select(0, &kinds)?.f_view([count, tokens, -1])?;
        let encoded = positions.forward(&places)?.f_mul(&keep)?;
        Ok(encoded.f_to_kind(added.kind())?.f_add(&added)?)
    }
}

fn take_mask_embedding(scope: &Scope<'_>, config: &SamConfig) {
    let channels = config.mask_input_channels;
    let halving = |name: &str, inputs: i64, outputs: i64| {
        let shape = ConvShape { inputs, outputs, side: 2, stride: 2, padding: 0, groups: 1 };
        let _ = Conv2d::new(&scope.at(name), shape);
    };
    halving("conv1", 1, channels / 4);
    halving("conv2", channels / 4, channels);
    let _ = Conv2d::new(&scope.at("conv3"), ConvShape::same(channels, config.size, 1));
    let _ = LayerNorm::new(&scope.at("layer_norm1"), channels / 4, 1e-6);
    let _ = LayerNorm::new(&scope.at("layer_norm2"), channels, 1e-6);
}

/// Random Fourier features of places (Tancik et al. 2020, arXiv:2006.10739). In f32 whatever the
/// format of the weights: half formats cannot tell neighbouring pixels apart once they are
/// multiplied by it.
#[derive(Debug)]
pub(super) struct PositionEncoding {
    /// `[2, size / 2]`.
    frequencies: Tensor,
}

impl PositionEncoding {
    pub(super) fn new(frequencies: &Tensor) -> Result<Self, TchError> {
        Ok(Self { frequencies: frequencies.f_to_kind(Kind::Float)? })
    }

    fn device(&self) -> Device {
        self.frequencies.device()
    }

    /// `places` f32 `[.., 2]`, `(x, y)` from -1 to 1 over the canvas, to f32 `[.., size]`.
    pub(super) fn forward(&self, places: &Tensor) -> Result<Tensor, TchError> {
        let angles = places.f_matmul(&self.frequencies)?.f_mul_scalar(2.0 * PI)?;
        Tensor::f_cat(&[angles.f_sin()?, angles.f_cos()?], -1)
    }

    /// Of the centre of each place of the image embedding, f32 `[1, grid * grid, size]`.
    pub(super) fn of_grid(&self, grid: i64) -> Result<Tensor, TchError> {
        let ones = Tensor::f_ones([grid, grid], (Kind::Float, self.device()))?;
        let centres = |dim: i64| {
            ones.f_cumsum(dim, Kind::Float)?
                .f_sub_scalar(0.5)?
                .f_div_scalar(grid)?
                .f_mul_scalar(2.0)?
                .f_sub_scalar(1.0)
        };
        let places = Tensor::f_stack(&[centres(1)?, centres(0)?], -1)?;
        self.forward(&places.f_view([1, grid * grid, 2])?)
    }
}
