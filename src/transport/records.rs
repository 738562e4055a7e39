//! Detections as JSON: one object for each frame, the same from every command.

use std::io::{self, BufRead};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::types::{
    Detection, Frame, FrameDetections, FrameHeader, FramePlaces, PixelBox, PromptSet, RleError,
    StageTimings, Stamp,
};
use crate::vision::mask::outlines;

mod explanation;
mod finer;
mod mask;
mod pick;
mod place;

pub use explanation::{EvidenceRecord, ExplanationRecord};
pub use finer::FinerRecord;
pub use mask::{AxisRecord, MaskRecord};
pub use pick::{BestPickRecord, PickRecord};
pub use place::{NoPlaceRecord, PlaceRecord};

/// One object that was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DetectionRecord {
    /// The prompt's name.
    pub prompt: String,
    /// In `[0, 1]`; not a probability.
    pub score: f32,
    /// Corners `[x0, y0, x1, y1]` in pixels of the source image.
    pub box_px: [f32; 4],
    /// In `[0, 1]`; only from models with such a head.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objectness: Option<f32>,
    /// How well the finer labels of its prompt fit, by falling score.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub finer: Vec<FinerRecord>,
    /// Why it has its score, where a bank of pairs gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explanation: Option<ExplanationRecord>,
    /// Its pixels, where masks are made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mask: Option<MaskRecord>,
    /// Which object over time it is; absent until that was seen in two frames, and where objects
    /// are not tracked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<u16>,
    /// Where it is in space.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<PlaceRecord>,
    /// Why it has no place, where one was looked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_place: Option<NoPlaceRecord>,
    /// Where it may be taken hold of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pick: Option<PickRecord>,
    /// Why there is no such point, where one was looked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_pick: Option<NoPlaceRecord>,
}

impl DetectionRecord {
    /// The record of a detection that `prompts` made, without id and place.
    #[must_use]
    pub fn new(detection: &Detection, prompts: &PromptSet) -> Self {
        Self {
            prompt: prompts.prompts[detection.prompt].name.clone(),
            score: detection.score,
            box_px: detection.box_in_source_px.corners(),
            objectness: detection.objectness,
            finer: FinerRecord::all_of(detection, prompts),
            explanation: detection.explanation.as_deref().map(ExplanationRecord::from),
            mask: detection.mask.as_ref().map(MaskRecord::from),
            id: None,
            place: None,
            no_place: None,
            pick: None,
            no_pick: None,
        }
    }
}

/// One frame of a recording: a line of `detections.jsonl`. Holds nothing that differs between two
/// runs, so that two runs can be compared byte by byte.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FrameRecord {
    /// The topic of the source image.
    pub topic: String,
    /// Stamp of the source image in nanoseconds.
    pub stamp_ns: i64,
    /// Coordinate frame of the source image.
    pub frame_id: String,
    /// Width of the source image in pixels.
    pub width: u32,
    /// Height of the source image in pixels.
    pub height: u32,
    /// Version of the prompt set that was in use.
    pub prompts_version: u64,
    /// The coordinate frame of the places, where places were looked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub places_frame_id: Option<String>,
    /// Sorted by falling score.
    pub detections: Vec<DetectionRecord>,
    /// Why the model gave nothing for the frame; absent where it was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
}

/// One frame of a live camera.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LiveRecord {
    /// What stands in a recording, too.
    #[serde(flatten)]
    pub frame: FrameRecord,
    /// Whose clock gave the stamp: `camera`, `transport` or `arrival`.
    pub stamp_from: &'static str,
}

/// Why a line is not a frame of this run.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The file could not be read.
    #[error("line {line}: {source}")]
    Io {
        /// Counted from 1.
        line: usize,
        /// The system's reason.
        source: io::Error,
    },
    /// It is not a record.
    #[error("line {line}: not a frame record: {source}")]
    Parse {
        /// Counted from 1.
        line: usize,
        /// What was expected and found.
        source: serde_json::Error,
    },
    /// It names a prompt that is not in the set.
    #[error("prompt {prompt:?} is not in the prompt set")]
    UnknownPrompt {
        /// The name in the record.
        prompt: String,
    },
    /// It names a finer label that its prompt does not have.
    #[error("{label:?} is no finer label of the prompt {prompt:?}")]
    UnknownLabel {
        /// The name in the record.
        label: String,
        /// The prompt's name.
        prompt: String,
    },
    /// One of its masks is none.
    #[error("mask: {0}")]
    Mask(#[from] RleError),
}

