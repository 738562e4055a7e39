//! A prompt set made ready for the heads.

use std::sync::Arc;

use tch::{Kind, Tensor};

use super::exemplars::EncodedExemplars;
use crate::models::ForwardError;
use crate::models::owl::Owl;
use crate::models::prompts::{PromptEncoder, averaged};
use crate::types::{PromptProblem, PromptSet, PromptSetRefused};
use crate::vision::mask::logit_of_score;

/// A prompt set in use: every text and exemplar as a query, with the threshold of its prompt.
#[derive(Debug)]
pub(super) struct ActivePrompts {
    /// The set as it was given.
    pub(super) set: Arc<PromptSet>,
    /// Those of the texts, then those of the exemplars: f32 `[queries, size]` on the model's
    /// device.
    pub(super) queries: Tensor,
    /// The prompt that each query belongs to, as its index in the set.
    pub(super) prompt_of_query: Vec<usize>,
    /// The logit of each query's threshold: f32 `[queries]` on the model's device, `-inf` for 0.
    pub(super) threshold_logits: Tensor,
}

impl ActivePrompts {
    /// Nothing to look for: `set` has no prompts, and regions alone are wanted.
    ///
    /// # Errors
    /// What libtorch reports.
    pub(super) fn none(set: Arc<PromptSet>, model: &Owl) -> Result<Self, PromptSetRefused> {
        let options = (Kind::Float, model.device());
        let empty = |shape: &[i64]| {
            Tensor::f_zeros(shape, options).map_err(|error| not_in_place(&error.into()))
        };
        Ok(Self {
            set,
            queries: empty(&[0, model.config().projection])?,
            prompt_of_query: Vec::new(),
            threshold_logits: empty(&[0])?,
        })
    }

    /// Checks and encodes the texts of `set` and puts them together with its exemplars, which are
    /// encoded already.
    ///
    /// # Errors
    /// As [`PromptEncoder::encode`], and `problems`, those of the exemplars.
    pub(super) fn encode(
        set: Arc<PromptSet>,
        encoder: &PromptEncoder,
        model: &Owl,
        (exemplars, problems): (EncodedExemplars, Vec<PromptProblem>),
    ) -> Result<Self, PromptSetRefused> {
        let texts = encoder.encode(&set, |ids| model.embed_texts(ids));
        let texts = match texts {
            Ok(texts) if problems.is_empty() => texts,
            Ok(_) => return Err(PromptSetRefused { problems }),
            Err(mut refused) => {
                refused.problems.extend(problems);
                return Err(refused);
            }
        };
        let put = || -> Result<_, ForwardError> {
            let mut parts = Vec::new();
            let mut prompt_of_query = Vec::new();
            if !texts.prompt_of_text.is_empty() {
                parts.push(texts.queries.shallow_clone());
                prompt_of_query.extend_from_slice(&texts.prompt_of_text);
            }
            if !exemplars.queries.is_empty() {
                let rows = Tensor::f_from_slice(&exemplars.queries.concat())?
                    .f_view([exemplars.queries.len() as i64, -1])?
                    .f_to_device(model.device())?;
                let (rows, prompts) = averaged(&rows, &exemplars.prompt_of_exemplar, &set)?;
                parts.push(rows);
                prompt_of_query.extend(prompts);
            }
            let thresholds: Vec<f32> = prompt_of_query
                .iter()
                .map(|prompt| logit_of_score(set.threshold_of(*prompt)))
                .collect();
            let thresholds = Tensor::f_from_slice(&thresholds)?.f_to_device(model.device())?;
            Ok((Tensor::f_cat(&parts, 0)?, prompt_of_query, thresholds))
        };
        let (queries, prompt_of_query, threshold_logits) =
            put().map_err(|error| not_in_place(&error))?;
        Ok(Self { set, queries, prompt_of_query, threshold_logits })
    }
}

fn not_in_place(error: &ForwardError) -> PromptSetRefused {
    let reason = format!("the queries could not be put in place: {error}");
    PromptSetRefused { problems: vec![PromptProblem::of_set(reason)] }
}
