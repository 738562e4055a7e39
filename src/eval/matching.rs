//! Which detection found which object, by the rules of COCO.
//!
//! Held against `COCOeval.evaluateImg` of pycocotools 2.0.11 (`tests/it/eval/parity.rs`). Within an
//! image and a category detections choose by falling score, each the free object that it overlaps
//! most. An object that does not count (a crowd, or of a size outside of the range) is chosen only
//! where no object that counts is left, and takes the detection out of the count with it.

use super::boxes::CocoBox;
use super::stored::StoredMask;
use crate::types::Mask;

/// The overlaps from which a detection has found an object: 0.50, 0.55 ... 0.95.
pub const IOU_STEPS: usize = 10;

/// Detections of one category in one image that count at most, best first.
pub const MAX_PER_IMAGE: usize = 100;

/// Ranges of object size that are counted apart.
pub const AREAS: usize = 4;

/// The ranges of area in square pixels, both ends included: all, small, medium, large.
pub const AREA_RANGES_PX: [(f64, f64); AREAS] =
    [(0.0, 1e10), (0.0, 1024.0), (1024.0, 9216.0), (9216.0, 1e10)];

/// The overlap of each step. The products are those of `numpy.linspace`, to the last bit.
#[must_use]
pub fn iou_thresholds() -> [f64; IOU_STEPS] {
    let step = (0.95 - 0.5) / 9.0;
    std::array::from_fn(|index| if index == 9 { 0.95 } else { index as f64 * step + 0.5 })
}

/// An object as an evaluation sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Truth {
    /// The id of its annotation.
    pub id: i64,
    /// Position of its image in the dataset.
    pub image: usize,
    /// Position of its category in the dataset.
    pub category: usize,
    /// Where it is, in pixels of the source image.
    pub box_in_source_px: CocoBox,
    /// Its area in square pixels, which may be that of its mask.
    pub area_px: f64,
    /// A region with many objects: what is found in it counts neither for nor against.
    pub crowd: bool,
    /// Its pixels, where the dataset has them in a form that can be read.
    pub mask: Option<StoredMask>,
}

/// A detection as an evaluation sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// Position of its image in the dataset.
    pub image: usize,
    /// Position of its category in the dataset.
    pub category: usize,
    /// Where it is, in pixels of the source image.
    pub box_in_source_px: CocoBox,
    /// Finite; only the order counts.
    pub score: f64,
    /// Its pixels, where it has a mask.
    pub mask: Option<StoredMask>,
}

/// What overlaps are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overlap {
    Boxes,
    /// Sizes of detections are those of their boxes all the same: pycocotools takes them from
    /// `bbox` where a results file has both.
    Masks,
}

impl Overlap {
    /// Of each detection with each object, detection by detection.
    fn of_all(self, found: &[(usize, &Found)], truths: &[(usize, &Truth)]) -> Vec<f64> {
        let mut overlaps = Vec::with_capacity(found.len() * truths.len());
        match self {
            Self::Boxes => {
                for (_, seen) in found {
                    let area = &seen.box_in_source_px;
                    overlaps.extend(truths.iter().map(|(_, there)| {
                        let of = &there.box_in_source_px;
                        if there.crowd { area.share_inside(of) } else { area.iou(of) }
                    }));
                }
            }
            Self::Masks => {
                let pixels = |mask: &Option<StoredMask>| mask.as_ref().map(StoredMask::mask);
                let there: Vec<_> =
                    truths.iter().map(|(_, truth)| (truth.crowd, pixels(&truth.mask))).collect();
                for (_, seen) in found {
                    let seen = pixels(&seen.mask);
                    let overlap = |(crowd, of): &(bool, Option<Mask>)| match (&seen, of) {
                        (Some(seen), Some(of)) if *crowd => match seen.area_px() {
                            0 => 0.0,
                            area_px => seen.common_px(of) as f64 / area_px as f64,
                        },
                        (Some(seen), Some(of)) => seen.iou(of),
                        _ => 0.0,
                    };
                    overlaps.extend(there.iter().map(overlap));
                }
            }
        }
        overlaps
    }
}

/// What became of a detection in one range of sizes: one bit for each step of overlap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Fate {
    /// It has an object, one that counts or one that does not.
    pub(super) matched: u16,
    /// It counts neither for nor against.
    pub(super) ignored: u16,
}

/// A detection in its place among those of its image and category.
#[derive(Clone, Copy, Debug)]
pub(super) struct Judged {
    /// Position in the list of all detections.
    pub(super) found: usize,
    pub(super) score: f64,
    /// How many of its image and category are better.
    pub(super) rank: usize,
    /// In each range of sizes.
    pub(super) fates: [Fate; AREAS],
    /// The object that it has at an overlap of 0.5 among all sizes, by its position in the list of
    /// all objects.
    pub(super) truth: Option<usize>,
}

/// Whether an object counts in a range of sizes.
pub(super) fn counts(truth: &Truth, (low, high): (f64, f64)) -> bool {
    !truth.crowd && truth.area_px >= low && truth.area_px <= high
}

