//! The middle of a resized image.

use image::{RgbImage, imageops};

use super::{Filter, U8Resizer};
use crate::vision::canvas::CentreCrop;

/// An image whose longer side is more than so many times the shorter one is cut down to that
/// first: a line of pixels would otherwise become gigabytes, of which the middle is looked at.
const LONGEST_IN_SHORTEST: u32 = 128;

/// Scales the shorter side of 8-bit RGB images and cuts a canvas out of the middle; keeps its
/// buffers between calls.
///
/// The result equals that of `BitImageProcessor` of `transformers` 5.23.0 (torchvision's variant)
/// before it normalises.
#[derive(Debug, Default)]
pub struct CentreCutter {
    resizer: U8Resizer,
    canvas: Vec<u8>,
}

impl CentreCutter {
    /// The canvas: RGB, row by row from the left top, `3 * width * height` values; black where the
    /// scaled image does not reach.
    ///
    /// `None` where the image or the canvas has no pixels.
    pub fn cut(&mut self, image: &RgbImage, crop: CentreCrop, filter: Filter) -> Option<&[u8]> {
        let shorter = image.width().min(image.height());
        let limit = shorter.saturating_mul(LONGEST_IN_SHORTEST);
        if shorter > 0 && image.width().max(image.height()) > limit {
            let (width, height) = (image.width().min(limit), image.height().min(limit));
            let (x, y) = ((image.width() - width) / 2, (image.height() - height) / 2);
            let middle = imageops::crop_imm(image, x, y, width, height).to_image();
            return self.cut_whole(&middle, crop, filter);
        }
        self.cut_whole(image, crop, filter)
    }

    fn cut_whole(&mut self, image: &RgbImage, crop: CentreCrop, filter: Filter) -> Option<&[u8]> {
        let (width, height) = crop.scaled_size(image.width(), image.height());
        let scaled = self.resizer.resize(image, width, height, filter)?;
        let (left, top) = crop.corner((width, height));
        let row_len = 3 * crop.width as usize;
        self.canvas.clear();
        self.canvas.resize(row_len * crop.height as usize, 0);
        // Columns of the scaled image that the canvas has, and where they begin on it.
        let first = left.max(0);
        let last = (left + i64::from(crop.width)).min(i64::from(width));
        if last <= first || row_len == 0 {
            return (row_len > 0).then_some(self.canvas.as_slice());
        }
        let (from, on_canvas) = (3 * first as usize, 3 * (first - left) as usize);
        let len = 3 * (last - first) as usize;
        for (y, row) in (top..).zip(self.canvas.chunks_exact_mut(row_len)) {
            if (0..i64::from(height)).contains(&y) {
                let start = 3 * y as usize * width as usize + from;
                row[on_canvas..on_canvas + len].copy_from_slice(&scaled[start..start + len]);
            }
        }
        Some(&self.canvas)
    }
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

    fn crop(shortest_edge: u32, width: u32, height: u32) -> CentreCrop {
        CentreCrop { shortest_edge, width, height, half_to_even: false }
    }

    #[test]
    fn without_scaling_it_is_the_middle() {
        let image = RgbImage::from_fn(9, 6, |x, y| Rgb([x as u8, y as u8, 7]));
        let mut cutter = CentreCutter::default();
        let canvas = cutter.cut(&image, crop(6, 4, 3), Filter::Bicubic).unwrap();
        let expected = imageops::crop_imm(&image, 2, 1, 4, 3).to_image();
        assert_eq!(canvas, expected.as_raw());
    }

    #[test]
    fn black_surrounds_what_is_smaller_than_the_canvas() {
        let image = RgbImage::from_pixel(4, 2, Rgb([9, 8, 7]));
        let mut cutter = CentreCutter::default();
        let canvas = cutter.cut(&image, crop(2, 7, 5), Filter::Bilinear).unwrap();
        for (index, pixel) in canvas.chunks_exact(3).enumerate() {
            let (x, y) = (index % 7, index / 7);
            let inside = (1..5).contains(&x) && (1..3).contains(&y);
            let expected = if inside { [9, 8, 7] } else { [0; 3] };
            assert_eq!(pixel, expected, "{x},{y}");
        }
    }

    #[test]
    fn a_line_of_pixels_is_cut_down_before_it_is_enlarged() {
        let mut cutter = CentreCutter::default();
        for (width, height) in [(1, 60_000), (60_000, 1)] {
            let image = RgbImage::from_pixel(width, height, Rgb([200, 100, 50]));
            let canvas = cutter.cut(&image, crop(256, 224, 224), Filter::Bicubic).unwrap();
            assert!(canvas.chunks_exact(3).all(|pixel| pixel == [200, 100, 50]));
        }
        assert!(cutter.cut(&RgbImage::new(0, 5), crop(8, 8, 8), Filter::Bicubic).is_none());
    }
}
