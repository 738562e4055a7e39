//! `owlet config`: the table of parameters.

use owlet::config;

use super::Finish;
use crate::ConfigArgs;

/// As wide as the help of the command line.
const HELP_COLUMNS: usize = 100;

#[expect(clippy::print_stdout, reason = "the result of the command")]
pub(crate) fn run(args: &ConfigArgs) -> anyhow::Result<Finish> {
    if args.default {
        print!("{}", config::default_file());
    } else if args.markdown {
        print!("{}", config::markdown_table());
    } else {
        print!("{}", config::help_text(HELP_COLUMNS));
    }
    Ok(Finish::Done)
}
