//! Parameters that change while the node runs.

use std::sync::{Arc, Mutex, PoisonError, mpsc};

use super::super::lifecycle::TaskRefused;
use super::super::{ENDING, PromptsChange};
use super::ManagedNode;
use super::model::{ManagedModel, rules, tuning};
use crate::config::{Changes, Config, PARAMETERS, Parameter, ParameterValue};
use crate::types::PromptSet;

/// Parameters of one request; more are refused.
const MAX_PARAMETERS: usize = 1000;

/// Those that make up the prompt set in use.
const OF_PROMPTS: [&str; 3] = ["prompts", "prompts_file", "threshold"];

/// Is told which parameters have changed, and of the configuration as it is now. Called on any
/// thread; it must not set parameters.
pub type OnParameters = Box<dyn Fn(&[&'static Parameter], &Config) + Send + Sync>;

/// Takes what became of each parameter, in the order of the request. Called once, on any thread.
pub type ParametersReply = Box<dyn FnOnce(Vec<Result<(), String>>) + Send>;

/// Takes why prompts that were read again are not in use. Called once, on any thread.
pub type RereadReply = Box<dyn FnOnce(Result<(), NotReread>) + Send>;

/// Why prompts that were to be read again are not in use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotReread {
    /// They were not read; they may be later.
    #[error(transparent)]
    NotNow(#[from] TaskRefused),
    /// They were read.
    #[error("{0}")]
    Refused(String),
}

/// What one parameter that is refused means for the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Together {
    /// Nothing: each is taken or refused by itself.
    Each,
    /// None is taken.
    AllOrNone,
}

/// The parameters of which two configurations have other values.
pub(super) fn changed(before: &Config, after: &Config) -> Vec<&'static Parameter> {
    PARAMETERS.iter().filter(|parameter| !parameter.is_same(before, after)).collect()
}

/// Writes a set that came as a message into the parameters: configured anew, the node has it again.
pub(super) fn note_prompts(config: &mut Config, set: &PromptSet) {
    config.prompts.clone_from(&set.prompts);
    config.prompts_file = None;
}

impl ManagedNode {
    /// Sets parameters. `reply` is called when they are in use, or at once where the node is on its
    /// way between two states: such a request is refused.
    pub fn set_parameters(
        &self,
        wanted: Vec<(String, ParameterValue)>,
        together: Together,
        reply: ParametersReply,
    ) {
        let count = wanted.len();
        let refuse = |reply: ParametersReply, reason: String| reply(vec![Err(reason); count]);
        if count > MAX_PARAMETERS {
            let reason = format!("expected at most {MAX_PARAMETERS} parameters, found {count}");
            return refuse(reply, reason);
        }
        // Whoever takes the reply out of it answers.
        let reply = Arc::new(Mutex::new(Some(reply)));
        let take = |reply: &Mutex<Option<ParametersReply>>| {
            reply.lock().unwrap_or_else(PoisonError::into_inner).take()
        };
        let for_task = Arc::clone(&reply);
        let task = move |model: &mut ManagedModel| {
            let results = model.set_parameters(&wanted, together);
            if let Some(reply) = take(&for_task) {
                reply(results);
            }
        };
        if let Err(refused) = self.lifecycle.run(task)
            && let Some(reply) = take(&reply)
        {
            refuse(reply, format!("{refused}: set parameters before or after"));
        }
    }
}

impl ManagedNode {
    /// Puts `prompts` and `prompts_file` of a configuration into use as the file stands now,
    /// whatever is in use. `reply` is called once.
    pub fn reread_prompts(&self, of: &Config, reply: RereadReply) {
        let of = of.clone();
        let reply = Arc::new(Mutex::new(Some(reply)));
        let answer = move |reply: &Mutex<Option<RereadReply>>, became| {
            let reply = reply.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(reply) = reply {
                reply(became);
            }
        };
        let for_task = Arc::clone(&reply);
        let task = move |model: &mut ManagedModel| {
            answer(&for_task, model.reread_prompts(&of).map_err(NotReread::Refused));
        };
        if let Err(refused) = self.lifecycle.run(task) {
            answer(&reply, Err(refused.into()));
        }
    }
}

