//! The layers of BERT and MPNet, under the key names of each.

use tch::{Kind, TchError, Tensor};

use super::config::{BertConfig, BertFamily, DISTANCES};
use crate::nn::{Attention, Embedding, EncoderConfig, LayerNorm, Linear, Mlp, Projections, Scope};

/// Distances from here on are one.
const LONGEST_DISTANCE: f64 = 128.0;

/// All that is learned and used.
#[derive(Debug)]
pub(super) struct Network {
    word_embeddings: Embedding,
    position_embeddings: Embedding,
    /// BERT only.
    token_type_embeddings: Option<Embedding>,
    embeddings_norm: LayerNorm,
    layers: Vec<Layer>,
    /// A bias of each head for each distance: MPNet only.
    relative_attention_bias: Option<Embedding>,
}

impl Network {
    pub(super) fn new(root: &Scope<'_>, config: &BertConfig) -> Self {
        let EncoderConfig { size, layers, heads, layer_norm_eps, .. } = config.encoder;
        let embeddings = root.at("embeddings");
        let encoder = root.at("encoder");
        let table = |name: &str, rows: i64| Embedding::new(&embeddings.at(name), rows, size);
        Self {
            word_embeddings: table("word_embeddings", config.vocabulary),
            position_embeddings: table("position_embeddings", config.positions),
            token_type_embeddings: (config.family == BertFamily::Bert)
                .then(|| table("token_type_embeddings", config.token_types)),
            embeddings_norm: LayerNorm::new(&embeddings.at("LayerNorm"), size, layer_norm_eps),
            relative_attention_bias: (config.family == BertFamily::Mpnet)
                .then(|| Embedding::new(&encoder.at("relative_attention_bias"), DISTANCES, heads)),
            layers: (0..layers)
                .map(|index| Layer::new(&encoder.at("layer").at(index), config))
                .collect(),
        }
    }

    /// `ids` and `positions` are `[texts, tokens]` i64; `hidden` is bool `[texts, tokens]`, true
    /// for padding. All on the device. The result is `[texts, tokens, size]`.
    pub(super) fn forward(
        &self,
        ids: &Tensor,
        positions: &Tensor,
        hidden: &Tensor,
    ) -> Result<Tensor, TchError> {
        let words = self.word_embeddings.forward(ids)?;
        // In the reference's order: the last bits of a sum depend on it.
        let mut x = match &self.token_type_embeddings {
            Some(types) => words.f_add(&types.first_rows(1)?)?,
            None => words,
        };
        x = x.f_add(&self.position_embeddings.forward(positions)?)?;
        x = self.embeddings_norm.forward(&x)?;
        let bias = self.bias(hidden, x.kind())?;
        self.layers.iter().try_fold(x, |x, layer| layer.forward(&x, &bias))
    }

    /// What is added to the scores of attention: minus infinity for padding, and what the distance
    /// of two tokens is worth. It expands to `[texts, heads, tokens, tokens]`.
    fn bias(&self, hidden: &Tensor, kind: Kind) -> Result<Tensor, TchError> {
        let (texts, tokens) = hidden.size2()?;
        let options = (kind, hidden.device());
        let padding = Tensor::f_zeros([texts, 1, 1, tokens], options)?
            .f_masked_fill(&hidden.f_view([texts, 1, 1, tokens])?, f64::NEG_INFINITY)?;
        match &self.relative_attention_bias {
            Some(of_distances) => {
                let distances = distances(tokens)?.f_to_device(hidden.device())?;
                let of_pairs =
                    of_distances.forward(&distances)?.f_permute([2, 0, 1])?.f_unsqueeze(0)?;
                of_pairs.f_add(&padding)
            }
            None => padding.f_expand([texts, 1, tokens, tokens], false),
        }
    }
}

