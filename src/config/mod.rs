//! Floor 1: configuration, from its serde form to its validated form.
//!
//! A configuration is a ROS 2 parameter file in every mode, node or not:
//!
//! ```yaml
//! /**:
//!   ros__parameters:
//!     threshold: 0.2
//!     prompts: ["a cat"]
//! ```
//!
//! [`ConfigLoader`] lays files and overrides over the defaults. Files are parsed to a tree and
//! checked field by field, so that a refusal ([`ConfigError`]) holds every problem with its path,
//! its line, what was expected and what was found. Nothing is guessed and no unknown key passes.
//! [`PARAMETERS`] is the one table from which checks, defaults and help are made. A parameter is
//! also what a node declares in ROS 2; the few that ROS declares itself pass.

mod loader;
mod parameters;
mod problem;
pub mod prompts;
mod ros_args;
pub mod ros_name;
mod sections;
mod tables;
mod transport;
mod values;
mod yaml;

use std::net::SocketAddr;
use std::path::PathBuf;

pub use loader::ConfigLoader;
pub use parameters::{Changes, PARAMETERS, Parameter, ParameterKind};
pub use problem::{ConfigError, Problem};
pub use ros_args::{LogLevel, RosArgs, RosParameter};
pub use tables::{default_file, help_text, markdown_table};
pub use transport::{Transport, UnknownTransport};
pub use values::ParameterValue;

use crate::types::{DeviceChoice, DtypeChoice, LocateMode, Prompt, PromptSet};

/// The name of the node where no other is given.
pub const DEFAULT_NODE: &str = "/owlet";

/// The checkpoint that comes with Owlet (`models/owlet-nano` of the source tree).
pub const BUILTIN_MODEL: &str = "owlet-nano";

/// What proposes the regions that are looked up in a bank.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RegionSource {
    /// The detector, in the pass that finds its own prompts.
    #[default]
    Detector,
    /// The segmenter, at the points of a grid.
    Segmenter,
}

