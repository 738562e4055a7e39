//! Polygons to masks.

use crate::types::Mask;

/// The steps of a pixel that outlines are followed in.
const STEPS_PER_PX: f64 = 5.0;

/// The furthest corner from the image's origin that is followed, in pixels: bounds the time that
/// one edge takes.
pub const FURTHEST_CORNER_PX: f64 = (1 << 20) as f64;

/// Pixels of the largest image that polygons are filled in.
const MOST_PIXELS: u64 = 1 << 28;

/// Why polygons were not filled.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PolygonError {
    /// Not even a triangle.
    #[error("polygon {index}: expected at least 3 corners, found {corners}")]
    Corners {
        /// Which of the polygons, from 0.
        index: usize,
        /// How many it has.
        corners: usize,
    },
    /// A corner that is no number, or far away.
    #[error("polygon {index}: expected corners within {FURTHEST_CORNER_PX} px, found [{x}, {y}]")]
    Corner {
        /// Which of the polygons, from 0.
        index: usize,
        /// Its column.
        x: f64,
        /// Its row.
        y: f64,
    },
    /// The image is larger than any that is filled.
    #[error("expected at most 2^28 pixels, found {width}x{height}")]
    TooLarge {
        /// Width of the image in pixels.
        width: u32,
        /// Height of the image in pixels.
        height: u32,
    },
}

/// The pixels that lie in any of some polygons, to the pixel those that COCO's own tools make of
/// them (`frPyObjects` and `merge` of pycocotools 2.0.11), so that a dataset's polygons count here
/// as they do there. Corners are `[x, y]` in pixels, counted from the edge of the image's first
/// pixel; they may lie outside of the image. What lies in an even number of windings of one polygon
/// is outside of it.
///
/// An outline is followed in fifths of a pixel. Where it passes the middle of a column it changes
/// whether the pixels from there on, down that column and on through the next ones, are inside.
///
/// # Errors
/// Less than three corners, a corner that is no number or far outside, an image that is too large.
pub fn filled(polygons: &[Vec<[f64; 2]>], width: u32, height: u32) -> Result<Mask, PolygonError> {
    let pixels = u64::from(width) * u64::from(height);
    if pixels > MOST_PIXELS {
        return Err(PolygonError::TooLarge { width, height });
    }
    for (index, corners) in polygons.iter().enumerate() {
        if corners.len() < 3 {
            return Err(PolygonError::Corners { index, corners: corners.len() });
        }
        // False for NaN, too.
        let is_near = |corner: &[f64; 2]| corner.iter().all(|px| px.abs() <= FURTHEST_CORNER_PX);
        if let Some([x, y]) = corners.iter().find(|corner| !is_near(corner)) {
            return Err(PolygonError::Corner { index, x: *x, y: *y });
        }
    }
    let mut inside = vec![false; pixels as usize];
    for corners in polygons {
        let mut changes = changes(corners, width, height);
        changes.sort_unstable();
        // Between the first and the second change it is inside, and so on.
        for span in changes.chunks(2) {
            let end = span.get(1).copied().unwrap_or(pixels);
            for at in span[0]..end {
                let (x, y) = (at / u64::from(height), at % u64::from(height));
                inside[(y * u64::from(width) + x) as usize] = true;
            }
        }
    }
    Ok(Mask::new(width, height, inside))
}

/// Where inside and outside change, counted down the columns from left to right.
fn changes(corners: &[[f64; 2]], width: u32, height: u32) -> Vec<u64> {
    // Casts cut towards zero, as they do in the reference.
    let step = |px: f64| (STEPS_PER_PX * px + 0.5) as i64;
    let corners: Vec<[i64; 2]> = corners.iter().map(|corner| corner.map(step)).collect();
    let next = corners.iter().cycle().skip(1);
    let mut changes = Vec::new();
    let mut before: Option<[i64; 2]> = None;
    for (from, to) in corners.iter().zip(next) {
        follow(*from, *to, |[u, v]| {
            if let Some([u_before, v_before]) = before
                && u != u_before
            {
                // The middle of a column is the third of its five steps.
                let x = (u.min(u_before) as f64 + 0.5) / STEPS_PER_PX - 0.5;
                if x.floor() == x && (0.0..=f64::from(width) - 1.0).contains(&x) {
                    let y = (v.min(v_before) as f64 + 0.5) / STEPS_PER_PX - 0.5;
                    let y = y.clamp(0.0, f64::from(height)).ceil();
                    changes.push(x as u64 * u64::from(height) + y as u64);
                }
            }
            before = Some([u, v]);
        });
    }
    changes
}

/// Gives the points of an edge in steps, both ends included.
fn follow(from: [i64; 2], to: [i64; 2], mut point: impl FnMut([i64; 2])) {
    let [dx, dy] = [(to[0] - from[0]).abs(), (to[1] - from[1]).abs()];
    // Along the axis in which it is longer; always the same way, so that both ways round a line
    // have the same points.
    let along = usize::from(dx < dy);
    let across = 1 - along;
    let steps = dx.max(dy);
    let is_backward = from[along] > to[along];
    let (low, high) = if is_backward { (to, from) } else { (from, to) };
    let slope = (high[across] - low[across]) as f64 / steps.max(1) as f64;
    for index in 0..=steps {
        let t = if is_backward { steps - index } else { index };
        let mut at = [0; 2];
        at[along] = low[along] + t;
        at[across] = (low[across] as f64 + slope * t as f64 + 0.5) as i64;
        point(at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(mask: &Mask) -> Vec<String> {
        let row = |row: &[bool]| row.iter().map(|pixel| if *pixel { '#' } else { '.' }).collect();
        mask.pixels().chunks_exact(mask.width() as usize).map(row).collect()
    }

    /// `tests/it/eval/polygons.rs` holds random polygons against pycocotools.
    #[test]
    fn boxes_fill_their_pixels_and_holes_are_windings() {
        let square = |low: f64, high: f64| vec![[low, low], [high, low], [high, high], [low, high]];
        let mask = filled(&[square(1.0, 3.0)], 6, 4).unwrap();
        assert_eq!(drawn(&mask), ["......", ".##...", ".##...", "......"]);
        // Beyond the image on all sides.
        let all = filled(&[square(-5.0, 50.0)], 3, 2).unwrap();
        assert_eq!(all.area_px(), 6);
        let both = filled(&[square(0.0, 1.0), square(0.0, 2.0)], 3, 2).unwrap();
        assert_eq!(drawn(&both), ["##.", "##."]);
        assert!(filled(&[], 3, 2).unwrap().is_empty());
        assert!(filled(&[square(1.0, 3.0)], 0, 0).unwrap().is_empty());
    }

    #[test]
    fn what_is_no_polygon_is_named() {
        let line = vec![[0.0, 0.0], [5.0, 5.0]];
        let triangle = vec![[0.0, 0.0], [5.0, 5.0], [5.0, 0.0]];
        let error = filled(&[triangle.clone(), line], 9, 9).unwrap_err().to_string();
        assert_eq!(error, "polygon 1: expected at least 3 corners, found 2");
        for bad in [[f64::NAN, 0.0], [0.0, f64::NAN], [f64::INFINITY, 0.0], [0.0, -1e9]] {
            let mut broken = triangle.clone();
            broken.push(bad);
            assert!(filled(&[broken], 9, 9).unwrap_err().to_string().contains("corners within"));
        }
        assert!(filled(&[triangle], 1 << 15, 1 << 14).unwrap_err().to_string().contains("2^28"));
    }
}
