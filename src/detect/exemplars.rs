//! What a picture shows, as a query for the class head.
//!
//! Held against `embed_image_query` of transformers 5.23.0, and what is found against
//! `image_guided_detection` and `post_process_image_guided_detection`. OWL-ViT takes, of the patches
//! whose boxes fit the exemplar nearly best, the one that is least like the rest of the picture;
//! OWLv2 takes the patch that is most like an object. The reference knows no boxes: where one is
//! given, OWL-ViT compares with it instead of the whole picture (held against the reference's own
//! lines with that box), and OWLv2 takes the most object-like patch among those that OWL-ViT would
//! choose from.
//!
//! Different from the reference on purpose:
//! - A box that no predicted box overlaps by [`MIN_IOU`] is refused: the reference takes whatever
//!   lies nearest, which then finds anything.
//! - A score is the sigmoid of its logit, as a text's. The reference spreads the scores of a picture
//!   so that the best of them is 1, however poor it is, and a tenth of that 0.
//! - Boxes are clipped to the picture before they suppress each other, and nothing is suppressed
//!   where no `nms_iou` asks for it; the reference's default is 0.3.

mod memory;

use std::sync::Arc;

use tch::{Device, Kind, Tensor};

pub(super) use self::memory::ExemplarMemory;
use crate::models::ForwardError;
use crate::models::owl::Owl;
use crate::tasks::DetectError;
use crate::types::{Exemplar, PixelBox};
use crate::vision::canvas::CanvasGeometry;

/// Patches whose boxes fit the exemplar by this share of the best are looked at, as in the
/// reference.
const NEARLY_BEST: f32 = 0.8;

/// Overlap (IoU) with the exemplar's box that one of the predicted boxes must have: below it the
/// model sees no object there.
const MIN_IOU: f32 = 0.1;

/// The exemplars of a set, each as a query.
#[derive(Debug, Default)]
pub(super) struct EncodedExemplars {
    /// Each of as many values, not normalised.
    pub(super) queries: Vec<Query>,
    /// The prompt that each belongs to, as its index in the set.
    pub(super) prompt_of_exemplar: Vec<usize>,
}

/// The query of an exemplar, on the host.
pub(super) type Query = Arc<[f32]>;

/// No predicted box is near what an exemplar shows.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error(
    "the model sees no object there: of all its boxes the nearest overlaps the one that is shown \
     by {iou:.2} (IoU), expected at least {MIN_IOU}"
)]
pub(super) struct NoObject {
    /// The best overlap.
    iou: f32,
}

