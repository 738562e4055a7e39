//! Charts of an evaluation as inline SVG. Colours come from the style sheet by class.

use std::fmt::Write as _;

use maud::{Markup, html};

use crate::eval::ScoreRecord;

/// A curve of precision at evenly spaced points of recall from 0 to 1, in a square of so many
/// units.
fn path_of(precision: &[f64], width: f64, height: f64) -> String {
    let mut path = String::new();
    let steps = precision.len().saturating_sub(1).max(1) as f64;
    for (index, here) in precision.iter().enumerate() {
        // A level stretch is told by its ends.
        let is_inside = index > 0
            && precision[index - 1] == *here
            && precision.get(index + 1).is_some_and(|next| next == here);
        if is_inside {
            continue;
        }
        let letter = if path.is_empty() { 'M' } else { 'L' };
        let (x, y) = (index as f64 / steps * width, (1.0 - here.clamp(0.0, 1.0)) * height);
        // Writing to a String cannot fail.
        let _ = write!(path, "{letter}{x:.1} {y:.1}");
    }
    path
}

const SMALL_WIDTH: f64 = 110.0;
const SMALL_HEIGHT: f64 = 40.0;

/// The curve of one prompt, for a row of a table.
pub(super) fn small_curve(precision: &[f64], label: &str) -> Markup {
    let box_of_view = format!("0 0 {SMALL_WIDTH} {SMALL_HEIGHT}");
    html! {
        svg.curve viewBox=(box_of_view) width=(SMALL_WIDTH) height=(SMALL_HEIGHT) role="img" aria-label=(label) {
            path.ground d={ "M0 0H" (SMALL_WIDTH) "V" (SMALL_HEIGHT) "H0Z" } {}
            path.line d=(path_of(precision, SMALL_WIDTH, SMALL_HEIGHT)) {}
        }
    }
}

const SIDE: f64 = 300.0;

/// Up to three curves with axes: class, what it is, and the precision.
pub(super) fn large_curves(curves: &[(&str, String, Vec<f64>)]) -> Markup {
    let ticks = [0.0, 0.25, 0.5, 0.75, 1.0];
    html! {
        div.chart {
            svg.curves viewBox="-44 -10 364 354" width="364" height="354" role="img" aria-label="Precision over recall" {
                @for tick in ticks {
                    @let at = tick * SIDE;
                    path.axis d={ "M0 " (SIDE - at) "H" (SIDE) "M" (at) " 0V" (SIDE) } {}
                    text.tick x=(at) y="318" text-anchor="middle" { (tick) }
                    text.tick x="-8" y=(SIDE - at + 4.0) text-anchor="end" { (tick) }
                }
                text.tick x="150" y="338" text-anchor="middle" { "recall" }
                text.tick transform="translate(-38 150) rotate(-90)" text-anchor="middle" { "precision" }
                @for (class, _, precision) in curves {
                    path class={ "line " (class) } d=(path_of(precision, SIDE, SIDE)) {}
                }
            }
            ul.legend {
                @for (class, label, _) in curves {
                    li {
                        svg viewBox="0 0 24 8" width="24" height="8" aria-hidden="true" {
                            path class={ "line " (class) } d="M0 4H24" {}
                        }
                        (label)
                    }
                }
            }
        }
    }
}

const BAR_WIDTH: usize = 5;
const HALF_HEIGHT: f64 = 22.0;

/// Scores over `[0, 1]`: hits above the line, the others below it, each half filled by its highest
/// bar; a mark at the threshold.
pub(super) fn scores(scores: &ScoreRecord, threshold: Option<f32>, label: &str) -> Markup {
    let bars = |counts: &[u64], upwards: bool| {
        let highest = counts.iter().copied().max().unwrap_or(0).max(1) as f64;
        let mut path = String::new();
        for (index, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            // A bar of one count among thousands is still seen.
            let height = (*count as f64 / highest * HALF_HEIGHT).max(1.0);
            let end = if upwards { HALF_HEIGHT - height } else { HALF_HEIGHT + height };
            let (left, right) = (index * BAR_WIDTH, (index + 1) * BAR_WIDTH - 1);
            // Writing to a String cannot fail.
            let _ = write!(path, "M{left} {HALF_HEIGHT}V{end:.1}H{right}V{HALF_HEIGHT}z");
        }
        path
    };
    let width = scores.hits.len() * BAR_WIDTH;
    let height = 2.0 * HALF_HEIGHT;
    html! {
        svg.scores viewBox={ "0 0 " (width) " " (height) } width=(width) height=(height) role="img" aria-label=(label) {
            path.bars d=(bars(&scores.hits, true)) {}
            path.others d=(bars(&scores.false_positives, false)) {}
            path.axis d={ "M0 " (HALF_HEIGHT) "H" (width) } {}
            @if let Some(threshold) = threshold {
                path.mark d={ "M" (format_args!("{:.1}", threshold * width as f32)) " 0V" (height) } {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_goes_from_its_first_to_its_last_point_and_leaves_out_level_ones() {
        let path = path_of(&[1.0, 1.0, 1.0, 0.5, 0.5, 0.0], 100.0, 50.0);
        assert_eq!(path, "M0.0 0.0L40.0 0.0L60.0 25.0L80.0 25.0L100.0 50.0");
        assert_eq!(path_of(&[], 1.0, 1.0), "");
    }
}
