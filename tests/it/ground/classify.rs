//! Finer labels against `transformers` 5.23.0 (`tools/make_classify_goldens.py`), from the picture,
//! the boxes and the texts as a user has them.

use std::sync::Arc;

use image::RgbImage;
use owlet::ground::ClipClassifier;
use owlet::ground::encode::EncoderOptions;
use owlet::pipeline::ClassifyingDetector;
use owlet::tasks::Classifier;
use owlet::types::{Detection, DeviceChoice, FinerLabel, FinerScore, PixelBox, Prompt, PromptSet};
use serde_json::Value;
use tch::{Kind, Tensor};

use crate::golden_models::{facts, fixture, goldens};
use crate::golden_preprocess::picture;

/// Logits are cosines, known to 1e-6, times 14.3; a softmax passes on at most a quarter of what two
/// logits are off.
const SCORES: f32 = 1e-5;

fn classifier() -> ClipClassifier {
    let options = EncoderOptions::new(fixture("clip_tiny"), "tiny");
    ClipClassifier::load(&EncoderOptions { device: DeviceChoice::Cpu, ..options }).unwrap()
}

fn texts(value: &Value) -> Vec<String> {
    serde_json::from_value(value.clone()).unwrap()
}

fn set(prompts: Vec<Prompt>) -> PromptSet {
    PromptSet { version: 1, prompts, default_threshold: 0.1 }
}

/// Scores in the order of the labels.
fn in_order(scores: &[FinerScore]) -> Vec<f32> {
    assert!(scores.is_sorted_by(|a, b| a.score >= b.score), "{scores:?}");
    let mut scores = scores.to_vec();
    scores.sort_by_key(|score| score.label);
    assert!(scores.iter().enumerate().all(|(label, score)| label == score.label), "{scores:?}");
    scores.iter().map(|score| score.score).collect()
}

#[test]
fn crops_and_scores_are_those_of_the_reference() {
    let path = fixture("clip_tiny").join("classify.safetensors");
    let (golden, facts) = (goldens(&path), facts(&path));
    let image = picture(facts["picture"].as_str().unwrap());
    let boxes = Vec::<Vec<f32>>::try_from(&golden["boxes"]).unwrap();
    let crops: Vec<Arc<RgbImage>> = boxes
        .iter()
        .enumerate()
        .map(|(number, corners)| {
            let corners = <[f32; 4]>::try_from(corners.as_slice()).unwrap();
            let detection = Detection {
                prompt: 0,
                score: 0.5,
                objectness: None,
                box_in_source_px: PixelBox::from_corners(corners),
                mask: None,
                finer: Vec::new(),
            };
            let crop = ClassifyingDetector::crop(&image, &detection).unwrap();
            let (width, height) = (i64::from(crop.width()), i64::from(crop.height()));
            let found = Tensor::from_slice(crop.as_raw()).view([height, width, 3]);
            let expected = &golden[&format!("crop.{number}")];
            assert_eq!(expected.kind(), Kind::Uint8);
            assert!(
                &found == expected,
                "crop {number} is {:?}, {:?}",
                found.size(),
                expected.size()
            );
            Arc::new(crop)
        })
        .collect();

    let plain = texts(&facts["plain"]);
    let ensemble = facts["ensemble"].as_array().unwrap().iter().map(texts);
    let prompts = vec![
        Prompt {
            finer: plain.iter().map(|text| FinerLabel::from_text(text)).collect(),
            ..Prompt::from_text("plain")
        },
        Prompt::from_text("nothing finer"),
        Prompt {
            finer: ensemble.map(|texts| FinerLabel { name: texts.join("|"), texts }).collect(),
            templates: texts(&facts["templates"]),
            ..Prompt::from_text("ensemble")
        },
    ];
    let mut classifier = classifier();
    let labels = classifier.encode_finer(&set(prompts)).unwrap();
    assert_eq!(labels.iter().map(Vec::len).collect::<Vec<_>>(), [3, 0, 3]);
    for (prompt, name) in [(0, "plain"), (2, "ensemble")] {
        let of_each = vec![labels[prompt].as_slice(); crops.len()];
        let found = classifier.classify(&crops, &of_each).unwrap();
        let expected = Vec::<Vec<f32>>::try_from(&golden[name]).unwrap();
        for (number, (found, expected)) in found.iter().zip(&expected).enumerate() {
            for (found, expected) in in_order(found).iter().zip(expected) {
                let off = (found - expected).abs();
                assert!(off <= SCORES, "{name} {number}: {found} and {expected} are {off} apart");
            }
        }
    }
    // Each picture has labels of its own.
    let mixed = classifier.classify(&crops[..2], &[&labels[2], &labels[0]]).unwrap();
    let expected =
        [&golden["ensemble"], &golden["plain"]].map(|of| Vec::<Vec<f32>>::try_from(of).unwrap());
    for (row, (found, expected)) in mixed.iter().zip(&expected).enumerate() {
        let off = in_order(found).iter().zip(&expected[row]).all(|(a, b)| (a - b).abs() <= SCORES);
        assert!(off, "{found:?}");
    }
}

#[test]
fn labels_that_cannot_be_read_are_all_named_and_other_checkpoints_refused() {
    let classifier = classifier();
    let long = "cat ".repeat(30);
    let labels = |texts: [&str; 3]| texts.map(FinerLabel::from_text).to_vec();
    let prompts = vec![
        Prompt { finer: labels(["a cat", &long, "a dog"]), ..Prompt::from_text("one") },
        Prompt { finer: labels([&long, "x", "y"]), ..Prompt::from_text("two") },
    ];
    let refused = classifier.encode_finer(&set(prompts)).unwrap_err().to_string();
    for expected in ["\"one\": finer[1]: ", "\"two\": finer[0]: ", "32 tokens"] {
        assert!(refused.contains(expected), "{expected} is not in {refused}");
    }
    let owl = ClipClassifier::load(&EncoderOptions::new(fixture("owlvit_tiny"), "owl"));
    let refused = owl.err().unwrap().to_string();
    assert!(refused.contains("expected clip to encode pictures and texts"), "{refused}");
}
