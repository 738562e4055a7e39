//! A depth picture as the colour camera would have seen it.

use nalgebra::{Isometry3, Point2, Point3};

use crate::geometry::camera::{CameraError, CameraModel};
use crate::types::DepthImage;

/// Moves depth pictures of one camera to where another one stands.
///
/// The rays of the depth camera are computed once; make a new one when a calibration or the
/// transform between the cameras changes.
#[derive(Clone, Debug)]
pub struct Registrar {
    depth_camera: CameraModel,
    colour_camera: CameraModel,
    colour_from_depth: Isometry3<f64>,
    /// Where each pixel's ray meets the plane z = 1, row by row; `None` where it has none.
    rays: Vec<Option<[f64; 2]>>,
}

/// What happened to the pixels of one depth picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RegistrationCounts {
    /// Pixels with a depth.
    pub with_depth: usize,
    /// Of these, pixels at which the lens model of the depth camera has no ray.
    pub without_ray: usize,
    /// Of these, points that the colour camera does not see.
    pub out_of_view: usize,
    /// Of these, points behind others for the colour camera, or beside others in the same pixel.
    pub hidden: usize,
}

/// A depth picture that fits the colour camera.
#[derive(Clone, Debug, PartialEq)]
pub struct Registered {
    /// Depth along the optical axis of the colour camera.
    pub depth: DepthImage,
    /// What became of the pixels.
    pub counts: RegistrationCounts,
}

impl Registrar {
    /// For the pictures of a depth camera, a colour camera, and the pose of the former in the
    /// latter. The result has the shape of the colour picture and no finer pixels than the depth
    /// picture, so that surfaces have no holes.
    ///
    /// # Errors
    /// Where the colour picture would shrink to nothing.
    pub fn new(
        depth_camera: &CameraModel,
        colour_camera: &CameraModel,
        colour_from_depth: Isometry3<f64>,
    ) -> Result<Self, CameraError> {
        let [depth_x, depth_y] = depth_camera.focal_px();
        let [colour_x, colour_y] = colour_camera.focal_px();
        let scale = (depth_x / colour_x).min(depth_y / colour_y).min(1.0);
        let side = |length: u32| (f64::from(length) * scale).round() as u32;
        let colour_camera =
            colour_camera.resized(side(colour_camera.width()), side(colour_camera.height()))?;
        let mut rays = Vec::new();
        for y in 0..depth_camera.height() {
            for x in 0..depth_camera.width() {
                let point = depth_camera
                    .point_from_pixel(&Point2::new(f64::from(x), f64::from(y)), 1.0)
                    .ok();
                rays.push(point.map(|point| [point.x, point.y]));
            }
        }
        let depth_camera = depth_camera.clone();
        Ok(Self { depth_camera, colour_camera, colour_from_depth, rays })
    }

    /// The colour camera at the resolution of what is made.
    #[must_use]
    pub fn camera(&self) -> &CameraModel {
        &self.colour_camera
    }

    /// The same depths as the colour camera would have seen them: each falls into the pixel that
    /// sees it, the nearest hides the others, and pixels that none falls into are unknown. Within
    /// a pixel a point may be moved to its centre, by half a pixel.
    ///
    /// # Errors
    /// Where the picture has another size than the depth camera's.
    pub fn register(&self, depth: &DepthImage) -> Result<Registered, CameraError> {
        self.depth_camera.check_picture(depth.width(), depth.height())?;
        let (width, height) = (self.colour_camera.width(), self.colour_camera.height());
        let mut nearest = vec![f32::NAN; width as usize * height as usize];
        let mut counts = RegistrationCounts::default();
        for (metres, ray) in depth.metres().iter().zip(&self.rays) {
            if !metres.is_finite() || *metres <= 0.0 {
                continue;
            }
            counts.with_depth += 1;
            let Some([x, y]) = ray else {
                counts.without_ray += 1;
                continue;
            };
            let z = f64::from(*metres);
            let point = self.colour_from_depth * Point3::new(x * z, y * z, z);
            let pixel = self.colour_camera.pixel_from_point(&point);
            let Some(pixel) = pixel.ok().filter(|pixel| self.colour_camera.sees(pixel)) else {
                counts.out_of_view += 1;
                continue;
            };
            let index = (pixel.y + 0.5) as usize * width as usize + (pixel.x + 0.5) as usize;
            let Some(seen) = nearest.get_mut(index) else {
                counts.out_of_view += 1;
                continue;
            };
            counts.hidden += usize::from(!seen.is_nan());
            // `min` passes over NaN.
            *seen = seen.min(point.z as f32);
        }
        let depth = DepthImage::new(width, height, nearest)
            .expect("one depth is made for each pixel of the colour camera");
        Ok(Registered { depth, counts })
    }
}
