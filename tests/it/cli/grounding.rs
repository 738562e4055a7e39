//! Prompts that are looked up in a bank of pairs, beside the detector's own.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use owlet::detect::{DetectorOptions, OwlDetector};
use owlet::ground::encode::{EncoderOptions, load_image_encoder, load_text_encoder};
use owlet::ground::{Bank, Grounder, GrounderOptions, GroundingPrompt, Identified, Side};
use owlet::tasks::Detector;
use owlet::types::{DeviceChoice, Prompt, PromptSet};
use owlet::vision::decode::decode_file;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::bank::tiny_bert;
use super::replay::records;
use super::{detect_words, gallery, keys, picture, replay_words, run, words};
use crate::golden_models::fixture;

const PROMPTS: &str = "prompts:
  - {name: cup, texts: [a red cup, red], asif: true}
  - a cat
  - {name: dog, texts: [dog], asif: true, threshold: 0.3}
";

/// A bank of three captioned pictures, with a prompts file for it.
pub(crate) struct Kitchen {
    home: TempDir,
}

impl Kitchen {
    pub(crate) fn new() -> Self {
        let home = TempDir::new().unwrap();
        let (bert, photos) = (home.path().join("bert"), home.path().join("photos"));
        fs::create_dir(&bert).unwrap();
        fs::create_dir(&photos).unwrap();
        tiny_bert(&bert);
        for (name, caption) in
            [("landscape", "a red cup"), ("portrait", "a cat on dog"), ("strip", "dog")]
        {
            fs::copy(picture(&format!("{name}.png")), photos.join(format!("{name}.png"))).unwrap();
            fs::write(photos.join(format!("{name}.txt")), caption).unwrap();
        }
        let here = Self { home };
        let mut build = words!["bank", "build", photos, "--out", here.bank()];
        build.extend(words!["--image-encoder", fixture("owlvit_tiny"), "--text-encoder", bert]);
        run(build, 0);
        here.prompts(PROMPTS);
        here
    }

    pub(crate) fn bank(&self) -> PathBuf {
        self.home.path().join("bank")
    }

    pub(crate) fn prompts(&self, text: &str) -> PathBuf {
        let path = self.home.path().join("prompts.yaml");
        fs::write(&path, text).unwrap();
        path
    }

    pub(crate) fn with_bank(&self) -> Vec<OsString> {
        let file = self.home.path().join("prompts.yaml");
        let bank = format!("bank={}", self.bank().display());
        words!["--prompts", file, "-t", "0", "--param", bank, "--param", "bank_regions=7"]
    }

    /// What the parts say of a picture when they are called one by one.
    fn expected(&self, path: &Path) -> Vec<(String, f64)> {
        let bank = Bank::load(&self.bank()).unwrap();
        let options = |folder: PathBuf| EncoderOptions {
            device: DeviceChoice::Cpu,
            ..EncoderOptions::new(folder, "tiny")
        };
        let image = Identified {
            encoder: load_image_encoder(&options(fixture("owlvit_tiny"))).unwrap(),
            id: bank.encoder(Side::Image).clone(),
        };
        let text = Identified {
            encoder: load_text_encoder(&options(self.home.path().join("bert"))).unwrap(),
            id: bank.encoder(Side::Text).clone(),
        };
        let options = GrounderOptions { nms_iou: None, ..GrounderOptions::default() };
        let mut grounder = Grounder::new(bank, image, text, options).unwrap();
        let cup = Prompt { texts: vec!["a red cup".into(), "red".into()], ..named("cup") };
        let dog = Prompt { threshold: Some(0.3), ..named("dog") };
        let set = PromptSet { version: 1, prompts: vec![cup, dog], default_threshold: 0.0 };
        let encoded = grounder.encode(GroundingPrompt::of_set(&set)).unwrap();
        grounder.set_prompts(encoded);
        let mut detector = OwlDetector::load(&DetectorOptions {
            device: DeviceChoice::Cpu,
            ..DetectorOptions::new(fixture("owlvit_tiny"), "tiny")
        })
        .unwrap();
        detector.set_proposals(7);
        let nothing = PromptSet { version: 1, prompts: Vec::new(), default_threshold: 0.0 };
        detector.set_prompts(Arc::new(nothing)).unwrap();
        let image = Arc::new(decode_file(path).unwrap());
        let found = detector.detect(&[Arc::clone(&image)]).unwrap().remove(0);
        let regions: Vec<_> = found.proposals.iter().map(|one| one.box_in_source_px).collect();
        assert_eq!(regions.len(), 7);
        let grounded = grounder.ground(&image, &regions).unwrap();
        let name = |prompt: usize| set.prompts[prompt].name.clone();
        grounded.found.iter().map(|one| (name(one.prompt), f64::from(one.score))).collect()
    }
}

