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
//! also what ROS declares later, except for its own (`use_sim_time` and others), which pass.

mod loader;
mod parameters;
mod problem;
pub mod prompts;
mod ros_name;
mod sections;
mod tables;
mod yaml;

use std::path::PathBuf;

pub use loader::ConfigLoader;
pub use parameters::{Changes, PARAMETERS, Parameter, ParameterKind};
pub use problem::{ConfigError, Problem};
pub use tables::{default_file, help_text, markdown_table};

use crate::types::{DeviceChoice, DtypeChoice, Prompt, PromptSet};

/// The name of the node where no other is given.
pub const DEFAULT_NODE: &str = "/owlet";

/// A configuration that was checked. [`PARAMETERS`] describes each field.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Name or folder of the model.
    pub model: String,
    /// Where it runs.
    pub device: DeviceChoice,
    /// Its number format.
    pub dtype: DtypeChoice,
    /// CPU threads; 0 is all cores.
    pub threads: usize,
    /// Prompts given as plain texts.
    pub prompts: Vec<String>,
    /// More prompts; already joined with the folder of the file that named it.
    pub prompts_file: Option<PathBuf>,
    /// Lowest score that is reported, in `[0, 1]`.
    pub threshold: f32,
    /// Overlap in `(0, 1)` above which the worse of two boxes goes; `None` keeps all.
    pub nms_iou: Option<f32>,
    /// The most detections of a frame.
    pub max_detections: usize,
    /// The most frames in one pass.
    pub max_batch: usize,
    /// Image topics to use; empty for all.
    pub image_topics: Vec<String>,
    /// Whether overlay pictures are made.
    pub overlay: bool,
    /// The most pictures in a report that are spread over the run.
    pub report_pictures: usize,
    /// Quality of written pictures, in `[1, 100]`.
    pub jpeg_quality: u8,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            model: "owlvit-base-patch32".to_owned(),
            device: DeviceChoice::Auto,
            dtype: DtypeChoice::Auto,
            threads: 0,
            prompts: Vec::new(),
            prompts_file: None,
            threshold: 0.1,
            nms_iou: None,
            max_detections: 100,
            max_batch: 8,
            image_topics: Vec::new(),
            overlay: true,
            report_pictures: 40,
            jpeg_quality: 85,
        }
    }
}

impl Config {
    /// All prompts in use: those of the prompts file, then the plain texts.
    ///
    /// # Errors
    /// Every problem of the prompts file, and names that are used in both.
    pub fn read_prompts(&self) -> Result<Vec<Prompt>, ConfigError> {
        let mut prompts = match &self.prompts_file {
            Some(path) => prompts::read(path)?,
            None => Vec::new(),
        };
        let mut problems = problem::Problems::of("prompts");
        for (index, text) in self.prompts.iter().enumerate() {
            if prompts.iter().any(|prompt| prompt.name == *text) {
                let expected = "a name that the prompts file does not use";
                problems.add(&format!("prompts[{index}]"), None, expected, format!("{text:?}"));
            } else {
                prompts.push(Prompt::from_text(text));
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