impl FrameRecord {
    /// The record of a frame.
    #[must_use]
    pub fn new(frame: &FrameDetections) -> Self {
        Self {
            topic: frame.camera.to_string(),
            stamp_ns: frame.header.stamp.0,
            frame_id: frame.header.frame_id.to_string(),
            width: frame.width,
            height: frame.height,
            prompts_version: frame.prompts.version,
            places_frame_id: None,
            detections: frame
                .detections
                .iter()
                .enumerate()
                .map(|(index, detection)| DetectionRecord {
                    id: frame.track_id(index),
                    ..DetectionRecord::new(detection, &frame.prompts)
                })
                .collect(),
            failed: None,
        }
    }

    /// The record with the outlines of its masks.
    #[must_use]
    pub fn with_polygons(mut self, frame: &FrameDetections) -> Self {
        for (record, detection) in self.detections.iter_mut().zip(&frame.detections) {
            if let (Some(record), Some(found)) = (&mut record.mask, &detection.mask) {
                // OpenCV fails on no memory only; a record without outlines is one all the same.
                record.polygons_px = outlines(&found.mask).ok();
            }
        }
        self
    }

    /// The record with the places of its detections, and their picks.
    #[must_use]
    pub fn with_places(mut self, places: &FramePlaces) -> Self {
        self.places_frame_id = Some(places.header.frame_id.to_string());
        for (record, place) in self.detections.iter_mut().zip(&places.places) {
            match place {
                Ok(place) => record.place = Some(place.into()),
                Err(no_place) => record.no_place = Some(no_place.into()),
            }
        }
        for (record, pick) in self.detections.iter_mut().zip(places.picks.iter().flatten()) {
            match pick {
                Ok(pick) => record.pick = Some(pick.into()),
                Err(no_pick) => record.no_pick = Some(no_pick.into()),
            }
        }
        self
    }

    /// The record of a frame that the model failed on while `prompts` were in use.
    #[must_use]
    pub fn of_failure(frame: &Frame, prompts: &PromptSet, reason: &str) -> Self {
        Self {
            topic: frame.camera.to_string(),
            stamp_ns: frame.header.stamp.0,
            frame_id: frame.header.frame_id.to_string(),
            width: frame.image.width(),
            height: frame.image.height(),
            prompts_version: prompts.version,
            places_frame_id: None,
            detections: Vec::new(),
            failed: Some(reason.to_owned()),
        }
    }

    /// Back to what the record was made from, without timings, ids and places. A record of a failure gives a frame
    /// with no detections: look at `failed` first.
    ///
    /// # Errors
    /// A prompt or a finer label that is not in `prompts`, a mask that is none.
    pub fn into_detections(self, prompts: &Arc<PromptSet>) -> Result<FrameDetections, RecordError> {
        let detections: Vec<_> = self
            .detections
            .into_iter()
            .map(|record| {
                let prompt = prompts.prompts.iter().position(|known| known.name == record.prompt);
                let Some(prompt) = prompt else {
                    return Err(RecordError::UnknownPrompt { prompt: record.prompt });
                };
                let finer = FinerRecord::into_scores(record.finer, &prompts.prompts[prompt])?;
                Ok(Detection {
                    prompt,
                    score: record.score,
                    objectness: record.objectness,
                    box_in_source_px: PixelBox::from_corners(record.box_px),
                    mask: record.mask.map(MaskRecord::into_mask).transpose()?,
                    finer,
                    explanation: record.explanation.map(|record| Arc::new(record.into())),
                })
            })
            .collect::<Result<_, RecordError>>()?;
        let has_masks = detections.iter().any(|found| found.mask.is_some());
        Ok(FrameDetections {
            camera: self.topic.into(),
            header: FrameHeader { stamp: Stamp(self.stamp_ns), frame_id: self.frame_id.into() },
            width: self.width,
            height: self.height,
            prompts: Arc::clone(prompts),
            detections,
            weak: Vec::new(),
            has_masks,
            track_ids: None,
            timings: StageTimings::default(),
        })
    }
}

/// The records of an earlier run, one by one, up to the first that cannot be read. A last line
/// without its line end is what an interrupted write leaves behind; it is left out.
#[derive(Debug)]
pub struct Records<R> {
    reader: R,
    line: usize,
    text: String,
    is_over: bool,
}

impl<R: BufRead> Records<R> {
    /// Reads from the start of a file of records.
    pub fn new(reader: R) -> Self {
        Self { reader, line: 0, text: String::new(), is_over: false }
    }

