//! Prompts that come on a topic while the node runs.

use std::time::Duration;

use owlet::transport::ros::Qos;
use owlet::vision::decode::decode_file;
use owlet::wire::Message;
use owlet::wire::owlet_msgs::{Prompt, PromptSet};
use owlet::wire::vision_msgs::VisionInfo;

use super::{Client, Messages, Node, diagnostic, diagnostics_of, raw_image};
use crate::cli::picture;

fn set(names: &[&'static str]) -> Vec<u8> {
    let prompts = names.iter().map(|name| Prompt { name: (*name).into(), ..Prompt::default() });
    PromptSet { prompts: prompts.collect(), ..PromptSet::default() }.encode()
}

fn version(info: &Messages) -> i32 {
    VisionInfo::decode(&info.next()).unwrap().database_version
}

#[test]
fn a_set_on_the_topic_is_put_into_use_and_told_and_changes_nothing_twice() {
    let client = Client::new();
    let found = client.detections("/owlet/detections");
    let diagnostics = diagnostics_of(&client);
    let info = client.read("/owlet/vision_info", VisionInfo::TYPE, Qos::LATCHED);
    let told = client.read("/owlet/prompts", PromptSet::TYPE, Qos::LATCHED);
    let node = Node::start(&client, "owlet", &["-p", "cat"]);
    assert_eq!(version(&info), 1);
    let message = told.next();
    let first = PromptSet::decode(&message).unwrap();
    assert_eq!((first.version, &*first.prompts[0].name), (1, "cat"));

    let prompts = client.write("/owlet/prompts", PromptSet::TYPE, Qos::LATCHED);
    prompts.publish(&set(&["a dog", "a remote control"])).unwrap();
    assert_eq!(version(&info), 2);
    // Our own message comes back to us, too: the node's follows it.
    let mut message = told.next();
    while PromptSet::decode(&message).unwrap().version == 0 {
        message = told.next();
    }
    let second = PromptSet::decode(&message).unwrap();
    let names: Vec<_> = second.prompts.iter().map(|prompt| &*prompt.name).collect();
    assert_eq!((second.version, names.as_slice()), (2, &["a dog", "a remote control"][..]));
    let image = decode_file(&picture("landscape.png")).unwrap();
    let camera = client.camera("/image");
    camera.publish(&raw_image(&image, "rgb8", image.as_raw(), 1)).unwrap();
    let (detections, ..) = found.next_detections();
    for detection in detections.as_array().unwrap() {
        assert_ne!(detection["prompt"], "cat");
    }

    // What is in use already, whoever says it, is no new set; a bad set changes nothing.
    prompts.publish(&message).unwrap();
    prompts.publish(&set(&["a dog", "a remote control"])).unwrap();
    prompts.publish(&set(&["a dog", "a dog"])).unwrap();
    prompts.publish(&message[..message.len() - 3]).unwrap();
    prompts.publish(&set(&["a mug"])).unwrap();
    assert_eq!(version(&info), 3);
    for _ in 0..2 {
        let entry = diagnostic(&diagnostics, "owlet: detection", |entry| {
            !["0", "1", "2"].contains(&entry.values["prompts_version"].as_str())
        });
        assert_eq!(entry.values["prompts_version"], "3");
    }
    assert!(info.within(Duration::ZERO).is_none(), "{}", node.log());
    let log = node.log();
    assert!(log.contains("prompts refused; version 2 stays in use"), "{log}");
    assert!(log.contains("/owlet/prompts: owlet_msgs/msg/PromptSet: field `"), "{log}");
}

#[test]
fn a_node_without_prompts_waits_for_them() {
    let client = Client::new();
    let diagnostics = diagnostics_of(&client);
    let prompts_before = client.read("/owlet/prompts", PromptSet::TYPE, Qos::LATCHED);
    let _node = Node::start(&client, "owlet", &[]);
    let message = prompts_before.next();
    assert_eq!(PromptSet::decode(&message).unwrap().version, 0);
    diagnostic(&diagnostics, "owlet: detection", |entry| {
        entry.message.contains("put a set on /owlet/prompts")
    });
    let prompts = client.write("/owlet/prompts", PromptSet::TYPE, Qos::LATCHED);
    prompts.publish(&set(&["cat"])).unwrap();
    diagnostic(&diagnostics, "owlet: detection", |entry| entry.values["prompts_version"] == "1");
}
