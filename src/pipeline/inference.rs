//! The thread that owns every tensor.

mod single;

use std::any::Any;
use std::fmt::{Debug, Display};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use tokio::sync::{mpsc, oneshot};

use self::single::Request;
use super::mailbox::{
    CameraCounts, CameraId, Inbox, Incoming, MAX_REQUESTS, NotTaken, Policy, Posted, Work,
};
use crate::tasks::{
    BankChange, BankChanged, BankRefused, DetectError, DetectionRules, Detector, ImageDetections,
    ModelInfo, PromptsAhead,
};
use crate::types::{Frame, FrameDetections, PromptSet, PromptSetRefused};

/// How a pipeline is set up.
#[derive(Clone, Debug)]
pub struct PipelineOptions {
    /// One mailbox for each, by topic, key or path; more may come later
    /// ([`Pipeline::add_camera`]).
    pub cameras: Vec<Arc<str>>,
    /// What a full mailbox does.
    pub policy: Policy,
    /// Most frames that share one pass of the network; at least 1. Fewer do where the detector's
    /// device gains nothing from more ([`ModelInfo::useful_batch`]).
    pub max_batch: usize,
    /// Results that may wait for their consumer before inference waits too; at least 1.
    pub results_capacity: usize,
}

/// What became of one frame that reached the network.
#[derive(Debug)]
pub enum Outcome {
    /// It was looked at. The frame comes along for overlays.
    Found {
        /// What was found in it.
        detections: FrameDetections,
        /// The frame itself.
        frame: Frame,
        /// The best score of each prompt ([`ImageDetections::best_scores`]); empty where it is not
        /// known.
        best_scores: Vec<f32>,
    },
    /// It could not be looked at; the next one is.
    Failed(FrameFailure),
}

/// A frame that gave no result.
#[derive(Debug)]
pub struct FrameFailure {
    /// The frame.
    pub frame: Frame,
    /// Why.
    pub reason: String,
}

/// Why a pipeline did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError<E: Debug + Display> {
    /// The detector could not be made.
    #[error("{0}")]
    Detector(E),
    /// The system gave no thread, or making the detector panicked.
    #[error("the inference thread could not start: {reason}")]
    Thread {
        /// The system's or the panic's own words.
        reason: String,
    },
}

/// The inference thread has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the pipeline has ended")]
pub struct PipelineClosed;

