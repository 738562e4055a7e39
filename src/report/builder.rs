//! Watches a run and writes its report.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::file::write_in_one_step;
use super::pictures::{Picture, PictureKeeper};
use super::summary::LossSummary;
use super::tally::Tally;
use super::{FromAbove, ReportError, ReportOptions, RunSummary, page};
use crate::types::{Explanation, FrameDetections, Stamp};

/// Detections that a caption names; more are counted.
const MAX_CAPTIONED: usize = 12;
/// Detections of a picture that are explained: each brings the small pictures of its pairs along.
const MAX_EXPLAINED: usize = 3;

/// Takes in a run frame by frame, in memory that depends on the number of prompts and pictures but
/// not on the length of the run, and writes the page at its end.
#[derive(Debug)]
pub struct ReportBuilder {
    options: ReportOptions,
    tally: Tally,
    pictures: PictureKeeper,
}

impl ReportBuilder {
    /// A report of nothing yet.
    #[must_use]
    pub fn new(options: ReportOptions) -> Self {
        let mut tally = Tally::default();
        tally.use_prompts(&options.prompts);
        let pictures = PictureKeeper::new(options.max_pictures);
        Self { options, tally, pictures }
    }

    /// Counts a frame. `overlay` draws its picture as a JPEG and is called only where the picture
    /// will be kept; `None` from it (it could not be drawn) is counted.
    pub fn add_frame(
        &mut self,
        frame: &FrameDetections,
        overlay: impl FnOnce() -> Option<Vec<u8>>,
    ) {
        self.add_frame_from_above(frame, overlay, || None);
    }

    /// As [`add_frame`](Self::add_frame), with the scene from above, which is drawn where the
    /// overlay is kept.
    pub fn add_frame_from_above(
        &mut self,
        frame: &FrameDetections,
        overlay: impl FnOnce() -> Option<Vec<u8>>,
        from_above: impl FnOnce() -> Option<FromAbove>,
    ) {
        let number = self.tally.frames;
        let improved = self.tally.add_frame(frame);
        self.pictures.offer(number, &frame.camera, &improved, || {
            let picture = picture(frame, overlay()?);
            Some(Picture { from_above: from_above(), ..picture })
        });
    }

    /// Counts a frame that could not be used, with the reason in words.
    pub fn add_skipped(&mut self, topic: &str, stamp: Option<Stamp>, reason: &str) {
        self.tally.add_skipped(topic, stamp, reason);
    }

    /// Tells a part of the recording that could not be read.
    pub fn add_loss(&mut self, loss: LossSummary) {
        self.tally.add_loss(loss);
    }

    /// Adds a plain statement that a reader must not miss ("Stopped after 40 of 300 frames.").
    pub fn add_note(&mut self, note: &str) {
        self.options.notes.push(note.to_owned());
    }

    /// Sets how long the run took, from which the rate follows.
    pub fn set_wall_time(&mut self, wall: Duration) {
        self.tally.wall = Some(wall);
    }

    /// The run so far in numbers.
    #[must_use]
    pub fn summary(&self) -> RunSummary {
        self.tally.summary()
    }

    /// Writes the page. A file that is there is replaced in one step, so that nobody ever sees half
    /// a page.
    ///
    /// # Errors
    /// The folder is missing or full, or may not be written to.
    pub fn write(&self, path: &Path) -> Result<(), ReportError> {
        let summary = self.summary();
        let page = page::Page {
            options: &self.options,
            summary: &summary,
            tally: &self.tally,
            pictures: &self.pictures,
        };
        write_in_one_step(path, |out| page.write(out))
    }
}

fn picture(frame: &FrameDetections, jpeg: Vec<u8>) -> Picture {
    let mut detections: Vec<(String, Vec<f32>)> = Vec::new();
    let mut explained: Vec<(String, f32, Arc<Explanation>)> = Vec::new();
    for detection in frame.detections.iter().take(MAX_CAPTIONED) {
        let Some(prompt) = frame.prompts.prompts.get(detection.prompt) else { continue };
        let named = match detection.finer_names(&frame.prompts).next() {
            None => prompt.name.clone(),
            Some((finer, _)) => format!("{}: {finer}", prompt.name),
        };
        // The best of each: the others mostly speak of the same pairs.
        if let Some(why) = &detection.explanation
            && explained.len() < MAX_EXPLAINED
            && !explained.iter().any(|(name, ..)| *name == prompt.name)
        {
            explained.push((prompt.name.clone(), detection.score, Arc::clone(why)));
        }
        match detections.iter_mut().find(|(name, _)| *name == named) {
            Some((_, scores)) => scores.push(detection.score),
            None => detections.push((named, vec![detection.score])),
        }
    }
    Picture {
        camera: frame.camera.clone(),
        stamp: frame.header.stamp,
        width: frame.width,
        height: frame.height,
        detections,
        explained,
        more_detections: frame.detections.len().saturating_sub(MAX_CAPTIONED),
        jpeg,
        from_above: None,
    }
}
