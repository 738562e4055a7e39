//! What goes out besides detections: overlays, CDR, single answers.

use std::time::Duration;

use owlet::types::Picture;
use owlet::vision::decode::{decode_compressed, decode_file};
use owlet::wire::Message;
use owlet::wire::vision_msgs::Detection2DArray;
use serde_json::json;

use super::{Node, are_alike, detected, next, next_sample};
use crate::cli::picture;

#[test]
fn overlays_are_drawn_while_somebody_looks() {
    let node = Node::start("overlay", &["-p", "cat"]);
    let found = node.subscribe("detections/*");
    let path = picture("landscape.png");
    let image = decode_file(&path).unwrap();
    let png = std::fs::read(&path).unwrap();
    // Whether the first one is drawn is settled when the second one is out.
    for stamp in 1..3 {
        node.send("front", "image/png", &png, stamp);
        next(&found);
    }

    // Somebody comes: from some frame on there are overlays.
    let overlays = node.subscribe("overlay/front");
    let mut stamp = 2;
    let overlay = loop {
        stamp += 1;
        node.send("front", "image/png", &png, stamp);
        next(&found);
        if let Some(overlay) = overlays.recv_timeout(Duration::from_millis(200)).unwrap() {
            break overlay;
        }
        assert!(stamp < 500, "nothing was drawn\n{}", node.log());
    };
    assert_eq!(overlay.encoding().to_string(), "image/jpeg");
    let attachment = super::json(&overlay.attachment().unwrap().to_bytes());
    assert_eq!(attachment["frame_id"], "front_optical");
    assert!(attachment["stamp_ns"].as_i64().unwrap() > 1, "the first was drawn for nobody");
    let Picture::Color(drawn) = decode_compressed("jpeg", &overlay.payload().to_bytes()).unwrap()
    else {
        panic!("an overlay is a picture")
    };
    assert_eq!(drawn.dimensions(), image.dimensions());
    assert_ne!(drawn, image, "boxes are drawn");
}

#[test]
fn overlays_can_be_switched_off_and_cdr_on() {
    let more = ["-p", "cat", "--param", "overlay=false", "--param", "zenoh_cdr=true"];
    let node = Node::start("cdr", &more);
    let (found, cdr) = (node.subscribe("detections/*"), node.subscribe("detections_cdr/*"));
    let overlays = node.subscribe("overlay/**");
    let png = std::fs::read(picture("square.png")).unwrap();
    for stamp in 1..4 {
        node.send("front", "image/png", &png, stamp);
        let (record, sample) = (next(&found), next_sample(&cdr));
        assert_eq!(
            sample.encoding().to_string(),
            "application/cdr;vision_msgs/msg/Detection2DArray"
        );
        let bytes = sample.payload().to_bytes();
        let message = Detection2DArray::decode(&bytes).unwrap();
        assert_eq!(message.header.to_frame_header().stamp.0, stamp);
        let scores: Vec<_> =
            message.detections.iter().map(|one| json!(one.results[0].score as f32)).collect();
        let expected: Vec<_> = record["detections"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| json!(one["score"].as_f64().unwrap() as f32))
            .collect();
        assert_eq!(scores, expected);
    }
    // Overlays of a frame go out right behind its detections.
    assert!(overlays.try_recv().unwrap().is_none());
}

#[test]
fn a_single_image_is_answered_to_who_asked() {
    let node = Node::start("detect", &["-p", "cat"]);
    let found = node.subscribe("detections/**");
    let path = picture("portrait.png");
    let png = std::fs::read(&path).unwrap();
    let record = node.ask("detect", Some(("image/png", &png))).unwrap();
    assert_eq!(record["detections"], detected(&path, &["-p", "cat"]));
    assert_eq!(
        (&record["topic"], &record["stamp_from"]),
        (&json!(node.key("detect")), &json!("arrival"))
    );
    // Prompts of the request's own, beside what is known of the image; the set in use stays.
    let ask = |attachment: &str| {
        node.ask_with("detect", Some(("image/png", &png)), Some(attachment.as_bytes()))
    };
    let prompts = r#"{"stamp_ns": 7, "prompts": ["a dog", {"name": "b", "texts": ["cat"]}]}"#;
    let record = ask(prompts).unwrap();
    let file = tempfile::NamedTempFile::with_suffix(".yaml").unwrap();
    std::fs::write(file.path(), prompts.replace("\"stamp_ns\": 7, ", "")).unwrap();
    let expected = detected(&path, &["--prompts", file.path().to_str().unwrap()]);
    assert!(expected.as_array().is_some_and(|found| !found.is_empty()));
    are_alike(&record["detections"], &expected);
    assert_eq!((&record["stamp_ns"], &record["prompts_version"]), (&json!(7), &json!(0)));
    assert_eq!(node.ask("prompts", None).unwrap()["version"], 1);
    for (attachment, expected) in [
        (r#"{"prompts": ["a", {"name": "b", "threshold": 7}]}"#, "prompt 2 (\"b\").threshold: "),
        (r#"{"default_threshold": 0.5}"#, "prompts: expected a list of at least one prompt"),
        (r#"{"prompts": ["a"], "stamp_ns": "now"}"#, "attachment: expected JSON"),
    ] {
        let error = ask(attachment).unwrap_err();
        assert!(error["error"].as_str().unwrap().starts_with(expected), "{error}");
    }
    for (payload, expected) in [
        (None, "expected an image as payload"),
        (Some(("image/jpeg", b"nothing".as_slice())), "neither JPEG nor PNG"),
        (Some(("zenoh/bytes;rgb8;2x2", b"123".as_slice())), "12"),
        (Some(("video/h264", b"123".as_slice())), "video/h264"),
    ] {
        let error = node.ask("detect", payload).unwrap_err();
        assert!(error["error"].as_str().unwrap().contains(expected), "{error}");
    }
    assert!(found.try_recv().unwrap().is_none(), "nobody else is told");
    let requests = node.ask("status", None).unwrap()["requests"].take();
    assert_eq!(requests, json!({ "answered": 2, "refused": 6 }));
}
