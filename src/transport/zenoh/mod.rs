//! A live node over plain zenoh, without ROS. The only place that names the crate.
//!
//! Of a node `N` (see [`keys`] for cameras, [`payload`] for images):
//!
//! | key | direction | payload |
//! | --- | --- | --- |
//! | `owlet/N/camera/*/image`, or the key expressions asked for | in | an image |
//! | `depth`, `camera_info`, `depth_camera_info` beside an image's key | in | see [`space`] |
//! | `owlet/N/tf`, `owlet/N/tf_static` | in, and asked for at start | see [`space`] |
//! | `owlet/N/detections/<camera>` | out | JSON ([`LiveRecord`](super::records::LiveRecord)) |
//! | `owlet/N/detections_cdr/<camera>` | out, where asked for | `vision_msgs/msg/Detection2DArray` |
//! | `owlet/N/detections_3d/<camera>` | out, where places are looked for | JSON ([`LiveRecord`](super::records::LiveRecord)) |
//! | `owlet/N/detections_3d_cdr/<camera>` | out, where asked for | `vision_msgs/msg/Detection3DArray` |
//! | `owlet/N/pick/<camera>` | out, where picks are looked for and there is one | JSON ([`BestPickRecord`](super::records::BestPickRecord)) |
//! | `owlet/N/pick_cdr/<camera>` | the same, where asked for | `geometry_msgs/msg/PoseStamped` |
//! | `owlet/N/heightmap/<camera>`, and `heightmap_scores`, `heightmap_labels`, `heightmap_color`, `heightmap_prompts` | out, where asked for and while somebody subscribes | `sensor_msgs/msg/Image`: `32FC1`, `32FC1`, `mono8`, `rgb8`, `32FCn` |
//! | `owlet/N/cloud/<camera>` | out, where asked for and while somebody subscribes | `sensor_msgs/msg/PointCloud2` |
//! | `owlet/N/instances_cdr/<camera>` | out, where asked for, where masks are made and while somebody subscribes | `sensor_msgs/msg/Image`, `16UC1` |
//! | `owlet/N/overlay/<camera>` | out, while somebody subscribes | JPEG |
//! | `owlet/N/prompts` | put, get | JSON or YAML in the form of a prompts file |
//! | `owlet/N/prompts/answer` | out | what became of a put |
//! | `owlet/N/detect` | get | an image in, as attachment prompts of its own, JSON back |
//! | `owlet/N/teach` | get | a picture and a name, a pair of the bank, or what to forget |
//! | `owlet/N/status` | out, get | JSON ([`Status`]) |
//! | `owlet/N` | liveliness token, while the node is active | |

mod answers;
mod around;
mod detect;
mod error;
mod keys;
mod messages;
mod options;
mod payload;
mod publishers;
mod session;
mod space;
mod teach;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use zenoh::key_expr::OwnedKeyExpr;
use zenoh::liveliness::LivelinessToken;
use zenoh::pubsub::Subscriber;
use zenoh::query::Queryable;
use zenoh::sample::{Sample, SampleKind};
use zenoh::{Session, Wait};

pub use error::{PayloadError, ZenohError};
pub use options::ZenohOptions;
pub use session::SessionOptions;

use self::answers::QueryAnswer;
use self::around::Around;
use self::keys::Keys;
use self::options::Prepared;
use self::payload::ImagePayload;
use self::publishers::{Publishers, to_json};
use self::space::DepthPayload;
use self::teach::answer_prompts;
use super::closing;
use super::live::{
    CameraPart, Connections, LiveTransport, MakeRecord, NodeInput, NodeOutput, PromptsAnswer,
    PromptsRecord, PromptsRefused, SpaceKeys, Status, TransformKind, TransportError, WaitsFor, now,
};
use crate::types::{Cloud, FrameDetections, FrameHeader, FramePlaces, Heightmap, PromptSet};

/// A session with everything that a node declares in it. Dropping it undeclares all.
pub struct ZenohTransport {
    session: Session,
    keys: Keys,
    publishers: Publishers,
    /// Whether places are looked for, so that what they need is waited for.
    locates: bool,
    around: Around,
    input: OnceLock<Arc<dyn NodeInput>>,
    served: Mutex<Option<Served>>,
    active: Mutex<Option<Active>>,
    is_active: AtomicBool,
}

/// What is declared in every state of the node; kept only for being dropped.
struct Served {
    _prompts: Subscriber<()>,
    _queryables: [Queryable<()>; 4],
}

/// What is declared while the node is active; kept only for being dropped.
struct Active {
    _subscribers: Vec<Subscriber<()>>,
    _token: LivelinessToken,
}

/// All options in the form that zenoh takes, checked.
pub struct CheckedOptions(Prepared);

impl ZenohOptions {
    /// Checks all of them, and reads zenoh's own configuration file.
    ///
    /// # Errors
    /// Every problem, not only the first.
    pub fn check(&self) -> Result<CheckedOptions, ZenohError> {
        options::prepare(self).map(CheckedOptions)
    }
}

impl ZenohTransport {
    fn is_active(&self) -> bool {
        self.is_active.load(Ordering::Acquire)
    }

