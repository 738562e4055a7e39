//! From a prompt set to rows of token ids, and from those to queries.

mod rows;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tch::{Device, Kind, Tensor};

use self::rows::mean_of_groups;
pub use self::rows::{averaged, embed_rows};
use super::ForwardError;
use super::text_store::TextStore;
use crate::nn::unit_length;
use crate::tokenize::ClipTokenizer;
use crate::types::{Prompt, PromptProblem, PromptSet, PromptSetRefused};

/// Texts that are remembered: 8 MB of vectors of 512 numbers. Where there are more, those of the
/// newest set are.
const MAX_REMEMBERED: usize = 4096;

/// What makes queries of prompt sets for one model: its tokenizer, and the vectors of the texts
/// that it has encoded. Threads may share it: what one has encoded another finds.
#[derive(Debug)]
pub struct PromptEncoder {
    tokenizer: ClipTokenizer,
    max_tokens: usize,
    device: Device,
    remembered: Mutex<HashMap<Vec<i64>, Arc<[f32]>>>,
    store: Option<TextStore>,
}

/// Every text of a prompt set, encoded by a model.
#[derive(Debug)]
pub struct EncodedTexts {
    /// One for each text, in all its templates, or one for all texts of a prompt that averages
    /// them: f32 `[queries, size]`, on the model's device. None where the set has exemplars alone.
    pub queries: Tensor,
    /// The prompt that each query belongs to, as its index in the set.
    pub prompt_of_text: Vec<usize>,
}

impl PromptEncoder {
    /// For a model on `device` that takes texts of `max_tokens` tokens. Texts that are in `store`
    /// are not encoded, and those that are encoded are put there.
    #[must_use]
    pub fn new(
        tokenizer: ClipTokenizer,
        max_tokens: i64,
        device: Device,
        store: Option<TextStore>,
    ) -> Self {
        let max_tokens = usize::try_from(max_tokens).unwrap_or(0);
        Self { tokenizer, max_tokens, device, remembered: Mutex::default(), store }
    }

    /// Checks `set`, splits its texts into tokens and gives those that it does not remember to
    /// `embed`, which takes `[texts, tokens]` i64 on the CPU and gives one row for each. The caller
    /// switches gradients off.
    ///
    /// # Errors
    /// Every problem of every prompt: what [`PromptSet::check`] finds, texts that the tokenizer
    /// refuses, and what `embed` reports.
    pub fn encode(
        &self,
        set: &PromptSet,
        embed: impl Fn(&Tensor) -> Result<Tensor, ForwardError>,
    ) -> Result<EncodedTexts, PromptSetRefused> {
        let mut problems = match set.check() {
            Ok(()) => Vec::new(),
            Err(refused) => refused.problems,
        };
        problems.extend(set.problems_without_bank());
        problems.extend(set.problems_without_classifier());
        if set.too_many_filled_texts().is_some() {
            return Err(PromptSetRefused { problems });
        }
        let mut texts = Tokens::default();
        for (index, prompt) in set.prompts.iter().enumerate() {
            for filled in prompt.filled_texts() {
                for reason in texts.add(self, index, &filled) {
                    problems.push(PromptProblem::of_prompt(&prompt.name, reason));
                }
            }
        }
        if !problems.is_empty() {
            return Err(PromptSetRefused { problems });
        }
        let queries = self.vectors(&texts, embed);
        match queries.and_then(|queries| averaged(&queries, &texts.owner_of_text, set)) {
            Ok((queries, prompt_of_text)) => Ok(EncodedTexts { queries, prompt_of_text }),
            Err(error) => Err(not_encoded(&error)),
        }
    }

