//! A prompts file that is read again whenever it changes.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use owlet::config::Config;
use owlet::node::managed::{ManagedNode, NotReread};

/// What tells one state of a file from another without reading it.
type Facts = Option<(SystemTime, u64)>;

/// Looks at the file from time to time: that works on any file system, and an editor that puts a
/// new file in place of the old one changes nothing about it.
pub(crate) struct PromptsWatch {
    path: PathBuf,
    /// The prompts of the configuration at the start, which names the file.
    config: Config,
    in_use: Facts,
    /// The node had no time for it.
    again: Arc<AtomicBool>,
    /// As it was at the last look: a file is read once it no longer changes.
    last: Facts,
}

impl PromptsWatch {
    /// Watches the prompts file of a configuration, where it has one.
    pub(crate) fn start(config: &Config) -> Option<Self> {
        let Some(path) = config.prompts_file.clone() else {
            tracing::warn!("watch_prompts: there is no prompts_file to watch");
            return None;
        };
        let facts = facts(&path);
        Some(Self {
            path,
            config: config.clone(),
            in_use: facts,
            again: Arc::default(),
            last: facts,
        })
    }

    /// Has the node read the file again where it has changed and stopped changing.
    pub(crate) fn look(&mut self, node: &Arc<ManagedNode>) {
        let now = facts(&self.path);
        let settled = now == self.last;
        self.last = now;
        if !settled || (!self.again.swap(false, Ordering::AcqRel) && now == self.in_use) {
            return;
        }
        self.in_use = now;
        let path = self.path.display().to_string();
        if now.is_none() {
            tracing::warn!("{path} is not there any more: the prompts in use stay");
            return;
        }
        let again = Arc::clone(&self.again);
        node.reread_prompts(
            &self.config,
            Box::new(move |became| match became {
                Ok(()) => tracing::info!("{path} has changed and is in use"),
                Err(NotReread::NotNow(refused)) => {
                    tracing::debug!("{path} has changed: {refused}, so it is read again later");
                    again.store(true, Ordering::Release);
                }
                Err(NotReread::Refused(reason)) => {
                    tracing::warn!(
                        "{path} has changed and is refused, what was in use stays: {reason}"
                    );
                }
            }),
        );
    }
}

fn facts(path: &std::path::Path) -> Facts {
    let about = path.metadata().ok()?;
    Some((about.modified().unwrap_or(SystemTime::UNIX_EPOCH), about.len()))
}
