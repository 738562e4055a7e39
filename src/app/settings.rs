//! From the command line to what a command runs with.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use owlet::config::{Config, ConfigLoader, DEFAULT_NODE, LogLevel, RosArgs};
use owlet::detect::{DetectorError, DetectorOptions, OwlDetector};
use owlet::hub::{self, HubError, ModelDir, ModelLocations, Verify};
use owlet::nn::DeviceRefused;
use owlet::segment::{
    ClipSegmenter, GroupVitSegmenter, MaskRules, SamSegmenter, SegmenterError, SegmenterOptions,
};
use owlet::tasks::{Detector, ModelInfo, PromptableSegmenter, Segmenter};
use owlet::transport::ros::Names;
use owlet::types::{Prompt, PromptSet};

use super::Refused;
use super::models::RANDOM_MARK;
use crate::app::args::{ModelArgs, NodeArgs, RunArgs};

/// A configuration that was checked, its prompts and its model folder.
pub(crate) struct Settings {
    pub config: Config,
    pub prompts: Arc<PromptSet>,
    pub model_dir: ModelDir,
    /// Whether `owlet random-model` wrote it.
    pub random_weights: bool,
}

impl Settings {
    /// Defaults, then the configuration file, then `--param`, then the options of their own.
    pub(crate) fn from_args(args: &RunArgs) -> anyhow::Result<Self> {
        let config = load_config(args, ConfigLoader::new(), &RosArgs::default(), |_| ())?;
        let prompts = some_prompts(args, &config)?;
        Self::new(config, prompts)
    }

    /// The same for segmentation, where a place of the picture is in a mask if its score is above
    /// one half, unless something else is asked for.
    pub(crate) fn for_segmentation(args: &RunArgs) -> anyhow::Result<Self> {
        let mut loader = ConfigLoader::new();
        loader.apply_override("threshold", "0.5");
        let config = load_config(args, loader, &RosArgs::default(), |_| ())?;
        let prompts = some_prompts(args, &config)?;
        Self::of_task(config, prompts, Task::Segment)
    }

    /// The same where boxes and points say what masks are wanted of; `prompts` are their names.
    pub(crate) fn for_boxes(args: &RunArgs, prompts: PromptSet) -> anyhow::Result<Self> {
        let config = load_config(args, ConfigLoader::new(), &RosArgs::default(), |_| ())?;
        Self::of_task(config, prompts, Task::SegmentBoxes)
    }

    /// Finds the model of a configuration. What is wrong with the prompts is said by the detector:
    /// it knows the tokenizer, too, and all reasons come at once.
    pub(crate) fn new(config: Config, prompts: PromptSet) -> anyhow::Result<Self> {
        Self::of_task(config, prompts, Task::Detect)
    }

    fn of_task(config: Config, prompts: PromptSet, task: Task) -> anyhow::Result<Self> {
        let model_dir = find_model(&config.model, task)?;
        let random_weights = model_dir.file(RANDOM_MARK).is_some();
        if random_weights {
            tracing::warn!(
                "the weights of {} are random: what it finds means nothing",
                config.model
            );
        }
        Ok(Self { config, prompts: Arc::new(prompts), model_dir, random_weights })
    }

    pub(crate) fn segmenter_options(&self) -> SegmenterOptions {
        let config = &self.config;
        SegmenterOptions {
            model_dir: self.model_dir.path().to_owned(),
            name: config.model.clone(),
            device: config.device,
            dtype: config.dtype,
            threads: (config.threads > 0).then_some(config.threads),
        }
    }

    pub(crate) fn detector_options(&self) -> DetectorOptions {
        let config = &self.config;
        DetectorOptions {
            model_dir: self.model_dir.path().to_owned(),
            name: config.model.clone(),
            device: config.device,
            dtype: config.dtype,
            threads: (config.threads > 0).then_some(config.threads),
            nms_iou: config.nms_iou,
            names_per_box: config.names_per_box,
            max_detections: config.max_detections,
        }
    }
}

/// What a model is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// Boxes.
    Detect,
    /// Masks of what texts ask for.
    Segment,
    /// Masks of what boxes and points lie on.
    SegmentBoxes,
    /// Vectors of pictures or texts.
    Encode,
}