impl ManagedModel {
    fn set_parameters(
        &mut self,
        wanted: &[(String, ParameterValue)],
        together: Together,
    ) -> Vec<Result<(), String>> {
        let before = self.shared.config().clone();
        let mut config = before.clone();
        let is_loaded = self.shared.running().is_some();
        let mut results: Vec<_> = wanted
            .iter()
            .map(|(name, value)| set_one(&mut config, name, value, is_loaded).map(drop))
            .collect();
        if together == Together::AllOrNone && results.iter().any(Result::is_err) {
            return none_of(&results);
        }
        let changed_prompts =
            config.prompts != before.prompts || config.prompts_file != before.prompts_file;
        if let Err(reason) = self.put_prompts(&before, &config, changed_prompts) {
            for ((name, _), result) in wanted.iter().zip(&mut results) {
                if OF_PROMPTS.contains(&name.as_str()) && result.is_ok() {
                    *result = Err(reason.clone());
                }
            }
            if together == Together::AllOrNone {
                return none_of(&results);
            }
            config.prompts.clone_from(&before.prompts);
            config.prompts_file.clone_from(&before.prompts_file);
            config.threshold = before.threshold;
        }
        if let Some(running) = self.shared.running() {
            running.node().tune(tuning(&config));
            if rules(&before) != rules(&config)
                && let Err(closed) = running.node().set_rules(rules(&config))
            {
                // The program ends over it: see `ManagedNode::has_failed`.
                tracing::error!("{closed}");
            }
        }
        let parameters: Vec<_> = changed(&before, &config)
            .into_iter()
            .filter(|parameter| !OF_PROMPTS.contains(&parameter.name))
            .collect();
        self.shared.put_config(|current| {
            for parameter in &parameters {
                // It was taken a moment ago.
                let _ = current.set(parameter.name, &parameter.value(&config));
            }
        });
        for parameter in changed(&before, &config) {
            tracing::info!(
                "{} is {} now",
                parameter.name,
                shortened(&parameter.told(&config).to_string())
            );
        }
        results
    }

    fn reread_prompts(&self, of: &Config) -> Result<(), String> {
        let before = self.shared.config().clone();
        let mut config = before.clone();
        config.prompts.clone_from(&of.prompts);
        config.prompts_file.clone_from(&of.prompts_file);
        self.put_prompts(&before, &config, true)
    }

    /// Puts the prompts and the threshold of `config` into use, where they are other than before,
    /// and then into the parameters.
    fn put_prompts(
        &self,
        before: &Config,
        config: &Config,
        changed_prompts: bool,
    ) -> Result<(), String> {
        let same_prompts = !changed_prompts;
        if same_prompts && config.threshold == before.threshold {
            return Ok(());
        }
        let prompts = match same_prompts {
            true => None,
            // Read now, so that what is wrong with a file is known now.
            false => Some(config.read_prompts().map_err(|error| {
                let reasons: Vec<_> = error.problems.iter().map(ToString::to_string).collect();
                reasons.join("; ")
            })?),
        };
        let wanted = config.clone();
        let put = move |current: &mut Config| {
            if !same_prompts {
                current.prompts = wanted.prompts;
                current.prompts_file = wanted.prompts_file;
            }
            current.threshold = wanted.threshold;
        };
        let Some(running) = self.shared.running() else {
            if !same_prompts {
                // What came before this is older.
                self.shared.forget_waiting_prompts();
            }
            self.shared.put_config(put);
            return Ok(());
        };
        let threshold = (config.threshold != before.threshold).then_some(config.threshold);
        let (answer, answered) = mpsc::channel();
        let shared = Arc::clone(&self.shared);
        running.node().change_prompts(
            PromptsChange { prompts, threshold },
            Box::new(move |became| {
                // Here and not after it, so that a set that comes next is told next.
                if became.is_ok() {
                    shared.put_config(put);
                }
                let reasons = became.as_ref().err().map(|refused| refused.reasons.join("; "));
                // The lifecycle's thread waits for it.
                let _ = answer.send(reasons);
            }),
        );
        match answered.recv() {
            Ok(None) => Ok(()),
            Ok(Some(reasons)) => Err(reasons),
            Err(_) => Err(ENDING.to_owned()),
        }
    }
}

/// Sets one parameter, if it may change now. One that has the value already is always taken: a
/// file of all parameters can be loaded.
fn set_one(
    config: &mut Config,
    name: &str,
    value: &ParameterValue,
    is_loaded: bool,
) -> Result<&'static Parameter, String> {
    let mut wanted = config.clone();
    let parameter = wanted.set(name, value)?;
    let is_same = parameter.value(&wanted) == parameter.value(config);
    match parameter.changes {
        _ if is_same => {}
        Changes::WhileRunning => {}
        Changes::WhenConfigured if !is_loaded => {}
        Changes::WhenConfigured => {
            return Err(format!(
                "{name} is read when the model is loaded: clean the node up first (ros2 lifecycle \
                 set NODE cleanup), set it, and configure it again"
            ));
        }
        Changes::AtStart => {
            return Err(format!("{name} is read when the program starts and not again"));
        }
    }
    *config = wanted;
    Ok(parameter)
}

/// Nothing was taken: those that were refused say why, the others which.
fn none_of(results: &[Result<(), String>]) -> Vec<Result<(), String>> {
    let reasons: Vec<_> = results.iter().filter_map(|result| result.clone().err()).collect();
    let reason = shortened(&reasons.join("; ")).to_string();
    results.iter().map(|result| result.clone().and(Err(reason.clone()))).collect()
}

/// What stands in one line of the log or of an answer.
fn shortened(text: &str) -> String {
    const MAX_CHARS: usize = 1000;
    match text.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
