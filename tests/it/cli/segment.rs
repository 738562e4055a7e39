//! `owlet segment`, and what a model of the other task is told.

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use image::{DynamicImage, GenericImageView};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{checkpoint, keys, names_in, picture, run, words};
use crate::golden_models::{facts, fixture};

fn segment_words(images: &[&Path], out: &Path, more: Vec<OsString>) -> Vec<OsString> {
    let mut words = words!["segment", "--model", fixture("clipseg_tiny"), "--out", out];
    words.extend(images.iter().map(OsString::from));
    words.extend(more);
    words
}

/// From the picture to the files, with the masks of the reference.
#[test]
fn every_file_is_as_documented_and_the_masks_are_the_references() {
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("out");
    let (wide, tall) = (picture("landscape.png"), picture("portrait.png"));
    let golden = facts(&fixture("clipseg_tiny/goldens/landscape.safetensors"));
    let prompts = folder.path().join("prompts.yaml");
    // A threshold for each, between two scores; for the other picture they are as good as any.
    let threshold = |index: usize| golden["masks"][index]["threshold"].as_f64().unwrap();
    fs::write(
        &prompts,
        format!(
            "prompts:\n  - {{name: cat, texts: [a cat], threshold: {}}}\n  - {{name: hand, texts: \
             [the left hand], threshold: {}}}\n",
            threshold(0),
            threshold(1)
        ),
    )
    .unwrap();
    let more = words!["--prompts", prompts, "--score-maps", "--json"];
    let ran = run(segment_words(&[&wide, &tall], &out, more), 0);
    let lines = fs::read_to_string(out.join("segments.jsonl")).unwrap();
    assert_eq!(lines, ran.stdout, "the same lines in the file and on stdout");
    let objects = ran.json_lines();
    assert_eq!(objects.len(), 2);
    let mut names = vec!["segments.jsonl".to_owned()];
    for (index, (object, path)) in objects.iter().zip([&wide, &tall]).enumerate() {
        let stem = path.file_stem().unwrap().to_str().unwrap();
        let name = |ending: &str| format!("{:03}_{stem}_{ending}", index + 1);
        names.extend(["mask.png", "overlay.jpg", "score_1.png", "score_2.png"].map(name));
        let (width, height) = image::image_dimensions(path).unwrap();
        check_object(object, (width, height), (&name("mask.png"), &name("overlay.jpg")));
        let open = |name: &str| image::open(out.join(name)).unwrap();
        let DynamicImage::ImageLuma8(classes) = open(&name("mask.png")) else { panic!("mono8") };
        assert_eq!(classes.dimensions(), (width, height));
        let overlay = fs::read(out.join(name("overlay.jpg"))).unwrap();
        assert!(overlay.starts_with(&[0xff, 0xd8]), "a JPEG");
        for segment in object["segments"].as_array().unwrap() {
            let label = segment["label"].as_u64().unwrap() as u8;
            let file = name(&format!("score_{label}.png"));
            let DynamicImage::ImageLuma16(scores) = open(&file) else { panic!("mono16") };
            let threshold = segment["threshold"].as_f64().unwrap() * 65535.0;
            let count = scores.pixels().filter(|score| f64::from(score.0[0]) > threshold).count();
            // Levels are rounded: a few pixels lie on the threshold's own level.
            let area = segment["area_px"].as_u64().unwrap();
            assert!(area.abs_diff(count as u64) <= 5, "{count} pixels, area {area}");
            for (x, y, class) in
                classes.enumerate_pixels().filter(|(.., class)| class.0[0] == label)
            {
                let score = f64::from(scores.get_pixel(x, y).0[0]);
                assert!(score + 1.0 > threshold, "{class:?} at {x},{y}");
            }
        }
    }
    names.sort();
    assert_eq!(names_in(&out), names);
    for (segment, expected) in
        objects[0]["segments"].as_array().unwrap().iter().zip(golden["masks"].as_array().unwrap())
    {
        let rle = json!({"size": expected["size"], "counts": expected["counts"]});
        assert_eq!(segment["rle"], rle);
        assert_eq!(segment["area_px"], expected["area_px"]);
    }
}

