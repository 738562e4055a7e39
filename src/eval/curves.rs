//! Precision and recall of one category, by the rules of COCO.
//!
//! Held against `COCOeval.accumulate` of pycocotools 2.0.11 (`tests/it/eval/parity.rs`).

use super::matching::{AREAS, IOU_STEPS, Judged};

/// Points of recall at which precision is taken: 0.00, 0.01 ... 1.00.
pub const RECALLS: usize = 101;

/// Limits of detections for each image and category at which recall is taken.
pub const RECALL_LIMITS: [usize; 3] = [1, 10, 100];

/// The recall of a point, as `numpy.linspace` gives it.
fn recall_of(point: usize) -> f64 {
    if point == RECALLS - 1 { 1.0 } else { point as f64 * 0.01 }
}

/// Precision and recall of one category in one range of sizes that has at least one object.
#[derive(Clone, Debug, PartialEq)]
pub struct Curves {
    /// Objects that count; at least 1.
    pub objects: u64,
    /// For each step of overlap the precision at each point of recall, made falling by taking the
    /// best at any higher recall; 0 where that recall is not reached.
    pub precision: [[f64; RECALLS]; IOU_STEPS],
    /// For each limit of [`RECALL_LIMITS`] and each step of overlap the share of objects found.
    pub recall: [[f64; IOU_STEPS]; RECALL_LIMITS.len()],
}

impl Curves {
    /// `ranked` are all detections of the category by falling score.
    pub(super) fn of(ranked: &[Judged], area: usize, objects: u64) -> Option<Box<Self>> {
        debug_assert!(area < AREAS);
        if objects == 0 {
            return None;
        }
        let mut curves = Box::new(Self {
            objects,
            precision: [[0.0; RECALLS]; IOU_STEPS],
            recall: [[0.0; IOU_STEPS]; RECALL_LIMITS.len()],
        });
        let mut points = Vec::with_capacity(ranked.len());
        for step in 0..IOU_STEPS {
            let bit = 1_u16 << step;
            let counted = |limit: usize| {
                ranked
                    .iter()
                    .filter(move |one| one.rank < limit)
                    .map(move |one| &one.fates[area])
                    .filter(move |fate| fate.ignored & bit == 0)
                    .map(move |fate| fate.matched & bit != 0)
            };
            for (limit, recall) in RECALL_LIMITS.into_iter().zip(&mut curves.recall) {
                let hits = counted(limit).filter(|hit| *hit).count();
                recall[step] = hits as f64 / objects as f64;
            }
            points.clear();
            let (mut hits, mut others) = (0.0, 0.0);
            for hit in counted(usize::MAX) {
                if hit {
                    hits += 1.0
                } else {
                    others += 1.0
                }
                let precision = hits / (others + hits + f64::EPSILON);
                points.push((hits / objects as f64, precision));
            }
            sample(&mut points, &mut curves.precision[step]);
        }
        Some(curves)
    }

    /// Average precision at one step of overlap, in `[0, 1]`.
    #[must_use]
    pub fn average_precision(&self, step: usize) -> f64 {
        self.precision[step].iter().sum::<f64>() / RECALLS as f64
    }

    /// The precision at each point of recall, averaged over all steps of overlap.
    #[must_use]
    pub fn mean_precision(&self) -> [f64; RECALLS] {
        std::array::from_fn(|point| {
            self.precision.iter().map(|curve| curve[point]).sum::<f64>() / IOU_STEPS as f64
        })
    }
}

/// Takes the precision at each point of recall from `(recall, precision)` of rising recall.
fn sample(points: &mut [(f64, f64)], sampled: &mut [f64; RECALLS]) {
    for index in (1..points.len()).rev() {
        points[index - 1].1 = points[index - 1].1.max(points[index].1);
    }
    let mut at = 0;
    for (point, precision) in sampled.iter_mut().enumerate() {
        while points.get(at).is_some_and(|(recall, _)| *recall < recall_of(point)) {
            at += 1;
        }
        *precision = points.get(at).map_or(0.0, |(_, precision)| *precision);
    }
}

#[cfg(test)]
mod tests {
    use super::super::matching::Fate;
    use super::*;

    /// Hits and misses by falling score, in images of their own.
    fn ranked(hits: &[bool]) -> Vec<Judged> {
        hits.iter()
            .enumerate()
            .map(|(found, hit)| Judged {
                found,
                score: 1.0 - found as f64 * 0.01,
                rank: 0,
                fates: [Fate { matched: if *hit { 0x3ff } else { 0 }, ignored: 0 }; AREAS],
                truth: None,
            })
            .collect()
    }

    #[test]
    fn precision_is_the_best_at_any_higher_recall() {
        let curves = Curves::of(&ranked(&[true, false, true, false]), 0, 4).unwrap();
        let curve = curves.precision[0];
        // Recall 0.25 at precision 1, recall 0.5 at 2/3, nothing beyond.
        assert!((curve[0] - 1.0).abs() < 1e-12 && (curve[25] - 1.0).abs() < 1e-12);
        assert!((curve[26] - 2.0 / 3.0).abs() < 1e-12 && (curve[50] - 2.0 / 3.0).abs() < 1e-12);
        assert_eq!(curve[51..], [0.0; 50]);
        assert_eq!(curves.recall, [[0.5; IOU_STEPS]; 3]);
        let expected = (26.0 + 25.0 * 2.0 / 3.0) / 101.0;
        assert!((curves.average_precision(0) - expected).abs() < 1e-12);
    }

    #[test]
    fn nothing_found_is_zero_and_nothing_to_find_is_no_number() {
        let curves = Curves::of(&[], 0, 3).unwrap();
        assert_eq!((curves.average_precision(0), curves.recall[2][0]), (0.0, 0.0));
        assert!(Curves::of(&ranked(&[false]), 0, 0).is_none());
    }
}
