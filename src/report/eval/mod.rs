//! The page of an evaluation.

mod charts;
mod pictures;
mod prompts;
mod sections;

use std::path::Path;

use super::ReportError;
use super::file::write_in_one_step;
use super::page::parts::{Part, write_document};
use crate::eval::EvalRecord;

/// What the page says besides the numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EvalReportOptions {
    /// Heading of the page.
    pub title: String,
    /// Plain statements that a reader must not miss ("The weights are random: …").
    pub notes: Vec<String>,
    /// The command line, word by word.
    pub command_line: Vec<String>,
}

/// The pictures that went best and worst, each kind in its order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EvalPictures {
    /// Highest F1 first.
    pub best: Vec<EvalPicture>,
    /// Lowest F1 first.
    pub worst: Vec<EvalPicture>,
    /// Pictures that were wanted and could not be drawn.
    pub not_drawn: usize,
}

/// A picture with what is there and what was found drawn in.
#[derive(Clone, Debug, PartialEq)]
pub struct EvalPicture {
    /// The id of its image, unique on the page.
    pub id: i64,
    /// Its name in the dataset.
    pub file_name: String,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// The picture.
    pub jpeg: Vec<u8>,
    /// Detections that are right: prompt and score.
    pub hits: Vec<(String, f32)>,
    /// Detections that are not.
    pub false_positives: Vec<FalseLabel>,
    /// The prompts of objects that were not found.
    pub misses: Vec<String>,
}

/// A detection that is not right.
#[derive(Clone, Debug, PartialEq)]
pub struct FalseLabel {
    /// Its prompt.
    pub name: String,
    /// Its score.
    pub score: f32,
    /// Why, in few words ("nothing there").
    pub reason: String,
}

/// The page of an evaluation.
#[derive(Clone, Debug)]
pub struct EvalReport<'a> {
    options: EvalReportOptions,
    record: &'a EvalRecord,
    pictures: EvalPictures,
}

impl<'a> EvalReport<'a> {
    /// A page of these numbers and pictures.
    #[must_use]
    pub fn new(options: EvalReportOptions, record: &'a EvalRecord, pictures: EvalPictures) -> Self {
        Self { options, record, pictures }
    }

    /// Writes the page, replacing a file that is there in one step.
    ///
    /// # Errors
    /// The folder is missing or full, or may not be written to.
    pub fn write(&self, path: &Path) -> Result<(), ReportError> {
        let bodies = [
            ("averages", "Averages", sections::averages(self)),
            ("against", "Against an earlier run", sections::against(self)),
            ("curves", "Precision and recall", sections::curves(self)),
            ("prompts", "Prompts", prompts::table(self)),
            ("false", "What is false", sections::false_detections(self)),
            ("thresholds", "Thresholds", sections::thresholds(self)),
            ("best", "Best pictures", pictures::best(self)),
            ("worst", "Worst pictures", pictures::worst(self)),
            ("skipped", "Skipped and left out", Some(sections::skipped(self))),
            ("made", "How this was made", Some(sections::how_made(self))),
        ];
        let parts: Vec<Part<'_>> = bodies
            .into_iter()
            .filter_map(|(id, title, body)| Some(Part { id, title, body: body?, rest: None }))
            .collect();
        let header = sections::header(self);
        write_in_one_step(path, |out| write_document(out, &self.options.title, header, parts))
    }
}
