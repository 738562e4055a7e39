//! A whole bag: all its files as one stream of messages.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::types::Stamp;

use super::error::BagError;
use super::info::{
    BagFile, BagInfo, Compression, FileState, OpenOptions, Storage, TopicInfo, TopicTimes,
};
use super::layout::{self, Layout};
use super::loss::{Loss, LossKind, LossReport};
use super::messages::Messages;
use super::metadata::Metadata;
use super::source::{self, OpenFailure, Survey};

/// One file of the bag, as far as it is known.
pub(super) struct Slot {
    pub(super) name: String,
    pub(super) path: PathBuf,
    /// Whether there is anything to read in it.
    pub(super) is_readable: bool,
    /// Log time of its first message where it is known before it is opened, in nanoseconds.
    pub(super) start: Option<i64>,
    pub(super) survey: Option<Survey>,
}

/// A bag that was opened.
pub struct BagReader {
    pub(super) info: BagInfo,
    pub(super) options: OpenOptions,
    pub(super) slots: Vec<Slot>,
    /// What was found to be wrong when it was opened.
    opening: LossReport,
    /// The same, and what the newest pass over the messages found.
    pub(super) losses: LossReport,
    counts_are_whole: bool,
}

impl BagReader {
    /// Opens a bag folder, a single `.mcap` or `.db3` file (compressed or not), or a folder of
    /// such files without `metadata.yaml`.
    ///
    /// # Errors
    /// Where there is no bag, or none of its files can be read. A bag that can be read in part is
    /// opened; see [`losses`](Self::losses).
    pub fn open(path: impl AsRef<Path>) -> Result<Self, BagError> {
        Self::open_with(path, OpenOptions::default())
    }

