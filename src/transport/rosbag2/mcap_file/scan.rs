//! Walking a file record by record, for files that say too little about themselves.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};

use mcap::records::{Record, op};

use super::super::MESSAGE_LIMIT_BYTES;
use super::super::loss::{FileLosses, LossKind};
use super::Contents;
use super::span::{ChannelTimes, Span, unpack_times};
use super::summary::RECORD_HEADER_LEN;

/// Bytes of messages outside chunks that become one span.
const LOOSE_SPAN_BYTES: u64 = 4 << 20;

/// Walks the file from its magic to the end of its data.
///
/// # Errors
/// Where the file system fails.
pub(super) fn scan(file: &mut File, len: u64, losses: &mut FileLosses) -> io::Result<Contents> {
    let mut walk =
        Walk { file, len, losses, contents: Contents::default(), chunk: None, loose: None };
    let mut at = mcap::MAGIC.len() as u64;
    while let Step::Next(next) = walk.record(at)? {
        at = next;
    }
    walk.finish_loose();
    walk.finish_chunk()?;
    Ok(walk.contents)
}

enum Step {
    Next(u64),
    End,
}

/// A chunk whose message indexes may follow.
struct OpenChunk {
    span: Span,
    times: BTreeMap<u16, ChannelTimes>,
}

struct Walk<'f> {
    file: &'f mut File,
    len: u64,
    losses: &'f mut FileLosses,
    contents: Contents,
    chunk: Option<OpenChunk>,
    loose: Option<Span>,
}

