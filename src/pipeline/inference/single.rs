//! Frames that belong to no camera's stream, some with prompts of their own.

use std::sync::Arc;
use std::time::Instant;

use super::{InferenceLoop, Outcome, failure, outcome};
use crate::pipeline::mailbox::Incoming;
use crate::types::{PromptSet, Stage};

/// One frame outside of every camera's stream.
pub(super) struct Request {
    pub(super) incoming: Incoming,
    /// What is looked for in it; `None` for the set in use.
    pub(super) prompts: Option<Arc<PromptSet>>,
    pub(super) posted_at: Instant,
    pub(super) answer: Box<dyn FnOnce(Outcome) + Send>,
}

impl InferenceLoop {
    pub(super) fn answer(&mut self, request: Request) {
        let Request { mut incoming, prompts, posted_at, answer } = request;
        incoming.timings.add(Stage::Wait, posted_at.elapsed());
        answer(match prompts {
            Some(prompts) => self.look_for(prompts, incoming),
            None => self.look_at(incoming),
        });
    }

    /// Looks for other prompts than those in use, which are in use again afterwards.
    fn look_for(&mut self, prompts: Arc<PromptSet>, incoming: Incoming) -> Outcome {
        if let Err(refused) = self.detector.set_prompts(Arc::clone(&prompts)) {
            // The set in use has stayed.
            let reasons: Vec<_> = prompts.reasons_of(refused.problems).collect();
            return failure(incoming, reasons.join("; "));
        }
        let in_use = self.prompts.replace(prompts);
        let outcome = self.look_at(incoming);
        // Without one before, nothing is looked for in frames until one is set.
        self.prompts = in_use.filter(|in_use| {
            let back = self.detector.set_prompts(Arc::clone(in_use));
            if let Err(refused) = &back {
                tracing::error!("the prompts that were in use could not be used again: {refused}");
            }
            back.is_ok()
        });
        outcome
    }

    /// One frame by itself.
    fn look_at(&mut self, incoming: Incoming) -> Outcome {
        match self.detect(std::slice::from_ref(&incoming)) {
            Ok((mut found, prompts)) => match found.pop() {
                Some(found) => outcome(incoming, found, &prompts),
                None => failure(incoming, "no result for the image".to_owned()),
            },
            Err(error) => failure(incoming, error.to_string()),
        }
    }
}
