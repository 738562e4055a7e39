//! What tells two runs of a model apart.

use std::time::UNIX_EPOCH;

use owlet::hub::ModelDir;
use owlet::tasks::ModelInfo;
use owlet::types::{Exemplar, Prompt};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// A prompt, as far as it decides what is found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct PromptIdentity {
    name: String,
    texts: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    threshold: Option<f32>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    negative: bool,
    /// Checksum and box of each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    exemplars: Vec<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    asif: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    average: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    templates: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    finer: Vec<(String, Vec<String>)>,
}

impl PromptIdentity {
    pub(crate) fn of(prompt: &Prompt) -> Self {
        Self {
            name: prompt.name.clone(),
            texts: prompt.texts.clone(),
            threshold: prompt.threshold,
            negative: prompt.negative,
            exemplars: prompt.exemplars.iter().map(identity_of_exemplar).collect(),
            asif: prompt.asif,
            average: prompt.average,
            templates: prompt.templates.clone(),
            finer: prompt
                .finer
                .iter()
                .map(|label| (label.name.clone(), label.texts.clone()))
                .collect(),
        }
    }
}

fn identity_of_exemplar(exemplar: &Exemplar) -> String {
    let digest = Sha256::digest(&exemplar.picture.encoded);
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let [x0, y0, x1, y1] = exemplar.area().corners();
    format!("{digest} at {x0}, {y0}, {x1}, {y1}")
}

/// The commit of a model that was pulled; else sizes and times of its files, so that another
/// checkpoint at the same path is another one.
pub(crate) fn weights(model: &ModelDir) -> String {
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

/// What ran, and on which device.
pub(crate) fn model_record(model: &ModelInfo) -> Value {
    serde_json::json!({
        "name": model.name,
        "architecture": model.architecture,
        "device": model.device,
        "dtype": model.dtype,
        "input_size_px": [model.input_size.1, model.input_size.0],
        "parameters": model.parameters,
        "useful_batch": model.useful_batch,
    })
}
