//! All integration tests in one binary: each further binary would link libtorch once more.

mod detect;
mod floors;
mod golden_preprocess;