/// Finds a model by name or folder, checks its files against what was downloaded, and that it is
/// not for another task.
pub(crate) fn find_model(name: &str, task: Task) -> anyhow::Result<ModelDir> {
    let model_dir =
        hub::resolve(name, &ModelLocations::from_env(), Verify::IfChanged).map_err(refused_name)?;
    // One that is for no task at all is refused when it is loaded.
    match (model_dir.architecture(), task) {
        (Some(found @ ("clipseg" | "groupvit")), Task::Detect) => Err(Refused(format!(
            "{name} is a segmenter ({found}): it draws masks and finds no boxes; `owlet segment` is \
             the command for it"
        ))
        .into()),
        (Some(found @ "sam"), Task::Detect) => Err(Refused(format!(
            "{name} is a segmenter ({found}): it draws masks of what boxes and points lie on and \
             finds no boxes; `owlet segment --box` is the command for it"
        ))
        .into()),
        (Some(found @ "sam"), Task::Segment) => Err(Refused(format!(
            "{name} is a segmenter of what boxes and points lie on ({found}), and reads no texts: \
             give it --box X0,Y0,X1,Y1 or --point X,Y"
        ))
        .into()),
        (Some(found @ "clipseg"), Task::SegmentBoxes) => Err(Refused(format!(
            "{name} is a segmenter of what texts ask for ({found}), and takes no boxes: give it \
             --prompt TEXT, or --model a segmenter for boxes, as of `owlet pull sam-vit-base`"
        ))
        .into()),
        (Some(found @ ("owlvit" | "owlv2")), Task::SegmentBoxes) => Err(Refused(format!(
            "{name} is a detector ({found}): it finds boxes and draws no masks. Give --model a \
             segmenter for boxes, as of `owlet pull sam-vit-base`"
        ))
        .into()),
        (Some(found @ ("owlvit" | "owlv2")), Task::Segment) => Err(Refused(format!(
            "{name} is a detector ({found}): it finds boxes and draws no masks; `owlet detect` is \
             the command for it. For masks give --model a segmenter, as of `owlet pull \
             clipseg-rd64-refined`"
        ))
        .into()),
        (Some(found @ "clip"), _) => Err(Refused(format!(
            "{name} is an encoder ({found}): it tells pictures and texts apart, finds no boxes and \
             draws no masks"
        ))
        .into()),
        _ => Ok(model_dir),
    }
}

/// A name that cannot be that of a model was refused; all else has failed.
pub(crate) fn refused_name(error: HubError) -> anyhow::Error {
    match error {
        HubError::UnknownName { .. } | HubError::BadName { .. } | HubError::BadRevision { .. } => {
            Refused(error.to_string()).into()
        }
        error => error.into(),
    }
}

/// Loads a detector and says what it runs on.
pub(crate) fn load_detector(options: &DetectorOptions) -> anyhow::Result<Box<dyn Detector>> {
    let detector = OwlDetector::load(options)
        .map_err(|error| match error {
            DetectorError::Option { .. }
            | DetectorError::Device(DeviceRefused::HalfOnCpu { .. }) => {
                anyhow::Error::new(Refused(error.to_string()))
            }
            error => error.into(),
        })
        .with_context(|| format!("cannot load {}", options.model_dir.display()))?;
    say_what_runs(detector.info());
    Ok(Box::new(detector))
}

/// Loads a segmenter by text, whichever its architecture is, and says what it runs on.
pub(crate) fn load_segmenter(
    options: &SegmenterOptions,
    architecture: Option<&str>,
) -> anyhow::Result<Box<dyn Segmenter>> {
    let result = match architecture {
        Some("groupvit") => GroupVitSegmenter::load(options).map(|loaded| Box::new(loaded) as _),
        // One that is for no task at all is refused by what is wrong with it.
        _ => ClipSegmenter::load(options).map(|loaded| Box::new(loaded) as Box<dyn Segmenter>),
    };
    let segmenter = loaded(options, result)?;
    say_what_runs(segmenter.info());
    Ok(segmenter)
}

