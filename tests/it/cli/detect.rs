//! `owlet detect` on pictures that can be read, and among some that cannot.

use std::fs;
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use super::{detect_words, keys, names, odd_name, picture, run, scores, words};
use crate::golden_models::fixture;

/// Keys, order and ranges of one object of `--json`.
fn check_object(object: &Value, (width, height): (u64, u64), keys_of_detections: &[&str]) {
    assert_eq!(keys(object), ["image", "width", "height", "model", "detections"]);
    assert_eq!((object["width"].as_u64(), object["height"].as_u64()), (Some(width), Some(height)));
    let detections = &object["detections"];
    let scores = scores(detections);
    assert!(!scores.is_empty());
    assert!(scores.is_sorted_by(|a, b| a >= b), "{scores:?}");
    for detection in detections.as_array().unwrap() {
        assert_eq!(keys(detection), keys_of_detections);
        let corners: Vec<f64> = serde_json::from_value(detection["box_px"].clone()).unwrap();
        let [x0, y0, x1, y1] = corners.try_into().unwrap();
        assert!(0.0 <= x0 && x0 < x1 && x1 <= width as f64, "{detection}");
        assert!(0.0 <= y0 && y0 < y1 && y1 <= height as f64, "{detection}");
        assert!((0.1..=1.0).contains(&detection["score"].as_f64().unwrap()), "{detection}");
    }
}

#[test]
fn json_is_one_object_for_each_picture_as_documented() {
    let (wide, tall) = (picture("landscape.png"), picture("portrait.png"));
    let more = words!["-p", "cat", "-p", "a dog", "--json"];
    let ran = run(detect_words(&[&wide, &tall], more), 0);
    let objects = ran.json_lines();
    let sizes = [&wide, &tall].map(|path| image::image_dimensions(path).unwrap());
    assert_ne!(sizes[0].0, sizes[0].1, "a picture that is not square");
    for ((object, path), (width, height)) in objects.iter().zip([&wide, &tall]).zip(sizes) {
        assert_eq!(object["image"], *path.to_str().unwrap());
        assert_eq!(object["model"], *fixture("owlvit_tiny").to_str().unwrap());
        check_object(object, (width.into(), height.into()), &["prompt", "score", "box_px"]);
    }
    assert_eq!(objects.len(), 2);
    let mut found = names(&objects[0]["detections"]);
    found.sort_unstable();
    found.dedup();
    assert_eq!(found, ["a dog", "cat"]);
}

#[test]
fn models_with_objectness_say_it() {
    let strip = picture("strip.png");
    let model = fixture("owlv2_tiny");
    let ran = run(words!["detect", strip, "--model", model, "-p", "cat", "--json"], 0);
    let (width, height) = image::image_dimensions(&strip).unwrap();
    let keys = ["prompt", "score", "box_px", "objectness"];
    check_object(&ran.json(), (width.into(), height.into()), &keys);
}

#[test]
fn the_table_names_each_picture_and_what_was_found() {
    let path = picture("square.png");
    let ran = run(detect_words(&[&path], words!["-p", "cat", "--threshold", "0.3"]), 0);
    let json = run(detect_words(&[&path], words!["-p", "cat", "--threshold", "0.3", "--json"]), 0);
    let best = json.json()["detections"][0].clone();
    let mut lines = ran.stdout.lines();
    let (width, height) = image::image_dimensions(&path).unwrap();
    assert_eq!(lines.next().unwrap(), format!("{} ({width}x{height})", path.display()));
    let header: Vec<_> = lines.next().unwrap().split_whitespace().collect();
    assert_eq!(header, ["prompt", "score", "x0", "y0", "x1", "y1"]);
    let row: Vec<_> = lines.next().unwrap().split_whitespace().collect();
    let mut expected = vec!["cat".to_owned(), format!("{:.3}", best["score"].as_f64().unwrap())];
    for corner in best["box_px"].as_array().unwrap() {
        expected.push(format!("{:.1}", corner.as_f64().unwrap()));
    }
    assert_eq!(row, expected);
}

#[test]
fn where_nothing_is_found_each_prompt_says_how_far_it_stayed_below() {
    let path = picture("square.png");
    let all = run(detect_words(&[&path], words!["-p", "cat", "--threshold", "0", "--json"]), 0);
    let best = scores(&all.json()["detections"])[0];
    // Twice: what was needed for the reason must not be in force for the next picture.
    let more = words!["-p", "cat", "--threshold", "1"];
    let nothing = run(detect_words(&[&path, &path], more), 0);
    let (width, height) = image::image_dimensions(&path).unwrap();
    let expected = format!(
        "{} ({width}x{height})\n  nothing reached its threshold\n  cat: best score {best:.3}, \
         threshold 1\n\n",
        path.display()
    );
    assert_eq!(nothing.stdout, expected.repeat(2));
    let json = run(detect_words(&[&path], words!["-p", "cat", "--threshold", "1", "--json"]), 0);
    assert_eq!(json.json()["detections"], Value::Array(Vec::new()));
}

