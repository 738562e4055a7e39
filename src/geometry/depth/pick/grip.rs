//! How a gripper comes in and closes.

use nalgebra::{Matrix3, Point3, Rotation3, Unit, UnitQuaternion, Vector3};

use super::super::oriented::trimmed_range;

/// Points that the closing way is looked for with; more make it no better.
const SEARCH_POINTS: usize = 1000;

/// A gripper that comes in along a normal.
pub(super) struct Grip {
    pub(super) position: Point3<f64>,
    pub(super) normal: Unit<Vector3<f64>>,
    pub(super) radius_m: f64,
    pub(super) cell_m: f64,
}

impl Grip {
    /// The way that the fingers close: across the points where they are narrowest, which for a
    /// long thing is across its principal axis. With the width there, over as much of the thing as
    /// the patch is wide, and the length of all points the other way.
    pub(super) fn across(&self, points: &[Point3<f64>]) -> (Vector3<f64>, f64, f64) {
        let normal = self.normal.into_inner();
        let axis = if normal.x.abs() < 0.9 { Vector3::x() } else { Vector3::y() };
        let across = (axis - normal * axis.dot(&normal)).normalize();
        let along = normal.cross(&across);
        let flat: Vec<(f64, f64)> = points
            .iter()
            .map(|point| {
                let off = point - self.position;
                (off.dot(&across), off.dot(&along))
            })
            .collect();
        let every = flat.len().div_ceil(SEARCH_POINTS).max(1);
        let few: Vec<_> = flat.iter().step_by(every).copied().collect();
        let mut values = Vec::with_capacity(few.len());
        let mut width = |degrees: f64| {
            let (sin, cos) = degrees.to_radians().sin_cos();
            values.clear();
            values.extend(few.iter().map(|(x, y)| cos * x + sin * y));
            trimmed_range(&mut values).map_or(0.0, |(low, high)| high - low)
        };
        let mut narrowest = |tries: Vec<f64>| {
            let least = tries.into_iter().map(|degrees| (width(degrees), degrees));
            least.min_by(|a, b| a.0.total_cmp(&b.0)).map_or(0.0, |(_, degrees)| degrees)
        };
        let coarse = narrowest((0..60).map(|step| 3.0 * f64::from(step)).collect());
        let fine = narrowest((-12..=12).map(|step| coarse + 0.25 * f64::from(step)).collect());
        let (sin, cos) = fine.to_radians().sin_cos();
        let closing = across * cos + along * sin;
        let beside = self.radius_m.max(self.cell_m);
        let mut between: Vec<_> = flat
            .iter()
            .filter(|(x, y)| (cos * y - sin * x).abs() <= beside)
            .map(|(x, y)| cos * x + sin * y)
            .collect();
        let mut lengthwise: Vec<_> = flat.iter().map(|(x, y)| cos * y - sin * x).collect();
        let extent = |values: &mut [f64]| {
            trimmed_range(values).map_or(0.0, |(low, high)| high - low) + self.cell_m
        };
        (closing, extent(&mut between), extent(&mut lengthwise))
    }
}

/// The gripper's axes: z against the normal, y along `closing` or against it, so that x points to
/// the right in the picture, or away from the camera where it points to neither side.
pub(super) fn axes(normal: &Unit<Vector3<f64>>, closing: &Vector3<f64>) -> UnitQuaternion<f64> {
    let z = -normal.into_inner();
    let x = closing.cross(&z);
    let side = if x.x.abs() > 1e-9 { x.x } else { x.z };
    let (x, y) = if side < 0.0 { (-x, -closing) } else { (x, *closing) };
    let mut turned = Rotation3::from_matrix_unchecked(Matrix3::from_columns(&[x, y, z]));
    turned.renormalize();
    UnitQuaternion::from_rotation_matrix(&turned)
}
