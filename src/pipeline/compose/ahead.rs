//! What encodes the texts of detectors that are made of several.

use std::sync::Arc;

use crate::tasks::PromptsAhead;
use crate::types::PromptSet;

/// The part of a set that one of several gets.
type Part = fn(&Arc<PromptSet>) -> Arc<PromptSet>;

/// Several, each with its part.
#[derive(Default)]
pub(super) struct Ahead(Vec<(Arc<dyn PromptsAhead>, Part)>);

impl Ahead {
    pub(super) fn add(&mut self, ahead: Option<Arc<dyn PromptsAhead>>, part: Part) {
        self.0.extend(ahead.map(|ahead| (ahead, part)));
    }

    pub(super) fn into_one(self) -> Option<Arc<dyn PromptsAhead>> {
        (!self.0.is_empty()).then(|| Arc::new(self) as _)
    }
}

impl PromptsAhead for Ahead {
    fn encode(&self, prompts: &PromptSet) {
        let prompts = Arc::new(prompts.clone());
        for (ahead, part) in &self.0 {
            ahead.encode(&part(&prompts));
        }
    }
}
