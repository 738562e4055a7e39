//! Regions of a picture as pictures of their own.

use image::RgbImage;
use image::imageops::{FilterType, crop_imm, resize};

use crate::types::PixelBox;
use crate::vision::encode::{EncodeError, encode_jpeg};

/// The longer side of a thumbnail in pixels.
const THUMBNAIL_PX: u32 = 96;

const THUMBNAIL_QUALITY: u8 = 80;

/// A small JPEG of a pair's picture, at most 96 pixels long, for people.
///
/// # Errors
/// What the encoder reports.
pub fn thumbnail_of(image: &RgbImage) -> Result<Vec<u8>, EncodeError> {
    let (width, height) = image.dimensions();
    let longer = width.max(height);
    let small = match longer > THUMBNAIL_PX {
        true => {
            let side = |side: u32| (side * THUMBNAIL_PX / longer).max(1);
            &resize(image, side(width), side(height), FilterType::Triangle)
        }
        false => image,
    };
    encode_jpeg(small, THUMBNAIL_QUALITY)
}

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

/// A square around a box, as long as its longer side, moved into the image and no longer than the
/// image's shorter side: of an encoder that sees the middle square of a picture only, the whole
/// thing is seen as far as the image allows. A box that is none is given back as it is.
#[must_use]
pub fn square_around(area: &PixelBox, (width, height): (u32, u32)) -> PixelBox {
    let corners = area.corners();
    if !corners.iter().all(|corner| corner.is_finite()) || area.area() <= 0.0 {
        return *area;
    }
    let (width, height) = (width as f32, height as f32);
    let side = area.width().max(area.height()).min(width).min(height);
    // A side that is longer than the square stays whole: what is cut is the encoder's matter.
    let around = |low: f32, high: f32, most: f32| {
        let length = (high - low).max(side);
        let start = (0.5 * (low + high - length)).min(most - length).max(0.0);
        (start, start + length)
    };
    let (x0, x1) = around(area.x0, area.x1, width);
    let (y0, y1) = around(area.y0, area.y1, height);
    PixelBox::from_corners([x0, y0, x1, y1])
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
    fn a_square_holds_the_whole_box_and_keeps_inside_the_image() {
        let square = |corners| square_around(&PixelBox::from_corners(corners), (100, 60)).corners();
        assert_eq!(square([40.0, 20.0, 60.0, 30.0]), [40.0, 15.0, 60.0, 35.0]);
        assert_eq!(square([40.0, 20.0, 50.0, 40.0]), [35.0, 20.0, 55.0, 40.0]);
        // At the edges it is moved.
        assert_eq!(square([0.0, 20.0, 10.0, 40.0]), [0.0, 20.0, 20.0, 40.0]);
        assert_eq!(square([80.0, 55.0, 100.0, 60.0]), [80.0, 40.0, 100.0, 60.0]);
        // A box longer than the image is high: all of it, and all that is beside it.
        assert_eq!(square([5.0, 20.0, 95.0, 30.0]), [5.0, 0.0, 95.0, 60.0]);
        let none = [8.0, 2.0, 4.0, 4.0];
        assert_eq!(square(none), none);
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
