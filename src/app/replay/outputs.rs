//! What a replay writes: records, a recording, overlays, a report.

use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use owlet::pipeline::{FrameFailure, Outcome};
use owlet::report::{FromAbove, RecordingInfo, ReportOptions, RunSummary, TopicInfo};
use owlet::spatial::LocatedFrame;
use owlet::tasks::ModelInfo;
use owlet::track::FrameTracker;
use owlet::transport::records::FrameRecord;
use owlet::transport::rosbag2::BagInfo;
use owlet::types::{Frame, FrameDetections, PromptSet, Stamp};
use owlet::vision::encode::encode_jpeg;
use owlet::vision::overlay;

use super::super::settings::Settings;
use super::bag::BagOutputs;
use super::coco;
use super::identity::name_of;
use super::shared_report::SharedReport;
use super::source::Topic;
use super::space::{FrameSpace, PlacesTally};
use super::space_topics::SpaceTopics;

pub(super) const JSONL: &str = "detections.jsonl";
pub(super) const BAG: &str = "detections.mcap";
pub(super) const REPORT: &str = "report.html";
pub(super) const OVERLAYS: &str = "overlays";

/// What the outputs are made from.
pub(super) struct OutputOptions<'a> {
    pub folder: &'a Path,
    pub settings: &'a Settings,
    pub topics: &'a [Topic],
    pub space_topics: &'a SpaceTopics,
    pub report: &'a SharedReport,
    /// Whether every frame's overlay is written.
    pub every_overlay: bool,
    /// Frames whose records are in the file already; they are not written again.
    pub already_recorded: usize,
}

/// The open files of a replay.
pub(super) struct Outputs<'a> {
    report: &'a SharedReport,
    folder: PathBuf,
    records: BufWriter<File>,
    already_recorded: usize,
    bag: BagOutputs,
    /// `None` where objects are not tracked.
    tracker: Option<FrameTracker>,
    places: PlacesTally,
    overlays: Option<PathBuf>,
    prompts: Arc<PromptSet>,
    draws: bool,
    polygons: bool,
    jpeg_quality: u8,
    frames: usize,
}

impl<'a> Outputs<'a> {
    pub(super) fn create(options: OutputOptions<'a>) -> anyhow::Result<Self> {
        let OutputOptions { folder, settings, topics, report, .. } = options;
        let jsonl = folder.join(JSONL);
        let records = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&jsonl)
            .with_context(|| format!("cannot write {}", jsonl.display()))?;
        let overlays = options.every_overlay.then(|| folder.join(OVERLAYS));
        if let Some(overlays) = &overlays {
            fs::create_dir_all(overlays)
                .with_context(|| format!("cannot make {}", overlays.display()))?;
        }
        let bag = BagOutputs::create(&folder.join(BAG), settings, topics, options.space_topics)?;
        Ok(Self {
            report,
            folder: folder.to_owned(),
            records: BufWriter::new(records),
            already_recorded: options.already_recorded,
            bag,
            tracker: settings.config.tracking.then(FrameTracker::default),
            places: PlacesTally::default(),
            overlays,
            prompts: Arc::clone(&settings.prompts),
            draws: settings.config.overlay,
            polygons: settings.config.polygons,
            jpeg_quality: settings.config.jpeg_quality,
            frames: 0,
        })
    }

    /// Writes what became of one frame to all outputs; `space` is what places are made from.
    pub(super) fn add(
        &mut self,
        outcome: Outcome,
        space: Option<FrameSpace>,
    ) -> anyhow::Result<()> {
        self.frames += 1;
        match outcome {
            Outcome::Found { mut detections, frame, .. } => {
                if let Some(tracker) = &mut self.tracker {
                    tracker.assign(&mut detections);
                }
                let extras = self.bag.extras(&frame);
                let located = space.map(|space| space.locate(&detections, extras));
                if let Some(located) = &located {
                    self.places.add(&frame.camera, located);
                }
                let polygons = self.polygons;
                self.record(|| {
                    let mut record = FrameRecord::new(&detections);
                    if polygons {
                        record = record.with_polygons(&detections);
                    }
                    match &located {
                        Some(located) => record.with_places(&located.places),
                        None => record,
                    }
                })?;
                self.bag.add(&detections, located.as_ref(), &frame)?;
                self.add_found(&detections, located.as_ref(), &frame)
            }
            Outcome::Failed(FrameFailure { frame, reason }) => {
                let prompts = Arc::clone(&self.prompts);
                self.record(|| FrameRecord::of_failure(&frame, &prompts, &reason))?;
                self.report.skip(&frame.camera, frame.header.stamp, &reason);
                Ok(())
            }
        }
    }

    /// Every frame has its line, so that it can be told how far a run has come.
    fn record(&mut self, record: impl FnOnce() -> FrameRecord) -> anyhow::Result<()> {
        if self.frames <= self.already_recorded {
            return Ok(());
        }
        let mut line = serde_json::to_vec(&record())?;
        line.push(b'\n');
        // Whole lines on disk: what an interrupted run has done can be gone on with.
        self.records
            .write_all(&line)
            .and_then(|()| self.records.flush())
            .with_context(|| format!("cannot write {}", self.folder.join(JSONL).display()))
    }

    fn add_found(
        &mut self,
        found: &FrameDetections,
        located: Option<&LocatedFrame>,
        frame: &Frame,
    ) -> anyhow::Result<()> {
        let quality = self.jpeg_quality;
        let places = located.map(|located| &located.places);
        let heightmap = located.and_then(|located| located.heightmap.as_ref());
        let draw = || encode_jpeg(&overlay::draw_found(&frame.image, found, places), quality);
        let mut drawn = None;
        if let Some(overlays) = &self.overlays {
            let path = overlays.join(overlay_name(self.frames, found));
            let cannot_write = || format!("cannot write {}", path.display());
            let jpeg = draw().with_context(cannot_write)?;
            fs::write(&path, &jpeg).with_context(cannot_write)?;
            drawn = Some(jpeg);
        }
        let draws = self.draws;
        self.report.with(|report| {
            let overlay = || match drawn {
                Some(jpeg) => Some(jpeg),
                None if draws => draw().ok(),
                None => None,
            };
            let from_above = || {
                let drawn = overlay::draw_from_above(heightmap.filter(|_| draws)?, &found.prompts);
                let (width, height) = drawn.dimensions();
                let jpeg = encode_jpeg(&drawn, quality).ok()?;
                Some(FromAbove { width, height, jpeg })
            };
            report.add_frame_from_above(found, overlay, from_above);
        });
        Ok(())
    }

    /// Closes all files.
    pub(super) fn finish(self) -> anyhow::Result<(RunSummary, PlacesTally)> {
        // The records were flushed line by line.
        self.bag.finish()?;
        coco::write(&self.folder, &self.folder.join(JSONL), &self.prompts)?;
        let path = self.folder.join(REPORT);
        let summary = self.report.with(|report| {
            for sentence in self.places.to_sentences() {
                report.add_note(&sentence);
            }
            report.write(&path).map(|()| report.summary())
        })?;
        Ok((summary, self.places))
    }
}

