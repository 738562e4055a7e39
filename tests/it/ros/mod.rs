//! `owlet run --transport rmw_zenoh` as robots with ROS 2 meet it: the real program on a small
//! checkpoint, a camera and a reader in this process, and between them a router of zenoh's own code.
//! Each test has a ROS domain of its own.

mod ends;
mod hostile;
mod images;
mod managed;
mod outputs;
mod peer;
mod prompts;
mod space;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use owlet::transport::rmw_zenoh::{RmwZenohLink, RmwZenohOptions};
use owlet::transport::ros::{Held, Qos, RosEndpoint, RosLink, RosPublisher, RosType};
use owlet::transport::zenoh::SessionOptions;
use owlet::types::Stamp;
use owlet::wire::diagnostic_msgs::DiagnosticArray;
use owlet::wire::sensor_msgs::{CompressedImage, Image};
use owlet::wire::std_msgs::Header;
use owlet::wire::vision_msgs::Detection2DArray;
use owlet::wire::{Message, definition_of};
use serde_json::{Value, json};

use crate::cli::settle;
use crate::golden_models::fixture;
use crate::zenoh::router;

/// Nothing here takes a tenth of it: who is not back by then never comes back.
const TOO_LONG: Duration = Duration::from_secs(120);

fn ros_type(name: &str) -> RosType {
    let definition = definition_of(name).unwrap();
    RosType { name: definition.message_type, hash: definition.type_hash }
}

/// Another node: the camera, and who reads the results.
struct Client {
    link: Arc<RmwZenohLink>,
    domain: u32,
}

impl Client {
    /// In a domain that nobody else is in.
    fn new() -> Self {
        static DOMAINS: AtomicU32 = AtomicU32::new(1);
        let domain = DOMAINS.fetch_add(1, Ordering::Relaxed);
        let options = RmwZenohOptions {
            node: "tester".to_owned(),
            domain_id: Some(domain),
            session: SessionOptions {
                mode: Some("client".to_owned()),
                connect: vec![router().to_owned()],
                ..SessionOptions::default()
            },
            ..RmwZenohOptions::default()
        };
        let link = RmwZenohLink::open(options.check().unwrap()).unwrap();
        Self { link, domain }
    }

    /// Reads a topic from now on. A node that comes later finds the subscription there.
    fn read(&self, topic: &str, type_name: &str, qos: Qos) -> Messages {
        let (sender, messages) = channel();
        let endpoint = RosEndpoint { topic, ros_type: ros_type(type_name), qos };
        let held = self.link.subscribe(
            endpoint,
            // Who has stopped reading misses nothing.
            Box::new(move |message| drop(sender.send(message.bytes().into_owned()))),
        );
        Messages { topic: topic.to_owned(), messages, _held: held.unwrap() }
    }

    fn detections(&self, topic: &str) -> Messages {
        self.read(topic, Detection2DArray::TYPE, Qos::RELIABLE)
    }

    /// Opens a topic for writing, and waits until somebody reads it.
    fn write(&self, topic: &str, type_name: &str, qos: Qos) -> Box<dyn RosPublisher> {
        let endpoint = RosEndpoint { topic, ros_type: ros_type(type_name), qos };
        let publisher = self.link.publisher(endpoint).unwrap();
        let began = Instant::now();
        while publisher.subscribers() == 0 {
            assert!(began.elapsed() < TOO_LONG, "nobody reads {topic}");
            std::thread::sleep(Duration::from_millis(10));
        }
        publisher
    }

    /// A camera whose images are not lost on the way, so that a test can count them.
    fn camera(&self, topic: &str) -> Box<dyn RosPublisher> {
        self.write(topic, Image::TYPE, Qos::RELIABLE)
    }

    fn compressed_camera(&self, topic: &str) -> Box<dyn RosPublisher> {
        self.write(topic, CompressedImage::TYPE, Qos::RELIABLE)
    }
}

/// What comes on a topic.
struct Messages {
    topic: String,
    messages: Receiver<Vec<u8>>,
    _held: Held,
}

impl Messages {
    #[track_caller]
    fn next(&self) -> Vec<u8> {
        self.within(TOO_LONG).unwrap_or_else(|| panic!("nothing comes on {}", self.topic))
    }

    fn within(&self, patience: Duration) -> Option<Vec<u8>> {
        match self.messages.recv_timeout(patience) {
            Ok(message) => Some(message),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => panic!("the subscription is gone"),
        }
    }

    /// The next detections in the form of `owlet detect --json`, with stamp and frame.
    #[track_caller]
    fn next_detections(&self) -> (Value, i64, String) {
        let bytes = self.next();
        let array = Detection2DArray::decode(&bytes).unwrap();
        let header = array.header.to_frame_header();
        let detections: Vec<_> = array
            .detections
            .iter()
            .map(|detection| {
                assert_eq!(detection.header, array.header);
                let [result] = detection.results.as_slice() else { panic!("{detection:?}") };
                let bbox = &detection.bbox;
                let (x, y) = (bbox.center_x, bbox.center_y);
                let (w, h) = (0.5 * bbox.size_x, 0.5 * bbox.size_y);
                let corners = [x - w, y - h, x + w, y + h].map(|corner| corner as f32);
                json!({
                    "prompt": result.class_id, "score": result.score as f32, "box_px": corners,
                })
            })
            .collect();
        (detections.into(), header.stamp.0, header.frame_id.to_string())
    }
}

