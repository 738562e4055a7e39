//! What keeps a node from finding things, said in its log: whoever looks at a terminal sees no
//! diagnostics. Once for each reason, and only when it lasts: a camera may take its time.

use std::time::{Duration, Instant};

use crate::transport::live::{State, Status};

/// What has not passed by then is said.
const PATIENCE: Duration = Duration::from_secs(5);

/// What was said so far.
#[derive(Default)]
pub(super) struct Silence {
    now: Option<(Kind, Instant)>,
    said: Option<Kind>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    State(State),
    /// Things are found, and none has a place in space.
    NoPlaces,
}

impl Kind {
    fn of(status: &Status) -> Option<Self> {
        match status.state {
            State::NoPrompts
            | State::NoImages
            | State::BadImages
            | State::ImagesStopped
            | State::Stalled
            | State::Failing => Some(Self::State(status.state)),
            State::NothingFound | State::Finding => {
                let mut spaces = status.cameras.values().filter_map(|camera| camera.space.as_ref());
                let has_none = |found: [usize; 2]| found[0] == 0 && found[1] > 0;
                spaces
                    .any(|space| space.newest_located.is_some_and(has_none))
                    .then_some(Self::NoPlaces)
            }
            // Said where they come about, or about to pass.
            State::Ended
            | State::Unconfigured
            | State::CannotLoad
            | State::Changing
            | State::Inactive
            | State::Starting => None,
        }
    }
}

impl Silence {
    /// What is to be said, if anything: a warning, or that what was said is over.
    pub(super) fn look(&mut self, status: &Status, now: Instant) -> Option<Said> {
        let Some(kind) = Kind::of(status) else {
            self.now = None;
            let is_over = matches!(status.state, State::NothingFound | State::Finding);
            return (is_over && self.said.take().is_some()).then_some(Said::Over);
        };
        let since = match self.now {
            Some((known, since)) if known == kind => since,
            _ => now,
        };
        self.now = Some((kind, since));
        let is_due = now.saturating_duration_since(since) >= PATIENCE && self.said != Some(kind);
        is_due.then(|| {
            self.said = Some(kind);
            Said::Why(status.why.join("; "))
        })
    }
}

/// A line for the log.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said {
    Why(String),
    Over,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn status(state: State, newest_located: Option<[usize; 2]>) -> Status {
        let space = newest_located.map(|located| {
            json!({ "depths": 1, "calibrations": 1, "frames": 1, "frames_without": {},
                "located": 0, "unlocated": {}, "newest_located": located })
        });
        let camera = json!({
            "key": "/image", "received": 5, "bad": 0, "dropped": 1, "answered": 2, "failed": 0,
            "newest_image_age_secs": 0.1, "detections": 1, "best_scores": [], "stages_ms": {},
            "space": space,
        });
        serde_json::from_value(json!({
            "node": "owlet", "owlet": "0", "state": state, "why": ["a reason", "another"],
            "uptime_secs": 1.0, "model": { "name": "m", "device": "cpu", "dtype": "f32" },
            "prompts": { "version": 3, "names": ["a mug"] }, "waits_for": [],
            "cameras": { "front": camera }, "requests": { "answered": 0, "refused": 0 },
        }))
        .unwrap()
    }

    #[test]
    fn what_lasts_is_said_once_and_so_is_its_end() {
        let began = Instant::now();
        let at = |secs| began + Duration::from_secs(secs);
        let mut silence = Silence::default();
        let why = Some(Said::Why("a reason; another".to_owned()));
        let (none, bad) = (status(State::NoImages, None), status(State::BadImages, None));
        let (finding, flat) = (status(State::Finding, None), status(State::Finding, Some([0, 2])));
        for (secs, status, expected) in [
            (0, &none, None),
            (4, &none, None),
            (5, &none, why.as_ref()),
            (60, &none, None),
            // Another reason has to last as well.
            (61, &bad, None),
            (64, &finding, Some(&Said::Over)),
            (65, &none, None),
            (66, &finding, None),
            (67, &flat, None),
            (72, &flat, why.as_ref()),
            (73, &finding, Some(&Said::Over)),
        ] {
            assert_eq!(silence.look(status, at(secs)).as_ref(), expected, "at {secs} s");
        }
        assert_eq!(Kind::of(&status(State::Finding, Some([1, 2]))), None);
        assert_eq!(Kind::of(&status(State::Inactive, None)), None);
    }
}
