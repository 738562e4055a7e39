//! From the command line to what a command runs with.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use owlet::config::{Config, ConfigLoader};
use owlet::detect::{DetectorError, DetectorOptions, DeviceRefused, OwlDetector};
use owlet::hub::{self, HubError, ModelDir, ModelLocations, Verify};
use owlet::tasks::Detector;
use owlet::types::{Prompt, PromptSet};

use super::Refused;
use super::models::RANDOM_MARK;
use crate::RunArgs;

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
        let config = load_config(args)?;
        let mut prompts = config.prompt_set(1).map_err(|error| Refused(error.to_string()))?;
        prompts.prompts.extend(typed_prompts(args));
        if prompts.prompts.is_empty() {
            let how = "nothing to look for: give --prompt TEXT (several times for several things), \
                       --prompts FILE.yaml, or `prompts` in a configuration file";
            return Err(Refused(how.to_owned()).into());
        }
        // What is wrong with the prompts is said by the detector: it knows the tokenizer, too, and
        // all reasons come at once.
        let model_dir = find_model(&config.model)?;
        let random_weights = model_dir.file(RANDOM_MARK).is_some();
        if random_weights {
            tracing::warn!(
                "the weights of {} are random: what it finds means nothing",
                config.model
            );
        }
        Ok(Self { config, prompts: Arc::new(prompts), model_dir, random_weights })
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
            max_detections: config.max_detections,
        }
    }
}

/// Finds a model by name or folder and checks its files against what was downloaded.
pub(crate) fn find_model(name: &str) -> anyhow::Result<ModelDir> {
    hub::resolve(name, &ModelLocations::from_env(), Verify::IfChanged).map_err(refused_name)
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
    let info = detector.info();
    tracing::info!(
        "{}: {} with {:.1} M parameters in {} on {}",
        info.name,
        info.architecture,
        info.parameters as f64 / 1e6,
        info.dtype,
        info.device,
    );
    Ok(Box::new(detector))
}

fn load_config(args: &RunArgs) -> Result<Config, Refused> {
    let mut loader = ConfigLoader::new();
    if let Some(path) = &args.config {
        loader.add_file(path);
    }
    let mut problems = Vec::new();
    for param in &args.params {
        match param.split_once('=') {
            Some((name, value)) => loader.apply_override(name.trim(), value),
            None => problems.push(format!("--param: expected NAME=VALUE, found {param:?}")),
        }
    }
    let mut set = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            loader.apply_override(name, &value);
        }
    };
    set("model", args.model.clone());
    set("threshold", args.threshold.map(|threshold| threshold.to_string()));
    set("device", args.device.map(|device| device.to_string()));
    set("dtype", args.dtype.map(|dtype| dtype.to_string()));
    if !args.prompts.is_empty() || args.prompts_file.is_some() {
        // What was typed is meant: it takes the place of all prompts of the configuration.
        let path = args.prompts_file.as_deref().unwrap_or(Path::new(""));
        loader.apply_override("prompts_file", &path.display().to_string());
        loader.apply_list_override("prompts", &[]);
    }
    match loader.finish() {
        Ok(config) if problems.is_empty() => return Ok(config),
        Ok(_) => {}
        Err(error) => problems.push(error.to_string()),
    }
    let prompts: Vec<_> = typed_prompts(args).collect();
    if !prompts.is_empty() {
        let typed = PromptSet { version: 1, prompts, default_threshold: 0.0 };
        problems.extend(typed.check().err().map(|refused| refused.to_string()));
    }
    Err(Refused(problems.join("\n")))
}

/// Not through the configuration: whether they can be used is said with all else that is wrong
/// with the prompts.
fn typed_prompts(args: &RunArgs) -> impl Iterator<Item = Prompt> {
    args.prompts.iter().map(|text| Prompt::from_text(text))
}
