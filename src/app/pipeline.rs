//! Starting the inference thread.

use std::sync::Arc;

use anyhow::anyhow;
use owlet::pipeline::{Outcome, Pipeline, PipelineOptions, SetPromptsError, StartError};
use tokio::sync::mpsc;

use super::Refused;
use super::settings::{Settings, load_detector};

/// Loads the model on a thread of its own.
pub(super) fn start_pipeline(
    settings: &Settings,
    options: PipelineOptions,
) -> anyhow::Result<(Pipeline, mpsc::Receiver<Outcome>)> {
    let detector = settings.detector_options();
    Pipeline::start(options, move || load_detector(&detector)).map_err(|error| match error {
        StartError::Detector(error) => error,
        error @ StartError::Thread { .. } => anyhow!("{error}"),
    })
}

/// Puts the prompts of the settings into use.
pub(super) fn set_first_prompts(pipeline: &Pipeline, settings: &Settings) -> anyhow::Result<()> {
    pipeline.set_prompts(Arc::clone(&settings.prompts)).map_err(|error| match error {
        SetPromptsError::Refused(refused) => anyhow::Error::new(Refused(refused.to_string())),
        SetPromptsError::Closed(closed) => closed.into(),
    })
}
