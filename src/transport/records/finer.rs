//! Finer labels as JSON.

use serde::{Deserialize, Serialize};

use super::RecordError;
use crate::types::{Detection, FinerScore, Prompt, PromptSet};

/// How well one finer label fits a detection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FinerRecord {
    /// The label's name.
    pub name: String,
    /// In `[0, 1]`; those of one detection sum to 1.
    pub score: f32,
}

impl FinerRecord {
    /// Those of a detection that `prompts` made.
    pub(super) fn all_of(detection: &Detection, prompts: &PromptSet) -> Vec<Self> {
        let record = |(name, score): (&str, f32)| Self { name: name.to_owned(), score };
        detection.finer_names(prompts).map(record).collect()
    }

    /// Back to the labels of `prompt`.
    pub(super) fn into_scores(
        records: Vec<Self>,
        prompt: &Prompt,
    ) -> Result<Vec<FinerScore>, RecordError> {
        let score = |Self { name, score }: Self| match prompt
            .finer
            .iter()
            .position(|known| known.name == name)
        {
            Some(label) => Ok(FinerScore { label, score }),
            None => Err(RecordError::UnknownLabel { label: name, prompt: prompt.name.clone() }),
        };
        records.into_iter().map(score).collect()
    }
}
