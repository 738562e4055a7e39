//! From a prompt set to rows of token ids, and from those to queries.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tch::{Device, Kind, Tensor};

use super::ForwardError;
use super::text_store::TextStore;
use crate::tokenize::ClipTokenizer;
use crate::types::{PromptProblem, PromptSet, PromptSetRefused};

/// Texts that are encoded in one pass: bounds the memory that a set of any size takes.
const TEXTS_PER_PASS: usize = 256;

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
        // A row of ids for each template of each text, and which text of the set it is of.
        let (mut ids, mut text_of_row) = (Vec::new(), Vec::new());
        let mut prompt_of_text = Vec::new();
        for (index, prompt) in set.prompts.iter().enumerate() {
            for filled in prompt.filled_texts() {
                for text in filled.iter().filter(|text| !text.trim().is_empty()) {
                    match self.tokenizer.encode(text, self.max_tokens) {
                        Ok(of_text) => {
                            ids.push(of_text);
                            text_of_row.push(prompt_of_text.len());
                        }
                        Err(refused) => problems.push(PromptProblem {
                            prompt: prompt.name.clone(),
                            reason: refused.to_string(),
                        }),
                    }
                }
                prompt_of_text.push(index);
            }
        }
        if !problems.is_empty() {
            return Err(PromptSetRefused { problems });
        }
        let queries = match ids.is_empty() {
            true => Tensor::f_zeros([0, 0], (Kind::Float, self.device)).map_err(ForwardError::from),
            false => self.queries(&ids, embed),
        };
        let queries = queries
            .and_then(|rows| mean_of_groups(&rows, &text_of_row, |_| true))
            .and_then(|(queries, _)| averaged(&queries, &prompt_of_text, set));
        match queries {
            Ok((queries, prompt_of_text)) => Ok(EncodedTexts { queries, prompt_of_text }),
            Err(error) => Err(PromptSetRefused {
                problems: vec![PromptProblem {
                    prompt: String::new(),
                    reason: format!("the texts could not be encoded: {error}"),
                }],
            }),
        }
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

/// The rows of each prompt that averages become one, their mean at the mean of their lengths (unit
/// vectors give a unit vector, as in the ensembles of the CLIP paper); those of other prompts stay.
/// `rows` is f32 `[n, size]`, and `prompt_of_row` says whose each of them is, rising. The same for
/// what comes out.
///
/// # Errors
/// What libtorch reports.
pub fn averaged(
    rows: &Tensor,
    prompt_of_row: &[usize],
    set: &PromptSet,
) -> Result<(Tensor, Vec<usize>), ForwardError> {
    mean_of_groups(rows, prompt_of_row, |prompt| set.prompts[prompt].average)
}

/// The rows of each group of more than one that `averages` become one, as in [`averaged`]; what
/// comes out says again which group each row is of.
fn mean_of_groups(
    rows: &Tensor,
    group_of_row: &[usize],
    averages: impl Fn(usize) -> bool,
) -> Result<(Tensor, Vec<usize>), ForwardError> {
    let becomes_one = |group: &[usize]| group.len() > 1 && averages(group[0]);
    if !group_of_row.chunk_by(PartialEq::eq).any(becomes_one) {
        return Ok((rows.shallow_clone(), group_of_row.to_vec()));
    }
    let (mut parts, mut groups, mut first) = (Vec::new(), Vec::new(), 0);
    for group in group_of_row.chunk_by(PartialEq::eq) {
        let part = rows.f_narrow(0, first, group.len() as i64)?;
        first += group.len() as i64;
        if becomes_one(group) {
            let length = |rows: &Tensor| rows.f_linalg_norm(2.0, [-1].as_slice(), true, None);
            let mean = |rows: &Tensor| rows.f_mean_dim([0].as_slice(), true, Kind::Float);
            let lengths = length(&part)?.f_clamp_min(f64::from(f32::MIN_POSITIVE))?;
            let middle = mean(&part.f_div(&lengths)?)?;
            let scale = mean(&lengths)?.f_div(&length(&middle)?.f_clamp_min(1e-12)?)?;
            parts.push(middle.f_mul(&scale)?);
            groups.push(group[0]);
        } else {
            parts.push(part);
            groups.extend(group);
        }
    }
    Ok((Tensor::f_cat(&parts, 0)?, groups))
}

/// `rows` of token ids, all of one length and at least one of them, to f32 `[rows, size]`: gives
/// them to `embed` in passes, without the padding that all of a pass have. The caller switches
/// gradients off.
///
/// # Errors
/// What `embed` and libtorch report.
pub fn embed_rows(
    rows: &[Vec<i64>],
    end_id: i64,
    embed: impl Fn(&Tensor) -> Result<Tensor, ForwardError>,
) -> Result<Tensor, ForwardError> {
    let mut parts = Vec::with_capacity(rows.len().div_ceil(TEXTS_PER_PASS));
    for chunk in rows.chunks(TEXTS_PER_PASS) {
        // What follows the end of the longest text is padding that nothing looks at: attention is
        // causal, and a text is read at its end token.
        let used = |row: &Vec<i64>| {
            row.iter().position(|id| *id == end_id).map_or(row.len(), |end| end + 1)
        };
        let tokens = chunk.iter().map(used).max().unwrap_or(0);
        let ids: Vec<i64> = chunk.iter().flat_map(|row| row[..tokens].iter().copied()).collect();
        let ids = Tensor::f_from_slice(&ids)?.f_view([chunk.len() as i64, tokens as i64])?;
        parts.push(embed(&ids)?);
    }
    Ok(Tensor::f_cat(&parts, 0)?.f_to_kind(Kind::Float)?)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::path::Path;

    use super::*;
    use crate::models::owl::Owl;
    use crate::types::Prompt;

    #[test]
    fn only_prompts_that_average_have_one_query_for_all() {
        let rows = Tensor::from_slice(&[1.0f32, 0.0, 0.0, 1.0, 3.0, 0.0, 0.0, 5.0]).view([4, 2]);
        let prompts = [false, true].map(|average| crate::types::Prompt {
            average,
            ..crate::types::Prompt::from_text("x")
        });
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
