//! Walking a file record by record, for files that say too little about themselves.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};

use mcap::records::{Record, op};

use super::super::MESSAGE_LIMIT_BYTES;
use super::super::loss::{FileLosses, LossKind};
use super::span::{Span, read_span};
use super::summary::RECORD_HEADER_LEN;
use super::{Contents, ReadFailure};

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
    counts: BTreeMap<u16, u64>,
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
                    messages: None,
                    cut: is_cut,
                };
                self.chunk = Some(OpenChunk { span, counts: BTreeMap::new() });
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
                    *chunk.counts.entry(index.channel_id).or_default() +=
                        index.records.len() as u64;
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
            channels: Some(Vec::new()),
            messages: Some(0),
            cut: false,
        });
        span.len = end - span.offset;
        span.start = span.start.min(log_time);
        span.end = span.end.max(log_time);
        span.messages = span.messages.map(|messages| messages + 1);
        if let Some(channels) = &mut span.channels
            && !channels.contains(&channel)
        {
            channels.push(channel);
        }
        *self.contents.counts.entry(channel).or_default() += 1;
    }

    fn finish_loose(&mut self) {
        self.contents.spans.extend(self.loose.take());
    }

    /// Takes a chunk into the contents. Its message indexes tell what is in it where they are
    /// there and its channels are known; else it is unpacked.
    fn finish_chunk(&mut self) -> io::Result<()> {
        let Some(OpenChunk { mut span, counts }) = self.chunk.take() else { return Ok(()) };
        let known = &self.contents.channels.by_id;
        if counts.is_empty() || !counts.keys().all(|channel| known.contains_key(channel)) {
            // Damage is reported when the chunk is read for its messages.
            self.unpack(&mut span)?;
        } else {
            span.channels = Some(counts.keys().copied().collect());
            span.messages = Some(counts.values().sum());
            for (channel, count) in counts {
                *self.contents.counts.entry(channel).or_default() += count;
            }
        }
        self.contents.spans.push(span);
        Ok(())
    }

    fn finish_cut_chunk(&mut self, claimed_len: u64) -> io::Result<()> {
        let Some(OpenChunk { mut span, .. }) = self.chunk.take() else { return Ok(()) };
        self.unpack(&mut span)?;
        let what = format!(
            "it ends at byte {}, in the middle of a chunk of {claimed_len} bytes that starts at byte \
             {}; {} messages before the cut can be read",
            self.len,
            span.offset,
            span.messages.unwrap_or(0)
        );
        self.lose(LossKind::FileCut, span.offset, what);
        self.contents.spans.push(span);
        Ok(())
    }

    /// Counts what is in a span, and sets its times to those of its messages.
    fn unpack(&mut self, span: &mut Span) -> io::Result<()> {
        let mut counts: BTreeMap<u16, u64> = BTreeMap::new();
        let mut times: Option<(u64, u64)> = None;
        let read = read_span(self.file, span, &mut self.contents.channels, |_, header, _| {
            *counts.entry(header.channel_id).or_default() += 1;
            let (start, end) = times.unwrap_or((header.log_time, header.log_time));
            times = Some((start.min(header.log_time), end.max(header.log_time)));
        });
        match read {
            Err(ReadFailure::Io(error)) => return Err(error),
            // A damaged chunk is dropped as a whole when it is read; it counts for nothing.
            Err(ReadFailure::Damage(_)) => return Ok(()),
            Err(ReadFailure::Cut) if !span.cut => return Ok(()),
            Ok(()) | Err(ReadFailure::Cut) => {}
        }
        if let Some((start, end)) = times {
            (span.start, span.end) = (start, end);
        }
        span.messages = Some(counts.values().sum());
        span.channels = Some(counts.keys().copied().collect());
        for (channel, count) in counts {
            *self.contents.counts.entry(channel).or_default() += count;
        }
        Ok(())
    }
}
