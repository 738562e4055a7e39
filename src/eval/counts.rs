//! Hits, false positives and misses at thresholds, and why the false ones are false.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::boxes::decimal;
use super::evaluation::Evaluation;
use super::matching::{Found, Truth};

/// The overlap (intersection over union) at which an object counts as found.
pub const HIT_IOU: f64 = 0.5;
/// Below this overlap a box has nothing to do with an object.
pub const TOUCH_IOU: f64 = 0.1;

/// Why a detection is false. The first that holds is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FalseReason {
    /// It overlaps an object of its category by [`HIT_IOU`], which a better detection has found.
    Duplicate,
    /// It overlaps an object of the category at this position by [`HIT_IOU`].
    WrongCategory(usize),
    /// It overlaps an object of any category, but by less than [`HIT_IOU`].
    BadlyPlaced,
    /// It overlaps no object by [`TOUCH_IOU`].
    NothingThere,
}

/// What came of one threshold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Counts {
    /// Detections count where their score is above it; `None` for a sum over several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f32>,
    /// Objects that were found (true positives).
    pub hits: u64,
    /// Detections that are none of an object (false positives).
    pub false_positives: u64,
    /// Objects that were not found (false negatives).
    pub misses: u64,
    /// Share of detections that are right; `None` where there are none.
    pub precision: Option<f64>,
    /// Share of objects that were found; `None` where there are none.
    pub recall: Option<f64>,
    /// Harmonic mean of both; `None` where there is neither a detection nor an object.
    pub f1: Option<f64>,
    /// The false positives by reason.
    pub because: FalseCounts,
}

/// False positives by reason: see [`FalseReason`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FalseCounts {
    /// A better detection has found the object.
    pub duplicate: u64,
    /// The object is of another category.
    pub wrong_category: u64,
    /// The box overlaps an object too little.
    pub badly_placed: u64,
    /// There is no object.
    pub nothing_there: u64,
}

impl Counts {
    fn with_shares(mut self) -> Self {
        let share = |part: u64, whole: u64| (whole > 0).then(|| part as f64 / whole as f64);
        self.precision = share(self.hits, self.hits + self.false_positives);
        self.recall = share(self.hits, self.hits + self.misses);
        self.f1 = share(2 * self.hits, 2 * self.hits + self.false_positives + self.misses);
        self
    }

    fn add(&mut self, other: &Self) {
        self.hits += other.hits;
        self.false_positives += other.false_positives;
        self.misses += other.misses;
        self.because.duplicate += other.because.duplicate;
        self.because.wrong_category += other.because.wrong_category;
        self.because.badly_placed += other.because.badly_placed;
        self.because.nothing_there += other.because.nothing_there;
    }
}

/// What one image looks like at the thresholds. Positions are those in the lists that were
/// evaluated.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ImageView {
    /// Detections that have found an object.
    pub hits: Vec<usize>,
    /// Detections that have not, each with the reason.
    pub false_positives: Vec<(usize, FalseReason)>,
    /// Objects that were not found.
    pub misses: Vec<usize>,
}

/// All categories, each at its threshold.
#[derive(Clone, Debug)]
pub struct AtThresholds {
    /// One for each category.
    pub categories: Vec<Counts>,
    /// The sum over all.
    pub total: Counts,
    /// How often the first category was seen where an object of the second is.
    pub confusions: BTreeMap<(usize, usize), u64>,
    /// Images with at least one object or detection, by their position in the dataset.
    pub images: BTreeMap<usize, ImageView>,
}

impl AtThresholds {
    /// Counts the detections of each category whose scores are above its threshold.
    #[must_use]
    pub fn of(
        evaluation: &Evaluation,
        truths: &[Truth],
        found: &[Found],
        thresholds: &[f32],
    ) -> Self {
        let mut of_image: BTreeMap<usize, Vec<&Truth>> = BTreeMap::new();
        for truth in truths.iter().filter(|truth| !truth.crowd) {
            of_image.entry(truth.image).or_default().push(truth);
        }
        let mut result = Self {
            categories: Vec::with_capacity(thresholds.len()),
            total: Counts::default(),
            confusions: BTreeMap::new(),
            images: BTreeMap::new(),
        };
        let mut was_found = vec![false; truths.len()];
        for (category, (about, threshold)) in
            evaluation.categories.iter().zip(thresholds).enumerate()
        {
            let limit = decimal(*threshold);
            let mut counts = Counts { threshold: Some(*threshold), ..Counts::default() };
            for one in about.ranking.iter().take_while(|one| one.score > limit) {
                let seen = &found[one.found];
                let view = result.images.entry(seen.image).or_default();
                if let Some(truth) = one.truth {
                    was_found[truth] = true;
                    counts.hits += 1;
                    view.hits.push(one.found);
                    continue;
                }
                let there = of_image.get(&seen.image).map_or(&[][..], Vec::as_slice);
                let reason = why_false(seen, there);
                counts.false_positives += 1;
                let because = &mut counts.because;
                match reason {
                    FalseReason::Duplicate => because.duplicate += 1,
                    FalseReason::WrongCategory(other) => {
                        because.wrong_category += 1;
                        *result.confusions.entry((category, other)).or_default() += 1;
                    }
                    FalseReason::BadlyPlaced => because.badly_placed += 1,
                    FalseReason::NothingThere => because.nothing_there += 1,
                }
                view.false_positives.push((one.found, reason));
            }
            counts.misses = about.objects() - counts.hits;
            result.total.add(&counts);
            result.categories.push(counts.with_shares());
        }
        for (position, truth) in truths.iter().enumerate().filter(|(_, truth)| !truth.crowd) {
            let view = result.images.entry(truth.image).or_default();
            if !was_found[position] {
                view.misses.push(position);
            }
        }
        result.total = result.total.with_shares();
        result
    }
}

