//! Where an object is.

use nalgebra::{Matrix3, Point3, Unit, Vector3};

use super::{Foreground, OrientedBox};

/// How exact a depth camera is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DepthNoise {
    /// Standard deviation of a depth of 1 m, in metres. It grows with the square of the depth, as
    /// that of stereo and structured light does.
    pub at_1_m: f64,
}

/// Where an object is, in metres in the optical frame of the camera.
#[derive(Clone, Debug, PartialEq)]
pub struct Located {
    /// The middle of the visible surface: the median of the points, coordinate by coordinate.
    pub surface: Point3<f64>,
    /// A box around the visible surface; its centre lies inside of the object where the camera
    /// sees more than one of its sides.
    pub oriented_box: OrientedBox,
    /// Covariance of `surface` in square metres, where the noise of the camera is known. Errors of
    /// neighbouring pixels go together, so that many points do not make it smaller.
    pub covariance: Option<Matrix3<f64>>,
}

impl Foreground {
    /// Where the points are. `up` is the direction against gravity in the optical frame: with it
    /// the box stands upright, without it the box lies along the points' principal axes.
    #[must_use]
    pub fn locate(&self, up: Option<&Unit<Vector3<f64>>>, noise: Option<DepthNoise>) -> Located {
        let points: Vec<_> = self.points.iter().map(|point| point.position).collect();
        let surface = median(&points);
        let oriented_box = match up {
            Some(up) => OrientedBox::upright(&points, up),
            None => OrientedBox::principal(&points),
        };
        // A foreground has points, so that there is a box.
        let oriented_box = oriented_box.unwrap_or(OrientedBox {
            frame_from_box: surface.coords.into(),
            size_m: Vector3::zeros(),
        });
        let covariance = noise.map(|noise| self.covariance(&surface, noise));
        Located { surface, oriented_box, covariance }
    }

    /// A wrong depth moves a point along its ray; to the side it is known to about a pixel of the
    /// source picture.
    fn covariance(&self, surface: &Point3<f64>, noise: DepthNoise) -> Matrix3<f64> {
        let depth_deviation = noise.at_1_m * surface.z * surface.z;
        let ray = surface.coords / surface.z;
        let [px_x, px_y] = self.source_px_at_1_m.map(|size| size * surface.z);
        let sideways = Matrix3::from_diagonal(&Vector3::new(px_x * px_x, px_y * px_y, 0.0));
        ray * ray.transpose() * (depth_deviation * depth_deviation) + sideways
    }
}

fn median(points: &[Point3<f64>]) -> Point3<f64> {
    let along = |axis: usize| {
        let mut values: Vec<_> = points.iter().map(|point| point[axis]).collect();
        let middle = values.len() / 2;
        *values.select_nth_unstable_by(middle, f64::total_cmp).1
    };
    Point3::new(along(0), along(1), along(2))
}
