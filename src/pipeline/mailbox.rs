//! Per-camera mailboxes, the command queue and the request queue of the inference thread, under
//! one lock.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::types::{Frame, StageTimings};

/// What a mailbox does with a frame that comes while it is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// The new frame takes the place of the old one, which is counted as dropped. A live robot
    /// acts on what it sees now.
    LatestWins,
    /// The poster waits for room. Replay drops nothing.
    Block,
}

/// Names one mailbox of a pipeline: the position of its camera in the options.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CameraId(pub(super) usize);

#[cfg(test)]
impl CameraId {
    /// For tests of what only carries it around.
    pub(crate) const FIRST: Self = Self(0);
}

/// A frame on its way to the inference thread, with the time that was spent on it so far.
#[derive(Clone, Debug)]
pub struct Incoming {
    /// The decoded frame.
    pub frame: Frame,
    /// What the way to here took (decode).
    pub timings: StageTimings,
}

/// What became of a posted frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Posted {
    /// It waits for the inference thread.
    Stored,
    /// It waits; an older frame of the same camera was dropped for it.
    ReplacedOlder,
    /// The pipeline is paused; it was dropped.
    Paused,
    /// The pipeline has ended; nobody will look at it.
    Closed,
}

/// What happened to the frames of one camera so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CameraCounts {
    /// Posted to the mailbox.
    pub received: u64,
    /// Dropped because a newer frame came first, or because the pipeline was paused.
    pub dropped: u64,
    /// Taken by the inference thread.
    pub taken: u64,
}

struct Waiting {
    order: u64,
    posted_at: Instant,
    incoming: Incoming,
}

#[derive(Default)]
struct Mailbox {
    waiting: VecDeque<Waiting>,
    /// When one of its frames was taken last, on the clock of `State::takes`.
    last_taken: u64,
    counts: CameraCounts,
}

struct State<C, R> {
    mailboxes: Vec<Mailbox>,
    commands: VecDeque<C>,
    requests: VecDeque<R>,
    next_order: u64,
    /// Counts the frames that were taken.
    takes: u64,
    /// Whether the last work was a request: then frames that wait come first.
    was_request: bool,
    paused: bool,
    closed: bool,
}

/// What the inference thread is to do next.
pub(super) enum Work<C, R> {
    /// A command; commands go before frames, so that a new prompt set holds from the next frame.
    Command(C),
    /// A request; requests and batches take turns where both wait.
    Request(R),
    /// Frames, oldest first; each with its camera and its wait included in the timings.
    Batch(Vec<(CameraId, Incoming)>),
    /// Closed, and nothing is left.
    End,
}

/// All mailboxes of a pipeline. Frames are [`Incoming`], commands are `C`, requests are `R`.
pub(super) struct Inbox<C, R> {
    policy: Policy,
    max_batch: usize,
    state: Mutex<State<C, R>>,
    work_arrived: Condvar,
    room_made: Condvar,
}

/// Commands that may wait at one time; a poster of more waits for room.
const MAX_COMMANDS: usize = 16;

/// Requests that may wait at one time; more are refused.
pub(super) const MAX_REQUESTS: usize = 16;

/// Why a request was not taken. It comes back with the reason.
pub(super) enum NotTaken<R> {
    /// [`MAX_REQUESTS`] wait already.
    Full(R),
    /// The pipeline has ended.
    Closed(R),
}

impl<C, R> Inbox<C, R> {
    pub(super) fn new(cameras: usize, policy: Policy, max_batch: usize) -> Arc<Self> {
        Arc::new(Self {
            policy,
            max_batch: max_batch.max(1),
            state: Mutex::new(State {
                mailboxes: (0..cameras).map(|_| Mailbox::default()).collect(),
                commands: VecDeque::new(),
                requests: VecDeque::new(),
                next_order: 0,
                takes: 0,
                was_request: false,
                paused: false,
                closed: false,
            }),
            work_arrived: Condvar::new(),
            room_made: Condvar::new(),
        })
    }

    /// One more mailbox.
    pub(super) fn add_camera(&self) -> CameraId {
        let mut state = self.lock();
        state.mailboxes.push(Mailbox::default());
        CameraId(state.mailboxes.len() - 1)
    }

    fn lock(&self) -> MutexGuard<'_, State<C, R>> {
        // No code under this lock can leave the state half changed, so that a poisoned lock (a
        // panic in another thread) still guards sound data.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Frames that one mailbox can hold. Under `Block` a whole batch fits, so that waiting for a
    /// full batch can never wait for ever.
    fn capacity(&self) -> usize {
        match self.policy {
            Policy::LatestWins => 1,
            Policy::Block => self.max_batch,
        }
    }

