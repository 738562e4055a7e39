//! Floor 6: a live node, whatever transport it hangs on.
//!
//! ```text
//! transport ── image ───> [arrivals] ── decode thread ──> mailbox of its camera ──> pipeline
//!           ── detect ──> [arrivals] ── requests thread, one at a time ──────────> pipeline
//!           ── prompts ─> [sets] ────── prompts thread ─> command ────────────────> pipeline
//!           <── detections, overlays ── results thread <─────────────────────────── pipeline
//!           <── places, clouds ──────── places thread <── results thread, newest of each camera
//!           ── depth, camera_info, tf ─> [space] ─────────┘
//! ```
//!
//! That is a node with its model; [`managed`] loads it, starts and stops it as ROS 2's lifecycle has
//! it, and tells the status every second.
//!
//! Nothing that a transport calls waits for work to be done, every queue is bounded, and what
//! cannot be worked on is answered or counted with its reason.

mod arrivals;
mod cameras;
mod input;
mod lessons;
pub mod lifecycle;
pub mod managed;
mod memory;
mod outcomes;
mod prompts;
mod space;
mod status;
mod words;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

pub use self::memory::keep_freed_memory;
pub use self::prompts::PromptsChange;
pub use self::space::SpaceOptions;

use self::arrivals::Arrivals;
use self::cameras::Cameras;
use self::prompts::PromptDesk;
use self::space::SpaceDesk;
use crate::pipeline::{Outcome, Pipeline, PipelineClosed};
use crate::tasks::DetectionRules;
use crate::track::FrameTracker;
use crate::transport::live::{Moment, NodeClock, NodeOutput};
use crate::types::PromptSet;

/// How a node is set up.
#[derive(Clone, Debug)]
pub struct NodeOptions {
    /// Its name.
    pub name: String,
    /// The prompts that the pipeline uses already; `None` where it has none.
    pub prompts: Option<Arc<PromptSet>>,
    /// Lowest score, in `[0, 1]`, of prompts that come with none while the node runs.
    pub threshold: f32,
    /// Whether objects get ids that stay the same from frame to frame.
    pub tracking: bool,
    /// Whether masks have outlines in JSON.
    pub polygons: bool,
    /// How places in space are looked for.
    pub space: SpaceOptions,
    /// What may change while it runs.
    pub tuning: Tuning,
}

/// What may change from one frame to the next.
#[derive(Clone, Debug, PartialEq)]
pub struct Tuning {
    /// Whether overlays are drawn for who takes them.
    pub overlay: bool,
    /// Quality of overlays, in `[1, 100]`.
    pub jpeg_quality: u8,
    /// The most images of one camera in a second; 0 for no limit.
    pub max_rate_hz: f32,
    /// The prompt whose objects are to be picked; `None` for all.
    pub pick_prompt: Option<Arc<str>>,
}

/// A live node on a model that is loaded.
pub struct Node {
    name: String,
    tuning: Mutex<Tuning>,
    polygons: bool,
    pipeline: Pipeline,
    arrivals: Arrivals,
    cameras: Cameras,
    prompts: PromptDesk,
    /// `None` where objects are not tracked.
    tracker: Option<Mutex<FrameTracker>>,
    space: SpaceDesk,
    requests: Arc<Requests>,
    output: Arc<dyn NodeOutput>,
    clock: Arc<NodeClock>,
    started: Moment,
    has_pipeline_ended: AtomicBool,
}

/// Why nothing more is taken.
const ENDING: &str = "the node is ending, or its model is being freed";

/// What became of single images.
#[derive(Default)]
struct Requests {
    answered: AtomicU64,
    refused: AtomicU64,
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
    /// no cameras: they turn up by themselves. What is found goes to `output`.
    #[must_use]
    pub fn new(
        options: NodeOptions,
        pipeline: Pipeline,
        output: Arc<dyn NodeOutput>,
        clock: Arc<NodeClock>,
    ) -> Arc<Self> {
        Arc::new(Self {
            prompts: PromptDesk::new(options.prompts, options.threshold),
            name: options.name,
            tuning: Mutex::new(options.tuning),
            polygons: options.polygons,
            tracker: options.tracking.then(Mutex::default),
            space: SpaceDesk::new(&options.space, Arc::clone(&clock)),
            pipeline,
            arrivals: Arrivals::default(),
            cameras: Cameras::new(Arc::clone(&clock)),
            requests: Arc::default(),
            output,
            started: clock.moment(),
            clock,
            has_pipeline_ended: AtomicBool::new(false),
        })
    }

    /// Name or folder of the model that is loaded.
    #[must_use]
    pub fn model(&self) -> &str {
        &self.pipeline.info().name
    }

    /// Starts the threads.
    ///
    /// # Errors
    /// The system gave no thread.
    pub fn start(
        self: &Arc<Self>,
        results: mpsc::Receiver<Outcome>,
    ) -> Result<RunningNode, NoThread> {
        let mut running = RunningNode { node: Arc::clone(self), threads: Vec::new() };
        running.spawn("decode", Self::decode_images)?;
        running.spawn("requests", Self::work_off_requests)?;
        running.spawn("prompts", Self::work_off_prompts)?;
        running.spawn("results", move |node| node.pass_on_results(results))?;
        running.spawn("places", Self::look_for_places)?;
        Ok(running)
    }

    /// Changes what may change from one frame to the next.
    pub fn tune(&self, tuning: Tuning) {
        self.space.set_pick_prompt(tuning.pick_prompt.clone());
        *self.tuning.lock().unwrap_or_else(PoisonError::into_inner) = tuning;
    }

    fn tuning(&self) -> Tuning {
        self.tuning.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes what happens to boxes after the network, from the next frame on.
    ///
    /// # Errors
    /// The inference thread has ended.
    pub fn set_rules(&self, rules: DetectionRules) -> Result<(), PipelineClosed> {
        self.pipeline.set_rules(rules)
    }

    /// Looks at no images of cameras until [`resume`](Self::resume); those that wait are dropped.
    /// When this comes back none is being looked at any more.
    ///
    /// # Errors
    /// The inference thread has ended.
    pub fn pause(&self) -> Result<(), PipelineClosed> {
        let paused = self.pipeline.pause();
        self.cameras.drop_unanswered();
        paused
    }

    /// Looks at images again.
    pub fn resume(&self) {
        // Those that were decoded while it rested went nowhere.
        self.cameras.drop_unanswered();
        self.pipeline.resume();
    }
}

impl RunningNode {
    /// The node itself.
    #[must_use]
    pub fn node(&self) -> &Arc<Node> {
        &self.node
    }

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
    /// all threads have ended, and with them the model.
    #[must_use]
    pub fn stop(&self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        self.node.arrivals.close();
        self.node.prompts.close();
        self.node.space.close();
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
