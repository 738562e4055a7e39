//! The cameras that have turned up, and what happened to their images.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::pipeline::{CameraId, Pipeline};
use crate::transport::live::Failure;
use crate::types::{PromptSet, StageTimings};

/// Cameras of one node; more are refused, so that a stray sender cannot fill the memory.
pub(super) const MAX_CAMERAS: usize = 64;
/// Longer names are refused: they stand in keys.
pub(super) const MAX_NAME_BYTES: usize = 200;

/// One of the cameras, by the order in which they turned up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CameraKey(usize);

/// The newest of something that went wrong, and how often it did.
#[derive(Clone, Debug)]
pub(super) struct Mishap {
    pub(super) count: u64,
    pub(super) newest: String,
    pub(super) at: Instant,
}

impl Mishap {
    pub(super) fn note(mishap: &mut Option<Self>, reason: String) {
        let count = mishap.as_ref().map_or(0, |known| known.count) + 1;
        *mishap = Some(Self { count, newest: reason, at: Instant::now() });
    }

    pub(super) fn to_record(&self) -> Failure {
        let age_secs = self.at.elapsed().as_secs_f64();
        Failure { count: self.count, newest: self.newest.clone(), age_secs }
    }
}

/// What the newest result of a camera was.
#[derive(Clone, Debug)]
pub(super) struct Newest {
    pub(super) at: Instant,
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
    pub(super) answered: u64,
    pub(super) bad: Option<Mishap>,
    pub(super) failed: Option<Mishap>,
    pub(super) newest_image: Instant,
    /// When the newest image that could be read was decoded.
    pub(super) newest_good: Option<Instant>,
    pub(super) size_px: Option<[u32; 2]>,
    pub(super) encoding: Option<String>,
    pub(super) newest: Option<Newest>,
}

#[derive(Default)]
struct State {
    cameras: Vec<Camera>,
    strays: Option<Mishap>,
}

/// All cameras of a node.
#[derive(Default)]
pub(super) struct Cameras(Mutex<State>);

impl Cameras {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing under this lock can leave a camera half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The camera of an image that has just arrived; a new one gets a mailbox. `None` where the
    /// image belongs to no camera, which is noted.
    pub(super) fn arrived(
        &self,
        name: &str,
        topic: &str,
        pipeline: &Pipeline,
    ) -> Option<CameraKey> {
        let mut state = self.lock();
        let known = state.cameras.iter().position(|camera| &*camera.name == name);
        let refused = match known {
            Some(index) if *state.cameras[index].topic == *topic => {
                let camera = &mut state.cameras[index];
                camera.received += 1;
                camera.newest_image = Instant::now();
                return Some(CameraKey(index));
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
                    answered: 0,
                    bad: None,
                    failed: None,
                    newest_image: Instant::now(),
                    newest_good: None,
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
        Mishap::note(&mut state.strays, refused);
        None
    }

    /// Changes one camera.
    pub(super) fn update<T>(&self, key: CameraKey, change: impl FnOnce(&mut Camera) -> T) -> T {
        change(&mut self.lock().cameras[key.0])
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
