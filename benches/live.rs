//! What a live node adds to a frame's way, apart from the model: from the arrival of a 1920x1080
//! rgb8 image to its detections on their topic, with a detector that does nothing.
//!
//! Beside it, in the same run, what the way itself costs: the same frames through the same links,
//! answered on the spot with a message of the same size. Frames come at 30 Hz. CPU time is that of
//! the whole process, the camera and the reader included, and of the other one where there are two.
//!
//!     cargo bench --bench live [-- FRAMES]
//!
//! With `--features ros2`, in a sourced ROS 2, through its rcl as well, once with the node in a
//! process of its own: over CycloneDDS that needs a receive buffer for such frames (README).

#[cfg(feature = "ros2")]
#[path = "live/rcl.rs"]
mod rcl;

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use image::RgbImage;
use owlet::config::Config;
use owlet::node::keep_freed_memory;
use owlet::node::lifecycle::NotDone;
use owlet::node::managed::ManagedNode;
use owlet::tasks::{DetectError, DetectionRules, Detector, ImageDetections, ModelInfo};
use owlet::transport::live::{LiveTransport, NodeClock};
use owlet::transport::rmw_zenoh::{RmwZenohLink, RmwZenohOptions, SharedMemory};
use owlet::transport::ros::{
    Held, LinkError, PublisherSeen, Qos, RosBytes, RosEndpoint, RosLink, RosPublisher, RosReply,
    RosTransport, RosTransportOptions, RosType, ros_type,
};
use owlet::transport::zenoh::{SessionOptions, ZenohOptions, ZenohTransport};
use owlet::types::{Prompt, PromptSet, PromptSetRefused, Stamp};
use owlet::wire::Message;
use owlet::wire::sensor_msgs::Image;
use owlet::wire::std_msgs::Header;
use owlet::wire::vision_msgs::Detection2DArray;
use zenoh::Wait;

const SIZE: (u32, u32) = (1920, 1080);
const EVERY: Duration = Duration::from_micros(33_333);
/// Frames in the beginning that are not counted.
const WARM_UP: usize = 10;
/// Frames with stamps of their own.
const DIFFERENT: usize = 4;
const PATIENCE: Duration = Duration::from_secs(5);
/// Until everybody knows of everybody.
const SETTLE: Duration = Duration::from_secs(1);
/// Room for ten frames.
const POOL_BYTES: usize = 64 << 20;

/// How often, and who takes part.
#[derive(Clone, Copy)]
struct Run {
    frames: usize,
    /// The process of the node, where that is not this one.
    other_process: Option<u32>,
}

impl From<usize> for Run {
    fn from(frames: usize) -> Self {
        Self { frames, other_process: None }
    }
}

/// Finds nothing, at once.
struct Nothing(ModelInfo);

impl Detector for Nothing {
    fn info(&self) -> &ModelInfo {
        &self.0
    }

    fn set_prompts(&mut self, _: Arc<PromptSet>) -> Result<(), PromptSetRefused> {
        Ok(())
    }

    fn set_rules(&mut self, _: DetectionRules) {}

    fn detect(&mut self, images: &[Arc<RgbImage>]) -> Result<Vec<ImageDetections>, DetectError> {
        Ok(images.iter().map(|_| ImageDetections::default()).collect())
    }
}

/// A node on this transport, at work.
fn start(transport: Arc<dyn LiveTransport>, clock: Arc<NodeClock>) -> Arc<ManagedNode> {
    let load = |_: &Config| -> Result<Box<dyn Detector>, NotDone> {
        Ok(Box::new(Nothing(ModelInfo {
            name: "nothing".to_owned(),
            architecture: "nothing".to_owned(),
            device: "cpu".to_owned(),
            dtype: "f32".to_owned(),
            input_size: (1, 1),
            parameters: 0,
            useful_batch: 1,
        })))
    };
    let config = Config { prompts: vec![Prompt::from_text("nothing")], ..Config::default() };
    let node = ManagedNode::start(config, Arc::new(load), transport, clock).expect("a node");
    for label in ["configure", "activate"] {
        let (reply, became) = channel();
        node.change(0, label, Box::new(move |done| reply.send(done).expect("it is awaited")));
        became.recv_timeout(PATIENCE).expect("an answer").expect(label);
    }
    node
}

