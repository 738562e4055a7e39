//! Floor 1: host image work: decode, colour, resize, canvas geometry, overlay.

pub mod canvas;
pub mod decode;
pub mod encode;
pub mod exemplar;
pub mod mask;
pub mod nms;
pub mod overlay;
pub mod preprocess;
pub mod recipe;
pub mod resize;
