//! What Owlet writes, read by rosbags (as `ros2 bag` does) and mcap (as Foxglove does).

use std::sync::Arc;

use owlet::transport::rosbag2::{BagWriter, QosProfile, WriterOptions};
use owlet::types::{
    Detection, FrameDetections, FrameHeader, PixelBox, Prompt, PromptSet, StageTimings, Stamp,
};
use owlet::wire::sensor_msgs::{CameraInfo, CompressedImage, Image, RegionOfInterest};
use owlet::wire::std_msgs::{Header, Time};
use owlet::wire::vision_msgs::{Detection2DArray, detection_2d_array};
use owlet::wire::{Message, definition_of};
use serde_json::{Value, json};

use super::peers;

const START: i64 = 1_700_000_000_123_456_789;

fn frame(number: i64) -> FrameDetections {
    let detection = |prompt, score, corners| Detection {
        prompt,
        score,
        objectness: None,
        box_in_source_px: PixelBox::from_corners(corners),
    };
    FrameDetections {
        camera: Arc::from("/camera/image"),
        header: FrameHeader {
            stamp: Stamp(START + number * 33_000_000),
            frame_id: Arc::from("camera_optical_frame"),
        },
        width: 640,
        height: 480,
        prompts: Arc::new(PromptSet {
            version: 1,
            prompts: vec![Prompt::from_text("a cat"), Prompt::from_text("käse")],
            default_threshold: 0.1,
        }),
        // The first frame is empty: nothing found is an answer too.
        detections: match number {
            0 => Vec::new(),
            _ => vec![
                detection(1, 0.75, [10.0, 20.0, 30.5, 60.0]),
                detection(0, 0.5, [0.0, 0.0, 640.0, 480.0]),
            ],
        },
        timings: StageTimings::default(),
    }
}

fn header_json(number: i64) -> Value {
    let (sec, nanosec) = Stamp(START + number * 33_000_000).to_ros();
    json!({ "stamp": { "sec": sec, "nanosec": nanosec }, "frame_id": "camera_optical_frame" })
}

fn detection_json(number: i64, id: &str, class_id: &str, score: f64, bbox: [f64; 4]) -> Value {
    let [x, y, w, h] = bbox;
    let pose = json!({
        "pose": {
            "position": { "x": 0.0, "y": 0.0, "z": 0.0 },
            "orientation": { "x": 0.0, "y": 0.0, "z": 0.0, "w": 1.0 },
        },
        "covariance": vec![0.0; 36],
    });
    json!({
        "header": header_json(number),
        "results": [{ "hypothesis": { "class_id": class_id, "score": score }, "pose": pose }],
        "bbox": { "center": { "position": { "x": x, "y": y }, "theta": 0.0 }, "size_x": w, "size_y": h },
        "id": id,
    })
}

fn message_json(number: i64) -> Value {
    let detections = match number {
        0 => vec![],
        _ => vec![
            detection_json(number, "1", "käse", 0.75, [20.25, 40.0, 20.5, 40.0]),
            detection_json(number, "2", "a cat", 0.5, [320.0, 240.0, 640.0, 480.0]),
        ],
    };
    json!({
        "topic": "/camera/detections",
        "type": Detection2DArray::TYPE,
        "log_time": START + number * 33_000_000,
        "message": { "header": header_json(number), "detections": detections },
    })
}

#[test]
fn detections_are_read_by_other_programs_field_by_field() {
    let scratch = tempfile::tempdir().unwrap();
    let folder = scratch.path().join("detections.mcap");
    // Two sessions: the second one goes on in a further file.
    for numbers in [0..3, 3..5] {
        let mut bag = match numbers.start {
            0 => BagWriter::create(&folder, WriterOptions { chunk_bytes: 1000 }).unwrap(),
            _ => BagWriter::resume(&folder, WriterOptions::default()).unwrap(),
        };
        let topic = bag
            .add_topic("/camera/detections", Detection2DArray::TYPE, QosProfile::RELIABLE)
            .unwrap();
        for number in numbers {
            let found = frame(number);
            bag.write(topic, found.header.stamp, &detection_2d_array(&found)).unwrap();
        }
        bag.finish().unwrap();
    }
    let seen: Value = serde_json::from_str(&peers::run("read_bag.py", &folder)).unwrap();
    let definition = definition_of(Detection2DArray::TYPE).unwrap();

    let rosbags = &seen["rosbags"];
    assert_eq!(rosbags["counts"], json!({ "/camera/detections": 5 }));
    assert_eq!(rosbags["qos"], json!({ "/camera/detections": ["RELIABLE"] }));
    assert_eq!(rosbags["hashes"], json!({ "/camera/detections": definition.type_hash }));
    assert_eq!(rosbags["message_count"], 5);
    assert_eq!(rosbags["start"], START);
    let expected: Vec<_> = (0..5).map(message_json).collect();
    // rosbags calls every type by a class of its own; the names of the fields are the same.
    let mut found = rosbags["messages"].clone();
    strip_class_names(&mut found);
    assert_eq!(found, json!(expected));

    for (file, messages) in
        [("detections_0.mcap", &expected[..3]), ("detections_1.mcap", &expected[3..])]
    {
        let seen = &seen["files"][file];
        assert_eq!(seen["profile"], "ros2");
        assert_eq!(seen["compression"], json!(["zstd"]));
        assert_eq!(seen["metadata"], json!(["rosbag2"]));
        let mut found = seen["messages"].clone();
        strip_class_names(&mut found);
        assert_eq!(found, json!(messages), "{file}");
    }
}

