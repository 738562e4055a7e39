//! When prompts were seen, in time bins whose width doubles as a run grows.

use std::collections::BTreeMap;

use crate::types::Stamp;

/// The most bins between the first and the last frame.
const MAX_BINS: i64 = 240;
/// The first width of a bin, about a millisecond; a power of two so that doubled bins nest.
const FIRST_WIDTH_NANOS: i64 = 1 << 20;

/// Frames per bin, and per prompt the frames in which it was seen. Bins are counted from the epoch
/// of the stamps, so that the order of the frames does not matter.
#[derive(Clone, Debug)]
pub(super) struct Timeline {
    width_nanos: i64,
    frames: BTreeMap<i64, u32>,
    of_prompt: Vec<BTreeMap<i64, u32>>,
}

impl Default for Timeline {
    fn default() -> Self {
        Self { width_nanos: FIRST_WIDTH_NANOS, frames: BTreeMap::new(), of_prompt: Vec::new() }
    }
}

impl Timeline {
    /// Counts a frame and the prompts that were seen in it, each once.
    pub(super) fn add(&mut self, stamp: Stamp, prompts: impl Iterator<Item = usize>) {
        let bin = stamp.0.div_euclid(self.width_nanos);
        *self.frames.entry(bin).or_default() += 1;
        for prompt in prompts {
            if self.of_prompt.len() <= prompt {
                self.of_prompt.resize_with(prompt + 1, BTreeMap::new);
            }
            *self.of_prompt[prompt].entry(bin).or_default() += 1;
        }
        while self.span() > MAX_BINS {
            self.coarsen();
        }
    }

    /// The bins as they are best shown: wide enough that a steady stream of frames has no holes.
    pub(super) fn for_display(&self) -> Self {
        let mut shown = self.clone();
        while shown.span() > 2 && shown.usual_gap() > 1 {
            shown.coarsen();
        }
        shown
    }

    /// Number of bins from the first frame to the last; 0 where there is none.
    pub(super) fn span(&self) -> i64 {
        match (self.frames.first_key_value(), self.frames.last_key_value()) {
            (Some((first, _)), Some((last, _))) => last.saturating_sub(*first).saturating_add(1),
            _ => 0,
        }
    }

    /// The bins that hold frames, counted from the first: `(bin, frames)`.
    pub(super) fn frames(&self) -> impl Iterator<Item = (i64, u32)> {
        let first = self.frames.keys().next().copied().unwrap_or(0);
        self.frames.iter().map(move |(bin, count)| (bin - first, *count))
    }

    /// The bins in which the prompt was seen: `(bin, share of the frames of that bin)`.
    pub(super) fn shares(&self, prompt: usize) -> impl Iterator<Item = (i64, f32)> {
        let first = self.frames.keys().next().copied().unwrap_or(0);
        self.of_prompt.get(prompt).into_iter().flatten().map(move |(bin, count)| {
            let frames = self.frames.get(bin).copied().unwrap_or(*count);
            (bin - first, *count as f32 / frames as f32)
        })
    }

    fn coarsen(&mut self) {
        let halve = |bins: &BTreeMap<i64, u32>| {
            let mut halved = BTreeMap::new();
            for (bin, count) in bins {
                *halved.entry(bin.div_euclid(2)).or_insert(0) += count;
            }
            halved
        };
        self.frames = halve(&self.frames);
        for bins in &mut self.of_prompt {
            *bins = halve(bins);
        }
        self.width_nanos = self.width_nanos.saturating_mul(2);
    }

    /// The step to the next bin with frames that nine in ten steps do not exceed: a pause in a
    /// recording stays a pause, the time between two frames does not become one.
    fn usual_gap(&self) -> i64 {
        let bins: Vec<_> = self.frames.keys().copied().collect();
        let mut gaps: Vec<_> = bins.windows(2).map(|pair| pair[1] - pair[0]).collect();
        gaps.sort_unstable();
        gaps.get(gaps.len() * 9 / 10).copied().unwrap_or(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLI: i64 = 1_000_000;

    fn of(stamps: impl Iterator<Item = i64>) -> Timeline {
        let mut timeline = Timeline::default();
        for (index, nanos) in stamps.enumerate() {
            timeline.add(Stamp(nanos), (index % 2 == 0).then_some(0).into_iter());
        }
        timeline
    }

    #[test]
    fn nothing_is_lost_when_bins_double() {
        let start = 1_700_000_000_000 * MILLI;
        let timeline = of((0..100_000).map(|n| start + n * 33 * MILLI));
        assert!((MAX_BINS / 2..=MAX_BINS).contains(&timeline.span()), "{}", timeline.span());
        assert_eq!(timeline.frames().map(|(_, count)| count).sum::<u32>(), 100_000);
        let seen: f32 =
            timeline.frames().zip(timeline.shares(0)).map(|((_, n), (_, s))| n as f32 * s).sum();
        assert!((seen - 50_000.0).abs() < 1.0, "{seen}");
    }

    #[test]
    fn the_order_of_frames_does_not_matter() {
        let stamps: Vec<i64> = (0..500).map(|n| ((n * 7919) % 500) * 40 * MILLI).collect();
        let mut sorted = stamps.clone();
        sorted.sort_unstable();
        let bins = |stamps: &[i64]| of(stamps.iter().copied()).frames().collect::<Vec<_>>();
        assert_eq!(bins(&stamps), bins(&sorted));
    }

    #[test]
    fn a_slow_stream_has_no_holes_and_a_pause_stays() {
        let steady = of((0..20).map(|n| n * 500 * MILLI)).for_display();
        assert_eq!(steady.frames().count() as i64, steady.span());
        let paused = of((0..40).map(|n| (n + if n < 20 { 0 } else { 100 }) * 100 * MILLI));
        let paused = paused.for_display();
        assert!(paused.span() as usize > 2 * paused.frames().count());
    }

    #[test]
    fn wild_stamps_do_no_harm() {
        let timeline = of([0, i64::MIN, i64::MAX, -1, 0].into_iter());
        assert!(timeline.span() <= MAX_BINS);
        assert_eq!(timeline.for_display().frames().map(|(_, count)| count).sum::<u32>(), 5);
        assert_eq!(Timeline::default().for_display().span(), 0);
    }
}
