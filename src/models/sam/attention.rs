//! Attention between the tokens of prompts and the places of an image.

use tch::{Device, Kind, TchError, Tensor};

use super::MaskDecoderConfig;
use crate::nn::{Linear, Scope};

/// Multi-head attention between two sequences, narrower inside.
#[derive(Debug)]
pub(super) struct CrossAttention {
    q_proj: Linear,
    k_proj: Linear,
    v_proj: Linear,
    out_proj: Linear,
    heads: i64,
}

impl CrossAttention {
    pub(super) fn new(scope: &Scope<'_>, config: &MaskDecoderConfig, downsample: i64) -> Self {
        let size = config.encoder.size;
        let inner = size / downsample;
        let projection = |name: &str| Linear::new(&scope.at(name), size, inner);
        Self {
            q_proj: projection("q_proj"),
            k_proj: projection("k_proj"),
            v_proj: projection("v_proj"),
            out_proj: Linear::new(&scope.at("out_proj"), inner, size),
            heads: config.encoder.heads,
        }
    }

    /// Each is `[prompts, its tokens, size]`, or `[1, ..]` where all prompts have the same, which
    /// is then projected once. The result is `[prompts, tokens of the query, size]`.
    pub(super) fn forward(
        &self,
        query: &Tensor,
        key: &Tensor,
        value: &Tensor,
    ) -> Result<Tensor, TchError> {
        let count = query.size3()?.0.max(key.size3()?.0);
        let split = |projection: &Linear, x: &Tensor| {
            let split = self.split(projection, x)?;
            let (_, heads, tokens, head) = split.size4()?;
            split.f_expand([count, heads, tokens, head], false)
        };
        let joined = Tensor::f_scaled_dot_product_attention(
            &split(&self.q_proj, query)?,
            &split(&self.k_proj, key)?,
            &split(&self.v_proj, value)?,
            None::<&Tensor>,
            0.0,
            false,
            None,
            false,
        )?;
        let (_, heads, tokens, head) = joined.size4()?;
        self.out_proj.forward(&joined.f_transpose(1, 2)?.f_reshape([
            count,
            tokens,
            heads * head,
        ])?)
    }

    /// As [`forward`](Self::forward) for few tokens that look at the many places of an image.
    ///
    /// On the CPU places are not projected at all where tokens are few: the projection of keys is
    /// applied to the queries instead, that of values to what was seen. The bias of the keys falls
    /// out, since a softmax does not see what all its scores have in common; that of the values
    /// is added once, since shares add up to 1.
    pub(super) fn tokens_to_image(
        &self,
        query: &Tensor,
        key: &Tensor,
        value: &Tensor,
    ) -> Result<Tensor, TchError> {
        let (count, tokens, size) = query.size3()?;
        let images = key.size3()?.0;
        if !self.spares_projections(query) {
            return self.forward(query, key, value);
        }
        let of_all = self.heads * tokens;
        let queries = self
            .split(&self.q_proj, query)?
            .f_matmul(&self.by_head(&self.k_proj)?)?
            .f_mul_scalar(self.scale()?)?
            .f_reshape([images, count / images * of_all, size])?;
        let shares = queries.f_bmm(&key.f_transpose(1, 2)?)?.f_softmax(-1, None::<Kind>)?;
        let seen = shares.f_bmm(value)?.f_view([count, self.heads, tokens, size])?;
        let seen = seen.f_matmul(&self.by_head(&self.v_proj)?.f_transpose(1, 2)?)?;
        let joined = seen.f_transpose(1, 2)?.f_reshape([count, tokens, -1])?;
        let joined = match self.v_proj.bias() {
            Some(bias) => joined.f_add(bias)?,
            None => joined,
        };
        self.out_proj.forward(&joined)
    }

    /// As [`forward`](Self::forward) for the many places of an image that look at few tokens.
    ///
    /// On the CPU neither places nor what they see are projected where tokens are few, but those;
    /// and scores stand token by token, since a softmax over a handful of neighbours in
    /// memory takes several times as long.
    pub(super) fn image_to_tokens(
        &self,
        query: &Tensor,
        key: &Tensor,
        value: &Tensor,
    ) -> Result<Tensor, TchError> {
        let (count, tokens, size) = key.size3()?;
        let (images, places, _) = query.size3()?;
        if !self.spares_projections(key) {
            return self.forward(query, key, value);
        }
        let of_all = self.heads * tokens;
        let keys = self.split(&self.k_proj, key)?.f_mul_scalar(self.scale()?)?;
        let folded = keys.f_matmul(&self.by_head(&self.q_proj)?)?;
        let mut scores = folded
            .f_reshape([images, count / images * of_all, size])?
            .f_bmm(&query.f_transpose(1, 2)?)?
            .f_view([count, self.heads, tokens, places])?;
        if let Some(bias) = self.q_proj.bias() {
            let head = keys.size4()?.3;
            let constant = keys.f_matmul(&bias.f_view([self.heads, head, 1])?)?;
            scores = scores.f_add_(&constant)?;
        }
        let shares = scores.f_softmax(2, None::<Kind>)?.f_view([count, of_all, places])?;
        // `[heads, head, size]`.
        let (inner, heads) = (self.out_proj.weight().size2()?.1, self.heads);
        let out =
            self.out_proj.weight().f_transpose(0, 1)?.f_reshape([heads, inner / heads, size])?;
        let mut values = self.split(&self.v_proj, value)?.f_matmul(&out)?;
        if let Some(bias) = self.out_proj.bias() {
            // Shares of each head add up to 1.
            values = values.f_add_(&bias.f_div_scalar(heads as f64)?)?;
        }
        shares.f_transpose(1, 2)?.f_bmm(&values.f_reshape([count, of_all, size])?)
    }

    /// Whether to project `tokens` `[prompts, n, size]` for each head and not the image: at full
    /// size it takes half the time with 7 tokens, as long with 24, and a fourth more with 32, from
    /// where on it is not done. A GPU has fused attention, which keeps scores in f32.
    fn spares_projections(&self, tokens: &Tensor) -> bool {
        let inner = self.q_proj.weight().size()[0];
        tokens.device() == Device::Cpu && self.heads * tokens.size()[1] <= 2 * inner
    }

    /// A projection's weight, head by head: `[heads, inner / heads, size]`.
    fn by_head(&self, projection: &Linear) -> Result<Tensor, TchError> {
        let (inner, size) = projection.weight().size2()?;
        projection.weight().f_view([self.heads, inner / self.heads, size])
    }

    /// `[batch, tokens, size]` to `[batch, heads, tokens, inner / heads]`.
    fn split(&self, projection: &Linear, x: &Tensor) -> Result<Tensor, TchError> {
        let projected = projection.forward(x)?;
        let (batch, tokens, inner) = projected.size3()?;
        projected.f_view([batch, tokens, self.heads, inner / self.heads])?.f_transpose(1, 2)
    }

    /// What scores are multiplied with.
    fn scale(&self) -> Result<f64, TchError> {
        let (inner, _) = self.q_proj.weight().size2()?;
        Ok(((inner / self.heads) as f64).sqrt().recip())
    }
}