fn named(text: &str) -> Prompt {
    Prompt { asif: true, ..Prompt::from_text(text) }
}

/// The pairs that spoke for a detection: each with its weights, and together its score.
fn check_explanation(detection: &Value) {
    let why = &detection["explanation"];
    let evidence = why["evidence"].as_array().unwrap();
    assert_eq!(why["pairs"].as_u64().unwrap() as usize, evidence.len(), "there are but three");
    let mut sum = 0.0;
    for pair in evidence {
        assert_eq!(
            keys(pair),
            ["pair", "image_weight", "text_weight", "product", "share", "caption", "source"]
        );
        let number = |key: &str| pair[key].as_f64().unwrap();
        assert!((1..=3).contains(&pair["pair"].as_u64().unwrap()), "{pair}");
        assert!((number("image_weight") * number("text_weight") - number("product")).abs() < 1e-6);
        assert!(pair["source"].as_str().unwrap().ends_with(".png"), "{pair}");
        sum += number("product");
    }
    // f32 sums of three products.
    assert!((sum - detection["score"].as_f64().unwrap()).abs() < 1e-6, "{detection}");
}

#[test]
fn detect_looks_things_up_in_the_bank_and_says_which_pairs_spoke_for_them() {
    let kitchen = Kitchen::new();
    let path = picture("square.png");
    let words = [kitchen.with_bank(), words!["--json"]].concat();
    let ran = run(detect_words(&[&path], words), 0);
    let found = ran.json()["detections"].as_array().unwrap().clone();
    let (own, of_bank): (Vec<_>, Vec<_>) =
        found.iter().partition(|found| found["prompt"] == "a cat");
    assert!(!own.is_empty() && !of_bank.is_empty(), "{found:?}");
    assert!(own.iter().all(|found| found.get("explanation").is_none()));
    of_bank.iter().for_each(|found| check_explanation(found));
    let expected = kitchen.expected(&path);
    assert_eq!(of_bank.len(), expected.len());
    for (found, (name, score)) in of_bank.iter().zip(expected) {
        assert_eq!(found["prompt"], name.as_str());
        assert!((found["score"].as_f64().unwrap() - score).abs() < 1e-6, "{found}");
    }
    // What the detector finds by itself is what it finds without a bank.
    let alone = [words!["-p", "a cat", "-t", "0", "--json"]].concat();
    let alone = run(detect_words(&[&path], alone), 0).json()["detections"].clone();
    assert_eq!(Value::from(own.into_iter().cloned().collect::<Vec<_>>()), alone);

    // A set for the bank alone, and one whose thresholds nothing reaches.
    kitchen.prompts("prompts: [{name: cup, texts: [cup], asif: true, threshold: 1.0}]");
    let ran = run(detect_words(&[&path], kitchen.with_bank()), 0);
    assert!(ran.stdout.contains("cup: best score 0."), "{ran}");
}

