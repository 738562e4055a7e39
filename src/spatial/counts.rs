//! What had a place and what had not, and why.

use std::collections::BTreeMap;

use crate::types::{FramePlaces, NoPlace, NoPlaceKind};

/// Counts over the frames of one camera.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlaceCounts {
    /// Frames whose places were looked for.
    pub frames: u64,
    /// Of these, frames that found no depth, calibration or transform, by reason.
    pub frames_without: BTreeMap<NoPlaceKind, u64>,
    /// Detections with a place.
    pub located: u64,
    /// Detections without one, by reason.
    pub unlocated: BTreeMap<NoPlaceKind, u64>,
    /// Detections with a place in the newest frame that had any detections, and all of that frame.
    pub newest: Option<[usize; 2]>,
    /// The newest reason.
    pub newest_reason: Option<NoPlace>,
}

impl PlaceCounts {
    /// Counts one frame. `missing` is why the frame as a whole has no places.
    pub fn add(&mut self, places: &FramePlaces, missing: Option<&NoPlace>) {
        self.frames += 1;
        if let Some(missing) = missing {
            *self.frames_without.entry(missing.kind).or_default() += 1;
            self.newest_reason = Some(missing.clone());
        }
        let located = places.places.iter().filter(|place| place.is_ok()).count();
        self.located += located as u64;
        for no_place in places.places.iter().filter_map(|place| place.as_ref().err()) {
            *self.unlocated.entry(no_place.kind).or_default() += 1;
            self.newest_reason = Some(no_place.clone());
        }
        if !places.places.is_empty() {
            self.newest = Some([located, places.places.len()]);
        }
    }

    /// Detections that were looked at.
    #[must_use]
    pub fn detections(&self) -> u64 {
        self.located + self.unlocated.values().sum::<u64>()
    }
}
