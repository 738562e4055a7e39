//! What to look for.

use std::fmt;

/// One thing to look for, under one name.
#[derive(Clone, Debug, PartialEq)]
pub struct Prompt {
    /// The name that every output carries (`class_id`). Unique in its set.
    pub name: String,
    /// The texts that describe it; the best of them gives the score. At least one.
    pub texts: Vec<String>,
    /// Lowest score, in `[0, 1]`, that is reported; `None` uses the set's.
    pub threshold: Option<f32>,
    /// A distractor: what it explains best is taken away and never reported.
    pub negative: bool,
}

impl Prompt {
    /// A prompt whose name is its only text.
    #[must_use]
    pub fn from_text(text: &str) -> Self {
        Self {
            name: text.to_owned(),
            texts: vec![text.to_owned()],
            threshold: None,
            negative: false,
        }
    }
}

/// All prompts in use at one time. Replaced as a whole, never edited.
#[derive(Clone, Debug, PartialEq)]
pub struct PromptSet {
    /// Counts up with every set that is put into use; every output carries it.
    pub version: u64,
    /// The prompts, in the order in which they were given.
    pub prompts: Vec<Prompt>,
    /// Lowest score, in `[0, 1]`, for prompts with no threshold of their own.
    pub default_threshold: f32,
}

impl PromptSet {
    /// The threshold that holds for the prompt at `index`.
    ///
    /// # Panics
    /// Where `index` is not that of a prompt in this set.
    #[must_use]
    pub fn threshold_of(&self, index: usize) -> f32 {
        self.prompts[index].threshold.unwrap_or(self.default_threshold)
    }

    /// Checks all that can be checked without a model: the set is not empty, names are unique,
    /// names and texts are not blank, thresholds lie in `[0, 1]`.
    ///
    /// # Errors
    /// Every problem found, not only the first.
    pub fn check(&self) -> Result<(), PromptSetRefused> {
        let mut problems = Vec::new();
        let mut problem = |prompt: &str, reason: String| {
            problems.push(PromptProblem { prompt: prompt.to_owned(), reason });
        };
        if self.prompts.is_empty() {
            problem("", "the set holds no prompt".to_owned());
        }
        if !(0.0..=1.0).contains(&self.default_threshold) {
            problem("", format!("threshold {} is not in [0, 1]", self.default_threshold));
        }
        let mut names = std::collections::HashSet::new();
        for (index, prompt) in self.prompts.iter().enumerate() {
            let label = if prompt.name.trim().is_empty() {
                problem(&format!("#{}", index + 1), "the prompt is empty".to_owned());
                continue;
            } else {
                prompt.name.as_str()
            };
            if !names.insert(label) {
                problem(label, "the name is used twice".to_owned());
            }
            if prompt.texts.is_empty() {
                problem(label, "the prompt has no text".to_owned());
            }
            if prompt.texts.iter().any(|text| text.trim().is_empty()) {
                problem(label, "one of its texts is empty".to_owned());
            }
            if let Some(threshold) = prompt.threshold
                && !(0.0..=1.0).contains(&threshold)
            {
                problem(label, format!("threshold {threshold} is not in [0, 1]"));
            }
        }
        if problems.is_empty() { Ok(()) } else { Err(PromptSetRefused { problems }) }
    }
}

/// Why one prompt cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PromptProblem {
    /// Name of the prompt; empty where the whole set is meant.
    pub prompt: String,
    /// What was expected and what was found.
    pub reason: String,
}

/// A prompt set that was refused as a whole: the one in use before stays in use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct PromptSetRefused {
    /// One entry for each problem, in the order of the prompts.
    pub problems: Vec<PromptProblem>,
}

impl fmt::Display for PromptSetRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "prompts refused:")?;
        for PromptProblem { prompt, reason } in &self.problems {
            match prompt.as_str() {
                "" => write!(f, "\n  {reason}")?,
                name => write!(f, "\n  {name:?}: {reason}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(prompts: Vec<Prompt>) -> PromptSet {
        PromptSet { version: 1, prompts, default_threshold: 0.1 }
    }

    #[test]
    fn every_problem_is_reported_at_once() {
        let mut bad = Prompt::from_text("a cat");
        bad.threshold = Some(1.5);
        let refused =
            set(vec![Prompt::from_text("a cat"), Prompt::from_text(" "), bad]).check().unwrap_err();
        let reasons: Vec<_> = refused.problems.iter().map(|p| p.reason.as_str()).collect();
        assert_eq!(
            reasons,
            ["the prompt is empty", "the name is used twice", "threshold 1.5 is not in [0, 1]"]
        );
        assert!(refused.to_string().contains("\"a cat\": the name is used twice"));
    }

    #[test]
    fn an_empty_set_and_a_nan_threshold_are_refused() {
        assert!(set(vec![]).check().is_err());
        let mut nan = set(vec![Prompt::from_text("a cat")]);
        nan.default_threshold = f32::NAN;
        assert!(nan.check().is_err());
    }
}
