//! Around masks: the score maps that they are made from, and what is made of them.

mod canvas_mask;
mod components;
mod painted;
mod score_map;
mod shape;
mod window;

pub use canvas_mask::{CanvasMaskSizes, CanvasMasks};
pub use components::components;
pub use painted::{classes, instances};
pub use score_map::{ScoreMap, logit_of_score, score_of_logit};
pub use shape::{PrincipalAxis, polygons, principal_axis};
pub use window::MaskWindow;
