//! An independent node: zenoh's own client in Python, the keys and tokens of rmw_zenoh written by
//! hand, messages read and written by rosbags.

use std::path::Path;

use owlet::vision::decode::decode_file;
use owlet::vision::encode::encode_jpeg;
use owlet::wire::definition_of;
use serde_json::{Value, json};

use super::{Client, Node, same_detections};
use crate::cli::picture;
use crate::peers;
use crate::zenoh::{detected, router};

#[test]
fn a_node_of_rmw_zenoh_sees_it_as_one_of_theirs() {
    let client = Client::new();
    let node = Node::start(&client, "owlet", &["-p", "cat", "-p", "a dog"]);
    let folder = tempfile::TempDir::new().unwrap();
    let jpeg = folder.path().join("picture.jpg");
    let image = decode_file(&picture("landscape.png")).unwrap();
    std::fs::write(&jpeg, encode_jpeg(&image, 90).unwrap()).unwrap();
    let definitions = folder.path().join("definitions");
    std::fs::create_dir(&definitions).unwrap();
    for name in ["vision_msgs/msg/Detection2DArray", "vision_msgs/msg/VisionInfo"] {
        let file = definitions.join(format!("{}.txt", name.replace('/', "__")));
        std::fs::write(file, definition_of(name).unwrap().text).unwrap();
    }
    let domain = client.domain.to_string();
    let msg = Path::new(env!("CARGO_MANIFEST_DIR")).join("msg");
    let arguments =
        [Path::new(router()), Path::new(&domain), Path::new("/owlet"), &jpeg, &definitions, &msg];
    let seen: Value = serde_json::from_str(&peers::run("rmw_zenoh_peer.py", &arguments)).unwrap();

    let tokens: Vec<_> =
        seen["tokens"].as_array().unwrap().iter().map(|t| t.as_str().unwrap()).collect();
    for start in [
        "NN/%/%/owlet",
        "MP/%/%/owlet/%owlet%detections/vision_msgs::msg::dds_::Detection2DArray_/RIHS01_2142",
        "MP/%/%/owlet/%owlet%overlay%compressed/sensor_msgs::msg::dds_::CompressedImage_/RIHS01_",
        "MP/%/%/owlet/%owlet%vision_info/vision_msgs::msg::dds_::VisionInfo_/RIHS01_",
        "MP/%/%/owlet/%owlet%prompts/owlet_msgs::msg::dds_::PromptSet_/RIHS01_",
        "MP/%/%/owlet/%diagnostics/diagnostic_msgs::msg::dds_::DiagnosticArray_/RIHS01_",
        "MS/%/%/owlet/%image/sensor_msgs::msg::dds_::Image_/RIHS01_d31d",
        "MS/%/%/owlet/%image%compressed/sensor_msgs::msg::dds_::CompressedImage_/RIHS01_",
        "MS/%/%/owlet/%owlet%prompts/owlet_msgs::msg::dds_::PromptSet_/RIHS01_",
        "SS/%/%/owlet/%owlet%set_prompts/owlet_msgs::srv::dds_::SetPrompts_/RIHS01_",
        "SS/%/%/owlet/%owlet%get_prompts/owlet_msgs::srv::dds_::GetPrompts_/RIHS01_",
        "SS/%/%/owlet/%owlet%detect/owlet_msgs::srv::dds_::Detect_/RIHS01_",
        "SS/%/%/owlet/%owlet%teach/owlet_msgs::srv::dds_::Teach_/RIHS01_",
    ] {
        assert!(tokens.iter().any(|token| token.starts_with(start)), "{start}\n{tokens:#?}");
    }
    let with_qos = |part: &str, qos: &str| {
        let of_topic = tokens.iter().find(|token| token.contains(part)).unwrap();
        assert!(of_topic.contains(qos), "{of_topic} without {qos}");
    };
    // Reliability (2: best effort), durability (1: transient local), depth.
    with_qos("MS/%/%/owlet/%image/", "/2::,5:,:,:,,");
    with_qos("MP/%/%/owlet/%owlet%vision_info/", "/:1:,1:,:,:,,");
    with_qos("MP/%/%/owlet/%owlet%detections/", "/::,10:,:,:,,");

    let expected = detected(&jpeg, &["-p", "cat", "-p", "a dog"]);
    let found = seen["found"].as_array().unwrap();
    for (found, number) in found.iter().zip(1..) {
        same_detections(&found["detections"], &expected);
        assert_eq!(
            (&found["stamp"], &found["frame_id"]),
            (&json!([17, number]), &json!("peer_optical"))
        );
        let attachment = &found["attachment"];
        assert!(attachment["stamp"].as_i64().unwrap() > 1_600_000_000_000_000_000);
        assert_eq!(attachment["gid_bytes"], 16);
    }
    let numbers =
        [0, 1].map(|at: usize| found[at]["attachment"]["sequence_number"].as_i64().unwrap());
    assert!(numbers[0] < numbers[1], "{numbers:?}");
    assert_eq!(found[0]["attachment"]["gid"], found[1]["attachment"]["gid"], "one sender");
    let info = &seen["vision_info"];
    assert!(info[0].as_str().unwrap().contains("owlvit_tiny"), "{info}");
    assert_eq!((&info[1], &info[2]), (&json!("/owlet/prompts"), &json!(1)));

    let got = &seen["get_prompts"];
    assert_eq!((&got["version"], &got["names"]), (&json!(1), &json!(["cat", "a dog"])));
    // The client knows its answer by its own number and id.
    assert_eq!(got["attachment"]["sequence_number"], 41);
    assert_eq!(got["attachment"]["gid"], json!((0..16).collect::<Vec<_>>()));
    let answers = seen["set_prompts"].as_array().unwrap();
    assert_eq!(answers[0], json!([true, 2, []]));
    for (answer, reason) in answers[1..].iter().zip(["\"x\"", "expected to replace version 1"]) {
        assert_eq!((&answer[0], &answer[1]), (&json!(false), &json!(2)));
        assert!(answer[2][0].as_str().unwrap().contains(reason), "{answer}");
    }

    let answers = seen["detect"].as_array().unwrap();
    let expected = detected(&jpeg, &["-p", "a dog", "-t", "0.05"]);
    for (answer, (stamp, frame_id)) in answers.iter().zip([
        (json!([5, 6]), "asked"),
        (json!([17, 2]), "peer_optical"),
        (json!([17, 2]), "peer_optical"),
    ]) {
        assert_eq!(answer["success"], true, "{answer}");
        assert_eq!((&answer["stamp"], &answer["frame_id"]), (&stamp, &json!(frame_id)));
        assert_eq!(answer["prompts_version"], 2);
        same_detections(&answer["detections"], &expected);
    }
    assert_eq!(answers[3]["success"], false);
    let message = answers[3]["message"].as_str().unwrap();
    assert_eq!(message, "expected one of the cameras /image, found \"/nowhere\"");
    drop(node);
}
