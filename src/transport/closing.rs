//! Leaving a network that may not answer any more.

use std::fmt::Display;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// Runs `close` on a thread of its own and waits for it no longer than `patience`: the process
/// ends soon, and a peer that hangs must not hold it.
pub(super) fn within<E: Display>(
    patience: Duration,
    what: &'static str,
    close: impl FnOnce() -> Result<(), E> + Send + 'static,
) {
    let (done, closed) = mpsc::channel();
    let closer = thread::Builder::new().name(format!("{what}-close")).spawn(move || {
        if let Err(error) = close() {
            tracing::debug!("{what}: {error}");
        }
        // Nobody may be waiting any more.
        let _ = done.send(());
    });
    if closer.is_ok() && closed.recv_timeout(patience).is_err() {
        tracing::debug!("{what} did not close within {patience:?}");
    }
}
