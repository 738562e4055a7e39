//! `owlet run`: a live node over zenoh.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{anyhow, bail};
use owlet::node::{Node, NodeOptions, SpaceOptions};
use owlet::pipeline::{Pipeline, PipelineOptions, Policy};
use owlet::transport::live::{NodeInput, NodeOutput};
use owlet::transport::zenoh::{ZenohError, ZenohOptions, ZenohTransport};
use owlet::types::LocateMode;

use super::console::end_at_once;
use super::interrupt::Interrupt;
use super::running::{set_first_prompts, start_pipeline};
use super::settings::Settings;
use super::{Finish, Refused};
use crate::NodeArgs;

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
    let zenoh = ZenohOptions {
        node: config.node.clone(),
        config: config.zenoh_config.clone(),
        mode: config.zenoh_mode.clone(),
        connect: config.zenoh_connect.clone(),
        listen: config.zenoh_listen.clone(),
        images: config.zenoh_images.clone(),
        cdr: config.zenoh_cdr,
        locates: config.locate != LocateMode::Never,
    };
    let zenoh = zenoh.check().map_err(|error| Refused(error.to_string()))?;
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
            tracking: config.tracking,
            space: SpaceOptions {
                mode: config.locate,
                clouds: config.clouds,
                settings: settings.spatial(),
            },
        },
        pipeline,
    );
    // Before this a signal ends the program by itself: there is nothing to clean up yet.
    let interrupt = Interrupt::listen()?;
    let transport = ZenohTransport::open(zenoh).map_err(with_advice)?;
    let running = node.start(Arc::clone(&transport) as Arc<dyn NodeOutput>, results)?;
    transport.serve(&(Arc::clone(&node) as Arc<dyn NodeInput>))?;
    let keys: Vec<_> = transport.waits_for().into_iter().map(|waits| waits.keys).collect();
    tracing::info!(
        "ready: {ready}; images on {}, all else below owlet/{}/",
        keys.join(", "),
        config.node
    );

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

fn with_advice(error: ZenohError) -> anyhow::Error {
    match error {
        ZenohError::Open { .. } => {
            anyhow!("{error} (is the router there? see zenoh_connect, zenoh_listen, zenoh_mode)")
        }
        error => error.into(),
    }
}
