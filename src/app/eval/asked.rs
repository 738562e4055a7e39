//! What is asked, and the thresholds at which hits are counted.

use owlet::config::Config;
use owlet::eval::{Category, PLACE_OF_NAME, prompts_for_categories, prompts_of_categories};
use owlet::types::{Prompt, PromptSet};

use super::super::Refused;
use super::super::fingerprint::PromptIdentity;
use super::EvalArgs;

/// One prompt for each category, in their order, and distractors after them.
pub(super) struct Asked {
    /// As the user gave them, with the thresholds at which hits are counted.
    pub(super) prompts: Vec<Prompt>,
    /// The threshold of each category.
    pub(super) thresholds: Vec<f32>,
    /// Above it detections are made.
    pub(super) min_score: f32,
}

impl Asked {
    pub(super) fn new(
        args: &EvalArgs,
        config: &Config,
        categories: &[Category],
    ) -> Result<Self, Refused> {
        let min_score = args.min_score;
        let mut problems = Vec::new();
        for template in args.templates.iter().filter(|text| !text.contains(PLACE_OF_NAME)) {
            problems.push(format!(
                "--template: expected a text with {PLACE_OF_NAME} for the name, found {template:?}"
            ));
        }
        if !(0.0..=1.0).contains(&min_score) {
            problems.push(format!("--min-score: expected a number from 0 to 1, found {min_score}"));
        }
        let of_file = config.read_prompts().map_err(|error| Refused(error.to_string()))?;
        let prompts = match of_file.is_empty() {
            true => prompts_of_categories(categories, &args.templates),
            false => prompts_for_categories(categories, of_file)
                .map_err(|refused| Refused(refused.to_string()))?,
        };
        let thresholds: Vec<f32> = prompts[..categories.len()]
            .iter()
            .map(|prompt| prompt.threshold.unwrap_or(config.threshold))
            .collect();
        let lowest = thresholds.iter().copied().fold(1.0, f32::min);
        if args.results.is_none() && lowest < min_score {
            problems.push(format!(
                "--min-score: expected at most the lowest threshold, which is {lowest}, found \
                 {min_score}: detections between them would be missing"
            ));
        }
        match problems.is_empty() {
            true => Ok(Self { prompts, thresholds, min_score }),
            false => Err(Refused(problems.join("\n"))),
        }
    }

    /// What the model is asked: everything above one low score.
    pub(super) fn prompt_set(&self) -> PromptSet {
        let mut prompts = self.prompts.clone();
        for prompt in prompts.iter_mut().filter(|prompt| !prompt.negative) {
            prompt.threshold = None;
        }
        PromptSet { version: 1, prompts, default_threshold: self.min_score }
    }

    /// The texts of each category.
    pub(super) fn texts(&self) -> Vec<Vec<String>> {
        let asked = self.prompts[..self.thresholds.len()].iter();
        asked.map(|prompt| prompt.texts.clone()).collect()
    }

    pub(super) fn identities(&self) -> Vec<PromptIdentity> {
        self.prompts.iter().map(PromptIdentity::of).collect()
    }

    /// The prompts with other thresholds, for a prompts file.
    pub(super) fn with_thresholds(&self, thresholds: &[f32]) -> Vec<Prompt> {
        let mut prompts = self.prompts.clone();
        for (prompt, threshold) in prompts.iter_mut().zip(thresholds) {
            prompt.threshold = Some(*threshold);
        }
        prompts
    }
}
