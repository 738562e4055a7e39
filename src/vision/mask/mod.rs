//! Around masks: the score maps that they are made from, and what is made of them.

mod canvas_mask;
mod score_map;
mod window;

pub use canvas_mask::{CanvasMaskSizes, CanvasMasks};
pub use score_map::{ScoreMap, logit_of_score, score_of_logit};
pub use window::MaskWindow;
