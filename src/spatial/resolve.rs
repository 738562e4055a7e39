//! What belongs to an image: depth, calibration and transforms, or what is missing.

use std::sync::Arc;

use nalgebra::{Isometry3, Translation3, UnitQuaternion};

use super::view::{DepthCamera, View};
use super::{CameraSpace, Depth, Match, Missing, Spatial};
use crate::geometry::CameraModel;
use crate::types::{FrameHeader, NoPlace, NoPlaceKind, Stamp};

/// What belongs to an image.
pub enum Resolution {
    /// What is missing may still come; asked again at this time at the latest, there is an answer.
    Wait(Stamp),
    /// All that places need, or why there are none.
    Ready(Result<Box<View>, NoPlace>),
}

/// Something that is missing now.
enum Lack {
    /// And may still come.
    Yet(NoPlace),
    /// And will not come.
    Ever(NoPlace),
}

impl Lack {
    fn yet(kind: NoPlaceKind, reason: impl std::fmt::Display) -> Self {
        Self::Yet(NoPlace::new(kind, reason))
    }
}

impl Spatial {
    /// What belongs to an image of `[columns, rows]` that [`image`](Spatial::image) was told of.
    /// Once there is an answer, the image and those before it are forgotten.
    pub fn resolve(
        &mut self,
        camera: &str,
        header: &FrameHeader,
        size_px: [u32; 2],
        now: Stamp,
    ) -> Resolution {
        let Some(space) = self.cameras.get(camera) else {
            let no_place = NoPlace::new(NoPlaceKind::NoDepth, Missing::Never);
            return Resolution::Ready(Err(no_place));
        };
        let until = space.depths.waits_until(header.stamp).unwrap_or(now);
        let answer = match space.depths.find(header.stamp, now) {
            Match::Wait => return Resolution::Wait(until),
            Match::Missing(missing) => Err(no_depth(missing)),
            Match::Found(depth) => match self.view(space, header, size_px, depth) {
                Err(Lack::Yet(_)) if now < until => return Resolution::Wait(until),
                Err(Lack::Yet(no_place) | Lack::Ever(no_place)) => Err(no_place),
                Ok(view) => Ok(Box::new(view)),
            },
        };
        if let Some(space) = self.cameras.get_mut(camera) {
            space.depths.done(header.stamp);
        }
        Resolution::Ready(answer)
    }

    /// The frame that places of an image are given in.
    #[must_use]
    pub fn places_header(&self, header: &FrameHeader) -> FrameHeader {
        let frame_id = self.settings.target_frame.as_ref().unwrap_or(&header.frame_id);
        FrameHeader { stamp: header.stamp, frame_id: Arc::clone(frame_id) }
    }

    fn view(
        &self,
        space: &CameraSpace,
        header: &FrameHeader,
        size_px: [u32; 2],
        depth: Depth,
    ) -> Result<View, Lack> {
        let stamp = header.stamp;
        let Some(camera) = space.colour.at(stamp) else {
            return Err(Lack::yet(
                NoPlaceKind::NoCalibration,
                "no calibration of the camera (camera_info) has come",
            ));
        };
        let camera = camera.clone().map_err(Lack::Ever)?;
        let [width, height] = size_px;
        camera
            .check_picture(width, height)
            .map_err(|error| Lack::Ever(NoPlace::new(NoPlaceKind::BadCalibration, error)))?;

        let places = self.places_header(header);
        let source = &*header.frame_id;
        let target_from_source = match same_frame(&places.frame_id, source) {
            true => None,
            false => Some(self.transform(&places.frame_id, source, stamp)?),
        };
        // What is upright is only known from a frame that is not a camera's own (REP 103).
        let up = target_from_source.filter(|_| !places.frame_id.contains("optical")).map(
            |target_from_source| {
                let up =
                    target_from_source.inverse_transform_unit_vector(&nalgebra::Vector3::z_axis());
                source_from_picture(&camera).inverse_transform_unit_vector(&up)
            },
        );
        let depth_camera = self.depth_camera(space, header, &camera, &depth)?;
        let target_from_picture =
            target_from_source.unwrap_or_default() * source_from_picture(&camera);
        Ok(View {
            header: places,
            camera,
            depth: depth.picture,
            depth_camera,
            registrar: Arc::clone(&space.registrar),
            target_from_picture,
            up,
            settings: self.settings.locate,
            picks: self.settings.picks,
            pick_prompt: self.settings.pick_prompt.clone(),
            heightmap: self.settings.heightmap,
        })
    }

    /// The camera of a depth picture that is not registered to the image: its frame is another one.
    fn depth_camera(
        &self,
        space: &CameraSpace,
        header: &FrameHeader,
        colour: &CameraModel,
        depth: &Depth,
    ) -> Result<Option<DepthCamera>, Lack> {
        let (image_frame, depth_frame) = (&*header.frame_id, &*depth.header.frame_id);
        // A depth picture that names no frame can only be meant for the image.
        if depth_frame.is_empty() || same_frame(image_frame, depth_frame) {
            return Ok(None);
        }
        let Some(camera) = space.depth_camera.at(depth.header.stamp) else {
            return Err(Lack::yet(
                NoPlaceKind::NoCalibration,
                format!(
                    "the depth picture is of {depth_frame:?} and the image of {image_frame:?}, and \
                     no calibration of the depth camera has come; or send depth that is registered \
                     to the image"
                ),
            ));
        };
        let camera = camera.clone().map_err(Lack::Ever)?;
        // From picture to picture; transforms are between the frames of their headers.
        let colour_from_depth = source_from_picture(colour).inverse()
            * self.transform(image_frame, depth_frame, header.stamp)?
            * source_from_picture(&camera);
        Ok(Some(DepthCamera { camera, colour_from_depth }))
    }

    fn transform(&self, target: &str, source: &str, stamp: Stamp) -> Result<Isometry3<f64>, Lack> {
        let found = self.transforms.lookup(target, source, stamp);
        found.map_err(|error| Lack::yet(NoPlaceKind::NoTransform, error))
    }
}

/// Points in front of a raw picture are turned against the frame of its header, which is the
/// rectified one, where the camera is one of a stereo pair.
fn source_from_picture(camera: &CameraModel) -> Isometry3<f64> {
    let rotation = UnitQuaternion::from_rotation_matrix(&camera.rectified_from_picture());
    Isometry3::from_parts(Translation3::identity(), rotation)
}

fn same_frame(one: &str, other: &str) -> bool {
    let name = |frame: &str| frame.strip_prefix('/').unwrap_or(frame).to_owned();
    name(one) == name(other)
}

fn no_depth(missing: Missing) -> NoPlace {
    let kind = match missing {
        Missing::Never => NoPlaceKind::NoDepth,
        Missing::TooOld { .. } => NoPlaceKind::DepthTooOld,
        Missing::TooNew { .. } => NoPlaceKind::DepthTooNew,
        Missing::Forgotten => NoPlaceKind::Late,
    };
    NoPlace::new(kind, missing)
}