/// Judges the detections of one image and category. `truths` stand in the order of the file,
/// `found` by falling score, at most [`MAX_PER_IMAGE`]; both with their positions in the lists of
/// all.
pub(super) fn judge(
    truths: &[(usize, &Truth)],
    found: &[(usize, &Found)],
    overlap: Overlap,
) -> Vec<Judged> {
    let overlaps = overlap.of_all(found, truths);
    let mut judged: Vec<Judged> = found
        .iter()
        .enumerate()
        .map(|(rank, (position, found))| Judged {
            found: *position,
            score: found.score,
            rank,
            fates: [Fate::default(); AREAS],
            truth: None,
        })
        .collect();
    let thresholds = iou_thresholds();
    let mut taken = vec![false; truths.len()];
    for (area, range) in AREA_RANGES_PX.into_iter().enumerate() {
        // Those that count come first; within both parts the order of the file.
        let mut order: Vec<usize> = (0..truths.len()).collect();
        order.sort_by_key(|index| !counts(truths[*index].1, range));
        for (step, threshold) in thresholds.into_iter().enumerate() {
            let bit = 1_u16 << step;
            taken.fill(false);
            for (index, judged) in judged.iter_mut().enumerate() {
                let row = &overlaps[index * truths.len()..][..truths.len()];
                let choice = choose(row, &order, threshold, |truth| {
                    let (_, about) = truths[truth];
                    (taken[truth] && !about.crowd, counts(about, range))
                });
                let fate = &mut judged.fates[area];
                if let Some(truth) = choice {
                    taken[truth] = true;
                    fate.matched |= bit;
                    if !counts(truths[truth].1, range) {
                        fate.ignored |= bit;
                    }
                    if area == 0 && step == 0 {
                        judged.truth = Some(truths[truth].0);
                    }
                } else {
                    let size = found[index].1.box_in_source_px.area();
                    if size < range.0 || size > range.1 {
                        fate.ignored |= bit;
                    }
                }
            }
        }
    }
    judged
}

/// The object of the highest overlap that is free, the last of equal ones; one that does not count
/// only where none that counts will do.
fn choose(
    overlaps: &[f64],
    order: &[usize],
    threshold: f64,
    state: impl Fn(usize) -> (bool, bool),
) -> Option<usize> {
    let mut best = threshold.min(1.0 - 1e-10);
    let mut chosen: Option<(usize, bool)> = None;
    for &truth in order {
        let (is_taken, is_counted) = state(truth);
        if is_taken {
            continue;
        }
        if let Some((_, true)) = chosen
            && !is_counted
        {
            break;
        }
        if overlaps[truth] >= best {
            best = overlaps[truth];
            chosen = Some((truth, is_counted));
        }
    }
    chosen.map(|(truth, _)| truth)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn truth(numbers: [f64; 4], crowd: bool) -> Truth {
        let area: CocoBox = numbers.into();
        let area_px = area.area();
        Truth { id: 1, image: 0, category: 0, box_in_source_px: area, area_px, crowd, mask: None }
    }

    fn found(numbers: [f64; 4], score: f64) -> Found {
        Found { image: 0, category: 0, box_in_source_px: numbers.into(), score, mask: None }
    }

    fn judged(truths: &[Truth], found: &[Found]) -> Vec<Judged> {
        let truths: Vec<_> = truths.iter().enumerate().collect();
        let found: Vec<_> = found.iter().enumerate().collect();
        judge(&truths, &found, Overlap::Boxes)
    }

    #[test]
    fn steps_of_overlap_are_those_of_numpy() {
        // From `numpy.linspace(.5, 0.95, 10).tolist()`.
        let expected = [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.899_999_999_999_999_9, 0.95];
        assert_eq!(iou_thresholds(), expected);
    }

    #[test]
    fn an_object_is_found_once_and_the_better_detection_has_it() {
        let there = [truth([0.0, 0.0, 40.0, 40.0], false)];
        let seen = [found([1.0, 0.0, 40.0, 40.0], 0.9), found([0.0, 0.0, 40.0, 40.0], 0.8)];
        let judged = judged(&there, &seen);
        assert_eq!([judged[0].truth, judged[1].truth], [Some(0), None]);
        // IoU 39/41: to 0.95 and no further; the perfect second one takes what is left free.
        assert_eq!(judged[0].fates[0].matched, 0b11_1111_1111);
        assert_eq!(judged[1].fates[0].matched, 0);
    }

    #[test]
    fn a_crowd_takes_any_number_out_of_the_count_and_objects_come_before_it() {
        let there = [truth([0.0, 0.0, 100.0, 100.0], true), truth([10.0, 10.0, 40.0, 40.0], false)];
        let seen = [
            found([10.0, 10.0, 40.0, 40.0], 0.9),
            found([50.0, 50.0, 20.0, 20.0], 0.8),
            found([60.0, 60.0, 20.0, 20.0], 0.7),
        ];
        let fates: Vec<_> = judged(&there, &seen).iter().map(|one| one.fates[0]).collect();
        assert_eq!(fates[0], Fate { matched: 0x3ff, ignored: 0 });
        assert_eq!(fates[1..], [Fate { matched: 0x3ff, ignored: 0x3ff }; 2]);
    }

    #[test]
    fn what_is_outside_of_a_range_of_sizes_is_not_counted_in_it() {
        let there = [truth([0.0, 0.0, 50.0, 50.0], false)];
        let seen = [found([0.0, 0.0, 50.0, 50.0], 0.9), found([200.0, 0.0, 5.0, 5.0], 0.8)];
        let judged = judged(&there, &seen);
        // Of medium size: among small ones the hit is ignored, the small stray is not.
        assert_eq!(judged[0].fates[1], Fate { matched: 0x3ff, ignored: 0x3ff });
        assert_eq!(judged[1].fates[1], Fate { matched: 0, ignored: 0 });
        assert_eq!(judged[0].fates[2], Fate { matched: 0x3ff, ignored: 0 });
        assert_eq!(judged[1].fates[2], Fate { matched: 0, ignored: 0x3ff });
    }
}