    /// Encodes the finer labels of `set`: for each prompt a vector for each of its labels, of
    /// length 1. Several texts of a label, and what templates make of them, are averaged.
    ///
    /// # Errors
    /// As [`encode`](Self::encode), of the labels.
    pub fn encode_finer(
        &self,
        set: &PromptSet,
        embed: impl Fn(&Tensor) -> Result<Tensor, ForwardError>,
    ) -> Result<Vec<Vec<Vec<f32>>>, PromptSetRefused> {
        set.check()?;
        let labels = || set.prompts.iter().flat_map(|prompt| &prompt.finer);
        let (mut texts, mut problems, mut label) = (Tokens::default(), Vec::new(), 0);
        for prompt in &set.prompts {
            for (number, finer) in prompt.finer.iter().enumerate() {
                for text in &finer.texts {
                    let reasons = texts.add(self, label, &prompt.filled(text));
                    problems.extend(reasons.into_iter().map(|reason| {
                        PromptProblem::of_part(&prompt.name, format!("finer[{number}]"), reason)
                    }));
                }
                label += 1;
            }
        }
        if !problems.is_empty() {
            return Err(PromptSetRefused { problems });
        }
        let encoded = || -> Result<_, ForwardError> {
            let vectors = self.vectors(&texts, embed)?;
            let (vectors, _) = mean_of_groups(&vectors, &texts.owner_of_text, |_| true)?;
            Ok(Vec::<Vec<f32>>::try_from(unit_length(&vectors)?.f_to_device(Device::Cpu)?)?)
        };
        let mut vectors = match labels().next() {
            None => Vec::new(),
            Some(_) => encoded().map_err(|error| not_encoded(&error))?,
        };
        if vectors.iter().flatten().any(|value| !value.is_finite()) {
            let message = "their vectors are not numbers: are the weights damaged?";
            return Err(not_encoded(message));
        }
        let mut vectors = vectors.drain(..);
        let of_prompt = |prompt: &Prompt| vectors.by_ref().take(prompt.finer.len()).collect();
        Ok(set.prompts.iter().map(of_prompt).collect())
    }

    /// f32 `[texts, size]` on the device: the mean of what templates made of each text.
    fn vectors(
        &self,
        texts: &Tokens,
        embed: impl Fn(&Tensor) -> Result<Tensor, ForwardError>,
    ) -> Result<Tensor, ForwardError> {
        if texts.ids.is_empty() {
            return Ok(Tensor::f_zeros([0, 0], (Kind::Float, self.device))?);
        }
        let rows = self.queries(&texts.ids, embed)?;
        Ok(mean_of_groups(&rows, &texts.text_of_row, |_| true)?.0)
    }

    /// Remembers nothing any more, as before the first set.
    pub fn forget(&self) {
        self.remembered().clear();
    }

    fn remembered(&self) -> MutexGuard<'_, HashMap<Vec<i64>, Arc<[f32]>>> {
        // Each change of it is whole.
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// f32 `[rows, size]` on the device.
    fn queries(
        &self,
        rows: &[Vec<i64>],
        embed: impl Fn(&Tensor) -> Result<Tensor, ForwardError>,
    ) -> Result<Tensor, ForwardError> {
        self.learn(rows, embed)?;
        let remembered = self.remembered();
        let mut values = Vec::new();
        let mut found: i64 = 0;
        for vector in rows.iter().filter_map(|row| remembered.get(row)) {
            values.extend_from_slice(vector);
            found += 1;
        }
        drop(remembered);
        Ok(Tensor::f_from_slice(&values)?.f_view([found, -1])?.f_to_device(self.device)?)
    }

    /// Encodes what is not remembered yet. It is not locked meanwhile.
    fn learn(
        &self,
        rows: &[Vec<i64>],
        embed: impl Fn(&Tensor) -> Result<Tensor, ForwardError>,
    ) -> Result<(), ForwardError> {
        let wanted: HashSet<&Vec<i64>> = rows.iter().collect();
        let mut missing = {
            let mut remembered = self.remembered();
            if remembered.len() + wanted.len() > MAX_REMEMBERED {
                remembered.retain(|row, _| wanted.contains(row));
            }
            let mut missing: Vec<Vec<i64>> = Vec::new();
            let mut seen = HashSet::new();
            for row in rows {
                if !remembered.contains_key(row) && seen.insert(row) {
                    missing.push(row.clone());
                }
            }
            missing
        };
        if let Some(store) = &self.store {
            missing.retain(|row| match store.read(row) {
                Some(vector) => {
                    self.remembered().insert(row.clone(), vector.into());
                    false
                }
                None => true,
            });
        }
        if missing.is_empty() {
            return Ok(());
        }
        let embeds = embed_rows(&missing, i64::from(self.tokenizer.end_id()), embed)?;
        let (_, size) = embeds.size2()?;
        let embeds = embeds.f_to_device(Device::Cpu)?.f_contiguous()?;
        let mut values = vec![0.0_f32; embeds.numel()];
        embeds.f_copy_data(&mut values, embeds.numel())?;
        for (row, vector) in missing.into_iter().zip(values.chunks_exact(size.max(1) as usize)) {
            if let Some(store) = &self.store {
                store.write(&row, vector);
            }
            self.remembered().insert(row, vector.into());
        }
        Ok(())
    }
}

/// The tokens of several texts.
#[derive(Default)]
struct Tokens {
    /// A row for each template of each text, or for each text where there are no templates.
    ids: Vec<Vec<i64>>,
    /// Which text each row is of.
    text_of_row: Vec<usize>,
    /// What each text is of, rising.
    owner_of_text: Vec<usize>,
}

