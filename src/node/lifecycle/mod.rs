//! A managed node: what it manages goes through the states of ROS 2's lifecycle, on a thread of
//! its own.
//!
//! ```text
//!                configure            activate
//! unconfigured ─────────────> inactive ────────> active
//!              <─────────────          <────────
//!                 cleanup             deactivate
//!      any of the three ── shutdown ──> finalized
//! ```
//!
//! A request is answered when the transition is over. One that comes in the middle of another is
//! refused at once: whoever sent it thought of a state that is gone.

mod states;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

pub use states::{LifecycleState, Outcome, TRANSITIONS, Transition};

use super::NoThread;

/// Tasks that may wait for the thread; more are refused.
const MAX_TASKS: usize = 16;

/// What is managed. Every call comes on the thread of the lifecycle, one after the other; a panic
/// counts as [`NotDone::Broken`].
pub trait Managed: Send + 'static {
    /// Makes all ready that takes time.
    ///
    /// # Errors
    /// Why not; nothing is left of it unless it is [`NotDone::Broken`].
    fn configure(&mut self) -> Result<(), NotDone>;

    /// Starts the work.
    ///
    /// # Errors
    /// As [`configure`](Self::configure).
    fn activate(&mut self) -> Result<(), NotDone>;

    /// Stops the work.
    ///
    /// # Errors
    /// As [`configure`](Self::configure).
    fn deactivate(&mut self) -> Result<(), NotDone>;

    /// Frees all that [`configure`](Self::configure) made.
    ///
    /// # Errors
    /// As [`configure`](Self::configure).
    fn clean_up(&mut self) -> Result<(), NotDone>;

    /// Frees everything, from whatever state.
    fn shut_down(&mut self);

    /// Frees everything after something broke, so that it can be configured anew.
    fn recover(&mut self);
}

/// Why a step was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotDone {
    /// The settings cannot be used; with others it may be done.
    #[error("{0}")]
    Refused(String),
    /// It failed.
    #[error("{0}")]
    Failed(String),
    /// It failed, and nobody knows what is left.
    #[error("{0}")]
    Broken(String),
}

/// Why a request has changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotChanged {
    /// No such way leads out of the state.
    #[error("from {} there is no transition {asked} (there are: {there})", state.label())]
    NoWay {
        /// Where the node is.
        state: LifecycleState,
        /// What was asked for, as it was asked for.
        asked: String,
        /// What could have been asked for.
        there: String,
    },
    /// Something is being done, and a request does not wait for it.
    #[error("the node is {} already", state.label())]
    Busy {
        /// What is being done.
        state: LifecycleState,
    },
    /// The program is ending.
    #[error("the node is ending")]
    Ending,
    /// It was tried.
    #[error(transparent)]
    NotDone(#[from] NotDone),
}

/// Takes what became of a request. Called once, on any thread.
pub type ChangeReply = Box<dyn FnOnce(Result<(), NotChanged>) + Send>;

