//! From the pipeline to the transport.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use tokio::sync::mpsc;

use super::Node;
use super::cameras::{Mishap, Newest};
use crate::pipeline::Outcome;
use crate::transport::live::NodeOutput;
use crate::transport::records::{FrameRecord, LiveRecord};
use crate::types::{Frame, FrameDetections, FramePlaces};
use crate::vision::encode::encode_jpeg;
use crate::vision::overlay;

/// The record of a frame, with the outlines of its masks where they are asked for.
pub(super) fn record(found: &FrameDetections, polygons: bool) -> FrameRecord {
    let record = FrameRecord::new(found);
    if polygons { record.with_polygons(found) } else { record }
}

impl Node {
    /// The results thread.
    pub(super) fn pass_on_results(&self, mut results: mpsc::Receiver<Outcome>) {
        while let Some(outcome) = results.blocking_recv() {
            self.pass_on(outcome, &*self.output);
        }
        self.has_pipeline_ended.store(true, Ordering::Release);
    }

    fn pass_on(&self, outcome: Outcome, output: &dyn NodeOutput) {
        let frame = match &outcome {
            Outcome::Found { frame, .. } => frame,
            Outcome::Failed(failure) => &failure.frame,
        };
        // Every frame comes from a camera that has turned up.
        let Some(key) = self.cameras.on_topic(&frame.camera) else { return };
        let name = self.cameras.update(key, |camera| camera.name.clone());
        let stamp_from = frame.stamp_from.name();
        match outcome {
            Outcome::Found { mut detections, frame, best_scores } => {
                if let Some(tracker) = &self.tracker {
                    let mut tracker = tracker.lock().unwrap_or_else(PoisonError::into_inner);
                    tracker.assign(&mut detections);
                }
                let record =
                    || LiveRecord { frame: record(&detections, self.polygons), stamp_from };
                output.detections(&name, &record, Some(&detections));
                // With picks it is drawn when they are known.
                if !self.space.draws_picks(&name) {
                    self.draw(&name, &frame, &detections, None);
                }
                self.cameras.update(key, |camera| {
                    camera.answered += 1;
                    camera.unanswered_since = None;
                    camera.newest = Some(Newest {
                        at: self.clock.moment(),
                        detections: detections.detections.len(),
                        prompts: Arc::clone(&detections.prompts),
                        best_scores,
                        timings: detections.timings.clone(),
                    });
                });
                self.space.post(&name, detections, frame);
            }
            Outcome::Failed(failure) => {
                tracing::debug!("{}: {}", failure.frame.camera, failure.reason);
                let prompts = self.prompts.in_use();
                let record = || LiveRecord {
                    frame: FrameRecord::of_failure(&failure.frame, &prompts, &failure.reason),
                    stamp_from,
                };
                output.detections(&name, &record, None);
                let at = self.clock.moment();
                self.cameras.update(key, |camera| {
                    camera.unanswered_since = None;
                    Mishap::note(&mut camera.failed, failure.reason, at);
                });
            }
        }
    }

    /// Draws the overlay where somebody looks at it.
    pub(super) fn draw(
        &self,
        name: &str,
        frame: &Frame,
        found: &FrameDetections,
        places: Option<&FramePlaces>,
    ) {
        let (tuning, output) = (self.tuning(), &*self.output);
        if !tuning.overlay || !output.wants_overlay(name) {
            return;
        }
        let drawn = overlay::draw_found(&frame.image, found, places);
        match encode_jpeg(&drawn, tuning.jpeg_quality) {
            Ok(jpeg) => output.overlay(name, &frame.header, jpeg),
            Err(error) => tracing::warn!("{name}: no overlay: {error}"),
        }
    }
}
