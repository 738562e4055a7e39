//! A live node's topics and services, over any link.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use super::detect::serve_detect;
use super::diagnostics::diagnostics;
use super::images::ImageFeed;
use super::prompts::{self, PromptsTopic, serve_prompts};
use super::space::{SpaceTopics, listen_to_transforms};
use super::teach::serve_teach;
use super::topics::Out;
use super::{Held, LinkError, Qos, RosLink};
use crate::transport::live::{
    Connections, LiveTransport, MakeRecord, NodeClock, NodeInput, NodeOutput, SpaceKeys,
    SpaceOutputs, Status, TransportError, WaitsFor,
};
use crate::transport::masks::MaskPictures;
use crate::types::{Cloud, FrameDetections, FrameHeader, FramePlaces, Heightmap, PromptSet};
use crate::wire::Message;
use crate::wire::diagnostic_msgs::DiagnosticArray;
use crate::wire::sensor_msgs::{CompressedImage, Image};
use crate::wire::std_msgs::Header;
use crate::wire::vision_msgs::{
    Detection2DArray, LabelInfo, VisionInfo, detection_2d_array, label_info,
};

/// The name of the camera on `image`, where cameras are not named.
const ONLY_CAMERA: &str = "camera";

/// Who is not connected after so long is told where to look.
const ALONE_PATIENCE: Duration = Duration::from_secs(3);

/// A node of ROS 2:
///
/// | topic | direction | type | QoS |
/// | --- | --- | --- | --- |
/// | `image`, `image/compressed` | in | `sensor_msgs/Image`, `CompressedImage` | sensor data |
/// | `~/detections` | out | `vision_msgs/Detection2DArray` | reliable |
/// | `camera_info`, `depth`, `depth_camera_info` | in, where places are looked for | `sensor_msgs/CameraInfo`, `Image` | sensor data |
/// | `/tf`, `/tf_static` | in, where places are looked for | `tf2_msgs/TFMessage` | as tf2 |
/// | `~/detections_3d` | out, where places are looked for | `vision_msgs/Detection3DArray` | reliable |
/// | `~/instances`, `~/labels` | out, where masks are made | `sensor_msgs/Image`, `16UC1` and `mono8` | reliable |
/// | `~/labels/info` | out, where masks are made | `vision_msgs/LabelInfo` | reliable, transient local |
/// | `~/pick`, `~/picks` | out, where picks are looked for | `geometry_msgs/PoseStamped`, `vision_msgs/Detection3DArray` | reliable |
/// | `~/heightmap`, `~/heightmap/scores`, `~/heightmap/labels`, `~/heightmap/color`, `~/heightmap/prompts` | out, where asked for and while somebody listens | `sensor_msgs/Image`: `32FC1`, `32FC1`, `mono8`, `rgb8`, `32FCn` | reliable |
/// | `~/cloud` | out, where asked for and while somebody listens | `sensor_msgs/PointCloud2` | sensor data |
/// | `~/overlay/compressed` | out, drawn while somebody listens | `sensor_msgs/CompressedImage` | sensor data |
/// | `~/vision_info` | out | `vision_msgs/VisionInfo` | reliable, transient local |
/// | `~/prompts` | in, out | `owlet_msgs/PromptSet` | reliable, transient local |
/// | `/diagnostics` | out, every second | `diagnostic_msgs/DiagnosticArray` | reliable |
///
/// Where cameras are named, each has its own `<camera>/image` and so on, and its own
/// `~/<camera>/detections` and so on.
///
/// and the services `~/set_prompts`, `~/get_prompts` and `~/detect` (`owlet_msgs`). Topics are open
/// for writing from the start. Services are served and prompts are taken in every state of the
/// node: a latched set must not come again, over a newer one, with every activation. Images are
/// taken while it is active.
pub struct RosTransport {
    locates: bool,
    link: Arc<dyn RosLink>,
    cameras: Vec<Camera>,
    vision_info: Out,
    diagnostics: Out,
    prompts: PromptsTopic,
    served: Mutex<Vec<Held>>,
    /// What is subscribed to beside images while the node is active.
    listening: Mutex<Vec<Held>>,
    input: OnceLock<Arc<dyn NodeInput>>,
    clock: Arc<NodeClock>,
    is_active: AtomicBool,
    alone: Mutex<Alone>,
}

/// Since when nobody is connected, and whether that was told.
#[derive(Default)]
struct Alone {
    since: Option<Instant>,
    is_told: bool,
}

/// What a [`RosTransport`] is opened with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RosTransportOptions {
    /// Names of the cameras; with none there is one camera, on `image`.
    pub cameras: Vec<String>,
    /// Whether places in space are looked for: what they need is subscribed to.
    pub locates: bool,
    /// What there is beside places.
    pub space: SpaceOutputs,
}

struct Camera {
    name: String,
    images: Arc<ImageFeed>,
    detections: Out,
    overlay: Out,
    masks: MaskTopics,
    space: Option<SpaceTopics>,
}

/// What is drawn of masks; who makes none writes nothing on them but what labels would mean.
struct MaskTopics {
    instances: Out,
    labels: Out,
    info: Out,
}

