//! Pieces of a file that are read at once: a chunk, or a run of messages outside chunks.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;

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
    /// Messages on each of its channels, where that was found out already.
    pub(super) times: Option<BTreeMap<u16, ChannelTimes>>,
    /// Bytes of message indexes that follow it.
    pub(super) index_len: u64,
    /// The file ends in the middle of it.
    pub(super) cut: bool,
}

impl Span {
    /// Messages in it, where that was found out already.
    pub(super) fn messages(&self) -> Option<u64> {
        self.times.as_ref().map(|times| times.values().map(|times| times.count).sum())
    }
}

/// Number of messages on a channel, and log times of the first and last one in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct ChannelTimes {
    pub(in super::super) count: u64,
    pub(in super::super) first: u64,
    pub(in super::super) last: u64,
}

impl ChannelTimes {
    /// Counts one message.
    pub(super) fn note(times: &mut BTreeMap<u16, Self>, channel: u16, log_time: u64) {
        Self::merge(times, channel, Self { count: 1, first: log_time, last: log_time });
    }

    /// Counts more messages.
    pub(super) fn merge(times: &mut BTreeMap<u16, Self>, channel: u16, more: Self) {
        let known = times.entry(channel).or_insert(Self { count: 0, ..more });
        known.count += more.count;
        known.first = known.first.min(more.first);
        known.last = known.last.max(more.last);
    }
}

/// Counts the messages of a span; `None` where it is damaged. What stands before a known cut counts.
///
/// # Errors
/// Where the file system fails.
pub(super) fn unpack_times(
    file: &mut File,
    span: &Span,
    channels: &mut Channels,
) -> io::Result<Option<BTreeMap<u16, ChannelTimes>>> {
    let mut times = BTreeMap::new();
    let read = read_span(file, span, channels, |_, header, _| {
        ChannelTimes::note(&mut times, header.channel_id, header.log_time);
    });
    match read {
        Err(ReadFailure::Io(error)) => Err(error),
        Ok(()) => Ok(Some(times)),
        Err(ReadFailure::Cut) if span.cut => Ok(Some(times)),
        Err(ReadFailure::Cut | ReadFailure::Damage(_)) => Ok(None),
    }
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
