//! Floor 5: boxes in metres for what was found in an image. Calibrations, depth pictures and
//! transforms go in as they come; for each image they are matched by stamp ([`Matcher`]), and what
//! cannot be placed has a reason and is counted. No I/O and no clock: a live node and a replay ask
//! it alike.
//!
//! ```text
//! calibration ─> [per camera, by stamp] ─┐
//! depth ───────> [matcher, per camera] ──┼─ resolve(image) ─> View ─ locate(detections) ─> places
//! transforms ──> [tf::Buffer] ───────────┘                     └ decodes the depth picture
//! ```

mod calibrations;
mod counts;
mod depth;
mod heights;
mod matching;
mod picks;
mod resolve;
#[cfg(test)]
mod tests;
mod view;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config::Config;
use crate::geometry::tf::{Buffer, BufferCounts, BufferSettings};
use crate::geometry::{GridError, HeightGrid, LocateSettings, PickSettings, PictureKind};
use crate::types::{Calibration, FrameHeader, FrameTransform, LocateMode, NoPlace, Stamp};

pub use counts::PlaceCounts;
pub use depth::{DecodeDepth, LazyDepth};
pub use matching::{Match, MatchSettings, Matcher, Missing};
pub use resolve::Resolution;
pub use view::{Extras, LocatedFrame, View};

use calibrations::Calibrations;
use view::RegistrarCache;

/// Cameras that are known at a time; more are refused.
pub const MOST_CAMERAS: usize = 64;

/// How places are found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SpatialSettings {
    /// How images and depth pictures are matched.
    pub matching: MatchSettings,
    /// The frame that places are given in; `None` for that of the image.
    pub target_frame: Option<Arc<str>>,
    /// Bounds of what is kept of the transforms.
    pub transforms: BufferSettings,
    /// How an object is taken out of a depth picture.
    pub locate: LocateSettings,
    /// How pick points are looked for; `None` where they are not.
    pub picks: Option<PickSettings>,
    /// The prompt whose objects are to be picked, and whose scores a heightmap shows; `None` for
    /// all.
    pub pick_prompt: Option<Arc<str>>,
    /// The cells of heightmaps, in the target frame; `None` where none are made.
    pub heightmap: Option<HeightGrid>,
}

/// Parameters that cannot be used together, each with its reason.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SpatialRefused {
    /// A grid of no cells, or of too many.
    #[error("heightmap_bounds_m, heightmap_m_per_px: {0}")]
    Grid(#[from] GridError),
    /// A heightmap needs to know what is up.
    #[error("heightmap: expected a `target_frame` whose z is up, such as base_link, found {found}")]
    NoUp {
        /// The target frame there is, in words.
        found: String,
    },
    /// Places, and all that is made with them, are off.
    #[error("{what}: expected `locate` to be auto or always, found never")]
    LocateNever {
        /// The parameter that needs places.
        what: &'static str,
    },
}

impl SpatialSettings {
    /// As a configuration asks for.
    ///
    /// # Errors
    /// Parameters that cannot be used together.
    pub fn of(config: &Config) -> Result<Self, SpatialRefused> {
        // By way of the decimal that was typed: 0.05 as f32 is a little more than that.
        let typed = |number: f32| number.to_string().parse().unwrap_or(f64::from(number));
        let is_off = config.locate == LocateMode::Never;
        for (what, is_asked) in [("picks", config.picks), ("heightmap", config.heightmap)] {
            if is_asked && is_off {
                return Err(SpatialRefused::LocateNever { what });
            }
        }
        let radius_m = typed(config.pick_radius_m);
        let picks = config.picks.then(|| PickSettings { radius_m, ..PickSettings::default() });
        Ok(Self {
            matching: MatchSettings {
                slop_secs: typed(config.sync_slop_secs),
                ..MatchSettings::default()
            },
            target_frame: config.target_frame.as_deref().map(Into::into),
            picks,
            pick_prompt: config.pick_prompt.as_deref().map(Into::into),
            heightmap: match config.heightmap {
                true => Some(heightmap(config, typed(config.heightmap_m_per_px))?),
                false => None,
            },
            ..Self::default()
        })
    }
}

fn heightmap(config: &Config, m_per_px: f64) -> Result<HeightGrid, SpatialRefused> {
    let found = match config.target_frame.as_deref() {
        None => "none".to_owned(),
        Some(frame) if frame.contains("optical") => format!("{frame:?}, whose z is forward"),
        Some(_) => return Ok(HeightGrid::new(config.heightmap_bounds_m, m_per_px)?),
    };
    Err(SpatialRefused::NoUp { found })
}

/// A depth picture with what its message says of it.
#[derive(Clone)]
pub struct Depth {
    /// Its stamp, and the optical frame of the camera that took it.
    pub header: FrameHeader,
    /// The picture itself.
    pub picture: Arc<LazyDepth>,
}

/// What is known of one camera.
struct CameraSpace {
    depths: Matcher<Depth>,
    colour: Calibrations,
    depth_camera: Calibrations,
    registrar: Arc<RegistrarCache>,
    depths_taken: u64,
    calibrations_taken: u64,
}

/// What has come for one camera.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CameraIntake {
    /// Depth pictures.
    pub depths: u64,
    /// Calibrations, of either of its cameras.
    pub calibrations: u64,
}

/// Which camera a calibration is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CalibrationOf {
    /// The camera whose images are looked at.
    Colour,
    /// The one that measures depth, where its pictures are not registered to the images.
    Depth,
}