    pub(super) fn post(&self, camera: CameraId, incoming: Incoming) -> Posted {
        let mut state = self.lock();
        if self.policy == Policy::Block {
            state = self
                .room_made
                .wait_while(state, |state| {
                    !state.closed && state.mailboxes[camera.0].waiting.len() >= self.capacity()
                })
                .unwrap_or_else(PoisonError::into_inner);
        }
        if state.closed {
            return Posted::Closed;
        }
        let order = state.next_order;
        state.next_order += 1;
        let is_paused = state.paused;
        let mailbox = &mut state.mailboxes[camera.0];
        mailbox.counts.received += 1;
        if is_paused {
            mailbox.counts.dropped += 1;
            return Posted::Paused;
        }
        let mut posted = Posted::Stored;
        if mailbox.waiting.len() >= self.capacity() {
            mailbox.waiting.pop_front();
            mailbox.counts.dropped += 1;
            posted = Posted::ReplacedOlder;
        }
        mailbox.waiting.push_back(Waiting { order, posted_at: Instant::now(), incoming });
        self.work_arrived.notify_one();
        posted
    }

    /// Hands a command over; gives it back where the pipeline has ended.
    pub(super) fn command(&self, command: C) -> Result<(), C> {
        let mut state = self
            .room_made
            .wait_while(self.lock(), |state| !state.closed && state.commands.len() >= MAX_COMMANDS)
            .unwrap_or_else(PoisonError::into_inner);
        if state.closed {
            return Err(command);
        }
        state.commands.push_back(command);
        self.work_arrived.notify_one();
        Ok(())
    }

    /// Hands a request over, or gives it back.
    pub(super) fn request(&self, request: R) -> Result<(), NotTaken<R>> {
        let mut state = self.lock();
        if state.closed {
            return Err(NotTaken::Closed(request));
        }
        if state.requests.len() >= MAX_REQUESTS {
            return Err(NotTaken::Full(request));
        }
        state.requests.push_back(request);
        self.work_arrived.notify_one();
        Ok(())
    }

    /// Takes no more frames, commands and requests; what waits is still worked off.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.work_arrived.notify_all();
        self.room_made.notify_all();
    }

    /// While it is paused, frames are dropped: those that wait and those that come.
    pub(super) fn set_paused(&self, paused: bool) {
        let mut state = self.lock();
        state.paused = paused;
        if paused {
            for mailbox in &mut state.mailboxes {
                mailbox.counts.dropped += mailbox.waiting.len() as u64;
                mailbox.waiting.clear();
            }
            self.room_made.notify_all();
        }
    }

    pub(super) fn counts(&self, camera: CameraId) -> CameraCounts {
        self.lock().mailboxes[camera.0].counts
    }

    /// Waits for work and takes it.
    ///
    /// Under `Block` a batch is always the next `max_batch` frames in the order in which they were
    /// posted (fewer only at the end), whatever the timing: two replays make the same batches, and
    /// so the same bits. Under `LatestWins` it is what is there now, one frame of each camera, that
    /// camera first which has waited for its turn longest: cameras that run in step get equal
    /// shares.
    pub(super) fn take(&self) -> Work<C, R> {
        let state = self.lock();
        let mut state = self
            .work_arrived
            .wait_while(state, |state| {
                let frames: usize = state.mailboxes.iter().map(|m| m.waiting.len()).sum();
                let enough = match self.policy {
                    Policy::LatestWins => 1,
                    Policy::Block => self.max_batch,
                };
                let urgent = !state.commands.is_empty() || !state.requests.is_empty();
                !state.closed && !urgent && frames < enough
            })
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(command) = state.commands.pop_front() {
            self.room_made.notify_all();
            return Work::Command(command);
        }
        let is_frame_waiting = state.mailboxes.iter().any(|mailbox| !mailbox.waiting.is_empty());
        if !(state.was_request && is_frame_waiting)
            && let Some(request) = state.requests.pop_front()
        {
            state.was_request = true;
            return Work::Request(request);
        }
        state.was_request = false;
        let mut batch = Vec::new();
        while batch.len() < self.max_batch {
            let next = state
                .mailboxes
                .iter()
                .enumerate()
                .filter_map(|(index, mailbox)| {
                    let turn = match self.policy {
                        Policy::LatestWins => mailbox.last_taken,
                        Policy::Block => 0,
                    };
                    Some((turn, mailbox.waiting.front()?.order, index))
                })
                .min();
            let Some((_, _, index)) = next else { break };
            state.takes += 1;
            let takes = state.takes;
            let mailbox = &mut state.mailboxes[index];
            if let Some(waiting) = mailbox.waiting.pop_front() {
                mailbox.last_taken = takes;
                mailbox.counts.taken += 1;
                let mut incoming = waiting.incoming;
                incoming.timings.add(crate::types::Stage::Wait, waiting.posted_at.elapsed());
                batch.push((CameraId(index), incoming));
            }
        }
        self.room_made.notify_all();
        if batch.is_empty() { Work::End } else { Work::Batch(batch) }
    }
}

#[cfg(test)]
mod tests;
