//! First and last message of every channel, from the message indexes behind the chunks.

use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom};

use mcap::records::Record;

use super::super::MESSAGE_LIMIT_BYTES;
use super::McapFile;
use super::span::{ChannelTimes, Span, unpack_times};
use super::summary::RECORD_HEADER_LEN;

impl McapFile {
    /// Times of the messages on every channel that has any. Chunks without message indexes are
    /// unpacked for it; what is damaged is left out.
    ///
    /// # Errors
    /// Where the file system fails.
    pub(in super::super) fn channel_times(&mut self) -> io::Result<BTreeMap<u16, ChannelTimes>> {
        let mut times = BTreeMap::new();
        for span in self.contents.spans.clone() {
            let found = match &span.times {
                Some(known) => Some(known.clone()),
                None => match self.read_index(&span)? {
                    Some(found) => Some(found),
                    None => unpack_times(&mut self.file, &span, &mut self.contents.channels)?,
                },
            };
            for (channel, more) in found.into_iter().flatten() {
                ChannelTimes::merge(&mut times, channel, more);
            }
        }
        Ok(times)
    }

    /// What the message indexes behind a span say; `None` where there are none, or damaged ones.
    fn read_index(&mut self, span: &Span) -> io::Result<Option<BTreeMap<u16, ChannelTimes>>> {
        if span.index_len == 0 || span.index_len > MESSAGE_LIMIT_BYTES as u64 {
            return Ok(None);
        }
        let mut region = Vec::new();
        self.file.seek(SeekFrom::Start(span.offset + span.len))?;
        (&mut self.file).take(span.index_len).read_to_end(&mut region)?;
        Ok(parse_indexes(&region))
    }
}

fn parse_indexes(mut region: &[u8]) -> Option<BTreeMap<u16, ChannelTimes>> {
    let mut times = BTreeMap::new();
    while !region.is_empty() {
        let (header, behind) = region.split_at_checked(RECORD_HEADER_LEN as usize)?;
        let (&opcode, len) = header.split_first()?;
        let len = usize::try_from(u64::from_le_bytes(len.try_into().ok()?)).ok()?;
        let (content, behind) = behind.split_at_checked(len)?;
        let Ok(Record::MessageIndex(index)) = mcap::parse_record(opcode, content) else {
            return None;
        };
        for record in index.records {
            ChannelTimes::note(&mut times, index.channel_id, record.log_time);
        }
        region = behind;
    }
    Some(times)
}
