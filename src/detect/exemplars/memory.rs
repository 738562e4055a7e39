//! Exemplars that were encoded before.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use sha2::{Digest as _, Sha256};

use super::{EncodedExemplars, NoObject, NoQuery, Query};
use crate::types::{Exemplar, ExemplarPicture, PromptProblem, PromptSet};

/// Exemplars that are remembered: 8 MB of queries of 512 numbers. Where there are more, those of the
/// newest set are.
const MAX_REMEMBERED: usize = 4096;

/// The queries of the exemplars that one model has encoded. Threads share it: what one has encoded
/// another finds. Pictures are told apart by their digest and not kept.
#[derive(Debug, Default)]
pub(in crate::detect) struct ExemplarMemory(Mutex<Remembered>);

#[derive(Debug, Default)]
struct Remembered {
    answers: HashMap<Key, Result<Query, NoObject>>,
    /// Of pictures that are still in use somewhere, by their addresses.
    digests: HashMap<usize, (Weak<ExemplarPicture>, PictureDigest)>,
}

/// SHA-256 of a picture as it came.
type PictureDigest = [u8; 32];

/// A picture and the bits of the box in it.
type Key = (PictureDigest, Option<[u32; 4]>);

impl ExemplarMemory {
    /// The queries of all exemplars of a set, and why some have none. `query_of` encodes what is not
    /// remembered; it is not locked meanwhile. A set that is refused anyhow is not looked at.
    pub(in crate::detect) fn encode(
        &self,
        set: &PromptSet,
        mut query_of: impl FnMut(&Exemplar) -> Result<Query, NoQuery>,
    ) -> (EncodedExemplars, Vec<PromptProblem>) {
        let mut encoded = EncodedExemplars::default();
        let mut problems = Vec::new();
        if set.exemplars().next().is_none() || set.check().is_err() {
            return (encoded, problems);
        }
        let keys: Vec<Key> = set.exemplars().map(|exemplar| self.key(exemplar)).collect();
        self.lock().make_room(&keys);
        let mut keys = keys.into_iter();
        for (index, prompt) in set.prompts.iter().enumerate() {
            for (number, (exemplar, key)) in prompt.exemplars.iter().zip(&mut keys).enumerate() {
                let known = self.lock().answers.get(&key).cloned();
                let answer = match known {
                    Some(known) => known.map_err(NoQuery::from),
                    None => query_of(exemplar).inspect(|query| self.keep(key, Ok(query.clone()))),
                };
                match answer {
                    Ok(query) => {
                        encoded.queries.push(query);
                        encoded.prompt_of_exemplar.push(index);
                    }
                    Err(error) => {
                        // It will be no other the next time, where that of libtorch may.
                        if let NoQuery::NoObject(nothing) = &error {
                            self.keep(key, Err(*nothing));
                        }
                        let part = format!("exemplars[{number}]");
                        let reason = error.to_string();
                        problems.push(PromptProblem::of_part(&prompt.name, part, reason));
                    }
                }
            }
        }
        (encoded, problems)
    }

    fn lock(&self) -> MutexGuard<'_, Remembered> {
        // Each change of it is whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, key: Key, answer: Result<Query, NoObject>) {
        self.lock().answers.insert(key, answer);
    }

    fn key(&self, exemplar: &Exemplar) -> Key {
        let corners = exemplar.box_in_source_px.map(|area| area.corners().map(f32::to_bits));
        (self.digest(&exemplar.picture), corners)
    }

    /// Worked out once for a picture that several sets share.
    fn digest(&self, picture: &Arc<ExemplarPicture>) -> PictureDigest {
        // Nothing else lies at an address that a weak reference holds.
        let address = Arc::as_ptr(picture) as usize;
        let known = self.lock().digests.get(&address).map(|(_, digest)| *digest);
        known.unwrap_or_else(|| {
            let digest = Sha256::digest(&picture.encoded).into();
            let mut remembered = self.lock();
            remembered.digests.retain(|_, (picture, _)| picture.strong_count() > 0);
            remembered.digests.insert(address, (Arc::downgrade(picture), digest));
            digest
        })
    }
}

impl Remembered {
    fn make_room(&mut self, wanted: &[Key]) {
        if self.answers.len() + wanted.len() > MAX_REMEMBERED {
            let wanted: HashSet<&Key> = wanted.iter().collect();
            self.answers.retain(|key, _| wanted.contains(key));
        }
    }
}

#[cfg(test)]
mod tests {
    use image::RgbImage;

    use super::*;
    use crate::tasks::DetectError;
    use crate::types::{PixelBox, Prompt};

