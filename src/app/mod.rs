//! Wires configuration, transport and pipeline for the command line. Beside `main` the only place
//! that names `anyhow`.

pub(crate) mod check;
pub(crate) mod config;
pub(crate) mod detect;
pub(crate) mod inspect;
mod interrupt;
pub(crate) mod models;
pub(crate) mod replay;
mod settings;

use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use comfy_table::{CellAlignment, Table, presets};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// How a command that did its work ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finish {
    /// All of it.
    Done,
    /// Something was lost on the way, and was reported.
    DataLost,
    /// Ctrl-C; what was done is kept.
    Interrupted,
}

/// The command line, the configuration or the prompts were refused (exit code 2).
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Refused(pub String);

/// How much to say on stderr.
#[derive(Clone, Copy)]
pub(crate) struct Chatter {
    pub verbose: u8,
    pub quiet: bool,
}

impl Chatter {
    pub(crate) fn start_logging(self) {
        let level = match (self.quiet, self.verbose) {
            (true, _) => LevelFilter::WARN,
            (false, 0) => LevelFilter::INFO,
            (false, 1) => LevelFilter::DEBUG,
            (false, _) => LevelFilter::TRACE,
        };
        // The level given is for Owlet; what other crates say stays at warnings unless RUST_LOG
        // asks for it.
        let filter = EnvFilter::try_from_default_env()
            .unwrap_or_else(|_| EnvFilter::new(format!("warn,owlet={level}")));
        tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(std::io::stderr)
            .with_ansi(std::io::stderr().is_terminal())
            .with_target(false)
            .without_time()
            .init();
    }

    /// Whether a progress bar may be drawn.
    pub(crate) fn progress(self) -> bool {
        !self.quiet && std::io::stderr().is_terminal()
    }
}

/// A table for a terminal: a header, no lines, numbers of the columns in `right` to the right.
pub(crate) fn plain_table<const N: usize>(header: [&str; N], right: &[usize]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header);
    for column in right {
        if let Some(numbers) = table.column_mut(*column) {
            numbers.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// Writes a file in one step, so that nobody ever reads half of it.
pub(crate) fn replace_file(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    std::fs::write(&partial, content)
        .and_then(|()| std::fs::rename(&partial, path))
        .with_context(|| format!("cannot write {}", path.display()))
}

/// The exit code of a command, with its error on stderr.
pub(crate) fn exit_code(result: anyhow::Result<Finish>) -> ExitCode {
    match result {
        Ok(Finish::Done) => ExitCode::SUCCESS,
        Ok(Finish::DataLost) => ExitCode::from(3),
        Ok(Finish::Interrupted) => ExitCode::from(130),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(if error.is::<Refused>() { 2 } else { 1 })
        }
    }
}