impl MaskTopics {
    fn open(link: &dyn RosLink, out_prefix: &str) -> Result<Self, LinkError> {
        let topic = |name: &str| format!("{out_prefix}{name}");
        Ok(Self {
            instances: Out::open::<Image<'_>>(link, &topic("instances"), Qos::RELIABLE)?,
            labels: Out::open::<Image<'_>>(link, &topic("labels"), Qos::RELIABLE)?,
            info: Out::open::<LabelInfo<'_>>(link, &topic("labels/info"), Qos::LATCHED)?,
        })
    }

    /// Draws what somebody takes.
    fn send(&self, found: &FrameDetections) {
        let (instances, labels) = (self.instances.has_readers(), self.labels.has_readers());
        if !instances && !labels {
            return;
        }
        let pictures = MaskPictures::of(found);
        if instances {
            self.instances.send(&pictures.instances());
        }
        if labels {
            self.labels.send(&pictures.labels());
        }
    }
}

impl Camera {
    /// `name` is `None` where there is one camera only.
    fn open(
        link: &dyn RosLink,
        name: Option<&str>,
        options: &RosTransportOptions,
    ) -> Result<Self, LinkError> {
        let (in_prefix, out_prefix) = match name {
            Some(name) => (format!("{name}/"), format!("~/{name}/")),
            None => (String::new(), "~/".to_owned()),
        };
        let name = name.unwrap_or(ONLY_CAMERA);
        let detections = format!("{out_prefix}detections");
        // As image_transport does: who remaps `overlay` means `overlay/compressed`, too.
        let overlay = format!("{}/compressed", link.resolve(&format!("{out_prefix}overlay")));
        Ok(Self {
            name: name.to_owned(),
            images: Arc::new(ImageFeed::new(link, name, &format!("{in_prefix}image"))),
            detections: Out::open::<Detection2DArray<'_>>(link, &detections, Qos::RELIABLE)?,
            overlay: Out::open::<CompressedImage<'_>>(link, &overlay, Qos::SENSOR_DATA)?,
            masks: MaskTopics::open(link, &out_prefix)?,
            space: match options.locates {
                true => {
                    let space = &options.space;
                    Some(SpaceTopics::open(link, name, &in_prefix, &out_prefix, space)?)
                }
                false => None,
            },
        })
    }
}

impl RosTransport {
    /// Opens the topics that are written. Messages that are the node's own are stamped by `clock`.
    ///
    /// # Errors
    /// A topic that the link refuses.
    pub fn open(
        link: Arc<dyn RosLink>,
        options: &RosTransportOptions,
        clock: Arc<NodeClock>,
    ) -> Result<Arc<Self>, LinkError> {
        let locates = options.locates;
        let names: Vec<_> = match options.cameras.as_slice() {
            [] => vec![None],
            names => names.iter().map(|name| Some(name.as_str())).collect(),
        };
        let cameras = names.into_iter().map(|name| Camera::open(&*link, name, options));
        Ok(Arc::new(Self {
            locates,
            cameras: cameras.collect::<Result<_, _>>()?,
            vision_info: Out::open::<VisionInfo<'_>>(&*link, "~/vision_info", Qos::LATCHED)?,
            diagnostics: Out::open::<DiagnosticArray<'_>>(&*link, "/diagnostics", Qos::RELIABLE)?,
            prompts: PromptsTopic::open(&*link)?,
            served: Mutex::default(),
            listening: Mutex::default(),
            input: OnceLock::new(),
            is_active: AtomicBool::new(false),
            clock,
            alone: Mutex::default(),
            link,
        }))
    }

    /// The camera of results that may be sent.
    fn active_camera(&self, name: &str) -> Option<&Camera> {
        let is_active = self.is_active.load(Ordering::Acquire);
        self.cameras.iter().find(|camera| is_active && camera.name == name)
    }

    /// Diagnostics of a node that is connected to nobody reach nobody: the log has to say it.
    fn tell_if_alone(&self) {
        let Some(Connections { routers, peers }) = self.link.connections() else { return };
        let mut alone = self.alone.lock().unwrap_or_else(PoisonError::into_inner);
        if routers + peers > 0 {
            if std::mem::take(&mut *alone).is_told {
                tracing::info!("connected to {routers} routers and {peers} peers");
            }
            return;
        }
        let since = *alone.since.get_or_insert_with(Instant::now);
        if !alone.is_told && since.elapsed() > ALONE_PATIENCE {
            alone.is_told = true;
            let node = self.link.node_name();
            tracing::warn!(
                "{node} is connected to no router and no peer, so nobody sees it: is the router \
                 of rmw_zenoh running?"
            );
        }
    }

    fn active_space(&self, camera: &str) -> Option<&SpaceTopics> {
        self.active_camera(camera).and_then(|camera| camera.space.as_ref())
    }

