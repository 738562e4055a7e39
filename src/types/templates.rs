//! Sentences into which the texts of a prompt are put.

use super::prompt::MAX_TEXT_BYTES;
use super::{Prompt, PromptSet};

/// The most templates of one prompt; the ensemble of the CLIP paper has 80.
pub const MAX_TEMPLATES: usize = 100;
/// The most texts that the templates of one set may make: 1000 texts in 100 templates, 200 MB of
/// vectors of 512 numbers.
pub const MAX_FILLED_TEXTS: usize = 100_000;
/// Where the text goes in a template.
const PLACE: &str = "{}";

impl Prompt {
    /// What a model reads of each text: the text put into every template, or the text alone where
    /// there are none. One group for each text, in their order; a group is one query, the mean of
    /// its members.
    pub fn filled_texts(&self) -> impl Iterator<Item = Vec<String>> {
        self.texts.iter().map(|text| self.filled(text))
    }

    /// What a model reads of one text, as in [`filled_texts`](Self::filled_texts).
    #[must_use]
    pub fn filled(&self, text: &str) -> Vec<String> {
        match self.templates.as_slice() {
            [] => vec![text.to_owned()],
            templates => {
                templates.iter().map(|template| template.replacen(PLACE, text, 1)).collect()
            }
        }
    }

    /// How many texts models read of it, in all its templates: those of its finer labels, too.
    #[must_use]
    pub fn text_count(&self) -> usize {
        let finer = self.finer.iter().map(|label| label.texts.len());
        let texts = finer.fold(self.texts.len(), usize::saturating_add);
        self.templates.len().max(1).saturating_mul(texts)
    }

    /// What is wrong with its templates: which part of it, and why.
    pub(super) fn problems_of_templates(&self) -> Vec<(String, String)> {
        let templates = &self.templates;
        let mut problems = Vec::new();
        if !templates.is_empty() && self.texts.is_empty() && self.finer.is_empty() {
            let reason = "expected texts to put into them, found none";
            problems.push(("templates".to_owned(), reason.to_owned()));
        }
        if templates.len() > MAX_TEMPLATES {
            let found = templates.len();
            let reason = format!("{found} templates, at most {MAX_TEMPLATES} are taken");
            problems.push(("templates".to_owned(), reason));
            return problems;
        }
        for (number, template) in templates.iter().enumerate() {
            let places = template.matches(PLACE).count();
            let reason = if template.len() > MAX_TEXT_BYTES {
                let found = template.len();
                format!("it has {found} bytes, at most {MAX_TEXT_BYTES} are taken")
            } else if places != 1 {
                format!("expected one {PLACE} where the text goes, found {places} in {template:?}")
            } else {
                continue;
            };
            problems.push((format!("templates[{number}]"), reason));
        }
        problems
    }
}

impl PromptSet {
    /// The number of texts that templates make, where it is more than can be encoded.
    #[must_use]
    pub fn too_many_filled_texts(&self) -> Option<usize> {
        let with_templates = self.prompts.iter().filter(|prompt| !prompt.templates.is_empty());
        let counts = with_templates.map(Prompt::text_count);
        Some(counts.fold(0, usize::saturating_add)).filter(|found| *found > MAX_FILLED_TEXTS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(prompts: Vec<Prompt>) -> PromptSet {
        PromptSet { version: 1, prompts, default_threshold: 0.1 }
    }

    #[test]
    fn templates_have_one_place_for_a_text_and_are_bounded() {
        let with = |templates: &[&str]| Prompt {
            templates: templates.iter().map(|text| (*text).to_owned()).collect(),
            ..Prompt {
                texts: vec!["mug".to_owned(), "{} cup".to_owned()],
                ..Prompt::from_text("m")
            }
        };
        let good = with(&["a photo of a {}", "the {}."]);
        assert!(set(vec![good.clone()]).check().is_ok());
        assert!(!Prompt { templates: good.templates.clone(), ..Prompt::from_text("a") }.is_plain());
        let filled: Vec<_> = good.filled_texts().collect();
        assert_eq!(
            filled,
            [["a photo of a mug", "the mug."], ["a photo of a {} cup", "the {} cup."]]
        );
        let plain: Vec<_> = with(&[]).filled_texts().collect();
        assert_eq!(plain, [["mug"], ["{} cup"]]);

        let long = format!("{{}} {}", "x".repeat(MAX_TEXT_BYTES));
        for (templates, expected) in [
            (vec!["a photo"], "templates[0]: expected one {} where the text goes, found 0 in"),
            (vec!["{}", "{} and {}"], "templates[1]: expected one {} where the text goes, found 2"),
            (vec![&long], "templates[0]: it has 8195 bytes, at most 8192 are taken"),
            (vec!["{}"; MAX_TEMPLATES + 1], "101 templates, at most 100 are taken"),
        ] {
            let refused = set(vec![with(&templates)]).check().unwrap_err().to_string();
            assert!(refused.contains(expected), "{expected} is not in\n{refused}");
        }
        let wordless = Prompt { texts: Vec::new(), ..good };
        let refused = set(vec![wordless]).check().unwrap_err().to_string();
        assert!(refused.contains("templates: expected texts to put into them"), "{refused}");
        let many = |name: &str| Prompt {
            name: name.to_owned(),
            texts: vec!["x".to_owned(); 501],
            ..with(&["{}"; MAX_TEMPLATES])
        };
        let refused = set(vec![many("a"), many("b")]).check().unwrap_err().to_string();
        assert!(refused.contains("templates make 100200 texts, at most 100000"), "{refused}");
        assert!(set(vec![many("a")]).check().is_ok());
    }
}
