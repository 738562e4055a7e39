//! What is wrong with a configuration: every problem, not only the first.

use std::fmt;
use std::sync::Arc;

/// More than these say that the file is not a configuration at all.
const MAX_SHOWN: usize = 100;

/// One thing that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file, or `command line`; empty for a message, of which there is no other.
    pub source: Arc<str>,
    /// The line in that file, from 1, where it is known.
    pub line: Option<u64>,
    /// The way to the value (`/**.ros__parameters.threshold`); empty where the whole file is meant.
    pub path: String,
    /// What would have been right.
    pub expected: String,
    /// What stands there.
    pub found: String,
    /// How it may have been meant.
    pub hint: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { source, line, path, expected, found, hint } = self;
        match (source.as_ref(), line) {
            ("", None) => {}
            ("", Some(line)) => write!(f, "line {line}: ")?,
            (source, None) => write!(f, "{source}: ")?,
            (source, Some(line)) => write!(f, "{source}:{line}: ")?,
        }
        if !path.is_empty() {
            write!(f, "{path}: ")?;
        }
        write!(f, "expected {expected}, found {found}")?;
        match hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

/// A configuration that was refused, with all reasons.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    /// At least one; in the order of the files and of their lines.
    pub problems: Vec<Problem>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.problems.len();
        write!(
            f,
            "{count} {} with the configuration:",
            if count == 1 { "problem" } else { "problems" }
        )?;
        for problem in self.problems.iter().take(MAX_SHOWN) {
            write!(f, "\n  {problem}")?;
        }
        match count.checked_sub(MAX_SHOWN) {
            None | Some(0) => Ok(()),
            Some(more) => write!(f, "\n  and {more} more"),
        }
    }
}

/// Collects the problems of one source.
#[derive(Debug)]
pub(super) struct Problems {
    source: Arc<str>,
    found: Vec<Problem>,
}

impl Problems {
    pub(super) fn of(source: impl Into<Arc<str>>) -> Self {
        Self { source: source.into(), found: Vec::new() }
    }

    pub(super) fn add(
        &mut self,
        path: &str,
        line: Option<u64>,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) {
        self.found.push(Problem {
            source: Arc::clone(&self.source),
            line,
            path: path.to_owned(),
            expected: expected.into(),
            found: found.into(),
            hint: None,
        });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// Adds a hint to the problem that was added last.
    pub(super) fn hint(&mut self, hint: impl Into<String>) {
        if let Some(last) = self.found.last_mut() {
            last.hint = Some(hint.into());
        }
    }

    /// A key that nobody knows, with the known key that is nearest to it.
    pub(super) fn unknown_key(&mut self, path: &str, line: Option<u64>, key: &str, known: &[&str]) {
        self.add(path, line, format!("one of {}", known.join(", ")), format!("the key {key:?}"));
        if let Some(nearest) = nearest(key, known) {
            self.hint(format!("did you mean {nearest:?}?"));
        }
    }

    /// An argument of a command line that nobody knows.
    pub(super) fn unknown_argument(&mut self, argument: &str, known: &[&str]) {
        self.add(argument, None, "an argument of ROS 2", "none of that name");
        if let Some(nearest) = nearest(argument, known).filter(|_| argument.starts_with('-')) {
            self.hint(format!("did you mean {nearest:?}?"));
        }
    }

    /// A key that stands twice in one map.
    pub(super) fn repeated_key(&mut self, path: &str, line: u64, first_line: u64) {
        let found = format!("it again (first on line {first_line})");
        self.add(path, Some(line), "each key once", found);
    }

    /// Takes over what was found in a value that is itself a document, under the way to the value.
    pub(super) fn absorb(&mut self, path: &str, line: Option<u64>, inner: Self) {
        for mut problem in inner.into_vec() {
            problem.path = match (path, problem.path.as_str()) {
                (path, "") => path.to_owned(),
                ("", _) => problem.path,
                (path, inner) => format!("{path}: {inner}"),
            };
            problem.source = Arc::clone(&self.source);
            problem.line = line;
            self.found.push(problem);
        }
    }

    /// Forgets the lines, of a document that has only one.
    pub(super) fn forget_lines(&mut self) {
        for problem in &mut self.found {
            problem.line = None;
        }
    }

    /// All problems, by line; those of the whole file first.
    pub(super) fn into_vec(mut self) -> Vec<Problem> {
        self.found.sort_by_key(|problem| problem.line);
        self.found
    }
}

/// The known key that a typing slip away from `key`, if one is.
pub(super) fn nearest<'a>(key: &str, known: &[&'a str]) -> Option<&'a str> {
    let distance = |candidate: &str| strsim::damerau_levenshtein(&key.to_lowercase(), candidate);
    known
        .iter()
        .map(|candidate| (distance(candidate), *candidate))
        .filter(|(distance, candidate)| *distance <= 1.max(candidate.len() / 3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_recognised_and_strangers_are_not() {
        let known = ["threshold", "nms_iou", "max_batch"];
        assert_eq!(nearest("treshold", &known), Some("threshold"));
        assert_eq!(nearest("Threshold", &known), Some("threshold"));
        assert_eq!(nearest("max_bacth", &known), Some("max_batch"));
        assert_eq!(nearest("colour", &known), None);
        assert_eq!(nearest("", &known), None);
    }

    #[test]
    fn a_problem_is_one_line_that_can_be_clicked() {
        let mut problems = Problems::of("owlet.yaml");
        problems.unknown_key("/**.ros__parameters.treshold", Some(3), "treshold", &["threshold"]);
        let error = ConfigError { problems: problems.into_vec() };
        assert_eq!(
            error.to_string(),
            "1 problem with the configuration:\n  owlet.yaml:3: /**.ros__parameters.treshold: \
             expected one of threshold, found the key \"treshold\" (did you mean \"threshold\"?)"
        );
    }
}
