//! From the command line to what a command runs with.

use std::sync::Arc;

use anyhow::Context;
use owlet::config::{Config, ConfigLoader};
use owlet::detect::{DetectorOptions, OwlDetector};
use owlet::hub::{self, ModelDir, ModelLocations, Verify};
use owlet::tasks::Detector;
use owlet::types::PromptSet;

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
        let prompts = config.prompt_set(1).map_err(|error| Refused(error.to_string()))?;
        if prompts.prompts.is_empty() {
            let how = "nothing to look for: give --prompt TEXT (several times for several things), \
                       --prompts FILE.yaml, or `prompts` in a configuration file";
            return Err(Refused(how.to_owned()).into());
        }
        prompts.check().map_err(|error| Refused(error.to_string()))?;
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
    Ok(hub::resolve(name, &ModelLocations::from_env(), Verify::IfChanged)?)
}

/// Loads a detector and says what it runs on.
pub(crate) fn load_detector(options: &DetectorOptions) -> anyhow::Result<Box<dyn Detector>> {
    let detector = OwlDetector::load(options)
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
    let mut malformed = Vec::new();
    for param in &args.params {
        match param.split_once('=') {
            Some((name, value)) => loader.apply_override(name.trim(), value),
            None => malformed.push(format!("--param: expected NAME=VALUE, found {param:?}")),
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
    set("prompts_file", args.prompts_file.as_ref().map(|path| path.display().to_string()));
    let loaded = loader.finish();
    match loaded {
        Ok(mut config) if malformed.is_empty() => {
            if !args.prompts.is_empty() {
                // What was typed is meant: it takes the place of the file's prompts.
                config.prompts.clone_from(&args.prompts);
                if args.prompts_file.is_none() {
                    config.prompts_file = None;
                }
            }
            Ok(config)
        }
        Ok(_) => Err(Refused(malformed.join("\n"))),
        Err(error) => {
            malformed.push(error.to_string());
            Err(Refused(malformed.join("\n")))
        }
    }
}
