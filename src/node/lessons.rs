//! Things that are shown while the node runs.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::prompts::PromptDesk;
use crate::pipeline::Pipeline;
use crate::tasks::{BankChange, PairsToRemove};
use crate::transport::live::{BankLesson, PromptsAnswer, PromptsRefused, ShownThing};
use crate::types::{Exemplar, Prompt, PromptSet};

/// What is said of the origin of pairs that were taught.
const TAUGHT: &str = "taught";

/// The set in use with one exemplar more.
pub(super) fn with_exemplar(
    shown: ShownThing,
    in_use: &PromptSet,
) -> Result<PromptSet, PromptsRefused> {
    let (name, exemplar) = look_at(shown).map_err(|reason| refused(in_use, reason))?;
    let mut set = in_use.clone();
    set.version += 1;
    match set.prompts.iter_mut().find(|prompt| prompt.name == name) {
        Some(prompt) => prompt.exemplars.push(exemplar),
        None => {
            let exemplars = vec![exemplar];
            set.prompts.push(Prompt { name, exemplars, ..Prompt::default() });
        }
    }
    Ok(set)
}

fn refused(in_use: &PromptSet, reason: String) -> PromptsRefused {
    PromptsRefused::new(in_use.version, [reason])
}

/// The name of a thing and its picture, or what is wrong with them.
fn look_at(shown: ShownThing) -> Result<(String, Exemplar), String> {
    let ShownThing { name, box_in_source_px, picture } = shown;
    if name.trim().is_empty() {
        return Err(format!("name: expected a text that is not blank, found {name:?}"));
    }
    // A decoder that panics must not take the node down.
    let picture = match catch_unwind(AssertUnwindSafe(picture)) {
        Ok(picture) => picture.map_err(|error| error.to_string()),
        Err(_) => Err("the decoder panicked".to_owned()),
    };
    let picture =
        picture.map_err(|reason| format!("{name:?}: its picture cannot be used: {reason}"))?;
    Ok((name, Exemplar { picture: Arc::new(picture), box_in_source_px }))
}

/// A prompt of this name that is looked up in the bank; `None` where there is one already.
///
/// # Errors
/// There is one that is not.
fn new_prompt(name: String, caption: &str, in_use: &PromptSet) -> Result<Option<Prompt>, String> {
    match in_use.prompts.iter().find(|prompt| prompt.name == name) {
        Some(known) if known.asif => Ok(None),
        Some(_) => Err(format!(
            "{name:?}: expected a new prompt or one that is looked up in the bank (asif), found one \
             that is not"
        )),
        None => {
            let texts = vec![caption.to_owned()];
            Ok(Some(Prompt { name, texts, asif: true, ..Prompt::default() }))
        }
    }
}

impl PromptDesk {
    /// Changes the bank, adds a prompt for what is shown where there is none of its name, and saves
    /// the bank once all of it is in use.
    pub(super) fn change_bank(
        &self,
        lesson: BankLesson,
        in_use: &Arc<PromptSet>,
        pipeline: &Pipeline,
    ) -> PromptsAnswer {
        let refused = |reason: String| refused(in_use, reason);
        let (change, prompt) = match lesson {
            BankLesson::Forget(pairs) => (BankChange::Remove(pairs), None),
            BankLesson::Pair { caption, .. } if caption.trim().is_empty() => {
                let reason =
                    format!("caption: expected a text that is not blank, found {caption:?}");
                return Err(refused(reason));
            }
            BankLesson::Pair { shown, caption } => {
                let (name, shown) = look_at(shown).map_err(refused)?;
                let prompt = new_prompt(name, &caption, in_use).map_err(refused)?;
                let Exemplar { picture, box_in_source_px } = shown;
                let image = Arc::clone(&picture.image);
                let source = TAUGHT.into();
                (BankChange::Add { image, box_in_source_px, caption, source }, prompt)
            }
        };
        let change_bank = |change| pipeline.change_bank(change).map_err(|error| error.to_string());
        let changed = change_bank(change).map_err(refused)?;
        let set = match prompt {
            None => Arc::clone(in_use),
            Some(prompt) => {
                let mut set = PromptSet::clone(in_use);
                set.version += 1;
                set.prompts.push(prompt);
                let answer = self.put_into_use(set, in_use.version, pipeline);
                if let (Err(_), Some(pair)) = (&answer, changed.added)
                    && let Err(error) = change_bank(BankChange::Remove(PairsToRemove::Pair(pair)))
                {
                    tracing::warn!("pair {pair} stays in the bank: {error}");
                }
                answer?
            }
        };
        match changed.added {
            Some(pair) => tracing::info!("pair {pair} taught; the bank has {}", changed.pairs),
            None => {
                tracing::info!(
                    "{} pairs forgotten; the bank has {}",
                    changed.removed,
                    changed.pairs
                );
            }
        }
        if let Err(reason) = (changed.save)() {
            tracing::warn!("the bank is in use as it was taught, and not saved: {reason}");
        }
        Ok(set)
    }
}
