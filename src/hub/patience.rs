//! What a download tells while it runs, and how long it tries.

use std::sync::mpsc::SyncSender;
use std::time::Duration;

use super::HubError;
use super::answer::Failure;
use super::remote::Remote;
use super::settings::RetrySettings;

/// What a download has to tell while it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PullEvent {
    /// The model is there, at this commit, and its files are right. Nothing else follows.
    UpToDate {
        /// The commit.
        commit: String,
    },
    /// What will be fetched is known.
    Resolved {
        /// `owner/name` on the hub.
        repo: String,
        /// The commit that the revision is.
        commit: String,
        /// Number of files.
        files: usize,
        /// Bytes of all files.
        total_bytes: u64,
        /// Bytes that are on the disk already, from an earlier download or revision.
        present_bytes: u64,
    },
    /// A file begins.
    FileStarted {
        /// Its name.
        file: String,
        /// Its size.
        size_bytes: u64,
        /// Bytes of it that are on the disk already.
        present_bytes: u64,
    },
    /// More of a file is on the disk. It can go back to 0 where a server serves no ranges.
    Progress {
        /// Its name.
        file: String,
        /// Bytes on the disk.
        done_bytes: u64,
        /// Its size.
        size_bytes: u64,
    },
    /// A file is whole and has the announced digest.
    FileDone {
        /// Its name.
        file: String,
        /// Its size.
        size_bytes: u64,
    },
    /// Something failed that may pass; it is tried again after a wait.
    Retrying {
        /// What failed.
        what: String,
        /// Failures without progress so far.
        failures: u32,
        /// Failures at which it is given up.
        attempts: u32,
        /// The wait.
        wait: Duration,
        /// What happened.
        reason: String,
    },
}

/// Where events go. Nobody listening is no reason to stop.
#[derive(Clone, Debug)]
pub(super) struct Events(pub(super) SyncSender<PullEvent>);

impl Events {
    pub(super) fn send(&self, event: PullEvent) {
        let _ = self.0.send(event);
    }
}

/// Counts failures, tells about them and waits.
pub(super) struct Patience<'a> {
    settings: RetrySettings,
    events: &'a Events,
    failures: u32,
}

impl<'a> Patience<'a> {
    pub(super) fn new(settings: RetrySettings, events: &'a Events) -> Self {
        Self { settings, events, failures: 0 }
    }

    pub(super) fn events(&self) -> &'a Events {
        self.events
    }

    /// Counts anew, after progress.
    pub(super) fn renew(&mut self) {
        self.failures = 0;
    }

    /// Waits before the next attempt, or returns the number of failures when they are too many.
    pub(super) async fn wait(
        &mut self,
        what: &str,
        reason: &str,
        asked: Option<Duration>,
    ) -> Result<(), u32> {
        self.failures += 1;
        if self.failures >= self.settings.attempts {
            return Err(self.failures);
        }
        let doubled = self.settings.first_wait * (1 << (self.failures - 1).min(16));
        let wait = doubled.max(asked.unwrap_or_default()).min(self.settings.longest_wait);
        self.events.send(PullEvent::Retrying {
            what: what.to_owned(),
            failures: self.failures,
            attempts: self.settings.attempts,
            wait,
            reason: reason.to_owned(),
        });
        tokio::time::sleep(wait).await;
        Ok(())
    }

    /// Asks until there is an answer, a final failure, or no patience left.
    pub(super) async fn until_answered<T>(
        mut self,
        remote: &Remote,
        what: &str,
        mut ask: impl AsyncFnMut() -> Result<T, Failure>,
    ) -> Result<T, HubError> {
        loop {
            let (reason, asked, no_answer) = match ask().await {
                Ok(answer) => return Ok(answer),
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Passing { reason, wait, no_answer }) => (reason, wait, no_answer),
            };
            if let Err(attempts) = self.wait(what, &reason, asked).await {
                let (endpoint, what) = (remote.endpoint(), what.to_owned());
                return Err(if no_answer {
                    HubError::NoConnection { endpoint, attempts, reason }
                } else {
                    HubError::KeepsFailing { endpoint, what, attempts, reason }
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn waits_double_and_end() {
        let (sender, events) = std::sync::mpsc::sync_channel(100);
        let sender = Events(sender);
        let settings = RetrySettings {
            attempts: 5,
            first_wait: Duration::from_millis(2),
            longest_wait: Duration::from_millis(10),
            ..RetrySettings::default()
        };
        let mut patience = Patience::new(settings, &sender);
        for _ in 1..5 {
            patience.wait("x", "cut", None).await.unwrap();
        }
        assert_eq!(patience.wait("x", "cut", None).await, Err(5));
        // The server's wish counts up to the longest wait.
        patience.renew();
        patience.wait("x", "busy", Some(Duration::from_secs(60))).await.unwrap();
        let waits: Vec<_> = events
            .try_iter()
            .map(|event| match event {
                PullEvent::Retrying { wait, .. } => wait.as_millis(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(waits, [2, 4, 8, 10, 10]);
    }
}