#[test]
fn a_picture_that_cannot_be_read_costs_the_others_nothing() {
    let folder = TempDir::new().unwrap();
    let no_picture = folder.path().join("notes.png");
    fs::write(&no_picture, "words").unwrap();
    let (missing, good) = (folder.path().join("missing.png"), picture("square.png"));
    let more = || words!["-p", "cat", "--json"];

    let ran = run(detect_words(&[&missing, &good, &no_picture], more()), 3);
    let objects = ran.json_lines();
    assert_eq!(objects.len(), 1);
    assert_eq!(objects[0]["image"], *good.to_str().unwrap());
    ran.says(&["missing.png: No such file", "notes.png: "]);
    assert_eq!(ran.errors(), 2, "{ran}");

    // Broken ones that are there, ones that are not, and a folder: nothing is left.
    let all: [&[&Path]; 2] =
        [&[&missing, &no_picture], &[&missing, folder.path(), Path::new("/nonexistent")]];
    for images in all {
        let ran = run(detect_words(images, more()), 1);
        assert_eq!(ran.stdout, "");
        assert_eq!(ran.errors(), images.len() + 1, "{ran}");
        assert!(ran.stderr.ends_with("error: none of the pictures could be worked on\n"), "{ran}");
    }
    for image in [&missing, &no_picture] {
        let ran = run(detect_words(&[image], more()), 1);
        ran.says(&[image.to_str().unwrap()]);
        assert_eq!(ran.errors(), 1, "the reason is the last line: {ran}");
    }
}

#[test]
fn names_that_are_no_text_are_read_and_shown_as_far_as_they_can_be() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join(odd_name());
    fs::copy(picture("square.png"), &path).unwrap();
    let out = folder.path().join("out");
    let more = words!["-p", "cat", "--json", "--overlay", out];
    let ran = run(detect_words(&[&path], more), 0);
    assert!(ran.json()["image"].as_str().unwrap().ends_with("/k\u{fffd}che.png"));
    assert_eq!(super::names_in(&out), ["001_k\u{fffd}che.png"]);
}

/// The lowest score that came through.
fn lowest(more: Vec<std::ffi::OsString>) -> f64 {
    let ran = run(detect_words(&[&picture("square.png")], more), 0);
    *scores(&ran.json()["detections"]).last().unwrap()
}

#[test]
fn an_option_wins_over_param_over_the_file_over_the_default() {
    let folder = TempDir::new().unwrap();
    let config = folder.path().join("owlet.yaml");
    fs::write(
        &config,
        "/**:\n  ros__parameters:\n    threshold: 0.5\n    prompts: [cat, a dog]\n    max_detections: 7\n",
    )
    .unwrap();
    let all = lowest(words!["-p", "cat", "--json", "--threshold", "0"]);
    assert!(all < 0.1, "there must be something to leave out: {all}");
    let by_default = lowest(words!["-p", "cat", "--json"]);
    assert!((0.1..0.2).contains(&by_default), "{by_default}");
    let with = |more: Vec<std::ffi::OsString>| {
        let words = [words!["--json", "--config", config], more].concat();
        run(detect_words(&[&picture("square.png")], words), 0).json()["detections"].clone()
    };
    let of_file = with(words!["--param", "max_detections=100"]);
    assert!(*scores(&of_file).last().unwrap() >= 0.5, "{of_file}");
    let found = names(&of_file);
    assert!(found.contains(&"cat"), "prompts of the file: {found:?}");
    let limited = with(words!["--threshold", "0"]);
    assert_eq!(scores(&limited).len(), 7);

    let param = with(words!["--param", "threshold=0.3", "--param", "max_detections=100"]);
    let last = *scores(&param).last().unwrap();
    assert!((0.3..0.5).contains(&last), "{last}");
    let option = with(words![
        "--param",
        "threshold=0.3",
        "--param",
        "max_detections=100",
        "--threshold",
        "0.2"
    ]);
    let last = *scores(&option).last().unwrap();
    assert!((0.2..0.3).contains(&last), "{last}");
    // What was typed takes the place of the file's prompts.
    let typed = with(words!["-p", "a bird", "--threshold", "0"]);
    assert!(names(&typed).iter().all(|name| *name == "a bird"), "{typed}");
}
