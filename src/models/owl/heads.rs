//! The heads that score and place boxes: one prediction for each patch.

use tch::{Device, Kind, TchError, Tensor};

use crate::nn::{Linear, Scope};

/// Added to norms before division, as in the reference.
const NORM_EPS: f64 = 1e-6;

/// Added inside the logarithms of [`box_bias`], as in the reference.
const BIAS_EPS: f64 = 1e-4;

/// `x / (|x| + 1e-6)` over the last dimension, in f32.
fn normalised(x: &Tensor) -> Result<Tensor, TchError> {
    let x = x.f_to_kind(Kind::Float)?;
    let norm = x.f_linalg_norm(2.0, [-1].as_slice(), true, None)?;
    x.f_div(&norm.f_add_scalar(NORM_EPS)?)
}

/// Scores patches against queries.
#[derive(Debug)]
pub(super) struct ClassHead {
    dense0: Linear,
    logit_shift: Linear,
    logit_scale: Linear,
}

impl ClassHead {
    pub(super) fn new(scope: &Scope<'_>, hidden: i64, projection: i64) -> Self {
        Self {
            dense0: Linear::new(&scope.at("dense0"), hidden, projection),
            logit_shift: Linear::new(&scope.at("logit_shift"), hidden, 1),
            logit_scale: Linear::new(&scope.at("logit_scale"), hidden, 1),
        }
    }

    /// `[batch, patches, hidden]` to `[batch, patches, projection]`, not normalised.
    pub(super) fn class_embeds(&self, features: &Tensor) -> Result<Tensor, TchError> {
        self.dense0.forward(features)
    }

    /// `features` `[batch, patches, hidden]` and `queries` `[n, projection]` to f32
    /// `[batch, patches, n]`. One matrix product for all queries; everything after the learned
    /// projections is f32.
    pub(super) fn forward(&self, features: &Tensor, queries: &Tensor) -> Result<Tensor, TchError> {
        let class_embeds = normalised(&self.class_embeds(features)?)?;
        let similarity = class_embeds.f_matmul(&normalised(queries)?.f_transpose(0, 1)?)?;
        self.logits(features, &similarity)
    }

    /// What a query would get at each patch that is exactly what the patch is: f32
    /// `[batch, patches, 1]`.
    pub(super) fn highest_possible(&self, features: &Tensor) -> Result<Tensor, TchError> {
        self.logits(features, &Tensor::f_ones([1], (Kind::Float, features.device()))?)
    }

    fn logits(&self, features: &Tensor, similarity: &Tensor) -> Result<Tensor, TchError> {
        let shift = self.logit_shift.forward(features)?.f_to_kind(Kind::Float)?;
        let scale = self.logit_scale.forward(features)?.f_to_kind(Kind::Float)?;
        let scale = scale.f_elu()?.f_add_scalar(1.0)?;
        similarity.f_add(&shift)?.f_mul(&scale)
    }
}

/// A perceptron of three layers: places boxes (four outputs), or tells objects from the rest
/// (one output).
#[derive(Debug)]
pub(super) struct PatchMlp {
    dense0: Linear,
    dense1: Linear,
    dense2: Linear,
}

impl PatchMlp {
    pub(super) fn new(scope: &Scope<'_>, hidden: i64, outputs: i64) -> Self {
        Self {
            dense0: Linear::new(&scope.at("dense0"), hidden, hidden),
            dense1: Linear::new(&scope.at("dense1"), hidden, hidden),
            dense2: Linear::new(&scope.at("dense2"), hidden, outputs),
        }
    }

    /// `[batch, patches, hidden]` to f32 `[batch, patches, outputs]`.
    pub(super) fn forward(&self, features: &Tensor) -> Result<Tensor, TchError> {
        let x = self.dense0.forward(features)?.f_gelu("none")?;
        let x = self.dense1.forward(&x)?.f_gelu("none")?;
        self.dense2.forward(&x)?.f_to_kind(Kind::Float)
    }
}

/// What is added to the box head's output before the sigmoid, f32 `[grid * grid, 4]`: the logit of
/// each patch's far corner as centre, and of one patch as size. It follows from the geometry
/// alone.
///
/// # Errors
/// What libtorch reports.
pub fn box_bias(grid: i64) -> Result<Tensor, TchError> {
    let logit = |x: &Tensor| {
        x.f_add_scalar(BIAS_EPS)?.f_log()?.f_sub(&x.f_neg()?.f_add_scalar(BIAS_EPS)?.f_log1p()?)
    };
    let options = (Kind::Float, Device::Cpu);
    let steps = Tensor::f_arange_start(1, grid + 1, options)?.f_div_scalar(grid)?;
    let x = steps.f_view([1, grid])?.f_expand([grid, grid], false)?;
    let y = steps.f_view([grid, 1])?.f_expand([grid, grid], false)?;
    let centre = Tensor::f_stack(&[x, y], -1)?.f_view([grid * grid, 2])?;
    let size = Tensor::f_ones([grid * grid, 2], options)?.f_div_scalar(grid)?;
    Tensor::f_cat(&[logit(&centre)?, logit(&size)?], -1)
}
