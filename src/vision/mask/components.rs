//! The connected parts of a mask.

use opencv::core::{CV_32S, Mat, MatTraitConst, MatTraitConstManual};
use opencv::imgproc::connected_components;

use crate::types::Mask;

/// The parts of a mask that hang together over sides and corners of pixels, each over the same
/// image, in the order of their first pixels row by row.
///
/// # Errors
/// What OpenCV reports, as on no memory.
pub fn components(mask: &Mask) -> Result<Vec<Mask>, opencv::Error> {
    let Some(area) = mask.box_px() else { return Ok(Vec::new()) };
    let rows: Vec<Vec<u8>> = mask
        .rows()
        .map(|(_, _, line)| line.iter().map(|pixel| u8::from(*pixel)).collect())
        .collect();
    let picture = Mat::from_slice_2d(&rows)?;
    let mut labels = Mat::default();
    let count = connected_components(&picture, &mut labels, 8, CV_32S)?;
    let columns = labels.cols() as usize;
    let labels: &[i32] = labels.data_typed()?;
    // Of each part the edges of its window: left, top, right, bottom.
    let mut edges = vec![[usize::MAX, usize::MAX, 0, 0]; count.max(1) as usize];
    for (at, label) in labels.iter().enumerate().filter(|(_, label)| **label > 0) {
        let (x, y) = (at % columns, at / columns);
        let [left, top, right, bottom] = &mut edges[*label as usize];
        (*left, *top) = ((*left).min(x), (*top).min(y));
        (*right, *bottom) = ((*right).max(x + 1), (*bottom).max(y + 1));
    }
    let [first_column, first_row, ..] = area.corners().map(|edge| edge as u32);
    let parts = edges.into_iter().enumerate().skip(1).map(|(label, [left, top, right, bottom])| {
        let pixels = (top..bottom)
            .flat_map(|y| (left..right).map(move |x| labels[y * columns + x] == label as i32));
        Mask::from_window(
            [mask.width(), mask.height()],
            [first_column + left as u32, first_row + top as u32],
            [(right - left) as u32, (bottom - top) as u32],
            pixels.collect(),
        )
    });
    Ok(parts.collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn parts_hang_together_over_corners() {
        let rows = ["#..#", ".#.#", "....", "##.."];
        let pixels = rows.iter().flat_map(|row| row.bytes().map(|pixel| pixel == b'#')).collect();
        let parts = components(&Mask::new(4, 4, pixels)).unwrap();
        let points: Vec<Vec<_>> = parts.iter().map(|part| part.points().collect()).collect();
        assert_eq!(points, [vec![(0, 0), (1, 1)], vec![(3, 0), (3, 1)], vec![(0, 3), (1, 3)]]);
        assert!(components(&Mask::new(4, 1, vec![false; 4])).unwrap().is_empty());
    }

    proptest! {
        #[test]
        fn parts_are_apart_and_together_the_whole(
            width in 1_u32..9, height in 1_u32..7, bits in any::<u64>(),
        ) {
            let pixels = (0..width * height).map(|at| bits >> at & 1 == 1).collect();
            let mask = Mask::new(width, height, pixels);
            let parts = components(&mask).unwrap();
            prop_assert_eq!(parts.iter().map(Mask::area_px).sum::<u64>(), mask.area_px());
            for (index, part) in parts.iter().enumerate() {
                prop_assert!(part.points().all(|(x, y)| mask.holds(x, y)));
                for other in &parts[index + 1..] {
                    let touches = part.points().any(|(x, y)| {
                        (x.saturating_sub(1)..x + 2)
                            .any(|x| (y.saturating_sub(1)..y + 2).any(|y| other.holds(x, y)))
                    });
                    prop_assert!(!touches);
                }
            }
        }
    }
}
