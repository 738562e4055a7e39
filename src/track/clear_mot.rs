//! How good a tracker is: CLEAR MOT (Bernardin and Stiefelhagen 2008).

use std::collections::BTreeMap;

use crate::types::PixelBox;

use super::assign::{Pair, assign};

/// One object of one frame, true or tracked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MotObject<'a> {
    /// Which object it is, over all frames.
    pub id: u64,
    /// Its class; only objects of one class match.
    pub class: &'a str,
    /// Where it is.
    pub pixel_box: PixelBox,
}

/// What is counted over all frames.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MotScores {
    /// Frames.
    pub frames: u64,
    /// True objects, each frame counted.
    pub truths: u64,
    /// True objects with a tracked one, each frame counted.
    pub matches: u64,
    /// True objects without a tracked one.
    pub misses: u64,
    /// Tracked objects without a true one.
    pub false_positives: u64,
    /// How often a true object was matched to another id than the last time that it was matched.
    pub id_switches: u64,
    /// How often a true object was matched, then missed, and then matched again.
    pub fragmentations: u64,
    /// Sum over all matches of their intersection over union.
    pub iou_sum: f64,
}

impl MotScores {
    /// `1 - (misses + false positives + id switches) / truths`: 1 is perfect, and below 0 means
    /// more errors than objects. `None` where there are no true objects.
    #[must_use]
    pub fn mota(&self) -> Option<f64> {
        let errors = self.misses + self.false_positives + self.id_switches;
        (self.truths > 0).then(|| 1.0 - errors as f64 / self.truths as f64)
    }

    /// Mean intersection over union of the matches, higher is better. `None` where there are none.
    #[must_use]
    pub fn motp(&self) -> Option<f64> {
        (self.matches > 0).then(|| self.iou_sum / self.matches as f64)
    }
}

/// Counts frame by frame, in the order of time.
#[derive(Clone, Debug)]
pub struct ClearMot {
    least_iou: f32,
    /// The tracked id that each true object was matched to last, and whether that was in the frame
    /// before.
    last: BTreeMap<u64, (u64, bool)>,
    scores: MotScores,
}

impl ClearMot {
    /// A count in which a true and a tracked object match from this intersection over union on;
    /// 0.5 is the usual one.
    #[must_use]
    pub fn new(least_iou: f32) -> Self {
        Self { least_iou, last: BTreeMap::new(), scores: MotScores::default() }
    }

    /// What was counted so far.
    #[must_use]
    pub fn scores(&self) -> MotScores {
        self.scores
    }

    /// Counts one frame. A match of the frame before stays where it still holds; what is left is
    /// matched so that the sum of the intersections over union is the largest.
    ///
    /// An id that stands twice among the true or among the tracked objects is counted once, as its
    /// first.
    pub fn add_frame(&mut self, truths: &[MotObject<'_>], tracked: &[MotObject<'_>]) {
        let (truths, tracked) = (first_of_each(truths), first_of_each(tracked));
        let allowed = |truth: &MotObject<'_>, track: &MotObject<'_>| {
            let iou = truth.pixel_box.iou(&track.pixel_box);
            (truth.class == track.class && iou > 0.0 && iou >= self.least_iou).then_some(iou)
        };
        let mut matches: Vec<(usize, usize)> = Vec::new();
        for (row, truth) in truths.iter().enumerate() {
            let Some((id, true)) = self.last.get(&truth.id) else { continue };
            let column = tracked.iter().position(|track| track.id == *id);
            if let Some(column) =
                column.filter(|column| allowed(truth, &tracked[*column]).is_some())
            {
                matches.push((row, column));
            }
        }
        let mut pairs = Vec::new();
        for (row, truth) in truths.iter().enumerate() {
            for (column, track) in tracked.iter().enumerate() {
                let taken = matches.iter().any(|(r, c)| *r == row || *c == column);
                if let Some(iou) = allowed(truth, track).filter(|_| !taken) {
                    pairs.push(Pair { row, column, weight: f64::from(iou) });
                }
            }
        }
        matches.extend(assign(&pairs));

        let scores = &mut self.scores;
        scores.frames += 1;
        scores.truths += truths.len() as u64;
        scores.matches += matches.len() as u64;
        scores.misses += (truths.len() - matches.len()) as u64;
        scores.false_positives += (tracked.len() - matches.len()) as u64;
        let mut matched = BTreeMap::new();
        for (row, column) in matches {
            let (truth, track) = (truths[row], tracked[column]);
            scores.iou_sum += f64::from(truth.pixel_box.iou(&track.pixel_box));
            if let Some((id, in_frame_before)) = self.last.get(&truth.id) {
                scores.id_switches += u64::from(*id != track.id);
                scores.fragmentations += u64::from(!in_frame_before);
            }
            matched.insert(truth.id, (track.id, true));
        }
        for (_, in_frame_before) in self.last.values_mut() {
            *in_frame_before = false;
        }
        self.last.extend(matched);
    }
}

