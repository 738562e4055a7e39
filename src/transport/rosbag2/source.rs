//! One file of a bag, whatever it is kept in.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use crate::types::Stamp;

use super::error::BagError;
use super::info::{OpenOptions, Storage, TopicTimes};
use super::layout::{FileKind, kind_of};
use super::loss::{FileLosses, Loss, LossKind};
use super::mcap_file::{self, McapFile};
use super::scratch::{self, Unpacked};
use super::sqlite::{self, SqliteFile};
use super::stamp_from_nanos;

/// One topic as a file has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SourceTopic {
    /// The number that messages in the file carry.
    pub(super) id: i64,
    pub(super) name: String,
    /// Full name of the type; empty where the file does not say.
    pub(super) message_type: String,
    pub(super) encoding: String,
    pub(super) type_hash: String,
}

/// What a file holds.
pub(super) struct Survey {
    pub(super) storage: Storage,
    pub(super) was_packed: bool,
    /// Topics with the number of messages on each.
    pub(super) topics: Vec<(SourceTopic, u64)>,
    /// Log times of the first and last message, in nanoseconds.
    pub(super) time_range: Option<(i64, i64)>,
    pub(super) losses: Vec<Loss>,
    /// What a walk through an MCAP file found, so that it is not made twice.
    contents: Option<mcap_file::Contents>,
}

/// Why a file cannot be opened.
pub(super) enum OpenFailure {
    /// It is lost, and the rest of the bag can be read.
    Lost(Loss),
    /// Reading on would be wrong.
    Fatal(BagError),
}

/// A file that is open.
pub(super) enum Source {
    Mcap(McapFile),
    Sqlite(SqliteFile),
}

/// One message of a file.
pub(super) struct SourceMessage {
    /// The number of its topic in the file.
    pub(super) topic: i64,
    /// Its log time, in nanoseconds.
    pub(super) log_time: i64,
    pub(super) data: Vec<u8>,
}

/// A file that is open, with the scratch file that it may stand in.
pub(super) struct OpenFile {
    pub(super) source: Source,
    /// What was lost in unpacking it.
    pub(super) unpacking: FileLosses,
    pub(super) scratch: Option<Unpacked>,
}

/// Opens a file, unpacking it where that is needed. `known` is what an earlier survey of the same
/// file found.
pub(super) fn open(
    path: &Path,
    name: &str,
    options: &OpenOptions,
    known: Option<&Survey>,
) -> Result<OpenFile, OpenFailure> {
    let mut unpacking = FileLosses::new(name);
    let lost = |kind, first: String| {
        let file = name.to_owned();
        OpenFailure::Lost(Loss { file, kind, first, at_byte: None, times: 1, messages: None })
    };
    let io_failure = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => {
            lost(LossKind::FileMissing, format!("there is no file at {}", path.display()))
        }
        _ => lost(LossKind::FileUnreadable, error.to_string()),
    };
    let mut kind = kind_of(path).map_err(io_failure)?;
    let mut scratch = None;
    if kind == FileKind::Zstd {
        let unpacked = scratch::unpack(path, options).map_err(OpenFailure::Fatal)?;
        if let Some(cut) = &unpacked.cut {
            let what =
                format!("{} bytes could be unpacked, then: {}", cut.unpacked_bytes, cut.reason);
            unpacking.add(LossKind::FileCut, Some(cut.unpacked_bytes), None, what);
        }
        kind = kind_of(unpacked.file.path()).map_err(io_failure)?;
        scratch = Some(unpacked);
    }
    let plain = scratch.as_ref().map_or(path, |unpacked: &Unpacked| unpacked.file.path());
    let source = match kind {
        FileKind::Mcap => {
            let contents = known.and_then(|survey| survey.contents.clone());
            Source::Mcap(McapFile::open(plain, name, contents).map_err(io_failure)?)
        }
        FileKind::Sqlite => Source::Sqlite(
            SqliteFile::open(plain, name)
                .map_err(|error| lost(LossKind::FileUnreadable, error.to_string()))?,
        ),
        FileKind::Zstd => {
            return Err(lost(LossKind::FileUnreadable, "compressed twice".to_owned()));
        }
        FileKind::Other(what) => return Err(lost(LossKind::FileUnreadable, what)),
    };
    Ok(OpenFile { source, unpacking, scratch })
}

