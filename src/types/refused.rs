//! Why a prompt set was refused.

use std::borrow::Cow;
use std::fmt;

use super::PromptSet;

/// Why one prompt cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PromptProblem {
    /// Name of the prompt; empty where the whole set is meant.
    pub prompt: String,
    /// Which part of the prompt is meant (`exemplars[0]`); empty where all of it is.
    pub part: String,
    /// What was expected and what was found.
    pub reason: String,
}

impl PromptProblem {
    /// Of the set as a whole.
    #[must_use]
    pub fn of_set(reason: String) -> Self {
        Self::of_prompt("", reason)
    }

    /// Of the prompt with this name.
    #[must_use]
    pub fn of_prompt(prompt: &str, reason: String) -> Self {
        Self::of_part(prompt, String::new(), reason)
    }

    /// Of a part of the prompt with this name.
    #[must_use]
    pub fn of_part(prompt: &str, part: String, reason: String) -> Self {
        Self { prompt: prompt.to_owned(), part, reason }
    }
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
        for PromptProblem { prompt, part, reason } in &self.problems {
            match (prompt.as_str(), part.as_str()) {
                ("", _) => write!(f, "\n  {reason}")?,
                (name, "") => write!(f, "\n  {:?}: {reason}", shortened(name))?,
                (name, part) => write!(f, "\n  {:?}: {part}: {reason}", shortened(name))?,
            }
        }
        Ok(())
    }
}

impl PromptSet {
    /// What is wrong with this set, for who sent it: each prompt by its number and name, as in
    /// `prompt 2 ("a mug").exemplars[0]: …`.
    pub fn reasons_of(&self, problems: Vec<PromptProblem>) -> impl Iterator<Item = String> {
        problems.into_iter().map(|PromptProblem { prompt, part, reason }| {
            // Of several with one name the last is the one too many.
            let at = self.prompts.iter().rposition(|known| known.name == prompt);
            match (at, part.as_str()) {
                (None, _) => reason,
                (Some(at), "") => format!("{}: {reason}", numbered(at, &prompt)),
                (Some(at), part) => format!("{}.{part}: {reason}", numbered(at, &prompt)),
            }
        })
    }
}

/// The prompt at `index` as its sender knows it: `prompt 2 ("a mug")`.
#[must_use]
pub fn numbered(index: usize, name: &str) -> String {
    format!("prompt {} ({:?})", index + 1, shortened(name))
}

/// `text`, cut where a message would drown in it.
#[must_use]
pub fn shortened(text: &str) -> Cow<'_, str> {
    const MAX_CHARS: usize = 120;
    match text.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
        None => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Prompt;
    use super::*;

    #[test]
    fn a_sender_is_told_the_number_of_a_prompt_and_its_part() {
        let long = "ä".repeat(500);
        let prompts = ["a cat", long.as_str()].map(Prompt::from_text).to_vec();
        let set = PromptSet { version: 1, prompts, default_threshold: 0.1 };
        let part = "exemplars[3]".to_owned();
        let problems = vec![
            PromptProblem::of_set("no prompt is left".to_owned()),
            PromptProblem::of_part("a cat", part, "it shows nothing".to_owned()),
            PromptProblem::of_prompt(&long, "too long".to_owned()),
        ];
        let cut = "ä".repeat(120);
        assert_eq!(
            set.reasons_of(problems.clone()).collect::<Vec<_>>(),
            [
                "no prompt is left".to_owned(),
                "prompt 1 (\"a cat\").exemplars[3]: it shows nothing".to_owned(),
                format!("prompt 2 (\"{cut}…\"): too long"),
            ]
        );
        assert_eq!(
            PromptSetRefused { problems }.to_string(),
            format!(
                "prompts refused:\n  no prompt is left\n  \"a cat\": exemplars[3]: it shows \
                 nothing\n  \"{cut}…\": too long"
            )
        );
    }
}
