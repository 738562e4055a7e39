//! From the detections of one image to places.

use std::sync::{Arc, Mutex, PoisonError};

use image::RgbImage;
use nalgebra::{Isometry3, Point3, Unit, Vector3};

use super::LazyDepth;
use crate::geometry::{
    CameraModel, Foreground, HeightGrid, LocateError, LocateSettings, PickSettings, Region,
    Registrar, Scene,
};
use crate::types::{
    Cloud, CloudPoint, DepthImage, FrameDetections, FrameHeader, FramePlaces, Heightmap, NoPlace,
    NoPlaceKind, Place,
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
    pub(super) picks: Option<PickSettings>,
    pub(super) pick_prompt: Option<Arc<str>>,
    pub(super) heightmap: Option<HeightGrid>,
}

/// What is made beside places. Each needs the source image, for its colours.
#[derive(Clone, Copy, Debug, Default)]
pub struct Extras<'a> {
    /// The surfaces of what was found.
    pub cloud: Option<&'a RgbImage>,
    /// The scene from above, where the settings have a grid for it.
    pub heightmap: Option<&'a RgbImage>,
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
    /// The scene from above, where it was asked for; a frame without places has none either.
    pub heightmap: Option<Heightmap>,
}

impl LocatedFrame {
    /// A frame in which nothing has a place.
    #[must_use]
    pub fn without(header: FrameHeader, detections: usize, missing: NoPlace) -> Self {
        let places = vec![Err(missing.clone()); detections];
        Self {
            places: FramePlaces { header, places, picks: None, pick_prompt: None },
            missing: Some(missing),
            cloud: None,
            heightmap: None,
        }
    }
}

impl View {
    /// Where the detections of the image are; those of a cloud's points are told by their
    /// [`instance_number`](FrameDetections::instance_number). The depth picture is decoded now, unless there are no
    /// detections and nothing else is made of it.
    #[must_use]
    pub fn locate(&self, found: &FrameDetections, extras: Extras<'_>) -> LocatedFrame {
        let header = self.header.clone();
        let maps = extras.heightmap.is_some() && self.heightmap.is_some();
        if found.detections.is_empty() && !maps {
            let cloud = extras.cloud.map(|_| Cloud { header: header.clone(), points: Vec::new() });
            let picks = self.picks.map(|_| Vec::new());
            let pick_prompt = self.pick_prompt.clone();
            let places = FramePlaces { header, places: Vec::new(), picks, pick_prompt };
            return LocatedFrame { places, missing: None, cloud, heightmap: None };
        }
        match self.registered() {
            Ok(depth) => self.locate_in(&depth, found, extras),
            Err(missing) => LocatedFrame::without(header, found.detections.len(), missing),
        }
    }

    /// The depth picture as the colour camera sees it.
    fn registered(&self) -> Result<Arc<DepthImage>, NoPlace> {
        let depth = self.depth.get()?;
        let Some(depth_camera) = &self.depth_camera else { return Ok(depth) };
        let bad = |error| NoPlace::new(NoPlaceKind::BadDepth, error);
        // Before rays are made for as many pixels as a calibration claims to have.
        depth_camera.camera.check_picture(depth.width(), depth.height()).map_err(bad)?;
        let registrar = self.registrar.of(depth_camera, &self.camera).map_err(bad)?;
        let registered = registrar.register(&depth).map_err(bad)?;
        Ok(Arc::new(registered.depth))
    }

    fn locate_in(
        &self,
        depth: &DepthImage,
        found: &FrameDetections,
        extras: Extras<'_>,
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
        let places = found.detections.iter().enumerate().map(|(index, detection)| {
            // A mask says better than a box what is the object; an empty one says nothing.
            let mask = detection.mask.as_ref().map(|found| &found.mask);
            let region = match mask.filter(|mask| !mask.is_empty()) {
                Some(mask) => Region::Mask(mask),
                None => Region::Box(detection.box_in_source_px),
            };
            let foreground = scene.foreground(&region, &self.settings).map_err(no_place)?;
            if let Some(image) = extras.cloud {
                let instance = found.instance_number(index).unwrap_or(0).into();
                points.extend(foreground.coloured(image).into_iter().map(|point| CloudPoint {
                    position_m: self.to_target(point.position),
                    rgb: point.rgb,
                    instance,
                }));
            }
            Ok(self.place(&foreground))
        });
        let places = places.collect();
        let heightmap = self
            .heightmap
            .zip(extras.heightmap)
            .map(|(grid, image)| self.seen_from_above(&grid, &scene, found, image));
        let picks = self.picks.map(|settings| self.picks(&scene, found, &settings));
        let pick_prompt = self.pick_prompt.clone();
        let places = FramePlaces { header: header.clone(), places, picks, pick_prompt };
        let cloud = extras.cloud.map(|_| Cloud { header, points: thinned(points) });
        LocatedFrame { places, missing: None, cloud, heightmap }
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

pub(super) fn no_place(error: LocateError) -> NoPlace {
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