fn why_false(seen: &Found, there: &[&Truth]) -> FalseReason {
    let overlap = |truth: &&&Truth| seen.box_in_source_px.iou(&truth.box_in_source_px);
    let best = |own: bool| {
        there
            .iter()
            .filter(|truth| (truth.category == seen.category) == own)
            .map(|truth| (overlap(&truth), truth.category))
            .max_by(|(a, _), (b, _)| a.total_cmp(b))
            .unwrap_or((0.0, seen.category))
    };
    let ((own, _), (other, category)) = (best(true), best(false));
    if own >= HIT_IOU {
        FalseReason::Duplicate
    } else if other >= HIT_IOU {
        FalseReason::WrongCategory(category)
    } else if own.max(other) >= TOUCH_IOU {
        FalseReason::BadlyPlaced
    } else {
        FalseReason::NothingThere
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn truth(id: i64, image: usize, category: usize, left: f64, crowd: bool) -> Truth {
        let box_in_source_px = [left, 0.0, 20.0, 20.0].into();
        Truth { id, image, category, box_in_source_px, area_px: 400.0, crowd }
    }

    fn found(image: usize, category: usize, left: f64, score: f64) -> Found {
        Found { image, category, box_in_source_px: [left, 0.0, 20.0, 20.0].into(), score }
    }

    #[test]
    fn false_ones_are_told_apart_and_hits_and_misses_add_up() {
        let truths = [
            truth(1, 0, 0, 0.0, false),
            truth(2, 0, 1, 100.0, false),
            truth(3, 0, 0, 200.0, true),
            truth(4, 3, 0, 0.0, false),
        ];
        let seen = [
            found(0, 0, 1.0, 0.9),
            found(0, 0, 0.0, 0.8),
            found(0, 0, 101.0, 0.7),
            found(0, 0, 15.0, 0.6),
            found(0, 0, 50.0, 0.5),
            found(0, 0, 200.0, 0.45), // in the crowd: does not count
            found(2, 1, 0.0, 0.4),
            found(0, 1, 100.0, 0.1), // not above its threshold
        ];
        let evaluation = Evaluation::of(2, &truths, &seen);
        let at = AtThresholds::of(&evaluation, &truths, &seen, &[0.2, 0.1]);
        let first = &at.categories[0];
        assert_eq!((first.hits, first.false_positives, first.misses), (1, 4, 1));
        assert_eq!(
            (first.precision, first.recall, first.f1),
            (Some(0.2), Some(0.5), Some(2.0 / 7.0))
        );
        let because =
            FalseCounts { duplicate: 1, wrong_category: 1, badly_placed: 1, nothing_there: 1 };
        assert_eq!(first.because, because);
        let second = &at.categories[1];
        assert_eq!((second.hits, second.false_positives, second.misses), (0, 1, 1));
        assert_eq!((at.total.hits, at.total.false_positives, at.total.misses), (1, 5, 2));
        assert_eq!(at.confusions, BTreeMap::from([((0, 1), 1)]));

        assert_eq!(at.images.keys().copied().collect::<Vec<_>>(), [0, 2, 3]);
        let view = &at.images[&0];
        assert_eq!((view.hits.as_slice(), view.misses.as_slice()), (&[0][..], &[1][..]));
        let reasons: Vec<_> = view.false_positives.iter().map(|(_, reason)| *reason).collect();
        assert_eq!(
            reasons,
            [
                FalseReason::Duplicate,
                FalseReason::WrongCategory(1),
                FalseReason::BadlyPlaced,
                FalseReason::NothingThere
            ]
        );
        assert_eq!(at.images[&3].misses, [3]);
    }

    #[test]
    fn shares_of_nothing_are_no_numbers() {
        let at = AtThresholds::of(&Evaluation::of(1, &[], &[]), &[], &[], &[0.5]);
        let counts = &at.categories[0];
        assert_eq!((counts.precision, counts.recall, counts.f1), (None, None, None));
    }
}
