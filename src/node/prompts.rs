//! Prompts that change while the node runs: one set after the other, each as a whole.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::Node;
use crate::config::prompts::{PromptsMessage, parse_message};
use crate::pipeline::{Pipeline, SetPromptsError};
use crate::transport::live::{PromptsAnswer, PromptsRecord, PromptsRefused, PromptsReply};
use crate::types::{PromptProblem, PromptSet};

/// Sets that may wait; more are refused.
const MAX_WAITING: usize = 8;
/// Texts of one set. Encoding them keeps the cameras waiting.
const MAX_TEXTS: usize = 1000;

/// The set in use, and those that are to take its place.
pub(super) struct PromptDesk {
    threshold: f32,
    state: Mutex<State>,
    arrived: Condvar,
}

struct State {
    in_use: Arc<PromptSet>,
    waiting: VecDeque<(Vec<u8>, PromptsReply)>,
    closed: bool,
}

impl PromptDesk {
    pub(super) fn new(in_use: Option<Arc<PromptSet>>, threshold: f32) -> Self {
        let none = || {
            let prompts = Vec::new();
            Arc::new(PromptSet { version: 0, prompts, default_threshold: threshold })
        };
        let in_use = in_use.unwrap_or_else(none);
        let state = State { in_use, waiting: VecDeque::new(), closed: false };
        Self { threshold, state: Mutex::new(state), arrived: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing under this lock can leave the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The set in use; version 0 with no prompts where there is none.
    pub(super) fn in_use(&self) -> Arc<PromptSet> {
        Arc::clone(&self.lock().in_use)
    }

    pub(super) fn record(&self) -> PromptsRecord {
        PromptsRecord::from(&*self.in_use())
    }

    /// Hands a set over to the prompts thread, or refuses it where too many wait.
    pub(super) fn post(&self, text: Vec<u8>, reply: PromptsReply) {
        let mut state = self.lock();
        if state.closed || state.waiting.len() >= MAX_WAITING {
            let reason = match state.closed {
                true => "the node is ending".to_owned(),
                false => format!("busy: {MAX_WAITING} sets wait already"),
            };
            let refused = PromptsRefused::new(state.in_use.version, [reason]);
            drop(state);
            return reply(&Err(refused));
        }
        state.waiting.push_back((text, reply));
        self.arrived.notify_one();
    }

    fn take(&self) -> Option<(Vec<u8>, PromptsReply)> {
        let mut state = self
            .arrived
            .wait_while(self.lock(), |state| !state.closed && state.waiting.is_empty())
            .unwrap_or_else(PoisonError::into_inner);
        if state.closed { None } else { state.waiting.pop_front() }
    }

    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.arrived.notify_all();
    }

    /// Puts a set into use, or says why not.
    fn replace(&self, text: &[u8], pipeline: &Pipeline) -> PromptsAnswer {
        let before = self.in_use().version;
        let set = self.read(text, before)?;
        let refused = |problems: Vec<PromptProblem>| {
            let reasons = problems.into_iter().map(|problem| match problem.prompt.as_str() {
                "" => problem.reason,
                name => format!("{name:?}: {}", problem.reason),
            });
            PromptsRefused::new(before, reasons)
        };
        match pipeline.set_prompts(Arc::clone(&set)) {
            Ok(()) => {
                let record = PromptsRecord::from(&*set);
                self.lock().in_use = set;
                Ok(record)
            }
            Err(SetPromptsError::Refused(why)) => Err(refused(why.problems)),
            Err(SetPromptsError::Closed(closed)) => {
                Err(PromptsRefused::new(before, [closed.to_string()]))
            }
        }
    }

    fn read(&self, text: &[u8], before: u64) -> Result<Arc<PromptSet>, PromptsRefused> {
        let refuse = |reason: String| Err(PromptsRefused::new(before, [reason]));
        let PromptsMessage { prompts, replaces } = parse_message(text).map_err(|error| {
            PromptsRefused::new(before, error.problems.iter().map(ToString::to_string))
        })?;
        if let Some(replaces) = replaces.filter(|replaces| *replaces != before) {
            return refuse(format!(
                "expected to replace version {replaces}, found version {before} in use"
            ));
        }
        let texts: usize = prompts.iter().map(|prompt| prompt.texts.len()).sum();
        if texts > MAX_TEXTS {
            return refuse(format!("expected at most {MAX_TEXTS} texts, found {texts}"));
        }
        let (version, default_threshold) = (before + 1, self.threshold);
        Ok(Arc::new(PromptSet { version, prompts, default_threshold }))
    }
}

impl Node {
    /// The prompts thread: one set after the other.
    pub(super) fn work_off_prompts(&self) {
        while let Some((text, reply)) = self.prompts.take() {
            let answer = self.prompts.replace(&text, &self.pipeline);
            match &answer {
                Ok(set) => {
                    let count = set.prompts.len();
                    tracing::info!("prompts version {} in use: {count} of them", set.version);
                    if let Some(output) = self.output() {
                        output.prompts_in_use(set);
                    }
                }
                Err(refused) => tracing::warn!("{}: {}", refused.error, refused.reasons.join("; ")),
            }
            reply(&answer);
        }
    }
}