/// A configuration that was checked. [`PARAMETERS`] describes each field.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Name or folder of the model.
    pub model: String,
    /// Name or folder of the model that draws masks for boxes; `None` for no masks.
    pub segmenter: Option<String>,
    /// Name or folder of the model that tells finer labels apart; `None` where there are none.
    pub classifier: Option<String>,
    /// Folder of the bank of pairs that `asif` prompts are looked up in; already joined with the
    /// folder of the file that named it.
    pub bank: Option<PathBuf>,
    /// Name or folder of its image encoder; `None` for the name that it was made with.
    pub bank_image_encoder: Option<String>,
    /// The same of its text encoder.
    pub bank_text_encoder: Option<String>,
    /// The most regions of an image that are looked up in it, at least 1.
    pub bank_regions: usize,
    /// What proposes them.
    pub bank_regions_by: RegionSource,
    /// Where it runs.
    pub device: DeviceChoice,
    /// Its number format.
    pub dtype: DtypeChoice,
    /// CPU threads; 0 is all cores.
    pub threads: usize,
    /// Prompts that stand in the configuration itself.
    pub prompts: Vec<Prompt>,
    /// More prompts; already joined with the folder of the file that named it.
    pub prompts_file: Option<PathBuf>,
    /// Lowest score that is reported, in `[0, 1]`.
    pub threshold: f32,
    /// Overlap in `(0, 1)` above which the worse of two boxes goes; `None` keeps all.
    pub nms_iou: Option<f32>,
    /// Whether boxes of all prompts suppress each other.
    pub nms_across_prompts: bool,
    /// The most prompts that one box is reported for, at least 1.
    pub names_per_box: usize,
    /// The most detections of a frame.
    pub max_detections: usize,
    /// The most frames in one pass.
    pub max_batch: usize,
    /// The most frames of one camera in a second that a live node looks at; 0 for no limit.
    pub max_rate_hz: f32,
    /// Whether objects get ids that stay the same from frame to frame.
    pub tracking: bool,
    /// Whether places in space are looked for.
    pub locate: LocateMode,
    /// The frame that places are given in; `None` for that of the image.
    pub target_frame: Option<String>,
    /// By how much the stamps of an image and of its depth may differ, in seconds.
    pub sync_slop_secs: f32,
    /// Whether clouds of what was found are made.
    pub clouds: bool,
    /// Whether masks have outlines in JSON.
    pub polygons: bool,
    /// Whether pick points are looked for.
    pub picks: bool,
    /// The prompt whose objects are to be picked; `None` for all.
    pub pick_prompt: Option<String>,
    /// Radius of the patch that a gripper needs, in metres.
    pub pick_radius_m: f32,
    /// Whether heightmaps are made.
    pub heightmap: bool,
    /// Lowest and highest x, y and z of heightmaps, in metres.
    pub heightmap_bounds_m: [[f64; 2]; 3],
    /// Side of a cell of heightmaps, in metres.
    pub heightmap_m_per_px: f32,
    /// Depth topics of a recording, in the order of the image topics; empty for a choice by frame
    /// and name.
    pub depth_topics: Vec<String>,
    /// Image topics to use; empty for all.
    pub image_topics: Vec<String>,
    /// Whether overlay pictures are made.
    pub overlay: bool,
    /// The most pictures in a report that are spread over the run.
    pub report_pictures: usize,
    /// Quality of written pictures, in `[1, 100]`.
    pub jpeg_quality: u8,
    /// Name of the live node, with its namespace (`cell/owlet`).
    pub node: String,
    /// Whether a live node is configured and activated at once.
    pub autostart: bool,
    /// Whether a live node reads `prompts_file` again when it changes.
    pub watch_prompts: bool,
    /// Whether a live node keeps encoded texts from one start to the next.
    pub text_cache: bool,
    /// Whether a node in ROS 2 takes the time from `/clock`.
    pub use_sim_time: bool,
    /// What the live node speaks.
    pub transport: Transport,
    /// Names of the cameras in ROS 2; empty for one camera without a name.
    pub cameras: Vec<String>,
    /// Remapping rules of ROS 2, `from:=to`.
    pub ros_remap: Vec<String>,
    /// Domain of ROS 2; `None` leaves it to `ROS_DOMAIN_ID`.
    pub ros_domain_id: Option<u32>,
    /// Mebibytes of shared memory for large messages in ROS 2; 0 for none.
    pub ros_shm_mib: usize,
    /// Bytes from which on a message goes through shared memory.
    pub ros_shm_threshold_bytes: usize,
    /// Where metrics are to be had; `None` for nowhere.
    pub metrics_listen: Option<SocketAddr>,
    /// zenoh's own configuration file; already joined with the folder of the file that named it.
    pub zenoh_config: Option<PathBuf>,
    /// `peer` or `client`; `None` leaves it to `zenoh_config`, or else to zenoh.
    pub zenoh_mode: Option<String>,
    /// Endpoints that zenoh connects to; empty leaves it to `zenoh_config`.
    pub zenoh_connect: Vec<String>,
    /// Endpoints that zenoh listens on; empty leaves it to `zenoh_config`.
    pub zenoh_listen: Vec<String>,
    /// Key expressions of images; empty for the default below the node's own key.
    pub zenoh_images: Vec<String>,
    /// Whether detections also go out as CDR.
    pub zenoh_cdr: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            model: BUILTIN_MODEL.to_owned(),
            segmenter: None,
            classifier: None,
            bank: None,
            bank_image_encoder: None,
            bank_text_encoder: None,
            bank_regions: 30,
            bank_regions_by: RegionSource::Detector,
            device: DeviceChoice::Auto,
            dtype: DtypeChoice::Auto,
            threads: 0,
            prompts: Vec::new(),
            prompts_file: None,
            threshold: 0.1,
            nms_iou: None,
            nms_across_prompts: false,
            names_per_box: 1,
            max_detections: 100,
            max_batch: 8,
            max_rate_hz: 0.0,
            tracking: true,
            locate: LocateMode::Auto,
            target_frame: None,
            sync_slop_secs: 0.05,
            clouds: false,
            polygons: false,
            picks: false,
            pick_prompt: None,
            pick_radius_m: 0.01,
            heightmap: false,
            heightmap_bounds_m: [[0.25, 0.75], [-0.5, 0.5], [0.0, 0.28]],
            heightmap_m_per_px: 0.003_125,
            depth_topics: Vec::new(),
            image_topics: Vec::new(),
            overlay: true,
            report_pictures: 40,
            jpeg_quality: 85,
            node: DEFAULT_NODE.trim_start_matches('/').to_owned(),
            autostart: true,
            watch_prompts: false,
            text_cache: true,
            use_sim_time: false,
            transport: Transport::Zenoh,
            cameras: Vec::new(),
            ros_remap: Vec::new(),
            ros_domain_id: None,
            ros_shm_mib: 0,
            ros_shm_threshold_bytes: 4096,
            metrics_listen: None,
            zenoh_config: None,
            zenoh_mode: None,
            zenoh_connect: Vec::new(),
            zenoh_listen: Vec::new(),
            zenoh_images: Vec::new(),
            zenoh_cdr: false,
        }
    }
}

impl Config {
    /// All prompts in use: those of the prompts file, then those of the configuration itself.
    ///
    /// # Errors
    /// Every problem of the prompts file, and names that are used in both.
    pub fn read_prompts(&self) -> Result<Vec<Prompt>, ConfigError> {
        let mut prompts = match &self.prompts_file {
            Some(path) => prompts::read(path)?,
            None => Vec::new(),
        };
        let mut problems = problem::Problems::of("prompts");
        for (index, own) in self.prompts.iter().enumerate() {
            if prompts.iter().any(|prompt| prompt.name == own.name) {
                let expected = "a name that the prompts file does not use";
                problems.add(
                    &format!("prompts[{index}]"),
                    None,
                    expected,
                    format!("{:?}", own.name),
                );
            } else {
                prompts.push(own.clone());
            }
        }
        let problems = problems.into_vec();
        if problems.is_empty() { Ok(prompts) } else { Err(ConfigError { problems }) }
    }

    /// [`read_prompts`](Self::read_prompts) as a set with this configuration's threshold.
    ///
    /// # Errors
    /// As [`read_prompts`](Self::read_prompts). An empty set is not refused here, since prompts
    /// may also come at run time.
    pub fn prompt_set(&self, version: u64) -> Result<PromptSet, ConfigError> {
        let prompts = self.read_prompts()?;
        Ok(PromptSet { version, prompts, default_threshold: self.threshold })
    }
}