/// All that places need, of any number of cameras.
pub struct Spatial {
    settings: SpatialSettings,
    transforms: Buffer,
    cameras: BTreeMap<Arc<str>, CameraSpace>,
}

impl Spatial {
    /// With nothing in it.
    #[must_use]
    pub fn new(settings: SpatialSettings) -> Self {
        let transforms = Buffer::new(settings.transforms);
        Self { settings, transforms, cameras: BTreeMap::new() }
    }

    /// The settings.
    #[must_use]
    pub fn settings(&self) -> &SpatialSettings {
        &self.settings
    }

    /// Changes whose objects are to be picked, from the next image that is resolved.
    pub fn set_pick_prompt(&mut self, prompt: Option<Arc<str>>) {
        self.settings.pick_prompt = prompt;
    }

    /// Says which pictures a camera sends; without this they are taken as they come from the
    /// sensor.
    pub fn set_picture_kind(&mut self, camera: &str, kind: PictureKind) {
        if let Some(space) = self.space(camera) {
            space.colour.set_kind(kind);
        }
    }

    /// Takes a calibration.
    ///
    /// # Errors
    /// What is wrong with one that is new. It takes the place of the one before all the same: a
    /// camera that is no longer calibrated has no places.
    pub fn calibration(
        &mut self,
        camera: &str,
        of: CalibrationOf,
        calibration: Calibration,
    ) -> Result<(), NoPlace> {
        let Some(space) = self.space(camera) else { return Ok(()) };
        space.calibrations_taken += 1;
        match of {
            CalibrationOf::Colour => space.colour.take(calibration),
            CalibrationOf::Depth => space.depth_camera.take(calibration),
        }
    }

    /// Takes a depth picture.
    pub fn depth(&mut self, camera: &str, depth: Depth) {
        let Some(space) = self.space(camera) else { return };
        space.depths_taken += 1;
        if space.depths.depth(depth.header.stamp, depth) {
            tracing::info!("{camera}: the clock of its depth pictures was set back");
        }
    }

    /// Takes transforms of `/tf`, or of `/tf_static` where they hold for ever.
    ///
    /// # Errors
    /// How many are refused, with the reason of the first.
    pub fn transforms(
        &mut self,
        transforms: &[FrameTransform],
        is_static: bool,
    ) -> Result<(), (usize, String)> {
        let mut refused = (0, String::new());
        for transform in transforms {
            let taken = match is_static {
                true => self.transforms.insert_static(&transform.into()),
                false => self.transforms.insert(&transform.into()),
            };
            match taken {
                Ok(inserted) => {
                    if let Some(secs) = inserted.jumped_back_secs {
                        tracing::info!("transforms: the clock was set back by {secs:.3} s");
                    }
                }
                Err(error) => {
                    refused.0 += 1;
                    if refused.0 == 1 {
                        refused.1 = error.to_string();
                    }
                }
            }
        }
        if refused.0 == 0 { Ok(()) } else { Err(refused) }
    }

    /// What has become of the transforms.
    #[must_use]
    pub fn transform_counts(&self) -> BufferCounts {
        self.transforms.counts()
    }

    /// What has come for a camera.
    #[must_use]
    pub fn intake(&self, camera: &str) -> CameraIntake {
        let space = self.cameras.get(camera);
        space.map_or_else(CameraIntake::default, |space| CameraIntake {
            depths: space.depths_taken,
            calibrations: space.calibrations_taken,
        })
    }

    /// Takes the stamp of an image whose places will be asked for; `now` is by any clock that does
    /// not run back, the same for all calls.
    pub fn image(&mut self, camera: &str, stamp: Stamp, now: Stamp) {
        if let Some(space) = self.space(camera)
            && space.depths.image(stamp, now)
        {
            tracing::info!("{camera}: the clock of its images was set back");
        }
    }

    /// The image before the newest one of a camera will not be asked about: it was dropped.
    pub fn image_replaced(&mut self, camera: &str) {
        if let Some(space) = self.cameras.get_mut(camera) {
            space.depths.image_replaced();
        }
    }

    /// A camera; `None` where there are too many.
    fn space(&mut self, camera: &str) -> Option<&mut CameraSpace> {
        if !self.cameras.contains_key(camera) {
            if self.cameras.len() >= MOST_CAMERAS {
                return None;
            }
            let space = CameraSpace {
                depths: Matcher::new(self.settings.matching),
                colour: Calibrations::new(PictureKind::Raw),
                // As the sensor gives it; where it is rectified, its driver says so with a lens
                // without distortion.
                depth_camera: Calibrations::new(PictureKind::Raw),
                registrar: Arc::default(),
                depths_taken: 0,
                calibrations_taken: 0,
            };
            self.cameras.insert(camera.into(), space);
        }
        self.cameras.get_mut(camera)
    }
}

/// Which pictures a topic carries, by the names that `image_proc` gives: `image_rect`,
/// `image_rect_color`. A transport's suffix (`/compressed`) says nothing.
#[must_use]
pub fn picture_kind_of(topic: &str) -> PictureKind {
    let is_suffix = |part: &&str| !matches!(*part, "compressed" | "compressedDepth" | "zstd");
    match topic.rsplit('/').find(is_suffix) {
        Some(name) if name.split('_').any(|part| part == "rect") => PictureKind::Rectified,
        _ => PictureKind::Raw,
    }
}
