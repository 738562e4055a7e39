//! A prompt set made ready for the heads.

use std::sync::Arc;

use tch::{Kind, Tensor};

use super::exemplars::EncodedExemplars;
use super::weak::WeakScores;
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
    /// What is below their thresholds and still told; `None` where nothing is.
    pub(super) weak: Option<WeakScores>,
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
            weak: None,
        })
    }

    /// Checks and encodes the texts of `set` and puts them together with its exemplars, which are
    /// encoded already. `weakest_share` is that of the detector's options.
    ///
    /// # Errors
    /// As [`PromptEncoder::encode`], and `problems`, those of the exemplars.
    pub(super) fn encode(
        set: Arc<PromptSet>,
        encoder: &PromptEncoder,
        model: &Owl,
        (exemplars, problems): (EncodedExemplars, Vec<PromptProblem>),
        weakest_share: f32,
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
            let thresholds = |share: f32| -> Result<Tensor, ForwardError> {
                let of = |prompt: &usize| logit_of_score(share * set.threshold_of(*prompt));
                let logits: Vec<f32> = prompt_of_query.iter().map(of).collect();
                Ok(Tensor::f_from_slice(&logits)?.f_to_device(model.device())?)
            };
            let weak = match weakest_share {
                share if share < 1.0 => Some(WeakScores { share, logits: thresholds(share)? }),
                _ => None,
            };
            Ok((Tensor::f_cat(&parts, 0)?, thresholds(1.0)?, weak, prompt_of_query))
        };
        let (queries, threshold_logits, weak, prompt_of_query) =
            put().map_err(|error| not_in_place(&error))?;
        Ok(Self { set, queries, prompt_of_query, threshold_logits, weak })
    }
}

fn not_in_place(error: &ForwardError) -> PromptSetRefused {
    let reason = format!("the queries could not be put in place: {error}");
    PromptSetRefused { problems: vec![PromptProblem::of_set(reason)] }
}
