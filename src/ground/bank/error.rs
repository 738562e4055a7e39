//! Why a bank was refused, or a change to it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::{EncoderId, Side};
use crate::ground::asif::SettingsRefused;
use crate::hub::HubError;
use crate::weights::WeightsError;

/// One side of a bank that was made with another encoder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncoderMismatch {
    /// Which side.
    pub side: Side,
    /// What the bank was made with.
    pub expected: EncoderId,
    /// What was given.
    pub found: EncoderId,
}

impl fmt::Display for EncoderMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { side, expected, found } = self;
        write!(f, "{side} encoder: expected {expected}, found {found}")
    }
}

/// Why a bank was refused, or a change to it.
#[derive(Debug, thiserror::Error)]
pub enum BankError {
    /// There is no bank at a path.
    #[error("{} is not a bank: there is no {}", folder.display(), super::manifest::MANIFEST_FILE)]
    NotABank {
        /// Where was looked.
        folder: PathBuf,
    },
    /// A file of a bank is cut, damaged or not what the manifest says.
    #[error("{} is damaged: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was expected and what was found.
        reason: String,
    },
    /// Written by another version of Owlet.
    #[error("{}: expected a bank of format {known}, found format {found}: another owlet wrote it", path.display())]
    Format {
        /// The manifest.
        path: PathBuf,
        /// The one that is known.
        known: u32,
        /// What is there.
        found: u32,
    },
    /// Encoders that the bank was not made with.
    #[error("the bank was made with other encoders:\n  {}", lines(mismatches))]
    OtherEncoders {
        /// Each side that differs.
        mismatches: Vec<EncoderMismatch>,
    },
    /// An encoder whose vectors cannot be kept.
    #[error(
        "{side} encoder: vectors of 1 to {} numbers can be kept, found {found}",
        EncoderId::MAX_DIMENSION
    )]
    Dimension {
        /// Which side.
        side: Side,
        /// Numbers in its vectors.
        found: usize,
    },
    /// A margin around regions that makes no sense.
    #[error("margin: expected a number in [0, {}], found {found}", super::MAX_MARGIN)]
    Margin {
        /// The number.
        found: f32,
    },
    /// Banks whose regions were looked at with different margins.
    #[error(
        "margin: expected {expected} times the sides of a region, as in this bank, found {found}"
    )]
    OtherMargin {
        /// That of the bank that takes pairs over.
        expected: f32,
        /// That of the other bank.
        found: f32,
    },
    /// A vector that has no direction in the space of its side.
    #[error("{side} vector {index}: {reason}")]
    Vector {
        /// Which side.
        side: Side,
        /// Its place among those that came with it.
        index: usize,
        /// What was expected and what was found.
        reason: String,
    },
    /// A pair that cannot be kept.
    #[error("pair {index}: {reason}")]
    Pair {
        /// Its place among those that came with it.
        index: usize,
        /// What was expected and what was found.
        reason: String,
    },
    /// No room.
    #[error("a bank holds at most {limit} pairs, asked for {asked}")]
    Full {
        /// The most.
        limit: usize,
        /// How many there would be.
        asked: usize,
    },
    /// Somebody else saved the bank since it was loaded.
    #[error(
        "{} was changed since it was loaded (state {expected} then, {found} now): load it again",
        folder.display()
    )]
    ChangedMeanwhile {
        /// The bank's folder.
        folder: PathBuf,
        /// What was loaded.
        expected: u64,
        /// What is there now.
        found: u64,
    },
    /// `k` or `p`.
    #[error(transparent)]
    Settings(#[from] SettingsRefused),
    /// The file system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was being done.
        action: &'static str,
        /// To which file or folder.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// The file system refused while a file was hashed.
    #[error(transparent)]
    Hash(#[from] HubError),
    /// A safetensors file that is none.
    #[error(transparent)]
    Tensors(#[from] WeightsError),
    /// What libtorch reported (out of memory).
    #[error("libtorch failed: {0}")]
    Torch(#[from] tch::TchError),
}

impl BankError {
    pub(super) fn io(action: &'static str, path: &Path) -> impl Fn(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path: path.clone(), source }
    }

    /// Whether what was given is wrong, and not the machine.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        !matches!(self, Self::Io { .. } | Self::Hash(_) | Self::Torch(_))
            && !matches!(self, Self::Tensors(WeightsError::Io { .. }))
    }
}

fn lines(mismatches: &[EncoderMismatch]) -> String {
    mismatches.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n  ")
}
