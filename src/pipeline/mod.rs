//! Floor 5: the inference thread, the mailboxes before it and the timings after it.
//!
//! ```text
//! camera A ── post ──> [mailbox A] ─┐
//! camera B ── post ──> [mailbox B] ─┼─> inference thread ──> results (bounded channel)
//! prompts ── command ─> [commands] ─┤   owns every tensor
//! single frames ──────> [requests] ─┘
//! ```
//!
//! The mailbox is the one place where a frame may be dropped, and only under
//! [`Policy::LatestWins`]; every drop is counted. A slow consumer of the results makes the
//! inference thread wait, and the mailboxes do what their policy says meanwhile.

mod compose;
mod inference;
mod mailbox;

pub use compose::{
    ClassifyingDetector, GroundingDetector, MaskingDetector, PointGrid, ProposesNothing,
    SegmentingDetector, SharedSegmenter,
};
pub use inference::{
    ChangeBankError, FrameFailure, Outcome, Pipeline, PipelineClosed, PipelineOptions,
    SetPromptsError, StartError,
};
pub use mailbox::{CameraCounts, CameraId, Incoming, Policy, Posted};
