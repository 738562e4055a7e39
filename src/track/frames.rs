//! Ids for whole frames, of several cameras.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::types::FrameDetections;

use super::{Observation, Outcome, Tracker, TrackerSettings};

/// Gives the detections of each camera's frames ids that stay the same from frame to frame. Each
/// camera has a tracker of its own, so that ids say nothing across cameras.
#[derive(Clone, Debug, Default)]
pub struct FrameTracker {
    settings: TrackerSettings,
    cameras: BTreeMap<Arc<str>, Tracker>,
}

impl FrameTracker {
    /// Without tracks.
    #[must_use]
    pub fn new(settings: TrackerSettings) -> Self {
        Self { settings, cameras: BTreeMap::new() }
    }

    /// Sets the ids of a frame's detections, and takes its weak ones, which only tell where objects
    /// are that are known already. A detection has none until its object was seen in two
    /// frames, and in a frame that comes late. Ids of a camera are counted from 1 to 65535 and then
    /// from 1 again, past those of objects that are still kept in mind: no two objects have one at
    /// the same time. Where the clock was set back all tracks of the camera end; ids are counted on.
    pub fn assign(&mut self, found: &mut FrameDetections) {
        let settings = self.settings;
        let tracker = self.cameras.entry(Arc::clone(&found.camera));
        let tracker = tracker.or_insert_with(|| Tracker::new(settings));
        let prompts = Arc::clone(&found.prompts);
        let observation = |prompt: usize, score, box_in_source_px| Observation {
            prompt: prompts.prompts.get(prompt).map_or("", |prompt| prompt.name.as_str()),
            score,
            threshold: prompts.threshold_of(prompt),
            box_in_source_px,
        };
        // The detections come first: outcomes are in this order.
        let strong = found
            .detections
            .iter()
            .map(|found| observation(found.prompt, found.score, found.box_in_source_px));
        let weak = std::mem::take(&mut found.weak);
        let weak =
            weak.iter().map(|weak| observation(weak.prompt, weak.score, weak.box_in_source_px));
        let observations: Vec<_> = strong.chain(weak).collect();
        let update = tracker.update(found.header.stamp, &observations);
        if let Some(secs) = update.set_back_secs {
            tracing::info!("{}: the clock was set back by {secs:.3} s; ids are new", found.camera);
        }
        let id = |outcome: &Outcome| match outcome {
            Outcome::Track { id, .. } => *id,
            _ => None,
        };
        let mut ids: Vec<_> = update.outcomes.iter().map(id).collect();
        ids.resize(found.detections.len(), None);
        found.track_ids = Some(ids);
    }
}
