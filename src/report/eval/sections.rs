//! The sections of the page but for prompts and pictures, one function each.

use std::time::Duration;

use maud::{Markup, html};
use serde_json::Value;

use super::super::format::{self, count, counted};
use super::super::page::parts::{command, fact, name, tile};
use super::{EvalReport, charts};
use crate::eval::{Change, Counts, EvalRecord, Metrics, RECALLS, rise};

/// Prompts of a comparison that are not folded away.
const MAX_CHANGES: usize = 20;

/// A share with three decimals, or a dash.
pub(super) fn number(number: Option<f64>) -> String {
    number.map_or("–".to_owned(), |number| format!("{number:.3}"))
}

/// Title, plain statements, the result at a glance, and what ran on what.
pub(super) fn header(report: &EvalReport<'_>) -> Markup {
    let record = report.record;
    html! {
        header {
            h1 { (report.options.title) }
            @for note in &report.options.notes {
                p.note role="note" { (note) }
            }
            dl.tiles {
                (tile("AP", &number(record.overall.ap)))
                (tile("AP50", &number(record.overall.ap50)))
                (tile("F1 at the thresholds", &number(best_counts(record).f1)))
                (tile("Images", &count(record.dataset.images as u64)))
                (tile("Objects", &count(record.dataset.objects)))
            }
            div.facts { (detector_facts(record)) (dataset_facts(record)) }
        }
    }
}

fn best_counts(record: &EvalRecord) -> &Counts {
    record.calibrated.as_ref().unwrap_or(&record.at_threshold)
}

fn detector_facts(record: &EvalRecord) -> Markup {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let model = &record.detector["model"];
    html! {
        dl aria-label="Detector" {
            @if model.is_object() {
                (fact("Model", &name(&text(&model["name"]))))
                (fact("Runs on", &html! { (text(&model["device"])) ", " (text(&model["dtype"])) }))
                (fact("Weights", &name(&text(&record.detector["weights"]))))
                @if let Some(secs) = record.looking_secs {
                    (fact("Took", &html! { (format::duration(Duration::from_secs_f64(secs.max(0.0)))) }))
                }
            } @else {
                (fact("Results", &name(&text(&record.detector["results"]))))
            }
        }
    }
}

fn dataset_facts(record: &EvalRecord) -> Markup {
    let with_objects = record.prompts.iter().filter(|prompt| prompt.objects > 0).count();
    html! {
        dl aria-label="Dataset" {
            (fact("Dataset", &name(&record.dataset.path)))
            (fact("Categories", &html! {
                (count(record.prompts.len() as u64)) ", " (count(with_objects as u64)) " with objects"
            }))
            (fact("Detections", &html! { (count(record.dataset.detections as u64)) }))
        }
    }
}

/// The twelve numbers, over all and for each group.
pub(super) fn averages(report: &EvalReport<'_>) -> Option<Markup> {
    let record = report.record;
    let row = |title: &str, categories: usize, metrics: &Metrics| {
        html! { tr {
            th scope="row" { (name(title)) }
            td.number { (categories) }
            @for (_, value) in metrics.named() { td.number { (number(value)) } }
        } }
    };
    let with_objects = record.prompts.iter().filter(|prompt| prompt.objects > 0).count();
    Some(html! {
        p {
            "Means over categories with at least one object, by the rules of COCO: AP over overlaps (IoU) \
             from 0.50 to 0.95, small below 32² and large above 96² square pixels, AR with 1, 10 and 100 \
             detections for each image and category."
        }
        div.scroll { table {
            thead { tr {
                th scope="col" { "Group" }
                th.number scope="col" { "Categories" }
                @for (title, _) in record.overall.named() { th.number scope="col" { (title) } }
            } }
            tbody {
                (row("all", with_objects, &record.overall))
                @for group in &record.groups { (row(&group.name, group.categories, &group.metrics)) }
            }
        } }
    })
}

/// The differences to an earlier run.
pub(super) fn against(report: &EvalReport<'_>) -> Option<Markup> {
    let comparison = report.record.against.as_ref()?;
    let row = |title: &str, before: Option<f64>, now: Option<f64>| {
        let rise = rise(before, now);
        html! { tr {
            th scope="row" { (name(title)) }
            td.number { (number(before)) }
            td.number { (number(now)) }
            td.number {
                @if before.is_some() && now.is_some() {
                    span.rise[rise > 0.0] .fall[rise < 0.0] { (format_args!("{rise:+.3}")) }
                } @else { "–" }
            }
        } }
    };
    let rows = |first: &str, rows: Markup| {
        html! { div.scroll { table {
            thead { tr {
                th scope="col" { (first) }
                th.number scope="col" { "Then" }
                th.number scope="col" { "Now" }
                th.number scope="col" { "Difference" }
            } }
            tbody { (rows) }
        } } }
    };
    let changes = |changes: &[Change]| {
        html! { @for one in changes { (row(&one.name, one.before.ap, one.now.ap)) } }
    };
    let (shown, folded) = comparison.prompts.split_at(comparison.prompts.len().min(MAX_CHANGES));
    Some(html! {
        p { "Then: " (name(&comparison.path)) ", by Owlet " (comparison.owlet) ". AP where nothing else is said, the largest differences first." }
        div.columns {
            (rows("All", html! {
                @for one in &comparison.overall { (row(&one.number, one.before, one.now)) }
            }))
            @if !comparison.groups.is_empty() { (rows("Group", changes(&comparison.groups))) }
            (rows("Prompt", changes(shown)))
        }
        @if !folded.is_empty() {
            details {
                summary { (counted(folded.len() as u64, "prompt")) " with smaller differences" }
                (rows("Prompt", changes(folded)))
            }
        }
    })
}

