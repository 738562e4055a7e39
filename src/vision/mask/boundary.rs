//! The pixels of a mask near its contour.

use crate::types::Mask;

/// The pixels of `mask` from which one that does not belong to it, or the outside of the image, is
/// at most `distance_px` columns and rows away: what `distance_px` erosions by a square of 3x3
/// pixels take off.
#[must_use]
pub fn boundary(mask: &Mask, distance_px: u32) -> Mask {
    let size = [mask.width(), mask.height()];
    let rows: Vec<_> = mask.rows().collect();
    let Some(&(top, left, first)) = rows.first() else {
        return Mask::from_window(size, [0, 0], [0, 0], Vec::new());
    };
    let columns = first.len();
    // Pixels above and to the left of each corner, so that any square is four of them.
    let stride = columns + 1;
    let mut sums = vec![0_u64; stride * (rows.len() + 1)];
    for (y, (_, _, line)) in rows.iter().enumerate() {
        let mut of_row = 0;
        for (x, pixel) in line.iter().enumerate() {
            of_row += u64::from(*pixel);
            sums[(y + 1) * stride + x + 1] = sums[y * stride + x + 1] + of_row;
        }
    }
    let distance = distance_px as usize;
    let side = 2 * u64::from(distance_px) + 1;
    let is_deep = |x: usize, y: usize| {
        let (Some(x0), Some(y0)) = (x.checked_sub(distance), y.checked_sub(distance)) else {
            return false;
        };
        let (x1, y1) = (x + distance + 1, y + distance + 1);
        if x1 > columns || y1 > rows.len() {
            return false;
        }
        let sum = |x: usize, y: usize| sums[y * stride + x];
        sum(x1, y1) + sum(x0, y0) - sum(x0, y1) - sum(x1, y0) == side * side
    };
    let near = rows.iter().enumerate().flat_map(|(y, (_, _, line))| {
        let is_deep = &is_deep;
        line.iter().enumerate().map(move |(x, pixel)| *pixel && !is_deep(x, y))
    });
    let window = [columns as u32, rows.len() as u32];
    let pixels = near.collect();
    Mask::from_window(size, [left, top], window, pixels)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition, pixel by pixel.
    fn slowly(mask: &Mask, distance: i64) -> Mask {
        let (width, height) = (mask.width(), mask.height());
        let is_in = |x: i64, y: i64| {
            u32::try_from(x).is_ok_and(|x| u32::try_from(y).is_ok_and(|y| mask.holds(x, y)))
        };
        let is_near = |x: i64, y: i64| {
            (-distance..=distance).any(|dy| (-distance..=distance).any(|dx| !is_in(x + dx, y + dy)))
        };
        let pixel = |x, y| mask.holds(x, y) && is_near(i64::from(x), i64::from(y));
        let pixels = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
        Mask::new(width, height, pixels.map(|(x, y)| pixel(x, y)).collect())
    }

    proptest! {
        #[test]
        fn it_is_what_is_near_something_else(
            (width, pixels) in (1_u32..12).prop_flat_map(|width| {
                let rows = proptest::collection::vec(proptest::bool::weighted(0.9), 0..12);
                (Just(width), rows.prop_map(move |row| row.repeat(width as usize)))
            }),
            distance in 0_u32..5,
        ) {
            let height = pixels.len() as u32 / width;
            let mask = Mask::new(width, height, pixels);
            prop_assert_eq!(boundary(&mask, distance), slowly(&mask, i64::from(distance)));
        }
    }
}
