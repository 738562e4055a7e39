//! The cameras that have turned up, and what happened to their images.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::pipeline::{CameraId, Pipeline};
use crate::transport::live::{Failure, Moment, NodeClock};
use crate::types::{PromptSet, StageTimings};

/// Cameras of one node; more are refused, so that a stray sender cannot fill the memory.
pub(super) const MAX_CAMERAS: usize = 64;
/// Longer names are refused: they stand in keys.
pub(super) const MAX_NAME_BYTES: usize = 200;
/// No rate keeps images away for longer.
const MAX_PERIOD: Duration = Duration::from_hours(24);

/// One of the cameras, by the order in which they turned up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CameraKey(usize);

/// The newest of something that went wrong, and how often it did.
#[derive(Clone, Debug)]
pub(super) struct Mishap {
    pub(super) count: u64,
    pub(super) newest: String,
    pub(super) at: Moment,
}

impl Mishap {
    pub(super) fn note(mishap: &mut Option<Self>, reason: String, at: Moment) {
        let count = mishap.as_ref().map_or(0, |known| known.count) + 1;
        *mishap = Some(Self { count, newest: reason, at });
    }

    pub(super) fn to_record(&self, clock: &NodeClock) -> Failure {
        let age_secs = clock.age_secs(self.at);
        Failure { count: self.count, newest: self.newest.clone(), age_secs }
    }
}

/// What the newest result of a camera was.
#[derive(Clone, Debug)]
pub(super) struct Newest {
    pub(super) at: Moment,
    pub(super) detections: usize,
    pub(super) prompts: Arc<PromptSet>,
    /// One for each prompt.
    pub(super) best_scores: Vec<f32>,
    pub(super) timings: StageTimings,
}

/// One camera.
#[derive(Clone, Debug)]
pub(super) struct Camera {
    pub(super) name: Arc<str>,
    pub(super) topic: Arc<str>,
    pub(super) mailbox: CameraId,
    pub(super) received: u64,
    /// Replaced before they were decoded.
    pub(super) dropped: u64,
    /// Left out by the rate that was asked for.
    pub(super) skipped: u64,
    /// When the rate allows the next one.
    due: Option<Instant>,
    pub(super) answered: u64,
    pub(super) bad: Option<Mishap>,
    pub(super) failed: Option<Mishap>,
    pub(super) newest_image: Moment,
    /// When the newest image that could be read was decoded.
    pub(super) newest_good: Option<Moment>,
    /// When the first image was decoded of those that came after the newest answer.
    pub(super) unanswered_since: Option<Moment>,
    pub(super) size_px: Option<[u32; 2]>,
    pub(super) encoding: Option<String>,
    pub(super) newest: Option<Newest>,
}

impl Camera {
    /// Whether the rate allows an image that comes `now`. Frames of a steady camera are taken at
    /// that rate on the whole, not at the next lower fraction of the camera's own.
    fn is_due(&mut self, now: Instant, max_rate_hz: f32) -> bool {
        if max_rate_hz <= 0.0 {
            self.due = None;
            return true;
        }
        let period = Duration::try_from_secs_f32(1.0 / max_rate_hz).unwrap_or(MAX_PERIOD);
        let period = period.min(MAX_PERIOD);
        match self.due {
            Some(due) if now < due => {
                // A rate that was raised holds at once.
                self.due = Some(due.min(now + period));
                self.skipped += 1;
                false
            }
            due => {
                // From when this one was due, so that the rate holds on the whole; a camera that
                // was away catches up with one image and not with a burst.
                self.due = Some(due.map_or(now + period, |due| (due + period).max(now)));
                true
            }
        }
    }
}

#[derive(Default)]
struct State {
    cameras: Vec<Camera>,
    strays: Option<Mishap>,
}

/// All cameras of a node.
pub(super) struct Cameras {
    clock: Arc<NodeClock>,
    state: Mutex<State>,
}

