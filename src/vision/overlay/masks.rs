//! Pictures of masks.

use image::{GrayImage, Rgb, RgbImage};

use super::canvas::{self, Rect};
use super::{OverlayItem, Plates, Style, color_of, pixel_rect};

/// How much of a mask's colour lies over the picture.
const TINT: f32 = 0.45;

/// A copy of `image` with the pixels of each class in its colour, an edge around them, and a label
/// at the box of each of `items`. `classes` has the number of the prompt in its set, from 1, for
/// each pixel; 0 is left as it is.
///
/// # Panics
/// Where `classes` is not of the size of `image`.
#[must_use]
pub fn draw_masks(image: &RgbImage, classes: &GrayImage, items: &[OverlayItem<'_>]) -> RgbImage {
    assert_eq!(image.dimensions(), classes.dimensions(), "sizes of an image and its classes");
    let mut drawn = image.clone();
    let (width, height) = image.dimensions();
    let style = Style::for_image(width, height);
    let reach = style.line;
    let class_at = |x: i64, y: i64| {
        let (x, y) = (u32::try_from(x).ok()?, u32::try_from(y).ok()?);
        classes.get_pixel_checked(x, y).map(|class| class.0[0])
    };
    for (x, y, class) in classes.enumerate_pixels() {
        let class = class.0[0];
        if class == 0 {
            continue;
        }
        let color = color_of(usize::from(class) - 1);
        let at = (i64::from(x), i64::from(y));
        let is_edge = [(reach, 0), (-reach, 0), (0, reach), (0, -reach)]
            .into_iter()
            .filter_map(|(right, down)| class_at(at.0 + right, at.1 + down))
            .any(|other| other != class);
        if is_edge {
            drawn.put_pixel(x, y, Rgb(color));
        } else {
            canvas::blend(&mut drawn, at, color, TINT);
        }
    }
    let bounds = Rect { x0: 0, y0: 0, x1: i64::from(width), y1: i64::from(height) };
    let mut plates = Plates { bounds, style, placed: Vec::new() };
    let mut items: Vec<_> = items.iter().collect();
    items.sort_by(|a, b| b.score.total_cmp(&a.score));
    for item in items {
        if let Some(rect) = pixel_rect(&item.box_in_source_px, bounds) {
            plates.add_item(rect, item);
        }
    }
    plates.draw(&mut drawn);
    drawn
}

#[cfg(test)]
mod tests {
    use image::Luma;

    use super::*;
    use crate::types::PixelBox;

    #[test]
    fn masks_are_tinted_with_an_edge_and_the_rest_is_left_alone() {
        let image = RgbImage::from_pixel(120, 90, Rgb([100, 100, 100]));
        let inside = |x: u32, y: u32| (20..60).contains(&x) && (40..80).contains(&y);
        let classes = GrayImage::from_fn(120, 90, |x, y| Luma([3 * u8::from(inside(x, y))]));
        let drawn = draw_masks(&image, &classes, &[]);
        let color = color_of(2);
        assert_eq!(drawn.get_pixel(20, 50).0, color, "the edge");
        assert_eq!(drawn.get_pixel(10, 10).0, [100, 100, 100]);
        let tinted = drawn.get_pixel(40, 60).0;
        for (tinted, color) in tinted.iter().zip(color) {
            let expected = 100.0 + (f32::from(color) - 100.0) * TINT;
            assert!((f32::from(*tinted) - expected).abs() <= 0.5);
        }
        let label = OverlayItem {
            label: "bowl",
            score: 0.8,
            finer: None,
            box_in_source_px: PixelBox::from_corners([20.0, 40.0, 60.0, 80.0]),
            color_index: 2,
        };
        let labelled = draw_masks(&image, &classes, &[label]);
        let changed = |y: u32| (0..120).any(|x| labelled.get_pixel(x, y) != drawn.get_pixel(x, y));
        assert!((30..40).any(changed), "a label above the box");
        assert!(!(41..90).any(changed), "and nothing else");
        // Nothing at all is drawn of nothing.
        assert_eq!(draw_masks(&image, &GrayImage::new(120, 90), &[]), image);
    }
}
