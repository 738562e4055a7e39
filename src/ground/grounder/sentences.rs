//! Sentences by a bank's text encoder, each encoded once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::ground::bank::{Side, unit};
use crate::tasks::{EncodeError, PromptsAhead, TextEncoder};
use crate::types::{PromptProblem, PromptSet};

use super::prompts::{GroundingPrompt, GroundingQuery};

/// Sentences that are remembered: some 12 MB of vectors of 768 numbers.
const MAX_REMEMBERED: usize = 4096;

/// What encodes sentences for one bank, on any thread: what one has encoded another finds. Each is
/// encoded by itself, so that its vector is the same to the bit in whatever company it comes.
pub(super) struct Sentences {
    encoder: Mutex<Box<dyn TextEncoder>>,
    dimension: usize,
    remembered: Mutex<HashMap<String, Arc<[f32]>>>,
}

impl Sentences {
    pub(super) fn new(encoder: Box<dyn TextEncoder>) -> Self {
        let dimension = encoder.dimension();
        Self { encoder: Mutex::new(encoder), dimension, remembered: Mutex::default() }
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
    pub(super) fn encode_all(
        &self,
        prompts: &[GroundingPrompt],
    ) -> Result<Vec<Vec<f32>>, Vec<PromptProblem>> {
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
        for GroundingQuery { sentences, .. } in
            GroundingPrompt::of_set(prompts).into_iter().flat_map(|prompt| prompt.queries)
        {
            // What is wrong with one is told when the set is put into use.
            sentences.iter().for_each(|sentence| drop(Self::encode(self, sentence)));
        }
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
