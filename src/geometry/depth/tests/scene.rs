//! A cuboid in front of a wall, and what a depth camera makes of it.

use nalgebra::{Isometry3, Point2, Point3, Unit, UnitQuaternion, Vector3};

use super::super::OrientedBox;
use crate::geometry::camera::{CameraFields, CameraModel, PictureKind};
use crate::types::{DepthImage, PixelBox};

/// A cuboid in front of a wall, in the optical frame of the camera.
pub(super) struct World {
    pub(super) camera_from_cuboid: Isometry3<f64>,
    pub(super) size_m: Vector3<f64>,
    /// The wall: points with `normal . p = distance`.
    pub(super) wall: (Unit<Vector3<f64>>, f64),
}

/// What the depth camera saw.
pub(super) struct Shot {
    pub(super) depth: DepthImage,
    /// The pixels that show the cuboid.
    pub(super) mask: Vec<bool>,
}

impl World {
    /// Distance along a ray to the cuboid's surface (slab method).
    pub(super) fn cuboid(&self, ray: &Vector3<f64>) -> Option<f64> {
        let cuboid_from_camera = self.camera_from_cuboid.inverse();
        let start = cuboid_from_camera * Point3::origin();
        let direction = cuboid_from_camera * ray;
        let (mut enter, mut leave) = (0.0_f64, f64::INFINITY);
        for axis in 0..3 {
            let half = 0.5 * self.size_m[axis];
            let one = (-half - start[axis]) / direction[axis];
            let other = (half - start[axis]) / direction[axis];
            enter = enter.max(one.min(other));
            leave = leave.min(one.max(other));
        }
        (enter < leave).then_some(enter)
    }

    pub(super) fn shoot(&self, camera: &CameraModel) -> Shot {
        let (mut metres, mut mask) = (Vec::new(), Vec::new());
        for y in 0..camera.height() {
            for x in 0..camera.width() {
                let pixel = Point2::new(f64::from(x), f64::from(y));
                let ray = camera.ray_from_pixel(&pixel).unwrap().into_inner();
                let (normal, distance) = &self.wall;
                let wall = distance / normal.dot(&ray);
                let cuboid = self.cuboid(&ray).filter(|cuboid| *cuboid < wall || wall <= 0.0);
                mask.push(cuboid.is_some());
                let along = cuboid.unwrap_or(wall) * ray.z;
                metres.push(if along > 0.0 { along as f32 } else { f32::NAN });
            }
        }
        let depth = DepthImage::new(camera.width(), camera.height(), metres).unwrap();
        Shot { depth, mask }
    }

    pub(super) fn visible_points(&self, camera: &CameraModel, shot: &Shot) -> Vec<Point3<f64>> {
        let width = camera.width() as usize;
        let shown = (0..shot.mask.len()).filter(|index| shot.mask[*index]);
        shown
            .map(|index| {
                let pixel = Point2::new((index % width) as f64, (index / width) as f64);
                camera.point_from_pixel(&pixel, f64::from(shot.depth.metres()[index])).unwrap()
            })
            .collect()
    }
}

impl Shot {
    /// The tight box around the cuboid, `margin` wider on each side as detectors have it.
    pub(super) fn box_px(&self, margin: f32) -> PixelBox {
        let width = self.depth.width() as usize;
        let shown = || (0..self.mask.len()).filter(|index| self.mask[*index]);
        let columns = shown().map(|index| index % width);
        let rows = shown().map(|index| index / width);
        PixelBox {
            x0: columns.clone().min().unwrap() as f32 - margin,
            y0: rows.clone().min().unwrap() as f32 - margin,
            x1: columns.max().unwrap() as f32 + 1.0 + margin,
            y1: rows.max().unwrap() as f32 + 1.0 + margin,
        }
        .clipped_to(self.depth.width(), self.depth.height())
    }

    /// Depth as a camera gives it: smeared over edges, noisy by `noise` times the square of the
    /// depth, and unknown at a share of the pixels.
    pub(super) fn spoiled(&self, noise: f64, unknown: f64, seed: u64) -> DepthImage {
        let (width, height) = (self.depth.width() as usize, self.depth.height() as usize);
        let clean = self.depth.metres();
        let mut state = seed | 1;
        // Numbers in [0, 1) by xorshift: the same for a seed on every machine.
        let mut random = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 11) as f64 / (1_u64 << 53) as f64
        };
        let mut metres = Vec::new();
        for y in 0..height {
            for x in 0..width {
                let here = clean[y * width + x];
                let beside = clean[y * width + (x + 1).min(width - 1)];
                let below = clean[(y + 1).min(height - 1) * width + x];
                let smeared = match [beside, below].into_iter().find(|z| (z - here).abs() > 0.05) {
                    Some(other) => 0.5 * (here + other),
                    None => here,
                };
                // The sum of four is close enough to a normal distribution.
                let normal = (0..4).map(|_| random() - 0.5).sum::<f64>() * 3.0_f64.sqrt();
                let noisy = f64::from(smeared) * (1.0 + normal * noise * f64::from(smeared));
                metres.push(if random() < unknown { f32::NAN } else { noisy as f32 });
            }
        }
        DepthImage::new(self.depth.width(), self.depth.height(), metres).unwrap()
    }
}

pub(super) fn camera() -> CameraModel {
    CameraModel::pinhole([321, 241], [290.0, 291.0], [158.5, 121.25]).unwrap()
}

/// A camera with a lens, on which straight lines are not straight.
pub(super) fn distorted() -> CameraModel {
    let k = [290.0, 0.0, 158.5, 0.0, 291.0, 121.25, 0.0, 0.0, 1.0];
    let d = [-0.25, 0.07, 1e-3, -5e-4, 0.0];
    let fields = CameraFields {
        width: 321,
        height: 241,
        distortion_model: "plumb_bob",
        d: &d,
        k,
        ..Default::default()
    };
    fields.model(PictureKind::Raw).unwrap()
}

/// A cuboid with its z up, seen from above at `pitch`, turned by `yaw`; up in the optical frame.
pub(super) fn standing(
    size_m: [f64; 3],
    [x, y, z]: [f64; 3],
    (yaw, pitch): (f64, f64),
) -> (World, Unit<Vector3<f64>>) {
    // Optical frame: y is down, so up is -y, leaning to the camera when it looks down.
    let up = Unit::new_normalize(Vector3::new(0.0, -pitch.cos(), -pitch.sin()));
    let forward = Vector3::new(0.0, -pitch.sin(), pitch.cos());
    let camera_from_level = UnitQuaternion::from_basis_unchecked(&[
        Vector3::x(),
        up.cross(&Vector3::x()),
        up.into_inner(),
    ]);
    let turn = camera_from_level * UnitQuaternion::from_axis_angle(&Vector3::z_axis(), yaw);
    let camera_from_cuboid = Isometry3::from_parts(Vector3::new(x, y, z).into(), turn);
    let wall = (Unit::new_normalize(forward), (z + 1.2) * pitch.cos());
    (World { camera_from_cuboid, size_m: Vector3::from(size_m), wall }, up)
}

/// Angle between two yaws of a cuboid, which a quarter turn does not change; in degrees.
pub(super) fn yaw_error(found: &OrientedBox, world: &World, up: &Unit<Vector3<f64>>) -> f64 {
    let found = found.frame_from_box * Vector3::x();
    let edge = world.camera_from_cuboid * Vector3::x();
    let off = up.cross(&edge).dot(&found).atan2(edge.dot(&found)).to_degrees();
    let quarter = off.rem_euclid(90.0);
    quarter.min(90.0 - quarter)
}
