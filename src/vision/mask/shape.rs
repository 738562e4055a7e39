//! What a planner asks of a mask: its outline and the way it lies.

use opencv::core::{Mat, Point, Vector};
use opencv::imgproc::{CHAIN_APPROX_SIMPLE, RETR_CCOMP, find_contours_def};

use crate::types::Mask;

/// How the pixels of a mask lie around their centroid.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PrincipalAxis {
    /// Direction in which the thing is longest, in radians from the x axis towards the y axis (in
    /// images clockwise), in `(-pi/2, pi/2]`.
    pub angle_rad: f64,
    /// Length of an ellipse with the same spread along that direction, in pixels.
    pub length_px: f64,
    /// Its width across it, in pixels.
    pub width_px: f64,
}

/// The principal axis of a mask, from the second moments of its pixels (each a unit square);
/// `None` where it has none. Of what is as long as it is wide the angle says nothing.
#[must_use]
pub fn principal_axis(mask: &Mask) -> Option<PrincipalAxis> {
    let (mean_x, mean_y) = mask.centroid_px()?;
    let (mean_x, mean_y) = (f64::from(mean_x) - 0.5, f64::from(mean_y) - 0.5);
    let (mut count, mut xx, mut xy, mut yy) = (0.0, 0.0, 0.0, 0.0);
    for (x, y) in mask.points() {
        let (dx, dy) = (f64::from(x) - mean_x, f64::from(y) - mean_y);
        count += 1.0;
        xx += dx * dx;
        xy += dx * dy;
        yy += dy * dy;
    }
    // The spread of a pixel itself: that of a unit square.
    let (xx, xy, yy) = (xx / count + 1.0 / 12.0, xy / count, yy / count + 1.0 / 12.0);
    let middle = 0.5 * (xx + yy);
    let apart = (0.25 * (xx - yy) * (xx - yy) + xy * xy).sqrt();
    // Along an axis of length l an ellipse has the variance l²/16.
    let side = |variance: f64| 4.0 * variance.max(0.0).sqrt();
    let angle_rad = 0.5 * (2.0 * xy).atan2(xx - yy);
    Some(PrincipalAxis {
        angle_rad: if angle_rad <= -std::f64::consts::FRAC_PI_2 { -angle_rad } else { angle_rad },
        length_px: side(middle + apart),
        width_px: side(middle - apart),
    })
}

/// The outlines of a mask as closed polygons through the centres of its outermost pixels, in
/// continuous pixels of the image; holes have outlines of their own (which go through pixels of
/// the thing). What is a line or a single pixel has an outline of two points or one.
///
/// As OpenCV's `findContours` follows them.
///
/// # Errors
/// What OpenCV reports, as on no memory.
pub fn polygons(mask: &Mask) -> Result<Vec<Vec<[f32; 2]>>, opencv::Error> {
    let Some(area) = mask.box_px() else { return Ok(Vec::new()) };
    let rows: Vec<Vec<u8>> = mask
        .rows()
        .map(|(_, _, line)| line.iter().map(|pixel| u8::from(*pixel) * 255).collect())
        .collect();
    let picture = Mat::from_slice_2d(&rows)?;
    let mut contours: Vector<Vector<Point>> = Vector::new();
    find_contours_def(&picture, &mut contours, RETR_CCOMP, CHAIN_APPROX_SIMPLE)?;
    let outline = |contour: Vector<Point>| -> Vec<[f32; 2]> {
        contour
            .iter()
            .map(|at| [at.x as f32 + area.x0 + 0.5, at.y as f32 + area.y0 + 0.5])
            .collect()
    };
    Ok(contours.iter().map(outline).collect())
}

#[cfg(test)]
mod tests {
    use std::f64::consts::{FRAC_PI_2, FRAC_PI_4};

    use super::*;

    fn of(width: u32, height: u32, inside: impl Fn(f64, f64) -> bool) -> Mask {
        let pixels = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
        let pixels = pixels.map(|(x, y)| inside(f64::from(x) + 0.5, f64::from(y) + 0.5));
        Mask::new(width, height, pixels.collect())
    }

    #[test]
    fn an_ellipse_has_its_own_axes() {
        for angle in [0.0, 0.3, -0.7, FRAC_PI_4, FRAC_PI_2 - 0.01] {
            let (sin, cos) = f64::sin_cos(angle);
            let mask = of(201, 161, |x, y| {
                let (dx, dy) = (x - 99.0, y - 81.5);
                let (along, across) = (dx * cos + dy * sin, dy * cos - dx * sin);
                (along / 60.0).powi(2) + (across / 25.0).powi(2) <= 1.0
            });
            let found = principal_axis(&mask).unwrap();
            // Pixels round the outline by half a pixel.
            assert!((found.angle_rad - angle).abs() < 0.01, "{angle}: {found:?}");
            assert!((found.length_px - 120.0).abs() < 1.0, "{found:?}");
            assert!((found.width_px - 50.0).abs() < 1.0, "{found:?}");
        }
        let upright = principal_axis(&of(9, 30, |x, _| (3.0..6.0).contains(&x))).unwrap();
        assert!((upright.angle_rad - FRAC_PI_2).abs() < 1e-9, "{upright:?}");
        assert_eq!(principal_axis(&of(5, 5, |_, _| false)), None);
    }

    #[test]
    fn outlines_go_around_things_and_holes() {
        let ring = of(20, 12, |x, y| {
            (4.0..12.0).contains(&x)
                && (2.0..10.0).contains(&y)
                && !((7.0..9.0).contains(&x) && (5.0..7.0).contains(&y))
        });
        let found = polygons(&ring).unwrap();
        assert_eq!(found.len(), 2);
        let outer = found.iter().min_by_key(|outline| extent(outline)).unwrap();
        assert_eq!(extent(outer), [45, 25, 115, 95]);
        assert!(polygons(&of(5, 5, |_, _| false)).unwrap().is_empty());
        // In tenths of a pixel.
        fn extent(outline: &[[f32; 2]]) -> [i32; 4] {
            let of = |axis: usize| outline.iter().map(move |at| (at[axis] * 10.0) as i32);
            [of(0).min(), of(1).min(), of(0).max(), of(1).max()].map(Option::unwrap)
        }
    }
}
