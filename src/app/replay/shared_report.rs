//! The report, which the reader and the writer both add to.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use owlet::report::{ReportBuilder, ReportOptions};
use owlet::types::Stamp;

/// Skipped frames that are told one by one; more of them are only counted.
const MAX_TOLD: u64 = 20;

/// Counts as frames come, so that memory does not grow with what is wrong in a recording.
pub(super) struct SharedReport {
    builder: Mutex<ReportBuilder>,
    told: AtomicU64,
}

impl SharedReport {
    pub(super) fn new(options: ReportOptions) -> Self {
        Self { builder: Mutex::new(ReportBuilder::new(options)), told: AtomicU64::new(0) }
    }

    pub(super) fn with<T>(&self, change: impl FnOnce(&mut ReportBuilder) -> T) -> T {
        change(&mut self.builder.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Counts a frame that could not be used, and tells the first ones.
    pub(super) fn skip(&self, topic: &str, stamp: Stamp, reason: &str) {
        self.with(|report| report.add_skipped(topic, Some(stamp), reason));
        // A reason names its topic where it comes from a message.
        let reason =
            reason.strip_prefix(topic).map_or(reason, |rest| rest.trim_start_matches(": "));
        match self.told.fetch_add(1, Ordering::Relaxed) {
            told if told < MAX_TOLD => tracing::warn!("{topic} {stamp}: skipped: {reason}"),
            MAX_TOLD => tracing::warn!("more frames are skipped; the report counts all of them"),
            _ => {}
        }
    }
}
