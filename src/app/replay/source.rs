//! The reader thread: messages of a recording to frames in mailboxes.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::mpsc::{Sender, SyncSender};
use std::time::Instant;

use anyhow::Context;
use indicatif::ProgressBar;
use owlet::pipeline::{Incoming, Outcome, Pipeline, Posted};
use owlet::transport::frames::{MessagePicture, frame_from_message};
use owlet::transport::inspect::{Inspection, TopicInspection, UsedAs};
use owlet::transport::rosbag2::{BagReader, RawMessage};
use owlet::types::{Frame, Picture, PromptSet, Stage, StageTimings, Stamp, StampSource};

use super::super::interrupt::Interrupt;
use super::super::{Refused, visible};
use super::known::KnownFrames;
use super::shared_report::SharedReport;
use super::space::{FrameSpace, SpaceReader};
use super::space_topics::SpaceTopics;

/// An image topic that is replayed.
#[derive(Clone, Debug)]
pub(in crate::app) struct Topic {
    pub name: Arc<str>,
    pub message_type: Arc<str>,
    pub messages: u64,
}

/// What reading came to.
pub(super) struct SourceReport {
    /// Frames that were handed on, to the writer or to the pipeline.
    pub passed_on: u64,
    /// Whether all of them were taken.
    pub taken: bool,
    pub interrupted: bool,
}

/// The topics that were asked for, or all with colour images.
pub(in crate::app) fn choose_topics(
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
        // Some writers put two types on one name: the one with pictures is meant.
        let mut named = recording.topics.iter().filter(|topic| topic.name == *name);
        match named.clone().find(has_color).or_else(|| named.next()) {
            None => problems.push(format!("there is no topic {name}")),
            Some(topic) if !has_color(&topic) => {
                problems.push(format!("{name}: {}", why_not(topic)));
            }
            Some(topic) => chosen.push(topic),
        }
    }
    let mut names = BTreeSet::new();
    chosen.retain(|topic| names.insert(&topic.name));
    if !problems.is_empty() {
        let mut text = format!("{}: {}", recording.path.display(), problems.join("; "));
        text += if recording.topics.is_empty() { "; it has no topics" } else { "; it has" };
        for topic in &recording.topics {
            let line = format!("{}: {}, {}", topic.name, topic.message_type, why_not(topic));
            text += &format!("\n  {}", visible(&line));
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
        Some(UsedAs::Transforms) => "transforms".to_owned(),
        None => topic.reason.clone().unwrap_or_else(|| "it cannot be used".to_owned()),
    }
}

/// Everything that the reader thread works with.
pub(super) struct Source<'a> {
    pub topics: &'a [Topic],
    /// Topics that say where things are.
    pub space_topics: &'a SpaceTopics,
    pub space: SpaceReader<'a>,
    pub prompts: &'a Arc<PromptSet>,
    /// Frames that an earlier run was done with, in order.
    pub known: KnownFrames,
    pub pipeline: &'a Pipeline,
    pub interrupt: &'a Interrupt,
    pub report: &'a SharedReport,
    pub progress: &'a ProgressBar,
}

impl Source<'_> {
    /// Reads to the end, to an interrupt, or until nobody takes frames any more. What became of
    /// frames in an earlier run goes to `known_outcomes`, which ends before the first frame is
    /// posted: the writer turns to new results then. What belongs to each frame goes to `spaces`,
    /// in the same order, so that no more of it waits than frames are on their way.
    pub(super) fn run(
        mut self,
        bag: &mut BagReader,
        known_outcomes: SyncSender<Outcome>,
        spaces: Sender<Option<FrameSpace>>,
    ) -> anyhow::Result<SourceReport> {
        let mut names: Vec<&str> = self.topics.iter().map(|topic| &*topic.name).collect();
        names.extend(self.space_topics.names());
        let mut report = SourceReport { passed_on: 0, taken: true, interrupted: false };
        let mut known_outcomes = Some(known_outcomes).filter(|_| self.known.left() > 0);
        for message in bag.messages(Some(&names))? {
            if self.interrupt.requested() {
                report.interrupted = true;
                return Ok(report);
            }
            let message = message?;
            let now = message.log_time;
            if self.is_of_images(&message) {
                let Some(incoming) = self.decode(&message) else { continue };
                self.space.hold(incoming);
            } else {
                self.space.take(message);
            }
            self.pass_on(Some(now), &mut report, &mut known_outcomes, &spaces)?;
            if !report.taken {
                return Ok(report);
            }
        }
        self.pass_on(None, &mut report, &mut known_outcomes, &spaces)?;
        for note in self.space.notes() {
            self.report.with(|report| report.add_note(&note));
        }
        if !report.taken {
            return Ok(report);
        }
        match self.known.left() {
            0 => Ok(report),
            left => Err(Refused(format!(
                "--resume: the recording ends {left} frames before the earlier run did: it is not \
                 the same recording, --overwrite starts anew"
            ))
            .into()),
        }
    }

    /// Hands on the frames whose places are settled by what was read up to `now`.
    fn pass_on(
        &mut self,
        now: Option<Stamp>,
        report: &mut SourceReport,
        known_outcomes: &mut Option<SyncSender<Outcome>>,
        spaces: &Sender<Option<FrameSpace>>,
    ) -> anyhow::Result<()> {
        while report.taken
            && let Some((incoming, space)) = self.space.next(now)
        {
            report.passed_on += 1;
            report.taken = spaces.send(space).is_ok()
                && match &known_outcomes {
                    Some(sender) => {
                        let outcome = self.known.outcome_of(incoming.frame, self.prompts)?;
                        sender.send(outcome).is_ok()
                    }
                    None => self.post(incoming)?,
                };
            if self.known.left() == 0 {
                *known_outcomes = None;
            }
        }
        Ok(())
    }

    /// Whether a message is of one of the image topics. Some writers put two types on one name.
    fn is_of_images(&self, message: &RawMessage) -> bool {
        self.topics
            .iter()
            .any(|known| known.name == message.topic && known.message_type == message.message_type)
    }

    /// The frame of a message; one that holds none is counted.
    fn decode(&self, message: &RawMessage) -> Option<Incoming> {
        let RawMessage { topic, message_type, log_time, data, .. } = message;
        let started = Instant::now();
        let reason = match frame_from_message(topic, message_type, data) {
            // Nobody can record what is found in it.
            Ok(_) if log_time.0 < 0 => "it was received before the epoch".to_owned(),
            Ok(MessagePicture { header, picture: Picture::Color(image), .. }) => {
                let (camera, image) = (Arc::clone(topic), Arc::new(image));
                let stamp_from = StampSource::Camera;
                let frame = Frame { camera, header, stamp_from, received: *log_time, image };
                let mut timings = StageTimings::default();
                timings.add(Stage::Decode, started.elapsed());
                return Some(Incoming { frame, timings });
            }
            Ok(MessagePicture { picture: Picture::Depth(_), .. }) => {
                "a depth image: nothing to detect in it".to_owned()
            }
            Err(error) => error.to_string(),
        };
        // By the recorder's clock: the stamp inside may be what is broken.
        self.report.skip(topic, *log_time, &reason);
        self.progress.inc(1);
        None
    }

    /// `false` where nobody takes it.
    fn post(&self, incoming: Incoming) -> anyhow::Result<bool> {
        let name = &incoming.frame.camera;
        let camera =
            self.pipeline.camera(name).with_context(|| format!("no mailbox for {name}"))?;
        Ok(self.pipeline.post(camera, incoming) != Posted::Closed)
    }
}
