//! The messages of a file in the order of their log times.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::io;

use super::super::loss::{FileLosses, LossKind};
use super::span::read_span;
use super::{McapFile, ReadFailure};

/// Unpacked messages that are kept while spans overlap in time. Beyond that the messages of some
/// spans are dropped again and read a second time when their turn comes: slower, but bounded.
const RESIDENT_LIMIT_BYTES: usize = 256 << 20;

/// Where a message stands; its order is the order of reading. Messages with one log time come in
/// the order of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    log_time: u64,
    span: usize,
    index: usize,
}

/// The messages of a span that were not given out yet.
struct Loaded {
    pending: usize,
    /// By index in the span; `None` while they are dropped.
    messages: Option<Vec<Option<Message>>>,
    bytes: usize,
}

/// One message of a file.
pub(in super::super) struct Message {
    pub(in super::super) channel: u16,
    pub(in super::super) log_time: u64,
    pub(in super::super) data: Vec<u8>,
}

/// A pass over the messages of a file on some of its channels.
pub(in super::super) struct Cursor {
    file: McapFile,
    channels: BTreeSet<u16>,
    /// Indexes of the spans to read, by the log time at which they start.
    order: Vec<usize>,
    next: usize,
    loaded: BTreeMap<usize, Loaded>,
    heap: BinaryHeap<Reverse<Place>>,
    resident_bytes: usize,
    resident_limit_bytes: usize,
}

impl Cursor {
    /// Starts before the first message.
    pub(in super::super) fn new(file: McapFile, channels: BTreeSet<u16>) -> Self {
        let spans = &file.contents.spans;
        let is_wanted = |index: &usize| match &spans[*index].channels {
            Some(there) => there.iter().any(|channel| channels.contains(channel)),
            None => true,
        };
        let mut order: Vec<usize> = (0..spans.len()).filter(is_wanted).collect();
        order.sort_by_key(|index| (spans[*index].start, spans[*index].offset));
        Self {
            file,
            channels,
            order,
            next: 0,
            loaded: BTreeMap::new(),
            heap: BinaryHeap::new(),
            resident_bytes: 0,
            resident_limit_bytes: RESIDENT_LIMIT_BYTES,
        }
    }

    /// The losses that were met so far.
    pub(in super::super) fn losses(&mut self) -> &mut FileLosses {
        &mut self.file.losses
    }

    /// Log time of the next message, in nanoseconds.
    ///
    /// # Errors
    /// Where the file system fails; the cursor then goes on behind the span that failed.
    pub(in super::super) fn peek(&mut self) -> io::Result<Option<u64>> {
        while let Some(&span) = self.order.get(self.next) {
            let start = self.file.contents.spans[span].start;
            // A span that starts at the same time may hold a message that stands earlier.
            if self.heap.peek().is_some_and(|Reverse(place)| place.log_time < start) {
                break;
            }
            self.next += 1;
            self.load(span)?;
        }
        Ok(self.heap.peek().map(|Reverse(place)| place.log_time))
    }

    /// The next message.
    ///
    /// # Errors
    /// As [`peek`](Self::peek).
    pub(in super::super) fn next(&mut self) -> io::Result<Option<Message>> {
        loop {
            self.peek()?;
            let Some(Reverse(place)) = self.heap.pop() else { return Ok(None) };
            if self.loaded.get(&place.span).is_some_and(|loaded| loaded.messages.is_none()) {
                self.make_room(place.span);
                let read = self.read(place.span);
                self.restore(place, read?);
            }
            let Some(loaded) = self.loaded.get_mut(&place.span) else { continue };
            loaded.pending -= 1;
            let slot = loaded.messages.as_mut().and_then(|messages| messages.get_mut(place.index));
            let message = slot.and_then(Option::take);
            let freed = message.as_ref().map_or(0, |message| message.data.len());
            loaded.bytes -= freed;
            self.resident_bytes -= freed;
            if loaded.pending == 0 {
                self.loaded.remove(&place.span);
            }
            if message.is_some() {
                return Ok(message);
            }
        }
    }

    fn load(&mut self, span: usize) -> io::Result<()> {
        self.make_room(span);
        let messages = self.read(span)?;
        if messages.is_empty() {
            return Ok(());
        }
        let places = messages.iter().enumerate();
        self.heap
            .extend(places.map(|(index, message)| {
                Reverse(Place { log_time: message.log_time, span, index })
            }));
        let bytes = messages.iter().map(|message| message.data.len()).sum();
        self.resident_bytes += bytes;
        let messages: Vec<_> = messages.into_iter().map(Some).collect();
        self.loaded
            .insert(span, Loaded { pending: messages.len(), messages: Some(messages), bytes });
        Ok(())
    }

    /// Drops the messages of other spans, largest first, while too many are held.
    fn make_room(&mut self, keep: usize) {
        while self.resident_bytes > self.resident_limit_bytes {
            let others = self.loaded.iter_mut().filter(|(span, _)| **span != keep);
            let Some((_, largest)) = others
                .filter(|(_, loaded)| loaded.messages.is_some() && loaded.bytes > 0)
                .max_by_key(|(_, loaded)| loaded.bytes)
            else {
                return;
            };
            largest.messages = None;
            self.resident_bytes -= largest.bytes;
            largest.bytes = 0;
        }
    }

