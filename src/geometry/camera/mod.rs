//! Camera models: from points in the optical frame to pixels, and from pixels to rays.

mod error;
mod fields;
mod lens;
#[cfg(test)]
mod tests;

use nalgebra::{Point2, Point3, Rotation3, Unit, Vector3};

use crate::types::PixelBox;

pub use error::{CameraError, RayError};
pub use fields::{CameraFields, PictureKind, SensorRegion};
pub use lens::UNDISTORT_TOLERANCE;

use lens::Lens;

/// A calibrated camera and the size of its pictures. It holds no NaN, and neither does anything
/// that it gives out.
///
/// Points and rays are in the optical frame of the picture: x to the right, y down, z forward. For
/// a raw picture of a camera with a rectification matrix that frame is turned against the
/// rectified one by [`rectified_from_picture`](Self::rectified_from_picture).
#[derive(Clone, Debug, PartialEq)]
pub struct CameraModel {
    width: u32,
    height: u32,
    focal_px: [f64; 2],
    centre_px: [f64; 2],
    lens: Lens,
    rectified_from_picture: Rotation3<f64>,
}

impl CameraModel {
    /// A camera without distortion, for pictures of `width` x `height`: focal lengths `[fx, fy]`
    /// and principal point `[cx, cy]` in pixels.
    ///
    /// # Errors
    /// Where a number is not one that a camera has.
    pub fn pinhole(
        [width, height]: [u32; 2],
        [fx, fy]: [f64; 2],
        [cx, cy]: [f64; 2],
    ) -> Result<Self, CameraError> {
        let k = [fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0];
        CameraFields { width, height, k, ..CameraFields::default() }.model(PictureKind::Raw)
    }

    /// Columns of its pictures.
    #[must_use]
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Rows of its pictures.
    #[must_use]
    pub fn height(&self) -> u32 {
        self.height
    }

    /// Focal lengths `[fx, fy]` in pixels.
    #[must_use]
    pub fn focal_px(&self) -> [f64; 2] {
        self.focal_px
    }

    /// The pixel `[cx, cy]` on the optical axis; pixel centres are whole numbers.
    #[must_use]
    pub fn centre_px(&self) -> [f64; 2] {
        self.centre_px
    }

    /// Turns directions in the optical frame of the picture into the rectified frame: the
    /// rectification matrix for a raw picture, and the identity for a rectified one, or where the
    /// camera is no part of a stereo pair.
    #[must_use]
    pub fn rectified_from_picture(&self) -> Rotation3<f64> {
        self.rectified_from_picture
    }

    /// Largest angle off the axis, in radians, that the lens model covers: beyond it the model
    /// folds back or, for one of the ideal plane, ends at 89 degrees.
    #[must_use]
    pub fn widest_rad(&self) -> f64 {
        self.lens.widest_rad()
    }

    /// Whether pictures are free of distortion.
    #[must_use]
    pub fn is_ideal(&self) -> bool {
        self.lens.is_ideal()
    }

    /// Refuses pictures of another size than this camera's.
    ///
    /// # Errors
    /// Where the size differs, with both sizes.
    pub fn check_picture(&self, width: u32, height: u32) -> Result<(), CameraError> {
        if (width, height) == (self.width, self.height) {
            return Ok(());
        }
        Err(CameraError::PictureSize {
            expected_width: self.width,
            expected_height: self.height,
            width,
            height,
        })
    }

    /// The same camera at another resolution, for pictures that were scaled as a whole.
    ///
    /// The edges of the pictures fall together, as every resize has it, so that the principal point
    /// moves with half a pixel in mind. `image_proc` leaves that half pixel out.
    ///
    /// # Errors
    /// Where the size is empty, or has another shape by more than a pixel.
    pub fn resized(&self, width: u32, height: u32) -> Result<Self, CameraError> {
        if width == 0 || height == 0 {
            return Err(CameraError::EmptyPicture { width, height });
        }
        let scale_x = f64::from(width) / f64::from(self.width);
        let scale_y = f64::from(height) / f64::from(self.height);
        // A side that was rounded to a whole number is off by less than one pixel.
        let off_by = [
            (scale_x * f64::from(self.height) - f64::from(height)).abs(),
            (scale_y * f64::from(self.width) - f64::from(width)).abs(),
        ];
        if off_by[0].min(off_by[1]) > 1.0 {
            return Err(CameraError::PictureShape {
                expected_width: self.width,
                expected_height: self.height,
                width,
                height,
            });
        }
        Ok(Self { width, height, ..self.scaled(scale_x, scale_y) })
    }

