//! Starting the inference thread, and what commands share that look at many frames.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use owlet::pipeline::{Outcome, Pipeline, PipelineOptions, Policy, SetPromptsError, StartError};
use tokio::sync::mpsc;

use super::settings::Settings;
use super::{Chatter, Refused};

/// Results that may wait to be taken before inference waits.
const RESULTS_CAPACITY: usize = 8;

/// Loads the model on a thread of its own.
///
/// # Errors
/// A model that does not load.
pub(crate) fn start_pipeline(
    settings: &Settings,
    options: PipelineOptions,
) -> anyhow::Result<(Pipeline, mpsc::Receiver<Outcome>)> {
    let detector = settings.detector_source();
    Pipeline::start(options, move || detector.load()).map_err(|error| match error {
        StartError::Detector(error) => error,
        error @ StartError::Thread { .. } => anyhow!("{error}"),
    })
}

/// Puts the prompts of the settings into use.
///
/// # Errors
/// Prompts that the model refuses.
pub(crate) fn set_first_prompts(pipeline: &Pipeline, settings: &Settings) -> anyhow::Result<()> {
    pipeline.set_prompts(Arc::clone(&settings.prompts)).map_err(|error| match error {
        SetPromptsError::Refused(refused) => anyhow::Error::new(Refused(refused.to_string())),
        SetPromptsError::Closed(closed) => closed.into(),
    })
}

/// A pipeline with its prompts that loses no frame: posters wait for room.
///
/// # Errors
/// A model that does not load; prompts that it refuses.
pub(crate) fn start_lossless(
    settings: &Settings,
    cameras: Vec<Arc<str>>,
) -> anyhow::Result<(Pipeline, mpsc::Receiver<Outcome>)> {
    let options = PipelineOptions {
        cameras,
        policy: Policy::Block,
        max_batch: settings.config.max_batch,
        results_capacity: RESULTS_CAPACITY,
    };
    let (pipeline, results) = start_pipeline(settings, options)?;
    set_first_prompts(&pipeline, settings)?;
    Ok((pipeline, results))
}

/// Takes no more frames once it is dropped, by a panic as well: nobody then waits for ever.
pub(crate) struct CloseOnDrop<'a>(pub(crate) &'a Pipeline);

impl Drop for CloseOnDrop<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// A bar of so many frames with their rate.
pub(crate) fn frames_bar(frames: u64, chatter: &Chatter) -> ProgressBar {
    let bar = chatter.show(ProgressBar::new(frames));
    let form = "{bar:40} {pos}/{len} frames, {rate} frames/s, {eta} left";
    let style = ProgressStyle::with_template(form).expect("the template is a constant").with_key(
        "rate",
        |state: &ProgressState, text: &mut dyn fmt::Write| {
            // A bar that cannot be drawn is not worth an error.
            let _ = write!(text, "{:.1}", state.per_sec());
        },
    );
    bar.set_style(style);
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
