//! The summary at the end of a closed file.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use mcap::records::{ChunkIndex, Record, Statistics, op};
use mcap::sans_io::LinearReaderOptions;

use super::span::Span;
use super::{Channels, Contents, ReadFailure, read_records};

/// Opcode and length before every record.
pub(super) const RECORD_HEADER_LEN: u64 = 9;
const MAGIC_LEN: u64 = mcap::MAGIC.len() as u64;
const FOOTER_LEN: u64 = RECORD_HEADER_LEN + 20;
const DATA_END_LEN: u64 = RECORD_HEADER_LEN + 4;

/// What the summary says of the file. `None` where there is no summary, or one that is damaged, or
/// one that does not account for every byte of the data: then the file must be walked.
///
/// # Errors
/// Where the file system fails.
pub(super) fn read(file: &mut File, len: u64) -> io::Result<Option<Contents>> {
    let Some(data_end) = find_data_end(file, len)? else { return Ok(None) };
    let mut channels = Channels::default();
    let mut chunks = Vec::new();
    let mut statistics = None;
    // From the end-of-data record on: behind it the reader checks the summary's CRC.
    let options = LinearReaderOptions::default().with_validate_summary_section_crc(true);
    let read = read_records(file, data_end, len - data_end, options, |opcode, data| match opcode {
        op::SCHEMA | op::CHANNEL => channels.note(opcode, data),
        op::CHUNK_INDEX => {
            if let Ok(Record::ChunkIndex(index)) = mcap::parse_record(opcode, data) {
                chunks.push(index);
            }
        }
        op::STATISTICS => {
            if let Ok(Record::Statistics(found)) = mcap::parse_record(opcode, data) {
                statistics = Some(found);
            }
        }
        _ => {}
    });
    match read {
        Ok(()) => {}
        Err(ReadFailure::Io(error)) => return Err(error),
        Err(ReadFailure::Cut | ReadFailure::Damage(_)) => return Ok(None),
    }
    chunks.sort_by_key(|chunk| chunk.chunk_start_offset);
    let Some(statistics) = statistics else { return Ok(None) };
    let is_whole = statistics_fit(&statistics, &chunks, &channels)
        && covers_the_data(file, &chunks, data_end)?;
    Ok(is_whole.then(|| {
        let spans = chunks.into_iter().map(span_of).collect();
        let time_range = (statistics.message_start_time, statistics.message_end_time);
        let time_range = (statistics.message_count > 0).then_some(time_range);
        Contents { spans, channels, counts: statistics.channel_message_counts, time_range }
    }))
}

/// The offset of the end-of-data record, found by way of the footer.
fn find_data_end(file: &mut File, len: u64) -> io::Result<Option<u64>> {
    let Some(footer_at) = len.checked_sub(FOOTER_LEN + MAGIC_LEN) else { return Ok(None) };
    let mut tail = [0; (FOOTER_LEN + MAGIC_LEN) as usize];
    file.seek(SeekFrom::Start(footer_at))?;
    file.read_exact(&mut tail)?;
    let (footer, magic) = tail.split_at(FOOTER_LEN as usize);
    let content = &footer[RECORD_HEADER_LEN as usize..];
    let Ok(Record::Footer(parsed)) = mcap::parse_record(op::FOOTER, content) else {
        return Ok(None);
    };
    let is_footer = magic == mcap::MAGIC && footer[0] == op::FOOTER;
    let data_end = parsed.summary_start.checked_sub(DATA_END_LEN);
    let Some(data_end) = data_end.filter(|at| is_footer && (MAGIC_LEN..footer_at).contains(at))
    else {
        return Ok(None);
    };
    let (opcode, content_len) = record_header(file, data_end)?;
    let is_data_end = opcode == op::DATA_END && content_len == DATA_END_LEN - RECORD_HEADER_LEN;
    Ok(is_data_end.then_some(data_end))
}

fn record_header(file: &mut File, offset: u64) -> io::Result<(u8, u64)> {
    let mut header = [0; RECORD_HEADER_LEN as usize];
    file.seek(SeekFrom::Start(offset))?;
    file.read_exact(&mut header)?;
    let [opcode, len @ ..] = header;
    Ok((opcode, u64::from_le_bytes(len)))
}

fn statistics_fit(statistics: &Statistics, chunks: &[ChunkIndex], channels: &Channels) -> bool {
    let counts = &statistics.channel_message_counts;
    chunks.len() as u64 == u64::from(statistics.chunk_count)
        && counts.values().try_fold(0_u64, |sum, count| sum.checked_add(*count))
            == Some(statistics.message_count)
        && counts.keys().all(|channel| channels.by_id.contains_key(channel))
}

/// Whether chunks, their message indexes, metadata and attachments fill the data section with
/// nothing else between them.
fn covers_the_data(file: &mut File, chunks: &[ChunkIndex], data_end: u64) -> io::Result<bool> {
    let mut covered = MAGIC_LEN;
    for chunk in chunks {
        if !is_aside(file, covered, chunk.chunk_start_offset)? {
            return Ok(false);
        }
        let end = chunk
            .chunk_start_offset
            .checked_add(chunk.chunk_length)
            .and_then(|end| end.checked_add(chunk.message_index_length));
        match end.filter(|end| *end <= data_end) {
            Some(end) => covered = end,
            None => return Ok(false),
        }
    }
    is_aside(file, covered, data_end)
}

/// Whether `from..to` holds only whole records that are no part of the messages.
fn is_aside(file: &mut File, from: u64, to: u64) -> io::Result<bool> {
    let mut at = from;
    while at < to {
        if to - at < RECORD_HEADER_LEN {
            return Ok(false);
        }
        let (opcode, len) = record_header(file, at)?;
        let is_aside = matches!(opcode, op::HEADER | op::METADATA | op::ATTACHMENT | 0x80..);
        match len.checked_add(at + RECORD_HEADER_LEN).filter(|_| is_aside) {
            Some(next) => at = next,
            None => return Ok(false),
        }
    }
    Ok(at == to)
}

fn span_of(chunk: ChunkIndex) -> Span {
    // A writer may leave the message indexes out; then the channels are not known.
    let channels: Vec<u16> = chunk.message_index_offsets.keys().copied().collect();
    Span {
        offset: chunk.chunk_start_offset,
        len: chunk.chunk_length,
        start: chunk.message_start_time,
        end: chunk.message_end_time,
        channels: (!channels.is_empty()).then_some(channels),
        times: None,
        index_len: chunk.message_index_length,
        cut: false,
    }
}
