//! rosbag2 recordings, read and written with no ROS installed.
//!
//! - [`BagReader`] opens a bag folder, a single `.mcap` or `.db3` file, or a folder whose
//!   `metadata.yaml` is missing, and gives the messages in the order of their log times across all
//!   files. What is damaged or missing is skipped, counted and described in a [`LossReport`].
//! - [`BagWriter`] writes a bag folder in MCAP that `ros2 bag`, Foxglove and rviz open.
//!
//! How much memory reading takes does not depend on the size of the bag: MCAP is held chunk by
//! chunk, sqlite3 message by message, and files that are compressed as a whole are unpacked to
//! disk one at a time. Lengths that a file claims are limits, never sizes to allocate.

mod error;
mod info;
mod layout;
mod loss;
mod mcap_file;
mod messages;
mod metadata;
mod reader;
mod scratch;
mod source;
mod sqlite;
mod writer;

pub use error::BagError;
pub use info::{
    BagFile, BagInfo, Compression, FileState, OpenOptions, Storage, TopicInfo, TopicTimes,
};
pub use loss::{Loss, LossKind, LossReport};
pub use messages::{Messages, RawMessage};
pub use metadata::QosProfile;
pub use reader::BagReader;

pub use writer::{BagWriter, TopicId, WriterOptions};

use crate::types::Stamp;

/// The longest message, and the longest record of an MCAP file, that is read: 256 MiB, four times
/// an uncompressed 16-bit RGB image of 4K. What claims to be longer is damage.
pub(crate) const MESSAGE_LIMIT_BYTES: usize = 256 << 20;

/// Log times are unsigned in MCAP; what does not fit a stamp is clamped.
fn stamp_from_nanos(nanos: u64) -> Stamp {
    Stamp(i64::try_from(nanos).unwrap_or(i64::MAX))
}

/// The full name of a ROS 2 type: recordings that were converted from ROS 1, and some writers of
/// MCAP, leave out the `/msg/`.
fn full_type_name(name: &str) -> String {
    match name.split_once('/') {
        Some((package, message)) if !message.contains('/') => format!("{package}/msg/{message}"),
        _ => name.to_owned(),
    }
}
