//! Places in space: what comes in for them, and the thread that looks for them. Detections do not
//! wait for places: those go out later, and are left out where they cannot keep up.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Node;
use super::cameras::{MAX_NAME_BYTES, Mishap};
use super::outcomes::record;
use crate::pipeline::Posted;
use crate::spatial::{
    CalibrationOf, Depth, Extras, LazyDepth, LocatedFrame, PlaceCounts, Resolution, Spatial,
    SpatialSettings, View, picture_kind_of,
};
use crate::transport::live::{
    CameraPart, DepthMessage, Moment, NodeClock, SpaceKeys, SpaceStatus, TransformKind,
    TransformsStatus,
};
use crate::transport::records::LiveRecord;
use crate::types::{
    Calibration, Frame, FrameDetections, FramePlaces, FrameTransform, LocateMode, NoPlace,
    NoPlaceKind, Stamp,
};

/// How places are looked for.
#[derive(Clone, Debug, Default)]
pub struct SpaceOptions {
    /// For which cameras.
    pub mode: LocateMode,
    /// Whether clouds are made for who takes them.
    pub clouds: bool,
    /// How.
    pub settings: SpatialSettings,
}

/// A frame whose places are looked for.
struct Job {
    camera: Arc<str>,
    found: FrameDetections,
    frame: Frame,
}

/// All that is known of places.
pub(super) struct SpaceDesk {
    mode: LocateMode,
    clouds: bool,
    maps: bool,
    picks: bool,
    started: Instant,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    clock: Arc<NodeClock>,
    spatial: Spatial,
    /// At most one of each camera: the newest.
    jobs: VecDeque<Job>,
    cameras: BTreeMap<Arc<str>, CameraPlaces>,
    bad_transforms: Option<Mishap>,
    is_closed: bool,
}

/// What came of one camera's places.
#[derive(Default)]
struct CameraPlaces {
    counts: PlaceCounts,
    newest_reason_at: Option<Moment>,
    /// Why nothing of the newest frame is the one to be picked.
    no_best_pick: Option<String>,
    /// Depth pictures and calibrations that cannot be used.
    bad: Option<Mishap>,
}

impl SpaceDesk {
    pub(super) fn new(options: &SpaceOptions, clock: Arc<NodeClock>) -> Self {
        let state = State {
            clock,
            spatial: Spatial::new(options.settings.clone()),
            jobs: VecDeque::new(),
            cameras: BTreeMap::new(),
            bad_transforms: None,
            is_closed: false,
        };
        Self {
            mode: options.mode,
            clouds: options.clouds,
            maps: options.settings.heightmap.is_some(),
            picks: options.settings.picks.is_some(),
            started: Instant::now(),
            state: Mutex::new(state),
            changed: Condvar::new(),
        }
    }

