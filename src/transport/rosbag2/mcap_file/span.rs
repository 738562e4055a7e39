//! Pieces of a file that are read at once: a chunk, or a run of messages outside chunks.

use std::fs::File;

use mcap::records::{MessageHeader, Record, op};
use mcap::sans_io::LinearReaderOptions;

use super::{Channels, ReadFailure, read_records};

/// A piece of a file that is read at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Span {
    /// Where it starts in the file.
    pub(super) offset: u64,
    /// Bytes of it that are in the file.
    pub(super) len: u64,
    /// Log time of its first message, in nanoseconds.
    pub(super) start: u64,
    /// Log time of its last message, in nanoseconds.
    pub(super) end: u64,
    /// The channels that it has messages on, where that is known without unpacking it.
    pub(super) channels: Option<Vec<u16>>,
    /// Messages in it, where that is known without unpacking it.
    pub(super) messages: Option<u64>,
    /// The file ends in the middle of it.
    pub(super) cut: bool,
}

/// Reads the messages of a span in file order. Schemas and channels inside it are noted.
///
/// # Errors
/// As [`ReadFailure`]. A span that is cut fails with [`ReadFailure::Cut`] after every message
/// before the cut; one that is damaged may have given messages before that was found out.
pub(super) fn read_span(
    file: &mut File,
    span: &Span,
    channels: &mut Channels,
    mut each: impl FnMut(&Channels, &MessageHeader, &[u8]),
) -> Result<(), ReadFailure> {
    let options = LinearReaderOptions::default().with_skip_end_magic(true);
    let mut malformed = None;
    read_records(file, span.offset, span.len, options, |opcode, data| match opcode {
        op::SCHEMA | op::CHANNEL => channels.note(opcode, data),
        op::MESSAGE => match mcap::parse_record(opcode, data) {
            Ok(Record::Message { header, data }) => each(channels, &header, &data),
            _ => {
                malformed
                    .get_or_insert_with(|| format!("a message record of {} bytes", data.len()));
            }
        },
        _ => {}
    })?;
    malformed.map_or(Ok(()), |reason| Err(ReadFailure::Damage(reason)))
}
