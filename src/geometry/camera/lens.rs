//! Lens distortion: from the ideal image plane (z = 1) to the plane of the sensor, and back.
//!
//! The formulas are those of OpenCV: `plumb_bob` and `rational_polynomial` as in
//! `cv::projectPoints` (Brown 1966), `equidistant` as in `cv::fisheye::projectPoints` (Kannala and
//! Brandt 2006).

use nalgebra::{Matrix2, Point2, Vector2, Vector3};

use super::RayError;

/// How exactly a distortion is inverted: the distorted result differs from what was asked for by
/// less than this, in focal lengths (1e-7 px at a focal length of 1000 px).
pub const UNDISTORT_TOLERANCE: f64 = 1e-10;

/// Newton's method doubles its digits with each step; what has not settled by then never will.
const MOST_STEPS: usize = 30;

/// Directions that are looked at to find where a model folds back.
const FOLD_SAMPLES: u32 = 2048;

/// A pinhole sees less than half of the world. Beyond this angle off the axis no point is
/// projected by a model of the ideal plane.
const WIDEST_PINHOLE_RAD: f64 = 89.0 / 180.0 * std::f64::consts::PI;

/// The coefficients of a lens.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Coefficients {
    /// An ideal pinhole.
    None,
    /// `(1 + k1 r² + k2 r⁴ + k3 r⁶) / (1 + k4 r² + k5 r⁴ + k6 r⁶)` and two tangential terms.
    Brown { numerator: [f64; 3], tangential: [f64; 2], denominator: [f64; 3] },
    /// `θ (1 + k1 θ² + k2 θ⁴ + k3 θ⁶ + k4 θ⁸)`.
    Equidistant([f64; 4]),
}

/// A lens with the part of the world for which its model is one to one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Lens {
    coefficients: Coefficients,
    /// Largest angle off the axis before the model folds back.
    widest_rad: f64,
    /// How far from the middle of the sensor that angle lands, without tangential terms.
    widest_distorted: f64,
}

/// The polynomial `1 + k[0] x + k[1] x² + ...`.
fn series(k: &[f64], x: f64) -> f64 {
    k.iter().rev().fold(0.0, |sum, k| (sum + k) * x) + 1.0
}

/// The derivative of [`series`] by `x`.
fn series_slope(k: &[f64], x: f64) -> f64 {
    k.iter().enumerate().rev().fold(0.0, |sum, (before, k)| sum * x + (before + 1) as f64 * k)
}

impl Coefficients {
    /// Distance from the middle of the sensor of a ray `angle` off the axis, without tangential
    /// terms, and its derivative by the angle.
    fn radial(&self, angle: f64) -> (f64, f64) {
        // d tan / d angle
        let tan = angle.tan();
        let tan_slope = 1.0 + tan * tan;
        match self {
            Self::None => (tan, tan_slope),
            Self::Brown { numerator, denominator, .. } => {
                let r2 = tan * tan;
                let (top, bottom) = (series(numerator, r2), series(denominator, r2));
                let (top_slope, bottom_slope) =
                    (series_slope(numerator, r2), series_slope(denominator, r2));
                let factor = top / bottom;
                let factor_slope = (top_slope - factor * bottom_slope) / bottom;
                // A denominator that is not positive lies behind a pole.
                let slope = factor + 2.0 * r2 * factor_slope;
                (tan * factor, if bottom > 0.0 { slope * tan_slope } else { f64::NAN })
            }
            Self::Equidistant(k) => {
                let t2 = angle * angle;
                let factor = series(k, t2);
                (angle * factor, factor + 2.0 * t2 * series_slope(k, t2))
            }
        }
    }
}

impl Lens {
    /// Finds how far out the model can be trusted. The angle at which it folds is returned as an
    /// error where that is less than half a degree.
    pub(super) fn new(coefficients: Coefficients) -> Result<Self, f64> {
        let end = match coefficients {
            Coefficients::Equidistant(_) => std::f64::consts::PI,
            _ => WIDEST_PINHOLE_RAD,
        };
        let rises = |angle: f64| {
            let (distance, slope) = coefficients.radial(angle);
            // NaN ends the search too.
            slope > 0.0 && slope.is_finite() && distance.is_finite()
        };
        let at = |sample: u32| end * f64::from(sample) / f64::from(FOLD_SAMPLES);
        let widest_rad = match (1..=FOLD_SAMPLES).find(|sample| !rises(at(*sample))) {
            None => end,
            Some(folded) => {
                let (mut low, mut high) = (at(folded - 1), at(folded));
                for _ in 0..40 {
                    let middle = 0.5 * (low + high);
                    if rises(middle) { low = middle } else { high = middle }
                }
                low
            }
        };
        if widest_rad < 0.5_f64.to_radians() {
            return Err(widest_rad.to_degrees());
        }
        let widest_distorted = coefficients.radial(widest_rad).0;
        Ok(Self { coefficients, widest_rad, widest_distorted })
    }

    /// Largest angle off the axis that the model covers.
    pub(super) fn widest_rad(&self) -> f64 {
        self.widest_rad
    }

    pub(super) fn is_ideal(&self) -> bool {
        matches!(self.coefficients, Coefficients::None)
    }