/// Opens a file, looks what is in it, and closes it again. Counting the messages of an sqlite3 file
/// takes a look at every row, so it is only done where nothing else tells (`must_count`); else its
/// counts are 0.
pub(super) fn survey(
    path: &Path,
    name: &str,
    options: &OpenOptions,
    must_count: bool,
) -> Result<Survey, OpenFailure> {
    let OpenFile { source, mut unpacking, scratch } = open(path, name, options, None)?;
    let mut losses = unpacking.drain();
    let mut survey = Survey {
        storage: Storage::Mcap,
        was_packed: scratch.is_some(),
        topics: source.topics().into_iter().map(|topic| (topic, 0)).collect(),
        time_range: None,
        losses: Vec::new(),
        contents: None,
    };
    let counts: BTreeMap<i64, u64>;
    match source {
        Source::Mcap(mut file) => {
            counts = file.counts().map(|(channel, count)| (i64::from(channel), count)).collect();
            let stamps = |(start, end)| (stamp_from_nanos(start).0, stamp_from_nanos(end).0);
            survey.time_range = file.time_range().map(stamps);
            losses.extend(file.losses.drain());
            survey.contents = Some(file.into_contents());
        }
        Source::Sqlite(mut file) => {
            survey.storage = Storage::Sqlite3;
            let unreadable = |error: rusqlite::Error| {
                let (file, kind) = (name.to_owned(), LossKind::FileUnreadable);
                let first = error.to_string();
                OpenFailure::Lost(Loss {
                    file,
                    kind,
                    first,
                    at_byte: None,
                    times: 1,
                    messages: None,
                })
            };
            if must_count {
                let times = file.topic_times().map_err(unreadable)?;
                let ranges = times.values().map(|times| (times.first, times.last));
                survey.time_range = ranges.reduce(|(a, b), (c, d)| (a.min(c), b.max(d)));
                counts = times.into_iter().map(|(topic, times)| (topic, times.count)).collect();
            } else {
                survey.time_range = file.time_range().map_err(unreadable)?;
                counts = BTreeMap::new();
            }
            losses.extend(file.losses.drain());
        }
    }
    for (topic, count) in &mut survey.topics {
        *count = counts.get(&topic.id).copied().unwrap_or(0);
    }
    survey.losses = losses;
    Ok(survey)
}

impl Source {
    /// Number of messages and times of the first and last one, by the number of the topic.
    ///
    /// # Errors
    /// Where the file system fails.
    pub(super) fn topic_times(&mut self) -> io::Result<Vec<(i64, TopicTimes)>> {
        let stamped = |topic, count, first, last| {
            (topic, TopicTimes { count, first: Stamp(first), last: Stamp(last) })
        };
        Ok(match self {
            Self::Mcap(file) => {
                let times = file.channel_times()?.into_iter();
                times
                    .map(|(channel, times)| {
                        let stamp = |nanos| stamp_from_nanos(nanos).0;
                        let (first, last) = (stamp(times.first), stamp(times.last));
                        stamped(i64::from(channel), times.count, first, last)
                    })
                    .collect()
            }
            Self::Sqlite(file) => {
                let times = file.topic_times().map_err(io::Error::other)?.into_iter();
                times.map(|(id, found)| stamped(id, found.count, found.first, found.last)).collect()
            }
        })
    }

    /// The topics of the file.
    pub(super) fn topics(&self) -> Vec<SourceTopic> {
        match self {
            Self::Mcap(file) => file
                .channels()
                .map(|(id, channel)| SourceTopic {
                    id: i64::from(id),
                    name: channel.topic.clone(),
                    message_type: channel.message_type.clone(),
                    encoding: channel.encoding.clone(),
                    type_hash: channel.type_hash.clone(),
                })
                .collect(),
            Self::Sqlite(file) => file
                .topics()
                .iter()
                .map(|topic| SourceTopic {
                    id: topic.id,
                    name: topic.name.clone(),
                    message_type: topic.message_type.clone(),
                    encoding: topic.encoding.clone(),
                    type_hash: topic.type_hash.clone(),
                })
                .collect(),
        }
    }
}

/// A pass over the messages of a file on some of its topics.
pub(super) enum Cursor {
    Mcap(mcap_file::Cursor),
    Sqlite(sqlite::Cursor),
}

impl Cursor {
    pub(super) fn new(source: Source, topics: BTreeSet<i64>) -> Self {
        match source {
            Source::Mcap(file) => {
                let channels = topics.into_iter().filter_map(|id| u16::try_from(id).ok());
                Self::Mcap(mcap_file::Cursor::new(file, channels.collect()))
            }
            Source::Sqlite(file) => Self::Sqlite(sqlite::Cursor::new(file, topics)),
        }
    }

    /// Log time of the next message, in nanoseconds.
    pub(super) fn peek(&mut self) -> io::Result<Option<i64>> {
        match self {
            Self::Mcap(cursor) => Ok(cursor.peek()?.map(|nanos| stamp_from_nanos(nanos).0)),
            Self::Sqlite(cursor) => cursor.peek().map_err(io::Error::other),
        }
    }

    pub(super) fn next(&mut self) -> io::Result<Option<SourceMessage>> {
        match self {
            Self::Mcap(cursor) => Ok(cursor.next()?.map(|message| SourceMessage {
                topic: i64::from(message.channel),
                log_time: stamp_from_nanos(message.log_time).0,
                data: message.data,
            })),
            Self::Sqlite(cursor) => {
                let next = cursor.next().map_err(io::Error::other)?;
                Ok(next.map(|message| SourceMessage {
                    topic: message.topic,
                    log_time: message.timestamp,
                    data: message.data,
                }))
            }
        }
    }

    /// Takes the losses that were met so far.
    pub(super) fn drain_losses(&mut self) -> Vec<Loss> {
        match self {
            Self::Mcap(cursor) => cursor.losses().drain(),
            Self::Sqlite(cursor) => cursor.losses().drain(),
        }
    }
}
