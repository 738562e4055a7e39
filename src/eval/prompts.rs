//! What is asked for each category.

use std::collections::HashMap;

use super::dataset::Category;
use crate::types::{Prompt, PromptProblem, PromptSetRefused};

/// Stands for the name of a category in a template.
pub const PLACE_OF_NAME: &str = "{}";

/// One prompt for each category, in their order: with the category's own texts, else with its name
/// put into each template, else with its name alone. Each template holds [`PLACE_OF_NAME`].
#[must_use]
pub fn prompts_of_categories(categories: &[Category], templates: &[String]) -> Vec<Prompt> {
    categories
        .iter()
        .map(|category| {
            let mut prompt = Prompt::from_text(&category.name);
            if !category.texts.is_empty() {
                prompt.texts.clone_from(&category.texts);
            } else if !templates.is_empty() {
                let filled =
                    templates.iter().map(|text| text.replace(PLACE_OF_NAME, &category.name));
                prompt.texts = filled.collect();
            }
            prompt
        })
        .collect()
}

/// The prompts of a file in the order of the categories that they are named after; then its
/// distractors, which are named after none.
///
/// # Errors
/// A prompt that is named after no category, a distractor that is named after one, a category that
/// no prompt is named after: every one of them.
pub fn prompts_for_categories(
    categories: &[Category],
    prompts: Vec<Prompt>,
) -> Result<Vec<Prompt>, PromptSetRefused> {
    let mut problems = Vec::new();
    let mut problem = |prompt: &str, reason: &str| {
        problems.push(PromptProblem::of_prompt(prompt, reason.to_owned()));
    };
    let category_at: HashMap<_, _> =
        categories.iter().enumerate().map(|(at, one)| (one.name.as_str(), at)).collect();
    let mut asked: Vec<Option<Prompt>> = vec![None; categories.len()];
    let mut distractors = Vec::new();
    for prompt in prompts {
        match (category_at.get(prompt.name.as_str()), prompt.negative) {
            (None, true) => distractors.push(prompt),
            (None, false) => {
                problem(&prompt.name, "expected the name of a category, found none of this name");
            }
            (Some(_), true) => {
                problem(
                    &prompt.name,
                    "expected a prompt to look for, found a distractor with the name of a category",
                );
            }
            (Some(at), false) => asked[*at] = Some(prompt),
        }
    }
    for (category, prompt) in categories.iter().zip(&asked) {
        if prompt.is_none() && !problems.iter().any(|one| one.prompt == category.name) {
            let reason = "expected a prompt for this category, found none: every category is asked";
            problems.push(PromptProblem::of_prompt(&category.name, reason.to_owned()));
        }
    }
    if problems.is_empty() {
        Ok(asked.into_iter().flatten().chain(distractors).collect())
    } else {
        Err(PromptSetRefused { problems })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn category(name: &str, texts: &[&str]) -> Category {
        let texts = texts.iter().map(|text| (*text).to_owned()).collect();
        Category { id: 1, name: name.to_owned(), group: None, texts }
    }

    #[test]
    fn texts_come_before_templates_and_templates_before_names() {
        let categories = [category("mug", &["a mug", "a cup"]), category("dog", &[])];
        let texts = |templates: &[&str]| -> Vec<Vec<String>> {
            let templates: Vec<_> = templates.iter().map(|text| (*text).to_owned()).collect();
            let prompts = prompts_of_categories(&categories, &templates);
            prompts.into_iter().map(|prompt| prompt.texts).collect()
        };
        assert_eq!(texts(&[]), [vec!["a mug", "a cup"], vec!["dog"]]);
        let templates = ["a photo of a {}", "a small {}"];
        assert_eq!(
            texts(&templates),
            [vec!["a mug", "a cup"], vec!["a photo of a dog", "a small dog"]]
        );
    }

    #[test]
    fn a_prompts_file_is_put_in_order_or_refused_with_every_reason() {
        let categories = [category("mug", &[]), category("dog", &[])];
        let named = |name: &str, negative| Prompt { negative, ..Prompt::from_text(name) };
        let prompts = vec![named("shadow", true), named("dog", false), named("mug", false)];
        let asked = prompts_for_categories(&categories, prompts).unwrap();
        let names: Vec<_> = asked.iter().map(|prompt| prompt.name.as_str()).collect();
        assert_eq!(names, ["mug", "dog", "shadow"]);

        let prompts = vec![named("cat", false), named("dog", true)];
        let refused = prompts_for_categories(&categories, prompts).unwrap_err().to_string();
        for expected in [
            "\"cat\": expected the name of a category",
            "\"dog\": expected a prompt to look for",
            "\"mug\": expected a prompt for this category",
        ] {
            assert!(refused.contains(expected), "{refused}");
        }
    }
}
