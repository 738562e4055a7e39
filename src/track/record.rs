//! One object over time.

use std::fmt;
use std::sync::Arc;

use crate::types::{PixelBox, Stamp};

use super::Observation;
use super::kalman::MovingBox;

/// Prompts that a track remembers; the weakest makes room.
const MOST_NAMES: usize = 4;

/// What is left of a prompt's weight each time that the track is seen.
const NAME_DECAY: f32 = 0.9;

/// What a track is known by inside its tracker, from 1 in the order in which tracks start; no two
/// tracks of one tracker share one, ever. No output has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrackKey(pub u64);

impl fmt::Display for TrackKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How sure a track is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TrackState {
    /// Seen too few times; one frame without it ends it.
    Tentative,
    /// Seen in the newest frame, and often enough.
    Confirmed,
    /// Confirmed once, and not seen in the newest frame.
    Lost,
}

impl TrackState {
    /// The name in every output.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Tentative => "tentative",
            Self::Confirmed => "confirmed",
            Self::Lost => "lost",
        }
    }
}

/// One object over time.
#[derive(Clone, Debug, PartialEq)]
pub struct Track {
    key: TrackKey,
    id: Option<u16>,
    state: TrackState,
    moving: MovingBox,
    /// Prompts with their weights, in the order in which they came.
    names: Vec<(Arc<str>, f32)>,
    score: f32,
    hits: u32,
    first_seen: Stamp,
    last_seen: Stamp,
}

impl Track {
    pub(super) fn new(key: TrackKey, stamp: Stamp, seen: &Observation<'_>) -> Self {
        Self {
            key,
            id: None,
            state: TrackState::Tentative,
            moving: MovingBox::new(&seen.box_in_source_px),
            names: vec![(Arc::from(seen.prompt), seen.score)],
            score: seen.score,
            hits: 1,
            first_seen: stamp,
            last_seen: stamp,
        }
    }

    /// What it is known by inside its tracker.
    #[must_use]
    pub fn key(&self) -> TrackKey {
        self.key
    }

    /// The id that outputs have, from 1: no other living track has it. `None` while it is
    /// tentative.
    #[must_use]
    pub fn id(&self) -> Option<u16> {
        self.id
    }

    pub(super) fn set_id(&mut self, id: Option<u16>) {
        self.id = id;
    }

    /// How sure it is.
    #[must_use]
    pub fn state(&self) -> TrackState {
        self.state
    }

    /// The prompt that found it most: scores count, and newer ones count more.
    #[must_use]
    pub fn prompt(&self) -> &str {
        // Of equal ones the first.
        let best = self.names.iter().rev().max_by(|a, b| a.1.total_cmp(&b.1));
        best.map_or("", |(name, _)| name)
    }

    /// Where it is at the stamp of the newest frame, smoothed over time, in pixels of the source
    /// picture; it may reach out of the picture. Predicted where the track is lost.
    #[must_use]
    pub fn box_in_source_px(&self) -> PixelBox {
        self.moving.pixel_box()
    }

    /// Speed of its centre `[x, y]` in pixels per second.
    #[must_use]
    pub fn speed_px_per_s(&self) -> [f64; 2] {
        self.moving.speed_px_per_s()
    }

    /// Score of the newest observation.
    #[must_use]
    pub fn score(&self) -> f32 {
        self.score
    }

    /// How often it was seen.
    #[must_use]
    pub fn hits(&self) -> u32 {
        self.hits
    }

    /// When it was seen first.
    #[must_use]
    pub fn first_seen(&self) -> Stamp {
        self.first_seen
    }

    /// When it was seen last.
    #[must_use]
    pub fn last_seen(&self) -> Stamp {
        self.last_seen
    }

    pub(super) fn predict(&mut self, secs: f64) {
        if self.state == TrackState::Lost {
            self.moving.hold_size();
        }
        self.moving.predict(secs);
    }

    pub(super) fn lose(&mut self) {
        self.state = TrackState::Lost;
    }

    /// Takes in an observation. Returns whether that has confirmed the track.
    pub(super) fn see(&mut self, stamp: Stamp, seen: &Observation<'_>, confirm_hits: u32) -> bool {
        self.moving.update(&seen.box_in_source_px);
        self.score = seen.score;
        self.hits = self.hits.saturating_add(1);
        self.last_seen = stamp;
        for (_, weight) in &mut self.names {
            *weight *= NAME_DECAY;
        }
        match self.names.iter_mut().find(|(name, _)| **name == *seen.prompt) {
            Some((_, weight)) => *weight += seen.score,
            None => {
                if self.names.len() == MOST_NAMES {
                    let weights = self.names.iter().map(|(_, weight)| *weight).enumerate();
                    let weakest = weights.min_by(|a, b| a.1.total_cmp(&b.1));
                    if let Some((weakest, _)) = weakest {
                        self.names.remove(weakest);
                    }
                }
                self.names.push((Arc::from(seen.prompt), seen.score));
            }
        }
        self.confirm(confirm_hits)
    }

    /// Confirms the track where it was seen often enough. Returns whether that is new.
    pub(super) fn confirm(&mut self, confirm_hits: u32) -> bool {
        match self.state {
            TrackState::Tentative if self.hits < confirm_hits => false,
            before => {
                self.state = TrackState::Confirmed;
                before == TrackState::Tentative
            }
        }
    }
}
