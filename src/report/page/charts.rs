//! Small charts as inline SVG. Colours come from the style sheet by class.

use std::fmt::Write as _;

use maud::{Markup, html};

use super::super::histogram::ScoreHistogram;
use super::super::timeline::Timeline;

const HISTOGRAM_BARS: usize = 25;
const BAR_WIDTH: usize = 5;
const HISTOGRAM_HEIGHT: usize = 26;
const STRIP_HEIGHT: f32 = 20.0;

/// How scores spread over `[0, 1]`, with a mark at the threshold. The highest bar fills the height.
pub(super) fn score_histogram(scores: &ScoreHistogram, threshold: f32, label: &str) -> Markup {
    let bars = scores.bars(HISTOGRAM_BARS);
    let highest = bars.iter().copied().max().unwrap_or(0).max(1) as f32;
    let mut path = String::new();
    for (index, count) in bars.iter().enumerate().filter(|(_, count)| **count > 0) {
        // A bar of one count among thousands is still seen.
        let height = (*count as f32 / highest * HISTOGRAM_HEIGHT as f32).max(1.0);
        bar(
            &mut path,
            (index * BAR_WIDTH) as f32,
            (BAR_WIDTH - 1) as f32,
            height,
            HISTOGRAM_HEIGHT as f32,
        );
    }
    let width = HISTOGRAM_BARS * BAR_WIDTH;
    let mark = threshold * width as f32;
    html! {
        svg.histogram viewBox={ "0 0 " (width) " " (HISTOGRAM_HEIGHT + 1) } width=(width)
            height=(HISTOGRAM_HEIGHT + 1) role="img" aria-label=(label) {
            path.axis d={ "M0 " (HISTOGRAM_HEIGHT) ".5H" (width) } {}
            path.bars d=(path) {}
            path.mark d={ "M" (format_args!("{mark:.1}")) " 0V" (HISTOGRAM_HEIGHT) } {}
        }
    }
}

/// When a prompt was seen: a bar for each time bin, as high as the share of its frames. Where there
/// were no frames the ground is missing.
pub(super) fn time_strip(timeline: &Timeline, prompt: usize, label: &str) -> Markup {
    let mut ground = String::new();
    for (start, length) in runs(timeline.frames().map(|(bin, _)| bin)) {
        bar(&mut ground, start as f32, length as f32, STRIP_HEIGHT, STRIP_HEIGHT);
    }
    let mut path = String::new();
    for (bin, share) in timeline.shares(prompt) {
        bar(&mut path, bin as f32, 1.0, (share * STRIP_HEIGHT).max(1.0), STRIP_HEIGHT);
    }
    html! {
        svg.strip viewBox={ "0 0 " (timeline.span()) " " (STRIP_HEIGHT) } preserveAspectRatio="none"
            height=(STRIP_HEIGHT) role="img" aria-label=(label) {
            path.ground d=(ground) {}
            path.bars d=(path) {}
        }
    }
}

/// A share of a whole as a bar of 100 units.
pub(super) fn share_bar(share: f64) -> Markup {
    let width = format!("{:.1}", (share.clamp(0.0, 1.0) * 100.0));
    html! {
        svg.share viewBox="0 0 100 8" width="100" height="8" aria-hidden="true" {
            path.ground d="M0 0H100V8H0Z" {}
            path.bars d={ "M0 0H" (width) "V8H0Z" } {}
        }
    }
}

/// Adds a bar that stands on the ground line `ground`.
fn bar(path: &mut String, x: f32, width: f32, height: f32, ground: f32) {
    // Writing to a String cannot fail.
    let _ = write!(path, "M{x} {ground}v-{height:.1}h{width}v{height:.1}z");
}

/// Consecutive numbers as `(first, how many)`.
fn runs(numbers: impl Iterator<Item = i64>) -> Vec<(i64, i64)> {
    let mut runs: Vec<(i64, i64)> = Vec::new();
    for number in numbers {
        match runs.last_mut() {
            Some((first, length)) if *first + *length == number => *length += 1,
            _ => runs.push((number, 1)),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_join() {
        assert_eq!(runs([0, 1, 2, 5, 7, 8].into_iter()), [(0, 3), (5, 1), (7, 2)]);
        assert_eq!(runs(std::iter::empty()), []);
    }

    #[test]
    fn labels_are_escaped_and_an_empty_chart_is_one() {
        let chart = score_histogram(&ScoreHistogram::default(), 0.5, "\"><script>").into_string();
        assert!(chart.contains("aria-label=\"&quot;&gt;&lt;script&gt;\""), "{chart}");
        assert!(chart.contains("M62.5 0V26"), "{chart}");
    }
}
