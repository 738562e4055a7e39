//! Cameras that send what is no image: a reason, and the node lives on.

use owlet::transport::ros::{Qos, RosEndpoint, RosLink};
use owlet::types::Stamp;
use owlet::vision::decode::decode_file;
use owlet::wire::Message;
use owlet::wire::diagnostic_msgs::level;
use owlet::wire::sensor_msgs::{CompressedImage, Image};
use owlet::wire::std_msgs::Header;

use super::{Client, Node, compressed_image, diagnostic, diagnostics_of, raw_image, ros_type};
use crate::cli::picture;

#[test]
fn bad_images_are_counted_with_their_reason_and_the_node_lives_on() {
    let client = Client::new();
    let found = client.detections("/owlet/detections");
    let diagnostics = diagnostics_of(&client);
    let _node = Node::start(&client, "owlet", &["-p", "cat"]);
    let camera = client.camera("/image");
    let image = decode_file(&picture("square.png")).unwrap();
    let good = raw_image(&image, "rgb8", image.as_raw(), 5);
    let header = Header { stamp: Stamp(1).into(), frame_id: "optical" };
    let small = Image {
        header,
        height: 2,
        width: 2,
        encoding: "rgb8",
        step: 6,
        data: &[0; 12],
        ..Image::default()
    };
    let giant = Image { height: u32::MAX, width: u32::MAX, step: u32::MAX, ..small };
    let mut endless = small.encode();
    let count_at = endless.len() - 12 - 4;
    endless[count_at..count_at + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    let mut no_text = small.encode();
    no_text[16] = 0xff;
    let cases: [(Vec<u8>, &str); 11] = [
        (good[..good.len() / 2].to_vec(), "field `data`"),
        (good[..7].to_vec(), "field `header.stamp.sec`"),
        (Vec::new(), "sensor_msgs/msg/Image"),
        (b"{\"data\": \"an image\"}".to_vec(), "sensor_msgs/msg/Image"),
        (endless, "4294967295 bytes"),
        (no_text, "field `header.frame_id`"),
        (giant.encode(), "4294967295x4294967295"),
        (Image { width: 0, height: 0, step: 0, data: &[], ..small }.encode(), "0x0"),
        (Image { encoding: "yuv9", ..small }.encode(), "yuv9"),
        (Image { step: 1, ..small }.encode(), "step"),
        (Image { encoding: "16UC1", step: 4, data: &[0; 8], ..small }.encode(), "found depth"),
    ];
    for (number, (message, expected)) in (1..).zip(cases) {
        camera.publish(&message).unwrap();
        let entry = diagnostic(&diagnostics, "owlet: camera camera", |entry| {
            entry.values["bad"] == number.to_string()
        });
        let reason = &entry.values["newest_bad"];
        assert!(reason.starts_with("/image: "), "{reason}");
        assert!(reason.contains(expected), "{expected}: {reason}");
        assert!(reason.len() < 1000, "{} bytes of reason", reason.len());
        assert_eq!(entry.level, level::ERROR, "{entry:?}");
        assert!(entry.message.contains(expected), "{entry:?}");
    }
    camera.publish(&good).unwrap();
    assert_eq!(found.next_detections().1, 5);
}

#[test]
fn bad_compressed_images_and_another_type_on_the_topic_are_named() {
    let client = Client::new();
    let diagnostics = diagnostics_of(&client);
    let _node = Node::start(&client, "owlet", &["-p", "cat"]);

    // Somebody publishes the wrong type on the right topic: not one message arrives.
    let ros_type = ros_type(CompressedImage::TYPE);
    let endpoint = RosEndpoint { topic: "/image", ros_type, qos: Qos::SENSOR_DATA };
    let wrong = client.link.publisher(endpoint).unwrap();
    let remark = "/tester publishes sensor_msgs/msg/CompressedImage there, not \
                  sensor_msgs/msg/Image";
    let entry =
        diagnostic(&diagnostics, "owlet: detection", |entry| entry.message.contains(remark));
    assert_eq!(entry.level, level::WARN);
    assert!(entry.message.starts_with("no image has come yet on /image, /image/compressed: "));
    assert_eq!(entry.values["publishers on /image"], "0");
    drop(wrong);

    let camera = client.compressed_camera("/image/compressed");
    let png = std::fs::read(picture("square.png")).unwrap();
    for (number, (format, data, expected)) in (1..).zip([
        ("jpeg", b"nothing".as_slice(), "neither JPEG nor PNG"),
        ("png", &png[..png.len() / 2], "PNG"),
        ("png", b"", "neither JPEG nor PNG"),
        ("16UC1; compressedDepth png", &png, "/image/compressed: "),
    ]) {
        camera.publish(&compressed_image(format, data, 1)).unwrap();
        let entry = diagnostic(&diagnostics, "owlet: camera camera", |entry| {
            entry.values["bad"] == number.to_string()
        });
        assert!(entry.values["newest_bad"].contains(expected), "{entry:?}");
    }
}