fn check_object(object: &Value, (width, height): (u32, u32), (mask, overlay): (&str, &str)) {
    assert_eq!(keys(object), ["image", "width", "height", "model", "mask", "overlay", "segments"]);
    assert_eq!((&object["mask"], &object["overlay"]), (&json!(mask), &json!(overlay)));
    assert_eq!((&object["width"], &object["height"]), (&json!(width), &json!(height)));
    let segments = object["segments"].as_array().unwrap();
    for (index, (segment, name)) in segments.iter().zip(["cat", "hand"]).enumerate() {
        assert_eq!(
            keys(segment),
            ["prompt", "label", "score", "threshold", "area_px", "box_px", "centroid_px", "rle"]
        );
        assert_eq!((&segment["prompt"], &segment["label"]), (&json!(name), &json!(index + 1)));
        assert_eq!(segment["rle"]["size"], json!([height, width]));
        if segment["area_px"] == 0 {
            assert!(segment["box_px"].is_null() && segment["centroid_px"].is_null());
        } else {
            let [x0, y0, x1, y1]: [f64; 4] =
                serde_json::from_value(segment["box_px"].clone()).unwrap();
            let [x, y]: [f64; 2] = serde_json::from_value(segment["centroid_px"].clone()).unwrap();
            assert!(0.0 <= x0 && x0 < x && x < x1 && x1 <= f64::from(width), "{segment}");
            assert!(0.0 <= y0 && y0 < y && y < y1 && y1 <= f64::from(height), "{segment}");
        }
    }
    assert_eq!(segments.len(), 2);
}

#[test]
fn the_table_says_what_was_found_and_how_far_the_rest_stayed_below() {
    let folder = TempDir::new().unwrap();
    let path = picture("square.png");
    let prompts = folder.path().join("prompts.yaml");
    let text = "prompts:\n  - a cat\n  - {name: hand, texts: [the left hand], threshold: 1}\n";
    fs::write(&prompts, text).unwrap();
    let out = folder.path().join("out");
    let ran = run(segment_words(&[&path], &out, words!["--prompts", prompts]), 0);
    let line: Value =
        serde_json::from_str(&fs::read_to_string(out.join("segments.jsonl")).unwrap()).unwrap();
    let (cat, hand) = (&line["segments"][0], &line["segments"][1]);
    let lines: Vec<_> = ran.stdout.lines().collect();
    assert!(lines[0].ends_with("square.png (64x64)"), "{ran}");
    let row: Vec<_> = lines[2].split_whitespace().collect();
    let score = |of: &Value| format!("{:.3}", of["score"].as_f64().unwrap());
    assert_eq!(row[..4], ["a", "cat", "1", &score(cat)]);
    assert_eq!(row[4], cat["area_px"].to_string());
    assert_eq!(cat["threshold"], 0.5, "unless something else is asked for");
    let below = format!("  hand: nothing; best score {}, threshold 1", score(hand));
    assert_eq!(lines[3], below);

    // What was asked for wins.
    let words = words!["-p", "a cat", "--threshold", "0.25", "--json", "--overwrite"];
    let ran = run(segment_words(&[&path], &out, words), 0);
    let found = &ran.json()["segments"][0];
    assert_eq!(found["threshold"], 0.25);
    assert!(found["area_px"].as_u64() > cat["area_px"].as_u64());
    let config = folder.path().join("owlet.yaml");
    fs::write(&config, "/**:\n  ros__parameters:\n    threshold: 0.75\n").unwrap();
    let words = words!["-p", "a cat", "--config", config, "--json", "--overwrite"];
    let ran = run(segment_words(&[&path], &out, words), 0);
    assert_eq!(ran.json()["segments"][0]["threshold"], 0.75);
}

#[test]
fn results_of_an_earlier_run_are_replaced_only_where_that_is_asked_for() {
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("out");
    let (wide, tall) = (picture("landscape.png"), picture("portrait.png"));
    run(segment_words(&[&wide, &tall], &out, words!["-p", "cat", "--score-maps"]), 0);
    fs::write(out.join("notes.txt"), "mine").unwrap();
    let before = names_in(&out);
    let ran = run(segment_words(&[&tall], &out, words!["-p", "cat"]), 2);
    ran.says(&["segments.jsonl", "--overwrite"]);
    assert_eq!(names_in(&out), before);
    run(segment_words(&[&tall], &out, words!["-p", "cat", "--overwrite"]), 0);
    let expected =
        ["001_portrait_mask.png", "001_portrait_overlay.jpg", "notes.txt", "segments.jsonl"];
    assert_eq!(names_in(&out), expected);
    let lines = fs::read_to_string(out.join("segments.jsonl")).unwrap();
    assert_eq!(lines.lines().count(), 1);
}

#[test]
fn a_picture_that_cannot_be_read_costs_the_others_nothing() {
    let folder = TempDir::new().unwrap();
    let (missing, good) = (folder.path().join("missing.png"), picture("square.png"));
    let out = folder.path().join("out");
    let ran = run(segment_words(&[&missing, &good], &out, words!["-p", "cat", "--json"]), 3);
    assert_eq!(ran.json_lines().len(), 1);
    ran.says(&["missing.png: No such file"]);
    // The position is that of the picture on the command line.
    assert!(out.join("002_square_mask.png").exists());
    let nowhere = folder.path().join("nowhere");
    run(segment_words(&[&missing], &nowhere, words!["-p", "cat"]), 1).says(&["missing.png"]);
    assert!(!nowhere.exists(), "nothing was made for nothing");
}

