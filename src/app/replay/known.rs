//! Frames that an earlier run was done with.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use owlet::pipeline::{FrameFailure, Outcome};
use owlet::transport::records::{FrameRecord, Records};
use owlet::types::{Frame, PromptSet, Stamp};

use super::super::Refused;

/// The records of an earlier run, read one by one while the recording is read again: memory does
/// not grow with its length.
pub(super) struct KnownFrames {
    path: PathBuf,
    records: Option<Records<BufReader<File>>>,
    left: usize,
}

impl KnownFrames {
    pub(super) fn none() -> Self {
        Self { path: PathBuf::new(), records: None, left: 0 }
    }

    /// The first `frames` records of a file.
    pub(super) fn open(path: &Path, frames: usize) -> anyhow::Result<Self> {
        let file =
            File::open(path).with_context(|| format!("cannot go on with {}", path.display()))?;
        let records = Some(Records::new(BufReader::new(file)));
        Ok(Self { path: path.to_owned(), records, left: frames })
    }

    /// How many are still to come.
    pub(super) fn left(&self) -> usize {
        self.left
    }

    /// What became of the next frame of the recording in the earlier run. To be asked while some
    /// are left.
    pub(super) fn outcome_of(
        &mut self,
        frame: Frame,
        prompts: &Arc<PromptSet>,
    ) -> anyhow::Result<Outcome> {
        let next = self.records.as_mut().and_then(Iterator::next);
        let record = next
            .with_context(|| format!("{} was cut while it was read", self.path.display()))?
            .with_context(|| format!("cannot go on with {}", self.path.display()))?;
        self.left -= 1;
        if !is_of(&record, &frame) {
            return Err(Refused(format!(
                "--resume: the next frame in {} is {} {}, that of the recording is {} {}: it is \
                 not the same recording, --overwrite starts anew",
                self.path.display(),
                record.topic,
                Stamp(record.stamp_ns),
                frame.camera,
                frame.header.stamp
            ))
            .into());
        }
        if let Some(reason) = record.failed {
            return Ok(Outcome::Failed(FrameFailure { frame, reason }));
        }
        let detections = record
            .into_detections(prompts)
            .with_context(|| format!("cannot go on with {}", self.path.display()))?;
        Ok(Outcome::Found { detections, frame, best_scores: Vec::new() })
    }
}

fn is_of(record: &FrameRecord, frame: &Frame) -> bool {
    *record.topic == *frame.camera
        && record.stamp_ns == frame.header.stamp.0
        && (record.width, record.height) == frame.image.dimensions()
}
