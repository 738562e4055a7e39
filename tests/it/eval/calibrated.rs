//! Thresholds that are chosen, and the prompts file that carries them.

use std::fs;

use owlet::config::prompts;
use serde_json::json;

use super::data::{NAMES, data, read};
use crate::cli::{detect_words, run, words};

#[test]
fn chosen_thresholds_are_written_and_detect_takes_them() {
    let data = data();
    let out = data.out("out");
    let copy = data.out("copy.yaml");
    let more = words!["--out", out, "--calibrate-every", "2", "--prompts-out", copy];
    let ran = data.eval(more, 0);
    assert!(ran.stdout.contains("at the chosen thresholds"), "{}", ran.stdout);
    let record = read(&out.join("eval.json"));
    // Pictures 2 and 4 are set aside.
    assert_eq!(record["dataset"]["images"], 2);
    assert_eq!(record["dataset"]["objects"], data.objects(|image| image % 2 == 1));
    assert_eq!(record["calibration"]["every"], 2);
    assert_eq!(record["calibration"]["objects"], data.objects(|image| image % 2 == 0));

    let file = out.join("prompts.yaml");
    assert_eq!(fs::read(&file).unwrap(), fs::read(&copy).unwrap());
    let chosen = prompts::read(&file).unwrap();
    for (at, prompt) in chosen.iter().enumerate() {
        assert_eq!(
            (prompt.name.as_str(), prompt.texts.as_slice()),
            (NAMES[at], &[NAMES[at].to_owned()][..])
        );
        let threshold = f64::from(prompt.threshold.unwrap());
        let recorded = record["prompts"][at]["calibrated"]["threshold"].as_f64().unwrap();
        assert!((threshold - recorded).abs() < 1e-6 && threshold > 0.001, "{threshold} {recorded}");
    }
    let found =
        run(detect_words(&[&data.picture("square.png")], words!["--prompts", file, "--json"]), 0);
    let found = found.json();
    for detection in found["detections"].as_array().unwrap() {
        let prompt = chosen.iter().find(|one| one.name == detection["prompt"]).unwrap();
        assert!(detection["score"].as_f64().unwrap() > f64::from(prompt.threshold.unwrap()));
    }
}

#[test]
fn prompts_with_nothing_to_go_by_keep_their_threshold_and_are_named() {
    let mut data = data();
    let objects = data.annotations["annotations"].as_array_mut().unwrap();
    objects.retain(|one| one["category_id"] != 30 || one["image_id"] == 1);
    data.save();
    let out = data.out("out");
    let more = words!["--out", out, "--calibrate-every", "2", "--threshold", "0.25"];
    let ran = data.eval(more, 0);
    ran.says(&[
        "\"left hand\" keeps its threshold 0.25: no object of it in the calibration images",
    ]);
    let record = read(&out.join("eval.json"));
    assert_eq!(record["calibration"]["kept"][0]["prompt"], "left hand");
    assert_eq!(record["prompts"][2]["calibrated"]["threshold"], json!(0.25));
    let text = fs::read_to_string(out.join("prompts.yaml")).unwrap();
    assert!(text.contains("# Kept as it was: \"left hand\""), "{text}");
    assert_eq!(prompts::read(&out.join("prompts.yaml")).unwrap()[2].threshold, Some(0.25));
}

#[test]
fn another_dataset_can_be_the_one_to_choose_on() {
    let data = data();
    let mut other = super::data::data();
    // Other ids, in another order.
    for (at, category) in
        other.annotations["categories"].as_array_mut().unwrap().iter_mut().enumerate()
    {
        category["id"] = json!(9 - at);
    }
    for object in other.annotations["annotations"].as_array_mut().unwrap() {
        object["category_id"] = json!(10 - object["category_id"].as_u64().unwrap() / 10);
    }
    other.save();
    let out = data.out("out");
    let run_with = |calibration: &std::path::Path| {
        let more = words!["--out", out, "--overwrite", "--calibrate", calibration, "--json"];
        data.eval(more, 0).json()
    };
    let (own, reordered) = (run_with(data.path()), run_with(other.path()));
    assert_eq!(own["dataset"]["images"], 4);
    assert_eq!(own["calibration"]["images"], 4);
    for at in 0..NAMES.len() {
        assert_eq!(own["prompts"][at]["calibrated"], reordered["prompts"][at]["calibrated"]);
    }
    // Chosen on the same objects: no threshold for all is better.
    let f1 = |record: &serde_json::Value, key: &str| record[key]["f1"].as_f64().unwrap();
    assert!(f1(&own, "calibrated") >= f1(&own, "at_threshold"));

    other.annotations["categories"][0]["name"] = json!("bird");
    other.save();
    let refused = data.eval(words!["--out", data.out("no"), "--calibrate", other.path()], 2);
    refused.says(&["--calibrate:", "found \"bird\" on top", "found no \"cat\""]);
    let refused = data.eval(words!["--out", data.out("no"), "--prompts-out", "p.yaml"], 2);
    refused.says(&["--prompts-out: expected --calibrate or --calibrate-every"]);
    let refused = data.eval(words!["--out", data.out("no"), "--calibrate-every", "5"], 2);
    refused.says(&["--calibrate-every: expected at most the number of images, which is 4"]);
}
