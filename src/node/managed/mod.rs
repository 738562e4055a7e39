//! A live node as ROS 2's lifecycle has it: its model is loaded when it is configured, its images
//! come while it is active, and its parameters change in between and underway.
//!
//! ```text
//! unconfigured   prompts and status are served; parameters wait for being used
//! inactive       the model is loaded, warm, and knows its prompts; no image is taken
//! active         images in, detections out
//! ```
//!
//! A node on a transport with no lifecycle of its own goes the same way: it is configured and
//! activated at once.

mod model;
mod parameters;
pub mod ros;
mod silence;
mod status;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

pub use self::model::LoadModel;
pub use self::parameters::{NotReread, OnParameters, ParametersReply, RereadReply, Together};

use self::model::ManagedModel;
use super::lifecycle::{ChangeReply, Lifecycle, LifecycleState, NotDone, OnTransition};
use super::{NoThread, RunningNode};
use crate::config::Config;
use crate::transport::live::{
    CameraPart, DepthMessage, DetectAnswer, ImageMessage, Lesson, LiveTransport, NodeClock,
    NodeInput, PromptsRefused, PromptsReply, SingleImage, Status, TransformKind, TransportError,
};
use crate::types::{Calibration, FrameTransform, PromptSet};

/// How often the status is published.
const STATUS_EVERY: Duration = Duration::from_secs(1);

/// How long the end may wait for the last status.
const LAST_STATUS_PATIENCE: Duration = Duration::from_millis(100);

/// A node with its lifecycle and its parameters.
pub struct ManagedNode {
    lifecycle: Lifecycle<ManagedModel>,
    shared: Arc<Shared>,
    status_thread: OnceLock<JoinHandle<()>>,
}

/// Why a managed node did not start.
#[derive(Debug, thiserror::Error)]
pub enum NotStarted {
    /// The system gave no thread.
    #[error(transparent)]
    Thread(#[from] NoThread),
    /// The transport refused a key or topic.
    #[error("{0}")]
    Transport(TransportError),
}

/// What the lifecycle's thread and everybody else look at.
struct Shared {
    config: Mutex<Config>,
    /// The model with its threads, from configuring to cleaning up.
    running: RwLock<Option<Arc<RunningNode>>>,
    transport: Arc<dyn LiveTransport>,
    clock: Arc<NodeClock>,
    listeners: Mutex<Vec<OnParameters>>,
    /// The newest prompt set that came while there was no model to encode it: who publishes a set
    /// once, for all who come later, does not say it again.
    waiting_prompts: Mutex<Option<Vec<u8>>>,
    /// Nobody waits for a frame in flight any more.
    is_ending: AtomicBool,
    pulse: Pulse,
}

/// Wakes the status thread.
#[derive(Default)]
struct Pulse {
    state: Mutex<PulseState>,
    changed: Condvar,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum PulseState {
    #[default]
    Quiet,
    /// Something worth telling has happened.
    Told,
    Ending,
}

impl Pulse {
    fn set(&self, state: PulseState) {
        let mut current = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if *current != PulseState::Ending {
            *current = state;
        }
        self.changed.notify_all();
    }

    /// Waits until something is to be told, no longer than `patience`: `false` at the end.
    fn wait(&self, patience: Duration) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut state, _) = self
            .changed
            .wait_timeout_while(state, patience, |state| *state == PulseState::Quiet)
            .unwrap_or_else(PoisonError::into_inner);
        let goes_on = *state != PulseState::Ending;
        if goes_on {
            *state = PulseState::Quiet;
        }
        goes_on
    }
}

impl Shared {
    fn config(&self) -> MutexGuard<'_, Config> {
        // A configuration is replaced as a whole.
        self.config.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn running(&self) -> Option<Arc<RunningNode>> {
        self.running.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_running(&self, running: Option<Arc<RunningNode>>) -> Option<Arc<RunningNode>> {
        let mut current = self.running.write().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut current, running)
    }

