//! `owlet teach`: show, name, find.

use std::fs;

use owlet::config::prompts;
use tempfile::TempDir;

use super::{gallery, picture, run, words};
use crate::bad_pictures::{cut_png, giant_jpeg};
use crate::golden_models::fixture;

#[test]
fn a_thing_that_was_shown_is_found_by_its_name() {
    let home = TempDir::new().unwrap();
    let file = home.path().join("workshop.yaml");
    let model = fixture("owlv2_tiny");
    let teach = |input: &std::path::Path, name: &str| {
        words!["teach", input, "--name", name, "--prompts", file, "-m", model]
    };
    // A whole picture, then a box in a frame of a recording, under one name and another.
    let shown = picture("landscape.png");
    let told = run(teach(&shown, "Käuzchen"), 0).stdout;
    assert!(told.contains("Käuzchen: shown in [0, 0, 213, 140] of 213x140 pixels"), "{told}");
    assert!(told.contains("found again with score"), "{told}");
    assert!(told.contains("1 exemplars of this name, 1 prompts"), "{told}");
    assert_eq!(fs::read(home.path().join("k-uzchen-1.png")).unwrap(), fs::read(&shown).unwrap());
    let mut frame = teach(&gallery(), "frame");
    frame.extend(words!["--at", "0.1"]);
    run(frame, 0);
    run(teach(&picture("portrait.png"), "Käuzchen"), 0);

    let read = prompts::read(&file).unwrap();
    let counts: Vec<_> = read.iter().map(|p| (p.name.as_str(), p.exemplars.len())).collect();
    assert_eq!(counts, [("Käuzchen", 2), ("frame", 1)]);
    let detect = words!["detect", shown, "-m", model, "--prompts", file, "-t", "0", "--json"];
    let found = run(detect, 0).json();
    let names: Vec<_> =
        found["detections"].as_array().unwrap().iter().map(|found| &found["prompt"]).collect();
    assert!(names.iter().any(|name| *name == "Käuzchen"), "{names:?}");
}

#[test]
fn what_cannot_be_taught_is_refused_and_leaves_no_file() {
    let home = TempDir::new().unwrap();
    let file = home.path().join("prompts.yaml");
    let model = fixture("owlvit_tiny");
    let shown = picture("landscape.png");
    let teach = |more: Vec<std::ffi::OsString>| {
        let mut all = words!["teach", shown, "--prompts", file, "-m", model];
        all.extend(more);
        all
    };
    for (more, code, expected) in [
        (words!["-n", "x", "--box", "0,0,900,20"], 2, "is not inside its picture of 213x140"),
        (words!["-n", "x", "--box", "9,9,9,20"], 2, "has no pixel"),
        (words!["-n", "x", "--box", "0,0,213,1"], 2, "the model sees no object there"),
        (words!["-n", "x", "--box", "nan,0,20,20"], 2, "expected 4 numbers"),
        (words!["-n", " "], 2, "the prompt is empty"),
        (words!["-n", "x", "--box", "1,2,3"], 2, "--box"),
    ] {
        run(teach(more), code).says(&[expected]);
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0, "{expected}");
    }
    for (name, expected) in [("cut.png", "the PNG cannot be decoded"), ("giant.jpg", "65500x65500")]
    {
        let path = home.path().join(name);
        fs::write(&path, if name == "cut.png" { cut_png() } else { giant_jpeg() }).unwrap();
        let told = words!["teach", path, "-n", "x", "--prompts", file, "-m", model];
        run(told, 1).says(&[name, expected]);
        fs::remove_file(path).unwrap();
    }
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
    let mut late = words!["teach", gallery(), "-n", "x", "--at", "900", "--prompts", file];
    late.extend(words!["-m", model]);
    run(late, 2).says(&["has no picture so late"]);
    fs::write(&file, "prompts: [{nmae: a}]").unwrap();
    run(teach(words!["-n", "x"]), 2).says(&["did you mean \"name\""]);
}
