//! What a user of the trait relies on.

use std::sync::Arc;

use image::RgbImage;
use owlet::segment::{MaskRules, SamMask, SamSegmenter};
use owlet::tasks::{ImageInstances, MaskPrompt, PointPrompt, PromptableSegmenter};
use owlet::types::{Mask, Stage};
use serde_json::json;

use super::{FEATURES, PASSES, PICTURES, boxed, passes, prompts, segmenter};
use crate::golden_preprocess::picture;

fn differing_px(one: &Mask, other: &Mask) -> u64 {
    assert_eq!((one.width(), one.height()), (other.width(), other.height()));
    one.area_px() + other.area_px() - 2 * one.common_px(other)
}

fn of_one(segmenter: &mut SamSegmenter, name: &str, prompts: Vec<MaskPrompt>) -> Vec<SamMask> {
    let image = Arc::new(picture(name));
    let mut found = segmenter.segment_with_details(&[image], &[prompts]).unwrap();
    assert_eq!(found.len(), 1);
    found.remove(0).masks
}

/// From the picture on: preprocessing, network, the best mask, its size. The masks of all kinds of
/// prompts in one call are those of the reference, which takes one kind at a time.
#[test]
fn masks_at_source_size_are_the_reference() {
    let mut segmenter = segmenter();
    segmenter.set_rules(MaskRules { stability_offset: Some(1.0), ..MaskRules::default() });
    for name in PICTURES {
        let passes = passes(name);
        let all: Vec<_> = PASSES.iter().flat_map(|pass| prompts(&passes[*pass])).collect();
        let expected = PASSES.iter().flat_map(|pass| passes[*pass]["masks"].as_array().unwrap());
        let found = of_one(&mut segmenter, name, all);
        assert_eq!(found.len(), 6);
        for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
            let what = format!("{name}, prompt {index}");
            let uncertain = expected["uncertain_px"].as_u64().unwrap();
            if uncertain == 0 {
                assert_eq!(json!(found.mask.rle().counts), expected["counts"], "{what}");
            }
            // Those that rounding may move over the threshold.
            let area = expected["area_px"].as_u64().unwrap();
            assert!(found.mask.area_px().abs_diff(area) <= uncertain, "{what}");
            let stability = expected["stability"].as_f64().unwrap();
            let off = (f64::from(found.stability.unwrap()) - stability).abs();
            // A pixel or two of some thousand at the other thresholds.
            assert!(off < 1e-3, "{what}: {off}");
        }
    }
}

#[test]
fn many_prompts_and_pictures_in_one_go_are_the_same_as_one_by_one() {
    let mut segmenter = segmenter();
    let images = PICTURES.map(|name| Arc::new(picture(name)));
    // More than go into one pass of the decoder, and one image that nothing is asked of.
    let many: Vec<_> = (0..150_u8)
        .map(|n| {
            let (x, y) = (f32::from(n % 13), f32::from(n / 13));
            boxed([4.0 * x, 4.0 * y, 4.0 * x + 20.0, 4.0 * y + 9.0])
        })
        .collect();
    let prompts = vec![many, Vec::new(), vec![boxed([2.0, 3.0, 40.0, 50.0])]];
    let together = segmenter.segment(&images, &prompts).unwrap();
    let count = |found: &ImageInstances| found.masks.len();
    assert_eq!(together.iter().map(count).collect::<Vec<_>>(), [150, 0, 1]);
    for (index, image) in [(0, 0), (63, 0), (64, 0), (149, 0), (0, 2)] {
        // A picture that it does not know yet.
        let same = [Arc::new(RgbImage::clone(&images[image]))];
        let alone =
            segmenter.segment(&same, &[vec![prompts[image][index].clone()]]).unwrap().remove(0);
        let found = &together[image].masks[index];
        let off = found.predicted_iou.unwrap() - alone.masks[0].predicted_iou.unwrap();
        // Other batches are other blocks of matrix products.
        assert!(f64::from(off.abs()) <= FEATURES, "{index}: {off}");
        let (width, height) = images[image].dimensions();
        let apart = differing_px(&found.mask, &alone.masks[0].mask);
        // 2 of 10000 pixels are that near to the threshold (`uncertain_px` of the goldens).
        assert!(apart <= u64::from(width * height) / 3000, "{index}: {apart} pixels");
    }
    assert!(segmenter.segment(&[], &[]).unwrap().is_empty());
}

