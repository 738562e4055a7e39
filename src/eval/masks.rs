//! How good masks are.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use super::counts::HIT_IOU;
use super::evaluation::Evaluation;
use super::matching::{Found, Truth};
use super::metrics::Metrics;
use super::stored::StoredMask;
use crate::types::Mask;
use crate::vision::mask::boundary;

/// How wide the boundary of a mask is, as a share of the image's diagonal: that of Cheng et al. 2021
/// (arXiv:2103.16562).
pub const BOUNDARY_SHARE: f64 = 0.02;

/// The numbers of masks, each in `[0, 1]`; `None` where there is nothing to average over.
///
/// An object is *drawn* where a detection of its category, above the threshold of that, has a mask
/// with a pixel in common with it: detections choose by falling score, each the free object of its
/// image that its mask overlaps most. An object that is not drawn has an overlap of 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MaskNumbers {
    /// Objects with a mask, without crowds.
    pub objects: u64,
    /// Those that were drawn with an overlap of at least [`HIT_IOU`].
    pub drawn: u64,
    /// The mean overlap (intersection over union) over all objects.
    pub mean_iou: Option<f64>,
    /// The mean overlap over those that were drawn at all.
    pub mean_iou_of_drawn: Option<f64>,
    /// The mean overlap of boundaries ([`boundary_iou`]) over all objects.
    pub mean_boundary_iou: Option<f64>,
    /// The mean overlap of boundaries over those that were drawn at all.
    pub mean_boundary_iou_of_drawn: Option<f64>,
    /// Pixels in common over pixels in either, summed over all images, where all masks of a category
    /// are one: semantic segmentation. Over several categories the mean.
    pub class_iou: Option<f64>,
}

/// The masks of an evaluation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MaskRecord {
    /// Whether the segmenter was given the true boxes, so that its masks alone are measured.
    #[serde(default)]
    pub true_boxes: bool,
    /// The twelve numbers of COCO by overlap of masks, over all categories.
    pub metrics: Metrics,
    /// Over all objects; `class_iou` is the mean over categories.
    pub overall: MaskNumbers,
}

impl MaskRecord {
    /// The numbers that are told first, with their short names.
    #[must_use]
    pub fn named(&self) -> [(String, Option<f64>); 8] {
        let Self { metrics, overall, .. } = self;
        [
            ("mask AP", metrics.ap),
            ("mask AP50", metrics.ap50),
            ("mask AP75", metrics.ap75),
            ("mask mIoU", overall.mean_iou),
            ("mask mIoU of drawn", overall.mean_iou_of_drawn),
            ("boundary IoU", overall.mean_boundary_iou),
            ("boundary IoU of drawn", overall.mean_boundary_iou_of_drawn),
            ("class IoU", overall.class_iou),
        ]
        .map(|(name, value)| (name.to_owned(), value))
    }
}

/// The masks of one category.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct MaskPromptRecord {
    /// The twelve numbers of COCO by overlap of masks.
    pub metrics: Metrics,
    /// At its threshold.
    #[serde(flatten)]
    pub numbers: MaskNumbers,
}

/// The overlap of what lies within 2 % of the image's diagonal ([`BOUNDARY_SHARE`]) of either mask's
/// contour: Boundary IoU of Cheng et al. 2021, equal to the authors' `boundary_iou_api`
/// (`mask_to_boundary`). 0 where neither has a pixel.
#[must_use]
pub fn boundary_iou(a: &Mask, b: &Mask) -> f64 {
    let (width, height) = (f64::from(a.width()), f64::from(a.height()));
    // Python's `int(round())`: halves go to the even neighbour.
    let distance = (BOUNDARY_SHARE * width.hypot(height)).round_ties_even().max(1.0);
    let distance = distance as u32;
    boundary(a, distance).iou(&boundary(b, distance))
}

