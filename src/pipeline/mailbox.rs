//! Per-camera mailboxes and the command queue of the inference thread, under one lock.

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
    /// The pipeline has ended; nobody will look at it.
    Closed,
}

/// What happened to the frames of one camera so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CameraCounts {
    /// Posted to the mailbox.
    pub received: u64,
    /// Dropped because a newer frame came first.
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
    counts: CameraCounts,
}

struct State<C> {
    mailboxes: Vec<Mailbox>,
    commands: VecDeque<C>,
    next_order: u64,
    closed: bool,
}

/// What the inference thread is to do next.
pub(super) enum Work<C> {
    /// A command; commands go before frames, so that a new prompt set holds from the next frame.
    Command(C),
    /// Frames, oldest first; each with its camera and its wait included in the timings.
    Batch(Vec<(CameraId, Incoming)>),
    /// Closed, and nothing is left.
    End,
}

/// All mailboxes of a pipeline. Frames are [`Incoming`], commands are `C`.
pub(super) struct Inbox<C> {
    policy: Policy,
    max_batch: usize,
    state: Mutex<State<C>>,
    work_arrived: Condvar,
    room_made: Condvar,
}

/// Commands that may wait at one time; a poster of more waits for room.
const MAX_COMMANDS: usize = 16;

impl<C> Inbox<C> {
    pub(super) fn new(cameras: usize, policy: Policy, max_batch: usize) -> Arc<Self> {
        Arc::new(Self {
            policy,
            max_batch: max_batch.max(1),
            state: Mutex::new(State {
                mailboxes: (0..cameras).map(|_| Mailbox::default()).collect(),
                commands: VecDeque::new(),
                next_order: 0,
                closed: false,
            }),
            work_arrived: Condvar::new(),
            room_made: Condvar::new(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State<C>> {
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
        let mailbox = &mut state.mailboxes[camera.0];
        mailbox.counts.received += 1;
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

    /// Takes no more frames and commands; what waits is still worked off.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.work_arrived.notify_all();
        self.room_made.notify_all();
    }

    pub(super) fn counts(&self, camera: CameraId) -> CameraCounts {
        self.lock().mailboxes[camera.0].counts
    }

    /// Waits for work and takes it.
    ///
    /// Under `Block` a batch is always the next `max_batch` frames in the order in which they were
    /// posted (fewer only at the end), whatever the timing: two replays make the same batches, and
    /// so the same bits. Under `LatestWins` it is what is there now, one frame of each camera.
    pub(super) fn take(&self) -> Work<C> {
        let state = self.lock();
        let mut state = self
            .work_arrived
            .wait_while(state, |state| {
                let frames: usize = state.mailboxes.iter().map(|m| m.waiting.len()).sum();
                let enough = match self.policy {
                    Policy::LatestWins => 1,
                    Policy::Block => self.max_batch,
                };
                !state.closed && state.commands.is_empty() && frames < enough
            })
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(command) = state.commands.pop_front() {
            self.room_made.notify_all();
            return Work::Command(command);
        }
        let mut batch = Vec::new();
        while batch.len() < self.max_batch {
            let oldest = state
                .mailboxes
                .iter()
                .enumerate()
                .filter_map(|(index, mailbox)| Some((mailbox.waiting.front()?.order, index)))
                .min();
            let Some((_, index)) = oldest else { break };
            let mailbox = &mut state.mailboxes[index];
            if let Some(waiting) = mailbox.waiting.pop_front() {
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
mod tests {
    use std::thread;
    use std::time::Duration;

    use image::RgbImage;

    use super::*;
    use crate::types::{FrameHeader, Stage, Stamp};

    fn incoming(stamp: i64) -> Incoming {
        let header = FrameHeader { stamp: Stamp(stamp), frame_id: "camera".into() };
        let frame = Frame {
            camera: "/image".into(),
            header,
            received: Stamp(stamp),
            image: Arc::new(RgbImage::new(1, 1)),
        };
        Incoming { frame, timings: StageTimings::default() }
    }

    fn stamps(work: Work<()>) -> Vec<i64> {
        match work {
            Work::Batch(batch) => batch.iter().map(|(_, i)| i.frame.header.stamp.0).collect(),
            Work::Command(()) => panic!("a command where frames were expected"),
            Work::End => Vec::new(),
        }
    }

    #[test]
    fn latest_wins_keeps_one_frame_of_each_camera_and_counts_the_rest() {
        let inbox = Inbox::<()>::new(2, Policy::LatestWins, 8);
        assert_eq!(inbox.post(CameraId(0), incoming(1)), Posted::Stored);
        assert_eq!(inbox.post(CameraId(1), incoming(2)), Posted::Stored);
        assert_eq!(inbox.post(CameraId(0), incoming(3)), Posted::ReplacedOlder);
        assert_eq!(stamps(inbox.take()), [2, 3]);
        assert_eq!(inbox.counts(CameraId(0)), CameraCounts { received: 2, dropped: 1, taken: 1 });
        assert_eq!(inbox.counts(CameraId(1)).dropped, 0);
    }

    #[test]
    fn a_camera_that_floods_does_not_starve_the_others() {
        let inbox = Inbox::<()>::new(2, Policy::LatestWins, 1);
        inbox.post(CameraId(0), incoming(1));
        inbox.post(CameraId(1), incoming(2));
        inbox.post(CameraId(0), incoming(3));
        assert_eq!(stamps(inbox.take()), [2], "camera 1 waited longest");
        inbox.post(CameraId(1), incoming(4));
        assert_eq!(stamps(inbox.take()), [3]);
    }

    #[test]
    fn block_makes_the_same_batches_whatever_the_timing() {
        for pause_posts in [false, true] {
            let inbox = Inbox::<()>::new(2, Policy::Block, 3);
            let poster = Arc::clone(&inbox);
            let thread = thread::spawn(move || {
                // Camera 0 gives far more frames than camera 1.
                for stamp in 0..20 {
                    let camera = CameraId(usize::from(stamp % 7 == 6));
                    assert_eq!(poster.post(camera, incoming(stamp)), Posted::Stored);
                    if pause_posts {
                        thread::sleep(Duration::from_millis(1));
                    }
                }
                poster.close();
            });
            let mut batches = Vec::new();
            loop {
                let batch = stamps(inbox.take());
                if batch.is_empty() {
                    break;
                }
                batches.push(batch);
                if !pause_posts {
                    thread::sleep(Duration::from_millis(1));
                }
            }
            thread.join().unwrap();
            let expected: Vec<Vec<i64>> =
                (0..20).collect::<Vec<_>>().chunks(3).map(Vec::from).collect();
            assert_eq!(batches, expected);
            assert_eq!(inbox.counts(CameraId(0)).dropped, 0);
        }
    }

    #[test]
    fn commands_go_first_and_a_closed_inbox_is_worked_off_then_ends() {
        let inbox = Inbox::new(1, Policy::LatestWins, 1);
        inbox.post(CameraId(0), incoming(1));
        inbox.command("prompts").unwrap();
        inbox.close();
        assert_eq!(inbox.post(CameraId(0), incoming(2)), Posted::Closed);
        assert_eq!(inbox.command("late"), Err("late"));
        assert!(matches!(inbox.take(), Work::Command("prompts")));
        assert!(matches!(inbox.take(), Work::Batch(batch) if batch.len() == 1));
        assert!(matches!(inbox.take(), Work::End));
    }

    #[test]
    fn the_wait_is_timed() {
        let inbox = Inbox::<()>::new(1, Policy::LatestWins, 1);
        inbox.post(CameraId(0), incoming(1));
        thread::sleep(Duration::from_millis(2));
        let Work::Batch(batch) = inbox.take() else { panic!("no frame") };
        assert!(batch[0].1.timings.get(Stage::Wait).unwrap() >= Duration::from_millis(2));
    }
}
