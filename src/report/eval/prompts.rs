//! One row for each prompt.

use maud::{Markup, html};

use super::super::format::{self, count};
use super::super::page::parts::name;
use super::sections::number;
use super::{EvalReport, charts};
use crate::eval::PromptRecord;

pub(super) fn table(report: &EvalReport<'_>) -> Option<Markup> {
    let mut prompts: Vec<&PromptRecord> = report.record.prompts.iter().collect();
    // Without a number comes last.
    prompts.sort_by(|a, b| b.metrics.ap.unwrap_or(-1.0).total_cmp(&a.metrics.ap.unwrap_or(-1.0)));
    let has_groups = !report.record.groups.is_empty();
    let chosen = report.record.calibration.is_some();
    Some(html! {
        p {
            "Sorted by AP. Curve: precision over recall at an overlap of 0.5. Scores from 0 to 1: hits \
             above the line, false ones below it, each filled by its highest bar. Precision, recall and \
             F1 are those at the threshold"
            @if chosen { " that was chosen" }
            "."
        }
        div.scroll { table.prompts-eval {
            thead { tr {
                th scope="col" { "Prompt" }
                @if has_groups { th scope="col" { "Group" } }
                th.number scope="col" { "Objects" }
                th.number scope="col" { "AP" }
                th.number scope="col" { "AP50" }
                th.number scope="col" { "AR 100" }
                th scope="col" { "Curve" }
                th scope="col" { "Scores" }
                th.number scope="col" { "Threshold" }
                th.number scope="col" { "Precision" }
                th.number scope="col" { "Recall" }
                th.number scope="col" { "F1" }
            } }
            tbody { @for prompt in prompts { (row(prompt, has_groups)) } }
        } }
    })
}

fn row(prompt: &PromptRecord, has_groups: bool) -> Markup {
    let PromptRecord { metrics, objects, .. } = prompt;
    let counts = prompt.calibrated.as_ref().unwrap_or(&prompt.at_threshold);
    let seen: u64 = prompt.scores.hits.iter().chain(&prompt.scores.false_positives).sum();
    html! {
        tr.empty[*objects == 0] {
            th scope="row" title=[is_worth_telling(prompt).then(|| prompt.texts.join("; "))] {
                (name(&prompt.name))
            }
            @if has_groups { td { (name(prompt.group.as_deref().unwrap_or(""))) } }
            td.number { (count(*objects)) }
            td.number { (number(metrics.ap)) }
            td.number { (number(metrics.ap50)) }
            td.number { (number(metrics.ar100)) }
            td {
                @if let Some(curve) = &prompt.precision_at_recall {
                    (charts::small_curve(&curve.iou_50, &format!("Precision over recall of {}", prompt.name)))
                }
            }
            td {
                @if seen > 0 {
                    (charts::scores(&prompt.scores, counts.threshold, &format!("Scores of {}", format::counted(seen, "detection"))))
                }
            }
            td.number { (counts.threshold.map_or(String::new(), |threshold| threshold.to_string())) }
            td.number { (number(counts.precision)) }
            td.number { (number(counts.recall)) }
            td.number { (number(counts.f1)) }
        }
    }
}

/// Texts that are only the name again are not.
fn is_worth_telling(prompt: &PromptRecord) -> bool {
    prompt.texts.iter().any(|text| *text != prompt.name)
}