    /// Opens the session. Nothing is taken from it before it is served.
    ///
    /// # Errors
    /// Whatever keeps zenoh from opening it: a router that cannot be reached, an address that is
    /// taken.
    pub fn open(options: CheckedOptions) -> Result<Arc<Self>, ZenohError> {
        let Prepared { config, keys, outputs, locates } = options.0;
        let session = zenoh::open(config).wait().map_err(|error| ZenohError::open(&error))?;
        let publishers = Publishers::new(session.clone(), keys.clone(), outputs);
        Ok(Arc::new(Self {
            session,
            keys,
            publishers,
            locates,
            around: Around::default(),
            input: OnceLock::new(),
            served: Mutex::new(None),
            active: Mutex::new(None),
            is_active: AtomicBool::new(false),
        }))
    }

    /// Two nodes of one name would answer each other's questions.
    fn warn_of_namesake(&self, key: &OwnedKeyExpr) {
        let alive = self.session.liveliness().get(key).timeout(Duration::from_millis(500)).wait();
        if alive.is_ok_and(|replies| replies.recv().is_ok()) {
            tracing::warn!("{key}: a node of this name is alive already; give this one another");
        }
    }

    fn images(
        &self,
        expression: &OwnedKeyExpr,
        input: Arc<dyn NodeInput>,
    ) -> Result<Subscriber<()>, ZenohError> {
        let pattern = expression.clone();
        self.subscribe(expression, move |sample| {
            let key = sample.key_expr().as_str();
            // A key with wildcards in it is allowed in a put, and names no camera.
            let camera = keys::camera_name(&pattern, key).unwrap_or_default();
            let message = ImagePayload::of_sample(&sample, &camera);
            input.image(&camera, key, Box::new(message));
        })
    }

    /// Depth, calibrations and transforms.
    fn take_space(
        &self,
        input: &Arc<dyn NodeInput>,
        subscribers: &mut Vec<Subscriber<()>>,
    ) -> Result<(), ZenohError> {
        for (expression, images) in self.keys.beside(keys::DEPTH) {
            let input = Arc::clone(input);
            subscribers.push(self.subscribe(&expression, move |sample| {
                let key = sample.key_expr().as_str();
                let camera = keys::camera_beside(&images, key).unwrap_or_default();
                let message = DepthPayload(ImagePayload::of_sample(&sample, &camera));
                input.depth(&camera, key, Box::new(message));
            })?);
        }
        for (what, part) in
            [(keys::CAMERA_INFO, CameraPart::Colour), ("depth_camera_info", CameraPart::Depth)]
        {
            for (expression, images) in self.keys.beside(what) {
                let input = Arc::clone(input);
                subscribers.push(self.subscribe(&expression, move |sample| {
                    let key = sample.key_expr().as_str();
                    let camera = keys::camera_beside(&images, key).unwrap_or_default();
                    let stamp = sample.timestamp().map_or_else(now, payload::stamp_of);
                    let default = FrameHeader { stamp, frame_id: camera.as_str().into() };
                    let calibration = space::calibration(&sample, default);
                    input.calibration(&camera, part, key, calibration);
                })?);
            }
        }
        for (expression, kind) in [
            (self.keys.transforms(), TransformKind::Moving),
            (self.keys.static_transforms(), TransformKind::Static),
        ] {
            let for_samples = Arc::clone(input);
            subscribers.push(self.subscribe(&expression, move |sample| {
                let key = sample.key_expr().as_str();
                for_samples.transforms(key, kind, space::transforms(&sample));
            })?);
        }
        // Static transforms are said once: who keeps them is asked for what was said before.
        let input = Arc::clone(input);
        let asked = self.session.get(self.keys.static_transforms()).callback(move |reply| {
            if let Ok(sample) = reply.result() {
                let key = sample.key_expr().as_str();
                input.transforms(key, TransformKind::Static, space::transforms(sample));
            }
        });
        asked.wait().map_err(|error| ZenohError::declare(&self.keys.static_transforms(), &*error))
    }

    fn subscribe(
        &self,
        expression: &OwnedKeyExpr,
        on_sample: impl Fn(Sample) + Send + Sync + 'static,
    ) -> Result<Subscriber<()>, ZenohError> {
        let subscriber = self.session.declare_subscriber(expression.clone());
        let subscriber = subscriber.callback(on_sample).wait();
        subscriber.map_err(|error| ZenohError::declare(expression, &*error))
    }

    fn prompts_put(&self, input: Arc<dyn NodeInput>) -> Result<Subscriber<()>, ZenohError> {
        let key = self.keys.prompts();
        let answers = self.publishers.answers();
        self.subscribe(&key, move |sample| {
            let answers = answers.clone();
            // A delete has no payload, and an empty payload is refused with its reason.
            let text = match sample.kind() {
                SampleKind::Put => sample.payload().to_bytes().into_owned(),
                SampleKind::Delete => Vec::new(),
            };
            input.set_prompts(text, Box::new(move |answer| answers.publish(answer)));
        })
    }

