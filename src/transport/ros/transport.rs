//! A live node's topics and services, over any link.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use super::detect::serve_detect;
use super::diagnostics::diagnostics;
use super::images::ImageFeed;
use super::prompts::{self, PromptsTopic, serve_prompts};
use super::topics::Out;
use super::{Held, LinkError, Qos, RosLink};
use crate::transport::live::{
    Connections, NodeInput, NodeOutput, PromptsRecord, Status, WaitsFor, now,
};
use crate::transport::records::LiveRecord;
use crate::types::{FrameDetections, FrameHeader};
use crate::wire::Message;
use crate::wire::diagnostic_msgs::DiagnosticArray;
use crate::wire::sensor_msgs::CompressedImage;
use crate::wire::std_msgs::Header;
use crate::wire::vision_msgs::{Detection2DArray, VisionInfo, detection_2d_array};

/// The name of the camera on `image`, where cameras are not named.
const ONLY_CAMERA: &str = "camera";

/// A node of ROS 2:
///
/// | topic | direction | type | QoS |
/// | --- | --- | --- | --- |
/// | `image`, `image/compressed` | in | `sensor_msgs/Image`, `CompressedImage` | sensor data |
/// | `~/detections` | out | `vision_msgs/Detection2DArray` | reliable |
/// | `~/overlay/compressed` | out, drawn while somebody listens | `sensor_msgs/CompressedImage` | sensor data |
/// | `~/vision_info` | out | `vision_msgs/VisionInfo` | reliable, transient local |
/// | `~/prompts` | in, out | `owlet_msgs/PromptSet` | reliable, transient local |
/// | `/diagnostics` | out, every second | `diagnostic_msgs/DiagnosticArray` | reliable |
///
/// Where cameras are named, each has its own `<camera>/image`, `~/<camera>/detections` and
/// `~/<camera>/overlay/compressed`.
///
/// and the services `~/set_prompts`, `~/get_prompts` and `~/detect` (`owlet_msgs`). Topics are open
/// for writing from the start. From [`serve`](Self::serve) on services are served and prompts are
/// taken: a latched set must not come again, over a newer one, with every activation. Images are taken between [`activate`](Self::activate) and
/// [`deactivate`](Self::deactivate).
pub struct RosTransport {
    link: Arc<dyn RosLink>,
    cameras: Vec<Camera>,
    vision_info: Out,
    diagnostics: Out,
    prompts: PromptsTopic,
    served: Mutex<Vec<Held>>,
    input: OnceLock<Arc<dyn NodeInput>>,
    model: OnceLock<String>,
    is_active: AtomicBool,
}

struct Camera {
    name: String,
    images: Arc<ImageFeed>,
    detections: Out,
    overlay: Out,
}

impl Camera {
    /// `name` is `None` where there is one camera only.
    fn open(link: &dyn RosLink, name: Option<&str>) -> Result<Self, LinkError> {
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
        })
    }
}

impl RosTransport {
    /// Opens the topics that are written. `cameras` are their names; with none there is one camera
    /// on `image`.
    ///
    /// # Errors
    /// A topic that the link refuses.
    pub fn open(link: Arc<dyn RosLink>, cameras: &[String]) -> Result<Arc<Self>, LinkError> {
        let names: Vec<_> = match cameras {
            [] => vec![None],
            names => names.iter().map(|name| Some(name.as_str())).collect(),
        };
        let cameras = names.into_iter().map(|name| Camera::open(&*link, name));
        Ok(Arc::new(Self {
            cameras: cameras.collect::<Result<_, _>>()?,
            vision_info: Out::open::<VisionInfo<'_>>(&*link, "~/vision_info", Qos::LATCHED)?,
            diagnostics: Out::open::<DiagnosticArray<'_>>(&*link, "/diagnostics", Qos::RELIABLE)?,
            prompts: PromptsTopic::open(&*link)?,
            served: Mutex::default(),
            input: OnceLock::new(),
            model: OnceLock::new(),
            is_active: AtomicBool::new(false),
            link,
        }))
    }

    /// Serves the node's services, and says which prompts are in use.
    ///
    /// # Errors
    /// A service that the link refuses.
    pub fn serve(&self, input: &Arc<dyn NodeInput>) -> Result<(), LinkError> {
        let model = self.model.get_or_init(|| input.status().model.name);
        self.input.get_or_init(|| Arc::clone(input));
        let prompts = input.prompts();
        self.say_what_names_mean(model, &prompts);
        self.prompts.tell(&prompts);
        let link = &*self.link;
        let cameras = self.cameras.iter().map(|camera| Arc::clone(&camera.images)).collect();
        let mut served = vec![self.prompts.listen(link, input)?];
        served.extend(serve_prompts(link, input)?);
        served.push(serve_detect(link, input, cameras)?);
        *self.served.lock().unwrap_or_else(PoisonError::into_inner) = served;
        Ok(())
    }

    /// Takes images from now on.
    ///
    /// # Errors
    /// A topic that the link refuses.
    pub fn activate(&self) -> Result<(), LinkError> {
        let Some(input) = self.input.get() else { return Ok(()) };
        for camera in &self.cameras {
            camera.images.open(&*self.link, input)?;
        }
        self.is_active.store(true, Ordering::Release);
        Ok(())
    }

    /// Takes no images any more, and sends none of the results that are still under way.
    pub fn deactivate(&self) {
        self.is_active.store(false, Ordering::Release);
        for camera in &self.cameras {
            camera.images.close();
        }
    }

    /// Leaves ROS 2, so that everybody knows at once; waits no longer than `patience`.
    pub fn close(&self, patience: Duration) {
        self.link.close(patience);
    }

    /// The camera of results that may be sent.
    fn active_camera(&self, name: &str) -> Option<&Camera> {
        let is_active = self.is_active.load(Ordering::Acquire);
        self.cameras.iter().find(|camera| is_active && camera.name == name)
    }

    /// For who comes later, too: the version rises with the prompt set, whose names are the
    /// `class_id` of detections.
    fn say_what_names_mean(&self, model: &str, prompts: &PromptsRecord) {
        self.vision_info.send(&VisionInfo {
            header: Header { stamp: now().into(), frame_id: "" },
            method: model.into(),
            database_location: self.prompts_key().into(),
            database_version: i32::try_from(prompts.version).unwrap_or(i32::MAX),
        });
    }
}

impl NodeOutput for RosTransport {
    fn detections(&self, camera: &str, _record: &LiveRecord, found: Option<&FrameDetections>) {
        // A frame that the model failed on gives no message: an empty one would say that nothing is
        // there.
        if let (Some(camera), Some(found)) = (self.active_camera(camera), found) {
            camera.detections.send(&detection_2d_array(found));
        }
    }

    fn prompts_in_use(&self, prompts: &PromptsRecord) {
        if let Some(model) = self.model.get() {
            self.say_what_names_mean(model, prompts);
            self.prompts.tell(prompts);
        }
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
        self.diagnostics.send(&diagnostics(&self.link.node_name(), status, now()));
    }

    fn connections(&self) -> Option<Connections> {
        self.link.connections()
    }

    fn look_around(&self) {
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
