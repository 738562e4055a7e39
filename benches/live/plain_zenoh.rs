//! The way over zenoh without ROS.

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Instant;

use owlet::transport::live::LiveTransport;
use owlet::transport::zenoh::{SessionOptions, ZenohOptions, ZenohTransport};
use zenoh::Wait;

use super::{PATIENCE, POOL_BYTES, SETTLE, answer_to, free_endpoint, measure, report, start};

/// A session that keeps to one endpoint, with shared memory or without.
fn quiet(key: &str, endpoint: &str, shared_memory: bool) -> zenoh::Config {
    let mut config = zenoh::Config::default();
    for (key, value) in [
        (key, format!("[{endpoint:?}]")),
        ("scouting/multicast/enabled", "false".to_owned()),
        ("transport/shared_memory/enabled", shared_memory.to_string()),
        ("transport/shared_memory/transport_optimization/pool_size", POOL_BYTES.to_string()),
    ] {
        config.insert_json5(key, &value).expect("a good value");
    }
    config
}

/// Sends frames on `image_key` over a session of its own, and reads what comes on `answer_key`.
fn over_zenoh(
    what: &str,
    frames: usize,
    config: zenoh::Config,
    [image_key, answer_key]: [&str; 2],
) -> f64 {
    let camera = zenoh::open(config).wait().expect("a session");
    let (sender, answers) = channel();
    let heard = camera
        .declare_subscriber(answer_key.to_owned())
        .callback(move |sample| {
            // Nobody may be waiting any more.
            drop(sender.send((sample.payload().to_bytes().into_owned(), Instant::now())));
        })
        .wait()
        .expect("a key");
    let block = zenoh::qos::CongestionControl::Block;
    let publisher = camera
        .declare_publisher(image_key.to_owned())
        .congestion_control(block)
        .wait()
        .expect("a key");
    thread::sleep(SETTLE);
    let median = measure(what, frames, &answers, |message| {
        publisher.put(message.as_slice()).wait().expect("it is sent");
    });
    drop((heard, publisher));
    camera.close().wait().expect("it closes");
    median
}

/// An echo and then a node.
pub(super) fn run(kind: &str, frames: usize, shared_memory: bool) {
    let endpoint = free_endpoint();
    let node = zenoh::open(quiet("listen/endpoints", &endpoint, shared_memory));
    let node = node.wait().expect("a session");
    let back = node.clone();
    let echo = node
        .declare_subscriber("image")
        .callback(move |sample| {
            let answer = answer_to(&sample.payload().to_bytes());
            back.put("detections", answer).wait().expect("it is sent");
        })
        .wait()
        .expect("a key");
    let camera = quiet("connect/endpoints", &endpoint, shared_memory);
    let what = format!("zenoh, {kind}, answered on the spot");
    let echoed = over_zenoh(&what, frames, camera, ["image", "detections"]);
    drop(echo);
    node.close().wait().expect("it closes");

    let endpoint = free_endpoint();
    let file = tempfile::NamedTempFile::with_suffix(".json5").expect("a file");
    let config = quiet("listen/endpoints", &endpoint, shared_memory);
    std::fs::write(file.path(), config.to_string()).expect("room for a file");
    let options = ZenohOptions {
        node: "owlet".to_owned(),
        session: SessionOptions { config: Some(file.path().to_owned()), ..Default::default() },
        images: vec!["robot/*/image".to_owned()],
        cdr: true,
        locates: true,
        ..Default::default()
    };
    let checked = options.check().unwrap_or_else(|error| panic!("{error}"));
    let transport = ZenohTransport::open(checked).expect("a session");
    let running = start(Arc::clone(&transport) as Arc<dyn LiveTransport>, Arc::default());
    let camera = quiet("connect/endpoints", &endpoint, shared_memory);
    let keys = ["robot/front/image", "owlet/owlet/detections_cdr/front"];
    let whole = over_zenoh(&format!("zenoh, {kind}, owlet"), frames, camera, keys);
    report(format_args!("  of which owlet's own: {:.2} ms (median)", whole - echoed));
    running.end(PATIENCE);
    transport.close(PATIENCE);
}
