//! Regions of a picture as pictures of their own.

use image::RgbImage;
use image::imageops::crop_imm;

use crate::types::PixelBox;

/// The part of an image around a box, with `margin` times the box's sides more on each side, cut at
/// the image's edges: encoders know things in their surroundings. `None` where the box does not
/// touch the image or is none.
#[must_use]
pub fn crop_with_margin(image: &RgbImage, area: &PixelBox, margin: f32) -> Option<RgbImage> {
    let (width, height) = image.dimensions();
    let finite = margin.is_finite() && area.corners().iter().all(|corner| corner.is_finite());
    if !finite || area.clipped_to(width, height).area() <= 0.0 {
        return None;
    }
    let (dx, dy) = (margin * area.width(), margin * area.height());
    let corners = [area.x0 - dx, area.y0 - dy, area.x1 + dx, area.y1 + dy];
    let wide = PixelBox::from_corners(corners).clipped_to(width, height);
    // Whole pixels around it; at least one, also for a box thinner than a pixel.
    let (x0, y0) = (wide.x0.floor() as u32, wide.y0.floor() as u32);
    let x1 = (wide.x1.ceil() as u32).clamp((x0 + 1).min(width), width);
    let y1 = (wide.y1.ceil() as u32).clamp((y0 + 1).min(height), height);
    (x0 < x1 && y0 < y1).then(|| crop_imm(image, x0, y0, x1 - x0, y1 - y0).to_image())
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

    fn crop(corners: [f32; 4], margin: f32) -> Option<((u32, u32), [u8; 3])> {
        let image = RgbImage::from_fn(20, 10, |x, y| Rgb([x as u8, y as u8, 0]));
        let found = crop_with_margin(&image, &PixelBox::from_corners(corners), margin)?;
        Some((found.dimensions(), found.get_pixel(0, 0).0))
    }

    #[test]
    fn the_margin_is_a_part_of_each_side_and_ends_at_the_edge() {
        assert_eq!(crop([4.0, 2.0, 8.0, 4.0], 0.0), Some(((4, 2), [4, 2, 0])));
        assert_eq!(crop([4.0, 2.0, 8.0, 4.0], 0.5), Some(((8, 4), [2, 1, 0])));
        assert_eq!(crop([15.0, 6.0, 19.0, 9.0], 1.0), Some(((9, 7), [11, 3, 0])));
        assert_eq!(crop([4.4, 2.4, 4.6, 2.6], 0.0), Some(((1, 1), [4, 2, 0])));
        assert_eq!(crop([-5.0, -5.0, 1.0, 1.0], 0.0), Some(((1, 1), [0, 0, 0])));
    }

    #[test]
    fn boxes_that_are_none_have_no_crop() {
        for corners in [
            [4.0, 2.0, 4.0, 4.0],
            [8.0, 2.0, 4.0, 4.0],
            [25.0, 2.0, 30.0, 4.0],
            [-9.0, 0.0, -1.0, 4.0],
            [f32::NAN, 0.0, 4.0, 4.0],
            [0.0, 0.0, f32::INFINITY, 4.0],
        ] {
            assert_eq!(crop(corners, 0.1), None, "{corners:?}");
        }
    }
}