/// Two lists of detections are the same but for the last bits of corners, which come from centre
/// and size.
#[track_caller]
fn same_detections(found: &Value, expected: &Value) {
    let (found, expected) = (found.as_array().unwrap(), expected.as_array().unwrap());
    assert!(!expected.is_empty(), "nothing is compared");
    assert_eq!(found.len(), expected.len(), "{found:?}");
    for (found, expected) in found.iter().zip(expected) {
        let (prompt, score) = (&found["prompt"], found["score"].as_f64().unwrap());
        let expected_score = expected["score"].as_f64().unwrap();
        assert_eq!(prompt, &expected["prompt"]);
        // A text's vector may differ in its last bit by the texts that it was encoded with.
        assert!((score - expected_score).abs() < 1e-6, "{score} is not {expected_score}");
        for index in 0..4 {
            let corner = |record: &Value| record["box_px"][index].as_f64().unwrap();
            let difference = (corner(found) - corner(expected)).abs();
            assert!(difference < 1e-3, "{found} is not {expected}");
        }
    }
}

/// An image with a stamp, serialized.
fn raw_image(image: &image::RgbImage, encoding: &str, data: &[u8], stamp: i64) -> Vec<u8> {
    let (width, height) = image.dimensions();
    let step = (data.len() / height as usize) as u32;
    let header = Header { stamp: Stamp(stamp).into(), frame_id: "optical" };
    Image { header, height, width, encoding, is_bigendian: 0, step, data }.encode()
}

fn compressed_image(format: &str, data: &[u8], stamp: i64) -> Vec<u8> {
    let header = Header { stamp: Stamp(stamp).into(), frame_id: "optical" };
    CompressedImage { header, format, data }.encode()
}

/// `owlet run --transport rmw_zenoh`.
struct Node {
    process: Child,
    log: Arc<Mutex<String>>,
}

impl Node {
    /// A node in the client's domain with the small OWL-ViT and these words more, ready to work.
    fn start(client: &Client, name: &str, more: &[&str]) -> Self {
        Self::start_at(router(), client.domain, name, more).said("ready: ")
    }

    /// The same, as soon as it has begun.
    fn start_at(endpoint: &str, domain: u32, name: &str, more: &[&str]) -> Self {
        let model = fixture("owlvit_tiny");
        let model = ["--model", model.to_str().unwrap()];
        Self::begin(endpoint, domain, name, &[&model, more].concat())
    }

    /// A node with no model but that of these words.
    fn begin(endpoint: &str, domain: u32, name: &str, more: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_owlet"));
        settle(&mut command);
        command.env_remove("ZENOH_SESSION_CONFIG_URI").env_remove("ZENOH_CONFIG_OVERRIDE");
        let domain = format!("ros_domain_id={domain}");
        command
            .args(["run", "--transport", "rmw_zenoh", "--node", name, "--connect", endpoint])
            .args(["--param", &domain, "--param", "text_cache=false"])
            .args(more)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let (stderr, copy) = (process.stderr.take().unwrap(), Arc::clone(&log));
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                copy.lock().unwrap().push_str(&(line + "\n"));
            }
        });
        Self { process, log }
    }

    /// Waits until its log says something.
    fn said(mut self, text: &str) -> Self {
        let began = Instant::now();
        while !self.log().contains(text) {
            let ended = self.process.try_wait().unwrap();
            assert!(ended.is_none() && began.elapsed() < TOO_LONG, "{ended:?}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
        self
    }

    fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
        if !std::thread::panicking() {
            assert!(!self.log().contains("panicked"), "{}", self.log());
        }
    }
}

/// One entry of `/diagnostics`.
#[derive(Clone, Debug)]
struct Diagnostic {
    level: u8,
    message: String,
    values: BTreeMap<String, String>,
}

/// The first diagnostics whose entry called `name` is as asked for.
#[track_caller]
fn diagnostic(
    diagnostics: &Messages,
    name: &str,
    is_met: impl Fn(&Diagnostic) -> bool,
) -> Diagnostic {
    let began = Instant::now();
    let mut last = None;
    while began.elapsed() < TOO_LONG {
        let bytes = diagnostics.next();
        let array = DiagnosticArray::decode(&bytes).unwrap();
        let Some(entry) = array.status.iter().find(|entry| entry.name == name) else { continue };
        let values = entry.values.iter();
        let entry = Diagnostic {
            level: entry.level,
            message: entry.message.to_string(),
            values: values.map(|value| (value.key.to_string(), value.value.to_string())).collect(),
        };
        if is_met(&entry) {
            return entry;
        }
        last = Some(entry);
    }
    panic!("{name}: {last:#?}")
}

/// Where diagnostics are read.
fn diagnostics_of(client: &Client) -> Messages {
    client.read("/diagnostics", DiagnosticArray::TYPE, Qos::RELIABLE)
}