    /// As [`open`](Self::open), with options.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_with(path: impl AsRef<Path>, options: OpenOptions) -> Result<Self, BagError> {
        let path = path.as_ref();
        let Layout { folder, names, metadata, notes } = layout::find(path)?;
        let mut opener = Opener::new(&options, metadata.as_ref());
        let slots = names
            .into_iter()
            .map(|name| opener.slot(&folder, name))
            .collect::<Result<Vec<_>, _>>()?;
        let Opener { files, storage, opening, .. } = opener;
        if slots.iter().all(|slot| !slot.is_readable) {
            return Err(nothing_readable(path, &slots, opening));
        }
        let surveys = || slots.iter().filter_map(|slot| slot.survey.as_ref());
        let counts_are_whole = metadata.is_some() || opening.is_lossless();
        let info = BagInfo {
            path: path.to_owned(),
            storage,
            compression: compression(metadata.as_ref(), &files),
            metadata_version: metadata.as_ref().map(|metadata| metadata.version),
            ros_distro: metadata
                .as_ref()
                .and_then(|metadata| metadata.ros_distro.clone())
                .filter(|distro| !distro.is_empty()),
            files,
            start: None,
            duration: Duration::ZERO,
            message_count: 0,
            topics: Vec::new(),
            notes,
        };
        let mut bag = Self {
            info,
            losses: opening.clone(),
            opening,
            options,
            slots: Vec::new(),
            counts_are_whole,
        };
        bag.describe(metadata.as_ref(), surveys());
        bag.slots = slots;
        Ok(bag)
    }

    /// Times, counts and topics, from the metadata where there is one, else from the files.
    fn describe<'s>(
        &mut self,
        metadata: Option<&Metadata>,
        surveys: impl Iterator<Item = &'s Survey>,
    ) {
        let info = &mut self.info;
        if let Some(metadata) = metadata {
            info.message_count = metadata.message_count;
            if metadata.message_count > 0 {
                info.start = Some(Stamp(metadata.starting_time.nanoseconds_since_epoch));
                let nanos = u64::try_from(metadata.duration.nanoseconds).unwrap_or(0);
                info.duration = Duration::from_nanos(nanos);
            }
            info.topics = metadata
                .topics_with_message_count
                .iter()
                .map(|topic| TopicInfo {
                    name: Arc::from(topic.topic_metadata.name.as_str()),
                    message_type: Arc::from(
                        super::full_type_name(&topic.topic_metadata.message_type).as_str(),
                    ),
                    encoding: topic.topic_metadata.serialization_format.clone(),
                    type_hash: topic
                        .topic_metadata
                        .type_description_hash
                        .clone()
                        .unwrap_or_default(),
                    message_count: topic.message_count,
                })
                .collect();
        }
        let listed = info.topics.len();
        // rosbag2 has written wrong times for split bags: where all files could be looked at, they
        // know better.
        let is_surveyed = info.files.iter().all(|file| file.state == FileState::Ready);
        let mut range = info.start.filter(|_| !is_surveyed).map(|start| {
            let nanos = i64::try_from(info.duration.as_nanos()).unwrap_or(i64::MAX);
            (start.0, start.0.saturating_add(nanos))
        });
        for survey in surveys {
            for (topic, count) in &survey.topics {
                let index = topic_index(&mut info.topics, topic);
                if index >= listed {
                    info.topics[index].message_count += count;
                    info.message_count += count;
                }
            }
            range = match (range, survey.time_range) {
                (Some((a, b)), Some((c, d))) => Some((a.min(c), b.max(d))),
                (known, found) => known.or(found),
            };
        }
        if let Some((start, end)) = range {
            info.start = Some(Stamp(start));
            info.duration = Duration::from_nanos(end.abs_diff(start));
        }
    }

    /// What the bag says of itself.
    #[must_use]
    pub fn info(&self) -> &BagInfo {
        &self.info
    }

    /// What could not be read: what was found when the bag was opened, and what the newest pass
    /// over the messages met. Whole only after that pass has come to its end.
    #[must_use]
    pub fn losses(&self) -> &LossReport {
        &self.losses
    }

    /// Starts a pass over the messages on `topics`, or on all topics that can be read, in the
    /// order of their log times. Messages with one log time come in the order of the files, and
    /// within a file in the order in which they were written.
    ///
    /// # Errors
    /// Where a topic is not in the bag or is not encoded as CDR.
    pub fn messages(&mut self, topics: Option<&[&str]>) -> Result<Messages<'_>, BagError> {
        for name in topics.into_iter().flatten() {
            let mut found = self.info.topics.iter().filter(|topic| *topic.name == **name);
            let Some(first) = found.next() else {
                let available = self.info.topics.iter().map(|topic| topic.name.to_string());
                return Err(BagError::NoSuchTopic {
                    topic: (*name).to_owned(),
                    available: available.collect(),
                });
            };
            if !first.is_readable() && !found.any(TopicInfo::is_readable) {
                return Err(BagError::TopicEncoding {
                    topic: (*name).to_owned(),
                    found: first.encoding.clone(),
                });
            }
        }
        self.losses = self.opening.clone();
        let wanted = topics.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
        Ok(Messages::new(self, wanted))
    }

    /// When the messages of each topic came, in the order of [`BagInfo::topics`], from the indexes
    /// of the files. `None` for a topic with no message that can be read, and for all of them in a
    /// bag whose files are compressed as a whole: those would have to be unpacked.
    ///
    /// # Errors
    /// Where the disk fails.
    pub fn topic_times(&mut self) -> Result<Vec<Option<TopicTimes>>, BagError> {
        let mut times = vec![None; self.info.topics.len()];
        if self.info.files.iter().any(|file| file.state == FileState::Packed) {
            return Ok(times);
        }
        for slot in self.slots.iter().filter(|slot| slot.is_readable) {
            let opened = source::open(&slot.path, &slot.name, &self.options, slot.survey.as_ref());
            let mut source = match opened {
                Ok(opened) => opened.source,
                Err(OpenFailure::Fatal(error)) => return Err(error),
                // What was lost since the bag was opened shows when it is read.
                Err(OpenFailure::Lost(_)) => continue,
            };
            let topics = source.topics();
            let found = source.topic_times().map_err(BagError::io(&slot.path, "read the file"))?;
            for (id, more) in found {
                let Some(topic) = topics.iter().find(|topic| topic.id == id) else { continue };
                let index = topic_index(&mut self.info.topics, topic);
                times.resize(self.info.topics.len(), None);
                let known = times[index].get_or_insert(TopicTimes { count: 0, ..more });
                known.count += more.count;
                known.first = known.first.min(more.first);
                known.last = known.last.max(more.last);
            }
        }
        Ok(times)
    }

    /// Name, times and number of messages of every file that was surveyed.
    pub(super) fn surveyed_files(&self) -> impl Iterator<Item = (&str, Option<(i64, i64)>, u64)> {
        self.slots.iter().filter_map(|slot| {
            let survey = slot.survey.as_ref()?;
            let messages = survey.topics.iter().map(|(_, count)| count).sum();
            Some((slot.name.as_str(), survey.time_range, messages))
        })
    }

    /// Ends a pass that came to its end: says what was expected on its topics.
    pub(super) fn conclude(&mut self, wanted: Option<&BTreeSet<String>>, read_messages: u64) {
        let is_wanted = |topic: &&TopicInfo| {
            topic.is_readable() && wanted.is_none_or(|names| names.contains(&*topic.name))
        };
        let expected = self.info.topics.iter().filter(is_wanted);
        let expected: u64 = expected.map(|topic| topic.message_count).sum();
        self.losses.read_messages = read_messages;
        self.losses.expected_messages = self.counts_are_whole.then_some(expected);
        if self.losses.is_lossless() && read_messages < expected {
            self.losses.add(Loss {
                file: self.info.path.display().to_string(),
                kind: LossKind::FewerMessages,
                first: format!("{expected} were counted, {read_messages} are there"),
                at_byte: None,
                times: 1,
                messages: Some(expected - read_messages),
            });
        }
    }
}

