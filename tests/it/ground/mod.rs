//! Naming by pairs of pictures and texts.

mod classify;
mod memory;
mod parity;
