//! The tracker of one camera.

use crate::types::Stamp;

use super::assign::{Pair, assign};
use super::{Observation, ObservationProblem, Outcome, Track, TrackKey, TrackState};

/// How a tracker matches and what it keeps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrackerSettings {
    /// Observations down to this share of their prompt's threshold may prolong a track; what lies
    /// below is left out. In `[0, 1]`.
    pub weakest_share: f32,
    /// Smallest intersection over union of a track and a strong observation of its prompt.
    pub strong_iou: f32,
    /// Smallest intersection over union of a track and a weak observation of its prompt.
    pub weak_iou: f32,
    /// Smallest intersection over union of a tentative track and a strong observation.
    pub tentative_iou: f32,
    /// Smallest intersection over union of a track and a strong observation of another prompt;
    /// above 1 keeps prompts apart.
    pub other_prompt_iou: f32,
    /// How often a track is seen before it is confirmed; 1 confirms at once.
    pub confirm_hits: u32,
    /// How long a track may go unseen, in seconds.
    pub most_lost_secs: f64,
    /// A frame that is older than the newest by no more than this came late and is left out; an
    /// older one means that the clock was set back. In seconds.
    pub most_late_secs: f64,
    /// Most tracks at a time; beyond 65535, as many as there are ids, it is 65535.
    pub most_tracks: usize,
    /// Most observations of one frame; the best are taken.
    pub most_observations: usize,
}

impl Default for TrackerSettings {
    /// ByteTrack's for the matches; two seconds instead of thirty frames.
    fn default() -> Self {
        Self {
            weakest_share: 0.5,
            strong_iou: 0.2,
            weak_iou: 0.5,
            tentative_iou: 0.3,
            other_prompt_iou: 0.6,
            confirm_hits: 2,
            most_lost_secs: 2.0,
            most_late_secs: 0.5,
            most_tracks: 500,
            most_observations: 2000,
        }
    }
}

/// What a tracker has done since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrackerCounts {
    /// Frames that were taken.
    pub frames: u64,
    /// Frames that came late and were left out.
    pub late_frames: u64,
    /// How often the clock was set back.
    pub resets: u64,
    /// Tracks that were started.
    pub started: u64,
    /// Tracks that were confirmed.
    pub confirmed: u64,
    /// Tentative tracks that were not seen again.
    pub dropped: u64,
    /// Tracks that were lost for too long.
    pub expired: u64,
    /// Lost tracks that made room for new ones.
    pub evicted: u64,
    /// Observations that found no room for a track.
    pub no_room: u64,
    /// Observations that were not looked at.
    pub skipped: u64,
}

/// What became of one frame.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Update {
    /// One for each observation, in their order. Empty where the frame came late.
    pub outcomes: Vec<Outcome>,
    /// The clock was set back by so many seconds: all tracks before this frame have ended.
    pub set_back_secs: Option<f64>,
    /// The frame came late by so many seconds and was left out.
    pub late_secs: Option<f64>,
}

/// Gives detections ids that stay the same from frame to frame.
#[derive(Clone, Debug, Default)]
pub struct Tracker {
    settings: TrackerSettings,
    newest: Option<Stamp>,
    last_key: u64,
    /// The id that was given last; 0 before the first.
    last_id: u16,
    /// In the order of their keys.
    tracks: Vec<Track>,
    counts: TrackerCounts,
}

/// Which pairs a step may form.
struct Step {
    least_iou: f32,
    same_prompt: bool,
}

impl Tracker {
    /// A tracker without tracks.
    #[must_use]
    pub fn new(settings: TrackerSettings) -> Self {
        Self { settings, ..Self::default() }
    }

    /// All tracks, in the order of their keys. Tentative and lost ones are among them.
    #[must_use]
    pub fn tracks(&self) -> &[Track] {
        &self.tracks
    }

    /// The track with this key, where there still is one.
    #[must_use]
    pub fn track(&self, key: TrackKey) -> Option<&Track> {
        let place = self.tracks.binary_search_by_key(&key, Track::key).ok()?;
        self.tracks.get(place)
    }

