//! All integration tests in one binary: each further binary would link libtorch once more.

// A failed unwrap is how a test fails; helpers outside `#[test]` functions count as tests here.
#![allow(clippy::unwrap_used)]

mod bad_checkpoints;
mod detect;
mod floors;
mod golden_models;
mod golden_preprocess;
mod tokenize;