/// Is told of every transition, in their order, on any thread and under a lock: it must not wait
/// and must not ask for the state.
pub type OnTransition = Box<dyn Fn(&'static Transition) + Send + Sync>;

type Task<M> = Box<dyn FnOnce(&mut M) + Send>;

enum Job<M> {
    Transition(ChangeReply),
    Task(Task<M>),
    End,
}

/// The lifecycle of what is managed, with its thread.
pub struct Lifecycle<M> {
    shared: Arc<Shared>,
    /// Bounded by the tasks that are let in, one transition and the end.
    jobs: Sender<Job<M>>,
}

struct Shared {
    control: Mutex<Control>,
    changed: Condvar,
}

struct Control {
    state: LifecycleState,
    /// Why the newest step was not done; `None` once one was.
    why: Option<NotDone>,
    tasks_waiting: usize,
    is_ending: bool,
    /// Nobody waits for the thread any more, and nothing that it does counts.
    is_abandoned: bool,
    listeners: Vec<OnTransition>,
}

impl Control {
    fn go(&mut self, transition: &'static Transition) {
        tracing::debug!("{} -> {}", transition.start.label(), transition.goal.label());
        self.state = transition.goal;
        for listener in &self.listeners {
            listener(transition);
        }
    }

    /// Leaves a state in which something was done.
    fn leave(&mut self, outcome: Outcome) {
        if let Some(transition) = Transition::after(self.state, outcome) {
            self.go(transition);
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Control> {
        // A listener that panics leaves the state as it is.
        self.control.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<M: Managed> Lifecycle<M> {
    /// Starts the thread; the state is [`LifecycleState::Unconfigured`].
    ///
    /// # Errors
    /// The system gave no thread.
    pub fn start(managed: M) -> Result<Self, NoThread> {
        let control = Control {
            state: LifecycleState::Unconfigured,
            why: None,
            tasks_waiting: 0,
            is_ending: false,
            is_abandoned: false,
            listeners: Vec::new(),
        };
        let shared = Arc::new(Shared { control: Mutex::new(control), changed: Condvar::new() });
        let (jobs, waiting) = mpsc::channel();
        let for_thread = Arc::clone(&shared);
        thread::Builder::new()
            .name("lifecycle".to_owned())
            .spawn(move || Worker { shared: for_thread, managed }.work_off(&waiting))
            .map_err(|source| NoThread { name: "lifecycle", source })?;
        Ok(Self { shared, jobs })
    }

    /// Where the node is now, transitions included.
    #[must_use]
    pub fn state(&self) -> LifecycleState {
        self.shared.lock().state
    }

    /// Why the newest step was not done; `None` once one was.
    #[must_use]
    pub fn why(&self) -> Option<NotDone> {
        self.shared.lock().why.clone()
    }

    /// Tells `listener` of every transition from now on.
    pub fn listen(&self, listener: OnTransition) {
        self.shared.lock().listeners.push(listener);
    }

    /// Asks for a transition, by its name or, where that is empty, its number. `reply` is called
    /// at once where it is refused, else when it is over.
    pub fn change(&self, id: u8, label: &str, reply: ChangeReply) {
        let mut control = self.shared.lock();
        let state = control.state;
        let refused = match Transition::asked_for(state, id, label) {
            _ if control.is_ending => NotChanged::Ending,
            _ if !state.is_primary() => NotChanged::Busy { state },
            None => no_way(state, id, label),
            Some(transition) => {
                control.go(transition);
                drop(control);
                self.send(Job::Transition(reply));
                return;
            }
        };
        drop(control);
        reply(Err(refused));
    }

    /// Has `task` run on the thread, between two transitions.
    ///
    /// # Errors
    /// The node is on its way from one state to another or ending, or too many tasks wait.
    pub fn run(&self, task: impl FnOnce(&mut M) + Send + 'static) -> Result<(), TaskRefused> {
        // Under the lock, so that no transition begins in between.
        let mut control = self.shared.lock();
        match control.state {
            _ if control.is_ending => Err(TaskRefused::Ending),
            state if !state.is_primary() => Err(TaskRefused::Busy { state }),
            _ if control.tasks_waiting >= MAX_TASKS => Err(TaskRefused::Full),
            _ => {
                control.tasks_waiting += 1;
                self.send(Job::Task(Box::new(task)));
                Ok(())
            }
        }
    }

    /// Ends the node: deactivates it, shuts it down, and takes no longer than `patience`. Where the
    /// thread is busy for longer (a model is being read), what it does no longer counts: the
    /// node goes through error processing into [`LifecycleState::Finalized`], which everybody is
    /// told of. Whether the thread has done it.
    pub fn end(&self, patience: Duration) -> bool {
        self.shared.lock().is_ending = true;
        self.send(Job::End);
        let (mut control, _) = self
            .shared
            .changed
            .wait_timeout_while(self.shared.lock(), patience, |control| {
                control.state != LifecycleState::Finalized
            })
            .unwrap_or_else(PoisonError::into_inner);
        if control.state == LifecycleState::Finalized {
            return true;
        }
        control.is_abandoned = true;
        // A task keeps the thread, and no transition was under way.
        if control.state.is_primary()
            && let Some(shutdown) = Transition::asked_for(control.state, 0, "shutdown")
        {
            control.go(shutdown);
        }
        if control.state != LifecycleState::ErrorProcessing {
            control.leave(Outcome::Error);
        }
        control.leave(Outcome::Failure);
        false
    }

    /// The thread takes jobs until the end, after which none is sent.
    fn send(&self, job: Job<M>) {
        if self.jobs.send(job).is_err() {
            tracing::debug!("the lifecycle's thread has gone");
        }
    }
}

/// Why a task does not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TaskRefused {
    /// Something is being done, and nothing waits for it.
    #[error("the node is {}", state.label())]
    Busy {
        /// What is being done.
        state: LifecycleState,
    },
    /// Too many wait.
    #[error("busy: {MAX_TASKS} requests wait already")]
    Full,
    /// The program is ending.
    #[error("the node is ending")]
    Ending,
}

fn no_way(state: LifecycleState, id: u8, label: &str) -> NotChanged {
    let asked = match label {
        "" => id.to_string(),
        label => format!("{label:?}"),
    };
    let there: Vec<_> = Transition::from(state).map(|way| way.label).collect();
    let there = if there.is_empty() { "none".to_owned() } else { there.join(", ") };
    NotChanged::NoWay { state, asked, there }
}

struct Worker<M> {
    shared: Arc<Shared>,
    managed: M,
}

impl<M: Managed> Worker<M> {
    fn work_off(mut self, jobs: &Receiver<Job<M>>) {
        while let Ok(job) = jobs.recv() {
            match job {
                Job::Transition(reply) => {
                    let done = self.step();
                    reply(done.map_err(NotChanged::NotDone));
                }
                Job::Task(task) => {
                    self.shared.lock().tasks_waiting -= 1;
                    let managed = &mut self.managed;
                    if catch_unwind(AssertUnwindSafe(|| task(managed))).is_err() {
                        tracing::error!("a task panicked; the log above says where");
                    }
                }
                Job::End => return self.end(),
            }
        }
    }

    fn end(&mut self) {
        for label in ["deactivate", "shutdown"] {
            let mut control = self.shared.lock();
            if let Some(transition) = Transition::asked_for(control.state, 0, label) {
                control.go(transition);
                drop(control);
                // The reason is in the log, and the next step comes all the same.
                let _ = self.step();
            }
        }
        self.shared.changed.notify_all();
    }

    /// Does what the state that was just entered stands for, and leaves it.
    fn step(&mut self) -> Result<(), NotDone> {
        let doing = self.shared.lock().state;
        let done = self.guarded(|managed| match doing {
            LifecycleState::Configuring => managed.configure(),
            LifecycleState::Activating => managed.activate(),
            LifecycleState::Deactivating => managed.deactivate(),
            LifecycleState::CleaningUp => managed.clean_up(),
            LifecycleState::ShuttingDown => {
                managed.shut_down();
                Ok(())
            }
            // The machine has no way from here to a step.
            _ => Ok(()),
        });
        if let Err(why) = &done {
            tracing::error!("{}: {why}", doing.label());
        }
        let outcome = match &done {
            Ok(()) => Outcome::Success,
            Err(NotDone::Refused(_) | NotDone::Failed(_)) => Outcome::Failure,
            Err(NotDone::Broken(_)) => Outcome::Error,
        };
        if self.leave(outcome, done.as_ref().err()) == LifecycleState::ErrorProcessing {
            let recovered = self.guarded(|managed| {
                managed.recover();
                Ok(())
            });
            let outcome = if recovered.is_ok() { Outcome::Success } else { Outcome::Error };
            self.leave(outcome, done.as_ref().err());
        }
        done
    }

    fn guarded(&mut self, step: impl FnOnce(&mut M) -> Result<(), NotDone>) -> Result<(), NotDone> {
        let managed = &mut self.managed;
        catch_unwind(AssertUnwindSafe(|| step(managed)))
            .unwrap_or_else(|_| Err(NotDone::Broken("it panicked; the log says where".to_owned())))
    }

    /// The state after it.
    fn leave(&self, outcome: Outcome, why: Option<&NotDone>) -> LifecycleState {
        let mut control = self.shared.lock();
        if !control.is_abandoned {
            control.why = why.cloned();
            control.leave(outcome);
        }
        self.shared.changed.notify_all();
        control.state
    }
}

#[cfg(test)]
mod tests;
