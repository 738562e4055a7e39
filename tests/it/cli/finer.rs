//! Finer labels for what was found: a random OWL-ViT finds, a random CLIP names.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use owlet::ground::encode::EncoderOptions;
use owlet::ground::{ClipClassifier, crop_with_margin, square_around};
use owlet::tasks::Classifier;
use owlet::types::{DeviceChoice, FinerLabel, PixelBox, Prompt, PromptSet};
use owlet::vision::decode::decode_file;
use serde_json::Value;
use tempfile::TempDir;

use super::replay::records;
use super::{detect_words, gallery, keys, picture, replay_words, run, words};
use crate::golden_models::fixture;

const PROMPTS: &str = "templates: [\"a photo of {}\", \"{}\"]
prompts:
  - name: pet
    texts: [cat]
    finer: [a red cat, {name: dog, texts: [a dog, the blue dog]}, a bird]
  - a dog
";

fn prompt_file(folder: &TempDir, text: &str) -> PathBuf {
    let path = folder.path().join("prompts.yaml");
    fs::write(&path, text).unwrap();
    path
}

fn with_classifier() -> Vec<std::ffi::OsString> {
    words!["--param", format!("classifier={}", fixture("clip_tiny").display())]
}

/// The finer labels of a detection: none, or all three by falling score that sum to 1.
fn finer_of(detection: &Value) -> Vec<(String, f64)> {
    let Some(finer) = detection.get("finer") else { return Vec::new() };
    let labels: Vec<_> = finer
        .as_array()
        .unwrap()
        .iter()
        .map(|label| {
            assert_eq!(keys(label), ["name", "score"]);
            (label["name"].as_str().unwrap().to_owned(), label["score"].as_f64().unwrap())
        })
        .collect();
    assert!(labels.is_sorted_by(|a, b| a.1 >= b.1), "{finer}");
    let mut names: Vec<_> = labels.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["a bird", "a red cat", "dog"]);
    let sum: f64 = labels.iter().map(|(_, score)| score).sum();
    // Three numbers in [0, 1] of f32.
    assert!((sum - 1.0).abs() < 3e-7, "{sum}");
    labels
}

/// What the classifier says of the box of a detection, by itself.
fn expected(path: &Path, detection: &Value) -> Vec<(String, f64)> {
    let options = EncoderOptions::new(fixture("clip_tiny"), "tiny");
    let options = EncoderOptions { device: DeviceChoice::Cpu, ..options };
    let mut classifier = ClipClassifier::load(&options, None).unwrap();
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let finer = vec![
        FinerLabel::from_text("a red cat"),
        FinerLabel { name: "dog".to_owned(), texts: owned(&["a dog", "the blue dog"]) },
        FinerLabel::from_text("a bird"),
    ];
    let templates = owned(&["a photo of {}", "{}"]);
    let prompts = vec![Prompt { finer, templates, ..Prompt::from_text("pet") }];
    let set = PromptSet { version: 1, prompts, default_threshold: 0.0 };
    let labels = classifier.encode_finer(&set).unwrap().remove(0);
    let image = decode_file(path).unwrap();
    let corners = [0, 1, 2, 3].map(|at| detection["box_px"][at].as_f64().unwrap() as f32);
    let square = square_around(&PixelBox::from_corners(corners), image.dimensions());
    let crop = Arc::new(crop_with_margin(&image, &square, 0.1).unwrap());
    let scores = classifier.classify(&[crop], &[&labels]).unwrap().remove(0);
    let names = &set.prompts[0].finer;
    scores.iter().map(|it| (names[it.label].name.clone(), f64::from(it.score))).collect()
}

#[test]
fn detect_tells_what_each_thing_is_more_closely() {
    let folder = TempDir::new().unwrap();
    let file = prompt_file(&folder, PROMPTS);
    let path = picture("square.png");
    let base = [words!["--prompts", file, "-t", "0"], with_classifier()].concat();
    let overlay = folder.path().join("found.png");
    let more = [base.clone(), words!["--json", "--overlay", overlay]].concat();
    let found = run(detect_words(&[&path], more), 0).json()["detections"].clone();
    let found = found.as_array().unwrap();
    let pets: Vec<_> = found.iter().filter(|found| found["prompt"] == "pet").collect();
    assert!(!pets.is_empty() && pets.len() < found.len(), "{found:?}");
    for detection in found {
        assert_eq!(finer_of(detection).is_empty(), detection["prompt"] == "a dog", "{detection}");
    }
    for pet in [pets[0], pets[pets.len() - 1]] {
        for (found, expected) in finer_of(pet).iter().zip(expected(&path, pet)) {
            // Of several crops in one pass or one alone: sums in another order.
            assert!(found.0 == expected.0 && (found.1 - expected.1).abs() < 1e-5, "{found:?}");
        }
    }
    // Boxes and scores are those of the detector alone.
    let plain = prompt_file(&folder, &PROMPTS.replace("    finer: ", "    # "));
    let words = [words!["--prompts", plain, "-t", "0", "--json"]].concat();
    let alone = run(detect_words(&[&path], words), 0).json()["detections"].clone();
    let bare: Vec<_> = found
        .iter()
        .map(|found| {
            let mut found = found.clone();
            found.as_object_mut().unwrap().remove("finer");
            found
        })
        .collect();
    assert_eq!(Value::from(bare), alone);
    let without = folder.path().join("plain.png");
    let words = words!["--prompts", plain, "-t", "0", "--overlay", without];
    run(detect_words(&[&path], words), 0);
    let open = |path: &Path| image::open(path).unwrap().to_rgb8();
    assert_ne!(open(&overlay), open(&without), "the overlay has the labels");

    prompt_file(&folder, PROMPTS);
    let ran = run(detect_words(&[&path], base), 0);
    let best = &finer_of(pets[0])[0];
    assert!(ran.stdout.contains(&format!("pet: {} {:.3}", best.0, best.1)), "{ran}");
}