impl Cameras {
    pub(super) fn new(clock: Arc<NodeClock>) -> Self {
        Self { clock, state: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing under this lock can leave a camera half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The camera of an image that has just arrived and is to be looked at; a new one gets a
    /// mailbox. `None` where the image belongs to no camera, which is noted, or came sooner than
    /// `max_rate_hz` allows (0 for no limit), which is counted.
    pub(super) fn arrived(
        &self,
        name: &str,
        topic: &str,
        pipeline: &Pipeline,
        max_rate_hz: f32,
    ) -> Option<CameraKey> {
        let at = self.clock.moment();
        let mut state = self.lock();
        let known = state.cameras.iter().position(|camera| &*camera.name == name);
        let refused = match known {
            Some(index) if *state.cameras[index].topic == *topic => {
                let camera = &mut state.cameras[index];
                camera.received += 1;
                camera.newest_image = at;
                return camera.is_due(Instant::now(), max_rate_hz).then_some(CameraKey(index));
            }
            Some(index) => {
                let other = &state.cameras[index].topic;
                format!("{topic}: the camera {name:?} sends on {other} already")
            }
            None if name.is_empty() => format!("{topic}: names no camera"),
            None if name.len() > MAX_NAME_BYTES => {
                format!("a camera's name of {} bytes, at most {MAX_NAME_BYTES}", name.len())
            }
            None if state.cameras.len() >= MAX_CAMERAS => {
                format!("{topic}: there are {MAX_CAMERAS} cameras already")
            }
            None => {
                let topic: Arc<str> = topic.into();
                state.cameras.push(Camera {
                    name: name.into(),
                    mailbox: pipeline.add_camera(Arc::clone(&topic)),
                    topic,
                    received: 1,
                    dropped: 0,
                    skipped: 0,
                    due: None,
                    answered: 0,
                    bad: None,
                    failed: None,
                    newest_image: at,
                    newest_good: None,
                    unanswered_since: None,
                    size_px: None,
                    encoding: None,
                    newest: None,
                });
                tracing::info!(
                    "camera {name}: the first image came on {}",
                    state.cameras.last().map_or("", |camera| &camera.topic)
                );
                return Some(CameraKey(state.cameras.len() - 1));
            }
        };
        Mishap::note(&mut state.strays, refused, at);
        None
    }

    /// Changes one camera.
    pub(super) fn update<T>(&self, key: CameraKey, change: impl FnOnce(&mut Camera) -> T) -> T {
        change(&mut self.lock().cameras[key.0])
    }

    /// Images that were decoded are not looked at: nobody waits for their answers.
    pub(super) fn drop_unanswered(&self) {
        for camera in &mut self.lock().cameras {
            camera.unanswered_since = None;
        }
    }

    /// The camera whose images come on `topic`.
    pub(super) fn on_topic(&self, topic: &str) -> Option<CameraKey> {
        self.lock().cameras.iter().position(|camera| *camera.topic == *topic).map(CameraKey)
    }

    /// All of them as they are now, by name, and images that belong to none.
    pub(super) fn snapshot(&self) -> (BTreeMap<Arc<str>, Camera>, Option<Mishap>) {
        let state = self.lock();
        let cameras = state.cameras.iter().map(|camera| (Arc::clone(&camera.name), camera.clone()));
        (cameras.collect(), state.strays.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn camera() -> Camera {
        Camera {
            name: "front".into(),
            topic: "/image".into(),
            mailbox: crate::pipeline::CameraId::FIRST,
            received: 0,
            dropped: 0,
            skipped: 0,
            due: None,
            answered: 0,
            bad: None,
            failed: None,
            newest_image: NodeClock::default().moment(),
            newest_good: None,
            unanswered_since: None,
            size_px: None,
            encoding: None,
            newest: None,
        }
    }

    /// How many of the frames of a camera are looked at in 100 seconds.
    fn taken(camera_hz: f64, max_rate_hz: f32) -> usize {
        let (mut camera, start) = (camera(), Instant::now());
        let frames = (100.0 * camera_hz) as u32;
        let taken = (0..frames)
            .filter(|frame| {
                // A hundredth of a period early or late, as clocks of cameras are.
                let jitter = if frame % 3 == 0 { 0.01 } else { 0.0 };
                let at = (f64::from(*frame) + jitter) / camera_hz;
                camera.is_due(start + Duration::from_secs_f64(at), max_rate_hz)
            })
            .count();
        assert_eq!(camera.skipped, u64::from(frames) - taken as u64);
        taken
    }

    #[test]
    fn a_steady_camera_is_looked_at_as_often_as_the_rate_allows() {
        assert_eq!(taken(30.0, 0.0), 3000);
        for (camera_hz, max_rate_hz, expected) in
            [(30.0, 15.0, 1500), (30.0, 10.0, 1000), (30.0, 60.0, 3000), (30.0, 0.5, 50)]
        {
            let taken = taken(camera_hz, max_rate_hz);
            assert!(taken.abs_diff(expected) <= expected / 20, "{max_rate_hz} Hz: {taken}");
        }
        // Never more, whatever the two rates are.
        for max_rate_hz in [0.3, 7.0, 11.0, 20.0, 24.0, 29.0] {
            let taken = taken(30.0, max_rate_hz) as f32;
            assert!(taken <= 100.0 * max_rate_hz + 1.0, "{max_rate_hz} Hz: {taken}");
            assert!(taken >= 99.0 * max_rate_hz, "{max_rate_hz} Hz: {taken}");
        }
    }

    #[test]
    fn a_rate_that_is_raised_holds_at_once() {
        let (mut camera, start) = (camera(), Instant::now());
        assert!(camera.is_due(start, 0.01));
        assert!(!camera.is_due(start + Duration::from_secs(1), 0.01));
        assert!(!camera.is_due(start + Duration::from_secs(1), 10.0));
        assert!(camera.is_due(start + Duration::from_millis(1101), 10.0));
        assert!(camera.is_due(start + Duration::from_millis(1102), 0.0));
        // However slow, and however long it is in force.
        for max_rate_hz in [1e-19, 1e-30, f32::MIN_POSITIVE] {
            let (mut camera, day) = (self::camera(), Duration::from_hours(24));
            assert!(camera.is_due(start, max_rate_hz));
            assert!(!camera.is_due(start + day / 2, max_rate_hz));
            assert!(camera.is_due(start + 2 * day, max_rate_hz));
        }
    }
}
