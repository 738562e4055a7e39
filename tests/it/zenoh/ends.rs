//! How a node starts and ends.

use std::process::Command;
use std::time::{Duration, Instant};

use owlet::vision::decode::decode_file;
use zenoh::Wait;
use zenoh::sample::SampleKind;

use super::{Node, TOO_LONG, quiet_zenoh, router};
use crate::cli::{picture, run, settle, words};
use crate::golden_models::fixture;

/// An idle machine takes a fifth of a second (`owlet run` gives each step of the end 0.3 s at most);
/// here other tests have the processor, too.
const END: Duration = Duration::from_secs(5);

/// Ends a node; everybody is told at once, not when zenoh finds the link dead (10 s).
fn ends(name: &str, signal: &str) {
    ends_at_work(name, signal, |_| {});
}

/// Ends a node in the middle of `work`.
fn ends_at_work(name: &str, signal: &str, work: impl Fn(&Node)) {
    let mut node = Node::start(name, &["-p", "cat"]);
    work(&node);
    let token = format!("owlet/{name}");
    let alive = node.session.liveliness().declare_subscriber(token).wait().unwrap();
    let pid = node.process.id().to_string();
    let began = Instant::now();
    assert!(Command::new("kill").args(["-s", signal, &pid]).status().unwrap().success());
    let gone = alive.recv_timeout(Duration::from_secs(8)).unwrap().expect("it says that it goes");
    assert_eq!(gone.kind(), SampleKind::Delete);
    let status = loop {
        if let Some(status) = node.process.try_wait().unwrap() {
            break status;
        }
        assert!(began.elapsed() < TOO_LONG, "{}", node.log());
        std::thread::sleep(Duration::from_millis(5));
    };
    assert_eq!(status.code(), Some(0), "{}", node.log());
    assert!(began.elapsed() < END, "it took {:?}", began.elapsed());
}

#[test]
fn sigint_and_sigterm_end_it_cleanly() {
    ends("ends_int", "INT");
    ends("ends_term", "TERM");
}

#[test]
fn nothing_under_way_keeps_it_from_ending() {
    let image = decode_file(&picture("landscape.png")).unwrap();
    let big = image::imageops::resize(&image, 1920, 1080, image::imageops::FilterType::Nearest);
    let frames = |node: &Node| {
        for stamp in 0..20 {
            node.send("front", "zenoh/bytes;rgb8;1920x1080", big.as_raw(), stamp);
        }
    };
    ends_at_work("ends_looking", "TERM", frames);
    // Texts that take seconds to encode, and frames behind them.
    let texts: Vec<_> = (0..1000).map(|number| format!("thing number {number}")).collect();
    let set = serde_json::json!({ "prompts": texts }).to_string();
    ends_at_work("ends_encoding", "INT", |node| {
        node.put(&node.key("prompts"), "application/json", set.as_bytes(), None);
        frames(node);
    });
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
        .args(["--param", "zenoh_mode=client", "--param", &config, "--param", "text_cache=false"])
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
