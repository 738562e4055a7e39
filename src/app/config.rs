//! `owlet config`: the table of parameters.

use owlet::config;

use super::{Finish, print_out};
use crate::app::args::ConfigArgs;

/// As wide as the help of the command line.
const HELP_COLUMNS: usize = 100;

pub(crate) fn run(args: &ConfigArgs) -> anyhow::Result<Finish> {
    print_out(if args.default {
        config::default_file()
    } else if args.markdown {
        config::markdown_table()
    } else {
        config::help_text(HELP_COLUMNS)
    })?;
    Ok(Finish::Done)
}
