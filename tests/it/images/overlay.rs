//! What is drawn over an image.

use image::{Rgb, RgbImage};
use owlet::types::PixelBox;
use owlet::vision::overlay::{
    OverlayItem, TruthItem, color_of, draw, draw_masks, draw_with_truth, with_caption,
};
use proptest::prelude::*;

fn item(corners: [f32; 4], color_index: usize) -> OverlayItem<'static> {
    let box_in_source_px = PixelBox::from_corners(corners);
    OverlayItem { label: "a cat", score: 0.5, finer: None, box_in_source_px, color_index }
}

#[test]
fn a_finer_label_stands_before_the_prompt() {
    let grey = RgbImage::from_pixel(640, 240, Rgb([128; 3]));
    let plain = item([100.0, 80.0, 220.0, 200.0], 1);
    let finer = OverlayItem { finer: Some(("a tom", 0.91)), ..plain };
    let same = OverlayItem { label: "a tom 0.91, a cat", ..plain };
    assert_eq!(draw(&grey, &[finer]), draw(&grey, &[same]));
    assert_ne!(draw(&grey, &[finer]), draw(&grey, &[plain]));
    let none = image::GrayImage::new(640, 240);
    assert_eq!(draw_masks(&grey, &none, &[finer]), draw_masks(&grey, &none, &[same]));
}

fn count(image: &RgbImage, color: [u8; 3]) -> usize {
    image.pixels().filter(|pixel| pixel.0 == color).count()
}

#[test]
fn a_box_is_framed_in_its_colour_and_the_rest_stays() {
    let grey = RgbImage::from_pixel(320, 240, Rgb([128; 3]));
    assert_eq!(draw(&grey, &[]), grey);

    let drawn = draw(&grey, &[item([100.0, 80.0, 220.0, 200.0], 1)]);
    assert_eq!(drawn.dimensions(), grey.dimensions());
    // The line lies along the inside of all four edges, between two dark ones.
    for (x, y) in [(100, 140), (219, 140), (160, 80), (160, 199)] {
        assert_eq!(drawn.get_pixel(x, y).0, color_of(1), "{x}, {y}");
    }
    for (x, y) in [(99, 140), (220, 140), (160, 200)] {
        assert!(drawn.get_pixel(x, y).0[0] < 40, "{x}, {y}");
    }
    // Inside, and far outside, nothing is touched.
    for (x, y) in [(160, 140), (110, 90), (10, 10), (300, 230), (160, 210)] {
        assert_eq!(drawn.get_pixel(x, y).0, [128; 3], "{x}, {y}");
    }
    // The plate above the box carries dark text.
    let plate = image::imageops::crop_imm(&drawn, 100, 66, 60, 12).to_image();
    assert!(count(&plate, color_of(1)) > 300 && count(&plate, [128; 3]) == 0);
    assert!(plate.pixels().filter(|pixel| pixel.0.iter().all(|&c| c < 60)).count() > 20);
}

#[test]
fn the_better_box_lies_on_top() {
    let black = RgbImage::new(200, 200);
    let mut low = item([50.0, 50.0, 150.0, 150.0], 0);
    let mut high = item([50.0, 50.0, 150.0, 150.0], 1);
    (low.score, high.score) = (0.2, 0.9);
    for items in [[low, high], [high, low]] {
        assert_eq!(draw(&black, &items).get_pixel(50, 100).0, color_of(1));
    }
}

#[test]
fn a_true_box_is_dashed_over_what_was_found_and_named_where_it_was_missed() {
    let grey = RgbImage::from_pixel(320, 240, Rgb([128; 3]));
    let found = item([100.0, 80.0, 220.0, 200.0], 1);
    let truth = |label| TruthItem { label, box_in_source_px: found.box_in_source_px };
    let drawn = draw_with_truth(&grey, &[truth(None)], &[found]);
    let column: Vec<[u8; 3]> = (80..200).map(|y| drawn.get_pixel(100, y).0).collect();
    let count_of = |color: [u8; 3]| column.iter().filter(|pixel| **pixel == color).count();
    // Dashes and gaps: both can be told.
    assert!(count_of([255; 3]) > 30 && count_of(color_of(1)) > 20, "{column:?}");
    assert_eq!(drawn.get_pixel(160, 140).0, [128; 3]);
    // A plate of its own, off the one of the detection.
    let named = draw_with_truth(&grey, &[truth(Some("a cat"))], &[found]);
    assert!(count(&named, [255; 3]) > count(&drawn, [255; 3]) + 200);
    assert!(count(&named, color_of(1)) > 300);
    assert_eq!(draw_with_truth(&grey, &[], &[found]), draw(&grey, &[found]));
    // Outside of the picture there is nothing to draw.
    let outside = TruthItem {
        label: Some("x"),
        box_in_source_px: PixelBox::from_corners([400.0, 0.0, 500.0, 9.0]),
    };
    assert_eq!(draw_with_truth(&grey, &[outside], &[]), grey);
}

#[test]
fn a_caption_adds_a_strip_and_covers_nothing() {
    let source = super::test_picture(300, 50);
    let with = with_caption(&source, "owlvit-base-patch32, random weights");
    assert!(with.height() > 60 && with.width() == 300);
    assert_eq!(image::imageops::crop_imm(&with, 0, 0, 300, 50).to_image(), source);
    let strip = image::imageops::crop_imm(&with, 0, 50, 300, with.height() - 50).to_image();
    assert!(strip.pixels().filter(|pixel| pixel.0[0] > 200).count() > 50, "no text on the strip");
    // Too narrow for a word: as it was.
    let narrow = super::test_picture(3, 50);
    assert_eq!(with_caption(&narrow, "owlvit"), narrow);
}

proptest! {
    #[test]
    fn any_items_on_any_image_leave_its_size(
        width in 0_u32..120,
        height in 0_u32..120,
        items in proptest::collection::vec(
            (".{0,30}", any::<f32>(), any::<[f32; 4]>(), -50.0_f32..150.0, any::<usize>()),
            0..6,
        ),
    ) {
        let image = RgbImage::from_pixel(width, height, Rgb([7, 8, 9]));
        let items: Vec<_> = items
            .iter()
            .flat_map(|(label, score, corners, at, color_index)| {
                let near = [*at, at * 0.5, at + 40.0, at + 30.0];
                [*corners, near].map(|corners| OverlayItem {
                    label,
                    score: *score,
                    finer: (score.to_bits() % 2 == 1).then_some((label, *score)),
                    box_in_source_px: PixelBox::from_corners(corners),
                    color_index: *color_index,
                })
            })
            .collect();
        let drawn = draw(&image, &items);
        prop_assert_eq!(drawn.dimensions(), (width, height));
        prop_assert_eq!(with_caption(&drawn, items.first().map_or("", |item| item.label)).width(), width);
    }
}
