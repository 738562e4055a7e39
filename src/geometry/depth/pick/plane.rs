//! A plane through points, whatever some of them say.

use nalgebra::{Matrix3, Point3, Unit, Vector3};

/// Triples of points that are tried. With a third of the points off the plane all of so many miss
/// it once in 10^6 times.
const TRIALS: usize = 40;

/// Points that a triple is judged by; more tell no more.
const MOST_JUDGES: usize = 200;

/// Steps of the fit through what lies near the plane.
const REFINEMENTS: usize = 4;

/// Points further off than so many standard deviations are not of the plane.
const MOST_DEVIATIONS: f64 = 2.5;

/// The standard deviation of a normal distribution whose MAD is 1.
const DEVIATION_PER_MAD: f64 = 1.482_602_218_505_602;

/// A plane through points that a camera sees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Plane {
    /// On the plane, in the middle of the points.
    pub(super) point: Point3<f64>,
    /// Towards the camera.
    pub(super) normal: Unit<Vector3<f64>>,
    /// Points that lie in it.
    pub(super) inliers: usize,
}

impl Plane {
    /// The plane that most of the points lie in: of many triples the one with the least median
    /// distance (Rousseeuw 1984), then the best plane through all that is near it. Distances below
    /// `noise_m` say nothing. `None` where the points span no plane.
    pub(super) fn through(points: &[Point3<f64>], noise_m: f64) -> Option<Self> {
        let every = points.len().div_ceil(MOST_JUDGES).max(1);
        let judges: Vec<_> = points.iter().step_by(every).copied().collect();
        let mut best: Option<(f64, Point3<f64>, Vector3<f64>)> = None;
        let mut distances = Vec::with_capacity(judges.len());
        for trial in 0..TRIALS {
            let [a, b, c] = triple(trial, judges.len())?.map(|index| judges[index]);
            let across = (b - a).cross(&(c - a));
            // As long as the area of the triple's parallelogram: of a line it is none.
            let Some(normal) = across.try_normalize(1e-12) else { continue };
            let median = median_distance(&judges, &a, &normal, &mut distances);
            if best.is_none_or(|(least, ..)| median < least) {
                best = Some((median, a, normal));
            }
        }
        let (mut mad, mut point, mut normal) = best?;
        let mut inliers = 0;
        for _ in 0..REFINEMENTS {
            let reach = (MOST_DEVIATIONS * DEVIATION_PER_MAD * mad).max(noise_m);
            let near: Vec<_> = points
                .iter()
                .filter(|at| (*at - point).dot(&normal).abs() <= reach)
                .copied()
                .collect();
            if near.len() < 3 {
                return None;
            }
            inliers = near.len();
            (point, normal) = least_squares(&near)?;
            mad = median_distance(&judges, &point, &normal, &mut distances);
        }
        // The camera is at the origin.
        let normal = if normal.dot(&point.coords) > 0.0 { -normal } else { normal };
        Some(Self { point, normal: Unit::new_normalize(normal), inliers })
    }

    /// Where a ray from the camera meets the plane; `None` where it runs along it.
    pub(super) fn meets(&self, ray: &Vector3<f64>) -> Option<Point3<f64>> {
        let (across, away) = (self.normal.dot(ray), self.normal.dot(&self.point.coords));
        let along = away / across;
        (along.is_finite() && along > 0.0).then(|| Point3::from(ray * along))
    }
}

/// Three of so many, spread by steps of the golden ratio and two others: the same each time.
fn triple(trial: usize, of: usize) -> Option<[usize; 3]> {
    const STEPS: [f64; 3] = [0.618_033_988_749_895, 0.324_717_957_244_746, 0.754_877_666_246_693];
    if of < 3 {
        return None;
    }
    let pick = |step: f64, start: f64| {
        let share = (start + step * (trial + 1) as f64).fract();
        ((share * of as f64) as usize).min(of - 1)
    };
    Some([pick(STEPS[0], 0.0), pick(STEPS[1], 0.33), pick(STEPS[2], 0.67)])
}

/// The median distance from a plane. `distances` is only room.
fn median_distance(
    points: &[Point3<f64>],
    on: &Point3<f64>,
    normal: &Vector3<f64>,
    distances: &mut Vec<f64>,
) -> f64 {
    distances.clear();
    distances.extend(points.iter().map(|point| (point - on).dot(normal).abs()));
    let middle = distances.len() / 2;
    match distances.is_empty() {
        true => 0.0,
        false => *distances.select_nth_unstable_by(middle, f64::total_cmp).1,
    }
}

/// The plane with the least squares of distances: its middle and its normal.
fn least_squares(points: &[Point3<f64>]) -> Option<(Point3<f64>, Vector3<f64>)> {
    let count = points.len() as f64;
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
    order.sort_by(|a, b| eigen.eigenvalues[*a].total_cmp(&eigen.eigenvalues[*b]));
    // Points on a line spread along one axis only.
    let spans = eigen.eigenvalues[order[1]] > 1e-6 * eigen.eigenvalues[order[2]];
    let normal = eigen.eigenvectors.column(order[0]).into_owned();
    (spans && normal.iter().all(|part| part.is_finite())).then(|| (mean.into(), normal))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A grid of points on a plane that leans, all but every `outlier`-th, which lies off it.
    fn points(outlier: usize) -> (Vec<Point3<f64>>, Unit<Vector3<f64>>) {
        let normal = Unit::new_normalize(Vector3::new(0.3, -0.2, -0.9));
        let (across, along) = (normal.cross(&Vector3::y()), normal.cross(&Vector3::x()));
        let middle = Vector3::new(0.1, -0.05, 0.8);
        let points = (0..400).map(|index| {
            let (u, v) = ((index % 20) as f64 - 9.5, (index / 20) as f64 - 9.5);
            let off = match index % outlier {
                0 => 0.02 + 1e-4 * index as f64,
                _ => 5e-4 * f64::sin(index as f64),
            };
            Point3::from(middle + 2e-3 * (u * across + v * along) + off * normal.into_inner())
        });
        (points.collect(), normal)
    }

    #[test]
    fn a_third_of_the_points_does_not_tilt_a_plane() {
        for outlier in [1000, 10, 3] {
            let (points, normal) = points(outlier);
            let plane = Plane::through(&points, 1e-3).unwrap();
            assert!(plane.normal.dot(&normal) > 0.9998, "{outlier}: {plane:?}");
            let expected = 400 - 400_usize.div_ceil(outlier);
            assert!(plane.inliers.abs_diff(expected) <= 4, "{outlier}: {}", plane.inliers);
            // It is met where it is.
            let at = plane.meets(&Vector3::new(0.1, -0.05, 0.8)).unwrap();
            assert!((at - Point3::new(0.1, -0.05, 0.8)).norm() < 1e-3, "{at}");
        }
    }

    #[test]
    fn a_line_and_a_few_points_are_no_plane() {
        assert_eq!(Plane::through(&[], 1e-3), None);
        assert_eq!(Plane::through(&[Point3::new(0.0, 0.0, 1.0); 2], 1e-3), None);
        assert_eq!(Plane::through(&[Point3::new(0.0, 0.0, 1.0); 50], 1e-3), None);
        let line: Vec<_> = (0..50).map(|x| Point3::new(f64::from(x) * 1e-3, 0.0, 1.0)).collect();
        assert_eq!(Plane::through(&line, 1e-3), None);
        let plane = Plane::through(&points(1000).0, 1e-3).unwrap();
        let along = plane.normal.cross(&Vector3::x());
        let met = plane.meets(&along);
        assert!(met.is_none_or(|at| at.coords.norm() > 1e3), "{met:?}");
    }
}
