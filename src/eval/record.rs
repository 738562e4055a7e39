//! An evaluation as a file: `eval.json`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::compare::Comparison;
use super::counts::{AtThresholds, Counts};
use super::curves::Curves;
use super::dataset::Dataset;
use super::evaluation::{CategoryResult, Evaluation};
use super::metrics::Metrics;
use super::remarks::Remark;

/// The form of the file; another one is not read.
pub const FORMAT: &str = "owlet-eval-1";

/// Bars of the histograms of scores, over `[0, 1]`.
pub const SCORE_BARS: usize = 25;

/// Confusions that are told; there may be as many as pairs of categories.
const MAX_CONFUSIONS: usize = 50;

/// All that came of an evaluation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EvalRecord {
    /// [`FORMAT`].
    pub format: String,
    /// The version of the program.
    pub owlet: String,
    /// What was evaluated.
    pub dataset: DatasetRecord,
    /// What thresholds were chosen on, where they were.
    pub calibration: Option<CalibrationRecord>,
    /// What made the detections: a model with its fingerprint, or a results file.
    pub detector: Value,
    /// How it was asked.
    pub settings: Value,
    /// The numbers over all categories with at least one object.
    pub overall: Metrics,
    /// Detections, objects found and missed at the thresholds in use.
    pub at_threshold: Counts,
    /// The same at the thresholds of the calibration.
    pub calibrated: Option<Counts>,
    /// For each group (`supercategory`) the mean over its categories.
    pub groups: Vec<GroupRecord>,
    /// One for each category, in the order of ids.
    pub prompts: Vec<PromptRecord>,
    /// How often one category was seen where an object of another is, most often first.
    pub confusions: Vec<ConfusionRecord>,
    /// What was wrong with single entries.
    pub remarks: Vec<Remark>,
    /// The differences to an earlier run, where one was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub against: Option<Comparison>,
    /// How long looking at the pictures took, in seconds.
    pub looking_secs: Option<f64>,
}

/// What was evaluated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DatasetRecord {
    /// The annotation file.
    pub path: String,
    /// Of all of it: see [`Dataset::fingerprint`].
    pub fingerprint: String,
    /// Of the images that were evaluated.
    pub evaluated_fingerprint: String,
    /// Images that were evaluated.
    pub images: usize,
    /// Objects in them, without crowds.
    pub objects: u64,
    /// Detections in them that were scored.
    pub detections: usize,
    /// Ids of images that had to be left out.
    pub left_out: Vec<i64>,
}

/// What thresholds were chosen on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CalibrationRecord {
    /// The annotation file.
    pub path: String,
    /// Each n-th image of the same dataset; `None` for a dataset of its own.
    pub every: Option<usize>,
    /// Images.
    pub images: usize,
    /// Objects in them, without crowds.
    pub objects: u64,
    /// Prompts that keep their threshold, with the reason.
    pub kept: Vec<KeptRecord>,
}

/// A prompt whose threshold was not changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptRecord {
    /// Its name.
    pub prompt: String,
    /// Why.
    pub reason: String,
}

/// The mean over the categories of a group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GroupRecord {
    /// Its name.
    pub name: String,
    /// Categories with at least one object.
    pub categories: usize,
    /// Their objects.
    pub objects: u64,
    /// The mean of their numbers.
    #[serde(flatten)]
    pub metrics: Metrics,
}

/// One category.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PromptRecord {
    /// Its name.
    pub name: String,
    /// Its id in the dataset.
    pub category_id: i64,
    /// Its group.
    pub group: Option<String>,
    /// What was asked; empty where a results file was scored.
    pub texts: Vec<String>,
    /// Objects, without crowds.
    pub objects: u64,
    /// Its numbers.
    #[serde(flatten)]
    pub metrics: Metrics,
    /// At the threshold in use.
    pub at_threshold: Counts,
    /// At the threshold of the calibration.
    pub calibrated: Option<Counts>,
    /// Precision at recall 0.00, 0.01 ... 1.00; `None` without objects.
    pub precision_at_recall: Option<CurveRecord>,
    /// How scores spread.
    pub scores: ScoreRecord,
}

