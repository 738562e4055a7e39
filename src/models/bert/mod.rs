//! BERT (Devlin et al. 2018, arXiv:1810.04805) and MPNet (Song et al. 2020, arXiv:2004.09297) as
//! sentence encoders (Reimers and Gurevych 2019, arXiv:1908.10084): a text to one vector.
//!
//! Held against `transformers` 5.23.0, `models/bert/modeling_bert.py` (`BertModel`) and
//! `models/mpnet/modeling_mpnet.py` (`MPNetModel`), with the pooling that sentence-transformers
//! does after them ([`SentenceConfig`]). Their `pooler` may be in a checkpoint and is not used.

mod config;
mod layers;
mod sentence;

use std::path::Path;

use tch::{Device, Kind, TchError, Tensor, no_grad};

pub use config::{BertConfig, BertFamily};
pub use sentence::{Pooling, SentenceConfig};

use super::{ForwardError, LoadError};
use crate::nn::Scope;
use crate::weights::Weights;
use config::MPNET_FIRST_POSITION;
use layers::Network;

/// A BERT or MPNet network.
#[derive(Debug)]
pub struct Bert {
    config: BertConfig,
    device: Device,
    kind: Kind,
    parameters: u64,
    network: Network,
}

/// What a network gives for a batch of texts.
#[derive(Debug)]
pub struct TokenStates {
    /// `[texts, tokens, size]` in the model's number format on its device; `last_hidden_state` of
    /// the reference. Rows behind the end of a text mean nothing.
    pub states: Tensor,
    /// Bool `[texts, tokens]` on the device: true behind the end of a text.
    pub hidden: Tensor,
}

impl Bert {
    /// Loads a folder: `config.json` and safetensors. The weights are converted to `kind` and
    /// moved to `device`.
    ///
    /// # Errors
    /// A configuration that cannot be used, weights that do not fit it (every key at once), a
    /// device without room.
    pub fn load(folder: &Path, device: Device, kind: Kind) -> Result<Self, LoadError> {
        let config = BertConfig::open(folder)?;
        let weights = Weights::open(folder)?;
        let prefix = config.family.model_type();
        let first = format!("{prefix}.embeddings.word_embeddings.weight");
        let prefix = weights.names().any(|name| name == first).then_some(prefix);
        let place = prefix.map(|prefix| format!("{prefix}.")).unwrap_or_default();
        let unused = ["weight", "bias"].map(|name| format!("{place}pooler.dense.{name}"));
        let loader = weights.loader(device, kind).ignoring(unused);
        let root = Scope::root(&loader);
        let network = match prefix {
            Some(prefix) => Network::new(&root.at(prefix), &config),
            None => Network::new(&root, &config),
        };
        let parameters = loader.finish()?;
        Ok(Self { config, device, kind, parameters, network })
    }

    /// The configuration it was loaded from.
    #[must_use]
    pub fn config(&self) -> &BertConfig {
        &self.config
    }

    /// Where it runs.
    #[must_use]
    pub fn device(&self) -> Device {
        self.device
    }

    /// The number format of its weights.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Number of learned parameters in use.
    #[must_use]
    pub fn parameters(&self) -> u64 {
        self.parameters
    }

    /// Runs the network on texts of any lengths, each a row of token ids in `0..vocabulary` from
    /// its start to its end token, with at most [`BertConfig::max_tokens`] of them.
    ///
    /// # Errors
    /// No text, an empty or too long row, an id outside the vocabulary, what libtorch reports.
    pub fn tokens(&self, rows: &[Vec<i64>]) -> Result<TokenStates, ForwardError> {
        let max_tokens = self.config.max_tokens();
        let longest = rows.iter().map(Vec::len).max().unwrap_or(0);
        let shortest = rows.iter().map(Vec::len).min().unwrap_or(0);
        if shortest == 0 || longest as i64 > max_tokens {
            return Err(ForwardError::Shape {
                tensor: "token ids",
                expected: format!("[texts, 1 to {max_tokens}]"),
                found: vec![rows.len() as i64, longest as i64],
            });
        }
        let vocabulary = self.config.vocabulary;
        if let Some(found) = rows.iter().flatten().find(|id| !(0..vocabulary).contains(*id)) {
            return Err(ForwardError::TokenId { vocabulary, found: *found });
        }
        let shape = [rows.len() as i64, longest as i64];
        let mut ids = Vec::with_capacity(rows.len() * longest);
        let mut positions = Vec::with_capacity(rows.len() * longest);
        let mut hidden = Vec::with_capacity(rows.len() * longest);
        for row in rows {
            ids.extend(row);
            positions.extend(self.positions(row));
            let behind_end = longest - row.len();
            // Any id and position of the tables: nothing looks at what they give.
            ids.extend(std::iter::repeat_n(0, behind_end));
            positions.extend(std::iter::repeat_n(0, behind_end));
            hidden.extend((0..longest).map(|at| at >= row.len()));
        }
        no_grad(|| -> Result<TokenStates, TchError> {
            let upload = |values: &[i64]| {
                Tensor::f_from_slice(values)?.f_view(shape)?.f_to_device(self.device)
            };
            let hidden = Tensor::f_from_slice(&hidden)?.f_view(shape)?.f_to_device(self.device)?;
            let states = self.network.forward(&upload(&ids)?, &upload(&positions)?, &hidden)?;
            Ok(TokenStates { states, hidden })
        })
        .map_err(ForwardError::from)
    }

    /// Rows of the table of positions for the tokens of a text.
    fn positions(&self, row: &[i64]) -> Vec<i64> {
        match self.config.family {
            BertFamily::Bert => (0..row.len() as i64).collect(),
            BertFamily::Mpnet => {
                // A padding token inside of a text has the position of padding, and is not
                // counted.
                let padding = MPNET_FIRST_POSITION - 1;
                let mut next = MPNET_FIRST_POSITION;
                let place = |id: &i64| {
                    if *id == self.config.padding_id {
                        return padding;
                    }
                    next += 1;
                    next - 1
                };
                row.iter().map(place).collect()
            }
        }
    }

    /// [`tokens`](Self::tokens), pooled into one vector for each text: f32 `[texts, size]` on the
    /// model's device.
    ///
    /// # Errors
    /// As [`tokens`](Self::tokens).
    pub fn embed(
        &self,
        rows: &[Vec<i64>],
        sentence: &SentenceConfig,
    ) -> Result<Tensor, ForwardError> {
        let TokenStates { states, hidden } = self.tokens(rows)?;
        no_grad(|| {
            let states = states.f_to_kind(Kind::Float)?;
            let pooled = match sentence.pooling {
                Pooling::Class => states.f_select(1, 0)?,
                Pooling::Mean => {
                    let seen = hidden.f_logical_not()?.f_to_kind(Kind::Float)?.f_unsqueeze(-1)?;
                    let sum = states.f_mul(&seen)?.f_sum_dim_intlist(
                        [1].as_slice(),
                        false,
                        Kind::Float,
                    )?;
                    sum.f_div(&seen.f_sum_dim_intlist([1].as_slice(), false, Kind::Float)?)?
                }
            };
            if !sentence.normalize {
                return Ok(pooled);
            }
            let length = pooled.f_linalg_norm(2.0, [-1].as_slice(), true, None)?;
            pooled.f_div(&length.f_clamp_min(SHORTEST)?)
        })
        .map_err(ForwardError::from)
    }
}

/// A vector shorter than this is divided by it instead of its length, as torch's `normalize` does.
const SHORTEST: f64 = 1e-12;
