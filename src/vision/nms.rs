//! Non-maximum suppression.

use crate::types::PixelBox;

/// One box that competes with the others of its group.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Contender {
    /// Where it is, in any one pixel space.
    pub pixel_box: PixelBox,
    /// Boxes suppress each other only within a group (a prompt).
    pub group: usize,
}

/// Greedy non-maximum suppression within groups: a box is kept unless it overlaps a kept box of
/// its group that stands before it with an intersection over union above `iou_threshold`.
///
/// `contenders` stand in the order of falling score. Returns the positions that are kept,
/// rising. A box without area overlaps nothing and is kept. Work grows with the kept boxes of a
/// group times the boxes of that group.
#[must_use]
pub fn greedy_nms(contenders: &[Contender], iou_threshold: f32) -> Vec<usize> {
    let mut kept_of_group = std::collections::HashMap::<usize, Vec<PixelBox>>::new();
    let mut kept = Vec::new();
    for (position, contender) in contenders.iter().enumerate() {
        let rivals = kept_of_group.entry(contender.group).or_default();
        if rivals.iter().all(|rival| rival.iou(&contender.pixel_box) <= iou_threshold) {
            rivals.push(contender.pixel_box);
            kept.push(position);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(corners: [f32; 4], group: usize) -> Contender {
        Contender { pixel_box: PixelBox::from_corners(corners), group }
    }

    #[test]
    fn the_first_of_overlapping_boxes_wins_within_its_group_only() {
        let contenders = [
            at([0.0, 0.0, 10.0, 10.0], 0),
            at([1.0, 0.0, 11.0, 10.0], 0), // overlaps the first: IoU 9/11
            at([1.0, 0.0, 11.0, 10.0], 1), // the same box for another prompt
            at([50.0, 50.0, 60.0, 60.0], 0),
        ];
        assert_eq!(greedy_nms(&contenders, 0.5), [0, 2, 3]);
        assert_eq!(greedy_nms(&contenders, 0.9), [0, 1, 2, 3]);
    }

    #[test]
    fn a_suppressed_box_suppresses_nothing() {
        // A chain: each overlaps the next (IoU 1/3), the first and the third do not touch.
        let chain = [
            at([0.0, 0.0, 10.0, 10.0], 0),
            at([5.0, 0.0, 15.0, 10.0], 0),
            at([10.0, 0.0, 20.0, 10.0], 0),
        ];
        assert_eq!(greedy_nms(&chain, 0.3), [0, 2]);
    }

    #[test]
    fn nothing_gives_nothing_and_boxes_without_area_are_left_alone() {
        assert!(greedy_nms(&[], 0.5).is_empty());
        let points = [at([3.0, 3.0, 3.0, 3.0], 0), at([3.0, 3.0, 3.0, 3.0], 0)];
        assert_eq!(greedy_nms(&points, 0.5), [0, 1]);
    }

    proptest! {
        #[test]
        fn kept_boxes_do_not_overlap_and_each_dropped_one_overlaps_a_kept_one(
            boxes in prop::collection::vec(
                ((0.0f32..50.0), (0.0f32..50.0), (1.0f32..30.0), (1.0f32..30.0), 0usize..3),
                0..60,
            ),
            iou_threshold in 0.05f32..0.95,
        ) {
            let contenders: Vec<_> = boxes
                .iter()
                .map(|&(x, y, width, height, group)| at([x, y, x + width, y + height], group))
                .collect();
            let kept = greedy_nms(&contenders, iou_threshold);
            let clashes = |a: usize, b: usize| {
                contenders[a].group == contenders[b].group
                    && contenders[a].pixel_box.iou(&contenders[b].pixel_box) > iou_threshold
            };
            for (position, &a) in kept.iter().enumerate() {
                prop_assert!(kept[..position].iter().all(|&b| b < a && !clashes(a, b)));
            }
            for dropped in (0..contenders.len()).filter(|index| !kept.contains(index)) {
                prop_assert!(kept.iter().any(|&a| a < dropped && clashes(a, dropped)));
            }
        }
    }
}
