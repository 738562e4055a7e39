//! All integration tests in one binary: each further binary would link libtorch once more.

// A failed unwrap is how a test fails; helpers outside `#[test]` functions count as tests here.
#![allow(clippy::unwrap_used)]

mod config;
mod floors;
mod report;
