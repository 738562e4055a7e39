//! What Owlet writes, read by rosbags (as `ros2 bag` does) and mcap (as Foxglove does).

use std::sync::Arc;

use owlet::transport::rosbag2::{BagWriter, QosProfile, WriterOptions};
use owlet::types::{
    Detection, FrameDetections, FrameHeader, PixelBox, Prompt, PromptSet, StageTimings, Stamp,
};
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
        mask: None,
        finer: Vec::new(),
        explanation: None,
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
        weak: Vec::new(),
        has_masks: false,
        track_ids: None,
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
    assert_eq!(rosbags["same_bytes"], json!(vec![true; 5]));
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
pub(super) fn strip_class_names(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.remove("__msgtype__");
            fields.values_mut().for_each(strip_class_names);
        }
        Value::Array(items) => items.iter_mut().for_each(strip_class_names),
        _ => {}
    }
}
