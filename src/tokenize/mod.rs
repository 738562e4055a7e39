//! Floor 3: text to token ids.

mod clip;
mod files;
mod wordpiece;

use std::io;
use std::path::PathBuf;

pub use clip::{ClipTokenizer, TextRefused};
pub use wordpiece::{WordPieceRoles, WordPieceTokenizer};

/// Why a tokenizer could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum TokenizerError {
    /// The folder holds no tokenizer.
    #[error("{} holds no tokenizer: expected {expected}", folder.display())]
    Missing {
        /// Where was looked.
        folder: PathBuf,
        /// The files that would do.
        expected: &'static str,
    },
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file that is there and cannot be used.
    #[error("{} cannot be used: {reason}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What was expected and what was found.
        reason: String,
    },
    /// The files were read and do not make a tokenizer.
    #[error("the tokenizer in {} cannot be used: {reason}", folder.display())]
    Inconsistent {
        /// The checkpoint.
        folder: PathBuf,
        /// What was expected and what was found.
        reason: String,
    },
}
