//! From the command line to what a command runs with.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use owlet::config::{Config, ConfigLoader, DEFAULT_NODE, LogLevel, RegionSource, RosArgs};
use owlet::detect::DetectorOptions;
use owlet::ground::BankManifest;
use owlet::ground::encode::EncoderOptions;
use owlet::hub::ModelDir;
use owlet::models::TextStoreOptions;
use owlet::segment::SegmenterOptions;
use owlet::track::TrackerSettings;
use owlet::transport::ros::Names;
use owlet::types::{Prompt, PromptSet};

use super::encoders::EncodersSource;
use super::loading::{BankSource, DetectorSource, Task, find_model, is_text_segmenter};
use super::models::RANDOM_MARK;
use super::{Refused, bank, fingerprint};
use crate::app::args::{ModelArgs, NodeArgs, RunArgs};

/// A threshold below which the masks of a segmenter by text mostly cover everything.
const LOW_FOR_A_MASK: f32 = 0.2;

/// A configuration that was checked, its prompts and its model folder.
pub(crate) struct Settings {
    pub config: Config,
    pub prompts: Arc<PromptSet>,
    pub model_dir: ModelDir,
    /// The folder of the model that draws masks for boxes, where there is one.
    pub segmenter_dir: Option<ModelDir>,
    /// The folder of the model that tells finer labels apart, where there is one.
    pub classifier_dir: Option<ModelDir>,
    /// The bank of pairs, where there is one.
    pub bank: Option<BankSource>,
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
        let draws = model_dir.architecture().is_some_and(is_text_segmenter);
        let segmenter_dir = match (&config.segmenter, task) {
            (Some(name), Task::Detect) if draws => {
                let text = format!(
                    "segmenter: expected nothing beside {}, which draws masks by itself, found \
                     {name:?}",
                    config.model
                );
                return Err(Refused(text).into());
            }
            (Some(name), Task::Detect) => Some(find_model(name, Task::SegmentBoxes)?),
            _ => None,
        };
        let classifier_dir = match (&config.classifier, task) {
            (Some(name), Task::Detect) => Some(find_model(name, Task::Classify)?),
            _ => None,
        };
        let bank = match task {
            Task::Detect => find_bank(&config)?,
            _ => None,
        };
        if draws && task == Task::Detect && config.threshold < LOW_FOR_A_MASK {
            tracing::warn!(
                "threshold {} is low for {}, which scores every pixel: masks may cover the whole \
                 image (0.5 is a good start)",
                config.threshold,
                config.model
            );
        }
        let is_random = |folder: &ModelDir| folder.file(RANDOM_MARK).is_some();
        let of_bank = bank.iter().flat_map(|bank| bank.encoders.dirs());
        let others = [&segmenter_dir, &classifier_dir].into_iter().flatten().chain(of_bank);
        let random_weights = others.chain([&model_dir]).any(is_random);
        if random_weights {
            tracing::warn!(
                "the weights of {} are random: what it finds means nothing",
                config.model
            );
        }
        let prompts = Arc::new(prompts);
        Ok(Self { config, prompts, model_dir, segmenter_dir, classifier_dir, bank, random_weights })
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

    /// All that the detector is loaded from.
    pub(crate) fn detector_source(&self) -> DetectorSource {
        let config = &self.config;
        let threads = (config.threads > 0).then_some(config.threads);
        DetectorSource {
            detector: DetectorOptions {
                model_dir: self.model_dir.path().to_owned(),
                name: config.model.clone(),
                device: config.device,
                dtype: config.dtype,
                threads,
                nms_iou: config.nms_iou,
                nms_across_prompts: config.nms_across_prompts,
                names_per_box: config.names_per_box,
                max_detections: config.max_detections,
                weakest_share: 1.0,
                text_store: None,
            },
            architecture: self.model_dir.architecture().map(str::to_owned),
            segmenter: self.segmenter_dir.as_ref().map(|folder| SegmenterOptions {
                model_dir: folder.path().to_owned(),
                name: config.segmenter.clone().unwrap_or_default(),
                device: config.device,
                dtype: config.dtype,
                threads,
            }),
            classifier: self.classifier_dir.as_ref().map(|folder| EncoderOptions {
                model_dir: folder.path().to_owned(),
                name: config.classifier.clone().unwrap_or_default(),
                device: config.device,
                dtype: config.dtype,
                threads,
            }),
            bank: self.bank.clone(),
            classifier_texts: None,
        }
    }

    /// The same for a live node: where it tracks objects, the tracker gets weak boxes. A replay does
    /// without them: its records do not hold them, and a resumed one has to give the same ids.
    pub(crate) fn live_source(&self) -> DetectorSource {
        let mut source = self.detector_source();
        if self.config.tracking {
            source.detector.weakest_share = TrackerSettings::default().weakest_share;
        }
        source
    }

    /// Has a node keep the texts that it encodes, those of finer labels too: in `owlet/texts` under
    /// `XDG_CACHE_HOME`, or under `~/.cache`; nowhere where neither is set.
    pub(crate) fn keep_texts(&self, source: &mut DetectorSource) {
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        // The XDG specification tells to ignore a relative path.
        let cache = set("XDG_CACHE_HOME")
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
            .or_else(|| set("HOME").map(|home| PathBuf::from(home).join(".cache")));
        let Some(cache) = cache else { return };
        let store_of = |model_dir| TextStoreOptions {
            folder: cache.join("owlet/texts"),
            weights: fingerprint::weights(model_dir),
        };
        source.detector.text_store = Some(store_of(&self.model_dir));
        source.classifier_texts = self.classifier_dir.as_ref().map(store_of);
    }

    /// Whether what is found has masks.
    pub(crate) fn makes_masks(&self) -> bool {
        self.segmenter_dir.is_some() || self.model_dir.architecture().is_some_and(is_text_segmenter)
    }
}

/// The bank of a configuration and the encoders that it was made with.
fn find_bank(config: &Config) -> anyhow::Result<Option<BankSource>> {
    let Some(folder) = &config.bank else { return Ok(None) };
    let regions_by_segmenter = config.bank_regions_by == RegionSource::Segmenter;
    if regions_by_segmenter && config.segmenter.is_none() {
        let text = "bank_regions_by: expected a segmenter for `segmenter` (parameter `segmenter`), \
                    found none";
        return Err(Refused(text.to_owned()).into());
    }
    let manifest = BankManifest::read(folder).map_err(bank::told).context("bank")?;
    let name = |given: &Option<String>, known: &str| given.clone().unwrap_or(known.to_owned());
    let encoders = EncodersSource::find(
        &name(&config.bank_image_encoder, &manifest.image_encoder.name),
        &name(&config.bank_text_encoder, &manifest.text_encoder.name),
        config.device,
        config.dtype,
        (config.threads > 0).then_some(config.threads),
    )
    .with_context(|| format!("bank: the encoders of {}", folder.display()))?;
    let (folder, regions) = (folder.clone(), config.bank_regions);
    Ok(Some(BankSource { folder, manifest, encoders, regions, regions_by_segmenter }))
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
        loading.set("watch_prompts", args.watch.then(|| "true".to_owned()));
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
