//! What a thing that was found may be more closely.

use std::collections::HashSet;
use std::sync::Arc;

use super::prompt::MAX_TEXT_BYTES;
use super::{Prompt, PromptSet};

/// The most finer labels of one prompt: each stands in every output of each detection.
pub const MAX_FINER_LABELS: usize = 100;

/// One of the labels among which a classifier chooses for the detections of a prompt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FinerLabel {
    /// The name in every output. Unique in its prompt.
    pub name: String,
    /// The texts that describe it, at least one: the mean of them is what a picture is compared
    /// with. They are put into the templates of the prompt.
    pub texts: Vec<String>,
}

impl FinerLabel {
    /// A label whose name is its only text.
    #[must_use]
    pub fn from_text(text: &str) -> Self {
        Self { name: text.to_owned(), texts: vec![text.to_owned()] }
    }
}

/// How well a finer label fits a detection.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FinerScore {
    /// Index into [`Prompt::finer`] of the detection's prompt.
    pub label: usize,
    /// In `[0, 1]`; those of one detection sum to 1, whether any of the labels is right or none.
    pub score: f32,
}

impl Prompt {
    /// What is wrong with its finer labels.
    pub(super) fn problems_of_finer(&self) -> Vec<(String, String)> {
        let mut problems = Vec::new();
        let mut of_all = |reason: String| problems.push(("finer".to_owned(), reason));
        let found = self.finer.len();
        match found {
            0 => return problems,
            1 => of_all("expected at least two labels to choose from, found 1".to_owned()),
            2..=MAX_FINER_LABELS => {}
            _ => {
                of_all(format!("{found} finer labels, at most {MAX_FINER_LABELS} are taken"));
                return problems;
            }
        }
        if self.negative {
            of_all("expected none, since a negative prompt is never reported".to_owned());
        }
        let mut names = HashSet::new();
        for (number, FinerLabel { name, texts }) in self.finer.iter().enumerate() {
            let mut problem = |reason: String| problems.push((format!("finer[{number}]"), reason));
            if name.trim().is_empty() {
                problem("the name is empty".to_owned());
            } else if !names.insert(name) {
                problem("the name is used twice".to_owned());
            }
            if texts.is_empty() {
                problem("the label has no text".to_owned());
            }
            if texts.iter().any(|text| text.trim().is_empty()) {
                problem("one of its texts is empty".to_owned());
            }
            let longest = texts.iter().chain([name]).map(String::len).max().unwrap_or(0);
            if longest > MAX_TEXT_BYTES {
                let most = MAX_TEXT_BYTES;
                problem(format!("a text has {longest} bytes, at most {most} are taken"));
            }
        }
        problems
    }
}

impl PromptSet {
    /// The set as whoever looks for its prompts takes it: without finer labels.
    #[must_use]
    pub fn without_finer(self: &Arc<Self>) -> Arc<Self> {
        if self.prompts.iter().all(|prompt| prompt.finer.is_empty()) {
            return Arc::clone(self);
        }
        let mut set = Self::clone(self);
        for prompt in &mut set.prompts {
            prompt.finer.clear();
            if prompt.texts.is_empty() {
                // They were there for the labels alone.
                prompt.templates.clear();
            }
        }
        Arc::new(set)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_two_or_more_with_names_of_their_own() {
        let check = |labels: Vec<FinerLabel>, negative: bool| {
            let mug = Prompt { finer: labels, negative, ..Prompt::from_text("a mug") };
            PromptSet { version: 1, prompts: vec![mug], default_threshold: 0.1 }.check()
        };
        let two = || ["clean", "dirty"].map(FinerLabel::from_text).to_vec();
        assert!(check(two(), false).is_ok() && check(Vec::new(), false).is_ok());
        let text = |texts: &[&str]| FinerLabel {
            name: "x".to_owned(),
            texts: texts.iter().map(|text| (*text).to_owned()).collect(),
        };
        let long = "x".repeat(MAX_TEXT_BYTES + 1);
        for (labels, negative, expected) in [
            (two()[..1].to_vec(), false, "finer: expected at least two labels to choose from"),
            (two(), true, "finer: expected none, since a negative prompt is never reported"),
            ([two(), two()].concat(), false, "finer[2]: the name is used twice"),
            (["a", " "].map(FinerLabel::from_text).to_vec(), false, "finer[1]: the name is empty"),
            (vec![text(&["a", " "]), text(&[])], false, "finer[0]: one of its texts is empty"),
            (vec![text(&["a"]), text(&[])], false, "finer[1]: the label has no text"),
            (vec![text(&[&long]), text(&["a"])], false, "finer[0]: a text has 8193 bytes"),
            (vec![text(&["a"]); 101], false, "101 finer labels, at most 100 are taken"),
        ] {
            let refused = check(labels, negative).unwrap_err();
            assert_eq!(refused.problems[0].prompt, "a mug");
            let told = refused.to_string();
            assert!(told.contains(expected), "{expected} is not in\n{told}");
        }
    }

    #[test]
    fn a_prompt_with_labels_needs_a_classifier() {
        let mug = Prompt {
            finer: ["clean", "dirty"].map(FinerLabel::from_text).to_vec(),
            ..Prompt::from_text("a mug")
        };
        assert!(!mug.is_plain());
        let prompts = vec![Prompt::from_text("a cat"), mug];
        let set = PromptSet { version: 1, prompts, default_threshold: 0.1 };
        let [problem] = set.problems_without_classifier().try_into().unwrap();
        assert_eq!(problem.prompt, "a mug");
        assert_eq!(
            (problem.part.as_str(), problem.reason.as_str()),
            ("finer", "no classifier is configured")
        );

        let set = Arc::new(set);
        let without = set.without_finer();
        assert!(without.problems_without_classifier().is_empty());
        assert_eq!(without.prompts[1], Prompt::from_text("a mug"));
        assert!(Arc::ptr_eq(&without, &without.without_finer()));
    }
}
