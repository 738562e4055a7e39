//! `run.json`: what was run, and what came of it.

use std::path::Path;

use anyhow::Context;
use owlet::report::RunSummary;
use owlet::tasks::ModelInfo;
use owlet::transport::rosbag2::BagReader;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::settings::Settings;
use super::super::{Refused, replace_file};
use super::source::Topic;
use crate::ReplayArgs;

pub(super) const NAME: &str = "run.json";

/// All that decides what a replay finds. Two runs of one identity on one device give the same
/// records.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct RunIdentity {
    owlet: String,
    bag: String,
    bag_messages: u64,
    topics: Vec<String>,
    model: String,
    prompts: Value,
    threshold: f32,
    nms_iou: Option<f32>,
    max_detections: usize,
    max_batch: usize,
    device: String,
    dtype: String,
}

/// The file.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct RunFile {
    /// `running`, `interrupted` or `done`.
    state: String,
    run: RunIdentity,
    model: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<Value>,
}

impl RunIdentity {
    pub(super) fn new(
        args: &ReplayArgs,
        settings: &Settings,
        bag: &BagReader,
        topics: &[Topic],
    ) -> Self {
        let config = &settings.config;
        let prompts = settings.prompts.prompts.iter().map(|prompt| {
            serde_json::json!({
                "name": prompt.name,
                "texts": prompt.texts,
                "threshold": prompt.threshold,
                "negative": prompt.negative,
            })
        });
        Self {
            owlet: env!("CARGO_PKG_VERSION").to_owned(),
            bag: args.bag.display().to_string(),
            bag_messages: bag.info().message_count,
            topics: topics.iter().map(|topic| topic.name.to_string()).collect(),
            model: config.model.clone(),
            prompts: prompts.collect(),
            threshold: config.threshold,
            nms_iou: config.nms_iou,
            max_detections: config.max_detections,
            max_batch: config.max_batch,
            device: config.device.to_string(),
            dtype: config.dtype.to_string(),
        }
    }
}

impl RunFile {
    pub(super) fn new(run: RunIdentity, model: ModelInfo) -> Self {
        let model = serde_json::json!({
            "name": model.name,
            "architecture": model.architecture,
            "device": model.device,
            "dtype": model.dtype,
            "input_size_px": [model.input_size.1, model.input_size.0],
            "parameters": model.parameters,
        });
        Self { state: "running".to_owned(), run, model, summary: None }
    }

    pub(super) fn exists(folder: &Path) -> bool {
        folder.join(NAME).exists()
    }

    pub(super) fn read(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join(NAME);
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_str(&text)
            .with_context(|| format!("{} is not of this program", path.display()))
    }

    /// Writes the file in one step.
    pub(super) fn write(&self, folder: &Path) -> anyhow::Result<()> {
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        replace_file(&folder.join(NAME), &text)
    }

    /// Refuses to go on with a run of other settings, and names them.
    pub(super) fn must_match(&self, asked: &RunIdentity) -> anyhow::Result<()> {
        let earlier = serde_json::to_value(&self.run)?;
        let asked = serde_json::to_value(asked)?;
        let mut differences = Vec::new();
        if let (Value::Object(earlier), Value::Object(asked)) = (earlier, asked) {
            for (key, asked) in asked {
                let earlier = earlier.get(&key).cloned().unwrap_or(Value::Null);
                if earlier != asked {
                    differences.push(format!("\n  {key}: {earlier} then, {asked} now"));
                }
            }
        }
        if differences.is_empty() {
            return Ok(());
        }
        let list = differences.concat();
        Err(Refused(format!("--resume: the earlier run had other settings:{list}")).into())
    }

    pub(super) fn finish(&mut self, interrupted: bool, summary: &RunSummary) {
        self.state = if interrupted { "interrupted" } else { "done" }.to_owned();
        // Made of numbers and texts: always a JSON value.
        self.summary = serde_json::to_value(summary).ok();
    }
}