/// Loads a segmenter for boxes and points and says what it runs on.
pub(crate) fn load_promptable(
    options: &SegmenterOptions,
    rules: MaskRules,
) -> anyhow::Result<Box<dyn PromptableSegmenter>> {
    let mut segmenter = loaded(options, SamSegmenter::load(options))?;
    segmenter.set_rules(rules);
    say_what_runs(segmenter.info());
    Ok(Box::new(segmenter))
}

/// Options that no segmenter takes were refused; all else has failed.
fn loaded<T>(options: &SegmenterOptions, result: Result<T, SegmenterError>) -> anyhow::Result<T> {
    result
        .map_err(|error| match error {
            SegmenterError::Threads { .. }
            | SegmenterError::Device(DeviceRefused::HalfOnCpu { .. }) => {
                anyhow::Error::new(Refused(error.to_string()))
            }
            error => error.into(),
        })
        .with_context(|| format!("cannot load {}", options.model_dir.display()))
}

pub(crate) fn say_what_runs(info: &ModelInfo) {
    tracing::info!(
        "{}: {} with {:.1} M parameters in {} on {}",
        info.name,
        info.architecture,
        info.parameters as f64 / 1e6,
        info.dtype,
        info.device,
    );
}

/// The prompts of a command that makes no sense without any.
fn some_prompts(args: &RunArgs, config: &Config) -> Result<PromptSet, Refused> {
    let prompts = prompts(args, config)?;
    if prompts.prompts.is_empty() {
        let how = "nothing to look for: give --prompt TEXT (several times for several things), \
                   --prompts FILE.yaml, or `prompts` in a configuration file";
        return Err(Refused(how.to_owned()));
    }
    Ok(prompts)
}

/// What ROS 2 has passed on to a node.
pub(crate) struct RosSettings {
    args: RosArgs,
    /// The node's full name, under which sections of parameter files are chosen.
    node: String,
    problems: Vec<String>,
}

impl RosSettings {
    pub(crate) fn of(args: &NodeArgs) -> Self {
        let mut problems = Vec::new();
        let words = args.ros_args.iter().map(String::as_str);
        let ros = RosArgs::parse(words).unwrap_or_else(|error| {
            problems.push(error.to_string());
            RosArgs::default()
        });
        let name = args.node.as_deref().unwrap_or(DEFAULT_NODE.trim_start_matches('/'));
        let node = match Names::new(name, &ros.remaps) {
            Ok(names) => names.node(),
            Err(reasons) => {
                problems.extend(reasons);
                DEFAULT_NODE.to_owned()
            }
        };
        Self { args: ros, node, problems }
    }

    /// How much is logged, where that was asked for.
    pub(crate) fn log_level(&self) -> Option<LogLevel> {
        self.args.log_level_of(&self.node)
    }
}

/// The configuration of a live node, whose prompts may come while it runs: defaults, then the
/// configuration file, then what stands behind `--ros-args`, then `--param`, then the options of
/// their own. Its name, where it is given, also chooses the sections of files.
pub(crate) fn node_config(args: &NodeArgs) -> anyhow::Result<Config> {
    let ros = RosSettings::of(args);
    let loader = ConfigLoader::for_node(&ros.node);
    let mut config = load_config(&args.run, loader, &ros.args, |loading| {
        loading.problems.extend(ros.problems);
        loading.set("node", args.node.clone());
        loading.set("transport", args.transport.map(|transport| transport.to_string()));
        for (name, given) in [("zenoh_connect", &args.connect), ("zenoh_listen", &args.listen)] {
            if !given.is_empty() {
                loading.loader.apply_list_override(name, given);
            }
        }
    })?;
    for argument in &ros.args.without_effect {
        tracing::debug!("{argument} changes nothing here");
    }
    // What was typed is checked by the model, with all other prompts.
    config.prompts.extend(typed_prompts(&args.run));
    // Of two rules for one name the first holds.
    config.ros_remap.splice(..0, ros.args.remaps);
    // Rules that are none are told by the transport, with all else that is wrong with its options.
    if let Ok(names) = Names::new(&config.node, &config.ros_remap) {
        config.node = names.node().trim_start_matches('/').to_owned();
    }
    Ok(config)
}

