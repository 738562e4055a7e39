//! What decides what a replay finds.

use std::path::Path;
use std::time::UNIX_EPOCH;

use owlet::hub::ModelDir;
use owlet::transport::rosbag2::BagInfo;
use owlet::types::Prompt;
use serde::{Deserialize, Serialize};

use super::super::settings::Settings;
use super::source::Topic;
use crate::ReplayArgs;

/// All that decides what a replay finds. Two runs of one identity on one machine give the same
/// records, so that one can go on with the other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct RunIdentity {
    owlet: String,
    bag: BagIdentity,
    topics: Vec<String>,
    model: String,
    /// The commit of a model that was pulled; else sizes and times of its files.
    weights: String,
    prompts: Vec<PromptIdentity>,
    threshold: f32,
    nms_iou: Option<f32>,
    max_detections: usize,
    max_batch: usize,
    threads: usize,
}

/// A recording, wherever it lies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct BagIdentity {
    name: String,
    messages: u64,
    size_bytes: u64,
    start_ns: Option<i64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct PromptIdentity {
    name: String,
    texts: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    threshold: Option<f32>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    negative: bool,
}

impl RunIdentity {
    pub(super) fn new(
        args: &ReplayArgs,
        settings: &Settings,
        bag: &BagInfo,
        topics: &[Topic],
    ) -> Self {
        let config = &settings.config;
        Self {
            owlet: env!("CARGO_PKG_VERSION").to_owned(),
            bag: BagIdentity {
                name: name_of(&args.bag),
                messages: bag.message_count,
                size_bytes: bag.files.iter().map(|file| file.size_bytes).sum(),
                start_ns: bag.start.map(|start| start.0),
            },
            topics: topics.iter().map(|topic| topic.name.to_string()).collect(),
            model: config.model.clone(),
            weights: weights(&settings.model_dir),
            prompts: settings.prompts.prompts.iter().map(PromptIdentity::of).collect(),
            threshold: config.threshold,
            nms_iou: config.nms_iou,
            max_detections: config.max_detections,
            max_batch: config.max_batch,
            threads: config.threads,
        }
    }
}

impl PromptIdentity {
    fn of(prompt: &Prompt) -> Self {
        Self {
            name: prompt.name.clone(),
            texts: prompt.texts.clone(),
            threshold: prompt.threshold,
            negative: prompt.negative,
        }
    }
}

/// The name of a recording, also where it is given as `.` or with a slash at its end.
pub(super) fn name_of(bag: &Path) -> String {
    let path = bag.canonicalize().unwrap_or_else(|_| bag.to_owned());
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// Another checkpoint at the same path is another one.
fn weights(model: &ModelDir) -> String {
    if let Some(manifest) = model.manifest() {
        return format!("{} at {}", manifest.repo, manifest.commit);
    }
    let files = model.weight_files().iter().cloned().chain([model.config_path()]);
    let facts = files.map(|path| {
        let about = path.metadata().ok();
        let size = about.as_ref().map_or(0, std::fs::Metadata::len);
        let modified = about.and_then(|about| about.modified().ok());
        let modified = modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let secs = modified.map_or(0.0, |time| time.as_secs_f64());
        format!("{name}, {size} bytes, of {secs:.6}")
    });
    facts.collect::<Vec<_>>().join("; ")
}