    /// Puts messages back that were dropped, save those that were given out already.
    fn restore(&mut self, next: Place, messages: Vec<Message>) {
        let Some(loaded) = self.loaded.get_mut(&next.span) else { return };
        let messages: Vec<_> = messages
            .into_iter()
            .enumerate()
            .map(|(index, message)| {
                let is_pending = (message.log_time, index) >= (next.log_time, next.index);
                is_pending.then_some(message)
            })
            .collect();
        loaded.bytes = messages.iter().flatten().map(|message| message.data.len()).sum();
        loaded.messages = Some(messages);
        self.resident_bytes += loaded.bytes;
    }

    /// The messages of a span on the channels of this pass, in file order.
    fn read(&mut self, index: usize) -> io::Result<Vec<Message>> {
        let McapFile { file, contents, losses } = &mut self.file;
        let span = &contents.spans[index];
        let mut messages = Vec::new();
        let mut unknown = BTreeMap::new();
        let read = read_span(file, span, &mut contents.channels, |known, header, data| {
            let channel = header.channel_id;
            if self.channels.contains(&channel) {
                messages.push(Message { channel, log_time: header.log_time, data: data.to_vec() });
            } else if !known.by_id.contains_key(&channel) {
                *unknown.entry(channel).or_insert(0) += 1;
            }
        });
        let at = Some(span.offset);
        match read {
            Err(ReadFailure::Io(error)) => {
                let what = format!("span at byte {}: {error}", span.offset);
                losses.add(LossKind::ChunkDamaged, at, span.messages(), what);
                return Err(error);
            }
            // What is cut was reported when the file was walked.
            Err(ReadFailure::Cut) if span.cut => {}
            Err(ReadFailure::Cut) => {
                let what = format!("chunk at byte {}: it ends too early", span.offset);
                losses.add(LossKind::ChunkDamaged, at, span.messages(), what);
                messages.clear();
            }
            // A checksum covers a whole chunk: which of its messages is wrong cannot be told.
            Err(ReadFailure::Damage(reason)) => {
                let what = format!("chunk at byte {}: {reason}", span.offset);
                losses.add(LossKind::ChunkDamaged, at, span.messages(), what);
                messages.clear();
            }
            Ok(()) => {}
        }
        for (channel, count) in unknown {
            let what = format!("chunk at byte {}: channel {channel} is never defined", span.offset);
            losses.add(LossKind::ChunkDamaged, at, Some(count), what);
        }
        Ok(messages)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use mcap::records::MessageHeader;

    use super::*;

    /// Messages of `bytes` bytes on three channels, one channel after the other, so that all
    /// chunks of a channel overlap those of the others in time.
    fn write_by_channel(path: &Path, compression: Option<mcap::Compression>, bytes: usize) {
        let file = std::io::BufWriter::new(std::fs::File::create(path).unwrap());
        let options = mcap::WriteOptions::new().compression(compression).chunk_size(Some(2_000));
        let mut writer = options.create(file).unwrap();
        for number in 0..3_u16 {
            let topic = format!("/{number}");
            let channel_id = writer.add_channel(0, &topic, "cdr", &BTreeMap::new()).unwrap();
            for step in 0..50_u64 {
                let log_time = step * 10 + u64::from(number % 2);
                let header =
                    MessageHeader { channel_id, sequence: 0, log_time, publish_time: log_time };
                let data: Vec<u8> = (0..bytes).map(|i| (i as u64 + step) as u8).collect();
                writer.write_to_known_channel(&header, &data).unwrap();
            }
        }
        writer.finish().unwrap();
    }

    fn read(path: &Path, resident_limit_bytes: usize) -> (Vec<(u64, u16, Vec<u8>)>, usize) {
        let file = McapFile::open(path, "a.mcap", None).unwrap();
        let channels = file.channels().map(|(id, _)| id).collect();
        let mut cursor = Cursor::new(file, channels);
        cursor.resident_limit_bytes = resident_limit_bytes;
        let (mut messages, mut most) = (Vec::new(), 0);
        while let Some(message) = cursor.next().unwrap() {
            most = most.max(cursor.resident_bytes);
            messages.push((message.log_time, message.channel, message.data));
        }
        assert_eq!(cursor.resident_bytes, 0);
        assert!(cursor.loaded.is_empty() && cursor.losses().drain().is_empty());
        (messages, most)
    }

    #[test]
    fn overlapping_chunks_come_in_order_within_the_memory_that_is_allowed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.mcap");
        for compression in [None, Some(mcap::Compression::Zstd), Some(mcap::Compression::Lz4)] {
            write_by_channel(&path, compression, 300);
            let (messages, most) = read(&path, usize::MAX);
            assert_eq!(messages.len(), 150);
            assert!(messages.is_sorted_by_key(|(time, channel, _)| (*time, *channel)));
            let (again, most_again) = read(&path, 2_500);
            assert!(again == messages, "messages that were dropped come back as they were");
            // One chunk more than the limit is held while it is read.
            assert!(most_again <= 2_500 + 2_400 && most_again < most, "{most_again} of {most}");
        }
    }
}