/// Regions are asked for first and masks of what is in them after that, of the same frames.
#[test]
fn who_asks_again_about_a_frame_does_not_wait_for_the_encoder() {
    let mut segmenter = segmenter();
    let images = PICTURES.map(|name| Arc::new(picture(name)));
    let prompts = |corners| vec![boxed(corners)];
    let (first, second) = (prompts([2.0, 3.0, 40.0, 50.0]), prompts([20.0, 20.0, 60.0, 50.0]));
    let encoded = |found: &[ImageInstances]| -> Vec<bool> {
        found.iter().map(|found| found.timings.get(Stage::ImageTower).is_some()).collect()
    };
    let found = segmenter.segment(&images, &[first.clone(), vec![], first.clone()]).unwrap();
    assert_eq!(encoded(&found), [true, false, true]);
    // In another order, with one that was passed over.
    let swapped = [2, 1, 0].map(|at| Arc::clone(&images[at]));
    let again = segmenter.segment(&swapped, &[second.clone(), second.clone(), second.clone()]);
    let again = again.unwrap();
    assert_eq!(encoded(&again), [false, true, false]);
    for (found, image) in again.iter().zip(&swapped) {
        // The same pixels are not the same frame.
        let copy = [Arc::new(RgbImage::clone(image))];
        let fresh = segmenter.segment(&copy, std::slice::from_ref(&second)).unwrap();
        assert_eq!(encoded(&fresh), [true]);
        assert_eq!(found.masks, fresh[0].masks);
    }
    // Only the last call is remembered.
    assert_eq!(
        encoded(&segmenter.segment(&images[..1], std::slice::from_ref(&first)).unwrap()),
        [true]
    );
    // A frame that is gone is not taken for a new one, wherever that lies in memory.
    let corners = [5.0, 5.0, 30.0, 40.0];
    for shade in 0..20 {
        let image = [Arc::new(RgbImage::from_pixel(64, 48, image::Rgb([12 * shade; 3])))];
        let found = segmenter.segment(&image, &[prompts(corners)]).unwrap();
        assert_eq!(encoded(&found), [true], "{shade}");
    }
}

#[test]
fn what_asks_for_nothing_gets_an_empty_mask_and_leaves_its_neighbours_alone() {
    let mut segmenter = segmenter();
    let good = boxed([20.0, 20.0, 90.0, 90.0]);
    let expected = of_one(&mut segmenter, "landscape", vec![good.clone()]).remove(0);
    let beside = PointPrompt { x_px: 5000.0, y_px: 1.0, inside: true };
    let nothing = [
        boxed([5.0, 5.0, 5.0, 50.0]),
        boxed([50.0, 5.0, 5.0, 50.0]),
        boxed([300.0, 10.0, 400.0, 60.0]),
        boxed([f32::NAN, 10.0, 40.0, 60.0]),
        boxed([f32::NEG_INFINITY; 4]),
        MaskPrompt::default(),
        MaskPrompt { box_in_source_px: None, points: vec![beside] },
    ];
    let mut all = nothing.to_vec();
    all.insert(3, good.clone());
    let found = of_one(&mut segmenter, "landscape", all);
    assert_eq!(found[3], expected);
    for (index, found) in found.iter().enumerate().filter(|(index, _)| *index != 3) {
        assert!(found.mask.is_empty() && found.predicted_iou.is_none(), "{index}");
        assert_eq!((found.mask.width(), found.mask.height()), (213, 140));
    }
    // Where nothing at all is asked for, the image is not even looked at.
    let image = [Arc::new(picture("landscape"))];
    let found = segmenter.segment(&image, &[nothing.to_vec()]).unwrap().remove(0);
    assert_eq!((found.masks.len(), found.timings.get(Stage::ImageTower)), (7, None));
    // A box is clipped to the image.
    let huge = of_one(&mut segmenter, "landscape", vec![boxed([-1e30, -9.0, 1e30, f32::INFINITY])]);
    let whole = of_one(&mut segmenter, "landscape", vec![boxed([0.0, 0.0, 213.0, 140.0])]);
    assert_eq!(huge, whole);
}

#[test]
fn small_regions_go_where_asked_for() {
    let mut segmenter = segmenter();
    let prompt = vec![boxed([0.0, 0.0, 120.0, 190.0])];
    let drawn = of_one(&mut segmenter, "portrait", prompt.clone()).remove(0);
    assert_eq!(drawn.stability, None);
    segmenter.set_rules(MaskRules { min_region_px: 30, stability_offset: Some(0.0) });
    let cleaned = of_one(&mut segmenter, "portrait", prompt).remove(0);
    assert_eq!(cleaned.predicted_iou, drawn.predicted_iou);
    assert_eq!(cleaned.stability, Some(1.0), "the threshold itself");
    let changed = differing_px(&cleaned.mask, &drawn.mask);
    assert!(changed > 0 && changed < drawn.mask.area_px() / 4, "{changed}");
}

#[test]
fn every_stage_is_timed_and_the_model_says_what_it_is() {
    let mut segmenter = segmenter();
    let image = [Arc::new(picture("square"))];
    let found = segmenter.segment(&image, &[vec![boxed([1.0, 1.0, 9.0, 9.0])]]).unwrap().remove(0);
    for stage in [Stage::Preprocess, Stage::ImageTower, Stage::Heads, Stage::Postprocess] {
        assert!(found.timings.get(stage).is_some(), "{stage}");
    }
    let info = segmenter.info();
    assert_eq!((info.architecture.as_str(), info.device.as_str()), ("sam", "cpu"));
    assert_eq!((info.input_size, info.useful_batch), ((64, 64), 1));
    assert_eq!(info.parameters, segmenter.model().parameters());
}
