//! Every message and request that a node reads, cut off at every byte and with every byte changed.

use super::stage::{Stage, image};
use crate::transport::ros::{Qos, RosEndpoint, RosLink, RosType, ros_type};
use crate::types::Prompt;
use crate::wire::geometry_msgs::{Transform, TransformStamped};
use crate::wire::owlet_msgs::{
    self, Detect, DetectRequest, DetectResponse, GetPrompts, PromptSet, SetPrompts,
    SetPromptsRequest, SetPromptsResponse,
};
use crate::wire::sensor_msgs::{CameraInfo, CompressedImage, Image};
use crate::wire::std_msgs::Header;
use crate::wire::tf2_msgs::TFMessage;
use crate::wire::vision_msgs::Detection2DArray;
use crate::wire::{Message, Service};

/// The message cut off everywhere, and with each byte set to what lengths, numbers and texts take
/// badly: the ends of the ranges, and a byte that is no UTF-8.
fn mangled(message: &[u8]) -> impl Iterator<Item = Vec<u8>> + '_ {
    let cut = (0..message.len()).map(|len| message[..len].to_vec());
    let changed = (0..message.len()).flat_map(move |index| {
        [0x00, 0x7f, 0x80, 0xff].into_iter().map(move |byte| {
            let mut changed = message.to_vec();
            changed[index] = byte;
            changed
        })
    });
    cut.chain(changed)
}

fn active() -> Stage {
    let stage = Stage::new(|config| config.prompts = vec![Prompt::from_text("cat")]);
    stage.go(&["configure", "activate"]);
    stage
}

fn works(stage: &Stage) {
    let found = stage.hear::<Detection2DArray<'_>>("/cell/owlet/detections");
    let mut answered = false;
    stage.show_until(|| {
        answered = answered || !found.all().is_empty();
        answered
    });
    assert_eq!(stage.state(), "active");
}

