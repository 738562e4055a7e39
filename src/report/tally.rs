//! Counts of a run, frame by frame, in memory that does not grow with its length.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::histogram::{DurationHistogram, ScoreHistogram};
use super::summary::{
    CameraSummary, LossSummary, PromptSummary, RunSummary, SkipSummary, StageSummary, TimingSummary,
};
use super::timeline::Timeline;
use crate::types::{FrameDetections, PromptSet, Stage, Stamp};

/// Reasons beyond these are counted together: a reason may hold a number that differs every time.
const MAX_REASONS: usize = 200;
const OTHER_REASONS: &str = "other reasons";

/// What one prompt found.
#[derive(Clone, Debug)]
pub(super) struct PromptTally {
    pub(super) name: String,
    pub(super) negative: bool,
    pub(super) threshold: f32,
    pub(super) frames: u64,
    pub(super) detections: u64,
    pub(super) best_score: Option<f32>,
    pub(super) scores: ScoreHistogram,
    /// How often each finer label fitted best.
    pub(super) finer: BTreeMap<String, u64>,
}

#[derive(Clone, Debug)]
struct Skip {
    frames: u64,
    first_stamp: Option<Stamp>,
}

/// The counts of a run.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) frames: u64,
    pub(super) detections: u64,
    pub(super) prompts: Vec<PromptTally>,
    /// By name: a prompt that stays from one set to the next stays one row.
    prompt_of_name: HashMap<String, usize>,
    /// The newest prompt set: its version, and for each of its prompts the tally.
    current: Option<(u64, Vec<usize>)>,
    versions: Vec<u64>,
    cameras: BTreeMap<String, (u64, Stamp, Stamp)>,
    skipped: u64,
    skips: BTreeMap<(String, String), Skip>,
    losses: Vec<LossSummary>,
    /// Losses beyond the first ones, as one.
    other_losses: Option<LossSummary>,
    stages: BTreeMap<Stage, DurationHistogram>,
    pub(super) timeline: Timeline,
    pub(super) wall: Option<Duration>,
}

impl Tally {
    /// Makes a row for each prompt of a set, so that those that find nothing show as well.
    pub(super) fn use_prompts(&mut self, set: &PromptSet) {
        let mut rows = Vec::with_capacity(set.prompts.len());
        for (index, prompt) in set.prompts.iter().enumerate() {
            let threshold = set.threshold_of(index);
            let row = match self.prompt_of_name.get(&prompt.name) {
                Some(row) => *row,
                None => {
                    let row = self.prompts.len();
                    self.prompt_of_name.insert(prompt.name.clone(), row);
                    self.prompts.push(PromptTally {
                        name: prompt.name.clone(),
                        negative: prompt.negative,
                        threshold,
                        frames: 0,
                        detections: 0,
                        best_score: None,
                        scores: ScoreHistogram::default(),
                        finer: BTreeMap::new(),
                    });
                    row
                }
            };
            // The newest set says what a prompt is.
            (self.prompts[row].negative, self.prompts[row].threshold) =
                (prompt.negative, threshold);
            rows.push(row);
        }
        self.current = Some((set.version, rows));
    }

    /// Counts a frame. The prompts for which it is the best so far, with their scores.
    pub(super) fn add_frame(&mut self, frame: &FrameDetections) -> Vec<(usize, f32)> {
        let version = frame.prompts.version;
        if self.current.as_ref().is_none_or(|(current, _)| *current != version) {
            self.use_prompts(&frame.prompts);
        }
        if !self.versions.contains(&version) {
            self.versions.push(version);
        }
        self.frames += 1;
        let stamp = frame.header.stamp;
        let camera = self.cameras.entry(frame.camera.to_string()).or_insert((0, stamp, stamp));
        *camera = (camera.0 + 1, camera.1.min(stamp), camera.2.max(stamp));
        for (stage, elapsed) in frame.timings.iter() {
            self.stages.entry(stage).or_default().add(elapsed);
        }

        let mut best_here: BTreeMap<usize, f32> = BTreeMap::new();
        let rows = self.current.as_ref().map_or(&[][..], |(_, rows)| rows);
        for detection in &frame.detections {
            let Some(row) = rows.get(detection.prompt) else { continue };
            let prompt = &mut self.prompts[*row];
            prompt.detections += 1;
            prompt.scores.add(detection.score);
            if let Some((label, _)) = detection.finer_names(&frame.prompts).next() {
                *prompt.finer.entry(label.to_owned()).or_default() += 1;
            }
            self.detections += 1;
            let best = best_here.entry(*row).or_insert(detection.score);
            *best = best.max(detection.score);
        }
        self.timeline.add(stamp, best_here.keys().copied());
        let mut improved = Vec::new();
        for (row, score) in best_here {
            let prompt = &mut self.prompts[row];
            prompt.frames += 1;
            if prompt.best_score.is_none_or(|best| score > best) {
                prompt.best_score = Some(score);
                improved.push((row, score));
            }
        }
        improved
    }