fn start_over(link: Arc<dyn RosLink>) -> (Arc<ManagedNode>, Arc<RosTransport>) {
    let clock = Arc::<NodeClock>::default();
    let options = RosTransportOptions { locates: true, ..Default::default() };
    let transport = RosTransport::open(link, &options, Arc::clone(&clock)).expect("topics");
    let node = start(Arc::clone(&transport) as Arc<dyn LiveTransport>, clock);
    (node, transport)
}

/// A link that goes nowhere: what arrives is handed in by the benchmark.
#[derive(Default)]
struct InMemory {
    subscribed: Mutex<HashMap<String, OnMessage>>,
    published: Mutex<HashMap<String, Sender<Arrival>>>,
}

/// What was published, and when.
type Arrival = (Vec<u8>, Instant);

type OnMessage = Arc<dyn Fn(Box<dyn RosBytes>) + Send + Sync>;

impl InMemory {
    fn watch(&self, topic: &str) -> Receiver<Arrival> {
        let (sender, receiver) = channel();
        lock(&self.published).insert(topic.to_owned(), sender);
        receiver
    }
}

impl RosLink for InMemory {
    fn node_name(&self) -> String {
        "/owlet".to_owned()
    }

    fn resolve(&self, name: &str) -> String {
        match name.strip_prefix('~') {
            Some(rest) => format!("/owlet{rest}"),
            None => format!("/{}", name.trim_start_matches('/')),
        }
    }

    fn publisher(&self, endpoint: RosEndpoint<'_>) -> Result<Box<dyn RosPublisher>, LinkError> {
        let sender = lock(&self.published).get(&self.resolve(endpoint.topic)).cloned();
        Ok(Box::new(Published(sender)))
    }

    fn subscribe(
        &self,
        endpoint: RosEndpoint<'_>,
        on_message: Box<dyn Fn(Box<dyn RosBytes>) + Send + Sync>,
    ) -> Result<Held, LinkError> {
        lock(&self.subscribed).insert(self.resolve(endpoint.topic), on_message.into());
        Ok(Box::new(()))
    }

    fn serve(
        &self,
        _service: &str,
        _ros_type: RosType,
        _on_request: Box<dyn Fn(Vec<u8>, RosReply) + Send + Sync>,
    ) -> Result<Held, LinkError> {
        Ok(Box::new(()))
    }

    fn publishers_on(&self, _topic: &str) -> Vec<PublisherSeen> {
        Vec::new()
    }

    fn close(&self, _patience: Duration) {}
}

struct Published(Option<Sender<Arrival>>);

impl RosPublisher for Published {
    fn publish(&self, cdr: &[u8]) -> Result<(), LinkError> {
        let sent = self.0.as_ref().map(|sender| sender.send((cdr.to_vec(), Instant::now())));
        // Nobody may be watching any more.
        drop(sent);
        Ok(())
    }

    fn subscribers(&self) -> usize {
        0
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn frame(number: usize) -> Vec<u8> {
    let (width, height) = SIZE;
    let data: Vec<u8> = (0..3 * width * height).map(|index| (index / 7) as u8).collect();
    let header = Header { stamp: Stamp(number as i64).into(), frame_id: "optical" };
    Image { header, height, width, encoding: "rgb8", is_bigendian: 0, step: 3 * width, data: &data }
        .encode()
}

/// A frame that is shared, as a link shares the buffers in which it came.
struct Shared(Arc<Vec<u8>>);

impl RosBytes for Shared {
    fn bytes(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.0)
    }
}

fn number_of(answer: &[u8]) -> usize {
    let array = Detection2DArray::decode(answer).expect("a whole message");
    array.header.stamp.nanosec as usize
}

/// An answer with the stamp of the frame, of the size of one with no detections.
fn answer_to(frame: &[u8]) -> Vec<u8> {
    let image = Image::decode(frame).expect("a whole message");
    Detection2DArray { header: image.header, detections: Vec::new() }.encode()
}

/// CPU time of the processes of a run, all threads, in seconds.
fn cpu_secs(run: Run) -> f64 {
    let of_process = |pid: u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // The second field is the program's name, in parentheses.
        let after_name = stat.rsplit(')').next().unwrap_or_default();
        let ticks = after_name.split_whitespace().skip(11).take(2);
        ticks.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
    };
    [Some(std::process::id()), run.other_process].into_iter().flatten().map(of_process).sum()
}