/// Why a prompt set is not in use.
#[derive(Debug, thiserror::Error)]
pub enum SetPromptsError {
    /// It was refused; the set in use before stays.
    #[error(transparent)]
    Refused(#[from] PromptSetRefused),
    /// There is nobody to use it.
    #[error(transparent)]
    Closed(#[from] PipelineClosed),
}

/// Why a bank is as it was.
#[derive(Debug, thiserror::Error)]
pub enum ChangeBankError {
    /// It was refused.
    #[error(transparent)]
    Refused(#[from] BankRefused),
    /// There is nobody to change it.
    #[error(transparent)]
    Closed(#[from] PipelineClosed),
}

enum Command {
    SetPrompts(Arc<PromptSet>, oneshot::Sender<Result<(), PromptSetRefused>>),
    SetRules(DetectionRules),
    ChangeBank(BankChange, oneshot::Sender<Result<BankChanged, BankRefused>>),
    /// Tells that all that was begun before is over.
    Tell(oneshot::Sender<()>),
}

type Mailboxes = Inbox<Command, Request>;

/// A running inference thread. Dropping it closes the mailboxes and waits for the thread.
pub struct Pipeline {
    info: ModelInfo,
    prompts_ahead: Option<Arc<dyn PromptsAhead>>,
    cameras: Mutex<Vec<Arc<str>>>,
    inbox: Arc<Mailboxes>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Pipeline {
    /// Starts the thread, makes the detector on it and waits until it is ready. Results come out
    /// of the receiver, in the order in which frames were taken.
    ///
    /// # Errors
    /// What `make_detector` reports, or that there was no thread.
    pub fn start<E>(
        options: PipelineOptions,
        make_detector: impl FnOnce() -> Result<Box<dyn Detector>, E> + Send + 'static,
    ) -> Result<(Self, mpsc::Receiver<Outcome>), StartError<E>>
    where
        E: Debug + Display + Send + 'static,
    {
        let (results, receiver) = mpsc::channel(options.results_capacity.max(1));
        let (ready, started) = oneshot::channel();
        // The inbox is made here and handed over, since its batches depend on the detector.
        let (hand_over, handed_over) = oneshot::channel();
        let thread = thread::Builder::new()
            .name("inference".to_owned())
            .spawn(move || match make_detector() {
                Ok(detector) => {
                    // Either fails only where the starter is gone; there is nothing to do then.
                    if ready.send(Ok((detector.info().clone(), detector.prompts_ahead()))).is_ok()
                        && let Ok(inbox) = handed_over.blocking_recv()
                    {
                        InferenceLoop { detector, prompts: None, inbox, results }.run();
                    }
                }
                Err(error) => {
                    let _ = ready.send(Err(error));
                }
            })
            .map_err(|error| StartError::Thread { reason: error.to_string() })?;
        match started.blocking_recv() {
            Ok(Ok((info, prompts_ahead))) => {
                let max_batch = options.max_batch.min(info.useful_batch);
                let inbox = Inbox::new(options.cameras.len(), options.policy, max_batch);
                if hand_over.send(Arc::clone(&inbox)).is_err() {
                    inbox.close();
                }
                let cameras = Mutex::new(options.cameras);
                let pipeline = Self { info, prompts_ahead, cameras, inbox, thread: Some(thread) };
                Ok((pipeline, receiver))
            }
            Ok(Err(error)) => Err(StartError::Detector(error)),
            Err(_) => {
                let reason = match thread.join() {
                    Err(panic) => panic_message(&*panic),
                    Ok(()) => "it ended before it was ready".to_owned(),
                };
                Err(StartError::Thread { reason })
            }
        }
    }

    /// What is running and where.
    #[must_use]
    pub fn info(&self) -> &ModelInfo {
        &self.info
    }

    /// The mailbox of a camera, by the name it has in the options or was added with.
    #[must_use]
    pub fn camera(&self, name: &str) -> Option<CameraId> {
        let cameras = self.cameras.lock().unwrap_or_else(PoisonError::into_inner);
        cameras.iter().position(|known| &**known == name).map(CameraId)
    }

    /// A mailbox for a camera that has turned up while the pipeline runs.
    pub fn add_camera(&self, name: Arc<str>) -> CameraId {
        let mut cameras = self.cameras.lock().unwrap_or_else(PoisonError::into_inner);
        cameras.push(name);
        self.inbox.add_camera()
    }

    /// Puts a frame into its camera's mailbox. Waits for room under [`Policy::Block`].
    pub fn post(&self, camera: CameraId, incoming: Incoming) -> Posted {
        self.inbox.post(camera, incoming)
    }

    /// Has one frame looked at that belongs to no camera's stream. `answer` is called once: on the
    /// inference thread, where it must not take long, or here with [`Outcome::Failed`] where too
    /// many requests wait already or the pipeline has ended. Requests and the cameras' frames take
    /// turns.
    ///
    /// `prompts` are looked for in this frame alone, and what is wrong with them is the answer;
    /// `None` for those in use. They are encoded on the thread of the caller where that can be
    /// done.
    pub fn request(
        &self,
        incoming: Incoming,
        prompts: Option<Arc<PromptSet>>,
        answer: impl FnOnce(Outcome) + Send + 'static,
    ) {
        if let (Some(ahead), Some(prompts)) = (&self.prompts_ahead, &prompts) {
            ahead.encode(prompts);
        }
        let posted_at = Instant::now();
        let request = Request { incoming, prompts, posted_at, answer: Box::new(answer) };
        let (refused, reason) = match self.inbox.request(request) {
            Ok(()) => return,
            Err(NotTaken::Full(request)) => {
                (request, format!("busy: {MAX_REQUESTS} requests wait already"))
            }
            Err(NotTaken::Closed(request)) => (request, PipelineClosed.to_string()),
        };
        (refused.answer)(failure(refused.incoming, reason));
    }

    /// Replaces the prompts between two frames and waits for the answer. Texts and exemplars are
    /// encoded on the thread of the caller first, where the detector can do that beside its images.
    ///
    /// # Errors
    /// Every problem of every prompt, or that the pipeline has ended.
    pub fn set_prompts(&self, prompts: Arc<PromptSet>) -> Result<(), SetPromptsError> {
        if let Some(ahead) = &self.prompts_ahead {
            ahead.encode(&prompts);
        }
        let (reply, answer) = oneshot::channel();
        self.inbox.command(Command::SetPrompts(prompts, reply)).map_err(|_| PipelineClosed)?;
        Ok(answer.blocking_recv().map_err(|_| PipelineClosed)??)
    }

    /// Changes what happens to boxes after the network, from the next frame on.
    ///
    /// # Errors
    /// The pipeline has ended.
    pub fn set_rules(&self, rules: DetectionRules) -> Result<(), PipelineClosed> {
        self.inbox.command(Command::SetRules(rules)).map_err(|_| PipelineClosed)
    }

    /// Changes the bank of pairs between two frames and waits for the answer.
    ///
    /// # Errors
    /// There is no bank, or the pair cannot be one: the bank is as it was; or the pipeline has ended.
    pub fn change_bank(&self, change: BankChange) -> Result<BankChanged, ChangeBankError> {
        let (reply, answer) = oneshot::channel();
        self.inbox.command(Command::ChangeBank(change, reply)).map_err(|_| PipelineClosed)?;
        Ok(answer.blocking_recv().map_err(|_| PipelineClosed)??)
    }

    /// Takes no frames of cameras until [`resume`](Self::resume), drops those that wait, and
    /// comes back when none is being looked at any more. Commands and requests are still worked
    /// on.
    ///
    /// # Errors
    /// The pipeline has ended.
    pub fn pause(&self) -> Result<(), PipelineClosed> {
        self.inbox.set_paused(true);
        let (tell, told) = oneshot::channel();
        self.inbox.command(Command::Tell(tell)).map_err(|_| PipelineClosed)?;
        told.blocking_recv().map_err(|_| PipelineClosed)
    }

    /// Takes frames again.
    pub fn resume(&self) {
        self.inbox.set_paused(false);
    }

    /// What happened to the frames of a camera so far.
    #[must_use]
    pub fn counts(&self, camera: CameraId) -> CameraCounts {
        self.inbox.counts(camera)
    }

    /// Takes no more frames; those that wait are still worked off, then the results end.
    pub fn close(&self) {
        self.inbox.close();
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        self.inbox.close();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the inference thread panicked");
        }
    }
}

struct CloseOnDrop(Arc<Mailboxes>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.close();
    }
}

struct InferenceLoop {
    detector: Box<dyn Detector>,
    prompts: Option<Arc<PromptSet>>,
    inbox: Arc<Mailboxes>,
    results: mpsc::Sender<Outcome>,
}

impl InferenceLoop {
    fn run(mut self) {
        // Whatever ends this thread, posters must not wait for it.
        let _close = CloseOnDrop(Arc::clone(&self.inbox));
        loop {
            match self.inbox.take() {
                Work::Command(Command::SetPrompts(prompts, reply)) => {
                    let answer = self.detector.set_prompts(Arc::clone(&prompts));
                    if answer.is_ok() {
                        self.prompts = Some(prompts);
                    }
                    // Whoever asked may have gone; the set is in use all the same.
                    let _ = reply.send(answer);
                }
                Work::Command(Command::SetRules(rules)) => self.detector.set_rules(rules),
                Work::Command(Command::ChangeBank(change, reply)) => {
                    // Whoever asked may have gone; the bank is changed all the same.
                    let _ = reply.send(self.detector.change_bank(change));
                }
                Work::Command(Command::Tell(told)) => {
                    // Whoever asked may have gone.
                    let _ = told.send(());
                }
                Work::Request(request) => self.answer(request),
                Work::Batch(batch) => {
                    let batch = batch.into_iter().map(|(_, incoming)| incoming).collect();
                    if !self.infer(batch) {
                        return;
                    }
                }
                Work::End => return,
            }
        }
    }

    /// One pass; `false` where nobody takes the results any more.
    fn infer(&mut self, batch: Vec<Incoming>) -> bool {
        match self.detect(&batch) {
            Ok((found, prompts)) => batch
                .into_iter()
                .zip(found)
                .all(|(incoming, found)| self.send(outcome(incoming, found, &prompts))),
            // One bad frame must not take its neighbours down with it.
            Err(_) if batch.len() > 1 => batch.into_iter().all(|one| self.infer(vec![one])),
            Err(error) => {
                batch.into_iter().all(|incoming| self.send(failure(incoming, error.to_string())))
            }
        }
    }

    fn detect(
        &mut self,
        batch: &[Incoming],
    ) -> Result<(Vec<ImageDetections>, Arc<PromptSet>), DetectError> {
        let prompts = self.prompts.clone().ok_or(DetectError::NoPrompts)?;
        let images: Vec<_> =
            batch.iter().map(|incoming| Arc::clone(&incoming.frame.image)).collect();
        let detector = &mut self.detector;
        // libtorch's operators report through panics where a checked form was not used; a frame
        // must never take the node down.
        let found = catch_unwind(AssertUnwindSafe(|| detector.detect(&images))).unwrap_or_else(
            |panic| Err(DetectError::Backend { stage: "detect", message: panic_message(&*panic) }),
        )?;
        if found.len() != batch.len() {
            let message = format!("{} results for {} images", found.len(), batch.len());
            return Err(DetectError::Backend { stage: "detect", message });
        }
        Ok((found, prompts))
    }

    fn send(&self, outcome: Outcome) -> bool {
        self.results.blocking_send(outcome).is_ok()
    }
}

fn outcome(incoming: Incoming, found: ImageDetections, prompts: &Arc<PromptSet>) -> Outcome {
    let Incoming { frame, mut timings } = incoming;
    timings.merge(&found.timings);
    let detections = FrameDetections {
        camera: Arc::clone(&frame.camera),
        header: frame.header.clone(),
        width: frame.image.width(),
        height: frame.image.height(),
        prompts: Arc::clone(prompts),
        detections: found.detections,
        weak: found.weak,
        has_masks: found.has_masks,
        track_ids: None,
        timings,
    };
    Outcome::Found { detections, frame, best_scores: found.best_scores }
}

fn failure(incoming: Incoming, reason: String) -> Outcome {
    Outcome::Failed(FrameFailure { frame: incoming.frame, reason })
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_else(|| "a panic with no message".to_owned())
}

#[cfg(test)]
mod tests;
