//! A prompt set made ready for the heads.

use std::sync::Arc;

use tch::{Kind, Tensor};

use crate::models::ForwardError;
use crate::models::owl::Owl;
use crate::tokenize::ClipTokenizer;
use crate::types::{PromptProblem, PromptSet, PromptSetRefused};

/// Texts that are encoded in one pass: bounds the memory that a set of any size takes.
const TEXTS_PER_PASS: usize = 256;

/// A prompt set in use: every text as a query, with the threshold of its prompt.
#[derive(Debug)]
pub(super) struct ActivePrompts {
    /// The set as it was given.
    pub(super) set: Arc<PromptSet>,
    /// f32 `[texts, projection]` on the model's device.
    pub(super) queries: Tensor,
    /// The logit of each text's threshold: f32 `[texts]` on the model's device, `-inf` for 0.
    pub(super) threshold_logits: Tensor,
    /// The prompt that each text belongs to.
    pub(super) prompt_of_text: Vec<usize>,
}

impl ActivePrompts {
    /// Checks and encodes `set`.
    ///
    /// # Errors
    /// Every problem of every prompt: what [`PromptSet::check`] finds, texts that the tokenizer
    /// refuses, and what libtorch reports while encoding.
    pub(super) fn encode(
        set: Arc<PromptSet>,
        tokenizer: &ClipTokenizer,
        model: &Owl,
    ) -> Result<Self, PromptSetRefused> {
        let mut problems = match set.check() {
            Ok(()) => Vec::new(),
            Err(refused) => refused.problems,
        };
        let max_tokens = usize::try_from(model.config().text.max_tokens).unwrap_or(0);
        let mut rows = Vec::new();
        let mut prompt_of_text = Vec::new();
        for (index, prompt) in set.prompts.iter().enumerate() {
            for text in prompt.texts.iter().filter(|text| !text.trim().is_empty()) {
                match tokenizer.encode(text, max_tokens) {
                    Ok(ids) => {
                        rows.push(ids);
                        prompt_of_text.push(index);
                    }
                    Err(refused) => problems.push(PromptProblem {
                        prompt: prompt.name.clone(),
                        reason: refused.to_string(),
                    }),
                }
            }
        }
        if !problems.is_empty() {
            return Err(PromptSetRefused { problems });
        }
        let thresholds: Vec<f32> = prompt_of_text
            .iter()
            .map(|prompt| {
                let threshold = f64::from(set.threshold_of(*prompt));
                (threshold / (1.0 - threshold)).ln() as f32
            })
            .collect();
        let encoded = embed(&rows, i64::from(tokenizer.end_id()), model).and_then(|queries| {
            let thresholds = Tensor::f_from_slice(&thresholds)?.f_to_device(model.device())?;
            Ok((queries, thresholds))
        });
        match encoded {
            Ok((queries, threshold_logits)) => {
                Ok(Self { set, queries, threshold_logits, prompt_of_text })
            }
            Err(error) => Err(PromptSetRefused {
                problems: vec![PromptProblem {
                    prompt: String::new(),
                    reason: format!("the texts could not be encoded: {error}"),
                }],
            }),
        }
    }
}

/// `rows` of token ids, all of one length, to f32 `[rows, projection]`.
fn embed(rows: &[Vec<i64>], end_id: i64, model: &Owl) -> Result<Tensor, ForwardError> {
    let mut parts = Vec::with_capacity(rows.len().div_ceil(TEXTS_PER_PASS));
    for chunk in rows.chunks(TEXTS_PER_PASS) {
        // What follows the end of the longest text is padding that nothing looks at: attention is
        // causal, and a text is read at its end token.
        let used = |row: &Vec<i64>| {
            row.iter().position(|id| *id == end_id).map_or(row.len(), |end| end + 1)
        };
        let tokens = chunk.iter().map(used).max().unwrap_or(0);
        let ids: Vec<i64> = chunk.iter().flat_map(|row| row[..tokens].iter().copied()).collect();
        let ids = Tensor::f_from_slice(&ids)?.f_view([chunk.len() as i64, tokens as i64])?;
        parts.push(model.embed_texts(&ids)?);
    }
    Ok(Tensor::f_cat(&parts, 0)?.f_to_kind(Kind::Float)?)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tch::Device;

    use super::*;

    #[test]
    fn many_texts_are_encoded_in_passes_and_without_their_padding() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/owlvit_tiny");
        let model = Owl::load(&folder, Device::Cpu, Kind::Float).unwrap();
        let tokenizer = ClipTokenizer::open(&folder).unwrap();
        let max_tokens = model.config().text.max_tokens as usize;
        let rows: Vec<Vec<i64>> = (0..TEXTS_PER_PASS + 3)
            .map(|n| {
                let text = format!("{} {n}", ["a cat", "the left hand of a dog", "red"][n % 3]);
                tokenizer.encode(&text, max_tokens).unwrap()
            })
            .collect();
        let queries = embed(&rows, i64::from(tokenizer.end_id()), &model).unwrap();
        assert_eq!(queries.size(), [rows.len() as i64, model.config().projection]);
        for index in [0, 1, 2, TEXTS_PER_PASS - 1, TEXTS_PER_PASS, TEXTS_PER_PASS + 2] {
            let alone = Tensor::from_slice(&rows[index]).view([1, max_tokens as i64]);
            let alone = model.embed_texts(&alone).unwrap();
            let off = (queries.narrow(0, index as i64, 1) - alone).abs().max().double_value(&[]);
            // Unit vectors; f32 sums in another order.
            assert!(off < 1e-5, "text {index} is off by {off}");
        }
    }
}
