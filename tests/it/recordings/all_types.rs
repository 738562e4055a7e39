//! Every type that Owlet can write, read and written again by rosbags, and read by mcap with the
//! definition that stands beside it.

use owlet::transport::rosbag2::{BagWriter, QosProfile, WriterOptions};
use owlet::types::{CloudPoint, Stamp};
use owlet::wire::diagnostic_msgs::{DiagnosticArray, DiagnosticStatus, KeyValue, level};
use owlet::wire::geometry_msgs::{
    Pose, PoseStamped, PoseWithCovariance, Transform, TransformStamped,
};
use owlet::wire::lifecycle_msgs::{State, Transition, TransitionEvent};
use owlet::wire::owlet_msgs::{Exemplar, FinerLabel, Prompt, PromptSet};
use owlet::wire::rcl_interfaces::{Parameter, ParameterEvent, ParameterValue};
use owlet::wire::rosgraph_msgs::Clock;
use owlet::wire::sensor_msgs::{
    CameraInfo, CompressedImage, Image, PointCloud2, RegionOfInterest, point_bytes,
};
use owlet::wire::std_msgs::{Header, Time};
use owlet::wire::tf2_msgs::TFMessage;
use owlet::wire::vision_msgs::{
    BoundingBox2D, BoundingBox3D, Detection2DArray, Detection3D, Detection3DArray, LabelInfo,
    ObjectHypothesisWithPose, VisionClass, VisionInfo,
};
use owlet::wire::{Message, definition_of};
use serde_json::{Value, json};

use super::peers;
use super::read_by_peers::strip_class_names;

const HEADER: Header<'static> = Header { stamp: Time { sec: 5, nanosec: 6 }, frame_id: "cam" };
const POSE: Pose = Pose { position: [1.0, -2.0, 3.5], orientation: [0.5, -0.5, 0.5, 0.5] };

/// A recording with one message of each type, and what a reader must find.
struct Written {
    bag: BagWriter,
    expected: Vec<(&'static str, Value)>,
}

impl Written {
    fn add<'a, M: Message<'a>>(&mut self, message: &M, expected: Value) {
        let number = self.expected.len() as i64 + 1;
        let topic = format!("/topic_{number:02}");
        let topic = self.bag.add_topic(&topic, M::TYPE, QosProfile::SENSOR_DATA).unwrap();
        self.bag.write(topic, Stamp(10 * number), message).unwrap();
        self.expected.push((M::TYPE, expected));
    }
}

fn header_json() -> Value {
    json!({ "stamp": { "sec": 5, "nanosec": 6 }, "frame_id": "cam" })
}

fn vector_json([x, y, z]: [f64; 3]) -> Value {
    json!({ "x": x, "y": y, "z": z })
}

fn quaternion_json([x, y, z, w]: [f64; 4]) -> Value {
    json!({ "x": x, "y": y, "z": z, "w": w })
}

fn pose_json() -> Value {
    json!({
        "position": vector_json(POSE.position),
        "orientation": quaternion_json(POSE.orientation),
    })
}

fn add_pictures(written: &mut Written) {
    let data = &[1, 2, 3, 0, 4, 5, 6, 0];
    let (width, height, step) = (1, 2, 4);
    let image =
        Image { header: HEADER, height, width, encoding: "bgr8", is_bigendian: 0, step, data };
    let expected = json!({
        "header": header_json(), "height": 2, "width": 1, "encoding": "bgr8", "is_bigendian": 0,
        "step": 4, "data": [1, 2, 3, 0, 4, 5, 6, 0],
    });
    written.add(&image, expected);

    let image = CompressedImage { header: HEADER, format: "png", data: &[9, 8] };
    written.add(&image, json!({ "header": header_json(), "format": "png", "data": [9, 8] }));

    let info = CameraInfo {
        header: HEADER,
        height: 2,
        width: 1,
        distortion_model: "plumb_bob",
        d: vec![0.5, 0.25],
        k: [1.0; 9],
        r: [2.0; 9],
        p: [3.0; 12],
        binning_x: 4,
        binning_y: 5,
        roi: RegionOfInterest { x_offset: 1, y_offset: 2, height: 3, width: 4, do_rectify: true },
    };
    let expected = json!({
        "header": header_json(), "height": 2, "width": 1, "distortion_model": "plumb_bob",
        "d": [0.5, 0.25], "k": vec![1.0; 9], "r": vec![2.0; 9], "p": vec![3.0; 12],
        "binning_x": 4, "binning_y": 5,
        "roi": { "x_offset": 1, "y_offset": 2, "height": 3, "width": 4, "do_rectify": true },
    });
    written.add(&info, expected);

    let point = CloudPoint { position_m: [1.0, 2.0, 3.0], rgb: [7, 8, 9], instance: 5 };
    let points = point_bytes(&[point]);
    let cloud = PointCloud2::of_points(HEADER, &points).unwrap();
    let field = |name, offset, datatype| json!({ "name": name, "offset": offset, "datatype": datatype, "count": 1 });
    let expected = json!({
        "header": header_json(), "height": 1, "width": 1,
        "fields": [
            field("x", 0, 7), field("y", 4, 7), field("z", 8, 7), field("rgb", 12, 7),
            field("instance", 16, 6),
        ],
        "is_bigendian": false, "point_step": 20, "row_step": 20,
        "data": [0, 0, 128, 63, 0, 0, 0, 64, 0, 0, 64, 64, 9, 8, 7, 0, 5, 0, 0, 0],
        "is_dense": true,
    });
    written.add(&cloud, expected);
}

fn add_places(written: &mut Written) {
    let pose = PoseStamped { header: HEADER, pose: POSE };
    written.add(&pose, json!({ "header": header_json(), "pose": pose_json() }));

    let transform = |child_frame_id| TransformStamped {
        header: HEADER,
        child_frame_id,
        transform: Transform { translation: POSE.position, rotation: POSE.orientation },
    };
    let transforms = TFMessage { transforms: vec![transform("a"), transform("gripper")] };
    let expected = |child| {
        json!({
            "header": header_json(), "child_frame_id": child,
            "transform": {
                "translation": vector_json(POSE.position),
                "rotation": quaternion_json(POSE.orientation),
            },
        })
    };
    written.add(&transforms, json!({ "transforms": [expected("a"), expected("gripper")] }));
}

fn add_detections(written: &mut Written) {
    let mut covariance = [0.0; 36];
    covariance[7] = 0.25;
    let pose = PoseWithCovariance { pose: POSE, covariance };
    let detection = |id: &'static str| Detection3D {
        header: HEADER,
        results: vec![ObjectHypothesisWithPose {
            class_id: "käse",
            score: 0.75,
            pose: pose.clone(),
        }],
        bbox: BoundingBox3D { center: POSE, size: [0.5, 0.25, 2.0] },
        id: id.into(),
    };
    let expected = |id| {
        json!({
            "header": header_json(),
            "results": [{
                "hypothesis": { "class_id": "käse", "score": 0.75 },
                "pose": { "pose": pose_json(), "covariance": covariance.to_vec() },
            }],
            "bbox": { "center": pose_json(), "size": vector_json([0.5, 0.25, 2.0]) },
            "id": id,
        })
    };
    let message =
        Detection3DArray { header: HEADER, detections: vec![detection("1"), detection("22")] };
    let detections = [expected("1"), expected("22")];
    written.add(&message, json!({ "header": header_json(), "detections": detections }));
    let none = Detection2DArray { header: HEADER, detections: vec![] };
    written.add(&none, json!({ "header": header_json(), "detections": [] }));