impl Tokens {
    /// Adds one text of `owner` in all its templates. The reason for each that cannot be read;
    /// those that are blank are told by the check of the set.
    fn add(&mut self, encoder: &PromptEncoder, owner: usize, filled: &[String]) -> Vec<String> {
        let mut reasons = Vec::new();
        for text in filled.iter().filter(|text| !text.trim().is_empty()) {
            match encoder.tokenizer.encode(text, encoder.max_tokens) {
                Ok(row) => {
                    self.ids.push(row);
                    self.text_of_row.push(self.owner_of_text.len());
                }
                Err(refused) => reasons.push(refused.to_string()),
            }
        }
        self.owner_of_text.push(owner);
        reasons
    }
}

fn not_encoded(why: &(impl std::fmt::Display + ?Sized)) -> PromptSetRefused {
    let reason = format!("the texts could not be encoded: {why}");
    PromptSetRefused { problems: vec![PromptProblem::of_set(reason)] }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::path::Path;

    use super::rows::TEXTS_PER_PASS;
    use super::*;
    use crate::models::owl::Owl;

    #[test]
    fn only_prompts_that_average_have_one_query_for_all() {
        let rows = Tensor::from_slice(&[1.0f32, 0.0, 0.0, 1.0, 3.0, 0.0, 0.0, 5.0]).view([4, 2]);
        let prompts = [false, true].map(|average| Prompt { average, ..Prompt::from_text("x") });
        let mut set = PromptSet { version: 1, prompts: prompts.into(), default_threshold: 0.1 };
        let (queries, prompts) = averaged(&rows, &[0, 0, 1, 1], &set).unwrap();
        assert_eq!(prompts, [0, 0, 1]);
        assert_eq!(queries.size(), [3, 2]);
        let mean = Vec::<f32>::try_from(queries.get(2)).unwrap();
        // Lengths 3 and 5 at a right angle: length 4 between them; rounding of the root of 8.
        assert!(mean.iter().all(|value| (value - 8.0f32.sqrt()).abs() < 1e-6), "{mean:?}");
        set.prompts[1].average = false;
        assert_eq!(averaged(&rows, &[0, 0, 1, 1], &set).unwrap().1, [0, 0, 1, 1]);
    }

    #[test]
    fn many_texts_are_encoded_in_passes_and_without_their_padding() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/owlvit_tiny");
        let model = Owl::load(&folder, Device::Cpu, Kind::Float).unwrap();
        let tokenizer = ClipTokenizer::open(&folder).unwrap();
        let max_tokens = model.config().text.max_tokens as usize;
        let rows: Vec<Vec<i64>> = (0..TEXTS_PER_PASS + 3)
            .map(|n| {
                let text = format!("{} {n}", ["a cat", "the left hand of a dog", "red"][n % 3]);
                tokenizer.encode(&text, max_tokens).unwrap()
            })
            .collect();
        let queries =
            embed_rows(&rows, i64::from(tokenizer.end_id()), |ids| model.embed_texts(ids)).unwrap();
        assert_eq!(queries.size(), [rows.len() as i64, model.config().projection]);
        for index in [0, 1, 2, TEXTS_PER_PASS - 1, TEXTS_PER_PASS, TEXTS_PER_PASS + 2] {
            let alone = Tensor::from_slice(&rows[index]).view([1, max_tokens as i64]);
            let alone = model.embed_texts(&alone).unwrap();
            let off = (queries.narrow(0, index as i64, 1) - alone).abs().max().double_value(&[]);
            // Unit vectors; f32 sums in another order.
            assert!(off < 1e-5, "text {index} is off by {off}");
        }
    }
    fn set(texts: &[String]) -> PromptSet {
        let prompts = texts.iter().map(|text| Prompt::from_text(text)).collect();
        PromptSet { version: 1, prompts, default_threshold: 0.1 }
    }

    /// Ones, of as many rows as are asked for, which are counted.
    fn counting(counted: &Cell<i64>) -> impl Fn(&Tensor) -> Result<Tensor, ForwardError> {
        |ids| {
            let (rows, _) = ids.size2()?;
            counted.set(counted.get() + rows);
            Ok(Tensor::ones([rows, 4], (Kind::Float, Device::Cpu)))
        }
    }

    fn encoder(store: Option<TextStore>) -> PromptEncoder {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/owlvit_tiny");
        PromptEncoder::new(ClipTokenizer::open(&folder).unwrap(), 16, Device::Cpu, store)
    }

    #[test]
    fn a_text_is_encoded_once_and_memory_is_bounded() {
        let encoder = encoder(None);
        let counted = Cell::new(0);
        let texts = |from: usize, to: usize| -> Vec<String> {
            (from..to).map(|n| format!("cat {n}")).collect()
        };
        let first = encoder.encode(&set(&texts(0, 10)), counting(&counted)).unwrap();
        assert_eq!((first.queries.size(), counted.get()), (vec![10, 4], 10));
        encoder.encode(&set(&texts(5, 12)), counting(&counted)).unwrap();
        assert_eq!(counted.get(), 12);
        // Of one text under two names.
        let mut twice = set(&texts(20, 22));
        twice.prompts[1].texts = twice.prompts[0].texts.clone();
        let twice = encoder.encode(&twice, counting(&counted)).unwrap();
        assert_eq!((twice.queries.size(), counted.get()), (vec![2, 4], 13));
        encoder.encode(&set(&texts(100, 100 + MAX_REMEMBERED)), counting(&counted)).unwrap();
        assert_eq!(encoder.remembered().len(), MAX_REMEMBERED);
        encoder.forget();
        counted.set(0);
        encoder.encode(&set(&texts(0, 10)), counting(&counted)).unwrap();
        assert_eq!(counted.get(), 10);
    }

    #[test]
    fn a_text_is_the_mean_of_what_templates_make_of_it() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/owlvit_tiny");
        let model = Owl::load(&folder, Device::Cpu, Kind::Float).unwrap();
        let encoder = encoder(None);
        let rows = |set: &PromptSet| {
            let texts = encoder.encode(set, |ids| model.embed_texts(ids)).unwrap();
            (Vec::<Vec<f32>>::try_from(texts.queries).unwrap(), texts.prompt_of_text)
        };
        // The ensemble of the CLIP paper: unit vectors, their mean, of unit length again.
        let unit = |vector: &[f32]| -> Vec<f32> {
            let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
            vector.iter().map(|value| value / length).collect()
        };
        let ensemble = |vectors: &[Vec<f32>]| {
            let sum = |n: usize| vectors.iter().map(|vector| unit(vector)[n]).sum::<f32>();
            unit(&(0..vectors[0].len()).map(sum).collect::<Vec<_>>())
        };
        let close = |found: &[f32], expected: &[f32]| {
            let off = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            // Unit vectors; f32 sums in another order.
            assert!(off < 1e-6, "off by {off}");
        };
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let pet = Prompt {
            texts: owned(&["cat", "dog"]),
            templates: owned(&["a photo of a {}", "the {}", "{}"]),
            ..Prompt::from_text("pet")
        };
        let others = [Prompt::from_text("red"), Prompt::from_text("hand")];
        let alone = |text: &str| {
            let filled = [format!("a photo of a {text}"), format!("the {text}"), text.to_owned()];
            ensemble(&rows(&set(&filled)).0)
        };
        let mut asked = set(&[]);
        asked.prompts = vec![others[0].clone(), pet, others[1].clone()];
        let (found, prompts) = rows(&asked);
        assert_eq!(prompts, [0, 1, 1, 2]);
        close(&found[1], &alone("cat"));
        close(&found[2], &alone("dog"));
        let plain = rows(&set(&owned(&["red", "hand"]))).0;
        assert_eq!([&found[0], &found[3]], [&plain[0], &plain[1]]);

        asked.prompts[1].average = true;
        let (found, prompts) = rows(&asked);
        assert_eq!(prompts, [0, 1, 2]);
        close(&found[1], &ensemble(&[alone("cat"), alone("dog")]));

        asked.prompts[1].templates = owned(&["no place"]);
        let refused = encoder.encode(&asked, |ids| model.embed_texts(ids)).unwrap_err().to_string();
        assert!(refused.contains("\"pet\": templates[0]: expected one {}"), "{refused}");
    }

    #[test]
    fn what_was_encoded_is_found_on_disk_by_another_start() {
        let folder = tempfile::tempdir().unwrap();
        let open = |model: &str| Some(TextStore::open(folder.path(), model).unwrap());
        let counted = Cell::new(0);
        let texts = set(&["a cat".to_owned(), "a dog".to_owned()]);
        encoder(open("one")).encode(&texts, counting(&counted)).unwrap();
        let again = encoder(open("one")).encode(&texts, counting(&counted)).unwrap();
        assert_eq!(counted.get(), 2);
        assert_eq!(Vec::<Vec<f32>>::try_from(again.queries).unwrap(), vec![vec![1.0; 4]; 2]);
        // Vectors of another model are others.
        encoder(open("two")).encode(&texts, counting(&counted)).unwrap();
        assert_eq!(counted.get(), 4);
    }
}
