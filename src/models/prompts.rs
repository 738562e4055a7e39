//! From a prompt set to rows of token ids, and from those to queries.

use tch::{Device, Kind, Tensor};

use super::ForwardError;
use crate::tokenize::ClipTokenizer;
use crate::types::{PromptProblem, PromptSet, PromptSetRefused};

/// Texts that are encoded in one pass: bounds the memory that a set of any size takes.
const TEXTS_PER_PASS: usize = 256;

/// Every text of a prompt set, encoded by a model.
#[derive(Debug)]
pub struct EncodedTexts {
    /// The token ids of each text.
    ids: Vec<Vec<i64>>,
    /// The embedding of each text: f32 `[texts, size]`, on the model's device.
    of_texts: Tensor,
    /// One for each text, or one for all texts of a prompt that averages them: f32 `[queries,
    /// size]`, on the model's device.
    pub queries: Tensor,
    /// The prompt that each query belongs to, as its index in the set.
    pub prompt_of_text: Vec<usize>,
}

impl EncodedTexts {
    /// Checks `set`, splits its texts into tokens and gives them to `embed`, which takes
    /// `[texts, tokens]` i64 on the CPU and gives one row for each. Texts that are those of
    /// `before` are not encoded again: a new threshold costs nothing. A set without any text, of
    /// exemplars alone, gives no queries.
    ///
    /// # Errors
    /// Every problem of every prompt: what [`PromptSet::check`] finds, texts that the tokenizer
    /// refuses, and what `embed` reports.
    pub fn new(
        set: &PromptSet,
        before: Option<&Self>,
        tokenizer: &ClipTokenizer,
        max_tokens: i64,
        embed: impl Fn(&Tensor) -> Result<Tensor, ForwardError>,
    ) -> Result<Self, PromptSetRefused> {
        let mut problems = match set.check() {
            Ok(()) => Vec::new(),
            Err(refused) => refused.problems,
        };
        problems.extend(set.problems_without_bank());
        let max_tokens = usize::try_from(max_tokens).unwrap_or(0);
        let mut ids = Vec::new();
        let mut prompt_of_text = Vec::new();
        for (index, prompt) in set.prompts.iter().enumerate() {
            for text in prompt.texts.iter().filter(|text| !text.trim().is_empty()) {
                match tokenizer.encode(text, max_tokens) {
                    Ok(of_text) => {
                        ids.push(of_text);
                        prompt_of_text.push(index);
                    }
                    Err(refused) => problems.push(PromptProblem {
                        prompt: prompt.name.clone(),
                        reason: refused.to_string(),
                    }),
                }
            }
        }
        if !problems.is_empty() {
            return Err(PromptSetRefused { problems });
        }
        let of_texts = match before.filter(|before| before.ids == ids) {
            Some(before) => Ok(before.of_texts.shallow_clone()),
            None if ids.is_empty() => {
                Tensor::f_zeros([0, 0], (Kind::Float, Device::Cpu)).map_err(ForwardError::from)
            }
            None => embed_rows(&ids, i64::from(tokenizer.end_id()), embed),
        };
        let queries = of_texts.and_then(|of_texts| {
            let (queries, prompt_of_text) = averaged(&of_texts, &prompt_of_text, set)?;
            Ok(Self { ids, of_texts, queries, prompt_of_text })
        });
        match queries {
            Ok(texts) => Ok(texts),
            Err(error) => Err(PromptSetRefused {
                problems: vec![PromptProblem {
                    prompt: String::new(),
                    reason: format!("the texts could not be encoded: {error}"),
                }],
            }),
        }
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
    let averages = |prompt: &usize| set.prompts[*prompt].average;
    if !prompt_of_row.iter().any(averages) {
        return Ok((rows.shallow_clone(), prompt_of_row.to_vec()));
    }
    let (mut parts, mut prompts, mut first) = (Vec::new(), Vec::new(), 0);
    for of_prompt in prompt_of_row.chunk_by(PartialEq::eq) {
        let part = rows.f_narrow(0, first, of_prompt.len() as i64)?;
        first += of_prompt.len() as i64;
        if averages(&of_prompt[0]) {
            let length = |rows: &Tensor| rows.f_linalg_norm(2.0, [-1].as_slice(), true, None);
            let mean = |rows: &Tensor| rows.f_mean_dim([0].as_slice(), true, Kind::Float);
            let lengths = length(&part)?.f_clamp_min(f64::from(f32::MIN_POSITIVE))?;
            let middle = mean(&part.f_div(&lengths)?)?;
            let scale = mean(&lengths)?.f_div(&length(&middle)?.f_clamp_min(1e-12)?)?;
            parts.push(middle.f_mul(&scale)?);
            prompts.push(of_prompt[0]);
        } else {
            parts.push(part);
            prompts.extend(of_prompt);
        }
    }
    Ok((Tensor::f_cat(&parts, 0)?, prompts))
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
    use std::path::Path;

    use super::*;
    use crate::models::owl::Owl;

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
}