/// Why an exemplar gives no query.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoQuery {
    /// It shows nothing.
    #[error(transparent)]
    NoObject(#[from] NoObject),
    /// Its picture cannot be prepared.
    #[error(transparent)]
    Picture(#[from] DetectError),
    /// What libtorch reports.
    #[error(transparent)]
    Forward(#[from] ForwardError),
}

impl From<tch::TchError> for NoQuery {
    fn from(error: tch::TchError) -> Self {
        Self::Forward(error.into())
    }
}

/// The query of an exemplar out of the feature map of its picture (`[1, grid, grid, hidden]`).
pub(super) fn query_of(
    model: &Owl,
    features: &Tensor,
    geometry: &CanvasGeometry,
    exemplar: &Exemplar,
) -> Result<Query, NoQuery> {
    let embeds = model.image_class_embeds(features)?.f_squeeze_dim(0)?.f_to_kind(Kind::Float)?;
    let boxes = corners_of(&model.boxes(features)?)?;
    let objectness = match model.objectness(features)? {
        Some(objectness) => Some(to_host(&objectness.f_flatten(0, -1)?)?),
        None => None,
    };
    let shown = exemplar.box_in_source_px.map(|area| norm_from_source_px(geometry, area));
    let patch = match (&objectness, shown) {
        (Some(objectness), None) => highest(objectness.iter().copied().enumerate()),
        (Some(objectness), Some(shown)) => {
            let near = nearly_best(&boxes, &shown)?;
            highest(near.into_iter().map(|patch| (patch, objectness[patch])))
        }
        (None, shown) => {
            let near = match shown {
                Some(shown) => nearly_best(&boxes, &shown)?,
                None => {
                    let whole = PixelBox::from_corners([0.0, 0.0, 1.0, 1.0]);
                    // The reference takes what is nearest, however far that is.
                    near(&boxes, &whole).1
                }
            };
            least_like_the_rest(&embeds, &near)?
        }
    };
    let patch = patch.ok_or(NoObject { iou: 0.0 })?;
    Ok(to_host(&embeds.f_select(0, patch as i64)?)?.into())
}

fn norm_from_source_px(geometry: &CanvasGeometry, area: PixelBox) -> PixelBox {
    let (x_px, y_px) = geometry.source_px_per_norm();
    let [x0, y0, x1, y1] = area.corners();
    PixelBox::from_corners([x0 / x_px, y0 / y_px, x1 / x_px, y1 / y_px])
}

/// `[1, patches, 4]` with centres and sizes to corners.
fn corners_of(boxes: &Tensor) -> Result<Vec<PixelBox>, ForwardError> {
    let values = to_host(&boxes.f_flatten(0, -1)?)?;
    let (patches, _) = values.as_chunks::<4>();
    let corners = |&[cx, cy, w, h]: &[f32; 4]| {
        PixelBox::from_corners([cx - 0.5 * w, cy - 0.5 * h, cx + 0.5 * w, cy + 0.5 * h])
    };
    Ok(patches.iter().map(corners).collect())
}

fn to_host(values: &Tensor) -> Result<Vec<f32>, ForwardError> {
    let values = values.f_to_device(Device::Cpu)?.f_to_kind(Kind::Float)?.f_contiguous()?;
    let mut host = vec![0.0; values.numel()];
    values.f_copy_data(&mut host, values.numel())?;
    Ok(host)
}

/// The overlap of the best box, and the patches whose boxes fit nearly as well.
fn near(boxes: &[PixelBox], shown: &PixelBox) -> (f32, Vec<usize>) {
    let mut fits: Vec<f32> = boxes.iter().map(|found| shown.iou(found)).collect();
    let best_iou = fits.iter().copied().fold(0.0, f32::max);
    if best_iou == 0.0 {
        fits = boxes.iter().map(|found| generalised_iou(shown, found)).collect();
    }
    let best = fits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    // Where all lie apart and far away this is above the best, and none is left.
    let patches = (0..fits.len()).filter(|patch| fits[*patch] >= NEARLY_BEST * best);
    (best_iou, patches.collect())
}

/// As [`near`], where the exemplar's box must be that of an object.
fn nearly_best(boxes: &[PixelBox], shown: &PixelBox) -> Result<Vec<usize>, NoObject> {
    match near(boxes, shown) {
        (iou, patches) if iou >= MIN_IOU => Ok(patches),
        (iou, _) => Err(NoObject { iou }),
    }
}

/// IoU less the share of the smallest box around both that neither covers (Rezatofighi et al.
/// 2019), in `[-1, 1]`.
fn generalised_iou(a: &PixelBox, b: &PixelBox) -> f32 {
    let around =
        PixelBox { x0: a.x0.min(b.x0), y0: a.y0.min(b.y0), x1: a.x1.max(b.x1), y1: a.y1.max(b.y1) };
    let iou = a.iou(b);
    // intersection = iou * union, and both areas together are union + intersection.
    let union = (a.area() + b.area()) / (1.0 + iou);
    iou - (around.area() - union) / around.area()
}

fn highest(patches: impl Iterator<Item = (usize, f32)>) -> Option<usize> {
    // The first of equals, as argmax gives it.
    let best = patches.fold(None, |best: Option<(usize, f32)>, (patch, value)| match best {
        Some((_, highest)) if value <= highest => best,
        _ => Some((patch, value)),
    });
    best.map(|(patch, _)| patch)
}

/// Of `patches`, the one whose embedding is least like the mean of all. `embeds` is f32
/// `[patches, size]`.
fn least_like_the_rest(embeds: &Tensor, patches: &[usize]) -> Result<Option<usize>, ForwardError> {
    let mean = embeds.f_mean_dim([0].as_slice(), false, Kind::Float)?;
    let likeness = to_host(&embeds.f_mv(&mean)?)?;
    Ok(highest(patches.iter().map(|patch| (*patch, -likeness[*patch]))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn area(corners: [f32; 4]) -> PixelBox {
        PixelBox::from_corners(corners)
    }

    #[test]
    fn boxes_that_fit_nearly_best_are_near_and_what_lies_apart_is_no_object() {
        let shown = area([0.0, 0.0, 0.5, 0.5]);
        let boxes = [
            area([0.0, 0.0, 0.5, 0.45]),
            area([0.0, 0.0, 0.5, 0.4]),
            area([0.0, 0.0, 0.2, 0.2]),
            area([0.6, 0.6, 0.9, 0.9]),
        ];
        let (iou, patches) = near(&boxes, &shown);
        // 0.9 is the best, and 0.8 is above 0.72.
        assert!((iou - 0.9).abs() < 1e-6);
        assert_eq!(patches, [0, 1]);
        assert_eq!(nearly_best(&boxes, &shown).unwrap(), [0, 1]);
        let error = nearly_best(&boxes[3..], &shown).unwrap_err().to_string();
        assert!(error.contains("overlaps the one that is shown by 0.00"), "{error}");
    }

    #[test]
    fn generalised_iou_is_that_of_the_paper() {
        let unit = area([0.0, 0.0, 1.0, 1.0]);
        assert_eq!(generalised_iou(&unit, &unit), 1.0);
        // Apart by one: the box around both is 3, of which 1 is covered by neither.
        let far = area([2.0, 0.0, 3.0, 1.0]);
        assert!((generalised_iou(&unit, &far) + 1.0 / 3.0).abs() < 1e-6);
        // Half over each other: 1/3, and nothing around them is left uncovered.
        let half = area([0.5, 0.0, 1.5, 1.0]);
        assert!((generalised_iou(&unit, &half) - 1.0 / 3.0).abs() < 1e-6);
    }
}
