//! Resampling, as the reference does it to the last bit that matters.
//!
//! - [`U8Resizer`]: what torchvision's antialiased resize gives for 8-bit images, bit for bit
//!   (OWL-ViT, CLIP).
//! - [`CentreCutter`]: the middle of what that gives (DINOv2, timm).
//! - [`SmoothZoom`]: a Gaussian against aliasing and bilinear sampling in floats, from the top left
//!   of a zero-padded square (OWLv2).

mod centre_cut;
mod smooth_zoom;
mod u8_resizer;

pub use centre_cut::CentreCutter;
pub use smooth_zoom::SmoothZoom;
pub use u8_resizer::{Filter, U8Resizer};