    fn prompts_get(&self, input: Arc<dyn NodeInput>) -> Result<Queryable<()>, ZenohError> {
        let key = self.keys.prompts();
        self.session
            .declare_queryable(key.clone())
            .callback(move |query| {
                let text = query.payload().map(|payload| payload.to_bytes().into_owned());
                let answer = QueryAnswer::new(query);
                match text {
                    None => {
                        let record = PromptsRecord::from(&*input.prompts());
                        answer.send::<_, PromptsRefused>(Ok(&record));
                    }
                    Some(text) => {
                        let reply = move |prompts: &PromptsAnswer| answer_prompts(answer, prompts);
                        input.set_prompts(text, Box::new(reply));
                    }
                }
            })
            .wait()
            .map_err(|error| ZenohError::declare(&key, &*error))
    }

    fn status_get(&self, input: Arc<dyn NodeInput>) -> Result<Queryable<()>, ZenohError> {
        let key = self.keys.status();
        self.session
            .declare_queryable(key.clone())
            .callback(move |query| {
                QueryAnswer::new(query).send::<_, PromptsRecord>(Ok(&input.status()));
            })
            .wait()
            .map_err(|error| ZenohError::declare(&key, &*error))
    }
}

impl LiveTransport for ZenohTransport {
    fn serve(&self, input: Arc<dyn NodeInput>) -> Result<(), TransportError> {
        let served = Served {
            _prompts: self.prompts_put(Arc::clone(&input))?,
            _queryables: [
                self.prompts_get(Arc::clone(&input))?,
                self.detect(Arc::clone(&input))?,
                self.teach(Arc::clone(&input))?,
                self.status_get(Arc::clone(&input))?,
            ],
        };
        *self.served.lock().unwrap_or_else(PoisonError::into_inner) = Some(served);
        self.input.get_or_init(|| input);
        Ok(())
    }

    fn activate(&self) -> Result<(), TransportError> {
        let Some(input) = self.input.get() else { return Ok(()) };
        self.is_active.store(true, Ordering::Release);
        let images = self.keys.images();
        let images = images.map(|expression| self.images(expression, Arc::clone(input)));
        let mut subscribers = images.collect::<Result<_, _>>()?;
        if self.locates {
            self.take_space(input, &mut subscribers)?;
        }
        let key = self.keys.node();
        self.warn_of_namesake(&key);
        let token = self.session.liveliness().declare_token(key.clone()).wait();
        let token = token.map_err(|error| ZenohError::declare(&key, &*error))?;
        let active = Active { _subscribers: subscribers, _token: token };
        *self.active.lock().unwrap_or_else(PoisonError::into_inner) = Some(active);
        Ok(())
    }

    fn deactivate(&self) {
        self.is_active.store(false, Ordering::Release);
        *self.active.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn close(&self, patience: Duration) {
        let session = self.session.clone();
        closing::within(patience, "zenoh", move || session.close().wait());
    }
}

impl NodeOutput for ZenohTransport {
    fn detections(&self, camera: &str, record: MakeRecord<'_>, found: Option<&FrameDetections>) {
        if self.is_active() {
            self.publishers.detections(camera, record, found);
        }
    }

    /// Who put the set is answered, and who gets it is told of it: nothing is left to say.
    fn prompts_in_use(&self, _prompts: &PromptSet, _model: &str) {}

    fn places(
        &self,
        camera: &str,
        record: MakeRecord<'_>,
        found: &FrameDetections,
        places: &FramePlaces,
    ) {
        if self.is_active() {
            self.publishers.places(camera, record, found, places);
        }
    }

    fn wants_cloud(&self, camera: &str) -> bool {
        self.is_active() && self.publishers.wants_cloud(camera)
    }

    fn cloud(&self, camera: &str, cloud: &Cloud) {
        self.publishers.cloud(camera, cloud);
    }

    fn wants_heightmap(&self, camera: &str) -> bool {
        self.is_active() && self.publishers.wants_heightmap(camera)
    }

    fn heightmap(&self, camera: &str, map: &Heightmap) {
        self.publishers.heightmap(camera, map);
    }

    fn space_keys(&self, camera: &str) -> Option<SpaceKeys> {
        self.keys.space_of(camera)
    }

    fn wants_overlay(&self, camera: &str) -> bool {
        self.is_active() && self.publishers.wants_overlay(camera)
    }

    fn overlay(&self, camera: &str, header: &FrameHeader, jpeg: Vec<u8>) {
        self.publishers.overlay(camera, header, jpeg);
    }

    fn status(&self, status: &Status) {
        self.publishers.put(&self.keys.status(), to_json(status));
    }

    fn connections(&self) -> Option<Connections> {
        let info = self.session.info();
        Some(Connections {
            routers: info.routers_zid().wait().count(),
            peers: info.peers_zid().wait().count(),
        })
    }

    fn look_around(&self) {
        self.around.look(&self.session, &self.keys);
    }

    fn waits_for(&self) -> Vec<WaitsFor> {
        self.around.waits_for(&self.keys)
    }

    fn prompts_key(&self) -> String {
        self.keys.prompts().to_string()
    }
}
