//! How good detections are: the numbers, and the command that tells them.

mod parity;
