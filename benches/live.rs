//! What a live node adds to a frame's way, apart from the model: from the arrival of a 1920x1080
//! rgb8 image to its detections on their topic, with a detector that does nothing.
//!
//! Beside it, in the same run, what the way itself costs: the same frames through the same links,
//! answered on the spot with a message of the same size. Frames come at 30 Hz.
//!
//!     cargo bench --bench live [-- FRAMES]

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use image::RgbImage;
use owlet::node::{Node, NodeOptions, RunningNode, SpaceOptions};
use owlet::pipeline::{Pipeline, PipelineOptions, Policy};
use owlet::tasks::{DetectError, Detector, ImageDetections, ModelInfo};
use owlet::transport::live::{NodeInput, NodeOutput};
use owlet::transport::rmw_zenoh::{RmwZenohLink, RmwZenohOptions, SharedMemory};
use owlet::transport::ros::{
    Held, LinkError, PublisherSeen, Qos, RosBytes, RosEndpoint, RosLink, RosPublisher, RosReply,
    RosTransport, RosTransportOptions, RosType,
};
use owlet::transport::zenoh::SessionOptions;
use owlet::types::{Prompt, PromptSet, PromptSetRefused, Stamp};
use owlet::wire::sensor_msgs::Image;
use owlet::wire::std_msgs::Header;
use owlet::wire::vision_msgs::Detection2DArray;
use owlet::wire::{Message, definition_of};
use zenoh::Wait;

const SIZE: (u32, u32) = (1920, 1080);
const EVERY: Duration = Duration::from_micros(33_333);
/// Frames in the beginning that are not counted.
const WARM_UP: usize = 10;
/// Frames with stamps of their own.
const DIFFERENT: usize = 4;
const PATIENCE: Duration = Duration::from_secs(5);

/// Finds nothing, at once.
struct Nothing(ModelInfo);

impl Detector for Nothing {
    fn info(&self) -> &ModelInfo {
        &self.0
    }

    fn set_prompts(&mut self, _: Arc<PromptSet>) -> Result<(), PromptSetRefused> {
        Ok(())
    }

    fn detect(&mut self, images: &[Arc<RgbImage>]) -> Result<Vec<ImageDetections>, DetectError> {
        Ok(images.iter().map(|_| ImageDetections::default()).collect())
    }
}

/// A node on this link, at work.
fn start(link: Arc<dyn RosLink>) -> (RunningNode, Arc<RosTransport>) {
    let info = ModelInfo {
        name: "nothing".to_owned(),
        architecture: "nothing".to_owned(),
        device: "cpu".to_owned(),
        dtype: "f32".to_owned(),
        input_size: (1, 1),
        parameters: 0,
        useful_batch: 1,
    };
    let options = PipelineOptions {
        cameras: Vec::new(),
        policy: Policy::LatestWins,
        max_batch: 1,
        results_capacity: 8,
    };
    let made = move || Ok::<_, DetectError>(Box::new(Nothing(info)) as Box<dyn Detector>);
    let (pipeline, results) = Pipeline::start(options, made).expect("a thread");
    let prompts = vec![Prompt::from_text("nothing")];
    let prompts = Arc::new(PromptSet { version: 1, prompts, default_threshold: 0.1 });
    pipeline.set_prompts(Arc::clone(&prompts)).expect("any prompts");
    let options = NodeOptions {
        name: "owlet".to_owned(),
        prompts: Some(prompts),
        threshold: 0.1,
        overlay: true,
        jpeg_quality: 85,
        tracking: true,
        space: SpaceOptions::default(),
    };
    let node = Node::new(options, pipeline);
    let transport = RosTransport::open(link, &RosTransportOptions::default()).expect("topics");
    let output = Arc::clone(&transport) as Arc<dyn NodeOutput>;
    let running = node.start(output, results).expect("threads");
    transport.serve(&(node as Arc<dyn NodeInput>)).expect("services");
    transport.activate().expect("topics");
    (running, transport)
}

/// A link that goes nowhere: what arrives is handed in by the benchmark.
#[derive(Default)]
struct InMemory {
    subscribed: Mutex<HashMap<String, OnMessage>>,
    published: Mutex<HashMap<String, Sender<(Vec<u8>, Instant)>>>,
}

type OnMessage = Arc<dyn Fn(Box<dyn RosBytes>) + Send + Sync>;

