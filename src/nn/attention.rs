//! Multi-head attention.

use tch::{TchError, Tensor};

use super::{Linear, Scope};

/// Multi-head attention (Vaswani et al. 2017, arXiv:1706.03762).
#[derive(Debug)]
pub struct Attention {
    projections: Projections,
    out_proj: Linear,
    heads: i64,
}

/// What makes queries, keys and values of tokens, each `[size, size]`.
#[derive(Debug)]
pub enum Projections {
    /// Three layers.
    Separate {
        /// Queries.
        query: Linear,
        /// Keys.
        key: Linear,
        /// Values.
        value: Linear,
    },
    /// One layer to `3 * size` channels: queries, keys, values.
    Fused(Linear),
}

impl Projections {
    /// Queries of `x`, keys and values of `other`, each `[batch, tokens, size]`; without `other`
    /// all are of `x`.
    fn forward(&self, x: &Tensor, other: Option<&Tensor>) -> Result<[Tensor; 3], TchError> {
        match self {
            Self::Separate { query, key, value } => {
                let other = other.unwrap_or(x);
                Ok([query.forward(x)?, key.forward(other)?, value.forward(other)?])
            }
            Self::Fused(all) => {
                let size = x.size3()?.2;
                let part = |all: &Tensor, index: i64| all.f_narrow(2, index * size, size);
                let of_x = all.forward(x)?;
                let of_other = match other {
                    Some(other) => all.forward(other)?,
                    None => of_x.shallow_clone(),
                };
                Ok([part(&of_x, 0)?, part(&of_other, 1)?, part(&of_other, 2)?])
            }
        }
    }
}

impl Attention {
    /// With the keys of CLIP: `q_proj`, `k_proj`, `v_proj`, `out_proj`. `size` is a multiple of
    /// `heads`.
    #[must_use]
    pub fn new(scope: &Scope<'_>, size: i64, heads: i64) -> Self {
        let projection = |name: &str| Linear::new(&scope.at(name), size, size);
        let projections = Projections::Separate {
            query: projection("q_proj"),
            key: projection("k_proj"),
            value: projection("v_proj"),
        };
        Self::from_parts(projections, projection("out_proj"), heads)
    }

    /// From layers of any keys; `out_proj` is `[size, size]`, `size` a multiple of `heads`.
    #[must_use]
    pub fn from_parts(projections: Projections, out_proj: Linear, heads: i64) -> Self {
        Self { projections, out_proj, heads }
    }

    /// `[batch, tokens, size]` to `[batch, tokens, size]`. With `causal`, a token sees itself and
    /// those before it only. Scores are scaled by the root of the head's size; libtorch picks the
    /// fused kernel for the device.
    ///
    /// # Errors
    /// What libtorch reports.
    pub fn forward(&self, x: &Tensor, causal: bool) -> Result<Tensor, TchError> {
        self.attend(x, None, None, causal)
    }

    /// As [`forward`](Self::forward), where every token sees every other one; `bias` is added to
    /// the scaled scores: anything that expands to `[batch, heads, tokens, tokens]`, in the number
    /// format of `x`. Minus infinity hides a token.
    ///
    /// # Errors
    /// What libtorch reports.
    pub fn forward_biased(&self, x: &Tensor, bias: &Tensor) -> Result<Tensor, TchError> {
        self.attend(x, None, Some(bias), false)
    }

    /// `x` `[batch, tokens, size]` looks at `other` `[batch, others, size]`; gives the shape of
    /// `x`.
    ///
    /// # Errors
    /// What libtorch reports.
    pub fn forward_cross(&self, x: &Tensor, other: &Tensor) -> Result<Tensor, TchError> {
        self.attend(x, Some(other), None, false)
    }

    fn attend(
        &self,
        x: &Tensor,
        other: Option<&Tensor>,
        bias: Option<&Tensor>,
        causal: bool,
    ) -> Result<Tensor, TchError> {
        let (batch, tokens, size) = x.size3()?;
        let split = |projected: &Tensor| {
            projected.f_reshape([batch, -1, self.heads, size / self.heads])?.f_transpose(1, 2)
        };
        let [queries, keys, values] = self.projections.forward(x, other)?;
        Tensor::f_scaled_dot_product_attention(
            &split(&queries)?,
            &split(&keys)?,
            &split(&values)?,
            bias,
            0.0,
            causal,
            None,
            false,
        )?
        .f_transpose(1, 2)?
        .f_reshape([batch, tokens, size])
        .and_then(|joined| self.out_proj.forward(&joined))
    }
}
