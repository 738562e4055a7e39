//! What could not be read, as data.

use std::fmt;

use serde::Serialize;

/// What kind of thing was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LossKind {
    /// A file that `metadata.yaml` names is not there.
    FileMissing,
    /// A file is there but nothing in it can be read.
    FileUnreadable,
    /// A file ends in the middle of what it was meant to hold.
    FileCut,
    /// An MCAP file was never closed: its summary is missing, and with it the proof that it is
    /// whole. Nothing else is known to be wrong with it.
    NotClosed,
    /// A chunk of an MCAP file, or something between the chunks, is damaged.
    ChunkDamaged,
    /// Pages of an sqlite3 file are damaged.
    PagesDamaged,
    /// Single messages are damaged.
    MessageDamaged,
    /// Fewer messages came than the recording says it holds.
    FewerMessages,
}

impl LossKind {
    fn words(self) -> &'static str {
        match self {
            Self::FileMissing => "the file is missing",
            Self::FileUnreadable => "the file cannot be read",
            Self::FileCut => "the file is cut",
            Self::NotClosed => "the file was not closed",
            Self::ChunkDamaged => "damaged data",
            Self::PagesDamaged => "damaged pages",
            Self::MessageDamaged => "damaged messages",
            Self::FewerMessages => "fewer messages than recorded",
        }
    }
}

/// One kind of loss in one file; further ones of the same kind are counted, so that the report
/// stays short however broken a bag is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Loss {
    /// Name of the file inside the bag.
    pub file: String,
    /// What kind of thing was lost.
    pub kind: LossKind,
    /// Where the first one is and what is wrong with it.
    pub first: String,
    /// Byte offset in the file of the first one, where there is one. In a file that is compressed
    /// as a whole it counts in the unpacked file.
    pub at_byte: Option<u64>,
    /// How many times.
    pub times: u64,
    /// How many messages that cost, on all topics, where it is known.
    pub messages: Option<u64>,
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.file, self.kind.words(), self.first)?;
        if self.times > 1 {
            write!(f, " (and {} more like it)", self.times - 1)?;
        }
        match self.messages {
            Some(1) => write!(f, "; 1 message lost"),
            Some(messages) => write!(f, "; {messages} messages lost"),
            None => Ok(()),
        }
    }
}

/// What could not be read from a bag.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LossReport {
    /// What was lost, in the order in which it was met.
    pub losses: Vec<Loss>,
    /// Messages on the topics that were read, by the recording's own count; `None` where it has no
    /// count.
    pub expected_messages: Option<u64>,
    /// Messages that were read.
    pub read_messages: u64,
}

impl LossReport {
    /// Whether all that was recorded was read.
    #[must_use]
    pub fn is_lossless(&self) -> bool {
        self.losses.is_empty()
    }

    /// How many messages are known to be lost on the topics that were read. `None` where something
    /// was lost and nobody knows how much.
    #[must_use]
    pub fn lost_messages(&self) -> Option<u64> {
        if self.is_lossless() {
            return Some(0);
        }
        match self.expected_messages {
            Some(expected) => Some(expected.saturating_sub(self.read_messages)),
            None => self.losses.iter().map(|loss| loss.messages).sum(),
        }
    }

    /// Adds one loss, or counts it to those of its kind in the same file.
    pub(super) fn add(&mut self, loss: Loss) {
        let same = |known: &&mut Loss| known.file == loss.file && known.kind == loss.kind;
        match self.losses.iter_mut().find(same) {
            Some(known) => {
                known.times += loss.times;
                known.messages = known.messages.zip(loss.messages).map(|(a, b)| a + b);
            }
            None => self.losses.push(loss),
        }
    }
}

impl fmt::Display for LossReport {
    /// One line for each loss, each after a line break.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for loss in &self.losses {
            write!(f, "\n  {loss}")?;
        }
        Ok(())
    }
}

/// The losses of one file while it is being read.
#[derive(Clone, Debug)]
pub(super) struct FileLosses {
    file: String,
    report: LossReport,
}

impl FileLosses {
    pub(super) fn new(file: &str) -> Self {
        Self { file: file.to_owned(), report: LossReport::default() }
    }

    pub(super) fn add(
        &mut self,
        kind: LossKind,
        at_byte: Option<u64>,
        messages: Option<u64>,
        first: impl Into<String>,
    ) {
        let first = first.into();
        let file = self.file.clone();
        self.report.add(Loss { file, kind, first, at_byte, times: 1, messages });
    }

    /// Takes what was gathered so far.
    pub(super) fn drain(&mut self) -> Vec<Loss> {
        std::mem::take(&mut self.report.losses)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_of_one_kind_in_one_file_are_counted_together() {
        let mut report = LossReport { read_messages: 7, ..LossReport::default() };
        assert_eq!(report.lost_messages(), Some(0));
        let mut losses = FileLosses::new("a_0.mcap");
        for messages in [Some(2), Some(3)] {
            losses.add(LossKind::ChunkDamaged, Some(90), messages, "chunk at byte 90: bad CRC");
        }
        losses.add(LossKind::FileCut, Some(100), None, "ends at byte 100");
        losses.drain().into_iter().for_each(|loss| report.add(loss));
        assert_eq!(
            report.to_string(),
            "\n  a_0.mcap: damaged data: chunk at byte 90: bad CRC (and 1 more like it); \
             5 messages lost\n  a_0.mcap: the file is cut: ends at byte 100"
        );
        assert_eq!(report.lost_messages(), None, "nobody knows what the cut took");
        report.expected_messages = Some(20);
        assert_eq!(report.lost_messages(), Some(13));
    }
}