/// Sends frames, waits for each answer until the next frame is due, and prints what it took.
fn measure(
    what: &str,
    run: impl Into<Run>,
    answers: &Receiver<Arrival>,
    send: impl Fn(&Arc<Vec<u8>>),
) -> f64 {
    // Made before anything is measured; one is under way at a time.
    let made: Vec<_> = (0..DIFFERENT).map(|number| Arc::new(frame(number))).collect();
    let run = run.into();
    let mut latencies_ms = Vec::new();
    let (mut cpu_before, mut lost) = (cpu_secs(run), 0);
    for number in 0..WARM_UP + run.frames {
        if number == WARM_UP {
            cpu_before = cpu_secs(run);
            if lost == WARM_UP {
                report(format_args!("{what:<46} of the first {lost} frames none was answered"));
                return f64::NAN;
            }
        }
        let message = &made[number % DIFFERENT];
        let began = Instant::now();
        send(message);
        let answered = loop {
            match answers.recv_timeout(PATIENCE.saturating_sub(began.elapsed())) {
                Ok((answer, at)) if number_of(&answer) == number % DIFFERENT => break Some(at),
                Ok(_) => {}
                Err(_) => break None,
            }
        };
        match answered {
            Some(at) if number >= WARM_UP => {
                latencies_ms.push(1e3 * at.duration_since(began).as_secs_f64());
            }
            Some(_) => {}
            None => lost += 1,
        }
        thread::sleep(EVERY.saturating_sub(began.elapsed()));
    }
    let cpu_ms = 1e3 * (cpu_secs(run) - cpu_before) / run.frames as f64;
    latencies_ms.sort_by(f64::total_cmp);
    let at = |quantile: f64| {
        let index = (quantile * latencies_ms.len() as f64) as usize;
        latencies_ms.get(index.min(latencies_ms.len().saturating_sub(1))).copied()
    };
    let [best, median, worst] = [0.0, 0.5, 0.99].map(|quantile| at(quantile).unwrap_or(f64::NAN));
    report(format_args!(
        "{what:<46} {best:>8.2} {median:>8.2} {worst:>8.2} {cpu_ms:>8.2} {lost:>5}"
    ));
    median
}

#[allow(clippy::print_stdout, reason = "a benchmark prints what it measures")]
fn report(line: std::fmt::Arguments<'_>) {
    println!("{line}");
}

fn in_memory(frames: usize) {
    let link = Arc::new(InMemory::default());
    let answers = link.watch("/owlet/detections");
    let (node, _transport) = start_over(Arc::clone(&link) as Arc<dyn RosLink>);
    let on_image = lock(&link.subscribed).get("/image").cloned().expect("it waits for images");
    measure("owlet, from callback to publish", frames, &answers, |message| {
        on_image(Box::new(Shared(Arc::clone(message))));
    });
    node.end(PATIENCE);
}

fn free_endpoint() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    format!("tcp/{}", listener.local_addr().expect("a port"))
}

/// Two nodes that are linked: the one that is measured, and the camera.
type Linked = [Arc<dyn RosLink>; 2];

fn linked_by_rmw_zenoh(shared_memory: Option<SharedMemory>) -> Linked {
    let endpoint = free_endpoint();
    let open = |name: &str, session: SessionOptions| -> Arc<dyn RosLink> {
        let options = RmwZenohOptions {
            node: name.to_owned(),
            domain_id: Some(1),
            session,
            shared_memory,
            ..RmwZenohOptions::default()
        };
        RmwZenohLink::open(options.check().expect("good options")).expect("a session")
    };
    let first =
        open("owlet", SessionOptions { listen: vec![endpoint.clone()], ..Default::default() });
    let second = open("camera", SessionOptions { connect: vec![endpoint], ..Default::default() });
    [first, second]
}

