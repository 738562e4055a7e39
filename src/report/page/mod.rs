//! The HTML page: a list of sections, each a function from the facts to markup.
//!
//! Markup is made by `maud`, which escapes every value. Style and script are constants of this
//! crate, and the page's own content security policy allows those two texts by their hashes and
//! pictures as data, and nothing else: what a prompt or a topic is called cannot run.

mod charts;
mod gallery;
mod sections;

use std::io::{self, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};

use super::pictures::PictureKeeper;
use super::tally::Tally;
use super::{ReportOptions, RunSummary};

const STYLE: &str = include_str!("report.css");
const SCRIPT: &str = include_str!("report.js");

/// All facts that a page shows.
pub(super) struct Page<'a> {
    pub(super) options: &'a ReportOptions,
    pub(super) summary: &'a RunSummary,
    pub(super) tally: &'a Tally,
    pub(super) pictures: &'a PictureKeeper,
}

/// A section with its anchor, its heading and the function that fills it; `None` from that leaves
/// the section out.
struct Section {
    id: &'static str,
    title: &'static str,
    body: fn(&Page<'_>) -> Option<Markup>,
}

/// In the order of the page.
const SECTIONS: &[Section] = &[
    Section { id: "prompts", title: "Prompts", body: sections::prompts },
    Section { id: "time", title: "Over time", body: sections::over_time },
    Section { id: gallery::ID, title: "Pictures", body: gallery::introduction },
    Section { id: "skipped", title: "Skipped and lost", body: sections::skipped },
    Section { id: "timings", title: "Timings", body: sections::timings },
    Section { id: "made", title: "How this was made", body: sections::how_made },
];

impl Page<'_> {
    /// Writes the page piece by piece, so that no more than one picture is in memory twice.
    pub(super) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let bodies: Vec<_> = SECTIONS
            .iter()
            .filter_map(|section| (section.body)(self).map(|body| (section, body)))
            .collect();
        put(out, html! { (DOCTYPE) })?;
        writeln!(out, "\n<html lang=\"en\">")?;
        put(out, head(&self.options.title))?;
        writeln!(out, "<body>")?;
        put(out, sections::header(self))?;
        put(
            out,
            html! {
                nav aria-label="Sections" {
                    @for (section, _) in &bodies {
                        a href={ "#" (section.id) } { (section.title) }
                    }
                }
            },
        )?;
        writeln!(out, "<main>")?;
        for (section, body) in bodies {
            writeln!(out, "<section id=\"{0}\" aria-labelledby=\"{0}-title\">", section.id)?;
            put(
                out,
                html! {
                    h2 id={ (section.id) "-title" } { (section.title) }
                    (body)
                },
            )?;
            if section.id == gallery::ID {
                gallery::write(self, out)?;
            }
            writeln!(out, "</section>")?;
        }
        writeln!(out, "</main>")?;
        put(out, html! { script { (PreEscaped(SCRIPT)) } })?;
        writeln!(out, "</body>\n</html>")
    }
}

fn put(out: &mut impl Write, markup: Markup) -> io::Result<()> {
    out.write_all(markup.into_string().as_bytes())?;
    out.write_all(b"\n")
}

fn head(title: &str) -> Markup {
    let hash = |text: &str| format!("'sha256-{}'", BASE64.encode(Sha256::digest(text)));
    let policy = format!(
        "default-src 'none'; img-src data:; style-src {}; script-src {}; base-uri 'none'; \
         form-action 'none'",
        hash(STYLE),
        hash(SCRIPT)
    );
    html! {
        head {
            meta charset="utf-8";
            meta http-equiv="Content-Security-Policy" content=(policy);
            meta name="viewport" content="width=device-width, initial-scale=1";
            meta name="color-scheme" content="light dark";
            title { (title) }
            style { (PreEscaped(STYLE)) }
        }
    }
}

/// A name that a user gave: isolated, so that its writing direction cannot reorder what is around.
fn name(text: &str) -> Markup {
    html! { bdi { (text) } }
}