/// Where the results are, one path on a line.
pub(super) fn list_files(folder: &Path, overlays: bool) -> String {
    let names = [REPORT, BAG, JSONL, coco::NAME].into_iter().chain(overlays.then_some(OVERLAYS));
    names.map(|name| format!("{}\n", folder.join(name).display())).collect()
}

/// Number, camera and stamp: unique, and sorted as in the recording. What a topic from a file may
/// hold besides letters and digits has no place in a file's name.
fn overlay_name(number: usize, found: &FrameDetections) -> String {
    let camera = found.camera.trim_matches('/');
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let camera: String = camera.chars().take(MAX_CAMERA_CHARS).map(plain).collect();
    format!("{number:07}_{camera}_{}.jpg", found.header.stamp.0)
}

const MAX_CAMERA_CHARS: usize = 100;

/// Whether [`overlay_name`] gives such a name.
pub(super) fn is_overlay_name(name: &str) -> bool {
    let number = name.split_once('_').map_or("", |(number, _)| number);
    name.ends_with(".jpg") && number.len() >= 7 && number.bytes().all(|b| b.is_ascii_digit())
}

pub(super) fn report_options(
    settings: &Settings,
    topics: &[Topic],
    model: &ModelInfo,
    bag: &BagInfo,
    already_recorded: usize,
) -> ReportOptions {
    let name = name_of(&bag.path);
    let span = bag.start.map(|start| {
        let nanos = i64::try_from(bag.duration.as_nanos()).unwrap_or(i64::MAX);
        (start, Stamp(start.0.saturating_add(nanos)))
    });
    let mut notes = Vec::new();
    if settings.random_weights {
        notes.push("The weights are random: what was found means nothing.".to_owned());
    }
    if already_recorded > 0 {
        notes.push(format!(
            "{already_recorded} frames are of an earlier run that was gone on with; timings are of \
             the others."
        ));
    }
    ReportOptions {
        title: format!("Owlet: {name}"),
        model: model.clone(),
        notes,
        prompts: Arc::clone(&settings.prompts),
        recording: RecordingInfo {
            path: bag.path.display().to_string(),
            storage: bag.storage.map(|storage| storage.to_string()).unwrap_or_default(),
            span,
            topics: topics
                .iter()
                .map(|topic| TopicInfo {
                    name: topic.name.to_string(),
                    message_type: topic.message_type.to_string(),
                    messages: topic.messages,
                })
                .collect(),
        },
        command_line: std::env::args().collect(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        max_pictures: settings.config.report_pictures,
    }
}
