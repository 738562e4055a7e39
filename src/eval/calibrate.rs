//! The threshold that a prompt should have.

use super::boxes::decimal;
use super::evaluation::CategoryResult;

/// What the calibration images say about the threshold of one prompt.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Calibrated {
    /// The threshold with the best F1 at an overlap of 0.5, in `[0, 1]`.
    Threshold(f32),
    /// Nothing to go by: no object of it is in the images.
    NoObject,
    /// None of its objects was found at any threshold.
    NoneFound,
    /// Its scores are not in `[0, 1]`, where a threshold has to be.
    ScoresOutOfRange,
}

/// Chooses the threshold with the best F1 (the highest one of equals), in the middle between the
/// lowest score that it keeps and the highest that it drops, with few digits. `floor` is the score
/// above which detections were made.
#[must_use]
pub fn best_threshold(category: &CategoryResult, floor: f32) -> Calibrated {
    let objects = category.objects();
    if objects == 0 {
        return Calibrated::NoObject;
    }
    let mut hits = 0_u64;
    let mut best = 0.0;
    let mut cut = None;
    for (index, one) in category.ranking.iter().enumerate() {
        hits += u64::from(one.truth.is_some());
        let next = category.ranking.get(index + 1).map(|next| next.score);
        // No threshold parts equal scores.
        if next == Some(one.score) {
            continue;
        }
        let f1 = 2.0 * hits as f64 / (index as f64 + 1.0 + objects as f64);
        if f1 > best {
            best = f1;
            cut = Some((next.unwrap_or(decimal(floor).min(one.score)), one.score));
        }
    }
    match cut {
        None => Calibrated::NoneFound,
        Some((low, high)) if low >= 0.0 && high <= 1.0 => Calibrated::Threshold(between(low, high)),
        Some(_) => Calibrated::ScoresOutOfRange,
    }
}

/// The number of fewest digits that is at least `low` and below `high`, near the middle of both.
fn between(low: f64, high: f64) -> f32 {
    let middle = 0.5 * (low + high);
    (2..=9)
        .map(|digits| {
            let scale = 10_f64.powi(digits);
            ((middle * scale).round() / scale) as f32
        })
        .find(|threshold| (low..high).contains(&decimal(*threshold)))
        .unwrap_or(low as f32)
}

#[cfg(test)]
mod tests {
    use super::super::evaluation::{Evaluation, Ranked};
    use super::*;

    /// A category of so many objects, with hits and misses by falling score.
    fn category(objects: usize, ranking: &[(f64, bool)]) -> CategoryResult {
        let truths: Vec<_> = (0..objects)
            .map(|image| super::super::Truth {
                id: image as i64,
                image,
                category: 0,
                box_in_source_px: [0.0, 0.0, 9.0, 9.0].into(),
                area_px: 81.0,
                crowd: false,
            })
            .collect();
        let mut category = Evaluation::of(1, &truths, &[]).categories.remove(0);
        category.ranking = ranking
            .iter()
            .enumerate()
            .map(|(found, (score, hit))| Ranked { found, score: *score, truth: hit.then_some(0) })
            .collect();
        category
    }

    #[test]
    fn the_best_f1_wins_and_the_threshold_lies_between_its_neighbours() {
        let ranking =
            [(0.9, true), (0.8, true), (0.6, false), (0.5, true), (0.2, false), (0.1, false)];
        // F1 after each: 2/5, 4/6, 4/7, 6/8, 6/9, 6/10 of 4 objects.
        assert_eq!(best_threshold(&category(4, &ranking), 0.001), Calibrated::Threshold(0.35));
        // Of 2 objects: 2/3, 4/4 and then less.
        assert_eq!(best_threshold(&category(2, &ranking), 0.001), Calibrated::Threshold(0.7));
        // All are kept: half way to the lowest score that was asked for.
        assert_eq!(best_threshold(&category(1, &[(0.3, true)]), 0.1), Calibrated::Threshold(0.2));
    }

    #[test]
    fn equal_scores_stay_together() {
        let ranking = [(0.5, true), (0.5, false), (0.5, false), (0.4, true)];
        // Cuts exist after the third and the fourth only: 2/5 and 4/6.
        assert_eq!(best_threshold(&category(2, &ranking), 0.2), Calibrated::Threshold(0.3));
    }

    #[test]
    fn a_threshold_parts_the_closest_scores() {
        let high = decimal(f32::from_bits(0.3_f32.to_bits() + 1));
        let threshold = between(decimal(0.3), high);
        assert!(decimal(threshold) >= decimal(0.3) && decimal(threshold) < high);
        assert_eq!(between(0.123, 0.678), 0.4);
        assert_eq!(between(0.7121, 0.7125), 0.7123);
    }

    #[test]
    fn without_anything_to_go_by_there_is_none() {
        assert_eq!(best_threshold(&category(0, &[(0.5, false)]), 0.1), Calibrated::NoObject);
        assert_eq!(best_threshold(&category(2, &[(0.5, false)]), 0.1), Calibrated::NoneFound);
        assert_eq!(best_threshold(&category(2, &[]), 0.1), Calibrated::NoneFound);
        let high = category(1, &[(7.0, true)]);
        assert_eq!(best_threshold(&high, 0.1), Calibrated::ScoresOutOfRange);
    }
}
