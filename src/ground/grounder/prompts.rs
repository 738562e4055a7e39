//! What a grounder looks for.

use crate::types::{Prompt, PromptSet};

/// A thing to be named.
#[derive(Clone, Debug, PartialEq)]
pub struct GroundingPrompt {
    /// What detections carry: the index into the prompts of the set.
    pub prompt: usize,
    /// The name for people.
    pub name: String,
    /// What describes it; the best of them gives the score. At least one.
    pub queries: Vec<GroundingQuery>,
    /// Lowest score, in `[0, 1]`, that is reported.
    pub threshold: f32,
    /// A distractor: what it explains best is taken away and never reported.
    pub negative: bool,
}

/// One description of a thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroundingQuery {
    /// It, for people.
    pub text: String,
    /// What is encoded: its vector is the mean of theirs, each of unit length. At least one.
    pub sentences: Vec<String>,
}

impl GroundingPrompt {
    /// The prompts of a set that are for a bank.
    #[must_use]
    pub fn of_set(set: &PromptSet) -> Vec<Self> {
        let asked = set.prompts.iter().enumerate().filter(|(_, prompt)| prompt.asif);
        asked
            .map(|(index, prompt)| Self {
                prompt: index,
                name: prompt.name.clone(),
                queries: queries_of(prompt),
                threshold: set.threshold_of(index),
                negative: prompt.negative,
            })
            .collect()
    }
}

/// One query for each text, in all its templates, or one for all texts of a prompt that averages
/// them.
fn queries_of(prompt: &Prompt) -> Vec<GroundingQuery> {
    match prompt.average && !prompt.texts.is_empty() {
        true => vec![GroundingQuery {
            text: prompt.texts.join(", "),
            sentences: prompt.filled_texts().flatten().collect(),
        }],
        false => prompt
            .texts
            .iter()
            .zip(prompt.filled_texts())
            .map(|(text, sentences)| GroundingQuery { text: text.clone(), sentences })
            .collect(),
    }
}
