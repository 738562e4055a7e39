//! A prompt set made ready for the heads.

use std::sync::Arc;

use tch::{TchError, Tensor};

use crate::models::owl::Owl;
use crate::models::prompts::EncodedTexts;
use crate::tokenize::ClipTokenizer;
use crate::types::{PromptProblem, PromptSet, PromptSetRefused};

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
    /// As [`EncodedTexts::new`].
    pub(super) fn encode(
        set: Arc<PromptSet>,
        tokenizer: &ClipTokenizer,
        model: &Owl,
    ) -> Result<Self, PromptSetRefused> {
        let max_tokens = model.config().text.max_tokens;
        let EncodedTexts { queries, prompt_of_text } =
            EncodedTexts::new(&set, tokenizer, max_tokens, |ids| model.embed_texts(ids))?;
        let thresholds: Vec<f32> = prompt_of_text
            .iter()
            .map(|prompt| {
                let threshold = f64::from(set.threshold_of(*prompt));
                (threshold / (1.0 - threshold)).ln() as f32
            })
            .collect();
        let threshold_logits = Tensor::f_from_slice(&thresholds)
            .and_then(|thresholds| thresholds.f_to_device(model.device()))
            .map_err(|error: TchError| PromptSetRefused {
                problems: vec![PromptProblem {
                    prompt: String::new(),
                    reason: format!("the thresholds could not be put in place: {error}"),
                }],
            })?;
        Ok(Self { set, queries, threshold_logits, prompt_of_text })
    }
}