/// rosbags puts the name of the type among the fields.
fn strip_class_names(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.remove("__msgtype__");
            fields.values_mut().for_each(strip_class_names);
        }
        Value::Array(items) => items.iter_mut().for_each(strip_class_names),
        _ => {}
    }
}

#[test]
fn every_type_that_can_be_written_is_understood_and_hashed_alike() {
    let scratch = tempfile::tempdir().unwrap();
    let folder = scratch.path().join("all_types");
    let mut bag = BagWriter::create(&folder, WriterOptions::default()).unwrap();
    let header = Header { stamp: Time { sec: 5, nanosec: 6 }, frame_id: "cam" };
    let qos = QosProfile::SENSOR_DATA;

    let topic = bag.add_topic("/image", Image::TYPE, qos).unwrap();
    let (width, height, step) = (1, 2, 4);
    let image = Image {
        header,
        height,
        width,
        encoding: "bgr8",
        is_bigendian: 0,
        step,
        data: &[1, 2, 3, 0, 4, 5, 6, 0],
    };
    bag.write(topic, Stamp(10), &image).unwrap();
    let topic = bag.add_topic("/image/compressed", CompressedImage::TYPE, qos).unwrap();
    bag.write(topic, Stamp(20), &CompressedImage { header, format: "png", data: &[9, 8] }).unwrap();
    let topic = bag.add_topic("/camera_info", CameraInfo::TYPE, qos).unwrap();
    let info = CameraInfo {
        header,
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
    bag.write(topic, Stamp(30), &info).unwrap();
    bag.add_topic("/detections", Detection2DArray::TYPE, QosProfile::RELIABLE).unwrap();
    bag.finish().unwrap();

    let seen: Value = serde_json::from_str(&peers::run("read_bag.py", &folder)).unwrap();
    let file = &seen["files"]["all_types_0.mcap"];
    for message_type in
        [Image::TYPE, CompressedImage::TYPE, CameraInfo::TYPE, Detection2DArray::TYPE]
    {
        let ours = definition_of(message_type).unwrap().type_hash;
        assert_eq!(file["hashes_of_definitions"][message_type], ours, "{message_type}");
    }
    assert_eq!(seen["rosbags"]["counts"]["/detections"], 0, "a topic with no message is listed");

    let header = json!({ "stamp": { "sec": 5, "nanosec": 6 }, "frame_id": "cam" });
    let expected = [
        json!({
            "header": header, "height": 2, "width": 1, "encoding": "bgr8", "is_bigendian": 0,
            "step": 4, "data": [1, 2, 3, 0, 4, 5, 6, 0],
        }),
        json!({ "header": header, "format": "png", "data": [9, 8] }),
        json!({
            "header": header, "height": 2, "width": 1, "distortion_model": "plumb_bob",
            "d": [0.5, 0.25], "k": vec![1.0; 9], "r": vec![2.0; 9], "p": vec![3.0; 12],
            "binning_x": 4, "binning_y": 5,
            "roi": { "x_offset": 1, "y_offset": 2, "height": 3, "width": 4, "do_rectify": true },
        }),
    ];
    for messages in [&file["messages"], &seen["rosbags"]["messages"]] {
        let mut messages = messages.clone();
        strip_class_names(&mut messages);
        let found: Vec<_> =
            messages.as_array().unwrap().iter().map(|message| message["message"].clone()).collect();
        assert_eq!(found, expected);
    }
}
