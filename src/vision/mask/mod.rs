//! Around masks: the score maps that they are made from, and what is made of them.

mod boundary;
mod canvas_mask;
mod components;
mod filled;
mod painted;
mod score_map;
mod shape;
mod window;

pub use boundary::boundary;
pub use canvas_mask::{CanvasMaskSizes, CanvasMasks};
pub use components::components;
pub use filled::{FURTHEST_CORNER_PX, PolygonError, filled};
pub use painted::{classes, instances};
pub use score_map::{ScoreMap, logit_of_score, score_of_logit};
pub use shape::{MOST_CORNERS, PrincipalAxis, outlines, polygons, principal_axis};
pub use window::MaskWindow;