    pub(super) fn is_off(&self) -> bool {
        self.mode == LocateMode::Never
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing under this lock can leave the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A clock that does not run back.
    fn now(&self) -> Stamp {
        Stamp(i64::try_from(self.started.elapsed().as_nanos()).unwrap_or(i64::MAX))
    }

    pub(super) fn calibration(
        &self,
        camera: &str,
        part: CameraPart,
        topic: &str,
        calibration: Result<Calibration, String>,
    ) {
        if self.is_off() || camera.is_empty() || camera.len() > MAX_NAME_BYTES {
            return;
        }
        let of = match part {
            CameraPart::Colour => CalibrationOf::Colour,
            CameraPart::Depth => CalibrationOf::Depth,
        };
        let mut state = self.lock();
        let taken = calibration.and_then(|calibration| {
            let taken = state.spatial.calibration(camera, of, calibration);
            taken.map_err(|error| error.to_string())
        });
        if let Err(reason) = taken {
            state.note_bad(camera, topic, &reason);
        }
        self.changed.notify_all();
    }

    pub(super) fn depth(&self, camera: &str, topic: &str, message: Box<dyn DepthMessage>) {
        if self.is_off() || camera.is_empty() || camera.len() > MAX_NAME_BYTES {
            return;
        }
        let header = message.header();
        let mut state = self.lock();
        match header {
            Ok(header) => {
                let decode = move || message.decode().map_err(|error| error.to_string());
                let picture = LazyDepth::new(Box::new(decode));
                state.spatial.depth(camera, Depth { header, picture });
            }
            Err(error) => state.note_bad(camera, topic, &error.to_string()),
        }
        self.changed.notify_all();
    }

    pub(super) fn transforms(
        &self,
        topic: &str,
        kind: TransformKind,
        transforms: Result<Vec<FrameTransform>, String>,
    ) {
        if self.is_off() {
            return;
        }
        let is_static = kind == TransformKind::Static;
        let mut state = self.lock();
        let taken = match transforms {
            Ok(transforms) => state.spatial.transforms(&transforms, is_static),
            Err(reason) => Err((1, reason)),
        };
        if let Err((_, reason)) = taken {
            tracing::debug!("{topic}: {reason}");
            let at = state.clock.moment();
            Mishap::note(&mut state.bad_transforms, format!("{topic}: {reason}"), at);
        }
        self.changed.notify_all();
    }

    pub(super) fn set_pick_prompt(&self, prompt: Option<Arc<str>>) {
        self.lock().spatial.set_pick_prompt(prompt);
    }

    /// An image of a camera is on its way to the model.
    pub(super) fn image(&self, camera: &str, topic: &str, stamp: Stamp) {
        if self.is_off() {
            return;
        }
        let now = self.now();
        let mut state = self.lock();
        state.spatial.set_picture_kind(camera, picture_kind_of(topic));
        state.spatial.image(camera, stamp, now);
    }

    /// What became of the image on its way.
    pub(super) fn image_was(&self, camera: &str, posted: Posted) {
        if !self.is_off() && posted == Posted::ReplacedOlder {
            self.lock().spatial.image_replaced(camera);
        }
    }

    /// Whether places of this camera are looked for, as far as it is known now.
    fn is_looked_for(&self, state: &State, camera: &str) -> bool {
        let has_depth = state.spatial.intake(camera).depths > 0;
        !self.is_off() && !state.is_closed && (self.mode != LocateMode::Auto || has_depth)
    }

    /// Whether overlays of this camera show picks, and so wait for them.
    pub(super) fn draws_picks(&self, camera: &str) -> bool {
        self.picks && self.is_looked_for(&self.lock(), camera)
    }

    /// Has places looked for, unless nothing says that the camera has any.
    pub(super) fn post(&self, camera: &Arc<str>, found: FrameDetections, frame: Frame) {
        let mut state = self.lock();
        if !self.is_looked_for(&state, camera) {
            return;
        }
        let job = Job { camera: Arc::clone(camera), found, frame };
        match state.jobs.iter_mut().find(|waiting| waiting.camera == *camera) {
            Some(waiting) => {
                let late = std::mem::replace(waiting, job);
                state.count_late(&late);
            }
            None => state.jobs.push_back(job),
        }
        self.changed.notify_all();
    }

    /// The next frame that has an answer; `None` once it is closed.
    fn take(&self) -> Option<(Job, Result<Box<View>, NoPlace>)> {
        let mut guard = self.lock();
        loop {
            let state = &mut *guard;
            if state.is_closed {
                return None;
            }
            let now = self.now();
            let mut until: Option<Stamp> = None;
            let mut ready = None;
            for (index, job) in state.jobs.iter().enumerate() {
                let size_px = [job.found.width, job.found.height];
                match state.spatial.resolve(&job.camera, &job.found.header, size_px, now) {
                    Resolution::Wait(then) => until = Some(until.map_or(then, |t| t.min(then))),
                    Resolution::Ready(answer) => {
                        ready = Some((index, answer));
                        break;
                    }
                }
            }
            if let Some((index, answer)) = ready
                && let Some(job) = state.jobs.remove(index)
            {
                return Some((job, answer));
            }
            guard = match until {
                None => self.changed.wait(guard).unwrap_or_else(PoisonError::into_inner),
                Some(until) => {
                    let nanos = u64::try_from(until.0.saturating_sub(now.0)).unwrap_or(0);
                    let patience = Duration::from_nanos(nanos).max(Duration::from_millis(1));
                    let waited = self.changed.wait_timeout(guard, patience);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    fn count(&self, camera: &Arc<str>, located: &LocatedFrame, no_best_pick: Option<String>) {
        let mut state = self.lock();
        state.count(camera, located);
        if let Some(camera) = state.cameras.get_mut(camera) {
            camera.no_best_pick = no_best_pick;
        }
    }

    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_all();
    }

    /// What came of a camera's places; `None` where none are looked for.
    pub(super) fn camera_status(
        &self,
        camera: &str,
        keys: Option<SpaceKeys>,
    ) -> Option<SpaceStatus> {
        let state = self.lock();
        let intake = state.spatial.intake(camera);
        let known = state.cameras.get(camera);
        let has_bad = known.is_some_and(|known| known.bad.is_some());
        if self.is_off() || (self.mode == LocateMode::Auto && intake.depths == 0 && !has_bad) {
            return None;
        }
        let none = CameraPlaces::default();
        let CameraPlaces { counts, newest_reason_at, no_best_pick, bad } = known.unwrap_or(&none);
        let named = |by_kind: &BTreeMap<NoPlaceKind, u64>| {
            by_kind.iter().map(|(kind, count)| (kind.name().to_owned(), *count)).collect()
        };
        Some(SpaceStatus {
            keys,
            depths: intake.depths,
            calibrations: intake.calibrations,
            frames: counts.frames,
            frames_without: named(&counts.frames_without),
            located: counts.located,
            unlocated: named(&counts.unlocated),
            newest_located: counts.newest,
            picked: counts.newest_picks.map(|_| counts.picked),
            unpicked: named(&counts.unpicked),
            newest_picked: counts.newest_picks,
            newest_no_pick: counts.newest_pick_reason.as_ref().map(NoPlace::to_string),
            no_pick_of_prompt: no_best_pick.clone(),
            newest_reason: counts.newest_reason.as_ref().map(NoPlace::to_string),
            newest_reason_age_secs: newest_reason_at.map(|at| state.clock.age_secs(at)),
            bad: bad.as_ref().map(|mishap| mishap.to_record(&state.clock)),
        })
    }

    /// What became of the transforms; `None` where none came.
    pub(super) fn transforms_status(&self) -> Option<TransformsStatus> {
        let state = self.lock();
        let counts = state.spatial.transform_counts();
        let refused = state.bad_transforms.as_ref().map(|mishap| mishap.to_record(&state.clock));
        (counts.taken > 0 || refused.is_some())
            .then_some(TransformsStatus { taken: counts.taken, refused })
    }
}

impl State {
    fn note_bad(&mut self, camera: &str, topic: &str, reason: &str) {
        tracing::debug!("{topic}: {reason}");
        // As many cameras as places are kept of, so that a stray sender cannot fill the memory.
        let is_known = self.cameras.contains_key(camera);
        if is_known || self.cameras.len() < crate::spatial::MOST_CAMERAS {
            let camera = self.cameras.entry(camera.into()).or_default();
            Mishap::note(&mut camera.bad, format!("{topic}: {reason}"), self.clock.moment());
        }
    }

    fn count(&mut self, camera: &Arc<str>, located: &LocatedFrame) {
        let camera = self.cameras.entry(Arc::clone(camera)).or_default();
        camera.counts.add(&located.places, located.missing.as_ref());
        if located.places.places.iter().any(Result::is_err) || located.missing.is_some() {
            camera.newest_reason_at = Some(self.clock.moment());
        }
    }

    fn count_late(&mut self, job: &Job) {
        let header = self.spatial.places_header(&job.found.header);
        let late = NoPlace::new(NoPlaceKind::Late, "a newer frame came first");
        let located = LocatedFrame::without(header, job.found.detections.len(), late);
        self.count(&job.camera, &located);
    }
}

/// Why nothing that the prompt names is to be picked in a frame; `None` where something is, or
/// where no prompt is named.
fn no_pick_of_prompt(found: &FrameDetections, places: &FramePlaces) -> Option<String> {
    let prompt = places.pick_prompt.as_deref().filter(|_| places.picks.is_some())?;
    if places.best_pick(found).is_some() {
        return None;
    }
    let known = &found.prompts.prompts;
    let Some(index) = known.iter().position(|known| known.name == prompt) else {
        return Some(format!("no prompt of the set is called {prompt:?} (pick_prompt)"));
    };
    let count = found.detections.iter().filter(|detection| detection.prompt == index).count();
    Some(match count {
        0 => format!("nothing of {prompt:?} (pick_prompt) was found in the newest image"),
        _ => format!("none of {count} of {prompt:?} (pick_prompt) has a pick point"),
    })
}

impl Node {
    /// The places thread.
    pub(super) fn look_for_places(&self) {
        let output = &*self.output;
        while let Some((job, answer)) = self.space.take() {
            let Job { camera, found, frame } = job;
            let located = match answer {
                Ok(view) => {
                    let with_cloud = self.space.clouds && output.wants_cloud(&camera);
                    let with_map = self.space.maps && output.wants_heightmap(&camera);
                    let extras = Extras {
                        cloud: with_cloud.then_some(&*frame.image),
                        heightmap: with_map.then_some(&*frame.image),
                    };
                    view.locate(&found, extras)
                }
                Err(missing) => {
                    let header = self.space.lock().spatial.places_header(&found.header);
                    LocatedFrame::without(header, found.detections.len(), missing)
                }
            };
            let places = &located.places;
            let record = || LiveRecord {
                frame: record(&found, self.polygons).with_places(places),
                stamp_from: frame.stamp_from.name(),
            };
            output.places(&camera, &record, &found, places);
            if self.space.picks {
                self.draw(&camera, &frame, &found, Some(places));
            }
            if let Some(cloud) = &located.cloud {
                output.cloud(&camera, cloud);
            }
            if let Some(map) = &located.heightmap {
                output.heightmap(&camera, map);
            }
            self.space.count(&camera, &located, no_pick_of_prompt(&found, places));
        }
    }
}
