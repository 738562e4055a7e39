//! Why a checkpoint was refused.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why a checkpoint was refused.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// The folder is not there.
    #[error("{} is not a folder", path.display())]
    NoFolder {
        /// What was asked for.
        path: PathBuf,
    },
    /// The folder holds no weights of any known form.
    #[error(
        "{} holds no weights: expected model.safetensors or model.safetensors.index.json",
        folder.display()
    )]
    NoWeights {
        /// Where was looked.
        folder: PathBuf,
    },
    /// The folder holds weights, but only in forms that are never loaded.
    #[error(
        "{} holds no safetensors, only {}: such files can run code when they are opened and are \
         never loaded; convert them to safetensors",
        folder.display(),
        found.join(", ")
    )]
    OnlyUnsafe {
        /// Where was looked.
        folder: PathBuf,
        /// Names of the files that were found instead.
        found: Vec<String>,
    },
    /// A file that is named as safetensors and is something else.
    #[error("{} is not safetensors: {found}", path.display())]
    NotSafetensors {
        /// The file.
        path: PathBuf,
        /// What it looks like.
        found: NotSafetensors,
    },
    /// A safetensors file whose header is damaged or disagrees with the file.
    #[error("{} is damaged: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was expected and what was found.
        reason: String,
    },
    /// The list of shards cannot be used.
    #[error("{} cannot be used: {reason}", path.display())]
    BadIndex {
        /// The index file.
        path: PathBuf,
        /// What was expected and what was found.
        reason: String,
    },
    /// Reading failed.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The tensors of the checkpoint are not those of the architecture.
    #[error("the weights in {} do not fit the architecture:{problems}", folder.display())]
    Keys {
        /// The checkpoint.
        folder: PathBuf,
        /// Every key that does not fit.
        problems: KeyProblems,
    },
    /// A tensor could not be put on the device.
    #[error("cannot load tensor {name}: {source}")]
    Torch {
        /// The tensor.
        name: String,
        /// What libtorch said (out of memory, a lost device).
        source: tch::TchError,
    },
}

/// What a file that is named as safetensors looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotSafetensors {
    /// A bare Python pickle.
    Pickle,
    /// A zip archive: the form in which `torch.save` writes a pickle.
    Zip,
    /// The stand-in that Git LFS leaves where the file itself was not fetched.
    LfsPointer,
    /// A page of HTML, as a failed download leaves it.
    Html,
}

impl fmt::Display for NotSafetensors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pickle => "it is a Python pickle, which is never loaded",
            Self::Zip => "it is a zip archive as torch.save writes it, which is never loaded",
            Self::LfsPointer => "it is a Git LFS pointer: the weights themselves were not fetched",
            Self::Html => "it is an HTML page, as a failed download leaves it",
        })
    }
}

/// A tensor of another shape than the architecture has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrongShape {
    /// Its key.
    pub name: String,
    /// What the configuration leads to.
    pub expected: Vec<i64>,
    /// What is stored.
    pub found: Vec<i64>,
}

/// A tensor that is not stored as F32, F16 or BF16.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrongDtype {
    /// Its key.
    pub name: String,
    /// The type that is stored, in the words of safetensors.
    pub found: String,
}

/// Every key that does not fit an architecture; each list is sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyProblems {
    /// Keys that the architecture needs and the checkpoint lacks.
    pub missing: Vec<String>,
    /// Keys that the checkpoint has and the architecture does not know.
    pub unexpected: Vec<String>,
    /// Keys with another shape.
    pub wrong_shape: Vec<WrongShape>,
    /// Keys with another type.
    pub wrong_dtype: Vec<WrongDtype>,
}

impl KeyProblems {
    /// Whether every key fits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.missing.is_empty()
            && self.unexpected.is_empty()
            && self.wrong_shape.is_empty()
            && self.wrong_dtype.is_empty()
    }
}

impl fmt::Display for KeyProblems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for name in &self.missing {
            write!(f, "\n  missing: {name}")?;
        }
        for name in &self.unexpected {
            write!(f, "\n  unexpected: {name}")?;
        }
        for WrongShape { name, expected, found } in &self.wrong_shape {
            write!(f, "\n  wrong shape: {name}: expected {expected:?}, found {found:?}")?;
        }
        for WrongDtype { name, found } in &self.wrong_dtype {
            write!(f, "\n  wrong type: {name}: expected F32, F16 or BF16, found {found}")?;
        }
        Ok(())
    }
}
