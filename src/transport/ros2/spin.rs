//! The thread on which rcl waits, and how others come to the node meanwhile.

use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use std::{io, thread};

use r2r::Node;

use super::super::ros::Held;
use super::words;

/// How long rcl waits where nothing comes: what another thread that needs the node waits at most.
/// Messages and requests end the wait.
const WAIT: Duration = Duration::from_millis(20);

/// A node that several threads use, one at a time and in turn: who waits for it comes next,
/// however soon the one that has it wants it again. A mutex alone would let the spinning thread
/// take it again and again.
pub(super) struct Turns {
    next: Mutex<()>,
    node: Mutex<Option<Node>>,
}

impl Turns {
    pub(super) fn new(node: Node) -> Self {
        Self { next: Mutex::new(()), node: Mutex::new(Some(node)) }
    }

    /// Does something with the node.
    ///
    /// # Errors
    /// The node has left ROS 2; r2r's reason.
    pub(super) fn take<T>(
        &self,
        act: impl FnOnce(&mut Node) -> r2r::Result<T>,
    ) -> Result<T, String> {
        let mut node = self.lock();
        let node = node.as_mut().ok_or("the node has left ROS 2")?;
        act(node).map_err(|error| words::reason(&error))
    }

    fn lock(&self) -> MutexGuard<'_, Option<Node>> {
        let _next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        self.node.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Hands over one thing that has come; `None` where there is nothing more for now.
pub(super) type Read = Box<dyn FnMut() -> Option<()> + Send>;

struct Reader {
    read: Read,
    /// Gone when nobody holds the subscription or service any more.
    held: Weak<()>,
}

impl Reader {
    fn is_held(&self) -> bool {
        self.held.strong_count() > 0
    }
}

/// The thread that takes what comes. Callbacks run on it, while others may use the node.
pub(super) struct Spinning {
    readers: Sender<Reader>,
    stop: Arc<AtomicBool>,
    has_ended: Arc<AtomicBool>,
    stopped: Mutex<Receiver<()>>,
}

impl Spinning {
    pub(super) fn start(node: Arc<Turns>) -> io::Result<Self> {
        let (readers, new_readers) = mpsc::channel();
        let (end, stopped) = mpsc::channel();
        let stop = Arc::new(AtomicBool::new(false));
        let its_stop = Arc::clone(&stop);
        let has_ended = Arc::<AtomicBool>::default();
        let its_end = Arc::clone(&has_ended);
        thread::Builder::new().name("ros2".to_owned()).spawn(move || {
            let spinning = AssertUnwindSafe(|| spin(&node, &new_readers, &its_stop));
            if let Err(panic) = panic::catch_unwind(spinning) {
                let reason = words::panic_message(&*panic);
                tracing::error!("ros2: the node hears nothing any more, and leaves: {reason}");
            }
            its_end.store(true, Ordering::Release);
            // Everybody sees it leave; what is still published is refused from here on.
            drop(node.lock().take());
            // Nobody may be waiting.
            let _ = end.send(());
        })?;
        Ok(Self { readers, stop, has_ended, stopped: Mutex::new(stopped) })
    }

    /// Whether the thread has ended.
    pub(super) fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Acquire)
    }

    /// Calls `read` whenever something may have come, until the answer is dropped.
    pub(super) fn read(&self, read: Read) -> Held {
        let held = Arc::new(());
        // A thread that has ended reads nothing any more, and has said so.
        let _ = self.readers.send(Reader { read, held: Arc::downgrade(&held) });
        Box::new(held)
    }

    /// Ends the thread and lets the node leave; whether it was done in time.
    pub(super) fn stop(&self, patience: Duration) -> bool {
        self.stop.store(true, Ordering::Relaxed);
        let stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        // Disconnected: it was stopped before.
        stopped.recv_timeout(patience) != Err(mpsc::RecvTimeoutError::Timeout)
    }
}

impl Drop for Spinning {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn spin(node: &Turns, new_readers: &Receiver<Reader>, stop: &AtomicBool) {
    let mut readers: Vec<Reader> = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        readers.extend(new_readers.try_iter());
        if readers.is_empty() {
            // rcl does not wait where there is nothing to wait for.
            thread::sleep(WAIT);
            continue;
        }
        if let Some(node) = node.lock().as_mut() {
            node.spin_once(WAIT);
        }
        // At once, and all: r2r keeps ten, and of more it drops the newest.
        for reader in &mut readers {
            while reader.is_held() && (reader.read)().is_some() {}
        }
        // r2r closes a subscription when the next message comes and nobody takes it.
        readers.retain(Reader::is_held);
    }
}