fn messages() -> Vec<(&'static str, RosType, Qos, Vec<u8>)> {
    let header = Header { frame_id: "optical", ..Header::default() };
    let depth = Image {
        header,
        height: 2,
        width: 2,
        encoding: "16UC1",
        step: 4,
        data: &[0xe8, 3, 0xe8, 3, 0xe8, 3, 0xe8, 3],
        ..Image::default()
    };
    let info = CameraInfo {
        header,
        height: 2,
        width: 2,
        distortion_model: "plumb_bob",
        d: vec![0.1, 0.0, 0.0, 0.0, 0.0],
        k: [2.0, 0.0, 1.0, 0.0, 2.0, 1.0, 0.0, 0.0, 1.0],
        ..CameraInfo::default()
    };
    let transform = TransformStamped {
        header: Header { frame_id: "base_link", ..header },
        child_frame_id: "optical",
        transform: Transform { translation: [1.0, 2.0, 3.0], rotation: [0.0, 0.0, 0.0, 1.0] },
    };
    let transforms = TFMessage { transforms: vec![transform] }.encode();
    let compressed =
        CompressedImage { header, format: "jpeg", data: b"\xff\xd8\xff\xe0\0\x10JFIF" };
    let prompt = owlet_msgs::Prompt {
        name: "mug".into(),
        texts: vec!["a mug".into(), "a cup".into()],
        threshold: Some(0.3),
        ..owlet_msgs::Prompt::default()
    };
    let set = PromptSet { version: 0, default_threshold: Some(0.2), prompts: vec![prompt] };
    let (image_type, info_type) = (ros_type::<Image<'_>>(), ros_type::<CameraInfo<'_>>());
    let tf = ros_type::<TFMessage<'_>>();
    vec![
        ("/cell/image", image_type, Qos::SENSOR_DATA, image(7)),
        (
            "/cell/image/compressed",
            ros_type::<CompressedImage<'_>>(),
            Qos::SENSOR_DATA,
            compressed.encode(),
        ),
        ("/cell/depth", image_type, Qos::SENSOR_DATA, depth.encode()),
        ("/cell/camera_info", info_type, Qos::SENSOR_DATA, info.encode()),
        ("/cell/depth_camera_info", info_type, Qos::SENSOR_DATA, info.encode()),
        ("/tf", tf, Qos::RELIABLE, transforms.clone()),
        ("/tf_static", tf, Qos::LATCHED, transforms),
        ("/cell/owlet/prompts", ros_type::<PromptSet<'_>>(), Qos::LATCHED, set.encode()),
    ]
}

#[test]
fn a_message_that_is_broken_anywhere_leaves_the_node_alive() {
    for (topic, ros_type, qos, message) in messages() {
        let stage = active();
        let out = stage.client.publisher(RosEndpoint { topic, ros_type, qos }).unwrap();
        assert_eq!(out.subscribers(), 1, "{topic}");
        out.publish(&message).unwrap();
        for mangled in mangled(&message) {
            out.publish(&mangled).unwrap();
            // No reader's queue overflows.
            stage.settle();
        }
        works(&stage);
    }
}

#[test]
fn a_request_that_is_broken_anywhere_is_answered_and_leaves_the_node_alive() {
    let stage = active();
    let prompt = || owlet_msgs::Prompt {
        name: "mug".into(),
        texts: vec!["a mug".into()],
        threshold: Some(0.3),
        ..owlet_msgs::Prompt::default()
    };
    let set =
        SetPromptsRequest { replaces: None, default_threshold: Some(0.2), prompts: vec![prompt()] };
    for mangled in mangled(&set.encode()) {
        let answer = stage.ask_with_bytes::<SetPrompts>("set_prompts", mangled);
        let answer = SetPromptsResponse::decode(&answer).unwrap();
        assert_eq!(answer.success, answer.reasons.is_empty());
    }
    for mangled in mangled(&[0, 1, 0, 0, 0]) {
        let answer = stage.ask_with_bytes::<GetPrompts>("get_prompts", mangled);
        assert!(<GetPrompts as Service>::Response::decode(&answer).is_ok());
    }
    let header = Header { frame_id: "optical", ..Header::default() };
    let data = [0; 12];
    let image = Image {
        header,
        height: 2,
        width: 2,
        encoding: "rgb8",
        step: 6,
        data: &data,
        is_bigendian: 0,
    };
    let request = DetectRequest {
        camera: "camera".into(),
        image: Some(image),
        compressed_image: None,
        prompts: Vec::new(),
        default_threshold: Some(0.2),
    };
    for mangled in mangled(&request.encode()) {
        let answer = stage.ask_with_bytes::<Detect>("detect", mangled);
        let answer = DetectResponse::decode(&answer).unwrap();
        assert_eq!(answer.success, answer.message.is_empty());
    }
    works(&stage);
}

#[test]
fn prompts_of_a_hostile_client_are_refused_with_a_reason() {
    let stage = active();
    let ask = |names: Vec<String>| {
        let prompts = names
            .into_iter()
            .map(|name| owlet_msgs::Prompt { name: name.into(), ..Default::default() });
        let request = SetPromptsRequest {
            replaces: None,
            default_threshold: None,
            prompts: prompts.collect(),
        };
        request.encode()
    };
    let mut no_text = ask(vec!["a mug".to_owned()]);
    let at = no_text.windows(5).position(|window| window == b"a mug").unwrap();
    no_text[at] = 0xff;
    for (request, expected) in [
        (ask((0..10_000).map(|number| format!("thing {number}")).collect()), "at most 1000 texts"),
        (ask(vec!["a".repeat(2 << 20)]), "at most 8192 are taken"),
        (ask(vec![String::new()]), "blank"),
        (ask(vec!["mug".to_owned(), "mug".to_owned()]), "each name once"),
        (ask(Vec::new()), "at least one prompt"),
        (no_text, "UTF-8"),
    ] {
        let answer = stage.ask_with_bytes::<SetPrompts>("set_prompts", request);
        let answer = SetPromptsResponse::decode(&answer).unwrap();
        assert_eq!((answer.success, answer.version), (false, 1), "{expected}");
        let reasons = answer.reasons.join("; ");
        assert!(reasons.contains(expected), "{expected}: {reasons:.300}");
        assert!(reasons.len() < 10_000, "{} bytes of reasons", reasons.len());
    }
    works(&stage);
}
