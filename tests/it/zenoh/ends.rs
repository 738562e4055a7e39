//! How a node starts and ends.

use std::process::Command;
use std::time::{Duration, Instant};

use zenoh::Wait;
use zenoh::sample::SampleKind;

use super::{Node, TOO_LONG, quiet_zenoh, router};
use crate::cli::{run, settle, words};
use crate::golden_models::fixture;

/// Ends a node; everybody is told at once, not when zenoh finds the link dead (10 s).
fn ends(name: &str, signal: &str) {
    let mut node = Node::start(name, &["-p", "cat"]);
    let token = format!("owlet/{name}");
    let alive = node.session.liveliness().declare_subscriber(token).wait().unwrap();
    let pid = node.process.id().to_string();
    assert!(Command::new("kill").args(["-s", signal, &pid]).status().unwrap().success());
    let gone = alive.recv_timeout(Duration::from_secs(8)).unwrap().expect("it says that it goes");
    assert_eq!(gone.kind(), SampleKind::Delete);
    let began = Instant::now();
    let status = loop {
        if let Some(status) = node.process.try_wait().unwrap() {
            break status;
        }
        assert!(began.elapsed() < TOO_LONG, "{}", node.log());
        std::thread::sleep(Duration::from_millis(5));
    };
    assert_eq!(status.code(), Some(0), "{}", node.log());
}

#[test]
fn sigint_and_sigterm_end_it_cleanly() {
    ends("ends_int", "INT");
    ends("ends_term", "TERM");
}

#[test]
fn the_log_says_what_is_ready() {
    let node = Node::start("ready", &["-p", "cat", "-p", "dog"]);
    let began = Instant::now();
    while !node.log().contains("\n INFO ready: ") {
        assert!(began.elapsed() < TOO_LONG, "{}", node.log());
        std::thread::sleep(Duration::from_millis(5));
    }
    let log = node.log();
    for text in ["in f32 on cpu, 2 prompts", "owlet/ready/camera/*/image", "below owlet/ready/"] {
        assert!(log.contains(text), "{text:?} is not in\n{log}");
    }
}

#[test]
fn what_makes_no_sense_is_refused_at_the_start_with_every_reason() {
    let base = words!["run", "--model", fixture("owlvit_tiny"), "-p", "cat"];
    let with = |more: Vec<std::ffi::OsString>| [base.clone(), more].concat();
    run(with(words!["--node", "a b", "--param", "zenoh_mode=router", "--param", "zenoh_cdr=2"]), 2)
        .says(&["node: expected names", "zenoh_mode: expected peer, client or", "zenoh_cdr"]);
    let bad = "zenoh_images=[a//b, \"owlet/owlet/**\"]";
    run(with(words!["--connect", "nowhere", "--listen", "quic/a:1", "--param", bad]), 2).says(&[
        "zenoh_connect[0]: expected an endpoint",
        "zenoh_listen[0]: expected one of the links tcp",
        "zenoh_images[0]: expected a key expression",
        "zenoh_images[1]: expected keys of images only",
    ]);
    let config = "zenoh_config=/nonexistent.json5";
    run(with(words!["--param", config]), 2).says(&["zenoh_config", "/nonexistent.json5"]);
}

#[test]
fn a_router_that_is_not_there_fails_the_start() {
    let config = format!("zenoh_config={}", quiet_zenoh().display());
    // A port that nobody listens on: it was free a moment ago and is in nobody's range of ports.
    let words = words![
        "run",
        "--model",
        fixture("owlvit_tiny"),
        "-p",
        "cat",
        "--connect",
        "tcp/127.0.0.1:1",
        "--param",
        "zenoh_mode=client",
        "--param",
        config
    ];
    run(words, 1).says(&["zenoh: no session", "zenoh_connect"]);
}

#[test]
fn a_second_node_of_one_name_is_told() {
    let first = Node::start("twin", &["-p", "cat"]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_owlet"));
    settle(&mut command);
    let config = format!("zenoh_config={}", quiet_zenoh().display());
    let mut second = command
        .args(["run", "--node", "twin", "-p", "cat", "--connect", router(), "--model"])
        .arg(fixture("owlvit_tiny"))
        .args(["--param", "zenoh_mode=client", "--param", &config])
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(second.stderr.take().unwrap()));
    let warned = lines.find(|line| {
        let line = line.as_ref().unwrap();
        line.contains("a node of this name is alive already") || line.contains(" INFO ready")
    });
    assert!(warned.unwrap().unwrap().contains("alive already"));
    second.kill().unwrap();
    second.wait().unwrap();
    drop(first);
}
