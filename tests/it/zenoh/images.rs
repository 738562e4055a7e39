//! Images in, detections out.

use owlet::types::Stamp;
use owlet::vision::decode::decode_file;
use owlet::vision::encode::encode_jpeg;
use owlet::wire::Message;
use owlet::wire::sensor_msgs::{CompressedImage, Image};
use owlet::wire::std_msgs::Header;
use serde_json::{Value, json};

use super::{Node, detected, next};
use crate::cli::picture;

const CATS: [&str; 4] = ["-p", "cat", "-p", "a dog"];

/// What is found is what `detect` finds, in the fields that both have.
#[track_caller]
fn is_as_detected(record: &Value, expected: &Value, stamp_ns: i64, camera: &str) {
    // Ids are of objects over time, of which one picture knows nothing.
    let mut found = record["detections"].clone();
    for detection in found.as_array_mut().unwrap() {
        detection.as_object_mut().unwrap().shift_remove("id");
    }
    assert_eq!(&found, expected);
    assert!(!expected.as_array().unwrap().is_empty(), "nothing is compared");
    assert_eq!(record["stamp_ns"], stamp_ns);
    assert_eq!(record["frame_id"], format!("{camera}_optical"));
    assert_eq!(record["stamp_from"], "camera");
    assert_eq!(record["prompts_version"], 1);
}

#[test]
fn every_form_of_an_image_gives_what_detect_gives() {
    let node = Node::start("forms", &CATS);
    let found = node.subscribe("detections/*");
    let path = picture("landscape.png");
    let image = decode_file(&path).unwrap();
    let (width, height) = image.dimensions();
    let expected = detected(&path, &CATS);

    let png = std::fs::read(&path).unwrap();
    let packed = image.as_raw().clone();
    let step = 3 * width as usize + 5;
    let padded: Vec<u8> = packed
        .chunks(3 * width as usize)
        .flat_map(|row| row.iter().copied().chain([255; 5]))
        .collect();
    let bgr: Vec<u8> = packed.chunks(3).flat_map(|rgb| [rgb[2], rgb[1], rgb[0]]).collect();
    let forms = [
        ("image/png".to_owned(), &png),
        ("zenoh/bytes".to_owned(), &png),
        (format!("zenoh/bytes;rgb8;{width}x{height}"), &packed),
        (format!("zenoh/bytes;rgb8;{width}x{height};step={step}"), &padded),
        (format!("zenoh/bytes;bgr8;{width}x{height}"), &bgr),
    ];
    for (stamp, (encoding, payload)) in (-1_i64..).zip(forms) {
        node.send("front", &encoding, payload, stamp);
        let record = next(&found);
        is_as_detected(&record, &expected, stamp, "front");
        assert_eq!(record["topic"], node.key("camera/front/image"));
        assert_eq!((&record["width"], &record["height"]), (&json!(width), &json!(height)));
    }

    let folder = tempfile::TempDir::new().unwrap();
    let jpeg_path = folder.path().join("picture.jpg");
    let jpeg = encode_jpeg(&image, 90).unwrap();
    std::fs::write(&jpeg_path, &jpeg).unwrap();
    let stamp = 1_700_000_000_123_456_789;
    node.send("front", "image/jpeg", &jpeg, stamp);
    is_as_detected(&next(&found), &detected(&jpeg_path, &CATS), stamp, "front");
}

#[test]
fn messages_of_ros_as_a_bridge_sends_them_are_images_with_their_own_header() {
    let node = Node::start(
        "bridged",
        &[&CATS[..], &["--param", "zenoh_images=[\"*/raw\", \"*/jpeg\"]"]].concat(),
    );
    let found = node.subscribe("detections/*");
    let path = picture("landscape.png");
    let (image, png) = (decode_file(&path).unwrap(), std::fs::read(&path).unwrap());
    let expected = detected(&path, &CATS);
    let (width, height) = image.dimensions();
    let header = |camera, stamp_ns| Header { stamp: Stamp(stamp_ns).into(), frame_id: camera };
    let raw = |stamp_ns, encoding, data| {
        let header = header("left_optical", stamp_ns);
        Image { header, height, width, encoding, is_bigendian: 0, step: 3 * width, data }.encode()
    };
    let bgr: Vec<u8> = image.as_raw().chunks(3).flat_map(|p| [p[2], p[1], p[0]]).collect();
    // What travels with a message that is no JSON is not for us.
    let attachment = Some(&b"\x01\xff of the middleware"[..]);
    let key = "left/raw";
    node.put(key, "zenoh/bytes", &raw(7_000_000_001, "rgb8", image.as_raw()), attachment);
    is_as_detected(&next(&found), &expected, 7_000_000_001, "left");
    let encoding = "application/cdr;sensor_msgs/msg/Image";
    node.put(key, encoding, &raw(7_000_000_002, "bgr8", &bgr), None);
    is_as_detected(&next(&found), &expected, 7_000_000_002, "left");
    let header = header("right_optical", 5);
    let message = CompressedImage { header, format: "png", data: &png }.encode();
    node.put("right/jpeg", "application/cdr", &message, None);
    is_as_detected(&next(&found), &expected, 5, "right");
    let status = node.ask("status", None).unwrap();
    assert_eq!(status["cameras"]["left"]["encoding"], "bgr8");
    assert_eq!(status["cameras"]["right"]["encoding"], "png");
}

