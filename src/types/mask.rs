//! Which pixels of an image belong to a thing.

use super::{CocoRle, PixelBox};

/// Which pixels of an image belong to a thing. Only the smallest window around them is kept, so
/// that many small things of a large image take little memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mask {
    /// Of the image, in pixels.
    width: u32,
    height: u32,
    /// First column and row of the window; 0 where it is empty.
    left: u32,
    top: u32,
    /// Columns of the window; every one of its four sides holds a pixel of the thing.
    columns: u32,
    /// Row by row.
    window: Vec<bool>,
}

/// The pixels of one object that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct InstanceMask {
    /// Over the source image.
    pub mask: Mask,
    /// How well the model thinks the mask fits (its guess of the intersection over union), from
    /// models that say so; mostly in `[0, 1]`, and not a probability.
    pub predicted_iou: Option<f32>,
}

impl Mask {
    /// From the pixels of the whole image, row by row.
    ///
    /// # Panics
    /// Where there are not `width * height` of them.
    #[must_use]
    pub fn new(width: u32, height: u32, pixels: Vec<bool>) -> Self {
        Self::from_window([width, height], [0, 0], [width, height], pixels)
    }

    /// From the pixels of a part of the image, row by row; there are none elsewhere. All pairs are
    /// columns and rows.
    ///
    /// # Panics
    /// Where there are not as many pixels as the window has, or it does not lie in the image.
    #[must_use]
    pub fn from_window(
        image_size_px: [u32; 2],
        first_px: [u32; 2],
        window_size_px: [u32; 2],
        pixels: Vec<bool>,
    ) -> Self {
        let ([width, height], [columns, rows]) = (image_size_px, window_size_px);
        assert_eq!(pixels.len(), columns as usize * rows as usize, "pixels of a mask");
        for axis in 0..2 {
            let end = u64::from(first_px[axis]) + u64::from(window_size_px[axis]);
            assert!(end <= u64::from(image_size_px[axis]), "the window lies in the image");
        }
        let mut mask = Self { width, height, left: 0, top: 0, columns: 0, window: Vec::new() };
        let stride = columns.max(1) as usize;
        let lines = || pixels.chunks_exact(stride);
        let (Some(upper), Some(lower)) = (
            lines().position(|line| line.contains(&true)),
            lines().rposition(|line| line.contains(&true)),
        ) else {
            return mask;
        };
        let (mut leftmost, mut rightmost) = (stride, 0);
        for line in lines().take(lower + 1).skip(upper) {
            leftmost = line.iter().take(leftmost).position(|pixel| *pixel).unwrap_or(leftmost);
            rightmost = line.iter().rposition(|pixel| *pixel).unwrap_or(0).max(rightmost);
        }
        // All are smaller than the sides, which are u32.
        mask.left = first_px[0] + leftmost as u32;
        mask.top = first_px[1] + upper as u32;
        mask.columns = (rightmost - leftmost + 1) as u32;
        mask.window = match (leftmost, rightmost + 1, upper, lower + 1) {
            (0, right, 0, bottom) if right == stride && bottom * stride == pixels.len() => pixels,
            (left, right, top, bottom) => lines()
                .take(bottom)
                .skip(top)
                .flat_map(|line| line[left..right].iter().copied())
                .collect(),
        };
        mask
    }

    /// Width of the image in pixels.
    #[must_use]
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height of the image in pixels.
    #[must_use]
    pub fn height(&self) -> u32 {
        self.height
    }

