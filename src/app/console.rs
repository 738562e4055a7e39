//! What a command says: results on stdout, the rest on stderr.

use std::fmt::Display;
use std::io::{ErrorKind, IsTerminal, Write};
use std::process::ExitCode;

use comfy_table::{CellAlignment, Table, presets};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget};
use owlet::config::LogLevel;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use super::{Finish, Refused};

/// How much to say on stderr, and the bars that are drawn there.
#[derive(Clone)]
pub(crate) struct Chatter {
    verbose: u8,
    quiet: bool,
    bars: MultiProgress,
}

impl Chatter {
    /// Bars are drawn on a terminal only, and not where `quiet` was asked for.
    pub(crate) fn new(verbose: u8, quiet: bool) -> Self {
        let target = match quiet {
            true => ProgressDrawTarget::hidden(),
            false => ProgressDrawTarget::stderr(),
        };
        Self { verbose, quiet, bars: MultiProgress::with_draw_target(target) }
    }

    /// `asked` is a level that was asked for in the words of ROS 2; --quiet and --verbose win.
    pub(crate) fn start_logging(&self, asked: Option<LogLevel>) {
        let level = match (self.quiet, self.verbose) {
            (true, _) => LevelFilter::WARN,
            (false, 0) => match asked {
                Some(LogLevel::Debug) => LevelFilter::DEBUG,
                Some(LogLevel::Info) | None => LevelFilter::INFO,
                Some(LogLevel::Warn) => LevelFilter::WARN,
                Some(LogLevel::Error | LogLevel::Fatal) => LevelFilter::ERROR,
            },
            (false, 1) => LevelFilter::DEBUG,
            (false, _) => LevelFilter::TRACE,
        };
        // The level given is for Owlet; what other crates say stays at warnings unless RUST_LOG
        // asks for it. r2r calls it an error that nothing is to be taken from a subscription, which
        // on DDS happens whenever a publisher leaves.
        let filter = EnvFilter::try_from_default_env()
            .unwrap_or_else(|_| EnvFilter::new(format!("warn,r2r::subscribers=off,owlet={level}")));
        let bars = self.bars.clone();
        tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(move || BetweenBars(bars.clone()))
            .with_ansi(std::io::stderr().is_terminal())
            .with_target(false)
            .without_time()
            // It would panic where stderr is closed.
            .log_internal_errors(false)
            .init();
    }

    /// Shows a bar where bars are drawn.
    pub(crate) fn show(&self, bar: ProgressBar) -> ProgressBar {
        self.bars.add(bar)
    }
}

/// Writes to stderr without tearing the bars that are drawn there.
struct BetweenBars(MultiProgress);

impl Write for BetweenBars {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.suspend(|| std::io::stderr().write(bytes))
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stderr().flush()
    }
}

/// Why a result is not on stdout.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PrintError {
    /// Whoever read it has gone, as `head` does (exit code 141).
    #[error("nobody reads stdout")]
    NobodyReads,
    /// What the system reports.
    #[error("cannot write to stdout: {0}")]
    Failed(std::io::Error),
}

/// Prints a result. Unlike `println!` it does not panic where it cannot.
pub(crate) fn print_out(text: impl Display) -> Result<(), PrintError> {
    let mut stdout = std::io::stdout().lock();
    write!(stdout, "{text}").and_then(|()| stdout.flush()).map_err(|error| match error.kind() {
        ErrorKind::BrokenPipe => PrintError::NobodyReads,
        _ => PrintError::Failed(error),
    })
}

/// Prints an error. Where stderr is closed there is nobody to tell.
pub(crate) fn print_error(error: &anyhow::Error) {
    let _ = writeln!(std::io::stderr(), "error: {}", in_words(error));
}

/// The error with its causes, without those that stand in the text already.
pub(crate) fn in_words(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text += &format!(": {cause}");
        }
    }
    text
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

/// A name from a file, for a terminal: control characters in it steer nothing.
pub(crate) fn visible(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// Ends the program with this exit code, whatever its threads are doing. Unlike `exit` it runs no
/// destructors of libraries: they take their time, and a thread that is busy in libtorch could
/// crash under them.
pub(crate) fn end_at_once(code: i32) -> ! {
    // Nothing is buffered: stdout is flushed with every result, stderr has no buffer.
    #[allow(unsafe_code, reason = "it touches no memory of ours")]
    // SAFETY: `_exit` has no requirements and does not return.
    unsafe {
        libc::_exit(code)
    }
}

/// The exit code of a command, with its error on stderr.
pub(crate) fn exit_code(result: anyhow::Result<Finish>) -> ExitCode {
    match result {
        Ok(Finish::Done) => ExitCode::SUCCESS,
        Ok(Finish::DataLost) => ExitCode::from(3),
        Ok(Finish::Interrupted) => ExitCode::from(130),
        // As a shell reports a program that was ended by SIGPIPE.
        Err(error) if matches!(error.downcast_ref(), Some(PrintError::NobodyReads)) => {
            ExitCode::from(141)
        }
        Err(error) => {
            print_error(&error);
            ExitCode::from(if error.is::<Refused>() { 2 } else { 1 })
        }
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn a_cause_that_stands_in_the_text_is_not_repeated() {
        #[derive(Debug, thiserror::Error)]
        #[error("/bag: cannot read: {source}")]
        struct WithSource {
            source: std::io::Error,
        }
        let source = std::io::Error::other("disk on fire");
        let error = anyhow::Error::new(WithSource { source }).context("cannot replay");
        assert_eq!(in_words(&error), "cannot replay: /bag: cannot read: disk on fire");
    }

    #[test]
    fn refusals_are_known_through_their_context() {
        let refused = Err::<(), _>(Refused("no".to_owned())).context("with context").unwrap_err();
        assert!(refused.is::<Refused>());
        assert_eq!(visible("a\u{1b}[31mb\n"), "a\u{fffd}[31mb\u{fffd}");
    }
}