    /// Where a direction of any length lands on the sensor, in focal lengths.
    pub(super) fn distorted(&self, ray: &Vector3<f64>) -> Result<Point2<f64>, RayError> {
        let sideways = ray.x.hypot(ray.y);
        if !(sideways + ray.z.abs()).is_finite() {
            return Err(RayError::NotFinite);
        }
        let angle = sideways.atan2(ray.z);
        if let Coefficients::Equidistant(_) = self.coefficients {
            if sideways == 0.0 && ray.z <= 0.0 {
                return Err(RayError::BehindCamera);
            }
            if angle > self.widest_rad {
                return Err(RayError::OutsideLens);
            }
            let (distance, _) = self.coefficients.radial(angle);
            let scale = if sideways > 0.0 { distance / sideways } else { 0.0 };
            return Ok(Point2::new(ray.x * scale, ray.y * scale));
        }
        if ray.z <= 0.0 {
            return Err(RayError::BehindCamera);
        }
        if angle > self.widest_rad {
            return Err(RayError::OutsideLens);
        }
        let (distorted, _) = self.brown(&Point2::new(ray.x / ray.z, ray.y / ray.z));
        Ok(distorted)
    }

    /// A unit vector along the ray that lands on `distorted`.
    pub(super) fn ray(&self, distorted: &Point2<f64>) -> Result<Vector3<f64>, RayError> {
        let distance = distorted.coords.norm();
        if !distance.is_finite() {
            return Err(RayError::NotFinite);
        }
        match self.coefficients {
            Coefficients::None => {
                if distance > self.widest_distorted {
                    return Err(RayError::OutsideLens);
                }
                Ok(Vector3::new(distorted.x, distorted.y, 1.0).normalize())
            }
            Coefficients::Equidistant(_) => {
                let angle = self.angle_of(distance)?;
                let (sin, cos) = angle.sin_cos();
                let scale = if distance > 0.0 { sin / distance } else { 0.0 };
                Ok(Vector3::new(distorted.x * scale, distorted.y * scale, cos))
            }
            Coefficients::Brown { .. } => {
                let ideal = self.ideal(distorted)?;
                Ok(Vector3::new(ideal.x, ideal.y, 1.0).normalize())
            }
        }
    }

    /// The angle off the axis that lands at `distance`: Newton's method, held inside the bracket
    /// that bisection keeps.
    fn angle_of(&self, distance: f64) -> Result<f64, RayError> {
        if distance > self.widest_distorted {
            return Err(RayError::OutsideLens);
        }
        let (mut low, mut high) = (0.0, self.widest_rad);
        let mut angle = distance.min(self.widest_rad);
        for _ in 0..2 * MOST_STEPS {
            let (landed, slope) = self.coefficients.radial(angle);
            let off = landed - distance;
            if off.abs() < UNDISTORT_TOLERANCE {
                return Ok(angle);
            }
            if off > 0.0 {
                high = angle
            } else {
                low = angle
            }
            let step = angle - off / slope;
            angle = if step > low && step < high { step } else { 0.5 * (low + high) };
        }
        Err(RayError::NotSettled)
    }

    /// The point of the ideal plane that lands on `distorted`.
    fn ideal(&self, distorted: &Point2<f64>) -> Result<Point2<f64>, RayError> {
        // Most pictures are distorted little: the distorted point itself is a good start. Where it
        // is not, one that is right but for the tangential terms is.
        let settled = self.newton(distorted, *distorted).or_else(|| {
            let distance = distorted.coords.norm();
            let angle = self.angle_of(distance.min(self.widest_distorted)).ok()?;
            let scale = if distance > 0.0 { angle.tan() / distance } else { 0.0 };
            self.newton(distorted, Point2::from(distorted.coords * scale))
        });
        // Tangential terms move the fold a little.
        let beyond = distorted.coords.norm() > 0.9 * self.widest_distorted;
        settled.ok_or(if beyond { RayError::OutsideLens } else { RayError::NotSettled })
    }

    fn newton(&self, distorted: &Point2<f64>, start: Point2<f64>) -> Option<Point2<f64>> {
        let widest = self.widest_rad.tan();
        let mut ideal = start;
        for _ in 0..MOST_STEPS {
            let (landed, slope) = self.brown(&ideal);
            let off = landed - distorted;
            // The fold is where the radial part ends; an answer behind it is another ray's.
            if off.norm() < UNDISTORT_TOLERANCE {
                return (ideal.coords.norm() <= widest).then_some(ideal);
            }
            ideal -= slope.try_inverse()? * off;
            let reached = ideal.coords.norm();
            if reached.is_nan() || reached > 2.0 * widest {
                return None;
            }
        }
        None
    }

    /// The distorted point, and its derivative by the ideal one.
    fn brown(&self, ideal: &Point2<f64>) -> (Point2<f64>, Matrix2<f64>) {
        let Coefficients::Brown { numerator, tangential: [p1, p2], denominator } =
            self.coefficients
        else {
            return (*ideal, Matrix2::identity());
        };
        let (x, y) = (ideal.x, ideal.y);
        let r2 = x * x + y * y;
        let bottom = series(&denominator, r2);
        let factor = series(&numerator, r2) / bottom;
        let factor_slope =
            (series_slope(&numerator, r2) - factor * series_slope(&denominator, r2)) / bottom;
        let shift = Vector2::new(
            2.0 * p1 * x * y + p2 * (r2 + 2.0 * x * x),
            p1 * (r2 + 2.0 * y * y) + 2.0 * p2 * x * y,
        );
        let crossed = 2.0 * x * y * factor_slope + 2.0 * p1 * x + 2.0 * p2 * y;
        let slope = Matrix2::new(
            factor + 2.0 * x * x * factor_slope + 2.0 * p1 * y + 6.0 * p2 * x,
            crossed,
            crossed,
            factor + 2.0 * y * y * factor_slope + 6.0 * p1 * y + 2.0 * p2 * x,
        );
        (ideal * factor + shift, slope)
    }
}
