//! The pictures that went best and worst.

use maud::{Markup, html};

use super::super::format::{self, counted};
use super::super::page::parts::{Drawn, figure_of, name};
use super::{EvalPicture, EvalReport};

/// Labels of one kind that a caption names; more are counted.
const MAX_CAPTIONED: usize = 8;

pub(super) fn best(report: &EvalReport<'_>) -> Option<Markup> {
    gallery(
        &report.pictures.best,
        "best",
        html! {
            p { "The images with the highest F1, those with most hits first. True boxes are dashed and white; \
                 what was missed is named in white. " span.screen { "Click a picture to enlarge it." } }
        },
    )
}

pub(super) fn worst(report: &EvalReport<'_>) -> Option<Markup> {
    let not_drawn = report.pictures.not_drawn as u64;
    let introduction = html! {
        p { "The images with the lowest F1, those with most errors first." }
        @if not_drawn > 0 { p.note { (counted(not_drawn, "picture")) " could not be drawn." } }
    };
    match report.pictures.worst.is_empty() && not_drawn > 0 {
        true => Some(introduction),
        false => gallery(&report.pictures.worst, "worst", introduction),
    }
}

fn gallery(pictures: &[EvalPicture], kind: &str, introduction: Markup) -> Option<Markup> {
    (!pictures.is_empty()).then(|| {
        html! {
            (introduction)
            ul.pictures { @for picture in pictures { (figure(picture, kind)) } }
        }
    })
}

fn figure(picture: &EvalPicture, kind: &str) -> Markup {
    let EvalPicture { id, file_name, width, height, jpeg, hits, false_positives, misses } = picture;
    let facts = format!(
        "{}, {} false, {} missed",
        counted(hits.len() as u64, "hit"),
        false_positives.len(),
        misses.len()
    );
    let caption = html! {
        p.when { strong { (facts) } " " span.stamp { (name(file_name)) } }
        @if !false_positives.is_empty() {
            ul.found {
                @for label in false_positives.iter().take(MAX_CAPTIONED) {
                    li { (name(&label.name)) " " span.score { (format::score(label.score)) ", " (label.reason) } }
                }
                (more(false_positives.len()))
            }
        }
        @if !misses.is_empty() {
            ul.found {
                @for missed in misses.iter().take(MAX_CAPTIONED) {
                    li { (name(missed)) " " span.score { "missed" } }
                }
                (more(misses.len()))
            }
        }
    };
    let alt = format!("{file_name}: {facts}");
    let anchors = (format!("{kind}-{id}"), format!("thumb-{kind}-{id}"));
    figure_of(&anchors, &Drawn { jpeg, width: *width, height: *height, alt: &alt }, &caption)
}

fn more(labels: usize) -> Markup {
    html! {
        @if let Some(more) = labels.checked_sub(MAX_CAPTIONED) && more > 0 {
            li { "and " (format::count(more as u64)) " more" }
        }
    }
}
