//! Prompt sets, encoded on another thread than the one that looks at frames.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::tower::Tower;
use crate::detect::exemplars::ExemplarMemory;
use crate::models::prompts::PromptEncoder;
use crate::tasks::PromptsAhead;
use crate::types::PromptSet;

/// What encodes the prompts of an OWL-ViT or OWLv2 beside its frames. The detector finds them in
/// the memories that both share.
pub(super) struct OwlAhead {
    pub(super) texts: Arc<PromptEncoder>,
    pub(super) exemplars: Arc<ExemplarMemory>,
    /// Of its own, so that it waits for no frame and no frame for it. Behind a lock, since a tensor
    /// may be sent to another thread and not shared with it.
    pub(super) tower: Mutex<Tower>,
}

impl OwlAhead {
    pub(super) fn tower(&self) -> MutexGuard<'_, Tower> {
        // What is half done under the lock is written anew by the next.
        self.tower.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PromptsAhead for OwlAhead {
    fn encode(&self, prompts: &PromptSet) {
        // What is wrong with the set is told when it is put into use. The lock is given back after
        // each pass: the prompts of a single frame do not wait for all of a long set.
        let _ = self.texts.encode(prompts, |ids| self.tower().model.embed_texts(ids));
        let mut newest = None;
        let query_of = |exemplar: &_| self.tower().query_of(exemplar, &mut newest);
        let _ = self.exemplars.encode(prompts, query_of);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::mpsc;
    use std::time::Duration;

    use image::RgbImage;

    use super::super::{DetectorOptions, OwlDetector};
    use super::*;
    use crate::tasks::Detector;
    use crate::types::{DeviceChoice, Exemplar, Prompt};
    use crate::vision::exemplar::picture_of_image;

    fn detector(name: &str) -> OwlDetector {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
        let options = DetectorOptions::new(folder, name);
        OwlDetector::load(&DetectorOptions { device: DeviceChoice::Cpu, ..options }).unwrap()
    }

    fn image(blue: u8) -> RgbImage {
        RgbImage::from_fn(90, 70, |x, y| image::Rgb([(x * 2) as u8, (y * 3) as u8, blue]))
    }

    /// A text, and a picture in which the whole and a predicted box show something.
    fn set(version: u64, blue: u8) -> Arc<PromptSet> {
        let picture = Arc::new(picture_of_image(Arc::new(image(blue))).unwrap());
        let exemplars = vec![Exemplar { picture, box_in_source_px: None }];
        let gadget = Prompt { name: "gadget".to_owned(), exemplars, ..Prompt::default() };
        let prompts = vec![Prompt::from_text("a cat"), gadget];
        Arc::new(PromptSet { version, prompts, default_threshold: 0.0 })
    }

    #[test]
    fn what_was_encoded_ahead_is_not_encoded_again_and_finds_the_same() {
        for name in ["owlvit_tiny", "owlv2_tiny"] {
            let (mut ahead_of_time, mut at_once) = (detector(name), detector(name));
            ahead_of_time.own_ahead().encode(&set(1, 7));
            // Another copy of the set, as it comes from a message.
            let asked = |_: &Exemplar| panic!("{name}: a picture is looked at again");
            let (encoded, problems) = ahead_of_time.exemplars.encode(&set(1, 7), asked);
            assert_eq!((encoded.queries.len(), problems.len()), (1, 0));
            let [ahead, once] = [&mut ahead_of_time, &mut at_once].map(|detector| {
                detector.set_prompts(set(1, 7)).unwrap();
                let found = detector.detect(&[Arc::new(image(90))]).unwrap().remove(0);
                (found.detections, found.best_scores)
            });
            // The twin runs the same kernels on the same weights.
            assert_eq!(ahead, once, "{name}");
        }
    }

    #[test]
    fn no_frame_waits_for_what_is_encoded_beside_it() {
        let mut detector = detector("owlvit_tiny");
        detector.set_prompts(set(1, 7)).unwrap();
        let ahead = Arc::new(detector.own_ahead());
        // As while a picture is encoded.
        let looking = ahead.tower();
        let (done, is_done) = mpsc::channel();
        let frames = std::thread::spawn(move || {
            let found = detector.detect(&[Arc::new(image(90))]).map(|found| found.len());
            done.send(found.unwrap()).unwrap();
            detector
        });
        assert_eq!(is_done.recv_timeout(Duration::from_secs(60)), Ok(1));
        let mut detector = frames.join().unwrap();
        // Nor does a set that was encoded already wait for the next one.
        let (done, is_done) = mpsc::channel();
        let sets = std::thread::spawn(move || {
            detector.set_prompts(set(2, 7)).unwrap();
            done.send(()).unwrap();
        });
        assert_eq!(is_done.recv_timeout(Duration::from_secs(60)), Ok(()));
        sets.join().unwrap();
        drop(looking);
    }
}