/// Measures masks: over all categories, and for each. `thresholds` hold one for each category; a
/// detection counts where its score is above it. What has no mask does not take part.
#[must_use]
pub fn measure_masks(
    truths: &[Truth],
    found: &[Found],
    thresholds: &[f32],
) -> (MaskRecord, Vec<MaskPromptRecord>) {
    let truths: Vec<Truth> = truths.iter().filter(|one| one.mask.is_some()).cloned().collect();
    let found: Vec<Found> = found.iter().filter(|one| one.mask.is_some()).cloned().collect();
    let evaluation = Evaluation::of_masks(thresholds.len(), &truths, &found);
    let mut sums = vec![Sums::default(); thresholds.len()];
    for ((_, category), (of_truths, of_found)) in by_place(&truths, &found, thresholds) {
        let pixels = |mask: &Option<StoredMask>| mask.as_ref().map(StoredMask::mask);
        let there: Vec<Mask> = of_truths.iter().filter_map(|one| pixels(&one.mask)).collect();
        let drawn: Vec<Mask> = of_found.iter().filter_map(|one| pixels(&one.mask)).collect();
        sums[category].add_objects(&there, &drawn);
        sums[category].add_class(&there, &drawn);
    }
    let mut all = Sums::default();
    sums.iter().for_each(|sum| all.merge(sum));
    let categories: Vec<_> = evaluation
        .categories
        .iter()
        .zip(&sums)
        .map(|(category, sum)| MaskPromptRecord {
            metrics: category.metrics(),
            numbers: sum.numbers(),
        })
        .collect();
    let of_classes: Vec<f64> = categories
        .iter()
        .filter(|one| one.numbers.objects > 0)
        .filter_map(|one| one.numbers.class_iou)
        .collect();
    let mut overall = all.numbers();
    overall.class_iou = mean(of_classes.iter().sum(), of_classes.len() as u64);
    (MaskRecord { true_boxes: false, metrics: evaluation.metrics(), overall }, categories)
}

type Place<'a> = (Vec<&'a Truth>, Vec<&'a Found>);

/// What belongs to one image and category: detections by falling score. In the order of images, so
/// that sums are the same to the last bit in every run.
fn by_place<'a>(
    truths: &'a [Truth],
    found: &'a [Found],
    thresholds: &[f32],
) -> BTreeMap<(usize, usize), Place<'a>> {
    let mut places: BTreeMap<(usize, usize), Place<'_>> = BTreeMap::new();
    for truth in truths.iter().filter(|truth| !truth.crowd) {
        places.entry((truth.image, truth.category)).or_default().0.push(truth);
    }
    for one in found {
        if one.score > f64::from(thresholds[one.category]) {
            places.entry((one.image, one.category)).or_default().1.push(one);
        }
    }
    for (_, found) in places.values_mut() {
        found.sort_by(|a, b| b.score.total_cmp(&a.score));
    }
    places
}

#[derive(Clone, Debug, Default)]
struct Sums {
    objects: u64,
    touched: u64,
    drawn: u64,
    iou: f64,
    boundary_iou: f64,
    common_px: u64,
    either_px: u64,
}

impl Sums {
    /// The masks of one image and category, those drawn by falling score.
    fn add_objects(&mut self, there: &[Mask], drawn: &[Mask]) {
        self.objects += there.len() as u64;
        let mut free: Vec<&Mask> = there.iter().collect();
        for mask in drawn {
            let overlaps = free.iter().map(|truth| truth.iou(mask)).enumerate();
            // Of equal ones the last, as in COCO.
            let best = overlaps.max_by(|(_, a), (_, b)| a.total_cmp(b));
            let Some((at, iou)) = best.filter(|(_, iou)| *iou > 0.0) else { continue };
            let truth = free.remove(at);
            self.touched += 1;
            self.drawn += u64::from(iou >= HIT_IOU);
            self.iou += iou;
            self.boundary_iou += boundary_iou(truth, mask);
        }
    }

    fn add_class(&mut self, there: &[Mask], drawn: &[Mask]) {
        const THERE: u8 = 1;
        const DRAWN: u8 = 2;
        // Row by row, from the first column to the last of any mask in it.
        let mut rows: HashMap<u32, Vec<u8>> = HashMap::new();
        for (masks, bit) in [(there, THERE), (drawn, DRAWN)] {
            for (y, left, line) in masks.iter().flat_map(Mask::rows) {
                let row = rows.entry(y).or_default();
                let (start, end) = (left as usize, left as usize + line.len());
                row.resize(row.len().max(end), 0);
                for (pixel, inside) in row[start..end].iter_mut().zip(line) {
                    *pixel |= bit * u8::from(*inside);
                }
            }
        }
        for pixel in rows.values().flatten() {
            self.either_px += u64::from(*pixel != 0);
            self.common_px += u64::from(*pixel == THERE | DRAWN);
        }
    }