fn first_of_each<'a>(objects: &[MotObject<'a>]) -> Vec<MotObject<'a>> {
    let mut seen = std::collections::BTreeSet::new();
    objects.iter().filter(|object| seen.insert(object.id)).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(id: u64, x: f32) -> MotObject<'static> {
        let pixel_box = PixelBox::from_corners([x, 0.0, x + 10.0, 10.0]);
        MotObject { id, class: "mug", pixel_box }
    }

    fn count(frames: &[(&[MotObject<'_>], &[MotObject<'_>])]) -> MotScores {
        let mut clear_mot = ClearMot::new(0.5);
        for (truths, tracked) in frames {
            clear_mot.add_frame(truths, tracked);
        }
        clear_mot.scores()
    }

    #[test]
    fn a_perfect_tracker_has_a_mota_of_one() {
        let frame = [at(1, 0.0), at(2, 50.0)];
        let tracked = [at(9, 50.0), at(4, 0.0)];
        let scores = count(&[(&frame, &tracked), (&frame, &tracked)]);
        assert_eq!((scores.truths, scores.matches, scores.id_switches), (4, 4, 0));
        assert_eq!((scores.mota(), scores.motp()), (Some(1.0), Some(1.0)));
        assert_eq!((MotScores::default().mota(), MotScores::default().motp()), (None, None));
    }

    /// Counted by hand.
    #[test]
    fn every_kind_of_error_is_counted() {
        let scores = count(&[
            (&[at(1, 0.0), at(2, 50.0)], &[at(10, 0.0), at(20, 50.0)]),
            // 2 is missed, and 30 is where nothing is.
            (&[at(1, 1.0), at(2, 51.0)], &[at(10, 1.0), at(30, 90.0)]),
            // 2 is found again under another id: a switch and a fragmentation.
            (&[at(1, 2.0), at(2, 52.0)], &[at(10, 2.0), at(30, 52.0)]),
            // Both ids are exchanged: two switches.
            (&[at(1, 3.0), at(2, 53.0)], &[at(30, 3.0), at(10, 53.0)]),
        ]);
        assert_eq!((scores.frames, scores.truths, scores.matches), (4, 8, 7));
        assert_eq!((scores.misses, scores.false_positives), (1, 1));
        assert_eq!((scores.id_switches, scores.fragmentations), (3, 1));
        assert_eq!(scores.mota(), Some(1.0 - 5.0 / 8.0));
    }

    #[test]
    fn a_match_that_still_holds_stays_although_another_is_closer() {
        let scores = count(&[
            (&[at(1, 0.0)], &[at(10, 0.0)]),
            // 20 fits better now; 10 still fits (IoU 7/13).
            (&[at(1, 3.0)], &[at(10, 0.0), at(20, 3.0)]),
        ]);
        assert_eq!((scores.id_switches, scores.false_positives), (0, 1));
        // Another class never matches.
        let cup = MotObject { class: "cup", ..at(10, 0.0) };
        let scores = count(&[(&[at(1, 0.0)], &[cup])]);
        assert_eq!((scores.misses, scores.false_positives), (1, 1));
    }
}
