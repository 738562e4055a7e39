//! Finer labels against `transformers` 5.23.0 (`tools/make_classify_goldens.py`), from the picture,
//! the boxes and the texts as a user has them.

use std::sync::Arc;

use image::RgbImage;
use owlet::ground::ClipClassifier;
use owlet::ground::encode::EncoderOptions;
use owlet::models::TextStoreOptions;
use owlet::pipeline::ClassifyingDetector;
use owlet::tasks::Classifier;
use owlet::types::{Detection, DeviceChoice, FinerLabel, FinerScore, PixelBox, Prompt, PromptSet};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tch::{Kind, Tensor};

use crate::golden_models::{facts, fixture, goldens};
use crate::golden_preprocess::picture;

/// Logits are cosines, known to 1e-6, times 14.3; a softmax passes on at most a quarter of what two
/// logits are off.
const SCORES: f32 = 1e-5;

fn classifier() -> ClipClassifier {
    let options = EncoderOptions::new(fixture("clip_tiny"), "tiny");
    ClipClassifier::load(&EncoderOptions { device: DeviceChoice::Cpu, ..options }, None).unwrap()
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
                explanation: None,
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
    let owl = ClipClassifier::load(&EncoderOptions::new(fixture("owlvit_tiny"), "owl"), None);
    let refused = owl.err().unwrap().to_string();
    assert!(refused.contains("expected clip to encode pictures and texts"), "{refused}");
}

#[test]
fn labels_that_are_kept_on_disk_are_not_encoded_again() {
    let folder = tempfile::tempdir().unwrap();
    let options = EncoderOptions::new(fixture("clip_tiny"), "tiny");
    let options = EncoderOptions { device: DeviceChoice::Cpu, ..options };
    let start = |weights: &str| {
        let (folder, weights) = (folder.path().to_owned(), weights.to_owned());
        let store = TextStoreOptions { folder, weights };
        ClipClassifier::load(&options, Some(&store)).unwrap()
    };
    let kept = || -> Vec<_> {
        let models = std::fs::read_dir(folder.path()).unwrap().flatten();
        let files = models.flat_map(|model| std::fs::read_dir(model.path()).unwrap().flatten());
        files.map(|file| file.path()).collect()
    };
    let finer = ["a red cat", "the blue dog"].map(FinerLabel::from_text).to_vec();
    let asked = set(vec![Prompt { finer, ..Prompt::from_text("pet") }]);

    let first = start("one").encode_finer(&asked).unwrap();
    assert_eq!(kept().len(), 2);
    assert_eq!(start("one").encode_finer(&asked).unwrap(), first, "to the bit");
    assert_eq!(first, classifier().encode_finer(&asked).unwrap(), "as without a store");
    // Ahead of time, too.
    start("ahead").prompts_ahead().unwrap().encode(&asked);
    assert_eq!(kept().len(), 4);

    // Other vectors in their place are what a second start takes: it encodes nothing.
    let axis: Vec<f32> = (0..first[0][0].len()).map(|place| f32::from(place == 3)).collect();
    let bytes: Vec<u8> = axis.iter().flat_map(|value| value.to_le_bytes()).collect();
    for file in kept() {
        std::fs::write(file, [Sha256::digest(&bytes).as_slice(), bytes.as_slice()].concat())
            .unwrap();
    }
    assert_eq!(start("one").encode_finer(&asked).unwrap(), [[axis.clone(), axis]]);
    assert_eq!(start("other weights").encode_finer(&asked).unwrap(), first);
}
