//! `owlet segment` with boxes and points, and what models that take none are told.

use std::fs;

use image::GenericImageView;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{keys, names_in, picture, run, words};
use crate::golden_models::{facts, fixture};

fn corners(value: &Value) -> String {
    let numbers: Vec<String> = value.as_array().unwrap().iter().map(Value::to_string).collect();
    numbers.join(",")
}

/// From the picture to the files, with the masks of the reference.
#[test]
fn each_box_and_point_gets_the_mask_of_the_reference() {
    let folder = TempDir::new().unwrap();
    let (path, out) = (picture("square.png"), folder.path().join("out"));
    let passes = facts(&fixture("sam_tiny/goldens/square.safetensors"))["passes"].take();
    let mut words = words!["segment", path, "--model", fixture("sam_tiny"), "--out", out, "--json"];
    for area in passes["boxes"]["input_boxes"].as_array().unwrap() {
        words.extend(words!["--box", corners(area)]);
    }
    words.extend(words!["--point", corners(&passes["point"]["input_points"][0][0])]);
    words.extend(words!["--box", "-9,-9,0,5"]);
    let ran = run(words, 0);
    assert_eq!(fs::read_to_string(out.join("segments.jsonl")).unwrap(), ran.stdout);
    let object = ran.json();
    assert_eq!(keys(&object), ["image", "width", "height", "model", "mask", "overlay", "segments"]);
    let segments = object["segments"].as_array().unwrap();
    let names: Vec<_> = segments.iter().map(|segment| segment["prompt"].clone()).collect();
    assert_eq!(names, ["box 1", "box 2", "box 3", "box 4", "point 5"]);
    let expected = passes["boxes"]["masks"].as_array().unwrap();
    let order = [(0, &expected[0]), (1, &expected[1]), (2, &expected[2])];
    let point = (4, &passes["point"]["masks"][0]);
    for (index, expected) in order.into_iter().chain([point]) {
        let segment = &segments[index];
        assert_eq!(
            keys(segment),
            ["prompt", "label", "score", "area_px", "box_px", "centroid_px", "rle"]
        );
        // No pixel of this picture is near enough to the edge to go either way.
        assert_eq!(expected["uncertain_px"], 0);
        assert_eq!(segment["rle"], json!({"size": [64, 64], "counts": expected["counts"]}));
        assert_eq!(segment["area_px"], expected["area_px"]);
        assert_eq!(segment["label"], index + 1);
    }
    let nothing = &segments[3];
    assert_eq!((&nothing["area_px"], &nothing["score"]), (&json!(0), &json!(0.0)));
    assert!(nothing["box_px"].is_null() && nothing["centroid_px"].is_null());

    assert_eq!(names_in(&out), ["001_square_mask.png", "001_square_overlay.jpg", "segments.jsonl"]);
    // The whole of the best mask has its class; no pixel has that of the empty one.
    let classes = image::open(out.join("001_square_mask.png")).unwrap();
    assert_eq!(classes.dimensions(), (64, 64));
    let count =
        |label: u8| classes.as_luma8().unwrap().pixels().filter(|c| c.0[0] == label).count() as u64;
    let score = |segment: &&Value| (1e6 * segment["score"].as_f64().unwrap()) as i64;
    let best = segments.iter().max_by_key(score).unwrap();
    let label = best["label"].as_u64().unwrap() as u8;
    assert_eq!((count(label), count(4)), (best["area_px"].as_u64().unwrap(), 0));
}

#[test]
fn the_table_says_what_was_found_and_small_regions_go_where_asked_for() {
    let folder = TempDir::new().unwrap();
    let path = picture("portrait.png");
    let area = |more: &[&str]| {
        let out = folder.path().join(format!("out{}", more.len()));
        let mut words = words!["segment", path, "--model", fixture("sam_tiny"), "--out", out];
        words.extend(words!["--box", "0,0,120,190", "--box", "500,500,600,600"]);
        words.extend(more.iter().map(Into::into));
        let ran = run(words, 0);
        let lines: Vec<_> = ran.stdout.lines().collect();
        assert!(lines[0].ends_with("portrait.png (120x190)"), "{ran}");
        let row: Vec<_> = lines[2].split_whitespace().collect();
        assert_eq!(row[..3], ["box", "1", "1"]);
        assert!(ran.stdout.contains("  box 2: nothing\n"), "{ran}");
        row[4].parse::<u64>().unwrap()
    };
    let (drawn, cleaned) = (area(&[]), area(&["--min-region", "30"]));
    assert_ne!(drawn, cleaned);
}

#[test]
fn what_is_meant_for_texts_is_refused_all_at_once() {
    let folder = TempDir::new().unwrap();
    let (path, out) = (picture("square.png"), folder.path().join("out"));
    let words = |model: &str, more: Vec<std::ffi::OsString>| {
        let mut words = words!["segment", path, "--model", fixture(model), "--out", out];
        words.extend(more);
        words
    };
    let more = words!["--box", "1,2,3,4", "-p", "cat", "--threshold", "0.3"];
    run(words("sam_tiny", more), 2).says(&["--prompt and --prompts", "--threshold: masks of"]);
    let many: Vec<_> = (0..256).flat_map(|_| words!["--point", "1,2"]).collect();
    run(words("sam_tiny", many), 2).says(&["at most 255 for a class mask, found 256"]);
    for bad in ["1,2,3", "1,2,3,x", "1,2,3,nan", ""] {
        let ran = run(words("sam_tiny", words!["--box", bad]), 2);
        ran.says(&["expected 4 numbers with commas between them"]);
    }
    // Models of other tasks.
    let boxed = || words!["--box", "1,2,3,4"];
    run(words("clipseg_tiny", boxed()), 2).says(&["takes no boxes", "owlet pull sam-vit-base"]);
    run(words("owlvit_tiny", boxed()), 2).says(&["is a detector", "owlet pull sam-vit-base"]);
    run(words("sam_tiny", words!["-p", "cat"]), 2).says(&["reads no texts", "--box X0,Y0,X1,Y1"]);
    let detect = words!["detect", path, "--model", fixture("sam_tiny"), "-p", "cat"];
    run(detect, 2).says(&["is a segmenter (sam)", "`owlet segment --box`"]);
    assert!(!out.exists());
}
