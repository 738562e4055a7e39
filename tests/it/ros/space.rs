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
    let picks = client.read("/owlet/picks", Detection3DArray::TYPE, Qos::RELIABLE);
    let heights = client.read("/owlet/heightmap", Image::TYPE, Qos::RELIABLE);
    let scores = client.read("/owlet/heightmap/scores", Image::TYPE, Qos::RELIABLE);
    let mut words = vec!["-p", "cat"];
    for parameter in [
        "target_frame=base_link",
        "picks=true",
        "heightmap=true",
        "heightmap_bounds_m=-1 1 -0.5 0.5 0.25 1",
        "heightmap_m_per_px=0.05",
    ] {
        words.extend(["--param", parameter]);
    }
    let node = Node::start(&client, "owlet", &words);
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

    // A model without masks leaves nothing to pick, and says so.
    let bytes = picks.next();
    let array = Detection3DArray::decode(&bytes).unwrap();
    assert_eq!((array.header.stamp.nanosec, array.header.frame_id), (40, "base_link"));
    assert!(array.detections.is_empty());
    // From above it is a floor, half a metre up: a quarter above the lower bound.
    let bytes = heights.next();
    let map = Image::decode(&bytes).unwrap();
    assert_eq!((map.width, map.height, map.encoding, map.step), (40, 20, "32FC1", 160));
    assert_eq!(map.header.frame_id, "base_link");
    let floats = |data: &[u8]| -> Vec<f32> {
        data.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect()
    };
    let seen: Vec<_> = floats(map.data).into_iter().filter(|height| !height.is_nan()).collect();
    assert!(seen.len() > 200 && seen.iter().all(|height| (height - 0.25).abs() < 1e-3), "{seen:?}");
    let bytes = scores.next();
    let best = floats(Image::decode(&bytes).unwrap().data).into_iter().fold(0.0, f32::max);
    assert!(best > 0.0 && best <= 1.0, "{best}");
}
