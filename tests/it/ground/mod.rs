//! Naming by pairs of pictures and texts.

mod parity;