    /// Which prompts are in use and which model looks for them, for who comes later, too: the
    /// version rises with the prompt set, whose names are the `class_id` of detections.
    fn tell_prompts(&self, prompts: &PromptSet, model: &str) {
        self.vision_info.send(&VisionInfo {
            header: Header { stamp: self.clock.now().into(), frame_id: "" },
            method: model.into(),
            database_location: self.prompts_key().into(),
            database_version: i32::try_from(prompts.version).unwrap_or(i32::MAX),
        });
        let header = Header { stamp: self.clock.now().into(), frame_id: "" };
        let names = prompts.prompts.iter().map(|prompt| prompt.name.as_str());
        let info = label_info(header, names, prompts.default_threshold).encode();
        for camera in &self.cameras {
            camera.masks.info.send_encoded(&info);
        }
        self.prompts.tell(prompts);
    }
}

impl LiveTransport for RosTransport {
    fn serve(&self, input: Arc<dyn NodeInput>) -> Result<(), TransportError> {
        let input = self.input.get_or_init(|| input);
        let link = &*self.link;
        let cameras: Vec<_> =
            self.cameras.iter().map(|camera| Arc::clone(&camera.images)).collect();
        let mut served = vec![self.prompts.listen(link, input)?];
        served.extend(serve_prompts(link, input)?);
        served.push(serve_detect(link, input, cameras.clone())?);
        served.push(serve_teach(link, input, cameras)?);
        *self.served.lock().unwrap_or_else(PoisonError::into_inner) = served;
        Ok(())
    }

    fn activate(&self) -> Result<(), TransportError> {
        let Some(input) = self.input.get() else { return Ok(()) };
        let link = &*self.link;
        let mut listening = Vec::new();
        if self.locates {
            listening.extend(listen_to_transforms(link, input)?);
        }
        for camera in &self.cameras {
            if let Some(space) = &camera.space {
                listening.extend(space.listen(link, input)?);
            }
            camera.images.open(link, input)?;
        }
        *self.listening.lock().unwrap_or_else(PoisonError::into_inner) = listening;
        self.is_active.store(true, Ordering::Release);
        Ok(())
    }

    fn deactivate(&self) {
        self.is_active.store(false, Ordering::Release);
        for camera in &self.cameras {
            camera.images.close();
        }
        self.listening.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn has_ended(&self) -> bool {
        self.link.has_ended()
    }

    fn close(&self, patience: Duration) {
        self.link.close(patience);
    }
}

impl NodeOutput for RosTransport {
    fn detections(&self, camera: &str, _record: MakeRecord<'_>, found: Option<&FrameDetections>) {
        // A frame that the model failed on gives no message: an empty one would say that nothing is
        // there.
        if let (Some(camera), Some(found)) = (self.active_camera(camera), found) {
            camera.detections.send(&detection_2d_array(found));
            if found.has_masks {
                camera.masks.send(found);
            }
        }
    }

    fn prompts_in_use(&self, prompts: &PromptSet, model: &str) {
        self.tell_prompts(prompts, model);
    }

    fn places(
        &self,
        camera: &str,
        _record: MakeRecord<'_>,
        found: &FrameDetections,
        places: &FramePlaces,
    ) {
        if let Some(space) = self.active_space(camera) {
            space.places(found, places);
        }
    }

    fn wants_cloud(&self, camera: &str) -> bool {
        self.active_space(camera).is_some_and(SpaceTopics::wants_cloud)
    }

    fn cloud(&self, camera: &str, cloud: &Cloud) {
        if let Some(space) = self.active_space(camera) {
            space.cloud(cloud);
        }
    }

    fn wants_heightmap(&self, camera: &str) -> bool {
        self.active_space(camera).is_some_and(SpaceTopics::wants_heightmap)
    }

    fn heightmap(&self, camera: &str, map: &Heightmap) {
        if let Some(space) = self.active_space(camera) {
            space.heightmap(map);
        }
    }

    fn space_keys(&self, camera: &str) -> Option<SpaceKeys> {
        let camera = self.cameras.iter().find(|known| known.name == camera)?;
        camera.space.as_ref().map(|space| space.keys(&*self.link))
    }

    fn wants_overlay(&self, camera: &str) -> bool {
        self.active_camera(camera).is_some_and(|camera| camera.overlay.has_readers())
    }

    fn overlay(&self, camera: &str, header: &FrameHeader, jpeg: Vec<u8>) {
        let Some(camera) = self.active_camera(camera) else { return };
        let picture = CompressedImage { header: Header::from(header), format: "jpeg", data: &jpeg };
        camera.overlay.send_encoded(&picture.encode());
    }

    fn status(&self, status: &Status) {
        self.diagnostics.send(&diagnostics(&self.link.node_name(), status, self.clock.now()));
    }

    fn connections(&self) -> Option<Connections> {
        self.link.connections()
    }

    fn look_around(&self) {
        self.tell_if_alone();
        for camera in &self.cameras {
            camera.images.settle(&*self.link);
        }
    }

    fn waits_for(&self) -> Vec<WaitsFor> {
        self.cameras.iter().flat_map(|camera| camera.images.waits_for(&*self.link)).collect()
    }

    fn prompts_key(&self) -> String {
        self.link.resolve(prompts::TOPIC)
    }
}
