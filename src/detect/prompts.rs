//! A prompt set made ready for the heads.

use std::sync::Arc;

use tch::{TchError, Tensor};

use crate::models::owl::Owl;
use crate::models::prompts::EncodedTexts;
use crate::tokenize::ClipTokenizer;
use crate::types::{PromptProblem, PromptSet, PromptSetRefused};
use crate::vision::mask::logit_of_score;

/// A prompt set in use: every text as a query, with the threshold of its prompt.
#[derive(Debug)]
pub(super) struct ActivePrompts {
    /// The set as it was given.
    pub(super) set: Arc<PromptSet>,
    /// Its texts; a query is of the size of the model's projection.
    pub(super) texts: EncodedTexts,
    /// The logit of each text's threshold: f32 `[texts]` on the model's device, `-inf` for 0.
    pub(super) threshold_logits: Tensor,
}

impl ActivePrompts {
    /// Checks and encodes `set`. Texts that are those of `before` are not encoded again: a new
    /// threshold costs nothing.
    ///
    /// # Errors
    /// As [`EncodedTexts::new`].
    pub(super) fn encode(
        set: Arc<PromptSet>,
        before: Option<&Self>,
        tokenizer: &ClipTokenizer,
        model: &Owl,
    ) -> Result<Self, PromptSetRefused> {
        let of_texts_only = set.problems_of_texts_only();
        if !of_texts_only.is_empty() {
            return Err(PromptSetRefused { problems: of_texts_only });
        }
        let before = before.map(|before| &before.texts);
        let max_tokens = model.config().text.max_tokens;
        let texts =
            EncodedTexts::new(&set, before, tokenizer, max_tokens, |ids| model.embed_texts(ids))?;
        let thresholds: Vec<f32> = texts
            .prompt_of_text
            .iter()
            .map(|prompt| logit_of_score(set.threshold_of(*prompt)))
            .collect();
        let threshold_logits = Tensor::f_from_slice(&thresholds)
            .and_then(|thresholds| thresholds.f_to_device(model.device()))
            .map_err(|error: TchError| PromptSetRefused {
                problems: vec![PromptProblem {
                    prompt: String::new(),
                    reason: format!("the thresholds could not be put in place: {error}"),
                }],
            })?;
        Ok(Self { set, texts, threshold_logits })
    }
}