    let class = |class_id, class_name: &'static str| VisionClass {
        class_id,
        class_name: class_name.into(),
    };
    let labels = LabelInfo {
        header: HEADER,
        class_map: vec![class(1, "mug"), class(255, "nothing")],
        threshold: 0.25,
    };
    let expected = json!({
        "header": header_json(),
        "class_map": [
            { "class_id": 1, "class_name": "mug" },
            { "class_id": 255, "class_name": "nothing" },
        ],
        "threshold": 0.25,
    });
    written.add(&labels, expected);

    let info = VisionInfo {
        header: HEADER,
        method: "owlvit".into(),
        database_location: "/prompts".into(),
        database_version: -3,
    };
    let expected = json!({
        "header": header_json(), "method": "owlvit", "database_location": "/prompts",
        "database_version": -3,
    });
    written.add(&info, expected);
}

fn add_diagnostics(written: &mut Written) {
    let value =
        |key: &'static str, value: &'static str| KeyValue { key: key.into(), value: value.into() };
    let status = DiagnosticStatus {
        level: level::STALE,
        name: "owlet".into(),
        message: "no frames".into(),
        hardware_id: "".into(),
        values: vec![value("frames", "0"), value("lost", "")],
    };
    let message = DiagnosticArray { header: HEADER, status: vec![status] };
    let expected = json!({
        "header": header_json(),
        "status": [{
            "level": 3, "name": "owlet", "message": "no frames", "hardware_id": "",
            "values": [{ "key": "frames", "value": "0" }, { "key": "lost", "value": "" }],
        }],
    });
    written.add(&message, expected);
}