    /// Whether no pixel belongs to it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.window.is_empty()
    }

    /// The rows that hold its pixels, from top to bottom: the row of the image, the column that
    /// the window begins at, and the pixels of the window.
    pub fn rows(&self) -> impl DoubleEndedIterator<Item = (u32, u32, &[bool])> {
        let lines = self.window.chunks_exact(self.columns.max(1) as usize);
        let rows = 0..lines.len() as u32;
        lines.zip(rows).map(|(line, row)| (self.top + row, self.left, line))
    }

    /// Its pixels as column and row, row by row.
    pub fn points(&self) -> impl Iterator<Item = (u32, u32)> {
        self.rows().flat_map(|(y, left, line)| {
            (left..).zip(line).filter(|(_, pixel)| **pixel).map(move |(x, _)| (x, y))
        })
    }

    /// Whether the pixel in this column and row belongs to it; outside of the image none does.
    #[must_use]
    pub fn holds(&self, x: u32, y: u32) -> bool {
        let (Some(x), Some(y)) = (x.checked_sub(self.left), y.checked_sub(self.top)) else {
            return false;
        };
        x < self.columns
            && self.window.get(y as usize * self.columns as usize + x as usize) == Some(&true)
    }

    /// The pixels of the whole image, row by row.
    #[must_use]
    pub fn pixels(&self) -> Vec<bool> {
        let mut pixels = vec![false; self.width as usize * self.height as usize];
        for (y, left, line) in self.rows() {
            let start = y as usize * self.width as usize + left as usize;
            pixels[start..start + line.len()].copy_from_slice(line);
        }
        pixels
    }

    /// Number of its pixels.
    #[must_use]
    pub fn area_px(&self) -> u64 {
        self.window.iter().filter(|pixel| **pixel).count() as u64
    }

    /// The smallest box around its pixels, in pixels of the image; `None` where there are none.
    #[must_use]
    pub fn box_px(&self) -> Option<PixelBox> {
        let rows = self.window.len() as u32 / self.columns.max(1);
        let edges = [self.left, self.top, self.left + self.columns, self.top + rows];
        // Sides of images are far below 2^24, so that they are exact in f32.
        (!self.is_empty()).then(|| PixelBox::from_corners(edges.map(|edge| edge as f32)))
    }

    /// The mean of the centres of its pixels, `(x, y)`, in pixels of the image; `None` where there
    /// are none. It need not lie on the thing.
    #[must_use]
    pub fn centroid_px(&self) -> Option<(f32, f32)> {
        let (mut count, mut sum_x, mut sum_y) = (0_u64, 0_u64, 0_u64);
        for (x, y) in self.points() {
            count += 1;
            sum_x += u64::from(x);
            sum_y += u64::from(y);
        }
        let mean = |sum: u64| (sum as f64 / count as f64 + 0.5) as f32;
        (count > 0).then(|| (mean(sum_x), mean(sum_y)))
    }

    /// Number of pixels that belong to both. Masks of images of different sizes are laid upon each
    /// other at their first pixels.
    #[must_use]
    pub fn common_px(&self, other: &Self) -> u64 {
        let (small, large) = match self.window.len() <= other.window.len() {
            true => (self, other),
            false => (other, self),
        };
        small.points().filter(|(x, y)| large.holds(*x, *y)).count() as u64
    }

    /// Intersection over union, in `[0, 1]`; 0 where neither has a pixel.
    #[must_use]
    pub fn iou(&self, other: &Self) -> f64 {
        let common = self.common_px(other);
        let either = self.area_px() + other.area_px() - common;
        if either == 0 { 0.0 } else { common as f64 / either as f64 }
    }

    /// Its run-length code in the form of COCO.
    #[must_use]
    pub fn rle(&self) -> CocoRle {
        CocoRle::of(self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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
        assert_eq!(found.points().collect::<Vec<_>>(), [(2, 1), (3, 1), (2, 2)]);
        let (x, y) = found.centroid_px().unwrap();
        // Centres are half a pixel on.
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
            assert_eq!(nothing.iou(&nothing), 0.0);
            assert!(nothing.is_empty());
        }
    }

    proptest! {
        /// What is kept of a mask is as good as all of its pixels.
        #[test]
        fn a_window_says_what_the_pixels_say(
            width in 1_u32..9, height in 1_u32..7, bits in any::<[u64; 2]>(),
        ) {
            let of = |bits: u64| (0..width * height).map(|at| bits >> at & 1 == 1).collect::<Vec<_>>();
            let [pixels, others] = bits.map(of);
            let [one, other] = [&pixels, &others].map(|all| Mask::new(width, height, all.clone()));
            prop_assert_eq!(one.pixels(), pixels.clone());
            for y in 0..height + 1 {
                for x in 0..width + 1 {
                    let inside = x < width && y < height;
                    prop_assert_eq!(
                        one.holds(x, y), inside && pixels[(y * width + x) as usize]);
                }
            }
            prop_assert_eq!(one.area_px(), pixels.iter().filter(|p| **p).count() as u64);
            let both = pixels.iter().zip(&others).filter(|(a, b)| **a && **b).count() as u64;
            prop_assert_eq!(one.common_px(&other), both);
            let code = one.rle();
            prop_assert_eq!(code.mask().unwrap(), one.clone());
            // The same from a part of it.
            if let Some(area) = one.box_px() {
                let [x0, y0, x1, y1] = area.corners().map(|edge| edge as u32);
                let part = (y0..y1).flat_map(|y| (x0..x1).map(move |x| (x, y)));
                let part = part.map(|(x, y)| one.holds(x, y)).collect();
                let size = [x1 - x0, y1 - y0];
                prop_assert_eq!(Mask::from_window([width, height], [x0, y0], size, part), one);
            }
        }
    }
}