/// The index of a topic in the list, which it is added to where it is not there yet.
pub(super) fn topic_index(topics: &mut Vec<TopicInfo>, topic: &source::SourceTopic) -> usize {
    let same = |known: &TopicInfo| {
        *known.name == topic.name
            && (*known.message_type == topic.message_type || topic.message_type.is_empty())
    };
    if let Some(index) = topics.iter().position(same) {
        return index;
    }
    topics.push(TopicInfo {
        name: Arc::from(topic.name.as_str()),
        message_type: Arc::from(topic.message_type.as_str()),
        encoding: topic.encoding.clone(),
        type_hash: topic.type_hash.clone(),
        message_count: 0,
    });
    topics.len() - 1
}

fn compression(metadata: Option<&Metadata>, files: &[BagFile]) -> Compression {
    let mode = metadata.and_then(|metadata| metadata.compression_mode.as_deref()).unwrap_or("");
    match mode.to_ascii_lowercase().as_str() {
        "file" => Compression::File,
        "message" => Compression::Message,
        _ if files.iter().any(|file| file.state == FileState::Packed) => Compression::File,
        _ => Compression::None,
    }
}

fn nothing_readable(path: &Path, slots: &[Slot], opening: LossReport) -> BagError {
    // A single file that is something else altogether deserves the plain words.
    if let ([_], [Loss { kind: LossKind::FileUnreadable, first, .. }]) =
        (slots, opening.losses.as_slice())
        && path.is_file()
    {
        let (path, found) = (path.to_owned(), first.clone());
        return BagError::NotABag { path, expected: "an MCAP or sqlite3 file", found };
    }
    BagError::NothingReadable { path: path.to_owned(), losses: Box::new(opening) }
}

/// Looks at the files of a bag, one after the other.
struct Opener<'a> {
    options: &'a OpenOptions,
    metadata: Option<&'a Metadata>,
    files: Vec<BagFile>,
    storage: Option<Storage>,
    opening: LossReport,
}

impl<'a> Opener<'a> {
    fn new(options: &'a OpenOptions, metadata: Option<&'a Metadata>) -> Self {
        Self { options, metadata, files: Vec::new(), storage: None, opening: LossReport::default() }
    }

    fn slot(&mut self, folder: &Path, name: String) -> Result<Slot, BagError> {
        let path = folder.join(&name);
        let said = self.metadata.and_then(|metadata| metadata.file(&name));
        let said_start = said.map(|file| file.starting_time.nanoseconds_since_epoch);
        let size_bytes = path.metadata().map(|about| about.len()).unwrap_or(0);
        let mut survey = None;
        let mut start = said_start;
        // Unpacking only to look would cost as much as reading; the metadata says enough.
        let is_packed =
            self.metadata.is_some() && matches!(layout::kind_of(&path), Ok(layout::FileKind::Zstd));
        let state = if is_packed {
            let storage = match self.metadata.map(|metadata| metadata.storage_identifier.as_str()) {
                Some("mcap") => Some(Storage::Mcap),
                Some("sqlite3") => Some(Storage::Sqlite3),
                _ => None,
            };
            self.storage = self.storage.or(storage);
            FileState::Packed
        } else {
            match source::survey(&path, &name, self.options, self.metadata.is_none()) {
                Ok(found) => {
                    self.storage = self.storage.or(Some(found.storage));
                    found.losses.iter().cloned().for_each(|loss| self.opening.add(loss));
                    // An empty file is read at once and gives nothing.
                    start = Some(found.time_range.map_or(i64::MIN, |(start, _)| start));
                    let state = if found.was_packed { FileState::Packed } else { FileState::Ready };
                    survey = Some(found);
                    state
                }
                Err(OpenFailure::Fatal(error)) => return Err(error),
                Err(OpenFailure::Lost(mut loss)) => {
                    loss.messages = said.map(|file| file.message_count);
                    let is_missing = loss.kind == LossKind::FileMissing;
                    self.opening.add(loss);
                    if is_missing { FileState::Missing } else { FileState::Unreadable }
                }
            }
        };
        self.files.push(BagFile { name: name.clone(), size_bytes, state });
        let is_readable = matches!(state, FileState::Ready | FileState::Packed);
        Ok(Slot { name, path, is_readable, start, survey })
    }
}