fn add_node(written: &mut Written) {
    let stamp = json!({ "sec": 5, "nanosec": 6 });
    written.add(&Clock { clock: HEADER.stamp }, json!({ "clock": stamp }));

    let state = |id, label: &'static str| State { id, label: label.into() };
    let event = TransitionEvent {
        timestamp: u64::MAX,
        transition: Transition { id: 3, label: "activate".into() },
        start_state: state(2, "inactive"),
        goal_state: state(3, "active"),
    };
    let expected = json!({
        "timestamp": u64::MAX,
        "transition": { "id": 3, "label": "activate" },
        "start_state": { "id": 2, "label": "inactive" },
        "goal_state": { "id": 3, "label": "active" },
    });
    written.add(&event, expected);

    let value = ParameterValue {
        r#type: 9,
        bool_value: true,
        integer_value: -7,
        double_value: 0.1,
        string_value: "seven".into(),
        // Peers differ on the sign of a byte above 127.
        byte_array_value: [1, 127][..].into(),
        bool_array_value: vec![true, false],
        integer_array_value: vec![i64::MIN, i64::MAX],
        double_array_value: vec![-0.5],
        string_array_value: vec!["a".into(), "".into()],
    };
    let expected = json!({
        "type": 9, "bool_value": true, "integer_value": -7, "double_value": 0.1,
        "string_value": "seven", "byte_array_value": [1, 127], "bool_array_value": [true, false],
        "integer_array_value": [i64::MIN, i64::MAX], "double_array_value": [-0.5],
        "string_array_value": ["a", ""],
    });
    let event = ParameterEvent {
        stamp: HEADER.stamp,
        node: "/owlet".into(),
        new_parameters: vec![],
        changed_parameters: vec![Parameter { name: "all".into(), value }],
        deleted_parameters: vec![],
    };
    let expected = json!({
        "stamp": stamp, "node": "/owlet", "new_parameters": [],
        "changed_parameters": [{ "name": "all", "value": expected }], "deleted_parameters": [],
    });
    written.add(&event, expected);

    let prompts = vec![
        Prompt {
            name: "Käuzchen".into(),
            texts: vec!["an owl".into(), "a little owl".into()],
            exemplars: vec![Exemplar {
                image: CompressedImage { header: HEADER, format: "png", data: &[9, 8] },
                r#box: Some(BoundingBox2D {
                    center_x: 1.0,
                    center_y: 2.5,
                    theta: 0.0,
                    size_x: 3.0,
                    size_y: 4.0,
                }),
            }],
            threshold: Some(0.25),
            average: true,
            templates: vec!["a photo of {}".into()],
            finer: vec![FinerLabel { name: "old".into(), texts: vec!["an old owl".into()] }],
            ..Prompt::default()
        },
        Prompt { name: "branch".into(), negative: true, asif: true, ..Prompt::default() },
    ];
    let set = PromptSet { version: 1 << 40, default_threshold: Some(0.5), prompts };
    let expected = json!({
        "version": 1_u64 << 40,
        "default_threshold": [0.5],
        "prompts": [
            {
                "name": "Käuzchen", "texts": ["an owl", "a little owl"],
                "exemplars": [{
                    "image": { "header": header_json(), "format": "png", "data": [9, 8] },
                    "box": [{
                        "center": { "position": { "x": 1.0, "y": 2.5 }, "theta": 0.0 },
                        "size_x": 3.0, "size_y": 4.0,
                    }],
                }],
                "threshold": [0.25], "negative": false, "asif": false, "average": true,
                "templates": ["a photo of {}"],
                "finer": [{ "name": "old", "texts": ["an old owl"] }],
            },
            {
                "name": "branch", "texts": [], "exemplars": [], "threshold": [], "negative": true,
                "asif": true, "average": false, "templates": [], "finer": [],
            },
        ],
    });
    written.add(&set, expected);
}

#[test]
fn every_type_that_can_be_written_is_understood_and_hashed_alike() {
    let scratch = tempfile::tempdir().unwrap();
    let folder = scratch.path().join("all_types");
    let bag = BagWriter::create(&folder, WriterOptions::default()).unwrap();
    let mut written = Written { bag, expected: Vec::new() };
    add_pictures(&mut written);
    add_places(&mut written);
    add_detections(&mut written);
    add_diagnostics(&mut written);
    add_node(&mut written);
    let Written { mut bag, expected } = written;
    bag.add_topic("/empty", Detection2DArray::TYPE, QosProfile::RELIABLE).unwrap();
    bag.finish().unwrap();

    let seen: Value = serde_json::from_str(&peers::run("read_bag.py", &folder)).unwrap();
    let file = &seen["files"]["all_types_0.mcap"];
    for (message_type, _) in &expected {
        let ours = definition_of(message_type).unwrap().type_hash;
        assert_eq!(file["hashes_of_definitions"][message_type], ours, "{message_type}");
    }
    let rosbags = &seen["rosbags"];
    assert_eq!(rosbags["counts"]["/empty"], 0, "a topic with no message is listed");
    assert_eq!(rosbags["same_bytes"], json!(vec![true; expected.len()]));
    for messages in [&file["messages"], &rosbags["messages"]] {
        let mut messages = messages.clone();
        strip_class_names(&mut messages);
        let messages = messages.as_array().unwrap();
        assert_eq!(messages.len(), expected.len());
        for (found, (message_type, expected)) in messages.iter().zip(&expected) {
            assert_eq!(found["message"], *expected, "{message_type}");
        }
    }
}
