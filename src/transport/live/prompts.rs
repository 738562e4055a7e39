//! Prompt sets as JSON.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::types::{Exemplar, FinerLabel, Prompt, PromptSet};
use crate::vision::exemplar::data_url;

/// Reasons of one refusal that are listed; the rest are counted.
const MAX_REASONS: usize = 100;

/// The prompt set in use, in the form of a prompts file with its version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PromptsRecord {
    /// Counts up with every set; 0 where none was set yet.
    pub version: u64,
    /// Lowest score that is reported, for prompts with no threshold of their own.
    pub default_threshold: f32,
    /// The prompts, in the order in which they were given.
    pub prompts: Vec<PromptRecord>,
}

/// One prompt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PromptRecord {
    /// The name that every output carries.
    pub name: String,
    /// The texts that describe it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub texts: Vec<String>,
    /// The pictures that show it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exemplars: Vec<ExemplarRecord>,
    /// Its own lowest score.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f32>,
    /// Whether it is a distractor.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub negative: bool,
    /// Whether its texts are looked up in the bank of pairs.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub asif: bool,
    /// Whether its texts, and its exemplars, are one query each.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub average: bool,
    /// Sentences into which its texts are put.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub templates: Vec<String>,
    /// What a thing that it finds may be more closely.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub finer: Vec<FinerLabelRecord>,
}

/// One finer label of a prompt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FinerLabelRecord {
    /// The name in every output.
    pub name: String,
    /// The texts that describe it.
    pub texts: Vec<String>,
}

/// One picture of a prompt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExemplarRecord {
    /// The picture as data URL (`data:image/png;base64,…`).
    pub image: String,
    /// Where in it the thing is, `[x0, y0, x1, y1]` in pixels; nothing for the whole picture.
    #[serde(default, rename = "box", skip_serializing_if = "Option::is_none")]
    pub box_px: Option<[f32; 4]>,
}

impl From<&Exemplar> for ExemplarRecord {
    fn from(exemplar: &Exemplar) -> Self {
        Self {
            image: data_url(&exemplar.picture.encoded),
            box_px: exemplar.box_in_source_px.map(|area| area.corners()),
        }
    }
}

impl From<&FinerLabel> for FinerLabelRecord {
    fn from(label: &FinerLabel) -> Self {
        Self { name: label.name.clone(), texts: label.texts.clone() }
    }
}

impl From<&Prompt> for PromptRecord {
    fn from(prompt: &Prompt) -> Self {
        Self {
            name: prompt.name.clone(),
            texts: prompt.texts.clone(),
            exemplars: prompt.exemplars.iter().map(ExemplarRecord::from).collect(),
            threshold: prompt.threshold,
            negative: prompt.negative,
            asif: prompt.asif,
            average: prompt.average,
            templates: prompt.templates.clone(),
            finer: prompt.finer.iter().map(FinerLabelRecord::from).collect(),
        }
    }
}

impl From<&PromptSet> for PromptsRecord {
    fn from(set: &PromptSet) -> Self {
        Self {
            version: set.version,
            default_threshold: set.default_threshold,
            prompts: set.prompts.iter().map(PromptRecord::from).collect(),
        }
    }
}

/// A prompt set that was refused; the one before stays in use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PromptsRefused {
    /// What became of it, in one sentence.
    pub error: String,
    /// Each reason, with what was expected and found; the first hundred.
    pub reasons: Vec<String>,
    /// The version that stays in use.
    pub version: u64,
}

impl PromptsRefused {
    /// With each of `reasons`, of which at most a hundred are kept.
    pub fn new(version: u64, reasons: impl IntoIterator<Item = String>) -> Self {
        let mut all = reasons.into_iter();
        let mut reasons: Vec<_> = all.by_ref().take(MAX_REASONS).collect();
        match all.count() {
            0 => {}
            more => reasons.push(format!("and {more} more")),
        }
        let error = match version {
            0 => "prompts refused; none are in use".to_owned(),
            _ => format!("prompts refused; version {version} stays in use"),
        };
        Self { error, reasons, version }
    }
}

/// What became of a prompt set: what is in use now, or why it was refused.
pub type PromptsAnswer = Result<Arc<PromptSet>, PromptsRefused>;
