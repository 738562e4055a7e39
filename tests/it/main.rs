//! All integration tests in one binary: each further binary would link libtorch once more.

// A failed unwrap is how a test fails; helpers outside `#[test]` functions count as tests here.
#![allow(clippy::unwrap_used)]

mod config;
mod bad_checkpoints;
mod floors;
mod golden_models;
mod tokenize;
#![allow(clippy::unwrap_used, reason = "a helper that panics fails its test")]

mod floors;
mod hub;
mod images;
mod report;
