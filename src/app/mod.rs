//! Wires configuration, transport and pipeline for the command line. Beside `main` the only place
//! that names `anyhow`.

pub(crate) mod args;
pub(crate) mod bank;
pub(crate) mod check;
pub(crate) mod config;
mod console;
pub(crate) mod detect;
mod encoders;
pub(crate) mod eval;
mod fingerprint;
pub(crate) mod inspect;
mod interrupt;
mod loading;
pub(crate) mod models;
mod out_folder;
mod pictures;
pub(crate) mod replay;
pub(crate) mod run;
mod running;
pub(crate) mod segment;
mod settings;
pub(crate) mod teach;
mod transports;
mod watch;

use std::path::Path;

use anyhow::Context;

pub(crate) use self::console::{Chatter, exit_code, plain_table, print_out, visible};

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

/// Writes a file in one step, so that nobody ever reads half of it.
pub(crate) fn replace_file(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(PARTIAL_SUFFIX);
    std::fs::write(&partial, content)
        .and_then(|()| std::fs::rename(&partial, path))
        .with_context(|| format!("cannot write {}", path.display()))
}

/// Ends the name of a file that [`replace_file`] is not done with.
pub(crate) const PARTIAL_SUFFIX: &str = ".partial";
