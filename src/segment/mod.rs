//! Floor 4: segmentation. Images in, masks at the size of the source out.
//!
//! [`ClipSegmenter`] draws what texts ask for: preprocess on the host, one pass of the image
//! tower for a whole batch, and its decoder for each prompt. [`masks`] turns the score maps into
//! masks; it needs no network. [`SamSegmenter`] draws what boxes and points lie on.

mod clipseg;
mod masks;
mod sam;

pub use clipseg::{ClipSegmenter, SegmenterError, SegmenterOptions};
pub use masks::{ImageMasks, MAX_PROMPTS, PromptMask, masks};
pub use sam::{MAX_POINTS, MaskRules, SamImage, SamMask, SamSegmenter};