/// The prompts of the configuration and those that were typed.
fn prompts(args: &RunArgs, config: &Config) -> Result<PromptSet, Refused> {
    let mut prompts = config.prompt_set(1).map_err(|error| Refused(error.to_string()))?;
    prompts.prompts.extend(typed_prompts(args));
    Ok(prompts)
}

/// `more` sets what a command has options for that others lack.
fn load_config(
    args: &RunArgs,
    loader: ConfigLoader,
    ros: &RosArgs,
    more: impl FnOnce(&mut Loading),
) -> Result<Config, Refused> {
    let mut loading = Loading::start(&args.model, loader, &[], ros);
    loading.set("threshold", args.threshold.map(|threshold| threshold.to_string()));
    more(&mut loading);
    if !args.prompts.is_empty() || args.prompts_file.is_some() {
        // What was typed is meant: it takes the place of all prompts of the configuration.
        loading.set_prompts(args.prompts_file.as_deref());
    }
    let typed = typed_prompts(args).collect();
    loading.finish(typed)
}

/// The configuration of a command that has prompts of its own: those of the configuration are not
/// used. `defaults` take the place of what a configuration file says, and `--param` wins over them.
pub(crate) fn load_config_without_prompts(
    args: &ModelArgs,
    threshold: Option<f32>,
    prompts_file: Option<&Path>,
    defaults: &[(&str, String)],
) -> Result<Config, Refused> {
    let ros = RosArgs::default();
    let mut loading = Loading::start(args, ConfigLoader::new(), defaults, &ros);
    loading.set("threshold", threshold.map(|threshold| threshold.to_string()));
    loading.set_prompts(prompts_file);
    loading.finish(Vec::new())
}

/// Gathers a configuration, and what was wrong with the command line before it came to it.
struct Loading {
    loader: ConfigLoader,
    problems: Vec<String>,
}

impl Loading {
    fn start(
        args: &ModelArgs,
        loader: ConfigLoader,
        defaults: &[(&str, String)],
        ros: &RosArgs,
    ) -> Self {
        let mut loading = Self { loader, problems: Vec::new() };
        if let Some(path) = &args.config {
            loading.loader.add_file(path);
        }
        for (name, value) in defaults {
            loading.loader.apply_override(name, value);
        }
        loading.loader.add_ros_args(ros);
        for warning in loading.loader.warnings() {
            tracing::warn!("{warning}");
        }
        for param in &args.params {
            match param.split_once('=') {
                Some((name, value)) => loading.loader.apply_override(name.trim(), value),
                None => {
                    loading.problems.push(format!("--param: expected NAME=VALUE, found {param:?}"));
                }
            }
        }
        loading.set("model", args.model.clone());
        loading.set("device", args.device.map(|device| device.to_string()));
        loading.set("dtype", args.dtype.map(|dtype| dtype.to_string()));
        loading
    }

    fn set(&mut self, name: &str, value: Option<String>) {
        if let Some(value) = value {
            self.loader.apply_override(name, &value);
        }
    }

    fn set_prompts(&mut self, file: Option<&Path>) {
        let path = file.unwrap_or(Path::new(""));
        self.loader.apply_override("prompts_file", &path.display().to_string());
        self.loader.apply_list_override("prompts", &[]);
    }

    /// `typed` are checked where something else is wrong, so that all is told at once.
    fn finish(self, typed: Vec<Prompt>) -> Result<Config, Refused> {
        let mut problems = self.problems;
        match self.loader.finish() {
            Ok(config) if problems.is_empty() => return Ok(config),
            Ok(_) => {}
            Err(error) => problems.push(error.to_string()),
        }
        if !typed.is_empty() {
            let typed = PromptSet { version: 1, prompts: typed, default_threshold: 0.0 };
            problems.extend(typed.check().err().map(|refused| refused.to_string()));
        }
        Err(Refused(problems.join("\n")))
    }
}

/// Not through the configuration: whether they can be used is said with all else that is wrong
/// with the prompts.
fn typed_prompts(args: &RunArgs) -> impl Iterator<Item = Prompt> {
    args.prompts.iter().map(|text| Prompt::from_text(text))
}
