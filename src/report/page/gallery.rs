//! Overlay pictures with captions. A click enlarges one by its anchor alone, with no script.

use std::io::{self, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use maud::{Markup, html};

use super::super::format;
use super::super::pictures::Picture;
use super::Page;
use super::parts::{Drawn, figure_of, name, put};
use crate::types::Explanation;

pub(super) const ID: &str = "pictures";

/// The anchor of the enlarged picture of a frame.
pub(super) fn anchor(frame: u64) -> String {
    format!("picture-{frame}")
}

/// What stands above the pictures; `None` where there are none to speak of.
pub(super) fn introduction(page: &Page<'_>) -> Option<Markup> {
    let (kept, not_drawn) = (page.pictures.len() as u64, page.pictures.not_drawn);
    if kept == 0 && not_drawn == 0 {
        return None;
    }
    Some(html! {
        p {
            (format::count(kept)) " of " (format::counted(page.summary.frames, "frame"))
            ": spread evenly over the run, and the best frame of each prompt. "
            span.screen { "Click a picture to enlarge it." }
        }
        @if not_drawn > 0 {
            p.note { (format::counted(not_drawn, "picture")) " could not be drawn." }
        }
    })
}

/// Writes all pictures, one after the other.
pub(super) fn write(page: &Page<'_>, out: &mut dyn Write) -> io::Result<()> {
    if page.pictures.len() == 0 {
        return Ok(());
    }
    writeln!(out, "<ul class=\"pictures\">")?;
    for (frame, picture, best_of) in page.pictures.iter() {
        put(out, figure(page, frame, picture, &best_of))?;
    }
    writeln!(out, "</ul>")
}

fn figure(page: &Page<'_>, frame: u64, picture: &Picture, best_of: &[usize]) -> Markup {
    let start = page.tally.span().map_or(picture.stamp, |(first, _)| first);
    let Picture { camera, stamp, width, height, detections, more_detections, .. } = picture;
    let alt = format!("Frame {} of {camera} with {}", frame + 1, found(picture));
    let caption = html! {
        p.when {
            strong { (format::since(start, *stamp)) } " "
            span { (name(camera)) } " "
            span.stamp title="Stamp of the frame in seconds" { (stamp) }
        }
        @if detections.is_empty() {
            p.nothing { "nothing found" }
        } @else {
            ul.found {
                @for (prompt, scores) in detections {
                    li {
                        (name(prompt))
                        @for score in scores {
                            " " span.score { (format::score(*score)) }
                        }
                    }
                }
                @if *more_detections > 0 {
                    li { "and " (format::count(*more_detections as u64)) " more" }
                }
            }
        }
        @for (prompt, score, why) in &picture.explained {
            (explanation(prompt, *score, why))
        }
        @if let Some(map) = &picture.from_above {
            img src={ "data:image/jpeg;base64," (BASE64.encode(&map.jpeg)) }
                alt="The scene from above: heights, and what was found"
                width=(map.width) height=(map.height);
        }
        @if !best_of.is_empty() {
            p.best {
                "best frame of "
                @for (index, prompt) in best_of.iter().enumerate() {
                    @if index > 0 { ", " }
                    (name(&page.tally.prompts[*prompt].name))
                }
            }
        }
    };
    let anchors = (anchor(frame), format!("thumb-{frame}"));
    figure_of(
        &anchors,
        &Drawn { jpeg: &picture.jpeg, width: *width, height: *height, alt: &alt },
        &caption,
    )
}

/// The pairs that spoke most for a detection, with their parts of its score.
fn explanation(prompt: &str, score: f32, why: &Explanation) -> Markup {
    let more = why.pairs.saturating_sub(why.evidence.len()) as u64;
    html! {
        div.why {
            p { (name(prompt)) " " span.score { (format::score(score)) } ", since it looks like" }
            ul {
                @for one in &why.evidence {
                    li title={ "pair " (one.weights.pair) ", " (one.source) } {
                        @if let Some(jpeg) = &one.thumbnail {
                            img src={ "data:image/jpeg;base64," (BASE64.encode(jpeg)) } alt="";
                        }
                        span { (one.caption) }
                        span.score { (format::share(one.weights.share)) }
                    }
                }
            }
            @if more > 0 {
                p { "and " (format::counted(more, "more pair")) }
            }
        }
    }
}

/// What a picture shows, for those who cannot see it.
fn found(picture: &Picture) -> String {
    let named: usize = picture.detections.iter().map(|(_, scores)| scores.len()).sum();
    let total = (named + picture.more_detections) as u64;
    match picture.detections.first() {
        Some((prompt, scores)) => {
            let best = scores.first().copied().map_or(String::new(), format::score);
            format!("{}, best {prompt} {best}", format::counted(total, "detection"))
        }
        None => "no detection".to_owned(),
    }
}
