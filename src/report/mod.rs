//! Floor 6: pages for people.
//!
//! [`ReportBuilder`] watches a run frame by frame in bounded memory and then writes one
//! self-contained HTML page (no external load, readable with scripts off, printable), and gives the
//! same facts as data ([`RunSummary`]) for the terminal and for machines. Given the same frames the
//! page is the same byte for byte, but for its section of timings. [`EvalReport`] is the page of an
//! evaluation.

mod builder;
mod eval;
mod file;
mod format;
mod histogram;
mod page;
mod pictures;
mod summary;
mod tally;
mod timeline;

use std::path::PathBuf;
use std::sync::Arc;

pub use builder::ReportBuilder;
pub use eval::{EvalPicture, EvalPictures, EvalReport, EvalReportOptions, FalseLabel};
pub use summary::{
    CameraSummary, LossSummary, PromptSummary, RunSummary, SkipSummary, StageSummary, TimingSummary,
};

use crate::tasks::ModelInfo;
use crate::types::{PromptSet, Stamp};

/// What a report says besides what the frames say.
#[derive(Clone, Debug)]
pub struct ReportOptions {
    /// Heading of the page.
    pub title: String,
    /// What ran and where.
    pub model: ModelInfo,
    /// Plain statements that a reader must not miss ("The weights are random: …").
    pub notes: Vec<String>,
    /// The prompts in use at the start; those that find nothing are shown as well.
    pub prompts: Arc<PromptSet>,
    /// What was replayed.
    pub recording: RecordingInfo,
    /// The command line, word by word.
    pub command_line: Vec<String>,
    /// The version of the program.
    pub version: String,
    /// The most pictures that are spread over the run; the best frame of each prompt (of at most as
    /// many prompts) comes on top. 0 for none.
    pub max_pictures: usize,
}

/// A recording, for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordingInfo {
    /// Its path as the user gave it.
    pub path: String,
    /// How it is stored (`mcap`, `sqlite3`).
    pub storage: String,
    /// Stamps of its first and last message.
    pub span: Option<(Stamp, Stamp)>,
    /// The topics that were used.
    pub topics: Vec<TopicInfo>,
}

/// A topic that was used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicInfo {
    /// Its name.
    pub name: String,
    /// The type of its messages (`sensor_msgs/msg/Image`).
    pub message_type: String,
    /// How many messages it has.
    pub messages: u64,
}

/// Why a report could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The file system refused.
    #[error("cannot write the report {path}: {source}")]
    Write {
        /// The file that was to be written.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}