    /// Scales what is measured in pixels and leaves the size of the picture.
    fn scaled(&self, scale_x: f64, scale_y: f64) -> Self {
        let [fx, fy] = self.focal_px;
        let [cx, cy] = self.centre_px;
        Self {
            focal_px: [fx * scale_x, fy * scale_y],
            centre_px: [(cx + 0.5) * scale_x - 0.5, (cy + 0.5) * scale_y - 0.5],
            ..self.clone()
        }
    }

    /// The pixel that sees a direction; it may lie outside of the picture.
    ///
    /// # Errors
    /// Where the direction is not finite, not in front of the camera, or not covered by the lens
    /// model.
    pub fn pixel_from_ray(&self, ray: &Vector3<f64>) -> Result<Point2<f64>, RayError> {
        let distorted = self.lens.distorted(ray)?;
        let pixel = Point2::new(
            self.focal_px[0] * distorted.x + self.centre_px[0],
            self.focal_px[1] * distorted.y + self.centre_px[1],
        );
        if pixel.coords.iter().all(|value| value.is_finite()) {
            Ok(pixel)
        } else {
            Err(RayError::NotFinite)
        }
    }

    /// The pixel that sees a point, in metres in the optical frame; it may lie outside of the
    /// picture ([`sees`](Self::sees)).
    ///
    /// # Errors
    /// As [`pixel_from_ray`](Self::pixel_from_ray).
    pub fn pixel_from_point(&self, point: &Point3<f64>) -> Result<Point2<f64>, RayError> {
        self.pixel_from_ray(&point.coords)
    }

    /// The direction that a pixel sees. The distortion is inverted to [`UNDISTORT_TOLERANCE`].
    ///
    /// # Errors
    /// Where the pixel is not finite, or the lens model does not cover it.
    pub fn ray_from_pixel(&self, pixel: &Point2<f64>) -> Result<Unit<Vector3<f64>>, RayError> {
        let distorted = Point2::new(
            (pixel.x - self.centre_px[0]) / self.focal_px[0],
            (pixel.y - self.centre_px[1]) / self.focal_px[1],
        );
        self.lens.ray(&distorted).map(Unit::new_unchecked)
    }

    /// The point that a pixel sees at a depth, in metres along the optical axis.
    ///
    /// # Errors
    /// As [`ray_from_pixel`](Self::ray_from_pixel), and where the depth is not a finite number
    /// above 0 or the pixel sees sideways or backwards, so that depth says nothing.
    pub fn point_from_pixel(
        &self,
        pixel: &Point2<f64>,
        depth_m: f64,
    ) -> Result<Point3<f64>, RayError> {
        if !depth_m.is_finite() {
            return Err(RayError::NotFinite);
        }
        let ray = self.ray_from_pixel(pixel)?;
        if depth_m <= 0.0 || ray.z <= 0.0 {
            return Err(RayError::BehindCamera);
        }
        let point = Point3::from(ray.into_inner() * (depth_m / ray.z));
        if point.coords.iter().all(|value| value.is_finite()) {
            Ok(point)
        } else {
            Err(RayError::NotFinite)
        }
    }

    /// Whether a pixel lies in the picture.
    #[must_use]
    pub fn sees(&self, pixel: &Point2<f64>) -> bool {
        let inside = |value: f64, side: u32| value >= -0.5 && value < f64::from(side) - 0.5;
        inside(pixel.x, self.width) && inside(pixel.y, self.height)
    }

    /// The pixel at the centre of a box, whose corners count from the edge of the first pixel.
    #[must_use]
    pub fn centre_of(box_in_px: &PixelBox) -> Point2<f64> {
        let (x, y) = box_in_px.centre();
        Point2::new(f64::from(x) - 0.5, f64::from(y) - 0.5)
    }
}
