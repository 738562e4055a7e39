//! What goes out besides detections, and under which names.

use std::time::Duration;

use owlet::transport::ros::{Durability, Qos, Reliability, RosLink};
use owlet::types::Picture;
use owlet::vision::decode::{decode_compressed, decode_file};
use owlet::wire::Message;
use owlet::wire::sensor_msgs::CompressedImage;
use owlet::wire::vision_msgs::VisionInfo;

use super::{Client, Node, compressed_image, raw_image};
use crate::cli::picture;

#[test]
fn who_comes_late_is_told_what_names_mean() {
    let client = Client::new();
    let _node = Node::start(&client, "cell/owlet", &["-p", "cat"]);
    for _ in 0..2 {
        let late = client.read("/cell/owlet/vision_info", VisionInfo::TYPE, Qos::LATCHED);
        let bytes = late.next();
        let info = VisionInfo::decode(&bytes).unwrap();
        assert!(info.method.contains("owlvit_tiny"), "{info:?}");
        assert_eq!(info.database_location, "/cell/owlet/prompts");
        assert_eq!(info.database_version, 1);
    }
    let seen = client.link.publishers_on("/cell/owlet/vision_info");
    let [seen] = seen.as_slice() else { panic!("{seen:?}") };
    assert_eq!((seen.node.as_str(), seen.type_name.as_str()), ("/cell/owlet", VisionInfo::TYPE));
    assert_eq!(seen.qos, Qos::LATCHED);
}

#[test]
fn overlays_are_drawn_while_somebody_looks() {
    let client = Client::new();
    let found = client.detections("/owlet/detections");
    let node = Node::start(&client, "owlet", &["-p", "cat"]);
    let path = picture("landscape.png");
    let (image, png) = (decode_file(&path).unwrap(), std::fs::read(&path).unwrap());
    let camera = client.compressed_camera("/image/compressed");
    // Whether the first one is drawn is settled when the second one is out.
    for stamp in 1..3 {
        camera.publish(&compressed_image("png", &png, stamp)).unwrap();
        found.next();
    }

    // Somebody comes: from some frame on there are overlays.
    let overlays =
        client.read("/owlet/overlay/compressed", CompressedImage::TYPE, Qos::SENSOR_DATA);
    let mut stamp = 2;
    let overlay = loop {
        stamp += 1;
        camera.publish(&compressed_image("png", &png, stamp)).unwrap();
        found.next();
        if let Some(overlay) = overlays.within(Duration::from_millis(200)) {
            break overlay;
        }
        assert!(stamp < 500, "nothing was drawn\n{}", node.log());
    };
    let overlay = CompressedImage::decode(&overlay).unwrap();
    let header = overlay.header.to_frame_header();
    assert_eq!((&*header.frame_id, overlay.format), ("optical", "jpeg"));
    assert!(header.stamp.0 > 1, "the first was drawn for nobody");
    let Picture::Color(drawn) = decode_compressed(overlay.format, overlay.data).unwrap() else {
        panic!("an overlay is a picture")
    };
    assert_eq!(drawn.dimensions(), image.dimensions());
    assert_ne!(drawn, image, "boxes are drawn");
}

#[test]
fn topics_are_remapped_and_lie_in_the_namespace() {
    let client = Client::new();
    let found = client.detections("/cell/found");
    let remap =
        "ros_remap=[\"image:=/camera/image_raw\", \"~/detections:=found\", \"__ns:=/cell\"]";
    let _node = Node::start(&client, "left", &["-p", "cat", "--param", remap]);
    let image = decode_file(&picture("square.png")).unwrap();
    // All forms of a camera's images follow the one rule.
    let _compressed = client.compressed_camera("/camera/image_raw/compressed");
    let camera = client.camera("/camera/image_raw");
    camera.publish(&raw_image(&image, "rgb8", image.as_raw(), 7)).unwrap();
    assert_eq!(found.next_detections().1, 7);
    let seen = client.link.publishers_on("/cell/found");
    let [seen] = seen.as_slice() else { panic!("{seen:?}") };
    assert_eq!(seen.node, "/cell/left");
    assert_eq!(seen.qos.reliability, Reliability::Reliable);
    assert_eq!(seen.qos.durability, Durability::Volatile);
    let overlays = client.link.publishers_on("/cell/left/overlay/compressed");
    assert_eq!(overlays[0].qos, Qos::SENSOR_DATA);
}
