//! From a region of a colour picture and a depth picture to positions and boxes in metres.
//!
//! [`Scene`] pairs one depth picture with the camera that it fits; [`Scene::foreground`] takes the
//! points of one object out of it, and [`Foreground::locate`] says where they are; [`Scene::pick`]
//! says where to take hold of it. A depth picture that was taken by another camera goes through a
//! [`Registrar`] first.

mod foreground;
mod locate;
mod oriented;
mod pick;
mod register;
mod separate;
#[cfg(test)]
mod tests;

pub use foreground::{ColouredPoint, Foreground, ForegroundPoint, LocateError, LocateSettings};
pub use locate::{DepthNoise, Located};
pub use oriented::OrientedBox;
pub use pick::{PickError, PickPoint, PickSettings};
pub use register::{Registered, Registrar, RegistrationCounts};

use nalgebra::{Point2, Point3};

use super::camera::{CameraError, CameraModel};
use crate::types::{DepthImage, Mask, PixelBox};

/// What part of a picture an object takes up.
#[derive(Clone, Copy, Debug)]
pub enum Region<'a> {
    /// A box in pixels of the source picture: it shows some of the background as well, and the
    /// near one of what it shows is taken.
    Box(PixelBox),
    /// A mask over the whole source picture, in its resolution or another one: what it shows most of is taken.
    Mask(&'a Mask),
}

/// A depth picture and the camera whose rays its pixels lie on.
#[derive(Clone, Debug)]
pub struct Scene<'a> {
    depth: &'a DepthImage,
    /// At the resolution of the depth picture.
    camera: CameraModel,
    /// Pixels of the source picture for one of the depth picture, `[x, y]`.
    source_px_per_depth_px: [f64; 2],
}

impl<'a> Scene<'a> {
    /// A depth picture that was registered to the colour picture: in any resolution, its pixels
    /// show what the colour picture shows at the same place. `camera` is that of the colour
    /// picture, at the colour picture's size.
    ///
    /// # Errors
    /// Where the depth picture has another shape than the colour picture: it is of another camera.
    pub fn new(depth: &'a DepthImage, camera: &CameraModel) -> Result<Self, CameraError> {
        let source_px_per_depth_px = [
            f64::from(camera.width()) / f64::from(depth.width().max(1)),
            f64::from(camera.height()) / f64::from(depth.height().max(1)),
        ];
        let camera = camera.resized(depth.width(), depth.height())?;
        Ok(Self { depth, camera, source_px_per_depth_px })
    }

    /// The camera at the resolution of the depth picture.
    #[must_use]
    pub fn camera(&self) -> &CameraModel {
        &self.camera
    }

    /// The depth picture.
    #[must_use]
    pub fn depth(&self) -> &'a DepthImage {
        self.depth
    }

    /// The depth at a column and row in metres, where it is known.
    fn depth_at(&self, x: i64, y: i64) -> Option<f64> {
        let column = usize::try_from(x).ok().filter(|x| *x < self.depth.width() as usize)?;
        let row = usize::try_from(y).ok().filter(|y| *y < self.depth.height() as usize)?;
        let metres = self.depth.metres()[row * self.depth.width() as usize + column];
        (metres.is_finite() && metres > 0.0).then_some(f64::from(metres))
    }

    /// Where the centre of a pixel of the depth picture lies in the source picture, counted from
    /// the edge of its first pixel.
    pub(super) fn in_source_px(&self, x: u32, y: u32) -> Point2<f64> {
        let [across, down] = self.source_px_per_depth_px;
        Point2::new((f64::from(x) + 0.5) * across, (f64::from(y) + 0.5) * down)
    }

    /// Where the source picture shows a point in metres in the optical frame, counted from the edge
    /// of its first pixel; it may lie outside. `None` where the camera does not look there.
    #[must_use]
    pub fn source_px_of(&self, point: &Point3<f64>) -> Option<Point2<f64>> {
        let at = self.camera.pixel_from_point(point).ok()?;
        let [across, down] = self.source_px_per_depth_px;
        Some(Point2::new((at.x + 0.5) * across, (at.y + 0.5) * down))
    }
}