#[test]
fn without_a_classifier_finer_labels_are_refused() {
    let folder = TempDir::new().unwrap();
    let path = picture("square.png");
    let refused = |text: &str, more: Vec<std::ffi::OsString>, expected: &[&str]| {
        let file = prompt_file(&folder, text);
        let words = [words!["--prompts", file], more].concat();
        let ran = run(detect_words(&[&path], words), 2);
        ran.says(expected);
        assert_eq!(ran.errors(), 1, "{ran}");
    };
    refused(PROMPTS, Vec::new(), &["\"pet\": finer: no classifier is configured"]);
    let long = "cat ".repeat(30);
    let bad = format!(
        "prompts: [{{name: a, finer: [x, x]}}, {{name: b, negative: true, finer: [x, y]}}, \
         {{name: c, templates: [\"no place\"]}}, {{name: d, finer: [x, {long}]}}]\n"
    );
    refused(
        &bad,
        with_classifier(),
        &[
            "\"a\": finer[1]: the name is used twice",
            "\"b\": finer: expected none, since a negative prompt is never reported",
            "\"c\": templates[0]: expected one {} where the text goes, found 0",
        ],
    );
    let long = format!("prompts: [a dog, {{name: d, finer: [x, {long}]}}]\n");
    refused(&long, with_classifier(), &["\"d\": finer[1]: ", "has 32 tokens"]);
    let owl = words!["--param", format!("classifier={}", fixture("owlvit_tiny").display())];
    refused(PROMPTS, owl, &["classifier: expected a CLIP", "(owlvit)"]);
}

/// The same records from two runs, and the labels in every output; with masks, too.
#[test]
fn a_replay_has_them_in_every_output() {
    let folder = TempDir::new().unwrap();
    let file = prompt_file(&folder, PROMPTS);
    let out = folder.path().join("out");
    let masks = words!["--param", format!("segmenter={}", fixture("sam_tiny").display())];
    let more =
        [words!["--prompts", file, "-t", "0", "--param", "max_detections=4"], masks].concat();
    let more = [more, with_classifier()].concat();
    run(replay_words(&gallery(), &out, more.clone()), 0);
    let frames = records(&out);
    let found: Vec<_> =
        frames.iter().flat_map(|frame| frame["detections"].as_array().unwrap()).collect();
    let pets: Vec<_> = found.iter().filter(|found| found["prompt"] == "pet").collect();
    assert!(!pets.is_empty(), "{frames:?}");
    for pet in &pets {
        assert!(!finer_of(pet).is_empty() && pet["mask"].is_object(), "{pet}");
    }
    let coco: Value = serde_json::from_slice(&fs::read(out.join("coco.json")).unwrap()).unwrap();
    let with_labels = coco["annotations"].as_array().unwrap().iter();
    let with_labels: Vec<_> = with_labels.filter_map(|it| it.get("finer")).collect();
    assert_eq!(with_labels.len(), pets.len());
    let scores = |finer: &Value| -> Vec<f32> {
        let labels = finer.as_array().unwrap().iter();
        labels.map(|label| label["score"].as_f64().unwrap() as f32).collect()
    };
    assert_eq!(scores(with_labels[0]), scores(&pets[0]["finer"]));
    let report = fs::read_to_string(out.join("report.html")).unwrap();
    for (name, _) in finer_of(pets[0]).iter().take(1) {
        assert!(report.contains(&format!("pet: {name}")), "the captions name {name}");
    }
    assert!(report.contains("classify"), "the stage is timed");

    let again = folder.path().join("again");
    run(replay_words(&gallery(), &again, more), 0);
    let lines = |out: &Path| fs::read(out.join("detections.jsonl")).unwrap();
    assert!(lines(&out) == lines(&again), "two runs differ");
}
