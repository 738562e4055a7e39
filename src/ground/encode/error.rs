//! Why an encoder could not be loaded.

use std::path::PathBuf;

use crate::models::{ConfigError, LoadError};
use crate::nn::DeviceRefused;
use crate::tokenize::TokenizerError;
use crate::vision::recipe::RecipeError;

/// Why an encoder could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum EncoderError {
    /// More or fewer threads than make sense.
    #[error("threads: expected a number in [1, 1024], found {found}")]
    Threads {
        /// What was given.
        found: usize,
    },
    /// The device or the number format.
    #[error(transparent)]
    Device(#[from] DeviceRefused),
    /// The checkpoint is something else.
    #[error(
        "{}: expected {expected} to encode {encodes}, found {found:?}",
        model_dir.display()
    )]
    Architecture {
        /// The checkpoint's folder.
        model_dir: PathBuf,
        /// What was to be encoded.
        encodes: &'static str,
        /// The architectures that can.
        expected: &'static str,
        /// What it is; empty where it does not say.
        found: String,
    },
    /// How the checkpoint wants its images.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// Preprocessing makes images that the network cannot take.
    #[error(
        "{}: the preprocessing makes images of {width}x{height}, the network takes {expected}",
        model_dir.display()
    )]
    Canvas {
        /// The checkpoint's folder.
        model_dir: PathBuf,
        /// Width of the preprocessing's canvas in pixels.
        width: u32,
        /// Height of the preprocessing's canvas in pixels.
        height: u32,
        /// What the network takes.
        expected: String,
    },
    /// The tokenizer.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// A configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Configuration or weights.
    #[error(transparent)]
    Model(#[from] LoadError),
}
