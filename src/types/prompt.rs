//! What to look for.

use std::collections::HashSet;
use std::sync::Arc;

use super::templates::MAX_FILLED_TEXTS;
use super::{Exemplar, FinerLabel, PromptProblem, PromptSetRefused};

/// The longest text or name, in bytes: no text tower reads more than a small part of it.
pub const MAX_TEXT_BYTES: usize = 8192;
/// The most exemplars of one set.
pub const MAX_EXEMPLARS: usize = 1000;
/// The most pixels that the pictures of one set have together, of which each counts once (384 MB).
pub const MAX_EXEMPLAR_PIXELS: u64 = 1 << 27;

/// One thing to look for, under one name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Prompt {
    /// The name that every output carries (`class_id`). Unique in its set.
    pub name: String,
    /// The texts that describe it; the best of them and of the exemplars gives the score. At least
    /// one where there is no exemplar.
    pub texts: Vec<String>,
    /// The pictures that show it; at least one where there is no text.
    pub exemplars: Vec<Exemplar>,
    /// Lowest score, in `[0, 1]`, that is reported; `None` uses the set's.
    pub threshold: Option<f32>,
    /// A distractor: what it explains best is taken away and never reported.
    pub negative: bool,
    /// Its texts are looked up in the bank of pairs (ASIF), not given to the detector's own text
    /// tower. Takes no exemplars.
    pub asif: bool,
    /// Its texts become one query, the mean of theirs, and so do its exemplars, where otherwise
    /// each is a query of its own.
    pub average: bool,
    /// Sentences with one `{}` each, in whose place a text is put (`a photo of a {}`). A text
    /// remains one query, the mean of what they make of it. None: texts are taken as they are.
    pub templates: Vec<String>,
    /// What a thing that it finds may be more closely: a classifier tells which of these labels
    /// fits best. None, or at least two.
    pub finer: Vec<FinerLabel>,
}

impl Prompt {
    /// A prompt whose name is its only text.
    #[must_use]
    pub fn from_text(text: &str) -> Self {
        Self { name: text.to_owned(), texts: vec![text.to_owned()], ..Self::default() }
    }

    /// Whether it is what [`from_text`](Self::from_text) makes of its name.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        let Self { name, texts, exemplars, threshold, negative, asif, average, templates, finer } =
            self;
        texts.as_slice() == std::slice::from_ref(name)
            && exemplars.is_empty()
            && threshold.is_none()
            && !(*negative || *asif || *average)
            && templates.is_empty()
            && finer.is_empty()
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
    /// names and texts are neither blank nor endless, thresholds lie in `[0, 1]`, each prompt has a
    /// text or an exemplar, templates have one `{}`, finer labels are at least
    /// two with names of their own, exemplars lie inside their pictures, and there are not too many
    /// of any.
    ///
    /// # Errors
    /// Every problem found, not only the first.
    pub fn check(&self) -> Result<(), PromptSetRefused> {
        let mut problems = Vec::new();
        let mut add = |prompt: &str, part: &str, reason: String| {
            problems.push(PromptProblem::of_part(prompt, part.to_owned(), reason));
        };
        if self.prompts.is_empty() {
            add("", "", "the set holds no prompt".to_owned());
        }
        if !(0.0..=1.0).contains(&self.default_threshold) {
            add("", "", format!("threshold {} is not in [0, 1]", self.default_threshold));
        }
        let mut names = HashSet::new();
        for (index, prompt) in self.prompts.iter().enumerate() {
            if prompt.name.trim().is_empty() {
                add("", "", format!("prompt {}: the prompt is empty", index + 1));
                continue;
            }
            let mut problem = |part: &str, reason: String| add(prompt.name.as_str(), part, reason);
            if !names.insert(prompt.name.as_str()) {
                problem("", "the name is used twice".to_owned());
            }
            if prompt.name.len() > MAX_TEXT_BYTES {
                let found = prompt.name.len();
                let reason =
                    format!("the name has {found} bytes, at most {MAX_TEXT_BYTES} are taken");
                problem("", reason);
                continue;
            }
            if prompt.texts.is_empty() && prompt.exemplars.is_empty() {
                problem("", "the prompt has no text and no exemplar".to_owned());
            }
            if prompt.asif && !prompt.exemplars.is_empty() {
                problem("asif", "expected texts only, found exemplars".to_owned());
            }
            if prompt.texts.iter().any(|text| text.trim().is_empty()) {
                problem("", "one of its texts is empty".to_owned());
            }
            if let Some(found) =
                prompt.texts.iter().map(String::len).find(|len| *len > MAX_TEXT_BYTES)
            {
                let reason =
                    format!("a text has {found} bytes, at most {MAX_TEXT_BYTES} are taken");
                problem("", reason);
            }
            for (part, reason) in
                prompt.problems_of_templates().into_iter().chain(prompt.problems_of_finer())
            {
                problem(&part, reason);
            }
            for (number, exemplar) in prompt.exemplars.iter().enumerate() {
                if let Some(reason) = exemplar.problem() {
                    problem(&format!("exemplars[{number}]"), reason);
                }
            }
            if let Some(threshold) = prompt.threshold
                && !(0.0..=1.0).contains(&threshold)
            {
                problem("", format!("threshold {threshold} is not in [0, 1]"));
            }
        }
        if let Some(found) = self.too_many_filled_texts() {
            add(
                "",
                "",
                format!("templates make {found} texts, at most {MAX_FILLED_TEXTS} are taken"),
            );
        }
        let exemplars: Vec<_> = self.exemplars().collect();
        if exemplars.len() > MAX_EXEMPLARS {
            let found = exemplars.len();
            add("", "", format!("{found} exemplars, at most {MAX_EXEMPLARS} are taken"));
        }
        let mut seen = HashSet::new();
        let pictures = exemplars.iter().map(|exemplar| &exemplar.picture);
        let pixels: u64 = pictures
            .filter(|picture| seen.insert(Arc::as_ptr(picture)))
            .map(|picture| picture.image.pixels().len() as u64)
            .sum();
        if pixels > MAX_EXEMPLAR_PIXELS {
            add(
                "",
                "",
                format!(
                    "the exemplars' pictures have {pixels} pixels, at most {MAX_EXEMPLAR_PIXELS} \
                     are taken"
                ),
            );
        }
        if problems.is_empty() { Ok(()) } else { Err(PromptSetRefused { problems }) }
    }

