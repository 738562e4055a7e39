//! Clients that mean no good, or do not know better: a reason, and the node lives on.

use owlet::wire::Message;
use owlet::wire::sensor_msgs::Image;
use owlet::wire::std_msgs::Header;
use serde_json::Value;
use zenoh::Wait;
use zenoh::qos::CongestionControl;

use super::{Node, next};
use crate::cli::picture;

#[test]
fn bad_images_are_counted_with_their_reason_and_the_node_lives_on() {
    let node = Node::start("hostile", &["-p", "cat"]);
    let image = node.key("camera/front/image");
    let png = std::fs::read(picture("square.png")).unwrap();
    let megabyte = vec![b'a'; 1 << 20];
    // zenoh carries 255 bytes of it; with more its own client panics.
    let long = format!("zenoh/bytes;{}", "rgb8;".repeat(50));
    let giant = format!("zenoh/bytes;rgb8;{0}x{0};step={0}", u32::MAX);
    let message = |step, data| {
        let header = Header { frame_id: "optical", ..Header::default() };
        let image =
            Image { header, height: 2, width: 2, encoding: "rgb8", step, ..Image::default() };
        Image { data, ..image }.encode()
    };
    let whole = message(6, &[0; 12]);
    let mut giant_string = whole.clone();
    giant_string[12..16].fill(0xff);
    let cases: [(&str, &[u8], &[u8], &str); 19] = [
        ("zenoh/bytes", &whole[..whole.len() - 1], b"", "sensor_msgs/msg/Image: field `data`"),
        ("zenoh/bytes", &giant_string, b"", "std_msgs/msg/Header: field `frame_id`"),
        ("application/cdr", b"", b"", "field `encapsulation`"),
        ("application/cdr", &message(5, &[0; 10]), b"", "step"),
        ("application/cdr;sensor_msgs/msg/Image", &png, b"", "expected plain CDR"),
        ("application/cdr;std_msgs/msg/String", &whole, b"", "found std_msgs/msg/String"),
        ("image/jpeg", &megabyte, b"", "neither JPEG nor PNG"),
        ("image/jpeg", b"", b"", "neither JPEG nor PNG"),
        ("image/png", &png[..png.len() / 2], b"", "PNG"),
        ("text/plain", b"hello", b"", "encoding: expected image/jpeg"),
        ("zenoh/bytes;rgb8;64x64", &png, b"", "make 12288"),
        ("zenoh/bytes;rgb8;0x0", b"", b"", "0x0"),
        ("zenoh/bytes;rgb8;64x64;step=1", &png, b"", "step"),
        (&giant, b"123", b"", "4294967295x4294967295"),
        ("zenoh/bytes;rgb8;99999999999x1", b"123", b"", "a size such as 640x480"),
        (&long, b"123", b"", "a size such as 640x480"),
        ("zenoh/bytes;16UC1;2x2", &[0; 8], b"", "found depth"),
        ("image/png", &png, b"\xff\xfe", "attachment: expected JSON"),
        ("image/png", &png, &megabyte, "attachment: expected JSON"),
    ];
    for (number, (encoding, payload, attachment, expected)) in (1..).zip(cases) {
        let attachment = Some(attachment).filter(|attachment| !attachment.is_empty());
        node.put(&image, encoding, payload, attachment);
        let status = node.status("it is counted", |s| s["cameras"]["front"]["bad"] == number);
        let reason = status["cameras"]["front"]["newest_bad"]["newest"].as_str().unwrap();
        assert!(reason.contains(expected), "{encoding:.60}: {reason}");
        assert!(reason.len() < 1000, "{} bytes of reason", reason.len());
    }
    node.delete("camera/front/image");
    let bad = |status: &Value| status["cameras"]["front"]["newest_bad"]["newest"].clone();
    node.status("a delete is counted", |s| bad(s) == "expected an image, found a delete");

    let found = node.subscribe("detections/*");
    node.send("front", "image/png", &png, 5);
    assert_eq!(next(&found)["stamp_ns"], 5);
}

#[test]
fn a_crowd_of_cameras_and_a_delete_of_the_prompts_change_nothing() {
    let node = Node::start("crowd", &["-p", "cat"]);
    let png = std::fs::read(picture("square.png")).unwrap();
    for number in 0..70 {
        node.send(&format!("camera{number}"), "image/png", &png, number);
    }
    // A put on many keys at once names no camera.
    node.put(&node.key("camera/*/image"), "image/png", &png, None);
    let status = node.status("the rest is refused", |s| s["refused_images"]["count"] == 7);
    assert_eq!(status["cameras"].as_object().unwrap().len(), 64);

    let answers = node.subscribe("prompts/answer");
    node.delete("prompts");
    let refused = next(&answers);
    assert_eq!((&refused["version"], refused["reasons"].as_array().unwrap().len()), (&1.into(), 1));
    assert_eq!(node.ask("prompts", None).unwrap()["version"], 1);
}

#[test]
fn too_many_questions_at_once_are_answered_with_busy() {
    let node = Node::start("busy", &["-p", "cat"]);
    let png = std::fs::read(picture("landscape.png")).unwrap();
    let asked: Vec<_> = (0..200)
        .map(|_| {
            node.session
                .get(node.key("detect"))
                .payload(png.as_slice())
                .encoding("image/png")
                .congestion_control(CongestionControl::Block)
                .timeout(super::TOO_LONG)
                .wait()
                .unwrap()
        })
        .collect();
    let (mut answered, mut busy) = (0, 0);
    for replies in asked {
        match replies.recv().expect("every question has an answer").into_result() {
            Ok(_) => answered += 1,
            Err(error) => {
                let error = super::json(&error.payload().to_bytes());
                assert!(error["error"].as_str().unwrap().starts_with("busy: "), "{error}");
                busy += 1;
            }
        }
    }
    assert!(answered > 0);
    let counted = node.ask("status", None).unwrap()["requests"].take();
    assert_eq!(counted, serde_json::json!({ "answered": answered, "refused": busy }));
}
