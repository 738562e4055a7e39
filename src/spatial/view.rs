//! From the detections of one image to places.

use std::sync::{Arc, Mutex, PoisonError};

use image::RgbImage;
use nalgebra::{Isometry3, Point3, Unit, Vector3};

use super::LazyDepth;
use crate::geometry::{
    CameraModel, Foreground, LocateError, LocateSettings, Region, Registrar, Scene,
};
use crate::types::{
    Cloud, CloudPoint, DepthImage, FrameDetections, FrameHeader, FramePlaces, NoPlace, NoPlaceKind,
    Place,
};

/// Points of one cloud; of more, every so manyth is taken.
const MOST_CLOUD_POINTS: usize = 200_000;

/// A depth camera that stands beside the colour camera.
#[derive(Clone)]
pub(super) struct DepthCamera {
    pub(super) camera: Arc<CameraModel>,
    pub(super) colour_from_depth: Isometry3<f64>,
}

/// The registrar of a camera: its rays are computed once for each calibration.
#[derive(Default)]
pub(super) struct RegistrarCache(Mutex<Option<Cached>>);

struct Cached {
    of: DepthCamera,
    colour: Arc<CameraModel>,
    registrar: Arc<Registrar>,
}

/// Everything that the places of one image's detections are made from.
pub struct View {
    pub(super) header: FrameHeader,
    pub(super) camera: Arc<CameraModel>,
    pub(super) depth: Arc<LazyDepth>,
    /// `None` where the depth picture is registered to the image.
    pub(super) depth_camera: Option<DepthCamera>,
    pub(super) registrar: Arc<RegistrarCache>,
    pub(super) target_from_picture: Isometry3<f64>,
    /// Against gravity, in the frame of the picture.
    pub(super) up: Option<Unit<Vector3<f64>>>,
    pub(super) settings: LocateSettings,
}

/// What was found in one frame, in space.
#[derive(Clone, Debug, PartialEq)]
pub struct LocatedFrame {
    /// A place for each detection, or why it has none.
    pub places: FramePlaces,
    /// Why the frame as a whole has no places.
    pub missing: Option<NoPlace>,
    /// Surfaces of all objects with a place, where they were asked for.
    pub cloud: Option<Cloud>,
}

impl LocatedFrame {
    /// A frame in which nothing has a place.
    #[must_use]
    pub fn without(header: FrameHeader, detections: usize, missing: NoPlace) -> Self {
        let places = vec![Err(missing.clone()); detections];
        Self { places: FramePlaces { header, places }, missing: Some(missing), cloud: None }
    }
}

impl View {
    /// Where the detections of the image are. The depth picture is decoded now, unless there are no
    /// detections. With the image, a cloud of their surfaces is made as well.
    #[must_use]
    pub fn locate(&self, found: &FrameDetections, image: Option<&RgbImage>) -> LocatedFrame {
        let header = self.header.clone();
        if found.detections.is_empty() {
            let cloud = image.map(|_| Cloud { header: header.clone(), points: Vec::new() });
            let places = FramePlaces { header, places: Vec::new() };
            return LocatedFrame { places, missing: None, cloud };
        }
        match self.registered() {
            Ok(depth) => self.locate_in(&depth, found, image),
            Err(missing) => LocatedFrame::without(header, found.detections.len(), missing),
        }
    }

    /// The depth picture as the colour camera sees it.
    fn registered(&self) -> Result<Arc<DepthImage>, NoPlace> {
        let depth = self.depth.get()?;
        let Some(depth_camera) = &self.depth_camera else { return Ok(depth) };
        let bad = |error| NoPlace::new(NoPlaceKind::BadDepth, error);
        let registrar = self.registrar.of(depth_camera, &self.camera).map_err(bad)?;
        let registered = registrar.register(&depth).map_err(bad)?;
        Ok(Arc::new(registered.depth))
    }

    fn locate_in(
        &self,
        depth: &DepthImage,
        found: &FrameDetections,
        image: Option<&RgbImage>,
    ) -> LocatedFrame {
        let header = self.header.clone();
        let scene = match Scene::new(depth, &self.camera) {
            Ok(scene) => scene,
            Err(error) => {
                let missing = NoPlace::new(NoPlaceKind::BadDepth, error);
                return LocatedFrame::without(header, found.detections.len(), missing);
            }
        };
        let mut points = Vec::new();
        let places = found.detections.iter().zip(1_u32..).map(|(detection, instance)| {
            // A mask says better than a box what is the object; an empty one says nothing.
            let mask = detection.mask.as_ref().map(|found| &found.mask);
            let region = match mask.filter(|mask| !mask.is_empty()) {
                Some(mask) => Region::Mask(mask),
                None => Region::Box(detection.box_in_source_px),
            };
            let foreground = scene.foreground(&region, &self.settings).map_err(no_place)?;
            if let Some(image) = image {
                points.extend(foreground.coloured(image).into_iter().map(|point| CloudPoint {
                    position_m: self.to_target(point.position),
                    rgb: point.rgb,
                    instance,
                }));
            }
            Ok(self.place(&foreground))
        });
        let places = FramePlaces { header: header.clone(), places: places.collect() };
        let cloud = image.map(|_| Cloud { header, points: thinned(points) });
        LocatedFrame { places, missing: None, cloud }
    }

    fn place(&self, foreground: &Foreground) -> Place {
        let located = foreground.locate(self.up.as_ref(), None);
        let pose = self.target_from_picture * located.oriented_box.frame_from_box;
        let surface = self.target_from_picture * located.surface;
        Place {
            position_m: pose.translation.vector.into(),
            orientation_xyzw: pose.rotation.coords.into(),
            size_m: located.oriented_box.size_m.into(),
            surface_m: surface.coords.into(),
            points: foreground.points.len(),
        }
    }

    fn to_target(&self, position: [f32; 3]) -> [f32; 3] {
        let position = Point3::from(position.map(f64::from));
        (self.target_from_picture * position).coords.map(|metres| metres as f32).into()
    }
}

impl RegistrarCache {
    fn of(
        &self,
        depth: &DepthCamera,
        colour: &Arc<CameraModel>,
    ) -> Result<Arc<Registrar>, crate::geometry::CameraError> {
        let mut cached = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = &*cached
            && known.of.colour_from_depth == depth.colour_from_depth
            && known.of.camera == depth.camera
            && known.colour == *colour
        {
            return Ok(Arc::clone(&known.registrar));
        }
        let registrar = Registrar::new(&depth.camera, colour, depth.colour_from_depth)?;
        let registrar = Arc::new(registrar);
        let (of, colour) = (depth.clone(), Arc::clone(colour));
        *cached = Some(Cached { of, colour, registrar: Arc::clone(&registrar) });
        Ok(registrar)
    }
}

fn no_place(error: LocateError) -> NoPlace {
    let kind = match error {
        LocateError::BadBox { .. } => NoPlaceKind::BadBox,
        LocateError::EmptyRegion => NoPlaceKind::EmptyRegion,
        LocateError::NoDepth { .. } => NoPlaceKind::NoDepthInBox,
        LocateError::OutOfRange { .. } => NoPlaceKind::OutOfRange,
        LocateError::TooFewPoints { .. } => NoPlaceKind::TooFewPoints,
    };
    NoPlace::new(kind, error)
}

/// Evenly, so that every object keeps its share.
fn thinned(points: Vec<CloudPoint>) -> Vec<CloudPoint> {
    let every = points.len().div_ceil(MOST_CLOUD_POINTS).max(1);
    if every == 1 { points } else { points.into_iter().step_by(every).collect() }
}
