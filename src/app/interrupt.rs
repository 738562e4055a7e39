//! Ctrl-C and SIGTERM as a flag.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tokio::signal::unix::{SignalKind, signal};

use super::console::end_at_once;

/// Signals so soon after the first one are that same request: Ctrl-C reaches the whole process group,
/// and `ros2 launch`, which is in it, sends a SIGINT of its own to each of its programs.
const SAME_REQUEST: Duration = Duration::from_millis(300);

/// Set once somebody has asked the program to end.
#[derive(Clone, Default)]
pub(crate) struct Interrupt(Arc<Flag>);

#[derive(Default)]
struct Flag {
    is_set: Mutex<bool>,
    changed: Condvar,
}

impl Interrupt {
    /// Listens from now on: the first SIGINT or SIGTERM sets the flag, a later one ends the program
    /// at once.
    pub(crate) fn listen() -> anyhow::Result<Self> {
        let interrupt = Self::default();
        let flag = interrupt.clone();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()
            .context("no runtime for signals")?;
        let (mut sigint, mut sigterm) = {
            let _inside = runtime.enter();
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
        };
        std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            runtime.block_on(async move {
                let mut asked: Option<Instant> = None;
                loop {
                    tokio::select! {
                        _ = sigint.recv() => {}
                        _ = sigterm.recv() => {}
                    }
                    if asked.is_some_and(|asked| asked.elapsed() < SAME_REQUEST) {
                        continue;
                    }
                    asked.get_or_insert_with(Instant::now);
                    if flag.set() {
                        end_at_once(130);
                    }
                    tracing::warn!("ending after the frames in flight; once more to end at once");
                }
            });
        })?;
        Ok(interrupt)
    }

    pub(crate) fn requested(&self) -> bool {
        self.wait(Duration::ZERO)
    }

    /// Waits for it, no longer than `patience`: whether it was requested.
    pub(crate) fn wait(&self, patience: Duration) -> bool {
        let is_set = self.0.is_set.lock().unwrap_or_else(PoisonError::into_inner);
        let (is_set, _) = self
            .0
            .changed
            .wait_timeout_while(is_set, patience, |is_set| !*is_set)
            .unwrap_or_else(PoisonError::into_inner);
        *is_set
    }

    /// What `work` gives, done on a thread of its own; `None` where the program is to end before it
    /// is done.
    pub(crate) fn unless_requested<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
    ) -> anyhow::Result<Option<T>> {
        let (done, result) = mpsc::channel();
        std::thread::Builder::new().name("start".to_owned()).spawn(move || {
            // Nobody waits for it any more where the program is ending.
            let _ = done.send(work());
        })?;
        loop {
            match result.recv_timeout(Duration::from_millis(20)) {
                Ok(result) => return result.map(Some),
                Err(RecvTimeoutError::Timeout) if self.requested() => return Ok(None),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => bail!("the start panicked"),
            }
        }
    }

    /// Sets the flag: whether it was set before.
    fn set(&self) -> bool {
        let before = {
            let mut is_set = self.0.is_set.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *is_set, true)
        };
        self.0.changed.notify_all();
        before
    }
}
