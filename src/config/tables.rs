//! The table of parameters as texts for people: the default file, the README's table, help.

use std::fmt::Write as _;

use super::Config;
use super::parameters::{PARAMETERS, Parameter};

/// The default configuration as a commented parameter file: the text of `config/owlet.yaml`.
#[must_use]
pub fn default_file() -> String {
    let mut text = String::from(
        "# Every parameter of Owlet with its default, in the form of a ROS 2 parameter file.\n\
         # Keep what you change and delete the rest. Sections are chosen as in ROS 2: `/**` is\n\
         # every node, `owlet` or `/cell/owlet` one of them; what comes later wins.\n\
         # Written by `owlet config --default`; a test holds that it agrees with the program.\n\
         /**:\n  ros__parameters:\n",
    );
    let defaults = Config::default();
    for (index, parameter) in PARAMETERS.iter().enumerate() {
        if index > 0 {
            text.push('\n');
        }
        for line in wrapped(parameter.description, 92) {
            text.push_str(&format!("    # {line}\n"));
        }
        let Parameter { name, .. } = parameter;
        text.push_str(&format!(
            "    # {}: {}; changes take effect {}.\n",
            parameter.type_name(),
            parameter.range(),
            parameter.changes_text()
        ));
        match parameter.example {
            // ROS 2 refuses an empty list, whose type it cannot tell, so the line stays a comment.
            Some(example) => text.push_str(&format!("    # {name}: {example}\n")),
            None => text.push_str(&format!("    {name}: {}\n", parameter.yaml(&defaults))),
        }
    }
    text
}

/// All parameters as a table in Markdown, for the README.
#[must_use]
pub fn markdown_table() -> String {
    let defaults = Config::default();
    let mut table = String::from(
        "| parameter | type | range | default | changes | what it does |\n\
         | --- | --- | --- | --- | --- | --- |\n",
    );
    for parameter in PARAMETERS {
        // Writing to a String cannot fail.
        let _ = writeln!(
            table,
            "| `{}` | {} | {} | `{}` | {} | {} |",
            parameter.name,
            parameter.type_name(),
            parameter.range(),
            parameter.yaml(&defaults),
            parameter.changes_text(),
            parameter.description
        );
    }
    table
}

/// All parameters as plain text of at most `columns` columns, for a terminal.
#[must_use]
pub fn help_text(columns: usize) -> String {
    let defaults = Config::default();
    let mut text = String::new();
    for parameter in PARAMETERS {
        let _ = writeln!(text, "{} = {}", parameter.name, parameter.yaml(&defaults));
        let facts = format!(
            "{}: {}; changes take effect {}.",
            parameter.type_name(),
            parameter.range(),
            parameter.changes_text()
        );
        for line in [parameter.description, &facts]
            .iter()
            .flat_map(|t| wrapped(t, columns.saturating_sub(4)))
        {
            let _ = writeln!(text, "    {line}");
        }
    }
    text
}

/// `text` in lines of at most `columns` characters, longer words whole.
fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= columns => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_names_every_parameter_and_help_fits_its_columns() {
        for parameter in PARAMETERS {
            assert!(markdown_table().contains(&format!("| `{}` |", parameter.name)));
            assert!(help_text(60).contains(&format!("{} = ", parameter.name)));
        }
        let columns = markdown_table().lines().next().unwrap().matches('|').count();
        for row in markdown_table().lines() {
            assert_eq!(row.matches('|').count(), columns, "{row}");
        }
        for line in help_text(60).lines() {
            assert!(line.len() <= 60, "{line}");
        }
    }
}
