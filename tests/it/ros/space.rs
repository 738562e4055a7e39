//! Depth, calibrations and transforms in, boxes in metres out.

use owlet::transport::ros::{Durability, Qos};
use owlet::types::Stamp;
use owlet::vision::decode::decode_file;
use owlet::wire::Message;
use owlet::wire::geometry_msgs::{Transform, TransformStamped};
use owlet::wire::sensor_msgs::{CameraInfo, Image};
use owlet::wire::std_msgs::Header;
use owlet::wire::tf2_msgs::TFMessage;
use owlet::wire::vision_msgs::Detection3DArray;

use super::{Client, Node, raw_image};
use crate::cli::picture;

#[test]
fn what_is_found_gets_a_place_in_the_frame_that_is_asked_for() {
    let client = Client::new();
    let places = client.read("/owlet/detections_3d", Detection3DArray::TYPE, Qos::RELIABLE);
    let found = client.detections("/owlet/detections");
    let target = "target_frame=base_link";
    let node = Node::start(&client, "owlet", &["-p", "cat", "--param", target]);
    let image = decode_file(&picture("landscape.png")).unwrap();
    let (width, height) = image.dimensions();

    let header = Header { stamp: Stamp(40).into(), frame_id: "optical" };
    // The camera stands two metres above the robot's base and looks down on it.
    let above = TransformStamped {
        header: Header { frame_id: "base_link", ..header },
        child_frame_id: "optical",
        transform: Transform { translation: [0.0, 0.0, 2.0], rotation: [1.0, 0.0, 0.0, 0.0] },
    };
    let latched = Qos { durability: Durability::TransientLocal, ..Qos::RELIABLE };
    let tf = client.write("/tf_static", TFMessage::TYPE, latched);
    tf.publish(&TFMessage { transforms: vec![above] }.encode()).unwrap();
    let focal_px = f64::from(width);
    let (cx, cy) = (0.5 * f64::from(width), 0.5 * f64::from(height));
    let info = CameraInfo {
        header,
        width,
        height,
        distortion_model: "plumb_bob",
        k: [focal_px, 0.0, cx, 0.0, focal_px, cy, 0.0, 0.0, 1.0],
        ..CameraInfo::default()
    };
    let camera_info = client.write("/camera_info", CameraInfo::TYPE, Qos::RELIABLE);
    camera_info.publish(&info.encode()).unwrap();
    // A floor, one and a half metres below the camera.
    let millimetres = 1500_u16.to_le_bytes().repeat((width * height) as usize);
    let floor = Image {
        header,
        width,
        height,
        encoding: "16UC1",
        step: 2 * width,
        data: &millimetres,
        ..Image::default()
    };
    let depth = client.camera("/depth");
    depth.publish(&floor.encode()).unwrap();
    let camera = client.camera("/image");
    camera.publish(&raw_image(&image, "rgb8", image.as_raw(), 40)).unwrap();

    assert_eq!(found.next_detections().1, 40);
    let bytes = places.next();
    let array = Detection3DArray::decode(&bytes).unwrap();
    assert_eq!((array.header.stamp.nanosec, array.header.frame_id), (40, "base_link"));
    assert!(!array.detections.is_empty(), "{}", node.log());
    for detection in &array.detections {
        assert_eq!(detection.results[0].class_id, "cat");
        let z = detection.bbox.center.position[2];
        assert!((0.4..0.6).contains(&z), "{detection:?}");
    }
}
