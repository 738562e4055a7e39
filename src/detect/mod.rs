//! Floor 4: detection. Images in, boxes in source pixels out.
//!
//! [`OwlDetector`] is the one detector so far: preprocess on the host, one pass of the image tower
//! for a whole batch, the heads, and what they say turned into [`Detection`]s.
//!
//! [`Detection`]: crate::types::Detection

mod decode;
mod exemplars;
mod owl;
mod prompts;
mod weak;

pub use owl::{
    DetectorError, DetectorOptions, Distance, OwlDetector, Profile, ProfileOptions, Quantiles,
};
