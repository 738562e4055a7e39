//! `owlet replay` of whole recordings.

use std::fs;
use std::path::Path;

use owlet::types::Stamp;
use owlet::vision::decode::decode_file;
use owlet::wire::Message;
use owlet::wire::vision_msgs::Detection2DArray;
use serde_json::Value;
use tempfile::TempDir;

use super::{bags, ends, gallery, keys, names_in, owlet, replay_words, run, scores, words};

/// The lines of `detections.jsonl`.
pub(super) fn records(out: &Path) -> Vec<Value> {
    let text = fs::read_to_string(out.join("detections.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

pub(super) fn run_json(out: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(out.join("run.json")).unwrap()).unwrap()
}

/// The bytes of what two runs must agree on.
pub(super) fn results(out: &Path) -> (Vec<u8>, Vec<u8>, String) {
    let read = |name: &str| fs::read(out.join(name)).unwrap();
    (
        read("detections.jsonl"),
        read("detections.mcap/detections_0.mcap"),
        String::from_utf8(read("detections.mcap/metadata.yaml")).unwrap(),
    )
}

#[test]
fn every_frame_is_there_in_order_in_records_bag_and_report() {
    let out = TempDir::new().unwrap();
    // Results lie where the user says, in folders that need not be there.
    let out = out.path().join("deep/out");
    let ran = run(replay_words(&gallery(), &out, words!["-p", "cat", "-p", "a dog"]), 0);
    assert_eq!(ran.stderr, "", "--quiet says nothing where nothing is wrong");
    assert!(ran.stdout.starts_with("24 frames, "), "{ran}");
    let expected = ["coco.json", "detections.jsonl", "detections.mcap", "report.html", "run.json"];
    assert_eq!(names_in(&out), expected);
    for name in &expected[..4] {
        assert!(ran.stdout.contains(out.join(name).to_str().unwrap()), "{name}: {ran}");
    }

    let sources: Vec<_> = bags::messages(&gallery())
        .into_iter()
        .filter(|message| message.topic.ends_with("compressed"))
        .collect();
    let records = records(&out);
    let found = bags::messages(&out.join("detections.mcap"));
    assert_eq!((sources.len(), records.len(), found.len()), (24, 24, 24));
    let keys_of_record =
        ["topic", "stamp_ns", "frame_id", "width", "height", "prompts_version", "detections"];
    let mut detections = 0;
    for ((source, record), message) in sources.iter().zip(&records).zip(&found) {
        assert_eq!(keys(record), keys_of_record);
        assert_eq!(record["topic"], *source.topic);
        assert_eq!((&record["width"], &record["height"]), (&640.into(), &480.into()));
        assert_eq!(&*message.topic, "/owlet/detections");
        assert_eq!(message.log_time, source.log_time);
        let array = Detection2DArray::decode(&message.data).unwrap();
        let stamp: Stamp = array.header.stamp.into();
        assert_eq!(record["stamp_ns"], stamp.0);
        assert_eq!(record["frame_id"], array.header.frame_id);
        let scores = scores(&record["detections"]);
        assert!(scores.is_sorted_by(|a, b| a >= b));
        assert_eq!(array.detections.len(), scores.len());
        detections += scores.len();
    }
    assert!(records.is_sorted_by_key(|record| record["stamp_ns"].as_i64().unwrap()));
    assert!(detections > 24, "{detections}");

    let report = fs::read_to_string(out.join("report.html")).unwrap();
    assert!(report.starts_with("<!DOCTYPE html>") && report.contains("data:image/jpeg"));
    let run_json = run_json(&out);
    assert_eq!(run_json["state"], "done");
    assert_eq!(run_json["summary"]["frames"], 24);
    assert_eq!(run_json["summary"]["detections"], detections);
    assert_eq!(run_json["run"]["threshold"].to_string(), "0.1", "as it was given");
}

#[test]
fn two_runs_give_the_same_bytes_with_any_batch() {
    let folder = TempDir::new().unwrap();
    let shots: Vec<_> =
        (0..45).map(|n| bags::color(if n % 3 == 0 { "/left" } else { "/right" }, n)).collect();
    let bag = bags::write(folder.path(), &shots);
    for max_batch in ["1", "8"] {
        let [a, b] = ["a", "b"].map(|name| {
            let out = folder.path().join(format!("{name}{max_batch}"));
            let batch = format!("max_batch={max_batch}");
            let more = words!["-p", "cat", "-p", "a dog", "--param", batch];
            let mut command = owlet(&replay_words(&bag, &out, more));
            // With as many threads as there are.
            command.env_remove("OMP_NUM_THREADS");
            ends(command, 0);
            results(&out)
        });
        assert!(a == b, "max_batch {max_batch}");
    }
}

#[test]
fn each_camera_has_its_own_topic_and_json_is_what_run_json_holds() {
    let folder = TempDir::new().unwrap();
    let shots = [bags::color("/left/image", 0), bags::color("/right", 1), bags::color("/right", 2)];
    let bag = bags::write(folder.path(), &shots);
    let out = folder.path().join("out");
    let ran = run(replay_words(&bag, &out, words!["-p", "cat", "--json"]), 0);
    assert_eq!(ran.stdout, fs::read_to_string(out.join("run.json")).unwrap());
    let topics: Vec<_> = bags::messages(&out.join("detections.mcap"))
        .iter()
        .map(|message| message.topic.to_string())
        .collect();
    let (left, right) = ("/owlet/detections/left/image", "/owlet/detections/right");
    assert_eq!(topics, [left, right, right]);

    // One of them, named twice, is one camera.
    let out = folder.path().join("one");
    let more = words!["-p", "cat", "--topic", "/right", "--topic", "/right"];
    run(replay_words(&bag, &out, more), 0);
    let messages = bags::messages(&out.join("detections.mcap"));
    assert_eq!(messages.len(), 2);
    assert!(messages.iter().all(|message| &*message.topic == "/owlet/detections"));
}

#[test]
fn depth_is_left_alone_and_other_encodings_pass() {
    let folder = TempDir::new().unwrap();
    let shots: Vec<_> =
        [("bgr8", 3), ("mono8", 1), ("bayer_rggb8", 1), ("mono16", 2), ("rgba8", 4)]
            .into_iter()
            .enumerate()
            .map(|(number, (encoding, channels))| bags::shot("/camera", encoding, channels, number))
            .chain([bags::shot("/depth", "16UC1", 2, 9)])
            .collect();
    let bag = bags::write(folder.path(), &shots);
    let out = folder.path().join("out");
    run(replay_words(&bag, &out, words!["-p", "cat"]), 0);
    let records = records(&out);
    assert_eq!(records.len(), 5);
    assert!(records.iter().all(|record| record["topic"] == "/camera"));
}

#[test]
fn topics_that_cannot_be_used_are_refused_with_a_list_of_all() {
    let folder = TempDir::new().unwrap();
    let shots = [bags::color("/color", 0), bags::shot("/depth", "16UC1", 2, 1)];
    let bag = bags::write(folder.path(), &shots);
    let refuse = |bag: &Path, topic: &[&str], texts: &[&str]| {
        let mut more = words!["-p", "cat"];
        topic.iter().for_each(|topic| more.extend(words!["--topic", topic]));
        let out = folder.path().join("out");
        let ran = run(replay_words(bag, &out, more), 2);
        ran.says(texts);
        assert_eq!((ran.errors(), ran.stdout.as_str()), (1, ""), "{ran}");
        assert!(!out.exists(), "nothing is made for what is refused");
    };
    let list =
        ["/color: sensor_msgs/msg/Image, colour images", "/depth: sensor_msgs/msg/Image, depth"];
    refuse(&bag, &["/colour"], &[&["there is no topic /colour"][..], &list].concat());
    refuse(&bag, &["/depth", "/x"], &["/depth: depth images", "there is no topic /x"]);
    refuse(&gallery(), &["/camera/camera_info"], &["/camera/camera_info: a calibration"]);

    let depth = TempDir::new().unwrap();
    let depth = bags::write(depth.path(), &[bags::shot("/depth", "16UC1", 2, 1)]);
    refuse(&depth, &[], &["no topic with colour images", "/depth: "]);
    let empty = TempDir::new().unwrap();
    refuse(&bags::write(empty.path(), &[]), &[], &["no topic with colour images"]);
}

#[test]
fn an_overlay_of_every_frame_is_written_where_asked() {
    let folder = TempDir::new().unwrap();
    let bag = bags::one_camera(folder.path(), 3);
    let out = folder.path().join("out");
    run(replay_words(&bag, &out, words!["-p", "cat", "--overlays"]), 0);
    let names = names_in(&out.join("overlays"));
    let expected = [0, 1, 2].map(|n| format!("{:07}_camera_image_{}.jpg", n + 1, bags::stamp(n)));
    assert_eq!(names, expected);
    for name in names {
        let drawn = decode_file(&out.join("overlays").join(name)).unwrap();
        assert_eq!(drawn.dimensions(), (bags::WIDTH, bags::HEIGHT));
    }
    // Without pictures the report is there all the same.
    let out = folder.path().join("plain");
    run(replay_words(&bag, &out, words!["-p", "cat", "--param", "overlay=false"]), 0);
    assert!(!fs::read_to_string(out.join("report.html")).unwrap().contains("data:image/jpeg"));
}
