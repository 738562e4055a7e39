//! Counts in bins, so that a run of any length costs the same memory.

use std::time::Duration;

/// Bins of a score histogram: a median is off by at most half of 1/1000.
const SCORE_BINS: usize = 1000;

/// Scores in `[0, 1]`.
#[derive(Clone, Debug, Default)]
pub(super) struct ScoreHistogram {
    /// Empty until the first score.
    counts: Vec<u32>,
    total: u64,
    range: Option<(f32, f32)>,
}

impl ScoreHistogram {
    /// Counts a score; what is not in `[0, 1]` counts as the nearest end, NaN as 0.
    pub(super) fn add(&mut self, score: f32) {
        let score = if score.is_nan() { 0.0 } else { score.clamp(0.0, 1.0) };
        if self.counts.is_empty() {
            self.counts = vec![0; SCORE_BINS];
        }
        let bin = ((score * SCORE_BINS as f32) as usize).min(SCORE_BINS - 1);
        self.counts[bin] = self.counts[bin].saturating_add(1);
        self.total += 1;
        let (min, max) = self.range.unwrap_or((score, score));
        self.range = Some((min.min(score), max.max(score)));
    }

    /// The median, to within 0.0005.
    pub(super) fn median(&self) -> Option<f32> {
        let (min, max) = self.range?;
        let bin = bin_of_quantile(&self.counts, self.total, 0.5)?;
        Some(((bin as f32 + 0.5) / SCORE_BINS as f32).clamp(min, max))
    }

    /// The counts in `bars` bars of equal width over `[0, 1]`; `bars` divides 1000.
    pub(super) fn bars(&self, bars: usize) -> Vec<u64> {
        self.counts
            .chunks(SCORE_BINS / bars)
            .map(|chunk| chunk.iter().map(|count| u64::from(*count)).sum())
            .collect()
    }
}

/// Lower edge of the first duration bin.
const SHORTEST_SECS: f64 = 1e-7;
/// Ratio of neighbouring bin edges: a quantile is off by at most 0.5 %.
const RATIO: f64 = 1.01;
/// From 100 ns to beyond a day.
const DURATION_BINS: usize = 2800;

/// Durations in bins of equal ratio.
#[derive(Clone, Debug, Default)]
pub(super) struct DurationHistogram {
    counts: Vec<u32>,
    pub(super) total: u64,
    pub(super) max: Duration,
}

impl DurationHistogram {
    pub(super) fn add(&mut self, duration: Duration) {
        if self.counts.is_empty() {
            self.counts = vec![0; DURATION_BINS];
        }
        let ratio = (duration.as_secs_f64() / SHORTEST_SECS).max(1.0);
        let bin = ((ratio.ln() / RATIO.ln()) as usize).min(DURATION_BINS - 1);
        self.counts[bin] = self.counts[bin].saturating_add(1);
        self.total += 1;
        self.max = self.max.max(duration);
    }

    /// The duration that the share `quantile` of all durations does not exceed, to within 0.5 %.
    pub(super) fn quantile(&self, quantile: f64) -> Option<Duration> {
        let bin = bin_of_quantile(&self.counts, self.total, quantile)?;
        let secs = SHORTEST_SECS * RATIO.powf(bin as f64 + 0.5);
        Some(Duration::from_secs_f64(secs).min(self.max))
    }
}

/// The bin that holds the value of rank `ceil(quantile * total)`.
fn bin_of_quantile(counts: &[u32], total: u64, quantile: f64) -> Option<usize> {
    let rank = ((quantile * total as f64).ceil() as u64).max(1);
    let mut seen = 0;
    counts.iter().position(|count| {
        seen += u64::from(*count);
        seen >= rank
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_score_is_within_half_a_bin_of_the_exact_one() {
        let mut histogram = ScoreHistogram::default();
        assert_eq!(histogram.median(), None);
        let mut scores: Vec<f32> = (0..501).map(|n| ((n * 7919) % 1009) as f32 / 1009.0).collect();
        for score in &scores {
            histogram.add(*score);
        }
        scores.sort_by(f32::total_cmp);
        let median = histogram.median().unwrap();
        assert!((median - scores[250]).abs() <= 0.0005, "{median} {}", scores[250]);
    }

    #[test]
    fn one_score_is_its_own_median_and_strays_are_counted_at_the_ends() {
        let mut histogram = ScoreHistogram::default();
        histogram.add(0.7123);
        assert_eq!(histogram.median(), Some(0.7123));
        for stray in [f32::NAN, -1.0, 2.0, 1.0] {
            histogram.add(stray);
        }
        let bars = histogram.bars(20);
        assert_eq!((bars.len(), bars[0], bars[14], bars[19]), (20, 2, 1, 2));
    }

    #[test]
    fn quantiles_of_durations_are_within_half_a_percent() {
        let mut histogram = DurationHistogram::default();
        for micros in 1..=10_000_u64 {
            histogram.add(Duration::from_micros(micros * 13));
        }
        for (quantile, micros) in [(0.5, 5_000.0 * 13.0), (0.9, 9_000.0 * 13.0)] {
            let found = histogram.quantile(quantile).unwrap().as_secs_f64() * 1e6;
            assert!((found / micros - 1.0).abs() < 0.006, "{found} {micros}");
        }
        assert_eq!(histogram.max, Duration::from_micros(130_000));
        assert!(histogram.quantile(1.0).unwrap() <= histogram.max);
        histogram.add(Duration::ZERO);
        histogram.add(Duration::from_secs(1_000_000));
        assert_eq!(histogram.total, 10_002);
    }
}
