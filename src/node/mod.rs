//! Floor 6: a live node, whatever transport it hangs on.
//!
//! ```text
//! transport ── image ───> [arrivals] ── decode thread ──> mailbox of its camera ──> pipeline
//!           ── detect ──> [arrivals] ── decode thread ──> requests ───────────────> pipeline
//!           ── prompts ─> [sets] ────── prompts thread ─> command ────────────────> pipeline
//!           <── detections, overlays ── results thread <─────────────────────────── pipeline
//!           <── status, every second ── status thread
//! ```
//!
//! Nothing that a transport calls waits for work to be done, every queue is bounded, and what
//! cannot be worked on is answered or counted with its reason.

mod arrivals;
mod cameras;
mod input;
pub mod lifecycle;
mod outcomes;
mod prompts;
mod status;
mod words;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use self::arrivals::Arrivals;
use self::cameras::Cameras;
use self::prompts::PromptDesk;
use crate::pipeline::{Outcome, Pipeline};
use crate::transport::live::NodeOutput;
use crate::types::PromptSet;

/// How often the status is published.
const STATUS_EVERY: Duration = Duration::from_secs(1);

/// How a node is set up.
#[derive(Clone, Debug)]
pub struct NodeOptions {
    /// Its name.
    pub name: String,
    /// The prompts that the pipeline uses already; `None` where it has none.
    pub prompts: Option<Arc<PromptSet>>,
    /// Lowest score, in `[0, 1]`, of prompts that come with none while the node runs.
    pub threshold: f32,
    /// Whether overlays are drawn for who takes them.
    pub overlay: bool,
    /// Quality of overlays, in `[1, 100]`.
    pub jpeg_quality: u8,
}

/// A live node. [`Node::start`] gives it its voice; it takes what arrives before that, too.
pub struct Node {
    options: NodeOptions,
    pipeline: Pipeline,
    arrivals: Arrivals,
    cameras: Cameras,
    prompts: PromptDesk,
    requests: Arc<Requests>,
    output: Mutex<Option<Arc<dyn NodeOutput>>>,
    started: Instant,
    stopping: Stopping,
    has_pipeline_ended: AtomicBool,
}

/// What became of single images.
#[derive(Default)]
struct Requests {
    answered: AtomicU64,
    refused: AtomicU64,
}

/// A flag that can be waited for.
#[derive(Default)]
struct Stopping {
    flag: Mutex<bool>,
    changed: Condvar,
}

impl Stopping {
    fn set(&self) {
        *self.flag.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }

    /// Waits for the flag, no longer than `patience`: whether it is set.
    fn wait(&self, patience: Duration) -> bool {
        let flag = self.flag.lock().unwrap_or_else(PoisonError::into_inner);
        let (flag, _) = self
            .changed
            .wait_timeout_while(flag, patience, |flag| !*flag)
            .unwrap_or_else(PoisonError::into_inner);
        *flag
    }
}

/// The threads of a node that runs.
pub struct RunningNode {
    node: Arc<Node>,
    threads: Vec<JoinHandle<()>>,
}

/// The system gave no thread.
#[derive(Debug, thiserror::Error)]
#[error("no thread for {name}: {source}")]
pub struct NoThread {
    /// What it was meant for.
    pub name: &'static str,
    /// The system's reason.
    pub source: std::io::Error,
}

impl Node {
    /// A node on a pipeline with [`Policy::LatestWins`](crate::pipeline::Policy::LatestWins) and
    /// no cameras: they turn up by themselves.
    #[must_use]
    pub fn new(options: NodeOptions, pipeline: Pipeline) -> Arc<Self> {
        Arc::new(Self {
            prompts: PromptDesk::new(options.prompts.clone(), options.threshold),
            options,
            pipeline,
            arrivals: Arrivals::default(),
            cameras: Cameras::default(),
            requests: Arc::default(),
            output: Mutex::new(None),
            started: Instant::now(),
            stopping: Stopping::default(),
            has_pipeline_ended: AtomicBool::new(false),
        })
    }

    /// Starts the threads; detections go to `output` from now on.
    ///
    /// # Errors
    /// The system gave no thread.
    pub fn start(
        self: &Arc<Self>,
        output: Arc<dyn NodeOutput>,
        results: mpsc::Receiver<Outcome>,
    ) -> Result<RunningNode, NoThread> {
        *self.output.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&output));
        let mut running = RunningNode { node: Arc::clone(self), threads: Vec::new() };
        running.spawn("decode", |node| node.decode_arrivals())?;
        running.spawn("prompts", |node| node.work_off_prompts())?;
        let for_results = Arc::clone(&output);
        running.spawn("results", move |node| node.pass_on_results(results, &*for_results))?;
        running.spawn("status", move |node| node.publish_status(&*output))?;
        Ok(running)
    }

    fn output(&self) -> Option<Arc<dyn NodeOutput>> {
        self.output.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl RunningNode {
    fn spawn(
        &mut self,
        name: &'static str,
        work: impl FnOnce(&Node) + Send + 'static,
    ) -> Result<(), NoThread> {
        let node = Arc::clone(&self.node);
        let thread = thread::Builder::new().name(name.to_owned()).spawn(move || work(&node));
        self.threads.push(thread.map_err(|source| NoThread { name, source })?);
        Ok(())
    }

    /// Whether the node has come to an end that nobody asked for.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.node.has_pipeline_ended.load(Ordering::Acquire)
            || self.threads.iter().any(JoinHandle::is_finished)
    }

    /// Takes nothing more and waits for the frame in flight, no longer than `patience`: whether
    /// all threads have ended.
    #[must_use]
    pub fn stop(self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        self.node.stopping.set();
        self.node.arrivals.close();
        self.node.prompts.close();
        self.node.pipeline.close();
        while self.threads.iter().any(|thread| !thread.is_finished()) {
            if Instant::now() >= deadline {
                return false;
            }
            thread::sleep(Duration::from_millis(5));
        }
        true
    }
}
