//! How a node in ROS 2 starts and ends.

use std::process::Command;
use std::time::{Duration, Instant};

use owlet::transport::ros::RosLink;
use owlet::vision::decode::decode_file;

use super::{Client, Node, TOO_LONG, raw_image};
use crate::cli::{picture, run, words};
use crate::golden_models::fixture;

/// An idle machine takes a fifth of a second (`owlet run` gives each step of the end 0.3 s at most);
/// here other tests have the processor, too.
const END: Duration = Duration::from_secs(5);

#[test]
fn sigint_and_sigterm_end_it_cleanly_and_everybody_is_told() {
    let image = decode_file(&picture("landscape.png")).unwrap();
    let big = image::imageops::resize(&image, 1920, 1080, image::imageops::FilterType::Nearest);
    for (signal, frames) in [("INT", 0), ("TERM", 0), ("INT", 20), ("TERM", 20)] {
        let client = Client::new();
        let mut node = Node::start(&client, "owlet", &["-p", "cat"]);
        let is_seen = || !client.link.publishers_on("/owlet/detections").is_empty();
        let began = Instant::now();
        while !is_seen() {
            assert!(began.elapsed() < TOO_LONG, "{}", node.log());
            std::thread::sleep(Duration::from_millis(10));
        }
        if frames > 0 {
            let camera = client.camera("/image");
            for stamp in 0..frames {
                camera.publish(&raw_image(&big, "rgb8", big.as_raw(), stamp)).unwrap();
            }
        }
        let pid = node.process.id().to_string();
        assert!(Command::new("kill").args(["-s", signal, &pid]).status().unwrap().success());
        let began = Instant::now();
        let status = loop {
            if let Some(status) = node.process.try_wait().unwrap() {
                break status;
            }
            assert!(began.elapsed() < TOO_LONG, "{}", node.log());
            std::thread::sleep(Duration::from_millis(5));
        };
        assert_eq!(status.code(), Some(0), "{}", node.log());
        assert!(began.elapsed() < END, "it took {:?}", began.elapsed());
        // Told, and not found out: zenoh notices a dead link after a minute.
        while is_seen() {
            assert!(began.elapsed() < Duration::from_secs(20), "its tokens are still there");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

#[test]
fn what_makes_no_sense_is_refused_at_the_start_with_every_reason() {
    let base = words!["run", "--model", fixture("owlvit_tiny"), "-p", "cat"];
    let with = |more: Vec<std::ffi::OsString>| [base.clone(), more].concat();
    let rmw = words!["--transport", "rmw_zenoh", "--connect", "nowhere"];
    let bad = words!["--param", "ros_remap=[\"__node:=a b\", \"x:=y z\"]"];
    run(with([rmw, bad].concat()), 2).says(&[
        "zenoh_connect[0]: expected an endpoint",
        "ros_remap[0]: expected a node's name",
        "ros_remap[1]: expected FROM:=TO",
    ]);
    let bad = words!["--param", "ros_domain_id=300", "--param", "cameras=[a b]"];
    run(with(bad), 2).says(&["ros_domain_id: expected an integer from -1 to 232", "cameras[0]"]);
    run(with(words!["--transport", "dds"]), 2).says(&["zenoh, rmw_zenoh or ros2"]);
    run(with(words!["--transport", "ros2"]), 2).says(&["found ros2", "built without"]);
}

#[test]
fn a_router_that_a_client_cannot_reach_fails_the_start() {
    let words = words![
        "run",
        "--transport",
        "rmw_zenoh",
        "--model",
        fixture("owlvit_tiny"),
        "-p",
        "cat",
        "--connect",
        "tcp/127.0.0.1:1",
        "--param",
        "zenoh_mode=client"
    ];
    run(words, 1).says(&["cannot enter ROS 2 as /owlet", "zenoh_connect"]);
}

#[test]
fn a_node_that_nobody_sees_says_so() {
    // As nodes of rmw_zenoh do, it waits for a router that is not there yet.
    let node = Node::start_at("tcp/127.0.0.1:1", 0, "owlet", &["-p", "cat"]);
    let began = Instant::now();
    while !node.log().contains("is connected to no router and no peer") {
        assert!(began.elapsed() < TOO_LONG, "{}", node.log());
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(node.log().contains("looked for at [\"tcp/127.0.0.1:1\"]"), "{}", node.log());
}
