//! `owlet run`: a live node.

use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use owlet::node::{Node, NodeOptions};
use owlet::pipeline::{Pipeline, PipelineOptions, Policy};
use owlet::transport::live::NodeInput;

use super::console::end_at_once;
use super::interrupt::Interrupt;
use super::running::{set_first_prompts, start_pipeline};
use super::settings::Settings;
use super::{Finish, transports};
use crate::app::args::NodeArgs;

/// Results that may wait to be sent before inference waits.
const RESULTS_CAPACITY: usize = 8;
/// How often it is looked whether the node is still alive.
const ALIVE_EVERY: Duration = Duration::from_millis(200);
/// How long the threads may take to end, and then the session to close: together well below a
/// second.
const STOP_PATIENCE: Duration = Duration::from_millis(200);
const CLOSE_PATIENCE: Duration = Duration::from_millis(300);

pub(crate) fn run(args: &NodeArgs) -> anyhow::Result<Finish> {
    let settings = Settings::for_node(args)?;
    let config = &settings.config;
    let transport = transports::check(config)?;
    let (pipeline, results) = start_pipeline(
        &settings,
        PipelineOptions {
            cameras: Vec::new(),
            policy: Policy::LatestWins,
            max_batch: config.max_batch,
            results_capacity: RESULTS_CAPACITY,
        },
    )?;
    let has_prompts = !settings.prompts.prompts.is_empty();
    if has_prompts {
        set_first_prompts(&pipeline, &settings)?;
    }
    let ready = in_words(&pipeline, &settings);
    let node = Node::new(
        NodeOptions {
            name: config.node.clone(),
            prompts: has_prompts.then(|| Arc::clone(&settings.prompts)),
            threshold: config.threshold,
            overlay: config.overlay,
            jpeg_quality: config.jpeg_quality,
        },
        pipeline,
    );
    // Before this a signal ends the program by itself: there is nothing to clean up yet.
    let interrupt = Interrupt::listen()?;
    let transport = transport.open()?;
    let running = node.start(transport.output(), results)?;
    transport.serve(&(Arc::clone(&node) as Arc<dyn NodeInput>))?;
    tracing::info!("ready: {ready}; {}", transport.in_words());

    while !interrupt.wait(ALIVE_EVERY) {
        if running.has_failed() {
            transport.close(CLOSE_PATIENCE);
            bail!("a thread of the node ended; the log above says why");
        }
    }
    if !running.stop(STOP_PATIENCE) {
        tracing::debug!("the model is in the middle of a frame that nobody waits for any more");
    }
    transport.close(CLOSE_PATIENCE);
    end_at_once()
}

fn in_words(pipeline: &Pipeline, settings: &Settings) -> String {
    let info = pipeline.info();
    let prompts = match settings.prompts.prompts.len() {
        0 => "no prompts yet".to_owned(),
        1 => "1 prompt".to_owned(),
        many => format!("{many} prompts"),
    };
    format!("{} in {} on {}, {prompts}", info.name, info.dtype, info.device)
}
