//! The reader thread: messages of a recording to frames in mailboxes.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Instant;

use anyhow::{Context, bail};
use indicatif::ProgressBar;
use owlet::pipeline::{Incoming, Pipeline, Posted};
use owlet::transport::frames::{MessagePicture, frame_from_message};
use owlet::transport::inspect::{Inspection, TopicInspection, UsedAs};
use owlet::transport::records::FrameRecord;
use owlet::transport::rosbag2::{BagReader, RawMessage};
use owlet::types::{Frame, FrameDetections, Picture, PromptSet, Stage, StageTimings, Stamp};

use super::super::Refused;
use super::super::interrupt::Interrupt;

/// Single reports of skipped frames that are kept; more of them are only counted.
const MAX_SKIPPED_LOGGED: usize = 20;

/// An image topic that is replayed.
#[derive(Clone, Debug)]
pub(super) struct Topic {
    pub name: Arc<str>,
    pub message_type: Arc<str>,
    pub messages: u64,
}

/// A frame that an earlier run was done with.
pub(super) struct KnownFrame {
    pub detections: FrameDetections,
    pub frame: Frame,
}

/// A message that gave no frame.
pub(super) struct Skipped {
    pub topic: Arc<str>,
    /// When the recorder received it; the stamp inside may be what is broken.
    pub received: Stamp,
    pub reason: String,
}

/// What reading came to.
#[derive(Default)]
pub(super) struct SourceReport {
    pub skipped: Vec<Skipped>,
    pub interrupted: bool,
}

/// The topics that were asked for, or all with colour images.
pub(super) fn choose_topics(
    recording: &Inspection,
    asked: &[String],
) -> Result<Vec<Topic>, Refused> {
    let has_color = |topic: &&TopicInspection| topic.used_as == Some(UsedAs::Color);
    let mut chosen = Vec::new();
    let mut problems = Vec::new();
    if asked.is_empty() {
        chosen.extend(recording.topics.iter().filter(has_color));
        if chosen.is_empty() {
            problems.push("no topic with colour images".to_owned());
        }
    }
    for name in asked {
        match recording.topics.iter().find(|topic| topic.name == *name) {
            None => problems.push(format!("there is no topic {name}")),
            Some(topic) if has_color(&topic) => chosen.push(topic),
            Some(topic) => problems.push(format!("{name}: {}", why_not(topic))),
        }
    }
    if !problems.is_empty() {
        let mut text = format!("{}: {}", recording.path.display(), problems.join("; "));
        text += if recording.topics.is_empty() { "; it has no topics" } else { "; it has" };
        for topic in &recording.topics {
            text += &format!("\n  {}: {}, {}", topic.name, topic.message_type, why_not(topic));
        }
        return Err(Refused(text));
    }
    Ok(chosen
        .into_iter()
        .map(|topic| Topic {
            name: topic.name.as_str().into(),
            message_type: topic.message_type.as_str().into(),
            messages: topic.message_count,
        })
        .collect())
}

fn why_not(topic: &TopicInspection) -> String {
    match topic.used_as {
        Some(UsedAs::Color) => "colour images".to_owned(),
        Some(UsedAs::Depth) => "depth images: nothing to detect in them".to_owned(),
        Some(UsedAs::Calibration) => "a calibration".to_owned(),
        None => topic.reason.clone().unwrap_or_else(|| "it cannot be used".to_owned()),
    }
}

/// Everything that the reader thread works with.
pub(super) struct Source<'a> {
    pub topics: &'a [Topic],
    pub prompts: &'a Arc<PromptSet>,
    /// Frames that an earlier run was done with, in order.
    pub known: VecDeque<FrameRecord>,
    /// Dropped as soon as the last of them is sent: the writer turns to new results then.
    pub known_frames: Option<SyncSender<KnownFrame>>,
    pub pipeline: &'a Pipeline,
    pub interrupt: &'a Interrupt,
    pub progress: &'a ProgressBar,
}

impl Source<'_> {
    /// Reads to the end, to an interrupt, or until nobody takes frames any more.
    pub(super) fn run(mut self, bag: &mut BagReader) -> anyhow::Result<SourceReport> {
        let names: Vec<&str> = self.topics.iter().map(|topic| &*topic.name).collect();
        let mut report = SourceReport::default();
        let mut taken = true;
        self.close_known_when_done();
        for message in bag.messages(Some(&names))? {
            if self.interrupt.requested() {
                report.interrupted = true;
                break;
            }
            let message = message?;
            let started = Instant::now();
            let decoded = frame_from_message(&message.topic, &message.message_type, &message.data);
            match decoded {
                Ok(MessagePicture { header, picture: Picture::Color(image), .. }) => {
                    let camera = Arc::clone(&message.topic);
                    let image = Arc::new(image);
                    let frame = Frame { camera, header, received: message.log_time, image };
                    let mut timings = StageTimings::default();
                    timings.add(Stage::Decode, started.elapsed());
                    taken = self.pass_on(Incoming { frame, timings })?;
                    if !taken {
                        break;
                    }
                }
                Ok(MessagePicture { picture: Picture::Depth(_), .. }) => {
                    let reason = "a depth image: nothing to detect in it".to_owned();
                    self.skip(&mut report, &message, reason);
                }
                Err(error) => self.skip(&mut report, &message, error.to_string()),
            }
        }
        if taken
            && !report.interrupted
            && let Some(record) = self.known.front()
        {
            bail!(
                "the frame {} {} of the earlier run is not in the recording",
                record.topic,
                Stamp(record.stamp_ns)
            );
        }
        Ok(report)
    }

    /// To the writer where an earlier run was done with it, else to the pipeline. `false` where
    /// nobody takes it.
    fn pass_on(&mut self, incoming: Incoming) -> anyhow::Result<bool> {
        let frame = &incoming.frame;
        let is_known = self.known.front().is_some_and(|record| {
            record.topic == *frame.camera && record.stamp_ns == frame.header.stamp.0
        });
        if is_known
            && let Some(sender) = &self.known_frames
            && let Some(record) = self.known.pop_front()
        {
            let detections = record.into_detections(self.prompts)?;
            let taken = sender.send(KnownFrame { detections, frame: incoming.frame }).is_ok();
            self.close_known_when_done();
            return Ok(taken);
        }
        let camera = self
            .pipeline
            .camera(&frame.camera)
            .with_context(|| format!("no mailbox for {}", frame.camera))?;
        Ok(self.pipeline.post(camera, incoming) != Posted::Closed)
    }

    fn close_known_when_done(&mut self) {
        if self.known.is_empty() {
            self.known_frames = None;
        }
    }

    fn skip(&self, report: &mut SourceReport, message: &RawMessage, reason: String) {
        if report.skipped.len() < MAX_SKIPPED_LOGGED {
            tracing::warn!("{} {}: {reason}", message.topic, message.log_time);
        }
        let topic = Arc::clone(&message.topic);
        report.skipped.push(Skipped { topic, received: message.log_time, reason });
        self.progress.inc(1);
    }
}