    /// Hands a prompt set to the model, and keeps the parameters in step with what is in use.
    fn set_prompts(self: &Arc<Self>, running: &RunningNode, text: Vec<u8>, reply: PromptsReply) {
        running.node().set_prompts(text, self.noting(reply));
    }

    /// Writes a set that is put into use into the parameters, too.
    fn noting(self: &Arc<Self>, reply: PromptsReply) -> PromptsReply {
        let shared = Arc::clone(self);
        Box::new(move |answer| {
            if let Ok(set) = answer {
                shared.put_config(|config| parameters::note_prompts(config, set));
            }
            reply(answer);
        })
    }

    /// Puts the set into use that waits for a model, where there is one now.
    fn put_waiting_prompts(self: &Arc<Self>) {
        let Some(running) = self.running() else { return };
        let waiting = self.waiting_prompts.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(text) = waiting {
            // What becomes of it is in the log, and where sets are told.
            self.set_prompts(&running, text, Box::new(|_| {}));
        }
    }

    /// A set that waits for a model is not put into use any more.
    fn forget_waiting_prompts(&self) {
        *self.waiting_prompts.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Puts a configuration into use, and tells everybody which parameters have changed.
    fn put_config(&self, change: impl FnOnce(&mut Config)) {
        let (changed, config) = {
            let mut config = self.config();
            let before = config.clone();
            change(&mut config);
            (parameters::changed(&before, &config), config.clone())
        };
        if !changed.is_empty() {
            for listener in &*self.listeners.lock().unwrap_or_else(PoisonError::into_inner) {
                listener(&changed, &config);
            }
        }
    }
}

impl ManagedNode {
    /// A node that is not configured yet. The transport serves what is there in every state.
    ///
    /// # Errors
    /// The system gave no thread, or the transport refused a key or topic.
    pub fn start(
        config: Config,
        load: LoadModel,
        transport: Arc<dyn LiveTransport>,
        clock: Arc<NodeClock>,
    ) -> Result<Arc<Self>, NotStarted> {
        let shared = Arc::new(Shared {
            config: Mutex::new(config),
            running: RwLock::new(None),
            transport: Arc::clone(&transport),
            clock,
            listeners: Mutex::default(),
            waiting_prompts: Mutex::default(),
            is_ending: AtomicBool::new(false),
            pulse: Pulse::default(),
        });
        let lifecycle = Lifecycle::start(ManagedModel::new(Arc::clone(&shared), load))?;
        let for_pulse = Arc::clone(&shared);
        lifecycle.listen(Box::new(move |_| for_pulse.pulse.set(PulseState::Told)));
        let node = Arc::new(Self { lifecycle, shared, status_thread: OnceLock::new() });
        transport.serve(Arc::clone(&node) as Arc<dyn NodeInput>).map_err(NotStarted::Transport)?;
        let for_status = Arc::clone(&node);
        let status_thread = thread::Builder::new()
            .name("status".to_owned())
            .spawn(move || for_status.publish_status())
            .map_err(|source| NoThread { name: "status", source })?;
        node.status_thread.get_or_init(|| status_thread);
        Ok(node)
    }

    /// Where it is now.
    #[must_use]
    pub fn state(&self) -> LifecycleState {
        self.lifecycle.state()
    }

    /// Why the newest step was not done; `None` once one was.
    #[must_use]
    pub fn why(&self) -> Option<NotDone> {
        self.lifecycle.why()
    }

    /// Asks for a transition: see [`Lifecycle::change`].
    pub fn change(&self, id: u8, label: &str, reply: ChangeReply) {
        self.lifecycle.change(id, label, reply);
    }

    /// Tells `listener` of every transition from now on: see [`OnTransition`].
    pub fn on_transition(&self, listener: OnTransition) {
        self.lifecycle.listen(listener);
    }

