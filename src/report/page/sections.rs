//! The sections of the page, one function each.

use std::time::Duration;

use maud::{Markup, html};

use super::super::format::{self, count, counted};
use super::super::tally::PromptTally;
use super::parts::{command, fact, name, tile};
use super::{Page, charts, gallery};
use crate::types::Stamp;

/// Prompts that found nothing are folded away where there are more of them than this.
const MAX_EMPTY_ROWS: usize = 6;

/// Title, plain statements, the run at a glance, and what ran on what.
pub(super) fn header(page: &Page<'_>) -> Markup {
    let Page { options, summary, .. } = page;
    let asked: Vec<_> = summary.prompts.iter().filter(|prompt| !prompt.negative).collect();
    let seen = asked.iter().filter(|prompt| prompt.frames > 0).count();
    html! {
        header {
            h1 { (options.title) }
            @for note in &options.notes {
                p.note role="note" { (note) }
            }
            dl.tiles {
                (tile("Frames", &count(summary.frames)))
                (tile("Detections", &count(summary.detections)))
                (tile("Prompts seen", &format!("{} of {}", count(seen as u64), count(asked.len() as u64))))
                (tile("Frames skipped", &count(summary.skipped)))
            }
            div.facts {
                (model_facts(page))
                (recording_facts(page))
            }
        }
    }
}

fn model_facts(page: &Page<'_>) -> Markup {
    let model = &page.options.model;
    let (height, width) = model.input_size;
    html! {
        dl aria-label="Model" {
            (fact("Model", &name(&model.name)))
            (fact("Architecture", &html! { (model.architecture) ", " (count(model.parameters)) " parameters" }))
            (fact("Input", &html! { (width) " × " (height) " px" }))
            (fact("Runs on", &html! { (model.device) ", " (model.dtype) }))
        }
    }
}

fn recording_facts(page: &Page<'_>) -> Markup {
    let recording = &page.options.recording;
    html! {
        dl aria-label="Recording" {
            (fact("Recording", &html! { (name(&recording.path)) " (" (recording.storage) ")" }))
            @if let Some((first, last)) = recording.span {
                (fact("Recorded", &html! { (format::moment(first)) ", " (format::duration(between(first, last))) }))
            }
            @for topic in &recording.topics {
                (fact("Topic", &html! {
                    (name(&topic.name)) " (" (counted(topic.messages, "message")) ", " (topic.message_type) ")"
                }))
            }
        }
    }
}

fn between(first: Stamp, last: Stamp) -> Duration {
    Duration::from_nanos(u64::try_from(i128::from(last.0) - i128::from(first.0)).unwrap_or(0))
}

/// What each prompt found.
pub(super) fn prompts(page: &Page<'_>) -> Option<Markup> {
    let prompts: Vec<_> = page.tally.prompts.iter().enumerate().collect();
    if prompts.is_empty() {
        return Some(html! { p { "No prompt was in use." } });
    }
    let (empty, found): (Vec<_>, Vec<_>) = prompts.iter().partition(|(_, p)| p.frames == 0);
    let fold = empty.len() > MAX_EMPTY_ROWS;
    let rows = if fold { &found } else { &prompts };
    Some(html! {
        @if page.summary.frames == 0 {
            p { "No frame went through the model." }
        } @else if page.summary.detections == 0 {
            p { "Nothing reached its threshold. A lower " code { "threshold" } " shows weaker candidates." }
        }
        @if !rows.is_empty() {
            div.scroll {
                table.prompts {
                    thead { tr {
                        th scope="col" { "Prompt" }
                        th.number scope="col" { "Frames" }
                        th.number scope="col" { "Detections" }
                        th.number scope="col" { "Best" }
                        th.number scope="col" { "Median" }
                        th scope="col" { "Scores from 0 to 1" }
                        th.number scope="col" { "Threshold" }
                    } }
                    tbody {
                        @for (row, prompt) in rows { (prompt_row(page, *row, prompt)) }
                    }
                }
            }
        }
        @if fold {
            details {
                summary { (counted(empty.len() as u64, "prompt")) " found nothing" }
                ul.names {
                    @for (_, prompt) in &empty {
                        li { (name(&prompt.name)) @if prompt.negative { " (distractor)" } }
                    }
                }
            }
        }
    })
}

fn prompt_row(page: &Page<'_>, row: usize, prompt: &PromptTally) -> Markup {
    let frames = page.summary.frames;
    let score = |score: Option<f32>| score.map_or("–".to_owned(), format::score);
    let label = format!("Scores of {}", counted(prompt.detections, "detection"));
    html! {
        tr.empty[prompt.frames == 0] {
            th scope="row" {
                (name(&prompt.name))
                @if prompt.negative { " " small { "distractor" } }
                @for (label, detections) in &prompt.finer {
                    br; small { (name(label)) " " (count(*detections)) }
                }
            }
            td.number {
                (count(prompt.frames))
                @if prompt.frames > 0 { " " small { (format::percent(prompt.frames, frames)) } }
            }
            td.number { (count(prompt.detections)) }
            td.number {
                @match page.pictures.best_frame(row) {
                    Some(frame) => a href={ "#" (gallery::anchor(frame)) } { (score(prompt.best_score)) },
                    None => (score(prompt.best_score)),
                }
            }
            td.number { (score(prompt.scores.median())) }
            td {
                @if prompt.detections > 0 {
                    (charts::score_histogram(&prompt.scores, prompt.threshold, &label))
                }
            }
            td.number { (score(Some(prompt.threshold))) }
        }
    }
}

