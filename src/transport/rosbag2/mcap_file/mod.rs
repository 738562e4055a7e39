//! One MCAP file: what is in it, and its messages in the order of their log times.
//!
//! A closed file says in its summary where its chunks are. A file with no usable summary, or with
//! messages outside chunks (rosbag2's preset `fastwrite`), is walked record by record when it is
//! opened; chunks are not unpacked for that where message indexes stand behind them. Either way
//! the result is a list of spans, pieces of the file that are read at once.

mod cursor;
mod index;
mod scan;
mod span;
mod summary;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use super::full_type_name;
use super::loss::FileLosses;

pub(super) use cursor::Cursor;
use span::Span;

/// One channel of a file: a topic with its type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Channel {
    pub(super) topic: String,
    /// Full name of the type; empty where the file does not say.
    pub(super) message_type: String,
    pub(super) encoding: String,
    pub(super) type_hash: String,
}

/// The channels of a file by their numbers.
#[derive(Clone, Debug, Default)]
struct Channels {
    schema_names: BTreeMap<u16, String>,
    by_id: BTreeMap<u16, Channel>,
}

impl Channels {
    /// Notes a schema or channel record; anything else, and what cannot be parsed, is passed over.
    fn note(&mut self, opcode: u8, data: &[u8]) {
        match mcap::parse_record(opcode, data) {
            Ok(mcap::records::Record::Schema { header, .. }) => {
                self.schema_names.insert(header.id, full_type_name(&header.name));
            }
            Ok(mcap::records::Record::Channel(mut channel)) => {
                let message_type = self.schema_names.get(&channel.schema_id);
                let type_hash = channel.metadata.remove("topic_type_hash").unwrap_or_default();
                self.by_id.insert(
                    channel.id,
                    Channel {
                        topic: channel.topic,
                        message_type: message_type.cloned().unwrap_or_default(),
                        encoding: channel.message_encoding,
                        type_hash,
                    },
                );
            }
            _ => {}
        }
    }
}

/// What a file holds.
#[derive(Clone, Debug, Default)]
pub(super) struct Contents {
    spans: Vec<Span>,
    channels: Channels,
    /// Messages on each channel.
    counts: BTreeMap<u16, u64>,
    /// Log times of the first and last message, in nanoseconds. Those of the spans are not enough:
    /// a chunk that holds no message has times that mean nothing.
    time_range: Option<(u64, u64)>,
}

/// An MCAP file that was opened and surveyed.
pub(super) struct McapFile {
    file: File,
    contents: Contents,
    pub(super) losses: FileLosses,
}

impl McapFile {
    /// Opens and surveys a file that starts with MCAP's magic. What is wrong with it stands in
    /// [`losses`](Self::losses). `known` is what an earlier survey of the same file found.
    ///
    /// # Errors
    /// Where the file system fails.
    pub(super) fn open(path: &Path, name: &str, known: Option<Contents>) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let mut losses = FileLosses::new(name);
        let contents = match known {
            Some(contents) => contents,
            None => {
                let len = file.metadata()?.len();
                match summary::read(&mut file, len)? {
                    Some(contents) => contents,
                    None => scan::scan(&mut file, len, &mut losses)?,
                }
            }
        };
        Ok(Self { file, contents, losses })
    }

    /// Closes the file and keeps what is known of it.
    pub(super) fn into_contents(self) -> Contents {
        self.contents
    }

    /// Channels by their numbers.
    pub(super) fn channels(&self) -> impl Iterator<Item = (u16, &Channel)> {
        self.contents.channels.by_id.iter().map(|(id, channel)| (*id, channel))
    }

    /// Messages on each channel.
    pub(super) fn counts(&self) -> impl Iterator<Item = (u16, u64)> {
        self.contents.counts.iter().map(|(id, count)| (*id, *count))
    }

    /// Log times of the first and last message, in nanoseconds.
    pub(super) fn time_range(&self) -> Option<(u64, u64)> {
        self.contents.time_range
    }
}

/// Why records could not be read to the end of a range.
enum ReadFailure {
    Io(io::Error),
    /// The bytes end before the last record does.
    Cut,
    /// The bytes are not what they claim to be.
    Damage(String),
}

impl From<io::Error> for ReadFailure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Reads the records in `len` bytes from `offset` on, those inside chunks included, and hands each
/// to `each` as opcode and content.
fn read_records(
    file: &mut File,
    offset: u64,
    len: u64,
    options: mcap::sans_io::LinearReaderOptions,
    mut each: impl FnMut(u8, &[u8]),
) -> Result<(), ReadFailure> {
    use mcap::sans_io::{LinearReadEvent, LinearReader};

    /// No more is asked of the file at once than this, whatever length a record claims, and no
    /// less, or small messages would cost a call of the system each.
    const PIECE_BYTES: std::ops::RangeInclusive<usize> = 1 << 16..=1 << 20;

    file.seek(SeekFrom::Start(offset))?;
    let mut source = file.take(len);
    let options = options
        .with_skip_start_magic(true)
        .with_record_length_limit(super::MESSAGE_LIMIT_BYTES)
        .with_validate_chunk_crcs(true);
    let mut reader = LinearReader::new_with_options(options);
    while let Some(event) = reader.next_event() {
        match event {
            Ok(LinearReadEvent::ReadRequest(wanted)) => {
                let piece = reader.insert(wanted.clamp(*PIECE_BYTES.start(), *PIECE_BYTES.end()));
                let read = loop {
                    match source.read(piece) {
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                        read => break read?,
                    }
                };
                reader.notify_read(read);
            }
            Ok(LinearReadEvent::Record { opcode, data }) => each(opcode, data),
            Err(mcap::McapError::UnexpectedEof) => return Err(ReadFailure::Cut),
            Err(mcap::McapError::Io(error)) => return Err(ReadFailure::Damage(error.to_string())),
            Err(error) => return Err(ReadFailure::Damage(error.to_string())),
        }
    }
    Ok(())
}
