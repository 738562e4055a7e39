//! All integration tests in one binary: each further binary would link libtorch once more.
#![allow(clippy::unwrap_used, reason = "a helper that panics fails its test")]
#![allow(clippy::print_stdout, reason = "a helper says why its test is skipped")]

mod alone;
mod bad_checkpoints;
mod bad_pictures;
mod cli;
mod config;
mod detect;
mod encode;
mod eval;
mod floors;
mod geometry;
mod golden_clip;
mod golden_models;
mod golden_preprocess;
mod ground;
mod hub;
mod images;
mod peers;
mod real_checkpoints;
mod recordings;
mod report;
mod ros;
mod segment;
mod sim;
mod spatial;
mod tokenize;
mod zenoh;
