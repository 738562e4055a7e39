//! Score maps at the size of the source, and masks, against torch and pycocotools.

use std::fs;
use std::sync::Arc;

use owlet::segment::masks;
use owlet::tasks::Segmenter;
use owlet::types::Mask;
use owlet::types::{Prompt, PromptSet};
use serde_json::{Value, json};
use tch::Tensor;

use super::{FOLDERS, LOGITS, TEXTS, segmenter, texts};
use crate::golden_models::{assert_close, facts, fixture, goldens};
use crate::golden_preprocess::{PICTURES, picture};
use crate::peers;

/// From the picture to the mask: the bytes of pycocotools. Thresholds lie in gaps of the scores, so
/// that rounding moves no pixel over them.
#[test]
fn masks_are_the_reference_for_pictures_of_any_shape() {
    for folder in FOLDERS {
        let mut segmenter = segmenter(folder);
        segmenter.set_prompts(texts(&TEXTS)).unwrap();
        for name in PICTURES {
            let path = fixture(folder).join(format!("goldens/{name}.safetensors"));
            let image = Arc::new(picture(name));
            let (width, height) = image.dimensions();
            let scores = segmenter.segment(&[Arc::clone(&image)]).unwrap().remove(0);

            let golden = goldens(&path);
            let resized = scores.maps[0].logits_at(width, height);
            let resized = Tensor::from_slice(&resized).view([1, height.into(), width.into()]);
            let what = format!("{folder} {name}: logits at {width}x{height}");
            assert_close(&what, &resized, &golden["logits_at_source_size"], LOGITS);

            let facts = facts(&path);
            let expected = facts["masks"].as_array().unwrap();
            let prompts = TEXTS.iter().zip(expected).map(|(text, expected)| Prompt {
                threshold: Some(expected["threshold"].as_f64().unwrap() as f32),
                ..Prompt::from_text(text)
            });
            let prompts =
                PromptSet { version: 1, prompts: prompts.collect(), default_threshold: 0.5 };
            let found = masks(&scores.maps, &prompts, width, height);
            assert_eq!(found.masks.len(), expected.len());
            for (found, expected) in found.masks.iter().zip(expected) {
                let what = format!("{folder} {name} {:?}", TEXTS[found.prompt]);
                let rle = found.mask.rle();
                assert_eq!(json!(rle.size), expected["size"], "{what}");
                assert_eq!(rle.counts, expected["counts"].as_str().unwrap(), "{what}");
                assert_eq!(json!(found.area_px), expected["area_px"], "{what}");
                let [x0, y0, x1, y1] = found.box_in_source_px.unwrap().corners();
                let numbers =
                    |value: &Value| -> Vec<f32> { serde_json::from_value(value.clone()).unwrap() };
                let xywh = vec![x0, y0, x1 - x0, y1 - y0];
                assert_eq!(xywh, numbers(&expected["box_xywh_px"]), "{what}");
                let (x, y) = found.centroid_in_source_px.unwrap();
                for (found, expected) in [x, y].iter().zip(numbers(&expected["centroid_px"])) {
                    // Means of integers below 300 in f64, rounded to f32 once.
                    assert!((found - expected).abs() < 5e-5, "{what}: {found} is not {expected}");
                }
            }
            let classes: u64 = found.masks.iter().map(|mask| mask.area_px).sum();
            let classified = found.classes.pixels().filter(|class| class.0[0] > 0).count() as u64;
            assert!(0 < classified && classified <= classes);
        }
    }
}

/// Masks of many shapes, from empty to full and from noise to large pieces.
fn random_masks() -> Vec<Mask> {
    let mut state = 7_u64;
    let mut next = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        (state >> 33) as u32
    };
    let mut all = Vec::new();
    for (width, height) in [(1, 1), (1, 40), (40, 1), (17, 23), (64, 48), (213, 140), (300, 5)] {
        for share in [0, 1, 50, 95, 100] {
            for piece in [1, 7, 40] {
                let columns = width / piece + 1;
                let count = (columns * (height / piece + 1)) as usize;
                let pieces: Vec<bool> = (0..count).map(|_| next() % 100 < share).collect();
                let pixels = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
                let pixels =
                    pixels.map(|(x, y)| pieces[(y / piece * columns + x / piece) as usize]);
                all.push(Mask::new(width, height, pixels.collect()));
            }
        }
    }
    all
}

#[test]
fn run_length_codes_are_read_by_pycocotools_and_are_its_own_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("masks.json");
    let all = random_masks();
    let given: Vec<Value> = all
        .iter()
        .map(|mask| {
            let pixels: Vec<u8> = mask.pixels().iter().map(|pixel| u8::from(*pixel)).collect();
            json!({"width": mask.width(), "height": mask.height(), "pixels": pixels,
                   "rle": mask.rle()})
        })
        .collect();
    fs::write(&path, serde_json::to_vec(&given).unwrap()).unwrap();
    let answer: Vec<Value> = serde_json::from_str(&peers::run("read_rle.py", &[&path])).unwrap();
    assert_eq!(answer.len(), all.len());
    for (mask, answer) in all.iter().zip(&answer) {
        let what = format!("{}x{}", mask.width(), mask.height());
        assert_eq!(answer["counts"], json!(mask.rle().counts), "{what}");
        assert_eq!(answer["same_pixels"], true, "{what}");
        assert_eq!(answer["area_px"], mask.area_px(), "{what}");
    }
}