impl Walk<'_> {
    fn lose(&mut self, kind: LossKind, at: u64, what: String) {
        self.losses.add(kind, Some(at), None, what);
    }

    /// One record, from its opcode on.
    fn record(&mut self, at: u64) -> io::Result<Step> {
        let left = self.len.saturating_sub(at);
        if left == 0 {
            let what = "it ends with no summary; its recorder was stopped or the end is gone";
            self.lose(LossKind::NotClosed, at, what.to_owned());
            return Ok(Step::End);
        }
        if left < RECORD_HEADER_LEN {
            self.lose(
                LossKind::FileCut,
                at,
                format!("it ends at byte {} in a record's head", self.len),
            );
            return Ok(Step::End);
        }
        let mut reader = BufReader::with_capacity(4096, &mut *self.file);
        reader.seek(SeekFrom::Start(at))?;
        let mut header = [0; RECORD_HEADER_LEN as usize];
        reader.read_exact(&mut header)?;
        let [opcode, len @ ..] = header;
        let len = u64::from_le_bytes(len);
        let content_at = at + RECORD_HEADER_LEN;
        let is_cut = len > left - RECORD_HEADER_LEN;

        // A disk that lost power leaves zeros where the last writes were to go.
        if opcode == 0 {
            let what = format!("{left} bytes from byte {at} on are not MCAP");
            self.lose(LossKind::FileCut, at, what);
            return Ok(Step::End);
        }
        if opcode == op::DATA_END {
            return Ok(Step::End);
        }
        if is_cut && opcode != op::CHUNK {
            let what = format!(
                "it ends at byte {}, in the middle of a record of {len} bytes that starts at byte {at}",
                self.len
            );
            self.lose(LossKind::FileCut, at, what);
            return Ok(Step::End);
        }

        let mut content = |limit: u64| -> io::Result<Vec<u8>> {
            let mut content = Vec::new();
            (&mut reader).take(len.min(limit)).read_to_end(&mut content)?;
            Ok(content)
        };
        match opcode {
            op::CHUNK => {
                let head = content(16)?;
                self.finish_loose();
                self.finish_chunk()?;
                let time = |from: usize| {
                    let bytes = head.get(from..from + 8)?;
                    Some(u64::from_le_bytes(bytes.try_into().ok()?))
                };
                let span = Span {
                    offset: at,
                    len: RECORD_HEADER_LEN + len.min(left - RECORD_HEADER_LEN),
                    start: time(0).unwrap_or(0),
                    end: time(8).unwrap_or(0),
                    channels: None,
                    times: None,
                    index_len: 0,
                    cut: is_cut,
                };
                self.chunk = Some(OpenChunk { span, times: BTreeMap::new() });
                if is_cut {
                    self.finish_cut_chunk(len)?;
                    return Ok(Step::End);
                }
            }
            op::MESSAGE_INDEX if len <= MESSAGE_LIMIT_BYTES as u64 => {
                let content = content(len)?;
                if let Ok(Record::MessageIndex(index)) = mcap::parse_record(opcode, &content)
                    && let Some(chunk) = &mut self.chunk
                {
                    for record in index.records {
                        ChannelTimes::note(&mut chunk.times, index.channel_id, record.log_time);
                    }
                }
            }
            op::SCHEMA | op::CHANNEL if len <= MESSAGE_LIMIT_BYTES as u64 => {
                let content = content(len)?;
                self.contents.channels.note(opcode, &content);
            }
            op::MESSAGE => {
                let head = content(22)?;
                self.finish_chunk()?;
                if let Ok(Record::Message { header, .. }) = mcap::parse_record(opcode, &head) {
                    self.loose_message(at, content_at + len, header.channel_id, header.log_time);
                }
            }
            _ => {}
        }
        Ok(Step::Next(content_at + len))
    }

    fn loose_message(&mut self, at: u64, end: u64, channel: u16, log_time: u64) {
        if self.loose.as_ref().is_some_and(|span| span.offset + LOOSE_SPAN_BYTES < end) {
            self.finish_loose();
        }
        let span = self.loose.get_or_insert(Span {
            offset: at,
            len: 0,
            start: log_time,
            end: log_time,
            channels: None,
            times: Some(BTreeMap::new()),
            index_len: 0,
            cut: false,
        });
        span.len = end - span.offset;
        if let Some(times) = &mut span.times {
            ChannelTimes::note(times, channel, log_time);
        }
    }

    fn finish_loose(&mut self) {
        if let Some(mut span) = self.loose.take() {
            let times = span.times.take().unwrap_or_default();
            self.take(span, times);
        }
    }

    /// Takes a chunk into the contents. Its message indexes tell what is in it where they are
    /// there and its channels are known; else it is unpacked.
    fn finish_chunk(&mut self) -> io::Result<()> {
        let Some(OpenChunk { span, times }) = self.chunk.take() else { return Ok(()) };
        let channels = &mut self.contents.channels;
        if !times.is_empty() && times.keys().all(|channel| channels.by_id.contains_key(channel)) {
            self.take(span, times);
            return Ok(());
        }
        match unpack_times(self.file, &span, channels)? {
            Some(times) => self.take(span, times),
            // Damage is reported when the chunk is read for its messages; it counts for nothing.
            None => self.contents.spans.push(span),
        }
        Ok(())
    }

    fn finish_cut_chunk(&mut self, claimed_len: u64) -> io::Result<()> {
        let Some(OpenChunk { span, .. }) = self.chunk.take() else { return Ok(()) };
        let times = unpack_times(self.file, &span, &mut self.contents.channels)?;
        let times = times.unwrap_or_default();
        let what = format!(
            "it ends at byte {}, in the middle of a chunk of {claimed_len} bytes that starts at byte \
             {}; {} messages before the cut can be read",
            self.len,
            span.offset,
            times.values().map(|times| times.count).sum::<u64>()
        );
        self.lose(LossKind::FileCut, span.offset, what);
        self.take(span, times);
        Ok(())
    }

    /// Takes a span into the contents, now that it is known what is in it.
    fn take(&mut self, mut span: Span, times: BTreeMap<u16, ChannelTimes>) {
        for (channel, times) in &times {
            *self.contents.counts.entry(*channel).or_default() += times.count;
        }
        let range = times.values().map(|times| (times.first, times.last));
        if let Some((start, end)) = range.reduce(|(a, b), (c, d)| (a.min(c), b.max(d))) {
            (span.start, span.end) = (start, end);
            let (first, last) = self.contents.time_range.unwrap_or((start, end));
            self.contents.time_range = Some((first.min(start), last.max(end)));
        }
        span.channels = Some(times.keys().copied().collect());
        span.times = Some(times);
        self.contents.spans.push(span);
    }
}
