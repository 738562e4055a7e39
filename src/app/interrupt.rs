//! Ctrl-C and SIGTERM as a flag.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};

/// Set once somebody has asked the program to end.
#[derive(Clone, Default)]
pub(crate) struct Interrupt(Arc<Flag>);

#[derive(Default)]
struct Flag {
    is_set: Mutex<bool>,
    changed: Condvar,
}

impl Interrupt {
    /// Listens from now on: the first SIGINT or SIGTERM sets the flag, a second one ends the
    /// program at once.
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
                loop {
                    tokio::select! {
                        _ = sigint.recv() => {}
                        _ = sigterm.recv() => {}
                    }
                    if flag.set() {
                        std::process::exit(130);
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