    pub(super) fn add_skipped(&mut self, topic: &str, stamp: Option<Stamp>, reason: &str) {
        self.skipped += 1;
        let known = (topic.to_owned(), reason.to_owned());
        let key = if self.skips.len() < MAX_REASONS || self.skips.contains_key(&known) {
            known
        } else {
            (topic.to_owned(), OTHER_REASONS.to_owned())
        };
        let skip = self.skips.entry(key).or_insert(Skip { frames: 0, first_stamp: stamp });
        skip.frames += 1;
        skip.first_stamp = match (skip.first_stamp, stamp) {
            (Some(first), Some(stamp)) => Some(first.min(stamp)),
            (first, stamp) => first.or(stamp),
        };
    }

    pub(super) fn add_loss(&mut self, loss: LossSummary) {
        if self.losses.len() < MAX_REASONS {
            self.losses.push(loss);
            return;
        }
        let other = self.other_losses.get_or_insert_with(|| LossSummary {
            source: "other parts".to_owned(),
            reason: OTHER_REASONS.to_owned(),
            messages: None,
        });
        if let Some(messages) = loss.messages {
            other.messages = Some(other.messages.unwrap_or(0) + messages);
        }
    }

    /// Earliest and latest stamp of all frames.
    pub(super) fn span(&self) -> Option<(Stamp, Stamp)> {
        let first = self.cameras.values().map(|(_, first, _)| *first).min()?;
        let last = self.cameras.values().map(|(_, _, last)| *last).max()?;
        Some((first, last))
    }

    pub(super) fn summary(&self) -> RunSummary {
        let prompts = self.prompts.iter().map(|prompt| PromptSummary {
            prompt: prompt.name.clone(),
            negative: prompt.negative,
            threshold: prompt.threshold,
            frames: prompt.frames,
            detections: prompt.detections,
            best_score: prompt.best_score,
            median_score: prompt.scores.median(),
            finer: prompt.finer.clone(),
        });
        let cameras = self.cameras.iter().map(|(camera, (frames, first, last))| CameraSummary {
            camera: camera.clone(),
            frames: *frames,
            first_stamp_ns: first.0,
            last_stamp_ns: last.0,
        });
        let skips = self.skips.iter().map(|((topic, reason), skip)| SkipSummary {
            topic: topic.clone(),
            reason: reason.clone(),
            frames: skip.frames,
            first_stamp_ns: skip.first_stamp.map(|stamp| stamp.0),
        });
        RunSummary {
            frames: self.frames,
            detections: self.detections,
            skipped: self.skipped,
            prompt_set_versions: self.versions.clone(),
            prompts: prompts.collect(),
            cameras: cameras.collect(),
            skips: skips.collect(),
            losses: self.losses.iter().chain(&self.other_losses).cloned().collect(),
            timings: self.timings(),
        }
    }

    fn timings(&self) -> TimingSummary {
        let millis = |duration: Duration| duration.as_secs_f64() * 1e3;
        let stages = self.stages.iter().map(|(stage, histogram)| StageSummary {
            stage: stage.name(),
            frames: histogram.total,
            p50_ms: histogram.quantile(0.5).map_or(0.0, millis),
            p90_ms: histogram.quantile(0.9).map_or(0.0, millis),
            max_ms: millis(histogram.max),
        });
        let wall_secs = self.wall.map(|wall| wall.as_secs_f64());
        TimingSummary {
            wall_secs,
            frames_per_sec: wall_secs
                .filter(|wall| *wall > 0.0)
                .map(|wall| self.frames as f64 / wall),
            stages: stages.collect(),
        }
    }
}