#[test]
fn replay_gives_the_same_bytes_twice_and_its_report_shows_the_pairs() {
    let kitchen = Kitchen::new();
    let out = [kitchen.home.path().join("one"), kitchen.home.path().join("two")];
    for out in &out {
        run(replay_words(&gallery(), out, kitchen.with_bank()), 0);
    }
    let lines = records(&out[0]);
    let found: Vec<_> =
        lines.iter().flat_map(|line| line["detections"].as_array().unwrap()).collect();
    let explained: Vec<_> =
        found.iter().filter(|found| found.get("explanation").is_some()).collect();
    assert!(!explained.is_empty() && explained.len() < found.len());
    explained.iter().for_each(|found| check_explanation(found));
    let bytes = |out: &Path| fs::read(out.join("detections.jsonl")).unwrap();
    assert_eq!(bytes(&out[0]), bytes(&out[1]));
    let page = fs::read_to_string(out[0].join("report.html")).unwrap();
    assert!(page.contains("since it looks like"));
    assert!(page.contains("a cat on dog"));
    // The bank decides what is found: with another one an earlier run is not gone on with.
    run(words!["bank", "remove", kitchen.bank(), "--id", "3"], 0);
    let again = [kitchen.with_bank(), words!["--resume"]].concat();
    run(replay_words(&gallery(), &out[0], again), 2).says(&["bank"]);
}

#[test]
fn what_cannot_be_grounded_is_refused_with_its_reason() {
    let kitchen = Kitchen::new();
    let path = picture("square.png");
    let file = kitchen.prompts(PROMPTS);
    let refused = |more: Vec<OsString>, reasons: &[&str]| {
        let words = [words!["--prompts", file, "-t", "0"], more].concat();
        run(detect_words(&[&path], words), 2).says(reasons);
    };
    refused(Vec::new(), &["\"cup\": asif: no bank is configured", "\"dog\": asif: no bank"]);
    let bank = || words!["--param", format!("bank={}", kitchen.bank().display())];
    let param = |name: &str, value: &Path| {
        [bank(), words!["--param", format!("{name}={}", value.display())]].concat()
    };
    let other = fixture("owlv2_tiny");
    refused(
        param("bank_image_encoder", &other),
        &["made with other encoders", "owlvit_tiny (sha256", "owlv2_tiny (sha256"],
    );
    refused(param("bank_text_encoder", &other), &["to encode texts", "owlv2"]);
    let nowhere = kitchen.home.path().join("nowhere");
    refused(words!["--param", format!("bank={}", nowhere.display())], &["is not a bank"]);
    let clipseg = fixture("clipseg_tiny");
    let words = [words!["detect", path, "--model", clipseg, "--prompts", file], bank()].concat();
    run(words, 2).says(&["bank: expected a detector that proposes regions", "clipseg"]);

    // Too long for the bank's text encoder, twice one name: all at once.
    kitchen.prompts(
        "prompts: [{name: cup, texts: [a cat on a dog on a cup], asif: true}, \
         {name: dog, texts: [red red red red red], asif: true}]",
    );
    refused(bank(), &["\"cup\": \"a cat on a dog on a cup\" has", "takes 6", "\"dog\": \"red red"]);

    kitchen.prompts(PROMPTS);
    let stored = kitchen.bank().join("embeddings-0-1.safetensors");
    let whole = fs::read(&stored).unwrap();
    fs::write(&stored, &whole[..whole.len() - 4]).unwrap();
    refused(bank(), &["embeddings-0-1.safetensors is damaged"]);
}