#[test]
fn a_model_of_another_task_is_refused_or_does_what_it_can() {
    let folder = TempDir::new().unwrap();
    let (image, out) = (picture("square.png"), folder.path().join("out"));
    for model in ["owlvit_tiny", "owlv2_tiny"] {
        let model = fixture(model);
        let words = words!["segment", image, "--model", model, "-p", "cat", "--out", out];
        run(words, 2).says(&["is a detector", "`owlet detect`", "owlet pull clipseg-rd64-refined"]);
    }
    // With no --model it is the one that comes with Owlet.
    run(words!["segment", image, "-p", "cat", "--out", out], 2).says(&["is a detector (owlvit)"]);
    assert!(!out.exists());
    for (architecture, folder) in [("clipseg", "clipseg_tiny"), ("groupvit", "groupvit_tiny")] {
        let told = format!("is a segmenter ({architecture}): expected a detector to measure");
        run(words!["check", "--model", fixture(folder)], 2).says(&[&told]);
    }
    // Detections of a segmenter are the boxes around its masks.
    let words = words!["detect", image, "--model", fixture("clipseg_tiny"), "-p", "cat", "--json"];
    assert!(run(words, 0).json()["detections"][0]["mask"]["area_px"].as_u64() > Some(0));
    let words = words!["detect", image, "--model", fixture("groupvit_tiny"), "-p", "cat"];
    run(words, 2).says(&["expected at least two prompts, found one"]);
    let encoder = fixture("clip_tiny");
    run(words!["detect", image, "--model", encoder, "-p", "cat"], 2).says(&["is an encoder"]);
    let words = words!["segment", image, "--model", encoder, "-p", "cat", "--out", out];
    run(words, 2).says(&["is an encoder (clip)"]);
    // What is neither is told so when it is loaded.
    let other = checkpoint("clipseg_tiny");
    let config = other.path().join("config.json");
    fs::write(&config, r#"{"model_type": "siglip"}"#).unwrap();
    let words = words!["segment", image, "--model", other.path(), "-p", "cat", "--out", out];
    run(words, 1).says(&["expected model_type clipseg, found \"siglip\""]);
}

#[test]
fn the_architecture_of_the_checkpoint_picks_the_segmenter() {
    let folder = TempDir::new().unwrap();
    let (image, out) = (picture("landscape.png"), folder.path().join("out"));
    let words = |prompts: &[&str]| {
        let model = fixture("groupvit_tiny");
        let mut words = words!["segment", image, "--model", model, "--out", out, "--json"];
        words.extend(prompts.iter().flat_map(|prompt| words!["-p", prompt]));
        words
    };
    run(words(&["a cat"]), 2).says(&["at least two prompts, found one"]);
    let found = run(words(&["a cat", "the left hand", "red"]), 0).json();
    assert_eq!(found["segments"].as_array().unwrap().len(), 3);
    let covered: u64 =
        found["segments"].as_array().unwrap().iter().map(|s| s["area_px"].as_u64().unwrap()).sum();
    // Above one half there is one prompt at most.
    assert!(covered <= 213 * 140, "{covered}");
}

#[test]
fn prompts_are_refused_with_every_reason() {
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("out");
    let too_long = "a cat ".repeat(20);
    let words = words!["-p", too_long, "-p", "cat", "-p", "cat"];
    let ran = run(segment_words(&[&picture("square.png")], &out, words), 2);
    ran.says(&["42 tokens", "at most 16", "used twice"]);
    run(segment_words(&[&picture("square.png")], &out, vec![]), 2).says(&["nothing to look for"]);
    assert!(!out.join("segments.jsonl").exists());
}

#[test]
fn the_mask_of_a_single_pixel_is_a_pixel() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("dot.png");
    image::RgbImage::from_pixel(1, 1, image::Rgb([200, 10, 10])).save(&path).unwrap();
    let out = folder.path().join("out");
    let words = words!["-p", "cat", "--threshold", "0", "--json"];
    let found = run(segment_words(&[&path], &out, words), 0).json()["segments"][0].clone();
    assert_eq!((&found["area_px"], &found["box_px"]), (&json!(1), &json!([0.0, 0.0, 1.0, 1.0])));
    assert_eq!(found["rle"], json!({"size": [1, 1], "counts": "01"}));
    let mask = image::open(out.join("001_dot_mask.png")).unwrap();
    assert_eq!((mask.dimensions(), mask.as_luma8().unwrap().get_pixel(0, 0).0), ((1, 1), [1]));
}
