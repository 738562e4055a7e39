//! Floor 4: grounding without training. What pictures and texts have in common is read off pairs
//! of both.

pub mod encode;
