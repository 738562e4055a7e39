//! The status of a node as data: what there is, or why there is nothing.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How a node is doing, as it is published.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Name of the node.
    pub node: String,
    /// Version of Owlet.
    pub owlet: String,
    /// In one word.
    pub state: State,
    /// Why it finds nothing, or less than it could, in sentences; empty where all is well.
    pub why: Vec<String>,
    /// Seconds since it was ready.
    pub uptime_secs: f64,
    /// Memory of the process that is in use, in bytes; `None` where the system does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// What is running and where.
    pub model: ModelStatus,
    /// The prompts in use.
    pub prompts: PromptsStatus,
    /// Who it is connected to; absent where the transport cannot tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connected: Option<Connections>,
    /// Where it waits for images.
    pub waits_for: Vec<WaitsFor>,
    /// Every camera that has sent anything, by name.
    pub cameras: BTreeMap<String, CameraStatus>,
    /// Transforms between frames, where any have come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transforms: Option<TransformsStatus>,
    /// Images that belong to no camera, with the newest reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused_images: Option<Failure>,
    /// Single images that somebody asked about.
    pub requests: RequestCounts,
}

/// The state of a node in one word. Of several cameras the best one counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// The node is ending, or has ended for all but its process.
    Ended,
    /// No model is loaded.
    Unconfigured,
    /// The model could not be loaded.
    CannotLoad,
    /// The model is being loaded, or the node is on its way between two other states.
    Changing,
    /// The model is loaded, and no images are taken.
    Inactive,
    /// No prompts are set: there is nothing to look for.
    NoPrompts,
    /// No image has come yet.
    NoImages,
    /// Images came and none could be read.
    BadImages,
    /// Images came and come no more.
    ImagesStopped,
    /// The model has not answered for much longer than it takes.
    Stalled,
    /// The model fails on the images.
    Failing,
    /// The first image is being looked at.
    Starting,
    /// Nothing in the newest images is above its threshold.
    NothingFound,
    /// Things are being found.
    Finding,
}

/// What is running and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelStatus {
    /// Name or folder.
    pub name: String,
    /// The device (`cpu`, `cuda:0`).
    pub device: String,
    /// The number format.
    pub dtype: String,
}

/// The prompts in use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PromptsStatus {
    /// Their version; 0 where none are set.
    pub version: u64,
    /// Their names.
    pub names: Vec<String>,
}

/// Who a transport is connected to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connections {
    /// Routers.
    pub routers: usize,
    /// Peers.
    pub peers: usize,
}

/// Where images are waited for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitsFor {
    /// The key expression or topic.
    pub keys: String,
    /// Publishers that are declared on it; `None` where nobody can tell.
    pub publishers: Option<usize>,
    /// Who they are and how they publish, where that is known: `/camera (reliable, volatile)`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub seen: Vec<String>,
    /// Who publishes there what is no image, and what may keep images from coming, in sentences.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<String>,
}

/// How often something went wrong, and how last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// How often.
    pub count: u64,
    /// The newest reason.
    pub newest: String,
    /// Seconds since then.
    pub age_secs: f64,
}

/// One camera.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CameraStatus {
    /// The key or topic of its images.
    pub key: String,
    /// Images that came.
    pub received: u64,
    /// Images that could not be read.
    pub bad: u64,
    /// Images that a newer one took the place of, or that waited when the node was deactivated.
    pub dropped: u64,
    /// Images that `max_rate_hz` left out.
    #[serde(default)]
    pub skipped: u64,
    /// Images that were looked at.
    pub answered: u64,
    /// Images that the model failed on.
    pub failed: u64,
    /// The newest image that could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest_bad: Option<Failure>,
    /// The newest image that the model failed on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest_failure: Option<Failure>,
    /// Columns and rows of the newest image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_px: Option<[u32; 2]>,
    /// Layout of the newest image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding: Option<String>,
    /// Seconds since the newest image came.
    pub newest_image_age_secs: f64,
    /// Seconds since the newest image that could be read was decoded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest_good_image_age_secs: Option<f64>,
    /// Seconds that the oldest image waits of those that could be read and came after the newest
    /// answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unanswered_secs: Option<f64>,
    /// Seconds since the newest detections went out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest_output_age_secs: Option<f64>,
    /// Detections in the newest image.
    pub detections: usize,
    /// The best score of each prompt in the newest image, whatever its threshold.
    pub best_scores: Vec<BestScore>,
    /// What the newest image took in each stage, in milliseconds.
    pub stages_ms: BTreeMap<String, f64>,
    /// Places in space, where they are looked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub space: Option<SpaceStatus>,
    /// The key or topic on which depth is waited for, where none has come yet and nobody asked for
    /// places: they are looked for once it comes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub would_have_places_with: Option<String>,
}

/// Places in space of one camera's detections.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SpaceStatus {
    /// Where what places need is waited for.
    #[serde(default, flatten, skip_serializing_if = "Option::is_none")]
    pub keys: Option<SpaceKeys>,
    /// Depth pictures that came.
    pub depths: u64,
    /// Calibrations that came.
    pub calibrations: u64,
    /// Frames whose places were looked for.
    pub frames: u64,
    /// Of these, frames that found no depth, calibration or transform, by reason.
    pub frames_without: BTreeMap<String, u64>,
    /// Detections with a place.
    pub located: u64,
    /// Detections without one, by reason.
    pub unlocated: BTreeMap<String, u64>,
    /// Of the newest frame with detections: those with a place, and all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest_located: Option<[usize; 2]>,
    /// Detections with a pick point, where those are looked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub picked: Option<u64>,
    /// Detections without one, by reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unpicked: BTreeMap<String, u64>,
    /// Of the newest frame with detections: those with a pick point, and all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest_picked: Option<[usize; 2]>,
    /// Why the newest detection without a pick point has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest_no_pick: Option<String>,
    /// Why nothing of the newest frame is the one to be picked, where a prompt is named for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_pick_of_prompt: Option<String>,
    /// Why the newest detection or frame without a place has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest_reason: Option<String>,
    /// Seconds since then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest_reason_age_secs: Option<f64>,
    /// Depth pictures and calibrations that cannot be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bad: Option<Failure>,
}

/// Keys or topics, in words.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpaceKeys {
    /// Of depth.
    #[serde(rename = "depth_key")]
    pub depth: String,
    /// Of the camera's calibration.
    #[serde(rename = "calibration_key")]
    pub calibration: String,
}

/// Transforms between frames.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TransformsStatus {
    /// Those that were taken.
    pub taken: u64,
    /// Messages with some that were refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<Failure>,
}

/// How near a prompt came to being found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BestScore {
    /// The prompt's name.
    pub prompt: String,
    /// Its best score anywhere in the image, in `[0, 1]`.
    pub score: f32,
    /// What it has to be above.
    pub threshold: f32,
}

/// What became of single images.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestCounts {
    /// Answered with detections, even if there were none.
    pub answered: u64,
    /// Answered with a reason.
    pub refused: u64,
}