impl InMemory {
    fn watch(&self, topic: &str) -> Receiver<(Vec<u8>, Instant)> {
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

struct Published(Option<Sender<(Vec<u8>, Instant)>>);

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

/// CPU time of this process, all threads, in seconds.
fn cpu_secs() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The second field is the program's name, in parentheses.
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks = after_name.split_whitespace().skip(11).take(2);
    ticks.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

/// Sends frames, waits for each answer until the next frame is due, and prints what it took.
fn measure(
    what: &str,
    frames: usize,
    answers: &Receiver<(Vec<u8>, Instant)>,
    send: impl Fn(&Arc<Vec<u8>>),
) -> f64 {
    // Made before anything is measured; one is under way at a time.
    let made: Vec<_> = (0..DIFFERENT).map(|number| Arc::new(frame(number))).collect();
    let mut latencies_ms = Vec::new();
    let (mut cpu_before, mut lost) = (cpu_secs(), 0);
    for number in 0..WARM_UP + frames {
        if number == WARM_UP {
            cpu_before = cpu_secs();
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
    let cpu_ms = 1e3 * (cpu_secs() - cpu_before) / frames as f64;
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

fn in_memory(frames: usize) -> f64 {
    let link = Arc::new(InMemory::default());
    let answers = link.watch("/owlet/detections");
    let (running, transport) = start(Arc::clone(&link) as Arc<dyn RosLink>);
    let on_image = lock(&link.subscribed).get("/image").cloned().expect("it waits for images");
    let median = measure("owlet, from callback to publish", frames, &answers, |message| {
        on_image(Box::new(Shared(Arc::clone(message))));
    });
    transport.deactivate();
    let _ended = running.stop(PATIENCE);
    median
}

fn free_endpoint() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    format!("tcp/{}", listener.local_addr().expect("a port"))
}

fn ros_type(name: &str) -> RosType {
    let definition = definition_of(name).expect("a message of ours");
    RosType { name: definition.message_type, hash: definition.type_hash }
}

/// Two nodes of rmw_zenoh that are linked: the first one listens.
fn linked(shared_memory: Option<SharedMemory>) -> [Arc<RmwZenohLink>; 2] {
    let endpoint = free_endpoint();
    let open = |name: &str, session: SessionOptions| {
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
fn over(what: &str, frames: usize, camera: &RmwZenohLink) -> f64 {
    let (sender, answers) = channel();
    let endpoint = RosEndpoint {
        topic: "/owlet/detections",
        ros_type: ros_type(Detection2DArray::TYPE),
        qos: Qos::RELIABLE,
    };
    let on_answer = move |answer: Box<dyn RosBytes>| {
        // Nobody may be waiting any more.
        drop(sender.send((answer.bytes().into_owned(), Instant::now())));
    };
    let _held = camera.subscribe(endpoint, Box::new(on_answer)).expect("a topic");
    let endpoint =
        RosEndpoint { topic: "/image", ros_type: ros_type(Image::TYPE), qos: Qos::RELIABLE };
    let publisher = camera.publisher(endpoint).expect("a topic");
    let began = Instant::now();
    while publisher.subscribers() == 0 && began.elapsed() < PATIENCE {
        thread::sleep(Duration::from_millis(10));
    }
    thread::sleep(Duration::from_millis(500));
    measure(what, frames, &answers, |message| publisher.publish(message).expect("it is sent"))
}

fn rmw_zenoh(kind: &str, frames: usize, shared_memory: Option<SharedMemory>) {
    let [node, camera] = linked(shared_memory);
    let endpoint = RosEndpoint {
        topic: "/owlet/detections",
        ros_type: ros_type(Detection2DArray::TYPE),
        qos: Qos::RELIABLE,
    };
    let echo = node.publisher(endpoint).expect("a topic");
    let endpoint =
        RosEndpoint { topic: "/image", ros_type: ros_type(Image::TYPE), qos: Qos::SENSOR_DATA };
    let on_image = move |image: Box<dyn RosBytes>| {
        echo.publish(&answer_to(&image.bytes())).expect("it is sent");
    };
    let held = node.subscribe(endpoint, Box::new(on_image)).expect("a topic");
    let echoed = over(&format!("rmw_zenoh, answered on the spot, {kind}"), frames, &camera);
    drop(held);
    node.close(PATIENCE);
    camera.close(PATIENCE);

    let [node, camera] = linked(shared_memory);
    let (running, transport) = start(node);
    let whole = over(&format!("owlet over rmw_zenoh, {kind}"), frames, &camera);
    report(format_args!("  of which owlet's own, {kind}: {:.2} ms (median)", whole - echoed));
    transport.deactivate();
    let _ended = running.stop(PATIENCE);
    transport.close(PATIENCE);
    camera.close(PATIENCE);
}

fn plain_zenoh(frames: usize) {
    let endpoint = free_endpoint();
    let open = |key: &str| {
        let mut config = zenoh::Config::default();
        for (key, value) in [
            (key, format!("[{endpoint:?}]")),
            ("scouting/multicast/enabled", "false".to_owned()),
            ("transport/shared_memory/enabled", "false".to_owned()),
        ] {
            config.insert_json5(key, &value).expect("a good value");
        }
        zenoh::open(config).wait().expect("a session")
    };
    let (node, camera) = (open("listen/endpoints"), open("connect/endpoints"));
    let back = node.clone();
    let echo = node
        .declare_subscriber("image")
        .callback(move |sample| {
            let answer = answer_to(&sample.payload().to_bytes());
            back.put("detections", answer).wait().expect("it is sent");
        })
        .wait()
        .expect("a key");
    let (sender, answers) = channel();
    let heard = camera
        .declare_subscriber("detections")
        .callback(move |sample| {
            // Nobody may be waiting any more.
            drop(sender.send((sample.payload().to_bytes().into_owned(), Instant::now())));
        })
        .wait()
        .expect("a key");
    let block = zenoh::qos::CongestionControl::Block;
    let publisher =
        camera.declare_publisher("image").congestion_control(block).wait().expect("a key");
    thread::sleep(Duration::from_secs(1));
    measure("zenoh, answered on the spot, TCP", frames, &answers, |message| {
        publisher.put(message.as_slice()).wait().expect("it is sent");
    });
    drop((echo, heard));
}

fn main() {
    let frames = std::env::args().skip(1).find_map(|word| word.parse().ok()).unwrap_or(150);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let cores = thread::available_parallelism().map_or(0, |cores| cores.get());
    report(format_args!("{frames} frames of 1920x1080 rgb8 at 30 Hz, {cores} cores, load {load}"));
    report(format_args!(
        "{:<46} {:>8} {:>8} {:>8} {:>8} {:>5}",
        "", "best ms", "p50 ms", "p99 ms", "CPU ms", "lost"
    ));
    in_memory(frames);
    plain_zenoh(frames);
    rmw_zenoh("TCP", frames, None);
    let memory = SharedMemory { pool_bytes: 64 << 20, threshold_bytes: 4096 };
    rmw_zenoh("shared memory", frames, Some(memory));
}