    /// The exemplars of all prompts, in their order.
    pub fn exemplars(&self) -> impl Iterator<Item = &Exemplar> {
        self.prompts.iter().flat_map(|prompt| &prompt.exemplars)
    }

    /// A problem for each prompt that a model cannot use which takes texts only.
    #[must_use]
    pub fn problems_of_texts_only(&self) -> Vec<PromptProblem> {
        let shown = |prompt: &Prompt| !prompt.exemplars.is_empty();
        self.refuse(shown, "exemplars", "this model takes texts only")
    }

    /// A problem for each prompt that asks for a bank of pairs where there is none.
    #[must_use]
    pub fn problems_without_bank(&self) -> Vec<PromptProblem> {
        self.refuse(|prompt| prompt.asif, "asif", "no bank is configured")
    }

    /// A problem for each prompt that asks for finer labels where nothing tells them apart.
    #[must_use]
    pub fn problems_without_classifier(&self) -> Vec<PromptProblem> {
        self.refuse(|prompt| !prompt.finer.is_empty(), "finer", "no classifier is configured")
    }

    fn refuse(
        &self,
        asks: impl Fn(&Prompt) -> bool,
        part: &str,
        reason: &str,
    ) -> Vec<PromptProblem> {
        let problem = |prompt: &Prompt| {
            PromptProblem::of_part(&prompt.name, part.to_owned(), reason.to_owned())
        };
        self.prompts.iter().filter(|prompt| asks(prompt)).map(problem).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ExemplarPicture, PixelBox};
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
            [
                "prompt 2: the prompt is empty",
                "the name is used twice",
                "threshold 1.5 is not in [0, 1]"
            ]
        );
        assert!(refused.to_string().contains("\"a cat\": the name is used twice"));
    }

    #[test]
    fn a_prompt_has_texts_or_exemplars_that_can_be_used() {
        let picture = |side: u32| {
            let image = Arc::new(image::RgbImage::new(side, side));
            Arc::new(ExemplarPicture { image, encoded: Vec::new(), file: None })
        };
        let shown = |picture: &Arc<ExemplarPicture>| Exemplar {
            picture: Arc::clone(picture),
            box_in_source_px: None,
        };
        let small = shown(&picture(8));
        let named = |name: &str| Prompt { name: name.to_owned(), ..Prompt::default() };
        let good = Prompt { exemplars: vec![small.clone()], ..named("gadget") };
        assert!(
            set(vec![good.clone(), Prompt { asif: true, ..Prompt::from_text("a") }])
                .check()
                .is_ok()
        );

        let outside = PixelBox::from_corners([0.0, 0.0, 9.0, 9.0]);
        let outside = Exemplar { box_in_source_px: Some(outside), ..small.clone() };
        let bad = set(vec![
            named("nothing"),
            Prompt { asif: true, ..good.clone() },
            Prompt { exemplars: vec![small.clone(), outside], ..named("outside") },
            Prompt { texts: vec!["ü".repeat(MAX_TEXT_BYTES)], ..named("long") },
            named(&"x".repeat(MAX_TEXT_BYTES + 1)),
        ]);
        let refused = bad.check().unwrap_err().to_string();
        for expected in [
            "\"nothing\": the prompt has no text and no exemplar",
            "\"gadget\": asif: expected texts only, found exemplars",
            "\"outside\": exemplars[1]: the box [0, 0, 9, 9] is not inside its picture of 8x8",
            "\"long\": a text has 16384 bytes, at most 8192 are taken",
            "x…\": the name has 8193 bytes, at most 8192 are taken",
        ] {
            assert!(refused.contains(expected), "{expected} is not in\n{refused}");
        }
        assert_eq!(bad.problems_of_texts_only().len(), 2);
        assert_eq!(bad.problems_without_bank().len(), 1);

        let many = Prompt { exemplars: vec![small; MAX_EXEMPLARS + 1], ..named("many") };
        let refused = set(vec![many]).check().unwrap_err().to_string();
        assert!(refused.contains("1001 exemplars, at most 1000 are taken"), "{refused}");
        // Never written to, so that the system gives no memory for them.
        let pictures = [8192, 8192, 8192].map(|side| shown(&picture(side)));
        let [one, two, _] = &pictures;
        let shared = vec![one.clone(), two.clone(), one.clone(), one.clone()];
        assert!(set(vec![Prompt { exemplars: shared, ..named("shared") }]).check().is_ok());
        let big = Prompt { exemplars: pictures.into(), ..named("big") };
        let refused = set(vec![big]).check().unwrap_err().to_string();
        assert!(refused.contains("have 201326592 pixels, at most 134217728"), "{refused}");
    }

    #[test]
    fn an_empty_set_and_a_nan_threshold_are_refused() {
        assert!(set(vec![]).check().is_err());
        let mut nan = set(vec![Prompt::from_text("a cat")]);
        nan.default_threshold = f32::NAN;
        assert!(nan.check().is_err());
    }
}
