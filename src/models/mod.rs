//! Floor 3: one folder or file per architecture, shared blocks in [`crate::nn`].

pub mod owl;
pub mod random;

mod error;

pub use error::{ConfigError, ForwardError, LoadError};
