//! Where the detections of one image may be taken hold of.

use nalgebra::{Point3, Vector3};

use super::view::{View, no_place};
use crate::geometry::{PickError, PickPoint, PickSettings, Scene};
use crate::types::{FrameDetections, NoPlace, NoPlaceKind, Pick};

impl View {
    /// One for each detection, in their order.
    pub(super) fn picks(
        &self,
        scene: &Scene<'_>,
        found: &FrameDetections,
        settings: &PickSettings,
    ) -> Vec<Result<Pick, NoPlace>> {
        let picks = found.detections.iter().map(|detection| {
            let Some(found) = &detection.mask else {
                let reason = "a pick needs the mask of its thing: the parameter `segmenter` names \
                              a model that draws masks";
                return Err(NoPlace::new(NoPlaceKind::NoMask, reason));
            };
            scene
                .pick(&found.mask, &self.settings, settings)
                .map(|point| self.pick(&point, scene))
                .map_err(no_pick)
        });
        picks.collect()
    }

    fn pick(&self, point: &PickPoint, scene: &Scene<'_>) -> Pick {
        let to_target = &self.target_from_picture;
        let at = point.at_source_px;
        let to_one_end = point.orientation * Vector3::y() * (0.5 * point.width_m);
        let end_px =
            |end: Point3<f64>| scene.source_px_of(&end).map(|at| [at.x as f32, at.y as f32]);
        let one = end_px(point.position - to_one_end);
        let other = end_px(point.position + to_one_end);
        Pick {
            position_m: (to_target * point.position).coords.into(),
            orientation_xyzw: (to_target.rotation * point.orientation).coords.into(),
            normal: (to_target.rotation * point.normal.into_inner()).into(),
            width_m: point.width_m,
            length_m: point.length_m,
            room_m: point.room_m,
            score: point.score,
            at_px: [at.x as f32, at.y as f32],
            span_px: one.zip(other).map(|(one, other)| [one, other]),
        }
    }
}

fn no_pick(error: PickError) -> NoPlace {
    match error {
        PickError::NoSurface(error) => no_place(error),
        PickError::NoRoom { .. } | PickError::NoPlane { .. } => {
            NoPlace::new(NoPlaceKind::NoEvenPatch, error)
        }
    }
}
