//! Multi-head attention.

use tch::{TchError, Tensor};

use super::{Linear, Scope};

/// Multi-head self-attention (Vaswani et al. 2017, arXiv:1706.03762) with the keys of CLIP:
/// `q_proj`, `k_proj`, `v_proj`, `out_proj`.
#[derive(Debug)]
pub struct Attention {
    q_proj: Linear,
    k_proj: Linear,
    v_proj: Linear,
    out_proj: Linear,
    heads: i64,
}

impl Attention {
    /// `size` is a multiple of `heads`.
    #[must_use]
    pub fn new(scope: &Scope<'_>, size: i64, heads: i64) -> Self {
        let projection = |name: &str| Linear::new(&scope.at(name), size, size);
        Self {
            q_proj: projection("q_proj"),
            k_proj: projection("k_proj"),
            v_proj: projection("v_proj"),
            out_proj: projection("out_proj"),
            heads,
        }
    }

    /// `[batch, tokens, size]` to `[batch, tokens, size]`. With `causal`, a token sees itself and
    /// those before it only. Scores are scaled by the root of the head's size; libtorch picks the
    /// fused kernel for the device.
    ///
    /// # Errors
    /// What libtorch reports.
    pub fn forward(&self, x: &Tensor, causal: bool) -> Result<Tensor, TchError> {
        let (batch, tokens, size) = x.size3()?;
        let split = |projection: &Linear| {
            projection
                .forward(x)?
                .f_view([batch, tokens, self.heads, size / self.heads])?
                .f_transpose(1, 2)
        };
        Tensor::f_scaled_dot_product_attention(
            &split(&self.q_proj)?,
            &split(&self.k_proj)?,
            &split(&self.v_proj)?,
            None::<&Tensor>,
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
