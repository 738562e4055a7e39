//! Why a bag cannot be opened, read on, or written.

use std::io;
use std::path::PathBuf;

use crate::types::Stamp;

use super::LossReport;

/// Why a bag cannot be opened, read on, or written. Damage inside a bag is not an error: it is
/// skipped, counted, and stands in the [`LossReport`].
#[derive(Debug, thiserror::Error)]
pub enum BagError {
    /// Nothing stands at the path.
    #[error("{path}: there is no such file or folder")]
    NotFound {
        /// The path that was asked for.
        path: PathBuf,
    },
    /// A file or folder that is no recording.
    #[error("{path}: not a rosbag2 recording: expected {expected}, found {found}")]
    NotABag {
        /// The path that was asked for.
        path: PathBuf,
        /// What a recording has there.
        expected: &'static str,
        /// What is there.
        found: String,
    },
    /// A recording of which no file can be read.
    #[error("{path}: none of its files can be read{losses}")]
    NothingReadable {
        /// The path that was asked for.
        path: PathBuf,
        /// Why, file by file.
        losses: Box<LossReport>,
    },
    /// A `metadata.yaml` that must be understood to go on.
    #[error("{path}: {reason}")]
    Metadata {
        /// The path of `metadata.yaml`.
        path: PathBuf,
        /// Line, column and what is wrong, in the words of the YAML reader.
        reason: String,
    },
    /// A topic that is not in the recording.
    #[error("the recording has no topic {topic:?}; it has {}", list(.available))]
    NoSuchTopic {
        /// The name that was asked for.
        topic: String,
        /// The names that there are.
        available: Vec<String>,
    },
    /// A topic whose messages are not CDR.
    #[error("topic {topic:?} is encoded as {found:?}; only \"cdr\" can be read")]
    TopicEncoding {
        /// Name of the topic.
        topic: String,
        /// The encoding that the recording names.
        found: String,
    },
    /// The operating system refused.
    #[error("{path}: cannot {action}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What was being done.
        action: &'static str,
        /// The system's own words.
        source: io::Error,
    },
    /// A compressed file that grows beyond the limit when it is unpacked.
    #[error(
        "{path}: unpacks to more than {limit_bytes} bytes; raise the limit if that is what it holds"
    )]
    UnpacksTooLarge {
        /// The compressed file.
        path: PathBuf,
        /// The limit that was set.
        limit_bytes: u64,
    },
    /// A folder for a new bag that already holds something.
    #[error("{path}: exists and is not empty; a recording is never overwritten")]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// A bag that cannot be continued.
    #[error("{path}: cannot be continued: {reason}")]
    CannotContinue {
        /// The folder.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// A type whose definition Owlet does not have, so that other programs could not read it.
    #[error("no definition of message type {message_type:?} to write beside its messages")]
    UnknownType {
        /// Full name of the type.
        message_type: String,
    },
    /// One topic with two types.
    #[error("topic {topic:?} already has type {existing:?}; it cannot also have {asked:?}")]
    TopicTaken {
        /// Name of the topic.
        topic: String,
        /// The type that it has.
        existing: String,
        /// The type that it was to get.
        asked: String,
    },
    /// A stamp before the epoch, which rosbag2 has no way to write.
    #[error("topic {topic:?}: stamp {stamp} is before the epoch and cannot be recorded")]
    NegativeStamp {
        /// Name of the topic.
        topic: String,
        /// The stamp.
        stamp: Stamp,
    },
    /// MCAP could not be written.
    #[error("{path}: cannot write: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// The reason in the words of the MCAP library.
        source: mcap::McapError,
    },
}

fn list(names: &[String]) -> String {
    match names {
        [] => "none".to_owned(),
        names => names.join(", "),
    }
}

impl BagError {
    /// For `map_err` on file operations.
    pub(super) fn io(
        path: impl Into<PathBuf>,
        action: &'static str,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, action, source }
    }
}