    /// What has been done so far.
    #[must_use]
    pub fn counts(&self) -> TrackerCounts {
        self.counts
    }

    /// Takes the detections of one frame. They may be in any order; the result depends on it only
    /// where two are equally good.
    pub fn update(&mut self, stamp: Stamp, observations: &[Observation<'_>]) -> Update {
        let mut update = Update::default();
        let passed_secs = match self.newest {
            Some(newest) if stamp < newest => {
                let back_secs = newest.secs_since(stamp);
                if back_secs <= self.settings.most_late_secs {
                    self.counts.late_frames += 1;
                    update.late_secs = Some(back_secs);
                    return update;
                }
                self.counts.resets += 1;
                update.set_back_secs = Some(back_secs);
                self.tracks.clear();
                0.0
            }
            Some(newest) => stamp.secs_since(newest),
            None => 0.0,
        };
        self.newest = Some(stamp);
        self.counts.frames += 1;
        self.expire(stamp);
        for track in &mut self.tracks {
            track.predict(passed_secs);
        }
        let mut outcomes = self.looked_at(observations);
        let has_one = self.match_all(stamp, observations, &mut outcomes);
        self.end_unseen(&has_one);
        self.start_new(stamp, observations, &mut outcomes);
        update.outcomes =
            outcomes.into_iter().map(|outcome| outcome.unwrap_or(Outcome::Unused)).collect();
        update
    }

    fn expire(&mut self, stamp: Stamp) {
        let before = self.tracks.len();
        let most = self.settings.most_lost_secs;
        self.tracks.retain(|track| stamp.secs_since(track.last_seen()) <= most);
        self.counts.expired += (before - self.tracks.len()) as u64;
    }

    /// Skips what is broken, too much or too weak; `None` is still free.
    fn looked_at(&mut self, observations: &[Observation<'_>]) -> Vec<Option<Outcome>> {
        let mut outcomes: Vec<_> = observations
            .iter()
            .map(|seen| match seen.check() {
                Err(problem) => Some(Outcome::Skipped(problem)),
                Ok(()) => {
                    let weakest = seen.threshold * self.settings.weakest_share;
                    (seen.score < weakest).then_some(Outcome::Unused)
                }
            })
            .collect();
        let mut taken: Vec<_> =
            (0..observations.len()).filter(|index| outcomes[*index].is_none()).collect();
        // Stable: of equally good ones the first are taken.
        taken.sort_by(|a, b| observations[*b].score.total_cmp(&observations[*a].score));
        for &index in taken.iter().skip(self.settings.most_observations) {
            outcomes[index] = Some(Outcome::Skipped(ObservationProblem::TooMany));
        }
        let skipped = |outcome: &&Option<Outcome>| matches!(outcome, Some(Outcome::Skipped(_)));
        self.counts.skipped += outcomes.iter().filter(skipped).count() as u64;
        outcomes
    }

    /// Returns for each track whether it has an observation of this frame.
    fn match_all(
        &mut self,
        stamp: Stamp,
        observations: &[Observation<'_>],
        outcomes: &mut [Option<Outcome>],
    ) -> Vec<bool> {
        use TrackState::{Confirmed, Lost, Tentative};
        let settings = self.settings;
        let same = |least_iou| Step { least_iou, same_prompt: true };
        let other = Step { least_iou: settings.other_prompt_iou, same_prompt: false };
        let steps: [(&[TrackState], bool, Step); 4] = [
            (&[Confirmed, Lost], true, same(settings.strong_iou)),
            // What was lost in an earlier frame has moved too far for a weak one to be it.
            (&[Confirmed], false, same(settings.weak_iou)),
            (&[Confirmed, Lost], true, other),
            (&[Tentative], true, same(settings.tentative_iou)),
        ];
        let mut has_one = vec![false; self.tracks.len()];
        for (states, strong, step) in steps {
            let free: Vec<_> = (0..observations.len())
                .filter(|index| outcomes[*index].is_none())
                .filter(|index| observations[*index].is_strong() == strong)
                .collect();
            let waiting: Vec<_> = (0..self.tracks.len())
                .filter(|index| states.contains(&self.tracks[*index].state()))
                .filter(|index| !has_one[*index])
                .collect();
            let pairs = self.pairs(&waiting, &free, observations, &step);
            for (track, seen) in assign(&pairs) {
                has_one[track] = true;
                let observation = &observations[seen];
                if self.tracks[track].see(stamp, observation, settings.confirm_hits) {
                    let id = self.next_id();
                    self.tracks[track].set_id(id);
                }
                outcomes[seen] = Some(outcome_of(&self.tracks[track]));
            }
        }
        has_one
    }

    fn pairs(
        &self,
        tracks: &[usize],
        free: &[usize],
        observations: &[Observation<'_>],
        step: &Step,
    ) -> Vec<Pair> {
        let mut pairs = Vec::new();
        for &row in tracks {
            let track = &self.tracks[row];
            let predicted = track.box_in_source_px();
            for &column in free {
                let seen = &observations[column];
                if step.same_prompt && track.prompt() != seen.prompt {
                    continue;
                }
                let iou = predicted.iou(&seen.box_in_source_px);
                if iou >= step.least_iou && iou > 0.0 {
                    // What counts is how much better a pair is than the least that is allowed:
                    // two fair pairs are not better than a good one and a new track.
                    let weight = f64::from(iou - step.least_iou);
                    pairs.push(Pair { row, column, weight });
                }
            }
        }
        pairs
    }

    /// Drops the tentative tracks that have none, and loses the confirmed ones.
    fn end_unseen(&mut self, has_one: &[bool]) {
        let before = self.tracks.len();
        let mut has_one = has_one.iter();
        self.tracks.retain_mut(|track| {
            let seen = has_one.next() == Some(&true);
            if !seen && track.state() == TrackState::Confirmed {
                track.lose();
            }
            seen || track.state() != TrackState::Tentative
        });
        self.counts.dropped += (before - self.tracks.len()) as u64;
    }

    fn start_new(
        &mut self,
        stamp: Stamp,
        observations: &[Observation<'_>],
        outcomes: &mut [Option<Outcome>],
    ) {
        let mut new: Vec<_> = (0..observations.len())
            .filter(|index| outcomes[*index].is_none() && observations[*index].is_strong())
            .collect();
        new.sort_by(|a, b| observations[*b].score.total_cmp(&observations[*a].score));
        for index in new {
            if !self.make_room() {
                self.counts.no_room += 1;
                outcomes[index] = Some(Outcome::NoRoom);
                continue;
            }
            self.last_key += 1;
            let mut track = Track::new(TrackKey(self.last_key), stamp, &observations[index]);
            self.counts.started += 1;
            if track.confirm(self.settings.confirm_hits) {
                track.set_id(self.next_id());
            }
            outcomes[index] = Some(outcome_of(&track));
            self.tracks.push(track);
        }
    }

    /// The id of a track that is confirmed now: they are counted on to 65535, and then from 1
    /// again, past those of living tracks. As late as this, so that what flickers uses none up.
    fn next_id(&mut self) -> Option<u16> {
        self.counts.confirmed += 1;
        let mut after = (self.last_id..=u16::MAX).skip(1).chain(1..=self.last_id);
        let id = after.find(|id| self.tracks.iter().all(|track| track.id() != Some(*id)))?;
        self.last_id = id;
        Some(id)
    }

    /// Ends the track that was lost longest where there is no room for one more. Returns whether
    /// there is room now.
    fn make_room(&mut self) -> bool {
        if self.tracks.len() < self.settings.most_tracks.min(usize::from(u16::MAX)) {
            return true;
        }
        let lost = |index: &usize| self.tracks[*index].state() == TrackState::Lost;
        let oldest = (0..self.tracks.len())
            .filter(lost)
            .min_by_key(|index| (self.tracks[*index].last_seen(), self.tracks[*index].key()));
        let Some(oldest) = oldest else { return false };
        self.tracks.remove(oldest);
        self.counts.evicted += 1;
        true
    }
}

fn outcome_of(track: &Track) -> Outcome {
    Outcome::Track { key: track.key(), id: track.id(), state: track.state() }
}
