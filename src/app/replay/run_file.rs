//! `run.json`: what was run, and what came of it.

use std::path::Path;

use anyhow::Context;
use owlet::report::RunSummary;
use owlet::tasks::ModelInfo;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::fingerprint::model_record;
use super::super::{Refused, replace_file};
use super::identity::RunIdentity;
use super::space::PlacesTally;

pub(super) const NAME: &str = "run.json";

/// The file.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct RunFile {
    /// `running`, `interrupted` or `done`.
    state: String,
    /// Where the recording was.
    bag: String,
    run: RunIdentity,
    /// What ran, and on which device.
    model: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<Value>,
    /// What had a place in space and what had not, for each camera.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    places: Option<Value>,
}

impl RunFile {
    pub(super) fn new(run: RunIdentity, bag: &Path, model: &ModelInfo) -> Self {
        let model = model_record(model);
        let bag = bag.canonicalize().unwrap_or_else(|_| bag.to_owned()).display().to_string();
        Self { state: "running".to_owned(), bag, run, model, summary: None, places: None }
    }

    pub(super) fn read(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join(NAME);
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_str(&text).with_context(|| {
            format!("{} is not what this program writes; --overwrite starts anew", path.display())
        })
    }

    pub(super) fn to_text(&self) -> anyhow::Result<String> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    /// Writes the file in one step.
    pub(super) fn write(&self, folder: &Path) -> anyhow::Result<()> {
        replace_file(&folder.join(NAME), self.to_text()?.as_bytes())
    }

    /// Refuses to go on with a run of other settings, and names them.
    pub(super) fn must_match(&self, asked: &RunIdentity) -> anyhow::Result<()> {
        if self.run == *asked {
            return Ok(());
        }
        refuse_differences(&by_way_of_text(&self.run)?, &by_way_of_text(asked)?)
    }

    /// Refuses to go on with a run on another device, which rounds differently.
    pub(super) fn must_match_model(&self, asked: &Self) -> anyhow::Result<()> {
        refuse_differences(&self.model, &asked.model)
    }

    pub(super) fn finish(&mut self, interrupted: bool, summary: &RunSummary, places: &PlacesTally) {
        self.state = if interrupted { "interrupted" } else { "done" }.to_owned();
        // Made of numbers and texts: always a JSON value.
        self.summary = by_way_of_text(summary).ok();
        self.places = places.to_json();
    }
}

/// A threshold of 0.1 as f32 stays 0.1, which it would not where it was widened.
fn by_way_of_text(value: &impl Serialize) -> anyhow::Result<Value> {
    Ok(serde_json::from_str(&serde_json::to_string(value)?)?)
}

fn refuse_differences(earlier: &Value, asked: &Value) -> anyhow::Result<()> {
    let mut differences = String::new();
    if let (Value::Object(earlier), Value::Object(asked)) = (earlier, asked) {
        for (key, asked) in asked {
            let earlier = earlier.get(key).unwrap_or(&Value::Null);
            if earlier != asked {
                differences += &format!("\n  {key}: {earlier} then, {asked} now");
            }
        }
    }
    if differences.is_empty() {
        return Ok(());
    }
    let text = format!(
        "--resume: the earlier run had other settings; use those, or --overwrite:{differences}"
    );
    Err(Refused(text).into())
}
