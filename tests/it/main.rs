//! All integration tests in one binary: each further binary would link libtorch once more.

mod floors;
mod images;
mod recordings;
