//! Floor 4: segmentation. Images in, masks at the size of the source out.
//!
//! [`ClipSegmenter`] and [`GroupVitSegmenter`] take texts: preprocess on the host, one pass of the
//! image tower for a whole batch, and little for each prompt. [`masks`] turns the score maps into
//! masks; it needs no network. [`SamSegmenter`] draws what boxes and points lie on.

mod clipseg;
mod groupvit;
mod inputs;
mod masks;
mod sam;
mod visual;

pub use clipseg::{ClipSegmenter, SegmenterError, SegmenterOptions};
pub use groupvit::GroupVitSegmenter;
pub use masks::{ImageMasks, MAX_PROMPTS, PromptMask, masks};
pub use sam::{MAX_POINTS, MaskRules, SamImage, SamMask, SamSegmenter};
pub use visual::VisualPrompt;