    fn merge(&mut self, other: &Self) {
        self.objects += other.objects;
        self.touched += other.touched;
        self.drawn += other.drawn;
        self.iou += other.iou;
        self.boundary_iou += other.boundary_iou;
    }

    fn numbers(&self) -> MaskNumbers {
        MaskNumbers {
            objects: self.objects,
            drawn: self.drawn,
            mean_iou: mean(self.iou, self.objects),
            mean_iou_of_drawn: mean(self.iou, self.touched),
            mean_boundary_iou: mean(self.boundary_iou, self.objects),
            mean_boundary_iou_of_drawn: mean(self.boundary_iou, self.touched),
            class_iou: mean(self.common_px as f64, self.either_px),
        }
    }
}

fn mean(sum: f64, count: u64) -> Option<f64> {
    (count > 0).then(|| sum / count as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: (u32, u32) = (40, 30);

    fn rectangle([x0, y0, x1, y1]: [u32; 4]) -> Mask {
        let inside = |x, y| (x0..x1).contains(&x) && (y0..y1).contains(&y);
        let (width, height) = SIZE;
        let pixels = (0..height).flat_map(|y| (0..width).map(move |x| inside(x, y))).collect();
        Mask::new(width, height, pixels)
    }

    fn truth(image: usize, category: usize, corners: [u32; 4]) -> Truth {
        Truth {
            id: 1,
            image,
            category,
            box_in_source_px: [0.0, 0.0, 1.0, 1.0].into(),
            area_px: 100.0,
            crowd: false,
            mask: Some((&rectangle(corners)).into()),
        }
    }

    fn found(image: usize, category: usize, score: f64, corners: [u32; 4]) -> Found {
        let box_in_source_px = [0.0, 0.0, 1.0, 1.0].into();
        Found { image, category, box_in_source_px, score, mask: Some((&rectangle(corners)).into()) }
    }

    #[test]
    fn overlaps_are_counted_by_object_and_by_class() {
        let truths = [
            truth(0, 0, [0, 0, 10, 10]),
            truth(0, 0, [20, 0, 30, 10]),
            truth(1, 0, [0, 0, 10, 10]),
            truth(0, 1, [0, 20, 10, 30]),
        ];
        let seen = [
            // Half of the first, all of the second, what is below the threshold, and a stray.
            found(0, 0, 0.9, [0, 0, 5, 10]),
            found(0, 0, 0.8, [20, 0, 30, 10]),
            found(1, 0, 0.1, [0, 0, 10, 10]),
            found(0, 1, 0.7, [30, 20, 40, 30]),
        ];
        let (record, categories) = measure_masks(&truths, &seen, &[0.2, 0.2, 0.2]);
        let first = categories[0].numbers;
        assert_eq!((first.objects, first.drawn), (3, 2));
        assert_eq!(first.mean_iou, Some(0.5));
        assert_eq!(first.mean_iou_of_drawn, Some(0.75));
        // 50 + 100 of 300 pixels.
        assert_eq!(first.class_iou, Some(0.5));
        assert_eq!(
            first.mean_boundary_iou_of_drawn,
            Some((boundary_iou(&rectangle([0, 0, 10, 10]), &rectangle([0, 0, 5, 10])) + 1.0) / 2.0)
        );
        assert_eq!(categories[1].numbers.mean_iou, Some(0.0));
        assert_eq!(categories[2].numbers, MaskNumbers::default());
        assert_eq!(record.overall.mean_iou, Some(1.5 / 4.0));
        assert_eq!(record.overall.class_iou, Some(0.25));
        // With no regard to thresholds: 3 of 3 objects at 0.5, the first at no higher overlap.
        assert!((categories[0].metrics.ap50.unwrap() - 1.0).abs() < 1e-9);
    }

    #[test]
    fn boundaries_are_compared_near_contours_only() {
        // 2 % of the diagonal of 50 pixels: one pixel.
        let whole = rectangle([0, 0, 40, 30]);
        let inner = rectangle([1, 1, 39, 29]);
        assert_eq!(boundary_iou(&whole, &whole), 1.0);
        // Two frames side by side.
        assert_eq!(boundary_iou(&whole, &inner), 0.0);
        assert!(whole.iou(&inner) > 0.88);
        let none = rectangle([0, 0, 0, 0]);
        assert_eq!((boundary_iou(&none, &none), boundary_iou(&none, &whole)), (0.0, 0.0));
    }
}