#[test]
fn cameras_turn_up_by_themselves_and_may_change_size_and_encoding() {
    let node = Node::start("cell/cameras", &CATS);
    let found = node.subscribe("detections/**");
    for (round, name) in (1_i64..).zip(["square.png", "portrait.png", "landscape.png"]) {
        let path = picture(name);
        let expected = detected(&path, &CATS);
        let image = decode_file(&path).unwrap();
        let raw = format!("zenoh/bytes;rgb8;{}x{}", image.width(), image.height());
        for camera in ["left", "right"] {
            node.send(camera, "image/png", &std::fs::read(&path).unwrap(), round);
            is_as_detected(&next(&found), &expected, round, camera);
            node.send(camera, &raw, image.as_raw(), 10 * round);
            is_as_detected(&next(&found), &expected, 10 * round, camera);
        }
    }
    let status = node.status("both cameras are done", |status| {
        ["left", "right"].iter().all(|camera| status["cameras"][camera]["answered"] == 6)
    });
    assert_eq!(status["state"], "finding");
    assert_eq!(status["why"], json!([]));
}

#[test]
fn images_come_on_the_keys_that_are_asked_for_and_names_follow_them() {
    let images = "zenoh_images=[arm/*/rgb, head/image]";
    let node = Node::start("elsewhere", &["-p", "cat", "--param", images]);
    let found = node.subscribe("detections/*");
    let png = std::fs::read(picture("square.png")).unwrap();
    for (key, camera) in [("arm/left/rgb", "left"), ("head/image", "head")] {
        node.put(key, "image/png", &png, None);
        let sample = super::next_sample(&found);
        assert_eq!(sample.key_expr().as_str(), node.key(&format!("detections/{camera}")));
        let record = super::json(&sample.payload().to_bytes());
        assert_eq!((&record["topic"], &record["frame_id"]), (&json!(key), &json!(camera)));
        // The router stamps what passes it.
        assert_eq!(record["stamp_from"], "transport");
        assert!(record["stamp_ns"].as_i64().unwrap() > 1_600_000_000_000_000_000);
    }
    // Two keys would be one camera.
    node.put("arm/head/rgb", "image/png", &png, None);
    let status = node.status("the second one is refused", |s| s["refused_images"].is_object());
    let reason = status["refused_images"]["newest"].as_str().unwrap();
    assert!(reason.contains("\"head\" sends on head/image already"), "{reason}");
}

#[test]
fn the_newest_frame_wins_and_the_rest_is_counted() {
    let node = Node::start("flood", &CATS);
    let found = node.subscribe("detections/*");
    let image = decode_file(&picture("landscape.png")).unwrap();
    let big = image::imageops::resize(&image, 1280, 960, image::imageops::FilterType::Nearest);
    let mut sent = 0;
    loop {
        for _ in 0..20 {
            sent += 1;
            node.send("front", "zenoh/bytes;rgb8;1280x960", big.as_raw(), sent);
        }
        // The newest is always answered, whatever was dropped before it.
        while next(&found)["stamp_ns"] != sent {}
        let status = node.status("all are accounted for", |status| {
            let count = |name: &str| status["cameras"]["front"][name].as_i64().unwrap();
            count("received") == sent && count("dropped") + count("answered") == sent
        });
        if status["cameras"]["front"]["dropped"].as_i64() > Some(0) {
            break;
        }
    }
}
