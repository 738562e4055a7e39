//! A run in numbers, for terminals and machines.

use std::collections::BTreeMap;
use std::fmt;

use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Table, Width, presets};
use serde::Serialize;

use super::format;

/// Prompts that found nothing are told in one line where there are more of them than this.
const MAX_EMPTY_ROWS: usize = 6;
/// The most names in that line.
const MAX_NAMED: usize = 20;
/// Longer names are broken in a terminal.
const MAX_NAME_COLUMNS: u16 = 48;

/// What happened in a run. Everything but `timings` is the same for the same frames.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunSummary {
    /// Frames that went through the model.
    pub frames: u64,
    /// Objects found in them.
    pub detections: u64,
    /// Frames that could not be used.
    pub skipped: u64,
    /// Versions of the prompt sets that were in use.
    pub prompt_set_versions: Vec<u64>,
    /// One entry for each prompt, in the order of the prompts.
    pub prompts: Vec<PromptSummary>,
    /// One entry for each camera, by name.
    pub cameras: Vec<CameraSummary>,
    /// Why frames were skipped.
    pub skips: Vec<SkipSummary>,
    /// What the recording itself had lost.
    pub losses: Vec<LossSummary>,
    /// Where the time went.
    pub timings: TimingSummary,
}

/// What was found for one prompt.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PromptSummary {
    /// Its name.
    pub prompt: String,
    /// Whether it is a distractor, which is never reported.
    pub negative: bool,
    /// The lowest score that is reported, in `[0, 1]`.
    pub threshold: f32,
    /// Frames in which it was found.
    pub frames: u64,
    /// How often it was found.
    pub detections: u64,
    /// The best score, in `[0, 1]`; `None` where it was never found.
    pub best_score: Option<f32>,
    /// The median score, to within 0.0005.
    pub median_score: Option<f32>,
    /// How often each of its finer labels fitted best.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub finer: BTreeMap<String, u64>,
}

/// The frames of one camera.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CameraSummary {
    /// Its topic.
    pub camera: String,
    /// Frames that went through the model.
    pub frames: u64,
    /// Earliest stamp in nanoseconds.
    pub first_stamp_ns: i64,
    /// Latest stamp in nanoseconds.
    pub last_stamp_ns: i64,
}

/// Frames that were skipped for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SkipSummary {
    /// The topic.
    pub topic: String,
    /// What was wrong with them.
    pub reason: String,
    /// How many.
    pub frames: u64,
    /// Stamp of the first of them in nanoseconds, where it is known.
    pub first_stamp_ns: Option<i64>,
}

/// A part of a recording that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LossSummary {
    /// Which part: a file, a chunk, a topic.
    pub source: String,
    /// Why.
    pub reason: String,
    /// How many messages that was, where it is known.
    pub messages: Option<u64>,
}

/// Where the time went.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct TimingSummary {
    /// From the start of the run to its end; `None` where nobody said.
    pub wall_secs: Option<f64>,
    /// Frames per second of wall time.
    pub frames_per_sec: Option<f64>,
    /// The stages that ran, in the order in which a frame passes them.
    pub stages: Vec<StageSummary>,
}

/// How long one stage took per frame. Quantiles are exact to 0.5 %.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StageSummary {
    /// Its name.
    pub stage: &'static str,
    /// Frames that passed it.
    pub frames: u64,
    /// Half of the frames took no longer.
    pub p50_ms: f64,
    /// Nine in ten frames took no longer.
    pub p90_ms: f64,
    /// The slowest frame.
    pub max_ms: f64,
}

impl fmt::Display for RunSummary {
    /// The summary for a terminal, with no trailing line break.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}, {}",
            format::counted(self.frames, "frame"),
            format::counted(self.detections, "detection")
        )?;
        if let (Some(rate), Some(wall)) = (self.timings.frames_per_sec, self.timings.wall_secs) {
            write!(f, "; {rate:.2} frames/s over {wall:.1} s")?;
        }
        write_prompts(f, &self.prompts)?;
        if !self.timings.stages.is_empty() {
            write!(f, "\n\n{}", stage_table(&self.timings.stages))?;
        }
        if self.skipped > 0 {
            write!(f, "\n\n{} skipped:", format::counted(self.skipped, "frame"))?;
            for skip in &self.skips {
                let (topic, reason) = (format::visible(&skip.topic), format::visible(&skip.reason));
                write!(f, "\n  {} on {topic}: {reason}", format::count(skip.frames))?;
            }
        }
        if !self.losses.is_empty() {
            write!(f, "\n\nThe recording is damaged:")?;
            for LossSummary { source, reason, messages } in &self.losses {
                write!(f, "\n  {}: {}", format::visible(source), format::visible(reason))?;
                if let Some(messages) = messages {
                    write!(f, " ({} lost)", format::counted(*messages, "message"))?;
                }
            }
        }
        Ok(())
    }
}

/// The prompts as a table; where many found nothing, those in one line.
fn write_prompts(f: &mut fmt::Formatter<'_>, prompts: &[PromptSummary]) -> fmt::Result {
    let (found, empty): (Vec<_>, Vec<_>) = prompts.iter().partition(|prompt| prompt.frames > 0);
    let fold = empty.len() > MAX_EMPTY_ROWS;
    let rows: Vec<_> = if fold { found } else { prompts.iter().collect() };
    if !rows.is_empty() {
        write!(f, "\n\n{}", prompt_table(&rows))?;
    }
    if fold {
        let names: Vec<_> = empty.iter().map(|prompt| format::visible(&prompt.prompt)).collect();
        let shown = names[..names.len().min(MAX_NAMED)].join(", ");
        write!(f, "\n\n{} found nothing: {shown}", format::counted(names.len() as u64, "prompt"))?;
        if names.len() > MAX_NAMED {
            write!(f, " and {} more", names.len() - MAX_NAMED)?;
        }
    }
    Ok(())
}

fn prompt_table(prompts: &[&PromptSummary]) -> Table {
    let mut table = table(&["prompt", "frames", "detections", "best", "median"]);
    if let Some(column) = table.column_mut(0) {
        column.set_constraint(ColumnConstraint::UpperBoundary(Width::Fixed(MAX_NAME_COLUMNS)));
    }
    for prompt in prompts {
        let score = |score: Option<f32>| score.map_or("-".to_owned(), format::score);
        let name = format::visible(&prompt.prompt);
        table.add_row([
            if prompt.negative { format!("{name} (distractor)") } else { name },
            format::count(prompt.frames),
            format::count(prompt.detections),
            score(prompt.best_score),
            score(prompt.median_score),
        ]);
    }
    table
}

fn stage_table(stages: &[StageSummary]) -> Table {
    let mut table = table(&["stage", "median", "90 %", "max"]);
    for stage in stages {
        table.add_row([
            stage.stage.to_owned(),
            format::millis(stage.p50_ms),
            format::millis(stage.p90_ms),
            format::millis(stage.max_ms),
        ]);
    }
    table
}

/// A table with no lines, whose first column is text and whose others are numbers.
fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(header.iter().copied());
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}
