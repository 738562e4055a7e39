//! Masks: which pixels of an image belong to a thing.

mod rle;
mod score_map;

pub use rle::CocoRle;
pub use score_map::{ScoreMap, logit_of_score, score_of_logit};

use crate::types::PixelBox;

/// Which pixels of an image belong to a thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mask {
    width: u32,
    height: u32,
    /// Row by row.
    pixels: Vec<bool>,
}

impl Mask {
    /// From pixels row by row.
    ///
    /// # Panics
    /// Where there are not `width * height` of them.
    #[must_use]
    pub fn new(width: u32, height: u32, pixels: Vec<bool>) -> Self {
        assert_eq!(pixels.len(), width as usize * height as usize, "pixels of a mask");
        Self { width, height, pixels }
    }

    /// Width in pixels.
    #[must_use]
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height in pixels.
    #[must_use]
    pub fn height(&self) -> u32 {
        self.height
    }

    /// The pixels, row by row.
    #[must_use]
    pub fn pixels(&self) -> &[bool] {
        &self.pixels
    }

    /// Number of its pixels.
    #[must_use]
    pub fn area_px(&self) -> u64 {
        self.pixels.iter().filter(|pixel| **pixel).count() as u64
    }

    /// The smallest box around its pixels, in pixels of the mask; `None` where there are none.
    #[must_use]
    pub fn box_px(&self) -> Option<PixelBox> {
        let rows = || self.pixels.chunks_exact(self.width.max(1) as usize);
        let top = rows().position(|row| row.contains(&true))?;
        let bottom = rows().rposition(|row| row.contains(&true))?;
        let left = rows().filter_map(|row| row.iter().position(|pixel| *pixel)).min()?;
        let right = rows().filter_map(|row| row.iter().rposition(|pixel| *pixel)).max()?;
        // Sides of images are far below 2^24, so that they are exact in f32.
        let edges = [left, top, right + 1, bottom + 1].map(|edge| edge as f32);
        Some(PixelBox::from_corners(edges))
    }

    /// The mean of the centres of its pixels, `(x, y)`, in pixels of the mask; `None` where there
    /// are none. It need not lie on the thing.
    #[must_use]
    pub fn centroid_px(&self) -> Option<(f32, f32)> {
        let (mut count, mut sum_x, mut sum_y) = (0_u64, 0_u64, 0_u64);
        for (y, row) in (0_u64..).zip(self.pixels.chunks_exact(self.width.max(1) as usize)) {
            for (x, _) in (0_u64..).zip(row).filter(|(_, pixel)| **pixel) {
                count += 1;
                sum_x += x;
                sum_y += y;
            }
        }
        let mean = |sum: u64| (sum as f64 / count as f64 + 0.5) as f32;
        (count > 0).then(|| (mean(sum_x), mean(sum_y)))
    }

    /// Its run-length code in the form of COCO.
    #[must_use]
    pub fn rle(&self) -> CocoRle {
        CocoRle::of(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(rows: &[&str]) -> Mask {
        let pixels = rows.iter().flat_map(|row| row.chars().map(|c| c == '#')).collect();
        Mask::new(rows[0].len() as u32, rows.len() as u32, pixels)
    }

    #[test]
    fn area_box_and_centroid_are_those_of_the_pixels() {
        let found = mask(&["......", "..##..", "..#...", "......"]);
        assert_eq!(found.area_px(), 3);
        assert_eq!(found.box_px(), Some(PixelBox::from_corners([2.0, 1.0, 4.0, 3.0])));
        let (x, y) = found.centroid_px().unwrap();
        // Pixels at (2, 1), (3, 1), (2, 2); centres half a pixel on.
        assert!((x - (7.0 / 3.0 + 0.5)).abs() < 1e-6 && (y - (4.0 / 3.0 + 0.5)).abs() < 1e-6);
        let all = mask(&["##", "##", "##"]);
        assert_eq!(all.box_px(), Some(PixelBox::from_corners([0.0, 0.0, 2.0, 3.0])));
        assert_eq!(all.centroid_px(), Some((1.0, 1.5)));
    }

    #[test]
    fn where_there_is_nothing_there_is_no_box() {
        for nothing in [mask(&["...", "..."]), Mask::new(0, 0, Vec::new()), Mask::new(0, 3, vec![])]
        {
            assert_eq!(nothing.area_px(), 0);
            assert_eq!((nothing.box_px(), nothing.centroid_px()), (None, None));
        }
    }
}
