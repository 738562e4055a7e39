//! The status as data.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::cameras::{Camera, Newest};
use super::{Node, words};
use crate::transport::live::{
    BestScore, CameraStatus, ModelStatus, Moment, PromptsStatus, RequestCounts, Status,
};

impl Node {
    /// How the node is doing while it is active.
    pub(super) fn make_status(&self) -> Status {
        let output = &*self.output;
        let (cameras, strays) = self.cameras.snapshot();
        let info = self.pipeline.info();
        let prompts = self.prompts.in_use();
        let cameras: BTreeMap<_, _> = cameras
            .into_iter()
            .map(|(name, camera)| {
                let keys = output.space_keys(&name);
                let space = self.space.camera_status(&name, keys.clone());
                let missing = keys.filter(|_| space.is_none() && !self.space.is_off());
                let would_have_places_with = missing.map(|keys| keys.depth);
                let status = self.camera_status(&camera);
                (name.to_string(), CameraStatus { space, would_have_places_with, ..status })
            })
            .collect();
        let mut status = Status {
            node: self.name.clone(),
            owlet: env!("CARGO_PKG_VERSION").to_owned(),
            state: words::state(prompts.version, cameras.values()),
            why: Vec::new(),
            uptime_secs: self.clock.age_secs(self.started),
            memory_bytes: memory_bytes(),
            model: ModelStatus {
                name: info.name.clone(),
                device: info.device.clone(),
                dtype: info.dtype.clone(),
            },
            prompts: PromptsStatus {
                version: prompts.version,
                names: prompts.prompts.iter().map(|prompt| prompt.name.clone()).collect(),
            },
            connected: output.connections(),
            waits_for: output.waits_for(),
            cameras,
            transforms: self.space.transforms_status(),
            refused_images: strays.as_ref().map(|mishap| mishap.to_record(&self.clock)),
            requests: RequestCounts {
                answered: self.requests.answered.load(Ordering::Relaxed),
                refused: self.requests.refused.load(Ordering::Relaxed),
            },
        };
        status.why = words::why(&status, &output.prompts_key());
        status
    }

    fn camera_status(&self, camera: &Camera) -> CameraStatus {
        let age = |at: Moment| self.clock.age_secs(at);
        let newest = camera.newest.as_ref();
        let in_mailbox = self.pipeline.counts(camera.mailbox);
        CameraStatus {
            key: camera.topic.to_string(),
            received: camera.received,
            bad: camera.bad.as_ref().map_or(0, |mishap| mishap.count),
            dropped: camera.dropped + in_mailbox.dropped,
            skipped: camera.skipped,
            answered: camera.answered,
            failed: camera.failed.as_ref().map_or(0, |mishap| mishap.count),
            newest_bad: camera.bad.as_ref().map(|mishap| mishap.to_record(&self.clock)),
            newest_failure: camera.failed.as_ref().map(|mishap| mishap.to_record(&self.clock)),
            size_px: camera.size_px,
            encoding: camera.encoding.clone(),
            newest_image_age_secs: age(camera.newest_image),
            newest_good_image_age_secs: camera.newest_good.map(age),
            unanswered_secs: camera.unanswered_since.map(age),
            newest_output_age_secs: newest.map(|newest| age(newest.at)),
            detections: newest.map_or(0, |newest| newest.detections),
            best_scores: newest.map(best_scores).unwrap_or_default(),
            stages_ms: newest
                .map(|newest| {
                    let stages = newest.timings.iter();
                    stages
                        .map(|(s, time)| (s.name().to_owned(), 1e3 * time.as_secs_f64()))
                        .collect()
                })
                .unwrap_or_default(),
            space: None,
            would_have_places_with: None,
        }
    }
}

/// How near each prompt came to being found; distractors are left out.
fn best_scores(newest: &Newest) -> Vec<BestScore> {
    let set = Arc::clone(&newest.prompts);
    let scored = set.prompts.iter().zip(&newest.best_scores).enumerate();
    scored
        .filter(|(_, (prompt, _))| !prompt.negative)
        .map(|(index, (prompt, score))| BestScore {
            prompt: prompt.name.clone(),
            score: *score,
            threshold: set.threshold_of(index),
        })
        .collect()
}

/// The process's resident memory, as Linux tells it.
pub(super) fn memory_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}
