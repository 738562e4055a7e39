//! `config.json` of BERT and MPNet checkpoints.

use std::path::Path;

use serde::Deserialize;

use crate::models::ConfigError;
use crate::models::config::{self, Problems, RawEncoderConfig};
use crate::nn::{Activation, EncoderConfig};

/// What `configuration_bert.py` and `configuration_mpnet.py` of `transformers` 5.23.0 take where a
/// configuration says nothing.
const DEFAULTS: EncoderConfig = EncoderConfig {
    size: 768,
    intermediate: 3072,
    layers: 12,
    heads: 12,
    activation: Activation::Gelu,
    layer_norm_eps: 1e-12,
};

/// The number of distances that MPNet tells apart; the reference computes with it whatever a
/// configuration says.
pub(super) const DISTANCES: i64 = 32;

/// Which of the two architectures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BertFamily {
    /// BERT: Devlin et al. 2018, arXiv:1810.04805.
    Bert,
    /// MPNet: Song et al. 2020, arXiv:2004.09297. BERT with a bias for the distance of two tokens
    /// and without token types.
    Mpnet,
}

impl BertFamily {
    /// The `model_type` of its configurations, and what stands before its keys in a checkpoint
    /// that was saved with a head.
    #[must_use]
    pub fn model_type(self) -> &'static str {
        match self {
            Self::Bert => "bert",
            Self::Mpnet => "mpnet",
        }
    }

    /// `model_type` back to the family.
    #[must_use]
    pub fn of_model_type(name: &str) -> Option<Self> {
        [Self::Bert, Self::Mpnet].into_iter().find(|family| family.model_type() == name)
    }
}

/// A configuration whose values were checked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BertConfig {
    /// Which architecture.
    pub family: BertFamily,
    /// Size of the vocabulary (`vocab_size`).
    pub vocabulary: i64,
    /// Rows of the table of positions (`max_position_embeddings`).
    pub positions: i64,
    /// Rows of the table of token types (`type_vocab_size`); MPNet has none.
    pub token_types: i64,
    /// The id that MPNet gives no position (`pad_token_id`).
    pub padding_id: i64,
    /// The transformer.
    pub encoder: EncoderConfig,
}

impl BertConfig {
    /// Reads `config.json` in `folder`. Keys that are absent take the defaults of `transformers`;
    /// keys that say nothing about inference are ignored.
    ///
    /// # Errors
    /// A file that cannot be read, another architecture, and every value that cannot be used.
    pub fn open(folder: &Path) -> Result<Self, ConfigError> {
        let (text, path) = config::read(folder)?;
        Self::parse(&text, &path)
    }

    /// The configuration in `text`; `path` is for errors only.
    ///
    /// # Errors
    /// As [`open`](Self::open), except for reading.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let found = config::model_type(text, path)?;
        let Some(family) = BertFamily::of_model_type(&found) else {
            let expected = "bert or mpnet";
            return Err(ConfigError::ModelType { path: path.to_owned(), expected, found });
        };
        let raw: RawConfig = config::parse(text, path)?;
        let mut problems = Problems::default();
        let config = raw.check(family, &mut problems);
        problems.finish(config, path)
    }

    /// Tokens of the longest text, with those for its start and its end.
    #[must_use]
    pub fn max_tokens(&self) -> i64 {
        match self.family {
            BertFamily::Bert => self.positions,
            // Positions begin behind that of padding.
            BertFamily::Mpnet => self.positions - MPNET_FIRST_POSITION,
        }
    }
}

/// The position of MPNet's first token: `padding_idx + 1`, which the reference fixes at 1 + 1.
pub(super) const MPNET_FIRST_POSITION: i64 = 2;

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawConfig {
    vocab_size: Option<i64>,
    max_position_embeddings: Option<i64>,
    type_vocab_size: Option<i64>,
    pad_token_id: Option<i64>,
    position_embedding_type: Option<String>,
    relative_attention_num_buckets: Option<i64>,
    is_decoder: Option<bool>,
    #[serde(flatten)]
    encoder: RawEncoderConfig,
}

impl RawConfig {
    fn check(self, family: BertFamily, problems: &mut Problems) -> BertConfig {
        if let Some(kind) = self.position_embedding_type.filter(|kind| kind != "absolute") {
            problems.add("position_embedding_type", "\"absolute\"", format!("{kind:?}"));
        }
        if self.is_decoder == Some(true) {
            problems.add("is_decoder", false, true);
        }
        let distances = self.relative_attention_num_buckets.unwrap_or(DISTANCES);
        if family == BertFamily::Mpnet && distances != DISTANCES {
            problems.add("relative_attention_num_buckets", DISTANCES, distances);
        }
        let padding_id = self.pad_token_id.unwrap_or(match family {
            BertFamily::Bert => 0,
            BertFamily::Mpnet => 1,
        });
        if family == BertFamily::Mpnet && padding_id != 1 {
            problems.add("pad_token_id", 1, padding_id);
        }
        let vocabulary =
            problems.in_range("vocab_size", self.vocab_size.unwrap_or(30_522), 10_000_000);
        let positions = problems.in_range(
            "max_position_embeddings",
            self.max_position_embeddings.unwrap_or(512),
            65_536,
        );
        if positions <= MPNET_FIRST_POSITION {
            problems.add("max_position_embeddings", "more than 2", positions);
        }
        BertConfig {
            family,
            vocabulary,
            positions,
            token_types: problems.in_range(
                "type_vocab_size",
                self.type_vocab_size.unwrap_or(2),
                65_536,
            ),
            padding_id,
            encoder: self.encoder.check("", DEFAULTS, problems),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<BertConfig, ConfigError> {
        BertConfig::parse(text, Path::new("config.json"))
    }

    #[test]
    fn released_configurations_are_understood() {
        // all-MiniLM-L6-v2.
        let minilm = parse(
            r#"{"model_type": "bert", "hidden_size": 384, "intermediate_size": 1536,
                "num_hidden_layers": 6, "vocab_size": 30522, "position_embedding_type": "absolute"}"#,
        )
        .unwrap();
        assert_eq!(
            (minilm.encoder.size, minilm.encoder.heads, minilm.max_tokens()),
            (384, 12, 512)
        );
        // all-mpnet-base-v2.
        let mpnet = parse(
            r#"{"model_type": "mpnet", "max_position_embeddings": 514, "layer_norm_eps": 1e-05,
                "vocab_size": 30527, "relative_attention_num_buckets": 32}"#,
        )
        .unwrap();
        assert_eq!((mpnet.family, mpnet.max_tokens()), (BertFamily::Mpnet, 512));
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        for (text, named) in [
            (r#"{"model_type": "roberta"}"#, "bert or mpnet"),
            (r#"{"model_type": "bert", "is_decoder": true}"#, "is_decoder"),
            (
                r#"{"model_type": "bert", "position_embedding_type": "relative_key"}"#,
                "position_embedding_type",
            ),
            (r#"{"model_type": "bert", "vocab_size": 0}"#, "vocab_size"),
            (r#"{"model_type": "mpnet", "relative_attention_num_buckets": 8}"#, "num_buckets"),
            (r#"{"model_type": "mpnet", "max_position_embeddings": 2}"#, "more than 2"),
            (r#"{"model_type": "mpnet", "pad_token_id": 0}"#, "pad_token_id"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(named), "{text}: {error}");
        }
    }
}
