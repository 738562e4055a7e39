//! CLIP's two towers (Radford et al. 2021, arXiv:2103.00020): one for text, one for images.
//!
//! Held against `transformers` 5.23.0, `models/owlvit/modeling_owlvit.py`
//! (`OwlViTTextTransformer`, `OwlViTVisionTransformer`) and `models/clipseg/modeling_clipseg.py`
//! (`CLIPSegTextModel`, `CLIPSegVisionModel`).

use tch::{Kind, TchError, Tensor};

use super::{Embedding, Encoder, EncoderConfig, LayerNorm, PatchEmbedding, Scope};

/// Sizes of a [`TextTower`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TextTowerConfig {
    /// Size of the vocabulary (`vocab_size`).
    pub vocabulary: i64,
    /// Tokens of the longest text (`max_position_embeddings`).
    pub max_tokens: i64,
    /// The transformer.
    pub encoder: EncoderConfig,
}

/// Token ids to one vector for each text.
#[derive(Debug)]
pub struct TextTower {
    token_embedding: Embedding,
    position_embedding: Embedding,
    encoder: Encoder,
    final_layer_norm: LayerNorm,
}

impl TextTower {
    /// Keys `embeddings.token_embedding`, `embeddings.position_embedding`, `encoder`,
    /// `final_layer_norm`.
    #[must_use]
    pub fn new(scope: &Scope<'_>, config: &TextTowerConfig) -> Self {
        let TextTowerConfig { vocabulary, max_tokens, encoder } = config;
        let embeddings = scope.at("embeddings");
        let embedding =
            |name: &str, rows: i64| Embedding::new(&embeddings.at(name), rows, encoder.size);
        Self {
            token_embedding: embedding("token_embedding", *vocabulary),
            position_embedding: embedding("position_embedding", *max_tokens),
            encoder: Encoder::new(&scope.at("encoder"), encoder),
            final_layer_norm: LayerNorm::new(
                &scope.at("final_layer_norm"),
                encoder.size,
                encoder.layer_norm_eps,
            ),
        }
    }

    /// `ids` `[texts, tokens]` i64, each in `0..vocabulary`, to the pooled output
    /// `[texts, size]`: the token with the highest id, which is the end of the text. Padding
    /// stands after it and the attention is causal, so padding needs no mask.
    ///
    /// # Errors
    /// What libtorch reports.
    pub fn forward(&self, ids: &Tensor) -> Result<Tensor, TchError> {
        let (texts, tokens) = ids.size2()?;
        let x = self
            .token_embedding
            .forward(ids)?
            .f_add(&self.position_embedding.first_rows(tokens)?)?;
        let x = self.encoder.forward(x, true)?;
        let size = x.size3()?.2;
        let end = ids.f_argmax(-1, true)?.f_unsqueeze(-1)?.f_expand([texts, 1, size], false)?;
        // Only the pooled token is normalised: the norm looks at each token by itself.
        self.final_layer_norm.forward(&x.f_gather(1, &end, false)?.f_squeeze_dim(1)?)
    }
}

/// Sizes of an [`ImageTower`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ImageTowerConfig {
    /// Side of the square input in pixels (`image_size`).
    pub image_size: i64,
    /// Side of a square patch in pixels (`patch_size`).
    pub patch_size: i64,
    /// The transformer.
    pub encoder: EncoderConfig,
}

impl ImageTowerConfig {
    /// Patches along one side of the input.
    #[must_use]
    pub fn grid(&self) -> i64 {
        self.image_size / self.patch_size
    }
}

/// Pixels to one vector for each patch and one for the whole image.
#[derive(Debug)]
pub struct ImageTower {
    class_embedding: Tensor,
    patch_embedding: PatchEmbedding,
    position_embedding: Embedding,
    pre_layernorm: LayerNorm,
    encoder: Encoder,
    post_layernorm: LayerNorm,
    /// Patches along one side of the input that positions were learned for.
    grid: i64,
}

