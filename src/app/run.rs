//! `owlet run`: a live node.

use std::sync::{Arc, mpsc};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use owlet::config::{Config, LogLevel};
use owlet::node::keep_freed_memory;
use owlet::node::lifecycle::{LifecycleState, NotChanged, NotDone};
use owlet::node::managed::ManagedNode;
use owlet::tasks::Detector;
use owlet::transport::live::NodeInput;
use owlet::transport::metrics::MetricsServer;
use owlet::types::PromptSet;

use super::console::{end_at_once, in_words};
use super::interrupt::Interrupt;
use super::settings::{RosSettings, Settings, node_config};
use super::transports;
use super::watch::PromptsWatch;
use super::{Finish, Refused};
use crate::app::args::NodeArgs;

/// How often it is looked whether the node is still alive, and the prompts file the same.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How long the node may take to end, and then the session to close: together well below a second.
const END_PATIENCE: Duration = Duration::from_millis(300);
const CLOSE_PATIENCE: Duration = Duration::from_millis(300);

pub(crate) fn run(args: &NodeArgs) -> anyhow::Result<Finish> {
    let config = node_config(args)?;
    let checked = transports::check(&config)?;
    keep_freed_memory();
    let (autostart, metrics_listen) = (config.autostart, config.metrics_listen);
    let mut watch = config.watch_prompts.then(|| PromptsWatch::start(&config)).flatten();
    let interrupt = Interrupt::listen()?;
    let Some(opened) = interrupt.unless_requested(move || checked.open())? else {
        end_at_once(0);
    };
    let transport = opened.transport();
    let load = Arc::new(|config: &Config| load(config).map_err(not_done));
    let node = ManagedNode::start(config, load, Arc::clone(&transport), opened.clock())?;
    let management = opened.manage(&node)?;
    let _metrics = metrics_listen
        .map(|address| {
            let node = Arc::clone(&node);
            MetricsServer::start(address, move || node.status())
        })
        .transpose()?;

    if autostart {
        match bring_up(&node, &interrupt) {
            Ok(()) if node.state() == LifecycleState::Active => {
                tracing::info!("ready: {}; {}", ready_in_words(&node), opened.in_words());
            }
            // Interrupted: what follows ends it.
            Ok(()) => {}
            Err(error) if management.is_none() => {
                node.end(END_PATIENCE);
                transport.close(CLOSE_PATIENCE);
                return Err(error);
            }
            // The reason is in the log and in the diagnostics, and whoever manages the node may
            // change its parameters and try again.
            Err(_) => tracing::warn!("waiting to be configured: {}", opened.in_words()),
        }
    }
    while !interrupt.wait(LOOK_EVERY) {
        if let Some(watch) = &mut watch {
            watch.look(&node);
        }
        if node.has_failed() || transport.has_ended() {
            node.end(END_PATIENCE);
            transport.close(CLOSE_PATIENCE);
            bail!("a thread of the node ended; the log above says why");
        }
    }
    if !node.end(END_PATIENCE) {
        tracing::debug!("the model is in the middle of something that nobody waits for any more");
    }
    transport.close(CLOSE_PATIENCE);
    end_at_once(0)
}

/// How much ROS 2 wants to be logged.
pub(crate) fn log_level(args: &NodeArgs) -> Option<LogLevel> {
    RosSettings::of(args).log_level()
}

/// Configures and activates the node, or comes back sooner where the program is to end.
///
/// # Errors
/// Why it was not done.
fn bring_up(node: &Arc<ManagedNode>, interrupt: &Interrupt) -> anyhow::Result<()> {
    for label in ["configure", "activate"] {
        let node = Arc::clone(node);
        let change = move || {
            let (reply, answer) = mpsc::channel();
            // Nobody waits for the answer any more once the program is ending.
            node.change(0, label, Box::new(move |became| drop(reply.send(became))));
            answer.recv().context("the lifecycle's thread ended")
        };
        let Some(became) = interrupt.unless_requested(change)? else { return Ok(()) };
        match became {
            Ok(()) => {}
            Err(NotChanged::NotDone(NotDone::Refused(reason))) => {
                return Err(Refused(reason).into());
            }
            Err(NotChanged::NotDone(why)) => return Err(anyhow!("{why}")),
            // Somebody else was faster, and manages the node from here on.
            Err(other) => {
                tracing::warn!("{label}: {other}");
                return Ok(());
            }
        }
    }
    Ok(())
}

fn load(config: &Config) -> anyhow::Result<Box<dyn Detector>> {
    let none = PromptSet { version: 0, prompts: Vec::new(), default_threshold: config.threshold };
    let settings = Settings::new(config.clone(), none)?;
    let mut source = settings.live_source();
    if config.text_cache {
        settings.keep_texts(&mut source);
    }
    source.load()
}

fn not_done(error: anyhow::Error) -> NotDone {
    match error.is::<Refused>() {
        true => NotDone::Refused(in_words(&error)),
        false => NotDone::Failed(in_words(&error)),
    }
}

fn ready_in_words(node: &ManagedNode) -> String {
    let status = node.status();
    let prompts = match status.prompts.names.len() {
        0 => "no prompts yet".to_owned(),
        1 => "1 prompt".to_owned(),
        many => format!("{many} prompts"),
    };
    let model = status.model;
    format!("{} in {} on {}, {prompts}", model.name, model.dtype, model.device)
}
