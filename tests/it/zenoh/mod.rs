//! `owlet run` as robots meet it: the real program on a small checkpoint, clients in this process,
//! and between them a router of zenoh's own code.

mod clients;
mod ends;
mod hostile;
mod ids;
mod images;
mod outputs;
mod picks;
mod prompts;
mod secured;
mod simulated;
mod space;
mod status;
mod teach;

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::{NamedTempFile, TempDir};
use zenoh::handlers::FifoChannelHandler;
use zenoh::pubsub::Subscriber;
use zenoh::qos::CongestionControl;
use zenoh::query::Reply;
use zenoh::sample::Sample;
use zenoh::{Config, Session, Wait};

use crate::cli::settle;
use crate::golden_models::fixture;

/// Nothing here takes a tenth of it: who is not back by then never comes back.
const TOO_LONG: Duration = Duration::from_secs(120);

type Samples = Subscriber<FifoChannelHandler<Sample>>;

fn config(mode: &str, more: &[(&str, String)]) -> Config {
    let mut config = Config::default();
    config.insert_json5("mode", &format!("{mode:?}")).unwrap();
    config.insert_json5("scouting/multicast/enabled", "false").unwrap();
    for (key, value) in more {
        config.insert_json5(key, value).unwrap();
    }
    config
}

/// The endpoint of a router that lives as long as the tests.
pub(crate) fn router() -> &'static str {
    static ROUTER: OnceLock<(Session, String)> = OnceLock::new();
    let (_, endpoint) = ROUTER.get_or_init(|| {
        // The port is free when it is asked for; who loses the race for it takes the next one.
        for _ in 0..20 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let endpoint = format!("tcp/127.0.0.1:{port}");
            let listen = ("listen/endpoints", format!("[{endpoint:?}]"));
            let admin = ("adminspace/enabled", "true".to_owned());
            if let Ok(session) = zenoh::open(config("router", &[listen, admin])).wait() {
                return (session, endpoint);
            }
        }
        panic!("no port for the router");
    });
    endpoint
}

pub(crate) fn client() -> Session {
    let connect = ("connect/endpoints", format!("[{:?}]", router()));
    zenoh::open(config("client", &[connect])).wait().unwrap()
}

/// A file of zenoh's own that keeps it from looking for others on the network.
fn quiet_zenoh() -> &'static Path {
    static FILE: OnceLock<NamedTempFile> = OnceLock::new();
    let file = FILE.get_or_init(|| {
        let file = NamedTempFile::with_suffix(".json5").unwrap();
        std::fs::write(file.path(), "{scouting: {multicast: {enabled: false}}}").unwrap();
        file
    });
    file.path()
}

/// `owlet run` on a model, under a name.
fn run(model: &Path, name: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_owlet"));
    settle(&mut command);
    command
        .args(["run", "--node", name, "--model"])
        .arg(model)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command
}

/// What a process says, as it says it.
fn log_of(process: &mut Child) -> Arc<Mutex<String>> {
    let log = Arc::new(Mutex::new(String::new()));
    let (stderr, copy) = (process.stderr.take().unwrap(), Arc::clone(&log));
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            copy.lock().unwrap().push_str(&(line + "\n"));
        }
    });
    log
}

/// `owlet run` with a client beside it.
struct Node {
    name: String,
    process: Child,
    session: Session,
    log: Arc<Mutex<String>>,
    /// Lives as long as the node.
    cache: Option<TempDir>,
}

impl Node {
    /// A node with the small OWL-ViT and these words more, ready to work.
    fn start(name: &str, more: &[&str]) -> Self {
        Self::start_with_model(&fixture("owlvit_tiny"), name, more)
    }

    fn start_with_model(model: &Path, name: &str, more: &[&str]) -> Self {
        let cache = TempDir::new().unwrap();
        let mut node = Self::start_in(cache.path(), model, name, more);
        node.cache = Some(cache);
        node
    }

    /// A node that keeps encoded texts in this folder.
    fn start_in(cache: &Path, model: &Path, name: &str, more: &[&str]) -> Self {
        let session = client();
        let alive = session
            .liveliness()
            .declare_subscriber(format!("owlet/{name}"))
            .history(true)
            .wait()
            .unwrap();
        let config = format!("zenoh_config={}", quiet_zenoh().display());
        let mut command = run(model, name);
        command
            .env("XDG_CACHE_HOME", cache)
            .args(["--connect", router(), "--param", "zenoh_mode=client", "--param", &config])
            .args(more);
        let mut process = command.spawn().unwrap();
        let log = log_of(&mut process);
        let mut node = Self { name: name.to_owned(), process, session, log, cache: None };
        let began = Instant::now();
        while alive.recv_timeout(Duration::from_millis(200)).ok().flatten().is_none() {
            let ended = node.process.try_wait().unwrap();
            assert!(ended.is_none() && began.elapsed() < TOO_LONG, "{ended:?}\n{}", node.log());
        }
        node
    }

    fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    fn key(&self, rest: &str) -> String {
        format!("owlet/{}/{rest}", self.name)
    }

    fn subscribe(&self, rest: &str) -> Samples {
        self.session.declare_subscriber(self.key(rest)).wait().unwrap()
    }

    /// Sends an image of a camera with a stamp.
    fn send(&self, camera: &str, encoding: &str, payload: &[u8], stamp_ns: i64) {
        let attachment =
            format!("{{\"stamp_ns\": {stamp_ns}, \"frame_id\": \"{camera}_optical\"}}");
        let key = self.key(&format!("camera/{camera}/image"));
        self.put(&key, encoding, payload, Some(attachment.as_bytes()));
    }

    /// A put that is never dropped on the way.
    fn put(&self, key: &str, encoding: &str, payload: &[u8], attachment: Option<&[u8]>) {
        let mut put = self.session.put(key, payload).encoding(encoding);
        if let Some(attachment) = attachment {
            put = put.attachment(attachment);
        }
        put.congestion_control(CongestionControl::Block).wait().unwrap();
    }

    /// A delete that is never dropped on the way.
    fn delete(&self, rest: &str) {
        let delete = self.session.delete(self.key(rest));
        delete.congestion_control(CongestionControl::Block).wait().unwrap();
    }

    /// A get with or without a payload: the answer, or the error reply.
    fn ask(&self, rest: &str, payload: Option<(&str, &[u8])>) -> Result<Value, Value> {
        self.ask_with(rest, payload, None)
    }

    /// The same with an attachment.
    fn ask_with(
        &self,
        rest: &str,
        payload: Option<(&str, &[u8])>,
        attachment: Option<&[u8]>,
    ) -> Result<Value, Value> {
        let mut get = self.session.get(self.key(rest)).timeout(TOO_LONG);
        if let Some((encoding, payload)) = payload {
            get = get.payload(payload).encoding(encoding);
        }
        if let Some(attachment) = attachment {
            get = get.attachment(attachment);
        }
        let reply: Reply = get.wait().unwrap().recv().expect("an answer");
        match reply.into_result() {
            Ok(sample) => Ok(json(&sample.payload().to_bytes())),
            Err(error) => Err(json(&error.payload().to_bytes())),
        }
    }

    /// The first status that is as asked for.
    #[track_caller]
    fn status(&self, what: &str, is_met: impl Fn(&Value) -> bool) -> Value {
        let statuses = self.subscribe("status");
        let mut last = self.ask("status", None).unwrap();
        let began = Instant::now();
        while !is_met(&last) {
            assert!(began.elapsed() < TOO_LONG, "never {what}: {last:#}\n{}", self.log());
            last = next(&statuses);
        }
        last
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

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap_or_else(|error| {
        panic!("{error}: {}", String::from_utf8_lossy(bytes));
    })
}

/// The next sample.
#[track_caller]
fn next_sample(samples: &Samples) -> Sample {
    samples.recv_timeout(TOO_LONG).unwrap().expect("a sample in time")
}

/// The next sample as JSON.
#[track_caller]
fn next(samples: &Samples) -> Value {
    json(&next_sample(samples).payload().to_bytes())
}

/// Holds detections of a node against those of `owlet detect`, where the node has encoded a text
/// before, with others beside it: libtorch then adds up in another order, and the last bits differ.
#[track_caller]
fn are_alike(found: &Value, expected: &Value) {
    let (found, expected) = (found.as_array().unwrap(), expected.as_array().unwrap());
    assert_eq!(found.len(), expected.len(), "{found:?}\n{expected:?}");
    let number = |value: &Value| value.as_f64().unwrap();
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(found["prompt"], expected["prompt"]);
        assert!((number(&found["score"]) - number(&expected["score"])).abs() < 1e-5);
        assert_eq!(found["box_px"], expected["box_px"]);
    }
}

/// What `owlet detect --json` finds in a picture.
pub(crate) fn detected(picture: &Path, more: &[&str]) -> Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_owlet"));
    settle(&mut command);
    command.arg("detect").arg(picture).arg("--model").arg(fixture("owlvit_tiny")).args(more);
    let output = command.args(["--json", "-q"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    json(&output.stdout)["detections"].take()
}
