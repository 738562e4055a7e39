//! Who publishes where images are waited for: a subscriber is not told, so routers are asked.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use zenoh::key_expr::keyexpr;
use zenoh::{Session, Wait};

use super::super::live::WaitsFor;
use super::keys::Keys;

/// How often routers are asked.
const EVERY: Duration = Duration::from_secs(5);
/// How long they may take to say who publishes.
const ADMIN_PATIENCE: Duration = Duration::from_millis(300);

/// What is known of others.
#[derive(Default)]
pub(super) struct Around(Mutex<Option<Found>>);

struct Found {
    asked_at: Instant,
    /// For each key expression of images.
    counts: Vec<Option<usize>>,
}

impl Around {
    /// Asks now and then.
    pub(super) fn look(&self, session: &Session, keys: &Keys) {
        let found = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if found().as_ref().is_some_and(|found| found.asked_at.elapsed() < EVERY) {
            return;
        }
        let counts = keys.images().map(|keys| declared_on(session, keys)).collect();
        *found() = Some(Found { asked_at: Instant::now(), counts });
    }

    pub(super) fn waits_for(&self, keys: &Keys) -> Vec<WaitsFor> {
        let found = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = |index| found.as_ref().and_then(|found| found.counts.get(index).copied()?);
        let images = keys.images().enumerate();
        images
            .map(|(index, keys)| WaitsFor {
                keys: keys.to_string(),
                publishers: count(index),
                seen: Vec::new(),
                remarks: Vec::new(),
            })
            .collect()
    }
}

/// Publishers that are declared on `keys`, by what routers with an admin space say; `None` where
/// there is none. Our own subscription shows whether there is one. A plain put declares nothing.
fn declared_on(session: &Session, keys: &keyexpr) -> Option<usize> {
    let selector = format!("@/*/*/*/{keys}");
    let replies = session.get(selector).timeout(ADMIN_PATIENCE).wait().ok()?;
    let kinds: Vec<String> = replies
        .into_iter()
        .filter_map(|reply| {
            let key = reply.result().ok()?.key_expr().to_string();
            key.split('/').nth(3).map(str::to_owned)
        })
        .collect();
    let publishers = kinds.iter().filter(|kind| *kind == "publisher").count();
    kinds.iter().any(|kind| kind == "subscriber").then_some(publishers)
}
