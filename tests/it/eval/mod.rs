//! How good detections are: the numbers, and the command that tells them.

mod against;
mod bad_input;
mod calibrated;
mod data;
mod masks;
mod parity;
mod polygons;
mod runs;
