//! What a replay writes: records, a recording, overlays, a report.

use std::fs::{self, File, OpenOptions};
use std::io::{BufReader, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use owlet::report::{RecordingInfo, ReportBuilder, ReportOptions, RunSummary, TopicInfo};
use owlet::tasks::ModelInfo;
use owlet::transport::records::{self, FrameRecord};
use owlet::transport::rosbag2::{BagInfo, BagWriter, QosProfile, TopicId, WriterOptions};
use owlet::types::{Frame, FrameDetections, Stamp};
use owlet::vision::encode::encode_jpeg;
use owlet::vision::overlay;
use owlet::wire::Message;
use owlet::wire::vision_msgs::{Detection2DArray, detection_2d_array};

use super::super::detect::overlay_items;
use super::super::replace_file;
use super::super::settings::Settings;
use super::source::Topic;

pub(super) const JSONL: &str = "detections.jsonl";
pub(super) const BAG: &str = "detections.mcap";
pub(super) const REPORT: &str = "report.html";
pub(super) const OVERLAYS: &str = "overlays";

/// What the outputs are made from.
pub(super) struct OutputOptions<'a> {
    pub folder: &'a Path,
    pub settings: &'a Settings,
    pub topics: &'a [Topic],
    pub model: &'a ModelInfo,
    pub bag: &'a BagInfo,
    /// Whether every frame's overlay is written.
    pub every_overlay: bool,
    /// Frames whose records are in the file already; they are not written again.
    pub already_recorded: usize,
}

/// The open files of a replay.
pub(super) struct Outputs {
    pub report: ReportBuilder,
    folder: PathBuf,
    records: BufWriter<File>,
    already_recorded: usize,
    bag: BagWriter,
    /// The output topic of each camera.
    bag_topics: Vec<(Arc<str>, TopicId)>,
    overlays: Option<PathBuf>,
    draws: bool,
    jpeg_quality: u8,
    frames: usize,
}

impl Outputs {
    pub(super) fn create(options: OutputOptions<'_>) -> anyhow::Result<Self> {
        let OutputOptions { folder, settings, topics, model, bag, .. } = options;
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
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
                let name = output_topic(&topic.name, topics.len());
                let id = writer.add_topic(&name, Detection2DArray::TYPE, QosProfile::RELIABLE)?;
                Ok((Arc::clone(&topic.name), id))
            })
            .collect::<anyhow::Result<_>>()?;
        let report = ReportBuilder::new(report_options(settings, topics, model, bag));
        Ok(Self {
            report,
            folder: folder.to_owned(),
            records: BufWriter::new(records),
            already_recorded: options.already_recorded,
            bag: writer,
            bag_topics,
            overlays,
            draws: settings.config.overlay,
            jpeg_quality: settings.config.jpeg_quality,
            frames: 0,
        })
    }

    /// Writes one frame to all outputs.
    pub(super) fn add(&mut self, found: &FrameDetections, frame: &Frame) -> anyhow::Result<()> {
        self.frames += 1;
        if self.frames > self.already_recorded {
            serde_json::to_writer(&mut self.records, &FrameRecord::new(found))?;
            self.records.write_all(b"\n")?;
            // Whole lines on disk: what an interrupted run has done can be gone on with.
            self.records.flush().context("cannot write the records")?;
        }
        if let Some((_, topic)) = self.bag_topics.iter().find(|(name, _)| *name == found.camera) {
            self.bag.write(*topic, frame.received, &detection_2d_array(found))?;
        }
        let quality = self.jpeg_quality;
        let draw = || {
            let items = overlay_items(&found.detections, &found.prompts);
            encode_jpeg(&overlay::draw(&frame.image, &items), quality)
        };
        let mut drawn = None;
        if let Some(overlays) = &self.overlays {
            let jpeg = draw()?;
            let path = overlays.join(overlay_name(&found.camera, found.header.stamp));
            fs::write(&path, &jpeg).with_context(|| format!("cannot write {}", path.display()))?;
            drawn = Some(jpeg);
        }
        let draws = self.draws;
        self.report.add_frame(found, || match drawn {
            Some(jpeg) => Some(jpeg),
            None if draws => draw().ok(),
            None => None,
        });
        Ok(())
    }

    /// Closes all files.
    pub(super) fn finish(mut self) -> anyhow::Result<RunSummary> {
        self.records.flush().context("cannot write the records")?;
        self.bag.finish()?;
        self.report.write(&self.folder.join(REPORT))?;
        Ok(self.report.summary())
    }
}

/// `~/detections` of the node; with several cameras each has its own, named after its topic.
fn output_topic(camera: &str, cameras: usize) -> String {
    match cameras {
        1 => "/owlet/detections".to_owned(),
        _ => format!("/owlet/detections{camera}"),
    }
}

fn overlay_name(camera: &str, stamp: Stamp) -> String {
    let camera = camera.trim_matches('/').replace('/', "_");
    format!("{camera}_{:020}.jpg", stamp.0)
}

fn report_options(
    settings: &Settings,
    topics: &[Topic],
    model: &ModelInfo,
    bag: &BagInfo,
) -> ReportOptions {
    let name = bag.path.file_name().unwrap_or(bag.path.as_os_str()).to_string_lossy();
    let span = bag.start.map(|start| {
        let nanos = i64::try_from(bag.duration.as_nanos()).unwrap_or(i64::MAX);
        (start, Stamp(start.0.saturating_add(nanos)))
    });
    let mut notes = Vec::new();
    if settings.random_weights {
        notes.push("The weights are random: what was found means nothing.".to_owned());
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

/// Removes what an earlier replay wrote, and nothing else.
pub(super) fn remove(folder: &Path) -> anyhow::Result<()> {
    for name in [JSONL, REPORT, super::run_file::NAME] {
        tolerate_missing(fs::remove_file(folder.join(name)), &folder.join(name))?;
    }
    for name in [BAG, OVERLAYS] {
        tolerate_missing(fs::remove_dir_all(folder.join(name)), &folder.join(name))?;
    }
    Ok(())
}

fn tolerate_missing(removed: std::io::Result<()>, path: &Path) -> anyhow::Result<()> {
    match removed {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// Reads what an interrupted replay recorded and makes room for going on: the records are cut to
/// whole batches, so that the batches to come are those of a run in one go; the recording and the
/// pictures are made again from the records.
pub(super) fn recover(folder: &Path, max_batch: usize) -> anyhow::Result<Vec<FrameRecord>> {
    let path = folder.join(JSONL);
    let file = match File::open(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        opened => opened.with_context(|| format!("cannot read {}", path.display()))?,
    };
    let mut found =
        records::read_records(BufReader::new(file)).with_context(|| path.display().to_string())?;
    found.truncate(found.len() - found.len() % max_batch);
    let mut whole = Vec::new();
    for record in &found {
        serde_json::to_writer(&mut whole, record)?;
        whole.push(b'\n');
    }
    replace_file(&path, &whole)?;
    tolerate_missing(fs::remove_dir_all(folder.join(BAG)), &folder.join(BAG))?;
    Ok(found)
}
