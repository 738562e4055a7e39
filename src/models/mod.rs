//! Floor 3: one folder or file per architecture, shared blocks in [`crate::nn`].

pub mod bert;
pub mod clip;
pub mod clipseg;
pub mod groupvit;
pub mod owl;
pub mod prompts;
pub mod random;
pub mod sam;
mod text_store;
pub mod vit;

mod config;
mod error;
mod inputs;

pub use config::architecture;
pub use error::{ConfigError, ForwardError, LoadError};
pub use text_store::{TextStore, TextStoreOptions};