/// When each prompt was seen; left out where the frames have one and the same stamp.
pub(super) fn over_time(page: &Page<'_>) -> Option<Markup> {
    let timeline = page.tally.timeline.for_display();
    let (first, last) = page.tally.span()?;
    let seen: Vec<_> =
        page.tally.prompts.iter().enumerate().filter(|(_, prompt)| prompt.frames > 0).collect();
    if timeline.span() < 2 || seen.is_empty() {
        return None;
    }
    let label = |prompt: &PromptTally| {
        format!("Seen in {} of {}", count(prompt.frames), counted(page.summary.frames, "frame"))
    };
    Some(html! {
        p { "The share of frames in which each prompt was seen. Where the ground is missing there was no frame." }
        table.strips {
            tbody {
                @for (row, prompt) in seen {
                    tr {
                        th scope="row" title=(prompt.name) { div { (name(&prompt.name)) } }
                        td { (charts::time_strip(&timeline, row, &label(prompt))) }
                    }
                }
            }
            tfoot {
                tr {
                    td {}
                    td.axis { div {
                        span { (format::moment(first)) }
                        span { (format::since(first, last)) }
                    } }
                }
            }
        }
    })
}

/// Frames that could not be used and what the recording had lost.
pub(super) fn skipped(page: &Page<'_>) -> Option<Markup> {
    let summary = page.summary;
    if summary.skipped == 0 && summary.losses.is_empty() {
        return Some(
            html! { p { "No frame was skipped, and nothing of the recording was lost." } },
        );
    }
    Some(html! {
        @if summary.skipped > 0 {
            div.scroll { table {
                thead { tr {
                    th.number scope="col" { "Frames" }
                    th scope="col" { "Topic" }
                    th scope="col" { "Reason" }
                    th.number scope="col" { "First stamp" }
                } }
                tbody {
                    @for skip in &summary.skips { tr {
                        td.number { (count(skip.frames)) }
                        td { (name(&skip.topic)) }
                        td { (skip.reason) }
                        td.number { @if let Some(stamp) = skip.first_stamp_ns { (Stamp(stamp)) } }
                    } }
                }
            } }
        }
        @if !summary.losses.is_empty() {
            p { "Parts of the recording could not be read:" }
            ul {
                @for loss in &summary.losses {
                    li {
                        (name(&loss.source)) ": " (loss.reason)
                        @if let Some(messages) = loss.messages { " (" (counted(messages, "message")) " lost)" }
                    }
                }
            }
        }
    })
}

/// Where the time went. The one section that differs between two runs over the same frames.
pub(super) fn timings(page: &Page<'_>) -> Option<Markup> {
    let timings = &page.summary.timings;
    let slowest = timings.stages.iter().map(|stage| stage.p50_ms).fold(0.0, f64::max);
    Some(html! {
        @if let (Some(wall), Some(rate)) = (timings.wall_secs, timings.frames_per_sec) {
            p {
                (counted(page.summary.frames, "frame")) " in "
                (format::duration(Duration::from_secs_f64(wall))) ": "
                strong { (format_args!("{rate:.2}")) " frames per second" } "."
            }
        }
        @if timings.stages.is_empty() {
            p { "No stage was timed." }
        } @else {
            div.scroll { table {
                thead { tr {
                    th scope="col" { "Stage" }
                    th.number scope="col" { "Median" }
                    th.number scope="col" { "90 %" }
                    th.number scope="col" { "Slowest" }
                    th scope="col" { "Median, relative" }
                } }
                tbody {
                    @for stage in &timings.stages { tr {
                        th scope="row" { (stage.stage) }
                        td.number { (format::millis(stage.p50_ms)) }
                        td.number { (format::millis(stage.p90_ms)) }
                        td.number { (format::millis(stage.max_ms)) }
                        td { (charts::share_bar(stage.p50_ms / slowest.max(f64::MIN_POSITIVE))) }
                    } }
                }
            } }
            p.small { "Frames of one batch share a pass; each carries the time of the whole batch." }
        }
    })
}

/// The exact command and the versions.
pub(super) fn how_made(page: &Page<'_>) -> Option<Markup> {
    let versions: Vec<_> = page.summary.prompt_set_versions.iter().map(u64::to_string).collect();
    Some(html! {
        (command(&page.options.command_line))
        dl {
            (fact("Owlet", &html! { (page.options.version) }))
            @if !versions.is_empty() {
                (fact("Prompt set", &html! { "version " (versions.join(", ")) }))
            }
        }
    })
}
