//! Floor 4: segmentation. Images in, masks at the size of the source out.
//!
//! [`ClipSegmenter`] is the one segmenter so far: preprocess on the host, one pass of the image
//! tower for a whole batch, and its decoder for each prompt. [`masks`] turns the score maps into
//! masks; it needs no network.

mod clipseg;
mod masks;

pub use clipseg::{ClipSegmenter, SegmenterError, SegmenterOptions};
pub use masks::{ImageMasks, MAX_PROMPTS, PromptMask, masks};
