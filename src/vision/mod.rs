//! Floor 1: host image work: decode, colour, resize, canvas geometry, overlay.

pub mod decode;
pub mod encode;
pub mod overlay;
