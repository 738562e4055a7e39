//! What encodes the texts of detectors that are made of several.

use std::sync::Arc;

use crate::tasks::PromptsAhead;
use crate::types::PromptSet;

/// Several, each with the part of a set that it gets.
#[derive(Default)]
pub(super) struct Ahead(Vec<(Arc<dyn PromptsAhead>, fn(&Arc<PromptSet>) -> Arc<PromptSet>)>);

impl Ahead {
    pub(super) fn add(
        &mut self,
        ahead: Option<Arc<dyn PromptsAhead>>,
        part: fn(&Arc<PromptSet>) -> Arc<PromptSet>,
    ) {
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
