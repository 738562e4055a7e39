//! What can go wrong with a model.

use std::io;
use std::path::PathBuf;

use crate::weights::WeightsError;

/// A `config.json` that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is not JSON, or a value has another type than its key asks for.
    #[error("{} is not a usable configuration: {source}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Where and what.
        source: serde_json::Error,
    },
    /// It is for another architecture.
    #[error("{}: expected model_type {expected}, found {found:?}", path.display())]
    ModelType {
        /// The file.
        path: PathBuf,
        /// What would be understood.
        expected: &'static str,
        /// What is there; empty where the key is missing.
        found: String,
    },
    /// Values that do not make a network.
    #[error("{} cannot be used:{}", path.display(), lines(problems))]
    Values {
        /// The file.
        path: PathBuf,
        /// Every problem: the key, what was expected, what was found.
        problems: Vec<String>,
    },
}

fn lines(problems: &[String]) -> String {
    problems.iter().map(|problem| format!("\n  {problem}")).collect()
}

/// Why a model could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Its configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Its weights.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// What libtorch reported while the model was put together.
    #[error("cannot put the model together: {0}")]
    Torch(#[from] tch::TchError),
}

/// Why a forward pass gave no result.
#[derive(Debug, thiserror::Error)]
pub enum ForwardError {
    /// A tensor of another shape than the model takes.
    #[error("{tensor}: expected shape {expected}, found {found:?}")]
    Shape {
        /// Which input.
        tensor: &'static str,
        /// The shape in words and numbers.
        expected: String,
        /// Its shape.
        found: Vec<i64>,
    },
    /// A token id outside the vocabulary.
    #[error("token ids: expected 0..{vocabulary}, found {found}")]
    TokenId {
        /// Size of the vocabulary.
        vocabulary: i64,
        /// The id.
        found: i64,
    },
    /// What libtorch reported (out of memory, a lost device).
    #[error(transparent)]
    Torch(#[from] tch::TchError),
}