/// Sends frames from `camera` once somebody reads them.
fn over(what: &str, run: impl Into<Run>, camera: &dyn RosLink) -> f64 {
    let (sender, answers) = channel();
    let endpoint = RosEndpoint {
        topic: "/owlet/detections",
        ros_type: ros_type::<Detection2DArray<'_>>(),
        qos: Qos::RELIABLE,
    };
    let on_answer = move |answer: Box<dyn RosBytes>| {
        // Nobody may be waiting any more.
        drop(sender.send((answer.bytes().into_owned(), Instant::now())));
    };
    let _held = camera.subscribe(endpoint, Box::new(on_answer)).expect("a topic");
    let endpoint =
        RosEndpoint { topic: "/image", ros_type: ros_type::<Image<'_>>(), qos: Qos::RELIABLE };
    let publisher = camera.publisher(endpoint).expect("a topic");
    let began = Instant::now();
    while publisher.subscribers() == 0 && began.elapsed() < PATIENCE {
        thread::sleep(Duration::from_millis(10));
    }
    thread::sleep(SETTLE);
    measure(what, run, &answers, |message| publisher.publish(message).expect("it is sent"))
}

/// Answers every frame on the spot.
fn echo(node: &dyn RosLink) -> Held {
    let endpoint = RosEndpoint {
        topic: "/owlet/detections",
        ros_type: ros_type::<Detection2DArray<'_>>(),
        qos: Qos::RELIABLE,
    };
    let echo = node.publisher(endpoint).expect("a topic");
    let endpoint =
        RosEndpoint { topic: "/image", ros_type: ros_type::<Image<'_>>(), qos: Qos::SENSOR_DATA };
    let on_image = move |image: Box<dyn RosBytes>| {
        echo.publish(&answer_to(&image.bytes())).expect("it is sent");
    };
    node.subscribe(endpoint, Box::new(on_image)).expect("a topic")
}

/// An echo and then a node over links of one kind.
fn ros(kind: &str, frames: usize, linked: impl Fn() -> Linked) {
    let [node, camera] = linked();
    let held = echo(&*node);
    let echoed = over(&format!("{kind}, answered on the spot"), frames, &*camera);
    drop(held);
    node.close(PATIENCE);
    camera.close(PATIENCE);

    let [node, camera] = linked();
    let (running, transport) = start_over(node);
    let whole = over(&format!("{kind}, owlet"), frames, &*camera);
    report(format_args!("  of which owlet's own: {:.2} ms (median)", whole - echoed));
    running.end(PATIENCE);
    transport.close(PATIENCE);
    camera.close(PATIENCE);
}

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

fn plain_zenoh(kind: &str, frames: usize, shared_memory: bool) {
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

fn main() {
    // As `owlet run` does.
    keep_freed_memory();
    #[cfg(feature = "ros2")]
    if rcl::is_other_process() {
        return;
    }
    let frames = std::env::args().skip(1).find_map(|word| word.parse().ok()).unwrap_or(150);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let cores = thread::available_parallelism().map_or(0, |cores| cores.get());
    report(format_args!("{frames} frames of 1920x1080 rgb8 at 30 Hz, {cores} cores, load {load}"));
    report(format_args!(
        "{:<46} {:>8} {:>8} {:>8} {:>8} {:>5}",
        "", "best ms", "p50 ms", "p99 ms", "CPU ms", "lost"
    ));
    in_memory(frames);
    plain_zenoh("TCP", frames, false);
    plain_zenoh("shared memory", frames, true);
    ros("rmw_zenoh, TCP", frames, || linked_by_rmw_zenoh(None));
    let memory = SharedMemory { pool_bytes: POOL_BYTES, threshold_bytes: 4096 };
    ros("rmw_zenoh, shared memory", frames, || linked_by_rmw_zenoh(Some(memory)));
    #[cfg(feature = "ros2")]
    {
        ros("ros2 (rcl)", frames, rcl::linked);
        rcl::between_processes(frames);
    }
}
