//! How a bag is opened, and what it says of itself.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::types::Stamp;

/// How a bag is opened.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// Where files that are compressed as a whole are unpacked; `None` is the system's folder for
    /// temporary files. One file is there at a time, two while their times overlap.
    pub scratch_folder: Option<PathBuf>,
    /// The most bytes that one compressed file may unpack to: 256 GiB unless it is raised. It
    /// stops a small file that would fill the disk.
    pub unpacked_limit_bytes: u64,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self { scratch_folder: None, unpacked_limit_bytes: 256 << 30 }
    }
}

/// What the messages of a bag are kept in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Storage {
    /// MCAP files.
    Mcap,
    /// sqlite3 files.
    Sqlite3,
}

impl fmt::Display for Storage {
    /// The name of the storage plugin, as in `metadata.yaml`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mcap => "mcap",
            Self::Sqlite3 => "sqlite3",
        })
    }
}

/// How rosbag2 compressed a bag. What MCAP compresses inside its chunks does not count here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// Each file as a whole.
    File,
    /// Each message by itself.
    Message,
}

/// Whether a file of a bag can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FileState {
    /// It was opened and surveyed.
    Ready,
    /// It is compressed as a whole; it is unpacked when its turn comes.
    Packed,
    /// It is not there.
    Missing,
    /// It is there, but nothing in it can be read.
    Unreadable,
}

/// One file of a bag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BagFile {
    /// Its name in the folder of the bag.
    pub name: String,
    /// Its size on disk.
    pub size_bytes: u64,
    /// Whether it can be read.
    pub state: FileState,
}

/// One topic of a bag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicInfo {
    /// Its name.
    pub name: Arc<str>,
    /// Full name of its type, such as `sensor_msgs/msg/Image`.
    pub message_type: Arc<str>,
    /// How its messages are encoded; only `cdr` can be read.
    pub encoding: String,
    /// Hash of its type (REP 2016); empty where the bag has none.
    pub type_hash: String,
    /// Messages on it, by the bag's own count.
    pub message_count: u64,
}

impl TopicInfo {
    /// Whether its messages can be read.
    #[must_use]
    pub fn is_readable(&self) -> bool {
        self.encoding == "cdr"
    }
}

/// When the messages of a topic came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicTimes {
    /// How many there are.
    pub count: u64,
    /// Log time of the first one.
    pub first: Stamp,
    /// Log time of the last one.
    pub last: Stamp,
}

/// What a bag says of itself.
#[derive(Clone, Debug)]
pub struct BagInfo {
    /// Where it is.
    pub path: PathBuf,
    /// What the messages are kept in; `None` where no file can be read.
    pub storage: Option<Storage>,
    /// How rosbag2 compressed it.
    pub compression: Compression,
    /// Version of its `metadata.yaml`; `None` where it has none that can be used.
    pub metadata_version: Option<u32>,
    /// The ROS distribution that recorded it, where it says so.
    pub ros_distro: Option<String>,
    /// Its files in the order of recording.
    pub files: Vec<BagFile>,
    /// Log time of the first message; `None` for an empty bag.
    pub start: Option<Stamp>,
    /// From the first message to the last.
    pub duration: Duration,
    /// Messages on all topics, by the bag's own count.
    pub message_count: u64,
    /// Its topics.
    pub topics: Vec<TopicInfo>,
    /// What the user should know of how the bag was opened.
    pub notes: Vec<String>,
}
