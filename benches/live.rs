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

#[path = "live/in_memory.rs"]
mod in_memory;
#[path = "live/plain_zenoh.rs"]
mod plain_zenoh;
#[cfg(feature = "ros2")]
#[path = "live/rcl.rs"]
mod rcl;

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
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
    Held, Qos, RosBytes, RosEndpoint, RosLink, RosTransport, RosTransportOptions, ros_type,
};
use owlet::transport::zenoh::SessionOptions;
use owlet::types::{Prompt, PromptSet, PromptSetRefused, Stamp};
use owlet::wire::Message;
use owlet::wire::sensor_msgs::Image;
use owlet::wire::std_msgs::Header;
use owlet::wire::vision_msgs::Detection2DArray;

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

/// What was published, and when.
type Arrival = (Vec<u8>, Instant);

fn frame(number: usize) -> Vec<u8> {
    let (width, height) = SIZE;
    let data: Vec<u8> = (0..3 * width * height).map(|index| (index / 7) as u8).collect();
    let header = Header { stamp: Stamp(number as i64).into(), frame_id: "optical" };
    Image { header, height, width, encoding: "rgb8", is_bigendian: 0, step: 3 * width, data: &data }
        .encode()
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
    in_memory::run(frames);
    plain_zenoh::run("TCP", frames, false);
    plain_zenoh::run("shared memory", frames, true);
    ros("rmw_zenoh, TCP", frames, || linked_by_rmw_zenoh(None));
    let memory = SharedMemory { pool_bytes: POOL_BYTES, threshold_bytes: 4096 };
    ros("rmw_zenoh, shared memory", frames, || linked_by_rmw_zenoh(Some(memory)));
    #[cfg(feature = "ros2")]
    {
        ros("ros2 (rcl)", frames, rcl::linked);
        rcl::between_processes(frames);
    }
}