/// True boxes are named by the bank, each as it is when it is looked at alone.
#[test]
fn eval_measures_a_bank_by_true_boxes() {
    let kitchen = Kitchen::new();
    let data = kitchen.home.path().join("data");
    fs::create_dir(&data).unwrap();
    fs::copy(picture("square.png"), data.join("square.png")).unwrap();
    let boxes = [[2.0, 3.0, 20.0, 25.0], [30.0, 10.0, 30.0, 40.0]];
    let annotation = |id: usize| {
        json!({ "id": id, "image_id": 1, "category_id": id, "bbox": boxes[id - 1], "iscrowd": 0,
                "area": boxes[id - 1][2] * boxes[id - 1][3] })
    };
    let dataset = json!({
        "images": [{ "id": 1, "file_name": "square.png", "width": 64, "height": 64 }],
        "categories": [{ "id": 1, "name": "cup" }, { "id": 2, "name": "dog" }],
        "annotations": [annotation(1), annotation(2)],
    });
    fs::write(data.join("annotations.json"), dataset.to_string()).unwrap();
    let prompts = kitchen.prompts(
        "prompts: [{name: cup, texts: [a red cup], asif: true}, \
         {name: dog, texts: [dog], asif: true}]",
    );
    let out = kitchen.home.path().join("out");
    let eval = |more: Vec<OsString>| {
        let mut all = words!["eval", data, "--true-boxes", "--model", fixture("owlvit_tiny")];
        all.extend(words!["--prompts", prompts, "--out", out, "--overwrite", "--min-score", "0"]);
        all.extend(words!["-t", "0"]);
        all.extend(more);
        all
    };
    let bank = || words!["--param", format!("bank={}", kitchen.bank().display())];
    run(eval([bank(), words!["--param", "names_per_box=2"]].concat()), 0);
    let found: Value =
        serde_json::from_slice(&fs::read(out.join("results.json")).unwrap()).unwrap();
    let found = found.as_array().unwrap();
    assert_eq!(found.len(), 4, "two names for each of two boxes: {found:?}");
    for area in boxes {
        let of_box: Vec<_> = found.iter().filter(|one| one["bbox"] == json!(area)).collect();
        assert_eq!(of_box.len(), 2);
        assert_ne!(of_box[0]["category_id"], of_box[1]["category_id"]);
    }
    run(eval(Vec::new()), 2).says(&["expected a segmenter", "or a bank"]);
    let both = words!["--param", format!("segmenter={}", fixture("sam_tiny").display())];
    run(eval([bank(), both].concat()), 2).says(&["one of the two"]);
    kitchen.prompts("prompts: [cup, {name: dog, texts: [dog], asif: true}]");
    run(eval(bank()), 2).says(&["expected every prompt to be looked up in it"]);
}

#[test]
fn regions_may_come_from_the_segmenter() {
    let kitchen = Kitchen::new();
    let path = picture("square.png");
    let by = || words!["--param", "bank_regions_by=segmenter"];
    let sam = words!["--param", format!("segmenter={}", fixture("sam_tiny").display()), "--json"];
    let look = |more: Vec<OsString>| {
        let words = [kitchen.with_bank(), sam.clone(), more].concat();
        let found = run(detect_words(&[&path], words), 0).json()["detections"].clone();
        found.as_array().unwrap().clone()
    };
    let (by_detector, by_segmenter) = (look(Vec::new()), look(by()));
    let parted = |found: &[Value]| -> (Vec<Value>, Vec<Value>) {
        found.iter().cloned().partition(|found| found["prompt"] == "a cat")
    };
    let (own, of_bank) = parted(&by_segmenter);
    assert!(!of_bank.is_empty(), "{by_segmenter:?}");
    for detection in &of_bank {
        check_explanation(detection);
        assert!(detection["mask"].is_object(), "{detection}");
    }
    // The detector's own stay the same; the regions are others.
    let before = parted(&by_detector);
    assert_eq!(own, before.0);
    assert_ne!(of_bank, before.1);
    // A set for the bank alone needs no pass of the detector.
    kitchen.prompts("prompts: [{name: cup, texts: [a red cup], asif: true}]");
    assert!(!look(by()).is_empty());
    let words = [kitchen.with_bank(), by()].concat();
    run(detect_words(&[&path], words), 2).says(&["bank_regions_by: expected a segmenter"]);
}

#[test]
fn a_bank_may_start_empty() {
    let kitchen = Kitchen::new();
    let empty = kitchen.home.path().join("empty");
    let encoders = words!["--image-encoder", fixture("owlvit_tiny")];
    let encoders = [encoders, words!["--text-encoder", kitchen.home.path().join("bert")]].concat();
    let made = run([words!["bank", "build", "--empty", "--out", empty], encoders].concat(), 0);
    assert_eq!(made.stdout, "0 pairs added; the bank has 0\n");
    kitchen.prompts(PROMPTS);
    let file = kitchen.home.path().join("prompts.yaml");
    let bank = format!("bank={}", empty.display());
    let words = words!["--prompts", file, "-t", "0", "--param", bank, "--json"];
    let found = run(detect_words(&[&picture("square.png")], words), 0).json();
    let found = found["detections"].as_array().unwrap();
    assert!(!found.is_empty() && found.iter().all(|found| found["prompt"] == "a cat"));
}
