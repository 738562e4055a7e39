//! Prompts that change while the node runs: one set after the other, each as a whole.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::lessons::with_exemplar;
use super::{ENDING, Node};
use crate::config::prompts::{PromptsMessage, parse_message};
use crate::pipeline::{Pipeline, SetPromptsError};
use crate::transport::live::{Lesson, PromptsAnswer, PromptsRefused, PromptsReply};
use crate::types::{Prompt, PromptSet};

/// Sets that may wait; more are refused.
const MAX_WAITING: usize = 8;
/// Texts of one set, each counted in all its templates. Encoding them keeps the cameras waiting.
const MAX_TEXTS: usize = 1000;

/// The set in use, and those that are to take its place.
pub(super) struct PromptDesk {
    state: Mutex<State>,
    arrived: Condvar,
}

struct State {
    in_use: Arc<PromptSet>,
    /// Of sets that bring none along.
    threshold: f32,
    waiting: VecDeque<(Wanted, PromptsReply)>,
    closed: bool,
}

/// What is to be in use.
enum Wanted {
    /// A set as text, in the form of a prompts file.
    Text(Vec<u8>),
    /// A set of which some is new.
    Change(PromptsChange),
    /// The set in use with an exemplar more, or another bank.
    Lesson(Lesson),
}

/// What is to be other than in the set in use; it is replaced as a whole all the same.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PromptsChange {
    /// The prompts; `None` for those in use.
    pub prompts: Option<Vec<Prompt>>,
    /// Lowest score, in `[0, 1]`, of prompts with none of their own; `None` for the one in use.
    pub threshold: Option<f32>,
}