    fn read(&mut self) -> Result<Option<FrameRecord>, RecordError> {
        self.line += 1;
        let line = self.line;
        self.text.clear();
        self.reader.read_line(&mut self.text).map_err(|source| RecordError::Io { line, source })?;
        if !self.text.ends_with('\n') {
            return Ok(None);
        }
        serde_json::from_str(&self.text)
            .map(Some)
            .map_err(|source| RecordError::Parse { line, source })
    }
}

impl<R: BufRead> Iterator for Records<R> {
    type Item = Result<FrameRecord, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let record = self.read().transpose();
        self.is_over = !matches!(record, Some(Ok(_)));
        record
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{
        Evidence, Explanation, FinerLabel, FinerScore, PairEvidence, PairId, Prompt,
    };

    fn frame() -> FrameDetections {
        let finer = ["a pug", "a \"poodle\""].map(FinerLabel::from_text).to_vec();
        let dog = Prompt { finer, ..Prompt::from_text("a \"dog\"") };
        let prompts = vec![Prompt::from_text("a cat"), dog];
        FrameDetections {
            camera: "/camera/image".into(),
            header: FrameHeader {
                stamp: Stamp(1_700_000_000_123_456_789),
                frame_id: "optical".into(),
            },
            width: 641,
            height: 480,
            prompts: Arc::new(PromptSet { version: 3, prompts, default_threshold: 0.1 }),
            detections: vec![Detection {
                prompt: 1,
                score: 0.1 + 0.2,
                objectness: Some(0.3),
                box_in_source_px: PixelBox::from_corners([0.1, 2.0, 640.7, 1e-7]),
                mask: None,
                finer: [(1, 0.9), (0, 0.1)]
                    .map(|(label, score)| FinerScore { label, score })
                    .to_vec(),
                explanation: Some(Arc::new(Explanation {
                    text: "a \"dog\"".into(),
                    pairs: 7,
                    evidence: vec![PairEvidence {
                        weights: Evidence {
                            pair: PairId(12),
                            image_weight: 0.1 + 0.2,
                            text_weight: 0.5,
                            product: 0.15,
                            share: 0.6,
                        },
                        caption: "a brown dog".into(),
                        source: "shown".into(),
                        thumbnail: None,
                    }],
                })),
            }],
            weak: Vec::new(),
            has_masks: false,
            track_ids: None,
            timings: StageTimings::default(),
        }
    }

    fn read(text: &str) -> Result<Vec<FrameRecord>, RecordError> {
        Records::new(text.as_bytes()).collect()
    }

    #[test]
    fn records_come_back_bit_for_bit() {
        let frame = frame();
        let record = FrameRecord::new(&frame);
        let line = serde_json::to_string(&record).unwrap() + "\n";
        let finer = r#""finer":[{"name":"a \"poodle\"","score":0.9},{"name":"a pug","score":0.1}]"#;
        assert!(line.contains(finer), "{line}");
        let records = read(&line).unwrap();
        assert_eq!(records, [record]);
        let back = records[0].clone().into_detections(&frame.prompts).unwrap();
        assert_eq!(back.detections, frame.detections);
        assert_eq!(back.header, frame.header);
    }

    #[test]
    fn a_cut_last_line_is_left_out_and_a_broken_one_is_named() {
        let line = serde_json::to_string(&FrameRecord::new(&frame())).unwrap();
        let cut = format!("{line}\n{}", &line[..30]);
        assert_eq!(read(&cut).unwrap().len(), 1);
        let broken = format!("{line}\n{{\"topic\": 3}}\n");
        let error = read(&broken).unwrap_err().to_string();
        assert!(error.starts_with("line 2: not a frame record"), "{error}");
    }

    #[test]
    fn a_record_of_other_prompts_is_refused() {
        let record = FrameRecord::new(&frame());
        let mut prompts = frame().prompts.prompts.clone();
        prompts[1].finer.pop();
        let fewer = Arc::new(PromptSet { prompts, ..PromptSet::clone(&frame().prompts) });
        let error = record.clone().into_detections(&fewer).unwrap_err().to_string();
        assert_eq!(error, "\"a \\\"poodle\\\"\" is no finer label of the prompt \"a \\\"dog\\\"\"");
        let other = Arc::new(PromptSet {
            version: 1,
            prompts: vec![Prompt::from_text("a cat")],
            default_threshold: 0.1,
        });
        let error = record.into_detections(&other).unwrap_err().to_string();
        assert_eq!(error, "prompt \"a \\\"dog\\\"\" is not in the prompt set");
    }
}
