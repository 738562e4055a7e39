//! `owlet inspect`.

use std::fs;

use tempfile::TempDir;

use super::{bags, gallery, keys, run, words};

#[test]
fn a_recording_is_told_as_a_table_and_as_json() {
    let table = run(words!["inspect", gallery()], 0);
    assert_eq!(table.stderr, "");
    let head = table.stdout.lines().next().unwrap();
    for text in ["gallery: mcap, ", "in 1 file", "48 messages in 4.6 s"] {
        assert!(head.contains(text), "{text:?} is not in {head}");
    }
    for text in ["/camera/image_raw/compressed", "640x480 jpeg", "colour", "calibration", "5.0"] {
        assert!(table.stdout.contains(text), "{text:?} is not in {table}");
    }

    let json = run(words!["inspect", gallery(), "--json"], 0).json();
    assert_eq!(json["storage"], "mcap");
    assert_eq!(json["message_count"], 48);
    let topic = &json["topics"][1];
    assert_eq!(topic["name"], "/camera/image_raw/compressed");
    assert_eq!(topic["used_as"], "color");
    assert_eq!(keys(&topic["picture"]), ["encoding", "width", "height", "frame_id"]);
    assert!(json["losses"]["losses"].as_array().unwrap().is_empty());

    let table = run(words!["inspect", gallery().with_file_name("tabletop")], 0);
    let tf = table.stdout.lines().find(|line| line.trim().starts_with("/tf "));
    assert!(tf.is_some_and(|line| line.trim().ends_with("transforms")), "{table}");

    // The file alone is a recording, too.
    let file = run(words!["inspect", gallery().join("gallery.mcap"), "--json"], 0).json();
    assert_eq!(file["message_count"], 48);
    assert_eq!(file["topics"], json["topics"]);
}

#[test]
fn what_cannot_be_used_says_why_and_names_steer_no_terminal() {
    let folder = TempDir::new().unwrap();
    let mut strange = bags::color("/cam/strange", 1);
    strange.encoding = "rgb99";
    let mut evil = bags::color("/cam/\u{1b}[31mred", 2);
    evil.encoding = "\u{7}bell";
    let depth = bags::shot("/cam/depth", "16UC1", 2, 3);
    let shots = [bags::color("/cam/color", 0), strange, evil, depth];
    let bag = bags::write(folder.path(), &shots);
    let ran = run(words!["inspect", bag], 0);
    for text in ["48x32 rgb8", "colour", "48x32 16UC1", "depth", "no: ", "rgb99"] {
        assert!(ran.stdout.contains(text), "{text:?} is not in {ran}");
    }
    assert!(!ran.stdout.contains(['\u{1b}', '\u{7}']), "{:?}", ran.stdout);
    let json = run(words!["inspect", bag, "--json"], 0).json();
    assert_eq!(json["topics"].as_array().unwrap().len(), 4);
}

#[test]
fn a_damaged_recording_is_told_as_far_as_it_goes() {
    let folder = TempDir::new().unwrap();
    let bag = bags::one_camera(folder.path(), 40);
    let file = bag.join("bag_0.mcap");
    let bytes = fs::read(&file).unwrap();
    fs::write(&file, &bytes[..bytes.len() * 2 / 3]).unwrap();
    let ran = run(words!["inspect", bag], 3);
    assert!(ran.stdout.contains("/camera/image"), "{ran}");
    ran.says(&["WARN", "bag_0.mcap"]);
    let json = run(words!["inspect", bag, "--json"], 3).json();
    assert!(!json["losses"]["losses"].as_array().unwrap().is_empty());
}

#[test]
fn what_is_no_recording_is_one_clear_line() {
    let folder = TempDir::new().unwrap();
    let notes = folder.path().join("notes.mcap");
    fs::write(&notes, "words").unwrap();
    let none = folder.path().join("none");
    let cases = [
        (none.as_path(), "there is no such file or folder"),
        (notes.as_path(), "words"),
        (folder.path(), "notes.mcap"),
    ];
    for (path, text) in cases {
        let ran = run(words!["inspect", path], 1);
        ran.says(&[text]);
        assert_eq!((ran.errors(), ran.stdout.as_str()), (1, ""), "{ran}");
    }
}
