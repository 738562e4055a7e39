//! A pass over the messages of a bag.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use crate::types::Stamp;

use super::MESSAGE_LIMIT_BYTES;
use super::error::BagError;
use super::loss::{Loss, LossKind};
use super::reader::{BagReader, topic_index};
use super::scratch::{self, Unpacked, ZSTD_MAGIC};
use super::source::{self, Cursor, OpenFailure, OpenFile};

/// One message as it was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawMessage {
    /// Index of its topic in [`BagInfo::topics`](super::BagInfo::topics).
    pub topic_index: usize,
    /// Name of its topic.
    pub topic: Arc<str>,
    /// Full name of its type.
    pub message_type: Arc<str>,
    /// When the recorder received it. The time at which a camera took an image stands in the
    /// message itself.
    pub log_time: Stamp,
    /// The message in CDR, with its encapsulation header.
    pub data: Vec<u8>,
}

/// A file that is being read.
struct Active {
    slot: usize,
    cursor: Cursor,
    /// From the number of a topic in the file to its index in the bag.
    topics: BTreeMap<i64, usize>,
    /// Keeps the unpacked file alive.
    _scratch: Option<Unpacked>,
}

/// The messages of a bag in the order of their log times. An error is one of the disk, not of the
/// recording; the pass may go on behind it. After the last message, [`BagReader::losses`] says what
/// could not be read.
pub struct Messages<'a> {
    bag: &'a mut BagReader,
    wanted: Option<BTreeSet<String>>,
    /// Files that were not opened yet, in the order in which they start.
    pending: VecDeque<usize>,
    active: Vec<Active>,
    read_messages: u64,
    is_over: bool,
}

impl<'a> Messages<'a> {
    pub(super) fn new(bag: &'a mut BagReader, wanted: Option<BTreeSet<String>>) -> Self {
        let slots = &bag.slots;
        let mut pending: Vec<usize> = (0..slots.len()).filter(|i| slots[*i].is_readable).collect();
        if pending.iter().all(|slot| slots[*slot].start.is_some()) {
            pending.sort_by_key(|slot| slots[*slot].start);
        }
        let pending = pending.into();
        Self { bag, wanted, pending, active: Vec::new(), read_messages: 0, is_over: false }
    }

    /// What the bag says of itself.
    #[must_use]
    pub fn bag(&self) -> &BagReader {
        self.bag
    }

    fn lose(&mut self, losses: impl IntoIterator<Item = Loss>) {
        losses.into_iter().for_each(|loss| self.bag.losses.add(loss));
    }

    /// Opens every file that may hold a message before `head`, the earliest one of the open files.
    fn open_due(&mut self, head: Option<i64>) -> Result<bool, BagError> {
        let Some(&slot) = self.pending.front() else { return Ok(false) };
        let is_due = match (head, self.bag.slots[slot].start) {
            (None, _) => true,
            (Some(head), Some(start)) => start <= head,
            (Some(_), None) => false,
        };
        if !is_due {
            return Ok(false);
        }
        self.pending.pop_front();
        self.open(slot)?;
        Ok(true)
    }

    fn open(&mut self, index: usize) -> Result<(), BagError> {
        let slot = &self.bag.slots[index];
        let survey = slot.survey.as_ref();
        let opened = source::open(&slot.path, &slot.name, &self.bag.options, survey);
        let OpenFile { source, mut unpacking, scratch } = match opened {
            Ok(opened) => opened,
            Err(OpenFailure::Fatal(error)) => return Err(error),
            Err(OpenFailure::Lost(loss)) => {
                self.lose([loss]);
                return Ok(());
            }
        };
        let was_surveyed = survey.is_some();
        let mut topics = BTreeMap::new();
        for topic in source.topics() {
            let is_wanted = self.wanted.as_ref().is_none_or(|names| names.contains(&topic.name));
            let index = topic_index(&mut self.bag.info.topics, &topic);
            if is_wanted && self.bag.info.topics[index].is_readable() {
                topics.insert(topic.id, index);
            }
        }
        let mut cursor = Cursor::new(source, topics.keys().copied().collect());
        // What a survey found is known already.
        let opening = [unpacking.drain(), cursor.drain_losses()].concat();
        if !was_surveyed {
            self.lose(opening);
        }
        self.active.push(Active { slot: index, cursor, topics, _scratch: scratch });
        Ok(())
    }

    /// The open file with the earliest next message, and the log time of that message.
    fn earliest(&mut self) -> Result<Option<(usize, i64)>, BagError> {
        let mut earliest: Option<(i64, usize, usize)> = None;
        let mut index = 0;
        while index < self.active.len() {
            let active = &mut self.active[index];
            match active.cursor.peek() {
                Ok(Some(time)) => {
                    let place = (time, active.slot, index);
                    earliest = Some(earliest.map_or(place, |known| known.min(place)));
                    index += 1;
                }
                Ok(None) => self.close(index),
                Err(error) => return Err(self.fail(index, error)),
            }
        }
        Ok(earliest.map(|(time, _, index)| (index, time)))
    }

    fn close(&mut self, index: usize) {
        let mut active = self.active.swap_remove(index);
        self.lose(active.cursor.drain_losses());
    }

    /// Gives up a file on which the disk failed.
    fn fail(&mut self, index: usize, error: std::io::Error) -> BagError {
        let slot = &self.bag.slots[self.active[index].slot];
        let (file, path) = (slot.name.clone(), slot.path.clone());
        let first = format!("the rest of it was given up: {error}");
        let kind = LossKind::FileUnreadable;
        self.close(index);
        self.lose([Loss { file, kind, first, at_byte: None, times: 1, messages: None }]);
        BagError::io(path, "read the file")(error)
    }

    fn advance(&mut self) -> Result<Option<RawMessage>, BagError> {
        loop {
            let earliest = self.earliest()?;
            if self.open_due(earliest.map(|(_, time)| time))? {
                continue;
            }
            let Some((index, _)) = earliest else { return Ok(None) };
            let next = match self.active[index].cursor.next() {
                Ok(next) => next,
                Err(error) => return Err(self.fail(index, error)),
            };
            let Some(message) = next else { continue };
            let active = &self.active[index];
            let Some(&topic_index) = active.topics.get(&message.topic) else { continue };
            let topic = &self.bag.info.topics[topic_index];
            let (name, message_type) = (Arc::clone(&topic.name), Arc::clone(&topic.message_type));
            // No CDR message starts like a zstd frame, so message mode needs no metadata.
            let data = if message.data.starts_with(&ZSTD_MAGIC) {
                match scratch::unpack_message(&message.data, MESSAGE_LIMIT_BYTES) {
                    Ok(data) => data,
                    Err(reason) => {
                        let log_time = Stamp(message.log_time);
                        let file = self.bag.slots[active.slot].name.clone();
                        self.lose([Loss {
                            file,
                            kind: LossKind::MessageDamaged,
                            first: format!("{name} at {log_time}: {reason}"),
                            at_byte: None,
                            times: 1,
                            messages: Some(1),
                        }]);
                        continue;
                    }
                }
            } else {
                message.data
            };
            self.read_messages += 1;
            return Ok(Some(RawMessage {
                topic_index,
                topic: name,
                message_type,
                log_time: Stamp(message.log_time),
                data,
            }));
        }
    }
}

impl Iterator for Messages<'_> {
    type Item = Result<RawMessage, BagError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let next = self.advance().transpose();
        if next.is_none() {
            self.is_over = true;
            self.bag.conclude(self.wanted.as_ref(), self.read_messages);
        }
        next
    }
}
