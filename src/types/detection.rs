//! What was found.

use std::sync::Arc;

use super::{
    Explanation, FinerScore, FrameHeader, InstanceMask, PixelBox, PromptSet, StageTimings,
};

/// One object that was found in one image.
#[derive(Clone, Debug, PartialEq)]
pub struct Detection {
    /// Index into the prompts of the set that made it.
    pub prompt: usize,
    /// In `[0, 1]`; comparable within a model, not a probability.
    pub score: f32,
    /// In `[0, 1]`, how much it looks like any object at all; only models that have such a head
    /// (OWLv2) give it.
    pub objectness: Option<f32>,
    /// Where it is, in pixels of the source image, clipped to the image.
    pub box_in_source_px: PixelBox,
    /// Its pixels, where masks are made: over the whole source image. It may be empty, and need
    /// not keep inside the box.
    pub mask: Option<InstanceMask>,
    /// How well the finer labels of its prompt fit it, by falling score; empty where there are
    /// none.
    pub finer: Vec<FinerScore>,
    /// Which pairs of a bank made its score, where it was found by one.
    pub explanation: Option<Arc<Explanation>>,
}

impl Detection {
    /// The names and scores of its finer labels, by falling score. `prompts` is the set that made
    /// it.
    pub fn finer_names<'a>(&self, prompts: &'a PromptSet) -> impl Iterator<Item = (&'a str, f32)> {
        let labels = prompts.prompts.get(self.prompt).map_or(&[][..], |prompt| &prompt.finer);
        self.finer
            .iter()
            .filter_map(|found| Some((labels.get(found.label)?.name.as_str(), found.score)))
    }
}

/// All that was found in one frame, best score first.
#[derive(Clone, Debug)]
pub struct FrameDetections {
    /// The camera that the frame came from.
    pub camera: Arc<str>,
    /// Header of the source image, unchanged.
    pub header: FrameHeader,
    /// Width of the source image in pixels.
    pub width: u32,
    /// Height of the source image in pixels.
    pub height: u32,
    /// The prompts in use when it was made; its version is the version of this output.
    pub prompts: Arc<PromptSet>,
    /// What was found, sorted by falling score.
    pub detections: Vec<Detection>,
    /// Whether detections have masks, also where there are none.
    pub has_masks: bool,
    /// Which object over time each detection is, in the order of the detections; a detection has
    /// no id until its object was seen in two frames. `None` where objects are not tracked.
    pub track_ids: Option<Vec<Option<u64>>>,
    /// Where the time went.
    pub timings: StageTimings,
}

impl FrameDetections {
    /// The id of a detection as text, the same in every output: that of its track, empty while it
    /// has none; where objects are not tracked, its number in the frame, from 1 (0 is "nothing" in
    /// an instance mask).
    #[must_use]
    pub fn id_text(&self, index: usize) -> String {
        match &self.track_ids {
            None => (index + 1).to_string(),
            Some(_) => self.track_id(index).map_or_else(String::new, |id| id.to_string()),
        }
    }

    /// The number of a detection in an instance mask of 16 bits, where 0 is "nothing": that which
    /// [`id_text`](Self::id_text) says. Beyond 65535 tracks are counted from 1 again. `None` while
    /// it has none.
    #[must_use]
    pub fn instance_number(&self, index: usize) -> Option<u16> {
        let id = match &self.track_ids {
            None => index as u64 + 1,
            Some(_) => self.track_id(index)?,
        };
        // Tracks are counted from 1. What is left is below 65535.
        Some((id.saturating_sub(1) % u64::from(u16::MAX)) as u16 + 1)
    }

    /// The track of a detection, where it has one.
    #[must_use]
    pub fn track_id(&self, index: usize) -> Option<u64> {
        self.track_ids.as_ref()?.get(index).copied().flatten()
    }
}
