//! A pipeline that loses no frame, for commands that look at many.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use owlet::pipeline::{Outcome, Pipeline, PipelineOptions, Policy, SetPromptsError, StartError};
use tokio::sync::mpsc;

use super::settings::{Settings, load_detector};
use super::{Chatter, Refused};

/// Results that may wait to be taken before inference waits.
const RESULTS_CAPACITY: usize = 8;

/// Loads the model on a thread of its own and puts the prompts into use. Posters wait for room.
///
/// # Errors
/// A model that does not load; prompts that it refuses.
pub(crate) fn start_pipeline(
    settings: &Settings,
    cameras: Vec<Arc<str>>,
) -> anyhow::Result<(Pipeline, mpsc::Receiver<Outcome>)> {
    let options = settings.detector_options();
    let (pipeline, results) = Pipeline::start(
        PipelineOptions {
            cameras,
            policy: Policy::Block,
            max_batch: settings.config.max_batch,
            results_capacity: RESULTS_CAPACITY,
        },
        move || load_detector(&options),
    )
    .map_err(|error| match error {
        StartError::Detector(error) => error,
        error @ StartError::Thread { .. } => anyhow!("{error}"),
    })?;
    pipeline.set_prompts(Arc::clone(&settings.prompts)).map_err(|error| match error {
        SetPromptsError::Refused(refused) => anyhow::Error::new(Refused(refused.to_string())),
        SetPromptsError::Closed(closed) => closed.into(),
    })?;
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