    fn exemplar(encoded: &[u8], corners: Option<[f32; 4]>) -> Exemplar {
        let image = Arc::new(RgbImage::new(40, 20));
        let picture = ExemplarPicture { image, encoded: encoded.to_vec(), file: None };
        let box_in_source_px = corners.map(PixelBox::from_corners);
        Exemplar { picture: Arc::new(picture), box_in_source_px }
    }

    fn set(exemplars: Vec<Exemplar>) -> PromptSet {
        let gadget = Prompt { name: "gadget".to_owned(), exemplars, ..Prompt::default() };
        let prompts = vec![Prompt::from_text("a cat"), gadget];
        PromptSet { version: 1, prompts, default_threshold: 0.1 }
    }

    /// Encodes a set with queries that count what was asked for.
    fn encode(memory: &ExemplarMemory, set: &PromptSet) -> (Vec<f32>, usize) {
        let mut asked = 0;
        let (encoded, problems) = memory.encode(set, |exemplar| {
            asked += 1;
            Ok([f32::from(exemplar.picture.encoded[0])].into())
        });
        assert_eq!(problems, []);
        assert!(encoded.prompt_of_exemplar.iter().all(|prompt| *prompt == 1));
        (encoded.queries.iter().map(|query| query[0]).collect(), asked)
    }

    #[test]
    fn an_exemplar_is_encoded_once_wherever_its_picture_lies() {
        let memory = ExemplarMemory::default();
        let part = Some([1.0, 2.0, 9.0, 9.0]);
        let first = set(vec![exemplar(b"7", None), exemplar(b"7", part), exemplar(b"8", None)]);
        assert_eq!(encode(&memory, &first), (vec![55.0, 55.0, 56.0], 3));
        assert_eq!(encode(&memory, &first), (vec![55.0, 55.0, 56.0], 0));
        // Another copy of the pictures, in another order, with one that is new.
        let other = set(vec![exemplar(b"9", part), exemplar(b"8", None), exemplar(b"7", part)]);
        assert_eq!(encode(&memory, &other), (vec![57.0, 56.0, 55.0], 1));
        drop((first, other));
        encode(&memory, &set(vec![exemplar(b"1", None)]));
        // Of pictures that are gone nothing is left but the query.
        assert_eq!(memory.lock().digests.len(), 1);
        assert_eq!(memory.lock().answers.len(), 5);
    }

    #[test]
    fn what_shows_nothing_is_remembered_and_what_failed_is_not() {
        let memory = ExemplarMemory::default();
        let set = set(vec![exemplar(b"1", None), exemplar(b"2", None)]);
        let failed = || {
            let message = "no memory".to_owned();
            NoQuery::from(DetectError::Backend { stage: "image_tower", message })
        };
        let refused = |answers: &mut dyn FnMut(&Exemplar) -> Result<Query, NoQuery>| {
            let (encoded, problems) = memory.encode(&set, answers);
            assert_eq!(encoded.queries.len(), 0);
            problems.into_iter().map(|problem| (problem.part, problem.reason)).collect::<Vec<_>>()
        };
        let reasons = refused(&mut |exemplar| match exemplar.picture.encoded[0] {
            b'1' => Err(NoObject { iou: 0.04 }.into()),
            _ => Err(failed()),
        });
        let parts: Vec<_> = reasons.iter().map(|(part, _)| part.as_str()).collect();
        assert_eq!(parts, ["exemplars[0]", "exemplars[1]"]);
        assert!(reasons[0].1.starts_with("the model sees no object"), "{reasons:?}");
        assert_eq!(reasons[1].1, "the backend failed in image_tower: no memory");
        let reasons = refused(&mut |exemplar| match exemplar.picture.encoded[0] {
            b'1' => panic!("it was looked at"),
            _ => Err(failed()),
        });
        assert!(reasons[0].1.contains("by 0.04 (IoU)"), "{reasons:?}");
    }

    #[test]
    fn memory_is_bounded() {
        let memory = ExemplarMemory::default();
        let row = |x: u32| exemplar(b"7", Some([0.0, 0.0, 2.0 + x as f32 * 0.007, 9.0]));
        for first in (0..5000).step_by(1000) {
            assert_eq!(encode(&memory, &set((first..first + 1000).map(row).collect())).1, 1000);
            assert!(memory.lock().answers.len() <= MAX_REMEMBERED);
        }
        // The newest are there.
        assert_eq!(encode(&memory, &set((4000..5000).map(row).collect())).1, 0);
    }
}