/// The mean curves over all categories with objects.
pub(super) fn curves(report: &EvalReport<'_>) -> Option<Markup> {
    let curves: Vec<_> = report
        .record
        .prompts
        .iter()
        .filter_map(|prompt| prompt.precision_at_recall.as_ref())
        .collect();
    if curves.is_empty() {
        return None;
    }
    let mean = |of: &dyn Fn(usize) -> f64| -> Vec<f64> {
        (0..RECALLS).map(|point| of(point) / curves.len() as f64).collect()
    };
    let at = |curve: &[f64], point: usize| curve.get(point).copied().unwrap_or(0.0);
    let overall = &report.record.overall;
    Some(html! {
        p { "Mean over the categories with objects; the mean height of a curve is its AP." }
        (charts::large_curves(&[
            ("first", format!("overlap 0.50, AP {}", number(overall.ap50)),
                mean(&|point| curves.iter().map(|curve| at(&curve.iou_50, point)).sum())),
            ("second", format!("overlap 0.75, AP {}", number(overall.ap75)),
                mean(&|point| curves.iter().map(|curve| at(&curve.iou_75, point)).sum())),
            ("third", format!("overlaps 0.50 to 0.95, AP {}", number(overall.ap)),
                mean(&|point| curves.iter().map(|curve| at(&curve.iou_50_95, point)).sum())),
        ]))
    })
}

/// Hits, misses, false detections by reason, and confusions.
pub(super) fn false_detections(report: &EvalReport<'_>) -> Option<Markup> {
    let record = report.record;
    let row = |title: &str, counts: &Counts| {
        html! { tr {
            th scope="row" { (title) }
            @for number in [counts.hits, counts.misses, counts.false_positives, counts.because.duplicate,
                counts.because.wrong_category, counts.because.badly_placed, counts.because.nothing_there]
            { td.number { (count(number)) } }
            @for share in [counts.precision, counts.recall, counts.f1] { td.number { (number(share)) } }
        } }
    };
    Some(html! {
        p {
            "Counted at an overlap (IoU) of 0.5. A duplicate is on an object that a better detection has \
             found; one of the wrong category is on an object of another one; a badly placed one overlaps \
             an object by 0.1 to 0.5."
        }
        div.scroll { table {
            thead { tr {
                th scope="col" { "" }
                @for title in ["Hits", "Missed", "False", "Duplicate", "Wrong category", "Badly placed",
                    "On nothing", "Precision", "Recall", "F1"]
                { th.number scope="col" { (title) } }
            } }
            tbody {
                (row("At the thresholds in use", &record.at_threshold))
                @if let Some(calibrated) = &record.calibrated { (row("At the chosen thresholds", calibrated)) }
            }
        } }
        @if !record.confusions.is_empty() {
            details {
                summary { "What was taken for what" }
                div.scroll { table {
                    thead { tr {
                        th scope="col" { "Seen as" }
                        th scope="col" { "Is" }
                        th.number scope="col" { "Times" }
                    } }
                    tbody { @for one in &record.confusions { tr {
                        td { (name(&one.seen)) }
                        td { (name(&one.truth)) }
                        td.number { (count(one.count)) }
                    } } }
                } }
            }
        }
    })
}

/// What thresholds were chosen on, and which were kept.
pub(super) fn thresholds(report: &EvalReport<'_>) -> Option<Markup> {
    let about = report.record.calibration.as_ref()?;
    Some(html! {
        p {
            "The threshold of each prompt has the best F1 on "
            (counted(about.images as u64, "image")) " with " (counted(about.objects, "object"))
            @match about.every {
                Some(every) => { ": one of every " (every) " of the dataset, set aside and not evaluated." },
                None => { " of " (name(&about.path)) "." },
            }
        }
        @if !about.kept.is_empty() {
            details open[about.kept.len() <= 6] {
                summary { (counted(about.kept.len() as u64, "threshold")) " kept, with nothing to go by" }
                ul { @for kept in &about.kept { li { (name(&kept.prompt)) ": " (kept.reason) } } }
            }
        }
    })
}

/// Entries that could not be used.
pub(super) fn skipped(report: &EvalReport<'_>) -> Markup {
    let remarks = &report.record.remarks;
    if remarks.is_empty() {
        return html! { p { "Nothing was skipped, and no image was left out." } };
    }
    html! {
        div.scroll { table {
            thead { tr {
                th.number scope="col" { "Entries" }
                th scope="col" { "What" }
                th scope="col" { "The first" }
            } }
            tbody { @for remark in remarks { tr {
                td.number { (count(remark.count)) }
                td { (remark.kind.text()) }
                td { @for first in &remark.first { div { (name(first)) } } }
            } } }
        } }
    }
}

/// The exact command and the versions.
pub(super) fn how_made(report: &EvalReport<'_>) -> Markup {
    let record = report.record;
    html! {
        (command(&report.options.command_line))
        dl {
            (fact("Owlet", &html! { (record.owlet) }))
            (fact("Dataset", &html! { (record.dataset.fingerprint) }))
        }
    }
}
