//! Floor 1: which detections of one frame are the objects of the frames before.
//!
//! The method is ByteTrack (Zhang et al. 2022, arXiv:2110.06864): every track is predicted to the
//! stamp of the frame by a Kalman filter; detections that reach the threshold of their prompt are
//! matched first, weaker ones, where a frame has them, then prolong what is left. What differs from
//! it:
//! - frames come when they come: all noise is given per second and not per frame;
//! - a match needs the same prompt, but for a step that lets a track keep its id where another
//!   prompt has won its object for a while;
//! - a new track is tentative in the first frame too;
//! - the filter holds width and height, as BoT-SORT has it (Aharon et al. 2022, arXiv:2206.14651),
//!   and not the aspect, whose noise does not grow with the box.
//!
//! The camera's own motion is not taken out, and an object that moves by more than its own size
//! from one frame to the next starts anew until its speed is known. [`Tracker`] is for one camera; it does no I/O, reads no
//! clock, and gives the same ids for the same input.

mod assign;
mod clear_mot;
mod frames;
mod kalman;
mod observation;
mod record;
#[cfg(test)]
mod tests;
mod tracker;

pub use clear_mot::{ClearMot, MotObject, MotScores};
pub use frames::FrameTracker;
pub use observation::{Observation, ObservationProblem, Outcome};
pub use record::{Track, TrackKey, TrackState};
pub use tracker::{Tracker, TrackerCounts, TrackerSettings, Update};