impl PromptDesk {
    pub(super) fn new(in_use: Option<Arc<PromptSet>>, threshold: f32) -> Self {
        let none = || {
            let prompts = Vec::new();
            Arc::new(PromptSet { version: 0, prompts, default_threshold: threshold })
        };
        let in_use = in_use.unwrap_or_else(none);
        let state = State { in_use, threshold, waiting: VecDeque::new(), closed: false };
        Self { state: Mutex::new(state), arrived: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing under this lock can leave the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The set in use; version 0 with no prompts where there is none.
    pub(super) fn in_use(&self) -> Arc<PromptSet> {
        Arc::clone(&self.lock().in_use)
    }

    /// Hands a set over to the prompts thread, or refuses it where too many wait.
    fn post(&self, wanted: Wanted, reply: PromptsReply) {
        let mut state = self.lock();
        if state.closed || state.waiting.len() >= MAX_WAITING {
            let reason = match state.closed {
                true => ENDING.to_owned(),
                false => format!("busy: {MAX_WAITING} sets wait already"),
            };
            let refused = PromptsRefused::new(state.in_use.version, [reason]);
            drop(state);
            return reply(&Err(refused));
        }
        state.waiting.push_back((wanted, reply));
        self.arrived.notify_one();
    }

    pub(super) fn post_text(&self, text: Vec<u8>, reply: PromptsReply) {
        self.post(Wanted::Text(text), reply);
    }

    pub(super) fn post_lesson(&self, lesson: Lesson, reply: PromptsReply) {
        self.post(Wanted::Lesson(lesson), reply);
    }

    fn take(&self) -> Option<(Wanted, PromptsReply)> {
        let mut state = self
            .arrived
            .wait_while(self.lock(), |state| !state.closed && state.waiting.is_empty())
            .unwrap_or_else(PoisonError::into_inner);
        if state.closed { None } else { state.waiting.pop_front() }
    }

    /// Takes no more. What waits is refused.
    pub(super) fn close(&self) {
        let (waiting, version) = {
            let mut state = self.lock();
            state.closed = true;
            (std::mem::take(&mut state.waiting), state.in_use.version)
        };
        self.arrived.notify_all();
        for (_, reply) in waiting {
            reply(&Err(PromptsRefused::new(version, [ENDING.to_owned()])));
        }
    }

    /// Puts a set into use, or says why not.
    fn replace(&self, wanted: Wanted, pipeline: &Pipeline) -> PromptsAnswer {
        let in_use = self.in_use();
        let before = in_use.version;
        let set = match wanted {
            Wanted::Text(text) => self.read(&text, before)?,
            Wanted::Lesson(Lesson::Exemplar(shown)) => with_exemplar(shown, &in_use)?,
            Wanted::Lesson(Lesson::Bank(lesson)) => {
                return self.change_bank(lesson, &in_use, pipeline);
            }
            Wanted::Change(change) => {
                let default_threshold = change.threshold.unwrap_or(self.lock().threshold);
                if change.prompts.is_none() && before == 0 {
                    // There is nothing yet that it could hold for.
                    let prompts = Vec::new();
                    let set = Arc::new(PromptSet { version: 0, prompts, default_threshold });
                    self.put(Arc::clone(&set));
                    return Ok(set);
                }
                let prompts = change.prompts.unwrap_or_else(|| in_use.prompts.clone());
                PromptSet { version: before + 1, prompts, default_threshold }
            }
        };
        self.put_into_use(set, before, pipeline)
    }

    pub(super) fn put_into_use(
        &self,
        set: PromptSet,
        before: u64,
        pipeline: &Pipeline,
    ) -> PromptsAnswer {
        check_size(&set).map_err(|reason| PromptsRefused::new(before, [reason]))?;
        let set = Arc::new(set);
        match pipeline.set_prompts(Arc::clone(&set)) {
            Ok(()) => {
                self.put(Arc::clone(&set));
                Ok(set)
            }
            Err(SetPromptsError::Refused(why)) => {
                Err(PromptsRefused::new(before, set.reasons_of(why.problems)))
            }
            Err(SetPromptsError::Closed(closed)) => {
                Err(PromptsRefused::new(before, [closed.to_string()]))
            }
        }
    }

    fn put(&self, set: Arc<PromptSet>) {
        let mut state = self.lock();
        state.threshold = set.default_threshold;
        state.in_use = set;
    }

    /// A set that is looked for in one image, and never in use: of version 0.
    pub(super) fn read_for_one(&self, text: &[u8]) -> Result<PromptSet, String> {
        let set = self.read(text, 0).map_err(|refused| refused.reasons.join("; "))?;
        check_size(&set)?;
        Ok(PromptSet { version: 0, ..set })
    }

    fn read(&self, text: &[u8], before: u64) -> Result<PromptSet, PromptsRefused> {
        let PromptsMessage { prompts, replaces } = parse_message(text).map_err(|error| {
            PromptsRefused::new(before, error.problems.iter().map(ToString::to_string))
        })?;
        if let Some(replaces) = replaces.filter(|replaces| *replaces != before) {
            let reason =
                format!("expected to replace version {replaces}, found version {before} in use");
            return Err(PromptsRefused::new(before, [reason]));
        }
        let default_threshold = self.lock().threshold;
        Ok(PromptSet { version: before + 1, prompts, default_threshold })
    }
}

fn check_size(set: &PromptSet) -> Result<(), String> {
    let texts: usize = set.prompts.iter().map(Prompt::text_count).fold(0, usize::saturating_add);
    match texts > MAX_TEXTS {
        true => Err(format!("expected at most {MAX_TEXTS} texts, found {texts}")),
        false => Ok(()),
    }
}

impl Node {
    /// Changes the set in use as a whole. `reply` is called on the prompts thread, before the next
    /// set is looked at.
    pub fn change_prompts(&self, change: PromptsChange, reply: PromptsReply) {
        self.prompts.post(Wanted::Change(change), reply);
    }

    /// The prompts thread: one set after the other.
    pub(super) fn work_off_prompts(&self) {
        while let Some((wanted, reply)) = self.prompts.take() {
            let answer = self.prompts.replace(wanted, &self.pipeline);
            match &answer {
                Ok(set) => {
                    let count = set.prompts.len();
                    tracing::info!("prompts version {} in use: {count} of them", set.version);
                    self.output.prompts_in_use(set, &self.pipeline.info().name);
                }
                Err(refused) => tracing::warn!("{}: {}", refused.error, refused.reasons.join("; ")),
            }
            reply(&answer);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn sets_that_wait_when_the_model_is_freed_are_answered() {
        let desk = PromptDesk::new(None, 0.1);
        let (told, answers) = mpsc::channel();
        let post = || {
            let told = told.clone();
            let reply = move |became: &PromptsAnswer| {
                let reasons =
                    became.as_ref().map_or_else(|refused| refused.reasons.clone(), |_| Vec::new());
                told.send(reasons).unwrap();
            };
            desk.post_text(b"[a mug]".to_vec(), Box::new(reply));
        };
        post();
        post();
        desk.close();
        // One that comes afterwards, too.
        post();
        let reasons: Vec<_> = answers.try_iter().collect();
        assert_eq!(reasons, [[ENDING], [ENDING], [ENDING]]);
        assert!(desk.take().is_none());
    }
}
