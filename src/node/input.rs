//! What a transport hands over, up to the pipeline.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};

use super::arrivals::{Asked, Stored};
use super::cameras::{CameraKey, Mishap};
use super::outcomes::record;
use super::{ENDING, Node};
use crate::pipeline::{Incoming, Outcome};
use crate::transport::live::{
    CameraPart, DepthMessage, DetectAnswer, ImageMessage, Lesson, LiveImage, NodeInput,
    PromptsReply, SingleImage, Status, TransformKind,
};
use crate::transport::records::LiveRecord;
use crate::types::{Calibration, Frame, FrameTransform, PromptSet, Stage, StageTimings};

impl NodeInput for Node {
    fn image(&self, camera: &str, topic: &str, message: Box<dyn ImageMessage>) {
        let max_rate_hz = self.tuning().max_rate_hz;
        let Some(key) = self.cameras.arrived(camera, topic, &self.pipeline, max_rate_hz) else {
            return;
        };
        if self.arrivals.image(key, message) == Stored::ReplacedOlder {
            self.cameras.update(key, |camera| camera.dropped += 1);
        }
    }

    fn calibration(
        &self,
        camera: &str,
        part: CameraPart,
        topic: &str,
        calibration: Result<Calibration, String>,
    ) {
        self.space.calibration(camera, part, topic, calibration);
    }

    fn depth(&self, camera: &str, topic: &str, message: Box<dyn DepthMessage>) {
        self.space.depth(camera, topic, message);
    }

    fn transforms(
        &self,
        topic: &str,
        kind: TransformKind,
        transforms: Result<Vec<FrameTransform>, String>,
    ) {
        self.space.transforms(topic, kind, transforms);
    }

    fn detect(&self, topic: &str, image: SingleImage, answer: DetectAnswer) {
        if let Err((answer, reason)) = self.arrivals.request(topic, image, answer) {
            self.requests.refused.fetch_add(1, Ordering::Relaxed);
            answer(Err(reason));
        }
    }

    fn set_prompts(&self, text: Vec<u8>, reply: PromptsReply) {
        self.prompts.post_text(text, reply);
    }

    fn teach(&self, lesson: Lesson, reply: PromptsReply) {
        self.prompts.post_lesson(lesson, reply);
    }

    fn prompts(&self) -> Arc<PromptSet> {
        self.prompts.in_use()
    }

    fn status(&self) -> Status {
        self.make_status()
    }
}

impl Node {
    /// The decode thread.
    pub(super) fn decode_images(self: &Node) {
        while let Some((key, message)) = self.arrivals.take_image() {
            self.decode_image(key, &*message);
        }
    }

    /// The thread of single images, with what is looked for in them.
    pub(super) fn work_off_requests(self: &Node) {
        while let Some(Asked { topic, image, answer }) = self.arrivals.take_request() {
            self.decode_request(&topic, image, answer);
        }
    }

    fn decode_image(&self, key: CameraKey, message: &dyn ImageMessage) {
        let mut timings = StageTimings::default();
        match timings.time(Stage::Decode, || decode(message)) {
            Ok(image) => {
                let (name, topic, mailbox) = self.cameras.update(key, |camera| {
                    camera.size_px = Some(image.image.dimensions().into());
                    camera.encoding = Some(image.encoding.clone());
                    let now = self.clock.moment();
                    camera.newest_good = Some(now);
                    camera.unanswered_since.get_or_insert(now);
                    (Arc::clone(&camera.name), Arc::clone(&camera.topic), camera.mailbox)
                });
                self.space.image(&name, &topic, image.header.stamp);
                let incoming = Incoming { frame: frame(topic, image), timings };
                self.space.image_was(&name, self.pipeline.post(mailbox, incoming));
            }
            Err(reason) => self.cameras.update(key, |camera| {
                tracing::debug!("{}: {reason}", camera.topic);
                Mishap::note(&mut camera.bad, reason, self.clock.moment());
            }),
        }
    }

    fn decode_request(&self, topic: &str, asked: SingleImage, answer: DetectAnswer) {
        let mut timings = StageTimings::default();
        let decoded = timings.time(Stage::Decode, || decode(&*asked.message));
        // All that is wrong is told, not the first of it.
        let prompts = asked.prompts.map(|text| self.prompts.read_for_one(&text)).transpose();
        let (image, prompts) = match (decoded, prompts) {
            (Ok(image), Ok(prompts)) => (image, prompts),
            (decoded, prompts) => {
                let reasons: Vec<_> = decoded.err().into_iter().chain(prompts.err()).collect();
                self.requests.refused.fetch_add(1, Ordering::Relaxed);
                return answer(Err(reasons.join("; ")));
            }
        };
        let stamp_from = image.stamp_from.name();
        let incoming = Incoming { frame: frame(topic.into(), image), timings };
        let (found, outcome) = mpsc::channel();
        self.pipeline.request(incoming, prompts.map(Arc::new), move |outcome| {
            // The requests thread waits for it.
            let _ = found.send(outcome);
        });
        // Made and sent here, so that a slow client does not hold the model up.
        let became = match outcome.recv() {
            Ok(Outcome::Found { detections, .. }) => {
                Ok(LiveRecord { frame: record(&detections, self.polygons), stamp_from })
            }
            Ok(Outcome::Failed(failure)) => Err(failure.reason),
            Err(mpsc::RecvError) => Err(ENDING.to_owned()),
        };
        let count = if became.is_ok() { &self.requests.answered } else { &self.requests.refused };
        count.fetch_add(1, Ordering::Relaxed);
        answer(became);
    }
}

/// Decodes a message. A decoder that panics must not take the node down.
fn decode(message: &dyn ImageMessage) -> Result<LiveImage, String> {
    match catch_unwind(AssertUnwindSafe(|| message.decode())) {
        Ok(decoded) => decoded.map_err(|error| error.to_string()),
        Err(_) => Err("the decoder panicked".to_owned()),
    }
}

fn frame(camera: Arc<str>, image: LiveImage) -> Frame {
    Frame {
        camera,
        header: image.header,
        stamp_from: image.stamp_from,
        received: image.received,
        image: Arc::new(image.image),
    }
}