/// Precision at 101 points of recall, rounded to five digits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CurveRecord {
    /// At an overlap of 0.50.
    pub iou_50: Vec<f64>,
    /// At an overlap of 0.75.
    pub iou_75: Vec<f64>,
    /// Averaged over the overlaps 0.50 to 0.95: its mean is the AP.
    pub iou_50_95: Vec<f64>,
}

/// Detections by score in bars of equal width over `[0, 1]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScoreRecord {
    /// Those that have found an object.
    pub hits: Vec<u64>,
    /// The others.
    pub false_positives: Vec<u64>,
}

/// Where one category was taken for another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfusionRecord {
    /// The prompt that saw something.
    pub seen: String,
    /// What it is.
    pub truth: String,
    /// How often.
    pub count: u64,
}

/// The groups of a dataset.
#[must_use]
pub fn group_records(dataset: &Dataset, evaluation: &Evaluation) -> Vec<GroupRecord> {
    let of_group = |name: &str| {
        let members: Vec<&CategoryResult> = dataset
            .categories
            .iter()
            .zip(&evaluation.categories)
            .filter(|(category, _)| category.group.as_deref() == Some(name))
            .map(|(_, result)| result)
            .collect();
        GroupRecord {
            name: name.to_owned(),
            categories: members.iter().filter(|result| result.objects() > 0).count(),
            objects: members.iter().map(|result| result.objects()).sum(),
            metrics: Metrics::mean_of(members),
        }
    };
    dataset.groups().into_iter().map(of_group).collect()
}

/// One record for each category. `texts` holds what was asked for each, or nothing.
#[must_use]
pub fn prompt_records(
    dataset: &Dataset,
    evaluation: &Evaluation,
    at_threshold: &AtThresholds,
    calibrated: Option<&AtThresholds>,
    texts: &[Vec<String>],
) -> Vec<PromptRecord> {
    dataset
        .categories
        .iter()
        .zip(&evaluation.categories)
        .enumerate()
        .map(|(at, (category, result))| PromptRecord {
            name: category.name.clone(),
            category_id: category.id,
            group: category.group.clone(),
            texts: texts.get(at).cloned().unwrap_or_default(),
            objects: result.objects(),
            metrics: result.metrics(),
            at_threshold: at_threshold.categories[at].clone(),
            calibrated: calibrated.map(|calibrated| calibrated.categories[at].clone()),
            precision_at_recall: result.curves[0].as_deref().map(CurveRecord::of),
            scores: ScoreRecord::of(result),
        })
        .collect()
}

/// The most frequent confusions.
#[must_use]
pub fn confusion_records(dataset: &Dataset, at: &AtThresholds) -> Vec<ConfusionRecord> {
    let mut confusions: Vec<_> = at.confusions.iter().collect();
    // Stable: of equal counts in the order of categories.
    confusions.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    confusions
        .into_iter()
        .take(MAX_CONFUSIONS)
        .map(|((seen, truth), count)| ConfusionRecord {
            seen: dataset.categories[*seen].name.clone(),
            truth: dataset.categories[*truth].name.clone(),
            count: *count,
        })
        .collect()
}

impl CurveRecord {
    fn of(curves: &Curves) -> Self {
        let rounded =
            |curve: &[f64]| curve.iter().map(|one| (one * 1e5).round() / 1e5).collect::<Vec<_>>();
        Self {
            iou_50: rounded(&curves.precision[0]),
            iou_75: rounded(&curves.precision[5]),
            iou_50_95: rounded(&curves.mean_precision()),
        }
    }
}

impl ScoreRecord {
    fn of(result: &CategoryResult) -> Self {
        let mut record = Self { hits: vec![0; SCORE_BARS], false_positives: vec![0; SCORE_BARS] };
        for one in &result.ranking {
            // Float to integer casts saturate.
            let bar = ((one.score * SCORE_BARS as f64) as usize).min(SCORE_BARS - 1);
            match one.truth {
                Some(_) => record.hits[bar] += 1,
                None => record.false_positives[bar] += 1,
            }
        }
        record
    }
}
