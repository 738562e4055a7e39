//! The HTML page: a list of sections, each a function from the facts to markup.

mod charts;
mod gallery;
pub(super) mod parts;
mod sections;

use std::io::{self, Write};

use maud::Markup;

use self::parts::{Part, Rest, write_document};
use super::pictures::PictureKeeper;
use super::tally::Tally;
use super::{ReportOptions, RunSummary};

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
    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let pictures = |out: &mut dyn Write| gallery::write(self, out);
        let sections = SECTIONS.iter().filter_map(|section| {
            Some(Part {
                id: section.id,
                title: section.title,
                body: (section.body)(self)?,
                rest: (section.id == gallery::ID).then_some(&pictures as &Rest<'_>),
            })
        });
        write_document(out, &self.options.title, sections::header(self), sections.collect())
    }
}
