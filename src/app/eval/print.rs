//! The tables on the terminal.

use std::fmt::Write;

use comfy_table::Table;
use owlet::eval::{Change, Comparison, Counts, EvalRecord, Metrics, PromptRecord, rise};

use super::super::{plain_table, visible};

/// Prompts that are listed; of more of them the best and the worst halves.
const MAX_PROMPTS: usize = 24;
/// Prompts of a comparison that are listed.
const MAX_CHANGES: usize = 12;

/// All tables, each with an empty line behind it.
pub(super) fn tables(record: &EvalRecord) -> String {
    let mut text = heading(record) + "\n";
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{}\n", averages(record));
    let (prompts, hidden) = prompts(record);
    let _ = writeln!(text, "{prompts}");
    if hidden > 0 {
        let _ = writeln!(text, " {hidden} more between them; eval.json has all");
    }
    text += "\n";
    text += &counts_line("at the thresholds in use", &record.at_threshold);
    if let (Some(calibrated), Some(about)) = (&record.calibrated, &record.calibration) {
        text += &counts_line("at the chosen thresholds", calibrated);
        let _ = writeln!(
            text,
            "Thresholds were chosen on {} images with {} objects; of {} prompts {} had nothing to go by.",
            about.images,
            about.objects,
            record.prompts.len(),
            about.kept.len()
        );
    }
    text += "\n";
    if let Some(comparison) = &record.against {
        text += &compared(comparison);
    }
    text
}

fn heading(record: &EvalRecord) -> String {
    let about = &record.dataset;
    let mut text = format!(
        "{} images, {} objects of {} categories, {} detections",
        about.images,
        about.objects,
        record.prompts.iter().filter(|prompt| prompt.objects > 0).count(),
        about.detections
    );
    if let Some(secs) = record.looking_secs {
        let _ = write!(text, "; {:.2} images/s", about.images as f64 / secs.max(f64::MIN_POSITIVE));
    }
    text + "\n"
}

fn number(number: Option<f64>) -> String {
    number.map_or("-".to_owned(), |number| format!("{number:.3}"))
}

fn averages(record: &EvalRecord) -> Table {
    let names = record.overall.named().map(|(name, _)| name);
    let header: [&str; 13] = std::array::from_fn(|at| at.checked_sub(1).map_or("", |at| names[at]));
    let mut table = plain_table(header, &(1..13).collect::<Vec<_>>());
    let mut row = |name: &str, metrics: &Metrics| {
        let numbers = metrics.named().into_iter().map(|(_, value)| number(value));
        table.add_row(std::iter::once(visible(name)).chain(numbers).collect::<Vec<_>>());
    };
    row("all", &record.overall);
    for group in &record.groups {
        row(&group.name, &group.metrics);
    }
    table
}

/// Prompts by falling AP, and how many are not listed.
fn prompts(record: &EvalRecord) -> (Table, usize) {
    let header = [
        "prompt",
        "objects",
        "AP",
        "AP50",
        "threshold",
        "hits",
        "false",
        "missed",
        "precision",
        "recall",
        "F1",
    ];
    let mut table = plain_table(header, &(1..11).collect::<Vec<_>>());
    let mut sorted: Vec<&PromptRecord> = record.prompts.iter().collect();
    // Without a number comes last.
    sorted.sort_by(|a, b| b.metrics.ap.unwrap_or(-1.0).total_cmp(&a.metrics.ap.unwrap_or(-1.0)));
    let hidden = sorted.len().saturating_sub(MAX_PROMPTS);
    if hidden > 0 {
        sorted.drain(MAX_PROMPTS / 2..MAX_PROMPTS / 2 + hidden);
    }
    for prompt in sorted {
        let counts = prompt.calibrated.as_ref().unwrap_or(&prompt.at_threshold);
        table.add_row(vec![
            visible(&prompt.name),
            prompt.objects.to_string(),
            number(prompt.metrics.ap),
            number(prompt.metrics.ap50),
            counts.threshold.map_or(String::new(), |threshold| threshold.to_string()),
            counts.hits.to_string(),
            counts.false_positives.to_string(),
            counts.misses.to_string(),
            number(counts.precision),
            number(counts.recall),
            number(counts.f1),
        ]);
    }
    (table, hidden)
}

fn counts_line(what: &str, counts: &Counts) -> String {
    let because = &counts.because;
    format!(
        "All, {what}: {} hits, {} false ({} duplicate, {} of the wrong category, {} badly placed, \
         {} on nothing), {} missed; precision {}, recall {}, F1 {}\n",
        counts.hits,
        counts.false_positives,
        because.duplicate,
        because.wrong_category,
        because.badly_placed,
        because.nothing_there,
        counts.misses,
        number(counts.precision),
        number(counts.recall),
        number(counts.f1),
    )
}

fn compared(comparison: &Comparison) -> String {
    let header = [&format!("against {}", visible(&comparison.path)), "then", "now", "difference"];
    let mut table = plain_table(header, &[1, 2, 3]);
    for change in &comparison.overall {
        table.add_row(vec![
            format!("all, {}", change.number),
            number(change.before),
            number(change.now),
            difference(change.before, change.now),
        ]);
    }
    let mut rows = |changes: &[Change]| {
        for change in changes.iter().take(MAX_CHANGES) {
            table.add_row(vec![
                format!("{}, AP", visible(&change.name)),
                number(change.before.ap),
                number(change.now.ap),
                difference(change.before.ap, change.now.ap),
            ]);
        }
    };
    rows(&comparison.groups);
    rows(&comparison.prompts);
    let hidden = comparison.prompts.len().saturating_sub(MAX_CHANGES);
    let more = match hidden {
        0 => String::new(),
        hidden => format!(" {hidden} prompts with smaller differences; eval.json has all\n"),
    };
    format!("{table}\n{more}\n")
}

fn difference(before: Option<f64>, now: Option<f64>) -> String {
    match (before, now) {
        (Some(_), Some(_)) => format!("{:+.3}", rise(before, now)),
        _ => "-".to_owned(),
    }
}
