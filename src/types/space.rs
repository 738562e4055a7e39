//! Where things are in space, and what it takes to say so.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::{FrameDetections, FrameHeader, Pick, Stamp};

/// Whether places are looked for. The names are none that YAML takes for true or false.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LocateMode {
    /// For no camera.
    Never,
    /// For cameras that have depth.
    #[default]
    Auto,
    /// For all cameras: one without depth is said to lack it.
    Always,
}

impl fmt::Display for LocateMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Never => "never",
            Self::Auto => "auto",
            Self::Always => "always",
        })
    }
}

/// Neither `never`, `auto` nor `always`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected never, auto or always")]
pub struct UnknownLocateMode;

impl FromStr for LocateMode {
    type Err = UnknownLocateMode;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "never" => Ok(Self::Never),
            "auto" => Ok(Self::Auto),
            "always" => Ok(Self::Always),
            _ => Err(UnknownLocateMode),
        }
    }
}

/// A camera as its calibration describes it: the fields of `sensor_msgs/CameraInfo`, unchecked.
#[derive(Clone, Debug, PartialEq)]
pub struct Calibration {
    /// Stamp of the picture it belongs to, and the optical frame of the camera.
    pub header: FrameHeader,
    /// Columns at which the camera was calibrated.
    pub width: u32,
    /// Rows at which the camera was calibrated.
    pub height: u32,
    /// Name of the lens model (`plumb_bob`, `rational_polynomial`, `equidistant`).
    pub distortion_model: String,
    /// Parameters of the lens model.
    pub d: Vec<f64>,
    /// Intrinsic matrix of the raw picture, row by row.
    pub k: [f64; 9],
    /// Rectification matrix, row by row; all zero is none.
    pub r: [f64; 9],
    /// Projection matrix of the rectified picture, row by row.
    pub p: [f64; 12],
    /// Columns and rows that were joined into one; 0 and 1 mean none.
    pub binning: [u32; 2],
    /// The part of the sensor that the picture shows before binning: leftmost column, topmost row,
    /// columns, rows. No columns or no rows mean all of it.
    pub region: [u32; 4],
}

/// The pose of a frame in its parent at a stamp, as `/tf` carries it. Unchecked.
#[derive(Clone, Debug, PartialEq)]
pub struct FrameTransform {
    /// When it holds; without meaning for one that always does.
    pub stamp: Stamp,
    /// The parent frame.
    pub parent: String,
    /// The frame whose pose it is.
    pub child: String,
    /// `x, y, z` in metres.
    pub translation_m: [f64; 3],
    /// `x, y, z, w`.
    pub rotation_xyzw: [f64; 4],
}

/// Where an object is: a box around what the camera sees of it. Its back is not in it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Place {
    /// Centre of the box, `x, y, z` in metres.
    pub position_m: [f64; 3],
    /// Axes of the box as a quaternion `x, y, z, w`.
    pub orientation_xyzw: [f64; 4],
    /// Lengths along the box's own axes, in metres.
    pub size_m: [f64; 3],
    /// The middle of the visible surface, `x, y, z` in metres: a point that something is at, which
    /// the centre of the box need not be.
    pub surface_m: [f64; 3],
    /// Depths that the box was made from.
    pub points: usize,
}

/// Why an object, or a whole frame, has no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NoPlaceKind {
    /// No depth picture has come.
    NoDepth,
    /// The nearest depth picture is older than the image by too much.
    DepthTooOld,
    /// The nearest depth picture is newer than the image by too much.
    DepthTooNew,
    /// The depth picture cannot be read, or does not fit the image.
    BadDepth,
    /// No calibration has come.
    NoCalibration,
    /// The calibration cannot be used, or is that of another picture.
    BadCalibration,
    /// Where the camera was is not known.
    NoTransform,
    /// It was not looked at: newer frames came first.
    Late,
    /// The box has no area.
    BadBox,
    /// No pixel of the depth picture lies in the box.
    EmptyRegion,
    /// No pixel in the box has a depth.
    NoDepthInBox,
    /// All depths in the box are too near or too far.
    OutOfRange,
    /// Too few depths are left of the object.
    TooFewPoints,
    /// To be picked it needs a mask, and has none.
    NoMask,
    /// No part of its surface is even and wide enough to be picked.
    NoEvenPatch,
}

impl NoPlaceKind {
    /// The name in every output, to count by.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NoDepth => "no_depth",
            Self::DepthTooOld => "depth_too_old",
            Self::DepthTooNew => "depth_too_new",
            Self::BadDepth => "bad_depth",
            Self::NoCalibration => "no_calibration",
            Self::BadCalibration => "bad_calibration",
            Self::NoTransform => "no_transform",
            Self::Late => "late",
            Self::BadBox => "bad_box",
            Self::EmptyRegion => "empty_region",
            Self::NoDepthInBox => "no_depth_in_box",
            Self::OutOfRange => "out_of_range",
            Self::TooFewPoints => "too_few_points",
            Self::NoMask => "no_mask",
            Self::NoEvenPatch => "no_even_patch",
        }
    }
}

/// Why there is no place, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoPlace {
    /// What it is counted as.
    pub kind: NoPlaceKind,
    /// What was expected and found.
    pub reason: Arc<str>,
}

impl NoPlace {
    /// With the words for it.
    #[must_use]
    pub fn new(kind: NoPlaceKind, reason: impl fmt::Display) -> Self {
        Self { kind, reason: reason.to_string().into() }
    }
}

impl fmt::Display for NoPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

/// The places of what was found in one frame.
#[derive(Clone, Debug, PartialEq)]
pub struct FramePlaces {
    /// Stamp of the source image, and the frame that the places are in.
    pub header: FrameHeader,
    /// One for each detection, in their order.
    pub places: Vec<Result<Place, NoPlace>>,
    /// Where each may be taken hold of, in their order; `None` where that is not looked for.
    pub picks: Option<Vec<Result<Pick, NoPlace>>>,
    /// The prompt whose objects are to be picked; `None` for all.
    pub pick_prompt: Option<Arc<str>>,
}

impl FramePlaces {
    /// The detection that is best picked, with its pick: that with the highest product of both
    /// scores, among those of the prompt that is to be picked, or of all.
    #[must_use]
    pub fn best_pick(&self, found: &FrameDetections) -> Option<(usize, &Pick)> {
        let picks = self.picks.iter().flatten().zip(&found.detections).enumerate();
        let picked = picks.filter_map(|(index, (pick, detection))| {
            let name = &found.prompts.prompts.get(detection.prompt)?.name;
            let pick = pick.as_ref().ok()?;
            let is_asked = self.pick_prompt.as_deref().is_none_or(|asked| asked == name);
            is_asked.then_some((index, pick, pick.score * f64::from(detection.score)))
        });
        // Of equal ones the first.
        let best = picked.reduce(|best, next| if next.2 > best.2 { next } else { best });
        best.map(|(index, pick, _)| (index, pick))
    }
}

/// One point of an object that was found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CloudPoint {
    /// `x, y, z` in metres.
    pub position_m: [f32; 3],
    /// 8-bit sRGB, as the source image has it there.
    pub rgb: [u8; 3],
    /// Which detection of the frame it belongs to, as an instance mask has it
    /// ([`instance_number`](super::FrameDetections::instance_number)); 0 where that has no number
    /// yet.
    pub instance: u32,
}

/// The visible surfaces of all objects that were found in one frame.
#[derive(Clone, Debug, PartialEq)]
pub struct Cloud {
    /// Stamp of the source image, and the frame that the points are in.
    pub header: FrameHeader,
    /// Object by object.
    pub points: Vec<CloudPoint>,
}
