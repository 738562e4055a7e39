//! Floor 1: where things are in space. Camera models, transforms and their history, and positions
//! and boxes in metres from a region of an image and a depth image. No I/O, no message formats.
//!
//! Conventions that hold in the whole module:
//! - metres and radians, frames after REP 103 and 105; the optical frame of a camera has x to the
//!   right, y down and z forward (REP 103);
//! - `a_from_b` maps coordinates in frame `b` to coordinates in frame `a`; `tf` and
//!   `geometry_msgs` call the same thing the pose of `b` in `a`;
//! - a `pixel` is a [`nalgebra::Point2`] whose whole numbers are the centres of pixels, as in ROS
//!   and OpenCV: the picture spans -0.5 to `width - 0.5`. [`PixelBox`](crate::types::PixelBox)
//!   counts from the edge of the first pixel instead, so half a pixel lies between the two;
//! - depth is measured along the optical axis (z), as REP 118 has it, and not along the ray.

pub mod camera;
pub mod depth;
pub mod tf;
pub mod transform;

pub use camera::{CameraError, CameraFields, CameraModel, PictureKind, RayError, SensorRegion};
pub use depth::{
    ColouredPoint, DepthNoise, Foreground, LocateError, LocateSettings, Located, OrientedBox,
    Region, Registrar, Scene,
};
pub use transform::{TransformError, rigid};
