//! What has arrived and is not decoded yet: the newest image of each camera, and single images.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, PoisonError};

use super::cameras::CameraKey;
use crate::transport::live::{DetectAnswer, ImageMessage, SingleImage};

/// Single images that may wait for being decoded; more are refused.
const MAX_REQUESTS: usize = 16;

const ENDING: &str = "the node is ending, or its model is being freed";

/// What is to be decoded next.
pub(super) enum Arrival {
    /// An image of a camera's stream.
    Image(CameraKey, Box<dyn ImageMessage>),
    /// A single image that somebody waits for, and where it was asked for.
    Request { topic: String, image: SingleImage, answer: DetectAnswer },
}

/// What became of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stored {
    /// It waits.
    Waits,
    /// It waits in the place of an older one of the same camera.
    ReplacedOlder,
}

/// A queue in the order of arrival, in which a newer image takes the place of an older one of its
/// camera. Bounded by the number of cameras and of requests.
#[derive(Default)]
pub(super) struct Arrivals {
    state: Mutex<State>,
    arrived: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Arrival>,
    requests: usize,
    closed: bool,
}

impl Arrivals {
    pub(super) fn image(&self, camera: CameraKey, message: Box<dyn ImageMessage>) -> Stored {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let older = state.waiting.iter_mut().find_map(|arrival| match arrival {
            Arrival::Image(known, message) if *known == camera => Some(message),
            _ => None,
        });
        if let Some(older) = older {
            *older = message;
            return Stored::ReplacedOlder;
        }
        state.waiting.push_back(Arrival::Image(camera, message));
        self.arrived.notify_one();
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
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.closed {
            return Err((answer, ENDING.to_owned()));
        }
        if state.requests >= MAX_REQUESTS {
            return Err((answer, format!("busy: {MAX_REQUESTS} images wait already")));
        }
        state.requests += 1;
        state.waiting.push_back(Arrival::Request { topic: topic.to_owned(), image, answer });
        self.arrived.notify_one();
        Ok(())
    }

    /// Waits for the next; `None` once it is closed, whatever still waits.
    pub(super) fn take(&self) -> Option<Arrival> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut state = self
            .arrived
            .wait_while(state, |state| !state.closed && state.waiting.is_empty())
            .unwrap_or_else(PoisonError::into_inner);
        if state.closed {
            return None;
        }
        let next = state.waiting.pop_front();
        if matches!(next, Some(Arrival::Request { .. })) {
            state.requests -= 1;
        }
        next
    }

    /// Takes nothing more; whoever waits for an answer gets one.
    pub(super) fn close(&self) {
        let waiting = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.closed = true;
            std::mem::take(&mut state.waiting)
        };
        self.arrived.notify_all();
        for arrival in waiting {
            if let Arrival::Request { answer, .. } = arrival {
                answer(Err(ENDING.to_owned()));
            }
        }
    }
}