    /// Tells `listener` of every change of parameters from now on.
    pub fn on_parameters(&self, listener: OnParameters) {
        self.shared.listeners.lock().unwrap_or_else(PoisonError::into_inner).push(listener);
    }

    /// The parameters' values.
    #[must_use]
    pub fn config(&self) -> Config {
        self.shared.config().clone()
    }

    /// The clock that it goes by.
    #[must_use]
    pub fn clock(&self) -> &Arc<NodeClock> {
        &self.shared.clock
    }

    /// Whether a model that was loaded has come to an end that nobody asked for.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        // While the model is loaded or freed its threads come and go.
        let is_settled = self.state().is_primary();
        is_settled && self.shared.running().is_some_and(|running| running.has_failed())
    }

    /// Ends the node without waiting for a frame in flight, nor longer than `patience`: see
    /// [`Lifecycle::end`].
    pub fn end(&self, patience: Duration) -> bool {
        self.shared.is_ending.store(true, Ordering::Release);
        let is_done = self.lifecycle.end(patience);
        self.shared.pulse.set(PulseState::Ending);
        // The last status goes out before the transport is closed.
        let deadline = Instant::now() + LAST_STATUS_PATIENCE;
        let is_over = || self.status_thread.get().is_none_or(JoinHandle::is_finished);
        while !is_over() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(2));
        }
        is_done
    }
}

impl NodeInput for ManagedNode {
    fn image(&self, camera: &str, topic: &str, message: Box<dyn ImageMessage>) {
        if let Some(running) = self.shared.running() {
            running.node().image(camera, topic, message);
        }
    }

    fn calibration(
        &self,
        camera: &str,
        part: CameraPart,
        topic: &str,
        calibration: Result<Calibration, String>,
    ) {
        if let Some(running) = self.shared.running() {
            running.node().calibration(camera, part, topic, calibration);
        }
    }

    fn depth(&self, camera: &str, topic: &str, message: Box<dyn DepthMessage>) {
        if let Some(running) = self.shared.running() {
            running.node().depth(camera, topic, message);
        }
    }

    fn transforms(
        &self,
        topic: &str,
        kind: TransformKind,
        transforms: Result<Vec<FrameTransform>, String>,
    ) {
        if let Some(running) = self.shared.running() {
            running.node().transforms(topic, kind, transforms);
        }
    }

    fn detect(&self, topic: &str, image: SingleImage, answer: DetectAnswer) {
        match (self.state(), self.shared.running()) {
            (LifecycleState::Active, Some(running)) => {
                running.node().detect(topic, image, answer);
            }
            (state, _) => answer(Err(format!(
                "the node is {}: it looks at images while it is active",
                state.label()
            ))),
        }
    }

    fn set_prompts(&self, text: Vec<u8>, reply: PromptsReply) {
        if let Some(running) = self.shared.running() {
            return self.shared.set_prompts(&running, text, reply);
        }
        *self.shared.waiting_prompts.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
        let reason = format!(
            "the node is {}: the set waits until a model is loaded that can encode it",
            self.state().label()
        );
        reply(&Err(PromptsRefused::new(0, [reason])));
        // It may have come just now.
        self.shared.put_waiting_prompts();
    }

    fn teach(&self, lesson: Lesson, reply: PromptsReply) {
        match self.shared.running() {
            Some(running) => running.node().teach(lesson, self.shared.noting(reply)),
            None => {
                let reason = format!(
                    "the node is {}: it can be taught when a model is loaded",
                    self.state().label()
                );
                reply(&Err(PromptsRefused::new(0, [reason])));
            }
        }
    }

    fn prompts(&self) -> Arc<PromptSet> {
        match self.shared.running() {
            Some(running) => running.node().prompts(),
            None => Arc::new(PromptSet {
                version: 0,
                default_threshold: self.shared.config().threshold,
                prompts: Vec::new(),
            }),
        }
    }

    fn status(&self) -> Status {
        self.make_status()
    }
}
