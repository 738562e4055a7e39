//! What a replay writes: records, a recording, overlays, a report.

use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use owlet::pipeline::{FrameFailure, Outcome};
use owlet::report::{RecordingInfo, ReportOptions, RunSummary, TopicInfo};
use owlet::spatial::LocatedFrame;
use owlet::tasks::ModelInfo;
use owlet::track::FrameTracker;
use owlet::transport::masks::MaskPictures;
use owlet::transport::records::FrameRecord;
use owlet::transport::rosbag2::{BagInfo, BagWriter, QosProfile, TopicId, WriterOptions};
use owlet::types::{Frame, FrameDetections, PromptSet, Stamp};
use owlet::vision::encode::encode_jpeg;
use owlet::vision::overlay;
use owlet::wire::Message;
use owlet::wire::sensor_msgs::{Image, PointCloud2, point_bytes};
use owlet::wire::std_msgs::Header;
use owlet::wire::vision_msgs::{
    Detection2DArray, Detection3DArray, LabelInfo, detection_2d_array, detection_3d_array,
    label_info,
};

use super::super::settings::Settings;
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
    bag: BagWriter,
    bag_topics: Vec<CameraOutputs>,
    /// `None` where objects are not tracked.
    tracker: Option<FrameTracker>,
    places: PlacesTally,
    overlays: Option<PathBuf>,
    prompts: Arc<PromptSet>,
    draws: bool,
    jpeg_quality: u8,
    frames: usize,
}

/// The output topics of one camera.
struct CameraOutputs {
    camera: Arc<str>,
    detections: TopicId,
    /// Where its detections get places.
    detections_3d: Option<TopicId>,
    cloud: Option<TopicId>,
    masks: Option<MaskTopics>,
}

/// Where masks are made.
struct MaskTopics {
    instances: TopicId,
    labels: TopicId,
    label_info: TopicId,
    is_told: bool,
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
        let mut writer = BagWriter::create(folder.join(BAG), WriterOptions::default())?;
        let bag_topics = topics
            .iter()
            .map(|topic| {
                let camera = Arc::clone(&topic.name);
                let mut add_with = |output, message_type, qos| {
                    let name = output_topic(output, &camera, topics.len());
                    writer.add_topic(&name, message_type, qos)
                };
                let masks = match settings.makes_masks() {
                    true => Some(MaskTopics {
                        instances: add_with("instances", Image::TYPE, QosProfile::RELIABLE)?,
                        labels: add_with("labels", Image::TYPE, QosProfile::RELIABLE)?,
                        label_info: add_with("labels/info", LabelInfo::TYPE, QosProfile::LATCHED)?,
                        is_told: false,
                    }),
                    false => None,
                };
                let mut add =
                    |output, message_type| add_with(output, message_type, QosProfile::RELIABLE);
                let detections = add("detections", Detection2DArray::TYPE)?;
                let (mut detections_3d, mut cloud) = (None, None);
                if options.space_topics.of(&camera).is_some() {
                    detections_3d = Some(add("detections_3d", Detection3DArray::TYPE)?);
                    if settings.config.clouds {
                        cloud = Some(add("cloud", PointCloud2::TYPE)?);
                    }
                }
                Ok(CameraOutputs { camera, detections, detections_3d, cloud, masks })
            })
            .collect::<anyhow::Result<_>>()?;
        Ok(Self {
            report,
            folder: folder.to_owned(),
            records: BufWriter::new(records),
            already_recorded: options.already_recorded,
            bag: writer,
            bag_topics,
            tracker: settings.config.tracking.then(FrameTracker::default),
            places: PlacesTally::default(),
            overlays,
            prompts: Arc::clone(&settings.prompts),
            draws: settings.config.overlay,
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
                let outputs = self.bag_topics.iter().find(|known| known.camera == frame.camera);
                let with_cloud = outputs.is_some_and(|outputs| outputs.cloud.is_some());
                let image = with_cloud.then_some(&*frame.image);
                let located = space.map(|space| space.locate(&detections, image));
                if let Some(located) = &located {
                    self.places.add(&frame.camera, located);
                }
                self.record(|| {
                    let record = FrameRecord::new(&detections);
                    match &located {
                        Some(located) => record.with_places(&located.places),
                        None => record,
                    }
                })?;
                self.add_to_bag(&detections, located.as_ref(), &frame)?;
                self.add_found(&detections, &frame)
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

    fn add_to_bag(
        &mut self,
        found: &FrameDetections,
        located: Option<&LocatedFrame>,
        frame: &Frame,
    ) -> anyhow::Result<()> {
        let outputs = self.bag_topics.iter_mut().find(|known| known.camera == found.camera);
        let Some(outputs) = outputs else { return Ok(()) };
        let at = frame.received;
        self.bag.write(outputs.detections, at, &detection_2d_array(found))?;
        if let Some(masks) = &mut outputs.masks {
            if !std::mem::replace(&mut masks.is_told, true) {
                let names = found.prompts.prompts.iter().map(|prompt| prompt.name.as_str());
                let threshold = found.prompts.default_threshold;
                let info = label_info(Header::from(&found.header), names, threshold);
                self.bag.write(masks.label_info, at, &info)?;
            }
            let pictures = MaskPictures::of(found);
            self.bag.write(masks.instances, at, &pictures.instances())?;
            self.bag.write(masks.labels, at, &pictures.labels())?;
        }
        let Some(located) = located else { return Ok(()) };
        if let Some(topic) = outputs.detections_3d {
            self.bag.write(topic, at, &detection_3d_array(found, &located.places))?;
        }
        if let (Some(topic), Some(cloud)) = (outputs.cloud, &located.cloud) {
            let bytes = point_bytes(&cloud.points);
            if let Some(message) = PointCloud2::of_points((&cloud.header).into(), &bytes) {
                self.bag.write(topic, at, &message)?;
            }
        }
        Ok(())
    }

    fn add_found(&mut self, found: &FrameDetections, frame: &Frame) -> anyhow::Result<()> {
        let quality = self.jpeg_quality;
        let draw = || encode_jpeg(&overlay::draw_found(&frame.image, found), quality);
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
            report.add_frame(found, || match drawn {
                Some(jpeg) => Some(jpeg),
                None if draws => draw().ok(),
                None => None,
            });
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

/// `~/detections` of the node; with several cameras each has its own, named after its topic.
fn output_topic(output: &str, camera: &str, cameras: usize) -> String {
    match cameras {
        1 => format!("/owlet/{output}"),
        _ => format!("/owlet/{output}/{}", camera.trim_start_matches('/')),
    }
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
