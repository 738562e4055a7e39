//! What has arrived and is not decoded yet: the newest image of each camera, and single images.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::ENDING;
use super::cameras::CameraKey;
use crate::transport::live::{DetectAnswer, ImageMessage, SingleImage};

/// Single images that may wait for being decoded; more are refused.
const MAX_REQUESTS: usize = 16;

/// A single image that somebody waits for.
pub(super) struct Asked {
    /// Where it was asked for.
    pub(super) topic: String,
    pub(super) image: SingleImage,
    pub(super) answer: DetectAnswer,
}

/// What became of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stored {
    /// It waits.
    Waits,
    /// It waits in the place of an older one of the same camera.
    ReplacedOlder,
}

/// Two queues in the order of arrival. A newer image takes the place of an older one of its camera;
/// a single image waits for its own thread, since prompts that come with it may take long to encode.
/// Bounded by the number of cameras and of requests.
#[derive(Default)]
pub(super) struct Arrivals {
    state: Mutex<State>,
    image_came: Condvar,
    request_came: Condvar,
}

#[derive(Default)]
struct State {
    images: VecDeque<(CameraKey, Box<dyn ImageMessage>)>,
    requests: VecDeque<Asked>,
    closed: bool,
}

impl Arrivals {
    pub(super) fn image(&self, camera: CameraKey, message: Box<dyn ImageMessage>) -> Stored {
        let mut state = self.lock();
        if let Some((_, older)) = state.images.iter_mut().find(|(known, _)| *known == camera) {
            *older = message;
            return Stored::ReplacedOlder;
        }
        state.images.push_back((camera, message));
        self.image_came.notify_one();
        Stored::Waits
    }

    /// # Errors
    /// Gives the answer back with the reason: too many wait, or nothing is taken any more.
    pub(super) fn request(
        &self,
        topic: &str,
        image: SingleImage,
        answer: DetectAnswer,
    ) -> Result<(), (DetectAnswer, String)> {
        let mut state = self.lock();
        if state.closed {
            return Err((answer, ENDING.to_owned()));
        }
        if state.requests.len() >= MAX_REQUESTS {
            return Err((answer, format!("busy: {MAX_REQUESTS} images wait already")));
        }
        state.requests.push_back(Asked { topic: topic.to_owned(), image, answer });
        self.request_came.notify_one();
        Ok(())
    }

    /// Waits for the next image of a camera; `None` once it is closed, whatever still waits.
    pub(super) fn take_image(&self) -> Option<(CameraKey, Box<dyn ImageMessage>)> {
        let nothing = |state: &mut State| !state.closed && state.images.is_empty();
        let waited = self.image_came.wait_while(self.lock(), nothing);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        if state.closed { None } else { state.images.pop_front() }
    }

    /// Waits for the next single image; `None` as for the others.
    pub(super) fn take_request(&self) -> Option<Asked> {
        let nothing = |state: &mut State| !state.closed && state.requests.is_empty();
        let waited = self.request_came.wait_while(self.lock(), nothing);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        if state.closed { None } else { state.requests.pop_front() }
    }

    /// Takes nothing more; whoever waits for an answer gets one.
    pub(super) fn close(&self) {
        let asked = {
            let mut state = self.lock();
            state.closed = true;
            state.images.clear();
            std::mem::take(&mut state.requests)
        };
        self.image_came.notify_all();
        self.request_came.notify_all();
        asked.into_iter().for_each(|asked| (asked.answer)(Err(ENDING.to_owned())));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
