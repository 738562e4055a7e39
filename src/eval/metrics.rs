//! The twelve numbers of COCO.

use serde::{Deserialize, Serialize};

use super::curves::Curves;
use super::evaluation::CategoryResult;
use super::matching::{AREAS, IOU_STEPS};

/// The twelve numbers of COCO, each in `[0, 1]`; `None` where there is no object to be found (-1 in
/// pycocotools).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// Average precision, averaged over the overlaps 0.50, 0.55 ... 0.95.
    pub ap: Option<f64>,
    /// Average precision at an overlap of 0.50.
    pub ap50: Option<f64>,
    /// Average precision at an overlap of 0.75.
    pub ap75: Option<f64>,
    /// `ap` of objects of at most 32² square pixels.
    pub ap_small: Option<f64>,
    /// `ap` of objects from 32² to 96² square pixels.
    pub ap_medium: Option<f64>,
    /// `ap` of objects of at least 96² square pixels.
    pub ap_large: Option<f64>,
    /// Share of objects found with one detection for each image and category, averaged over the
    /// overlaps.
    pub ar1: Option<f64>,
    /// The same with ten detections.
    pub ar10: Option<f64>,
    /// The same with a hundred detections.
    pub ar100: Option<f64>,
    /// `ar100` of small objects.
    pub ar_small: Option<f64>,
    /// `ar100` of objects of medium size.
    pub ar_medium: Option<f64>,
    /// `ar100` of large objects.
    pub ar_large: Option<f64>,
}

/// The step of overlap 0.75.
const STEP_OF_75: usize = 5;
/// The place of 100 in [`RECALL_LIMITS`](super::curves::RECALL_LIMITS).
const LIMIT_100: usize = 2;

impl Metrics {
    /// The numbers in the order of pycocotools' `stats`, with their short names.
    #[must_use]
    pub fn named(&self) -> [(&'static str, Option<f64>); 12] {
        [
            ("AP", self.ap),
            ("AP50", self.ap50),
            ("AP75", self.ap75),
            ("AP small", self.ap_small),
            ("AP medium", self.ap_medium),
            ("AP large", self.ap_large),
            ("AR 1", self.ar1),
            ("AR 10", self.ar10),
            ("AR 100", self.ar100),
            ("AR small", self.ar_small),
            ("AR medium", self.ar_medium),
            ("AR large", self.ar_large),
        ]
    }

    /// The mean over categories, without those that have no object in a range of sizes.
    #[must_use]
    pub fn mean_of<'a>(categories: impl IntoIterator<Item = &'a CategoryResult>) -> Self {
        let categories: Vec<_> = categories.into_iter().collect();
        let mean = |area: usize, number: &dyn Fn(&Curves) -> f64| {
            debug_assert!(area < AREAS);
            let numbers: Vec<f64> = categories
                .iter()
                .filter_map(|category| category.curves[area].as_deref().map(number))
                .collect();
            (!numbers.is_empty()).then(|| numbers.iter().sum::<f64>() / numbers.len() as f64)
        };
        let precision =
            |area| mean(area, &|curves| over_steps(|step| curves.average_precision(step)));
        let recall = |area, limit: usize| {
            mean(area, &|curves| over_steps(|step| curves.recall[limit][step]))
        };
        Self {
            ap: precision(0),
            ap50: mean(0, &|curves| curves.average_precision(0)),
            ap75: mean(0, &|curves| curves.average_precision(STEP_OF_75)),
            ap_small: precision(1),
            ap_medium: precision(2),
            ap_large: precision(3),
            ar1: recall(0, 0),
            ar10: recall(0, 1),
            ar100: recall(0, LIMIT_100),
            ar_small: recall(1, LIMIT_100),
            ar_medium: recall(2, LIMIT_100),
            ar_large: recall(3, LIMIT_100),
        }
    }
}

fn over_steps(number: impl Fn(usize) -> f64) -> f64 {
    (0..IOU_STEPS).map(number).sum::<f64>() / IOU_STEPS as f64
}
