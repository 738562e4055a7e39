//! Boxes around points.

use nalgebra::{
    Isometry3, Matrix3, Point3, Rotation3, Translation3, Unit, UnitQuaternion, Vector3,
};

/// The share of the points that may stick out at each end of a box: single wrong depths do not
/// make it larger. A surface that is covered evenly loses a fiftieth of its length.
const TRIM_SHARE: f64 = 0.01;

/// Points that the search for the yaw looks at; more make it no better.
const SEARCH_POINTS: usize = 1000;

/// Steps of the search for the yaw, in degrees: once over a quarter turn, then around the best.
const COARSE_DEGREES: i32 = 2;
const FINE_PER_DEGREE: i32 = 8;

/// A box in space that holds all but a few of some points.
///
/// It holds what the camera saw: the back of an object is not in it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OrientedBox {
    /// Pose of the box in the frame of the points; the origin of the box is its centre.
    pub frame_from_box: Isometry3<f64>,
    /// Length along the box's own x, y and z, in metres.
    pub size_m: Vector3<f64>,
}

impl OrientedBox {
    /// The centre of the box in the frame of the points, in metres.
    #[must_use]
    pub fn centre(&self) -> Point3<f64> {
        self.frame_from_box * Point3::origin()
    }

    /// A box that stands upright: its z is `up`, its x is the longer horizontal side and points to
    /// the right in the picture. Of all yaws it has the one with the smallest base, which two
    /// visible faces of a cuboid give as well as a whole one. `None` where there are no points.
    #[must_use]
    pub fn upright(points: &[Point3<f64>], up: &Unit<Vector3<f64>>) -> Option<Self> {
        // Any horizontal direction, taken from the axis that is least along `up`.
        let axis = if up.x.abs() < 0.9 { Vector3::x() } else { Vector3::z() };
        let across = (axis - up.into_inner() * axis.dot(up)).normalize();
        let along = up.cross(&across);
        let every = points.len().div_ceil(SEARCH_POINTS).max(1);
        let base: Vec<_> = points
            .iter()
            .step_by(every)
            .map(|point| (point.coords.dot(&across), point.coords.dot(&along)))
            .collect();
        let mut values = Vec::with_capacity(base.len());
        let mut area = |degrees: f64| {
            let (sin, cos) = degrees.to_radians().sin_cos();
            let mut length = |(a, b): (f64, f64)| {
                values.clear();
                values.extend(base.iter().map(|(x, y)| a * x + b * y));
                trimmed_range(&mut values).map_or(0.0, |(low, high)| high - low)
            };
            // A millimetre more on each side: the base of a single face has no area at all.
            (length((cos, sin)) + 1e-3) * (length((-sin, cos)) + 1e-3)
        };
        let mut best = |candidates: &mut dyn Iterator<Item = f64>| {
            let areas = candidates.map(|degrees| (area(degrees), degrees));
            areas.min_by(|a, b| a.0.total_cmp(&b.0)).map_or(0.0, |(_, degrees)| degrees)
        };
        let coarse =
            best(&mut (0..90 / COARSE_DEGREES).map(|step| f64::from(step * COARSE_DEGREES)));
        let reach = COARSE_DEGREES * FINE_PER_DEGREE;
        let steps = (-reach..=reach).map(|step| f64::from(step) / f64::from(FINE_PER_DEGREE));
        let degrees = best(&mut steps.map(|off| coarse + off));

        let (sin, cos) = degrees.to_radians().sin_cos();
        let (one, other) = (across * cos + along * sin, along * cos - across * sin);
        let length = |axis: &Vector3<f64>| extent(points, axis).map(|(low, high)| high - low);
        let longer = if length(&one)? >= length(&other)? { one } else { other };
        let x = to_the_right(longer);
        Self::along_axes(points, x, up.into_inner())
    }

    /// A box along the principal axes of the points: x is the direction in which they reach
    /// furthest and points to the right in the picture; z is the one in which they reach least,
    /// for a flat surface its normal, and points to the camera. `None` where there are no points.
    ///
    /// The axes are those of the visible surface: where a cuboid shows more than one face, they are
    /// not its edges.
    #[must_use]
    pub fn principal(points: &[Point3<f64>]) -> Option<Self> {
        let count = points.len().max(1) as f64;
        let mean = points.iter().map(|point| point.coords).sum::<Vector3<f64>>() / count;
        let spread: Matrix3<f64> = points
            .iter()
            .map(|point| {
                let off = point.coords - mean;
                off * off.transpose()
            })
            .sum();
        let eigen = (spread / count).symmetric_eigen();
        let mut order = [0, 1, 2];
        order.sort_by(|a, b| eigen.eigenvalues[*b].total_cmp(&eigen.eigenvalues[*a]));
        let axis = |index: usize| eigen.eigenvectors.column(order[index]).into_owned();
        let (x, normal) = (axis(0), axis(2));
        let z = if normal.dot(&mean) > 0.0 { -normal } else { normal };
        Self::along_axes(points, to_the_right(x), z)
    }

    /// The box along two axes at right angles and the third that belongs to them.
    fn along_axes(points: &[Point3<f64>], x: Vector3<f64>, z: Vector3<f64>) -> Option<Self> {
        let axes = [x, z.cross(&x), z];
        let mut centre = Vector3::zeros();
        let mut size_m = Vector3::zeros();
        for (index, axis) in axes.iter().enumerate() {
            let (low, high) = extent(points, axis)?;
            size_m[index] = high - low;
            centre += axis * (0.5 * (low + high));
        }
        let mut turned = Rotation3::from_matrix_unchecked(Matrix3::from_columns(&axes));
        turned.renormalize();
        let frame_from_box = Isometry3::from_parts(
            Translation3::from(centre),
            UnitQuaternion::from_rotation_matrix(&turned),
        );
        Some(Self { frame_from_box, size_m })
    }
}

/// Of the two directions of an axis the one that points to the right in the picture, or away from
/// the camera where it points to neither side.
fn to_the_right(axis: Vector3<f64>) -> Vector3<f64> {
    let side = if axis.x.abs() > 1e-9 { axis.x } else { axis.z };
    if side < 0.0 { -axis } else { axis }
}

fn extent(points: &[Point3<f64>], axis: &Vector3<f64>) -> Option<(f64, f64)> {
    let mut along: Vec<_> = points.iter().map(|point| point.coords.dot(axis)).collect();
    trimmed_range(&mut along)
}

/// From the value above the lowest [`TRIM_SHARE`] to the one below the highest.
fn trimmed_range(values: &mut [f64]) -> Option<(f64, f64)> {
    let last = values.len().checked_sub(1)?;
    let trimmed = (values.len() as f64 * TRIM_SHARE) as usize;
    let (_, low, _) = values.select_nth_unstable_by(trimmed, f64::total_cmp);
    let low = *low;
    let (_, high, _) = values.select_nth_unstable_by(last - trimmed, f64::total_cmp);
    Some((low, *high))
}