/// The class of the distance from one token to another, i64 `[tokens, tokens]`: as
/// `relative_position_bucket` of the reference, in the same f32 steps, since a class changes where
/// a logarithm is a whole number.
fn distances(tokens: i64) -> Result<Tensor, TchError> {
    let options = (Kind::Int64, tch::Device::Cpu);
    let at = Tensor::f_arange(tokens, options)?;
    // From the query's side: positive where the other token stands before it.
    let before = at.f_unsqueeze(1)?.f_sub(&at.f_unsqueeze(0)?)?;
    let of_one_side = DISTANCES / 2;
    let exact = of_one_side / 2;
    let side = before.f_lt(0)?.f_to_kind(Kind::Int64)?.f_mul_scalar(of_one_side)?;
    let far = before.f_abs()?;
    let logarithmic = far
        .f_to_kind(Kind::Float)?
        .f_div_scalar(exact)?
        .f_log()?
        .f_div_scalar((LONGEST_DISTANCE / exact as f64).ln())?
        .f_mul_scalar(of_one_side - exact)?
        // The distance 0 has no logarithm, and its class does not come from here.
        .f_clamp_min(0.0)?
        .f_to_kind(Kind::Int64)?
        .f_add_scalar(exact)?
        .f_clamp_max(of_one_side - 1)?;
    side.f_add(&far.f_where_self(&far.f_lt(exact)?, &logarithmic)?)
}

/// Attention and perceptron, each around a residual and before a layer norm.
#[derive(Debug)]
struct Layer {
    attention: Attention,
    attention_norm: LayerNorm,
    mlp: Mlp,
    output_norm: LayerNorm,
}

impl Layer {
    fn new(scope: &Scope<'_>, config: &BertConfig) -> Self {
        let EncoderConfig { size, intermediate, heads, activation, layer_norm_eps, .. } =
            config.encoder;
        let norm = |scope: Scope<'_>| LayerNorm::new(&scope.at("LayerNorm"), size, layer_norm_eps);
        let attention = scope.at("attention");
        let output = scope.at("output");
        let (inner, names, out, attention_norm) = match config.family {
            BertFamily::Bert => {
                let out = attention.at("output");
                (attention.at("self"), ["query", "key", "value"], out.at("dense"), out)
            }
            BertFamily::Mpnet => {
                let inner = attention.at("attn");
                let out = inner.at("o");
                (inner, ["q", "k", "v"], out, attention)
            }
        };
        let [query, key, value] = names.map(|name| Linear::new(&inner.at(name), size, size));
        let projections = Projections::Separate { query, key, value };
        Self {
            attention: Attention::from_parts(projections, Linear::new(&out, size, size), heads),
            attention_norm: norm(attention_norm),
            mlp: Mlp::from_parts(
                Linear::new(&scope.at("intermediate").at("dense"), size, intermediate),
                Linear::new(&output.at("dense"), intermediate, size),
                activation,
            ),
            output_norm: norm(output),
        }
    }

    fn forward(&self, x: &Tensor, bias: &Tensor) -> Result<Tensor, TchError> {
        let attended = self.attention.forward_biased(x, bias)?;
        let x = self.attention_norm.forward(&attended.f_add(x)?)?;
        let thought = self.mlp.forward(&x)?;
        self.output_norm.forward(&thought.f_add(&x)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the reference's `relative_position_bucket` gives for the distances of a query at 150 to
    /// keys at 150, 149, 143, 142, 134, 118, 86, 23, 0, and 151, 157, 158, 166, 278, 299.
    #[test]
    fn near_distances_are_told_apart_and_far_ones_are_not() {
        let row = Vec::<i64>::try_from(distances(300).unwrap().get(150)).unwrap();
        let keys = [150, 149, 143, 142, 134, 118, 86, 23, 0, 151, 157, 158, 166, 278, 299];
        let expected = [0, 1, 7, 8, 10, 12, 14, 15, 15, 17, 23, 24, 26, 31, 31];
        assert_eq!(keys.map(|key| row[key]), expected);
    }
}