impl ImageTower {
    /// Keys `embeddings.class_embedding`, `embeddings.patch_embedding`,
    /// `embeddings.position_embedding`, `encoder`, `post_layernorm` and `pre_layernorm_key`:
    /// `pre_layernorm` in OWL-ViT, `pre_layrnorm` in CLIP, whose spelling stuck.
    #[must_use]
    pub fn new(scope: &Scope<'_>, config: &ImageTowerConfig, pre_layernorm_key: &str) -> Self {
        let encoder = &config.encoder;
        let embeddings = scope.at("embeddings");
        let norm =
            |name: &str| LayerNorm::new(&scope.at(name), encoder.size, encoder.layer_norm_eps);
        let tokens = config.grid() * config.grid() + 1;
        Self {
            class_embedding: embeddings.take("class_embedding", &[encoder.size]),
            patch_embedding: PatchEmbedding::new(
                &embeddings.at("patch_embedding"),
                config.patch_size,
                encoder.size,
            ),
            position_embedding: Embedding::new(
                &embeddings.at("position_embedding"),
                tokens,
                encoder.size,
            ),
            pre_layernorm: norm(pre_layernorm_key),
            encoder: Encoder::new(&scope.at("encoder"), encoder),
            post_layernorm: norm("post_layernorm"),
            grid: config.grid(),
        }
    }

    /// `pixel_values` `[batch, 3, image_size, image_size]`, normalised, in the number format of
    /// the weights, to `[batch, 1 + patches, size]` after the last layer norm: the class token,
    /// then the patches row by row.
    ///
    /// # Errors
    /// What libtorch reports.
    pub fn forward(&self, pixel_values: &Tensor) -> Result<Tensor, TchError> {
        self.forward_at(pixel_values, &self.positions(self.grid)?)
    }

    /// As [`forward`](Self::forward) for a square input of any size; `positions` are those of its
    /// grid.
    ///
    /// # Errors
    /// What libtorch reports.
    pub fn forward_at(
        &self,
        pixel_values: &Tensor,
        positions: &Tensor,
    ) -> Result<Tensor, TchError> {
        let x = self.encoder.forward(self.embed(pixel_values, positions)?, false)?;
        self.post_layernorm.forward(&x)
    }

    /// What the layers of the encoder with these indices (from 0) give, each
    /// `[batch, 1 + patches, size]`; no layer behind the last of them runs.
    ///
    /// # Errors
    /// What libtorch reports.
    ///
    /// # Panics
    /// Where there is no such layer.
    pub fn layer_outputs(
        &self,
        pixel_values: &Tensor,
        positions: &Tensor,
        layers: &[usize],
    ) -> Result<Vec<Tensor>, TchError> {
        self.encoder.layer_outputs(self.embed(pixel_values, positions)?, layers, false)
    }

    /// Embeddings of the positions of a square input with `grid` patches along a side,
    /// `[1 + grid * grid, size]`: those that were learned, or stretched to that grid by bicubic
    /// interpolation (in f32, whatever the number format).
    ///
    /// # Errors
    /// What libtorch reports.
    pub fn positions(&self, grid: i64) -> Result<Tensor, TchError> {
        let learned = self.position_embedding.first_rows(self.grid * self.grid + 1)?;
        if grid == self.grid {
            return Ok(learned);
        }
        stretch_positions(&learned, self.grid, (grid, grid))
    }

    /// What the encoder starts with: class token and patches with their positions, normalised.
    fn embed(&self, pixel_values: &Tensor, positions: &Tensor) -> Result<Tensor, TchError> {
        let patches = self.patch_embedding.forward(pixel_values)?;
        let (batch, _, size) = patches.size3()?;
        let class = self.class_embedding.f_expand([batch, 1, size], false)?;
        self.pre_layernorm.forward(&Tensor::f_cat(&[class, patches], 1)?.f_add(positions)?)
    }
}

/// Embeddings of the positions of a class token and a square of `grid * grid` patches,
/// `[1 + grid * grid, size]`, for `rows` x `columns` patches instead: bicubic interpolation (in
/// f32, whatever the number format) of those of patches, `[1 + rows * columns, size]`.
///
/// # Errors
/// What libtorch reports.
pub fn stretch_positions(
    learned: &Tensor,
    grid: i64,
    (rows, columns): (i64, i64),
) -> Result<Tensor, TchError> {
    let size = learned.size2()?.1;
    let patches = learned
        .f_narrow(0, 1, grid * grid)?
        .f_to_kind(Kind::Float)?
        .f_view([1, grid, grid, size])?
        .f_permute([0, 3, 1, 2])?
        .f_upsample_bicubic2d([rows, columns], false, None, None)?
        .f_permute([0, 2, 3, 1])?
        .f_reshape([rows * columns, size])?
        .f_to_kind(learned.kind())?;
    Tensor::f_cat(&[learned.f_narrow(0, 0, 1)?, patches], 0)
}
