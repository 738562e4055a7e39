//! Stage timings as data.

use std::fmt;
use std::time::Duration;

/// The stages of the way of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// Message bytes to pixels.
    Decode,
    /// Waiting in the mailbox for the inference thread.
    Wait,
    /// Pixels to the network's input tensor.
    Preprocess,
    /// The image tower.
    ImageTower,
    /// The heads that score and place boxes.
    Heads,
    /// Network output to detections in source pixels.
    Postprocess,
    /// Regions looked up in a bank of pairs.
    Ground,
    /// Masks for the boxes that were found.
    Masks,
    /// Finer labels for what was found.
    Classify,
}

impl Stage {
    /// All stages, in the order in which a frame passes them.
    pub const ALL: [Self; 9] = [
        Self::Decode,
        Self::Wait,
        Self::Preprocess,
        Self::ImageTower,
        Self::Heads,
        Self::Postprocess,
        Self::Ground,
        Self::Masks,
        Self::Classify,
    ];

    /// The name in every output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Decode => "decode",
            Self::Wait => "wait",
            Self::Preprocess => "preprocess",
            Self::ImageTower => "image_tower",
            Self::Heads => "heads",
            Self::Postprocess => "postprocess",
            Self::Ground => "ground",
            Self::Masks => "masks",
            Self::Classify => "classify",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How long each stage took for one frame. Stages that a batch shares carry the time of the whole
/// batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StageTimings {
    entries: Vec<(Stage, Duration)>,
}

impl StageTimings {
    /// Adds `elapsed` to what `stage` has taken so far.
    pub fn add(&mut self, stage: Stage, elapsed: Duration) {
        match self.entries.iter_mut().find(|(known, _)| *known == stage) {
            Some((_, total)) => *total += elapsed,
            None => self.entries.push((stage, elapsed)),
        }
    }

    /// Runs `work` and adds its time to `stage`.
    pub fn time<T>(&mut self, stage: Stage, work: impl FnOnce() -> T) -> T {
        let start = std::time::Instant::now();
        let result = work();
        self.add(stage, start.elapsed());
        result
    }

    /// What `stage` took; `None` where it did not run.
    #[must_use]
    pub fn get(&self, stage: Stage) -> Option<Duration> {
        self.entries.iter().find(|(known, _)| *known == stage).map(|(_, elapsed)| *elapsed)
    }

    /// All stages that ran, in the order in which they first ran.
    pub fn iter(&self) -> impl Iterator<Item = (Stage, Duration)> + '_ {
        self.entries.iter().copied()
    }

    /// Adds every stage of `other`.
    pub fn merge(&mut self, other: &Self) {
        for (stage, elapsed) in other.iter() {
            self.add(stage, elapsed);
        }
    }
}
