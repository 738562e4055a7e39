//! Sentences by a bank's text encoder, each encoded once, and what the bank says of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::ground::asif::{Similar, TextPairs, TextSide};
use crate::ground::bank::{Side, unit};
use crate::tasks::{EncodeError, PromptsAhead, TextEncoder};
use crate::types::{PromptProblem, PromptSet};

use super::MAX_TEXTS;
use super::prompts::GroundingPrompt;

/// Sentences that are remembered: some 12 MB of vectors of 768 numbers.
const MAX_REMEMBERED: usize = 4096;
/// Pairs that are remembered of all queries together: some 67 MB.
const MAX_REMEMBERED_PAIRS: usize = 1 << 22;

/// What describes texts for one bank, on any thread: what one has worked out another finds. Each
/// sentence is encoded by itself, so that its vector is the same to the bit in whatever company it
/// comes. A look through a large bank takes longer than a frame may, and is best taken ahead.
pub(super) struct Sentences {
    encoder: Mutex<Box<dyn TextEncoder>>,
    dimension: usize,
    remembered: Mutex<HashMap<String, Arc<[f32]>>>,
    described: Mutex<Described>,
}

/// What the bank says of queries, known by their sentences.
struct Described {
    pairs: TextPairs,
    /// Counts up with each change of the bank.
    changes: u64,
    nearest: HashMap<Vec<String>, Arc<[Similar]>>,
}

impl Sentences {
    pub(super) fn new(encoder: Box<dyn TextEncoder>, pairs: TextPairs) -> Self {
        let dimension = encoder.dimension();
        let described = Mutex::new(Described { pairs, changes: 0, nearest: HashMap::new() });
        Self { encoder: Mutex::new(encoder), dimension, remembered: Mutex::default(), described }
    }

    /// From now on texts are described by these pairs.
    pub(super) fn bank_changed(&self, pairs: TextPairs) {
        let mut described = lock(&self.described);
        described.pairs = pairs;
        described.changes += 1;
        described.nearest.clear();
    }

    /// The queries of prompts, described by the bank.
    ///
    /// # Errors
    /// Every problem of every prompt; where the bank cannot be searched, that without a prompt.
    pub(super) fn describe(
        &self,
        prompts: &[GroundingPrompt],
    ) -> Result<TextSide, Vec<PromptProblem>> {
        let whole = |error: &dyn std::fmt::Display| vec![PromptProblem::of_set(error.to_string())];
        let means = self.encode_all(prompts)?;
        let vectors: Result<Vec<_>, _> = means
            .iter()
            .enumerate()
            .map(|(query, mean)| unit(Side::Text, query, mean, self.dimension))
            .collect();
        let vectors = vectors.map_err(|error| whole(&error))?;
        let queries: Vec<&[String]> = prompts
            .iter()
            .flat_map(|prompt| &prompt.queries)
            .map(|query| &*query.sentences)
            .collect();
        let (pairs, changes, mut nearest) = {
            let described = lock(&self.described);
            let known = queries.iter().map(|query| described.nearest.get(*query).cloned());
            (described.pairs.clone(), described.changes, known.collect::<Vec<_>>())
        };
        let missing: Vec<usize> =
            (0..queries.len()).filter(|query| nearest[*query].is_none()).collect();
        let asked: Vec<_> = missing.iter().map(|query| vectors[*query].clone()).collect();
        let found = pairs.nearest(&asked).map_err(|error| whole(&error))?;
        let mut described = lock(&self.described);
        // Of pairs from before a change nothing is remembered.
        let is_current = described.changes == changes;
        let remembered: usize = described.nearest.values().map(|found| found.len()).sum();
        let more: usize = found.iter().map(Vec::len).sum();
        if described.nearest.len() + missing.len() > MAX_REMEMBERED.max(MAX_TEXTS)
            || remembered + more > MAX_REMEMBERED_PAIRS
        {
            described.nearest.clear();
        }
        // Of so many pairs only the set in use has them.
        let is_kept = is_current && more <= MAX_REMEMBERED_PAIRS;
        for (query, found) in missing.into_iter().zip(found) {
            let found: Arc<[Similar]> = found.into();
            if is_kept {
                described.nearest.insert(queries[query].to_vec(), Arc::clone(&found));
            }
            nearest[query] = Some(found);
        }
        drop(described);
        let nearest =
            nearest.into_iter().map(|found| found.map_or_else(Vec::new, |all| all.to_vec()));
        Ok(TextSide::new(pairs.settings(), vectors, nearest.collect()))
    }

    /// Queries that the bank need not be searched for.
    #[cfg(test)]
    pub(super) fn queries_described(&self) -> usize {
        lock(&self.described).nearest.len()
    }

    /// The vector of a sentence, of unit length.
    pub(super) fn encode(&self, sentence: &str) -> Result<Arc<[f32]>, EncodeError> {
        if let Some(known) = lock(&self.remembered).get(sentence) {
            return Ok(Arc::clone(known));
        }
        let texts = [sentence.to_owned()];
        let encoded = lock(&self.encoder).encode(&texts)?.pop().unwrap_or_default();
        let vector: Arc<[f32]> = unit(Side::Text, 0, &encoded, self.dimension)
            .map_err(|error| EncodeError::Backend { message: error.to_string() })?
            .into();
        let [sentence] = texts;
        let mut remembered = lock(&self.remembered);
        if remembered.len() >= MAX_REMEMBERED {
            remembered.clear();
        }
        remembered.insert(sentence, Arc::clone(&vector));
        Ok(vector)
    }

    /// The vector of each query of each prompt, in their order.
    ///
    /// # Errors
    /// Every problem of every prompt.
    fn encode_all(&self, prompts: &[GroundingPrompt]) -> Result<Vec<Vec<f32>>, Vec<PromptProblem>> {
        let (mut vectors, mut problems) = (Vec::new(), Vec::new());
        for prompt in prompts {
            let mut problem = |reason: String| {
                problems.push(PromptProblem::of_prompt(&prompt.name, reason));
            };
            if prompt.queries.is_empty() {
                problem("it has no text for the bank".to_owned());
            }
            for query in &prompt.queries {
                let mut mean = vec![0.0; self.dimension];
                for sentence in &query.sentences {
                    match self.encode(sentence) {
                        Ok(vector) => mean.iter_mut().zip(&*vector).for_each(|(sum, one)| {
                            *sum += one / query.sentences.len() as f32;
                        }),
                        Err(error) => problem(reason(sentence, &error)),
                    }
                }
                vectors.push(mean);
            }
        }
        match problems.is_empty() {
            true => Ok(vectors),
            false => Err(problems),
        }
    }
}

impl PromptsAhead for Sentences {
    fn encode(&self, prompts: &PromptSet) {
        if prompts.check().is_err() {
            return;
        }
        // What is wrong with one is told when the set is put into use; the others are encoded.
        drop(self.describe(&GroundingPrompt::of_set(prompts)));
    }
}

fn reason(sentence: &str, error: &EncodeError) -> String {
    match error {
        EncodeError::TooLong { tokens, limit, .. } => {
            format!("{sentence:?} has {tokens} tokens, the bank's text encoder takes {limit}")
        }
        EncodeError::Empty { .. } => "one of its texts is empty".to_owned(),
        EncodeError::Backend { .. } => error.to_string(),
    }
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each change under it is whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
