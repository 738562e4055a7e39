//! What a tracker is given, and what becomes of it.

use crate::types::PixelBox;

use super::{TrackKey, TrackState};

/// Largest coordinate of a box, in pixels: far beyond every picture that is decoded.
const MOST_PX: f32 = 1e6;

/// Smallest side of a box, in pixels.
const SMALLEST_PX: f32 = 1e-2;

/// A detection, as a tracker sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Observation<'a> {
    /// Name of the prompt that found it.
    pub prompt: &'a str,
    /// In `[0, 1]`.
    pub score: f32,
    /// The threshold of its prompt, in `[0, 1]`: a score that reaches it may start a track, a lower
    /// one may only prolong one.
    pub threshold: f32,
    /// Where it is, in pixels of the source picture.
    pub box_in_source_px: PixelBox,
}

/// Why an observation was not looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum ObservationProblem {
    /// A corner is NaN or infinite, or so far away that it is in no picture.
    #[error("expected corners within a million pixels")]
    Corner,
    /// The box has no area.
    #[error("expected a box with an area")]
    NoArea,
    /// Score or threshold is not a number in `[0, 1]`.
    #[error("expected a score and a threshold in [0, 1]")]
    Score,
    /// The frame has more observations than the tracker takes; it is not one of the best.
    #[error("expected fewer observations in a frame")]
    TooMany,
}

/// What became of an observation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It belongs to this track.
    Track {
        /// The track.
        key: TrackKey,
        /// Its id, where it is confirmed.
        id: Option<u16>,
        /// How sure the track is, with this observation.
        state: TrackState,
    },
    /// It is too weak to start a track, and no track wanted it.
    Unused,
    /// There is no room for one more track.
    NoRoom,
    /// It was not looked at.
    Skipped(ObservationProblem),
}

impl Observation<'_> {
    pub(super) fn check(&self) -> Result<(), ObservationProblem> {
        let corners = self.box_in_source_px.corners();
        // NaN is within nothing.
        if !corners.iter().all(|corner| corner.abs() <= MOST_PX) {
            return Err(ObservationProblem::Corner);
        }
        let [x0, y0, x1, y1] = corners;
        if x1 - x0 < SMALLEST_PX || y1 - y0 < SMALLEST_PX {
            return Err(ObservationProblem::NoArea);
        }
        let is_share = |value: f32| (0.0..=1.0).contains(&value);
        if !is_share(self.score) || !is_share(self.threshold) {
            return Err(ObservationProblem::Score);
        }
        Ok(())
    }

    pub(super) fn is_strong(&self) -> bool {
        self.score >= self.threshold
    }
}
