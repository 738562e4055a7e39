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

/// What may be one of a prompt's things but scores too low to be reported. It is for a tracker, which
/// takes it for the next sight of a thing that it knows; no output has it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WeakDetection {
    /// Index into the prompts of the set that made it.
    pub prompt: usize,
    /// In `[0, 1]`, below the threshold of the prompt.
    pub score: f32,
    /// Where it is, in pixels of the source image, clipped to the image.
    pub box_in_source_px: PixelBox,
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
    /// What scored too low; none where the detector was not asked for it, and none once objects
    /// were tracked.
    pub weak: Vec<WeakDetection>,
    /// Whether detections have masks, also where there are none.
    pub has_masks: bool,
    /// Which object over time each detection is, in the order of the detections; a detection has
    /// no id until its object was seen in two frames. From 1. `None` where objects are not tracked.
    pub track_ids: Option<Vec<Option<u16>>>,
    /// Where the time went.
    pub timings: StageTimings,
}

impl FrameDetections {
    /// The id of a detection as text, the same in every output: its
    /// [`instance_number`](Self::instance_number), empty while it has none.
    #[must_use]
    pub fn id_text(&self, index: usize) -> String {
        self.instance_number(index).map_or_else(String::new, |number| number.to_string())
    }

    /// The number of a detection in instance masks and clouds, where 0 is "nothing": the id of its
    /// track, `None` while it has none; where objects are not tracked, its place in the frame, from
    /// 1 (`None` beyond the 65535th).
    #[must_use]
    pub fn instance_number(&self, index: usize) -> Option<u16> {
        match &self.track_ids {
            None => u16::try_from(index + 1).ok(),
            Some(_) => self.track_id(index),
        }
    }

    /// The track of a detection, where it has one.
    #[must_use]
    pub fn track_id(&self, index: usize) -> Option<u16> {
        self.track_ids.as_ref()?.get(index).copied().flatten()
    }
}
