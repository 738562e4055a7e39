//! Floor 5: how good detections are. Takes data, gives numbers; knows no model and no file but
//! those of its formats.
//!
//! ```text
//! annotations.json ──> Dataset ──┐
//!                                ├──> Evaluation ──> Metrics, Curves   (COCO: AP, AR)
//! detections ──> Found ──────────┘        │
//!                                         ├──> AtThresholds            (hits, misses, reasons)
//!                                         └──> Calibrated              (threshold of best F1)
//! ```
//!
//! The rules are those of COCO for boxes and masks, and the numbers equal those of pycocotools on the
//! same files; a test runs both. All arithmetic is f64, as there.

mod boxes;
mod calibrate;
mod compare;
mod counts;
mod curves;
mod dataset;
mod evaluation;
mod json;
mod masks;
mod matching;
mod metrics;
mod prompts;
mod record;
mod remarks;
mod results;
mod stored;

pub use boxes::{CocoBox, decimal};
pub use calibrate::{Calibrated, best_threshold};
pub use compare::{Change, CompareError, Comparison, NumberChange, rise};
pub use counts::{AtThresholds, Counts, FalseCounts, FalseReason, HIT_IOU, ImageView, TOUCH_IOU};
pub use curves::{Curves, RECALL_LIMITS, RECALLS};
pub use dataset::{Category, Dataset, DatasetImage, Part};
pub use evaluation::{CategoryResult, Evaluation, Ranked};
pub use json::DatasetError;
pub use masks::{
    BOUNDARY_SHARE, MaskNumbers, MaskPromptRecord, MaskRecord, boundary_iou, measure_masks,
};
pub use matching::{AREA_RANGES_PX, AREAS, Found, IOU_STEPS, MAX_PER_IMAGE, Truth, iou_thresholds};
pub use metrics::Metrics;
pub use prompts::{PLACE_OF_NAME, prompts_for_categories, prompts_of_categories};
pub use record::{
    CalibrationRecord, ConfusionRecord, CurveRecord, DatasetRecord, EvalRecord, FORMAT,
    GroupRecord, KeptRecord, PromptRecord, SCORE_BARS, ScoreRecord, confusion_records,
    group_records, prompt_records,
};
pub use remarks::{Remark, RemarkKind, Remarks};
pub use results::{read_results, results_text};
pub use stored::StoredMask;
