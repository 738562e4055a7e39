//! A depth picture that is decoded when somebody needs it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use crate::types::{DepthImage, NoPlace, NoPlaceKind};

/// Decodes a depth picture, once; says what was expected and found where it cannot.
pub type DecodeDepth = Box<dyn FnOnce() -> Result<DepthImage, String> + Send>;

/// A depth picture as it came, decoded once, when it is asked for: most never are.
pub struct LazyDepth(Mutex<State>);

enum State {
    Encoded(DecodeDepth),
    Decoded(Result<Arc<DepthImage>, NoPlace>),
    /// While it is decoded, under the lock.
    Taken,
}

impl LazyDepth {
    /// With what decodes it.
    #[must_use]
    pub fn new(decode: DecodeDepth) -> Arc<Self> {
        Arc::new(Self(Mutex::new(State::Encoded(decode))))
    }

    /// The picture.
    ///
    /// # Errors
    /// Why it cannot be read, the same each time.
    pub fn get(&self) -> Result<Arc<DepthImage>, NoPlace> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let decoded = match std::mem::replace(&mut *state, State::Taken) {
            State::Decoded(decoded) => decoded,
            State::Encoded(decode) => match catch_unwind(AssertUnwindSafe(decode)) {
                Ok(decoded) => decoded
                    .map(Arc::new)
                    .map_err(|reason| NoPlace::new(NoPlaceKind::BadDepth, reason)),
                Err(_) => Err(NoPlace::new(NoPlaceKind::BadDepth, "the decoder panicked")),
            },
            State::Taken => Err(NoPlace::new(NoPlaceKind::BadDepth, "the decoder ended early")),
        };
        *state = State::Decoded(decoded.clone());
        decoded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_decoded_once_and_a_broken_one_stays_broken() {
        let mut times = 0;
        let (sender, calls) = std::sync::mpsc::channel();
        let depth = LazyDepth::new(Box::new(move || {
            sender.send(()).map_err(|error| error.to_string())?;
            DepthImage::new(1, 1, vec![1.5]).ok_or_else(|| "no picture".to_owned())
        }));
        for _ in 0..3 {
            assert_eq!(depth.get().unwrap().metres(), [1.5]);
        }
        while calls.try_recv().is_ok() {
            times += 1;
        }
        assert_eq!(times, 1);
        let broken = LazyDepth::new(Box::new(|| Err("cut off".to_owned())));
        assert_eq!(broken.get(), broken.get());
        assert_eq!(broken.get().unwrap_err().kind, NoPlaceKind::BadDepth);
        let hostile = LazyDepth::new(Box::new(|| panic!("hostile")));
        assert_eq!(hostile.get().unwrap_err().to_string(), "the decoder panicked");
    }
}
