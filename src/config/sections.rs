//! Which parts of a ROS 2 parameter file are meant for one node.
//!
//! As in rclcpp (`rclcpp/src/rclcpp/parameter_map.cpp`): every section whose name matches the
//! node's fully qualified name applies, in the order of the file, and what comes later wins. In a
//! name `*` stands for one token and `**` for any number of them; a name with no leading slash is
//! taken from the root; namespaces may be nested as maps.

use std::collections::HashMap;
use std::collections::hash_map::Entry as MapEntry;

use super::problem::Problems;
use super::yaml::{Entry, Node, Value};

/// The key under which the parameters of a node stand.
pub(super) const PARAMETERS_KEY: &str = "ros__parameters";

/// One parameter of the node, not yet checked.
pub(super) struct Setting<'a> {
    /// Name with the names of the maps above it, joined by dots, as in ROS.
    pub(super) name: String,
    /// The way to it in the file.
    pub(super) path: String,
    /// `None` where it did not come from a file.
    pub(super) key_line: Option<u64>,
    pub(super) node: &'a Node,
}

/// The part of a file that is meant for one node.
pub(super) struct Chosen<'a> {
    /// In the order in which they apply.
    pub(super) settings: Vec<Setting<'a>>,
    /// Where there are sections and none is meant for the node: their names, in words.
    pub(super) only_others: Option<String>,
}

/// All settings in `root` that are meant for the node.
pub(super) fn settings_for<'a>(
    node_name: &str,
    root: &'a Node,
    problems: &mut Problems,
) -> Chosen<'a> {
    let mut walk = Walk { node_name, problems, settings: Vec::new(), sections: Vec::new() };
    let Value::Map(entries) = &root.value else {
        walk.problems.add("", Some(root.line), "a map of node names", root.value.to_string());
        return Chosen { settings: Vec::new(), only_others: None };
    };
    walk.namespace("", "", entries);
    let Walk { settings, sections, .. } = walk;
    let only_others = (!sections.is_empty()
        && !sections.iter().any(|name| matches(name, node_name)))
    .then(|| format!("sections for {} only", sections.join(", ")));
    Chosen { settings, only_others }
}

struct Walk<'a, 'p> {
    node_name: &'p str,
    problems: &'p mut Problems,
    settings: Vec<Setting<'a>>,
    sections: Vec<String>,
}

impl<'a> Walk<'a, '_> {
    fn namespace(&mut self, name: &str, path: &str, entries: &'a [Entry]) {
        self.repeated_keys(path, entries);
        for entry in entries {
            let name = format!("{name}/{}", entry.key.trim_matches('/'));
            let path = join(path, &entry.key);
            match &entry.node.value {
                Value::Map(inner) if inner.iter().any(|entry| entry.key == PARAMETERS_KEY) => {
                    self.section(&name, &path, inner);
                }
                Value::Map(inner) if !inner.is_empty() => self.namespace(&name, &path, inner),
                other => {
                    let expected = format!("a map with `{PARAMETERS_KEY}`");
                    self.problems.add(&path, Some(entry.key_line), expected, other.to_string());
                    self.problems.hint("parameters stand under `/**:` and `ros__parameters:`");
                }
            }
        }
    }

    fn section(&mut self, name: &str, path: &str, entries: &'a [Entry]) {
        self.sections.push(name.to_owned());
        if !matches(name, self.node_name) {
            // Another node's parameters are none of our business.
            return;
        }
        self.repeated_keys(path, entries);
        for entry in entries {
            let path = join(path, &entry.key);
            match &entry.node.value {
                _ if entry.key != PARAMETERS_KEY => {
                    let line = Some(entry.key_line);
                    self.problems.unknown_key(&path, line, &entry.key, &[PARAMETERS_KEY]);
                }
                Value::Map(inner) => self.parameters("", &path, inner),
                // A section with nothing set is what a file looks like with all lines commented out.
                Value::Null => {}
                other => {
                    let line = Some(entry.node.line);
                    self.problems.add(&path, line, "a map of parameters", other.to_string());
                }
            }
        }
    }

    fn parameters(&mut self, prefix: &str, path: &str, entries: &'a [Entry]) {
        self.repeated_keys(path, entries);
        for entry in entries {
            let path = join(path, &entry.key);
            let name = join(prefix, &entry.key);
            match &entry.node.value {
                Value::Map(inner) if !inner.is_empty() => self.parameters(&name, &path, inner),
                _ => self.settings.push(Setting {
                    name,
                    path,
                    key_line: Some(entry.key_line),
                    node: &entry.node,
                }),
            }
        }
    }

    fn repeated_keys(&mut self, path: &str, entries: &[Entry]) {
        report_repeated_keys(path, entries, self.problems);
    }
}

/// Tells every key that stands more than once in one map.
pub(super) fn report_repeated_keys(path: &str, entries: &[Entry], problems: &mut Problems) {
    let mut first_lines = HashMap::new();
    for entry in entries {
        match first_lines.entry(entry.key.as_str()) {
            MapEntry::Vacant(vacant) => {
                vacant.insert(entry.key_line);
            }
            MapEntry::Occupied(first) => {
                problems.repeated_key(&join(path, &entry.key), entry.key_line, *first.get());
            }
        }
    }
}

/// `path.key`, or `key` alone at the root.
pub(super) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// Whether the name of a section, with its wildcards, means the node.
pub(super) fn matches(pattern: &str, node_name: &str) -> bool {
    fn tokens_match(pattern: &[&str], name: &[&str]) -> bool {
        match pattern.split_first() {
            None => name.is_empty(),
            Some((&"**", rest)) => (0..=name.len()).any(|skip| tokens_match(rest, &name[skip..])),
            Some((first, rest)) => name.split_first().is_some_and(|(token, others)| {
                (*first == "*" || first == token) && tokens_match(rest, others)
            }),
        }
    }
    fn tokens(name: &str) -> Vec<&str> {
        name.split('/').filter(|token| !token.is_empty()).collect()
    }
    let mut pattern = tokens(pattern);
    // `**` twice in a row means the same as once, and matching it twice would cost more.
    pattern.dedup_by(|a, b| *a == "**" && *b == "**");
    tokens_match(&pattern, &tokens(node_name))
}

#[cfg(test)]
mod tests {
    use super::super::yaml::parse;
    use super::*;

    #[test]
    fn wildcards_match_as_in_ros() {
        for (pattern, name, expected) in [
            ("/**", "/owlet", true),
            ("/**", "/cell/left/owlet", true),
            ("/*", "/owlet", true),
            ("/*", "/cell/owlet", false),
            ("/owlet", "/owlet", true),
            ("owlet", "/owlet", true),
            ("owlet", "/cell/owlet", false),
            ("/**/owlet", "/owlet", true),
            ("/**/owlet", "/cell/left/owlet", true),
            ("/cell/*", "/cell/owlet", true),
            ("/*/owlet", "/cell/owlet", true),
            ("/cell/**", "/bin/owlet", false),
            ("/owl", "/owlet", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} and {name}");
        }
    }

    fn names(text: &str, node: &str) -> (Vec<String>, Vec<String>) {
        let root = parse(text).unwrap();
        let mut problems = Problems::of("f");
        let chosen = settings_for(node, &root, &mut problems);
        if let Some(others) = chosen.only_others {
            problems.add("", None, "", others);
        }
        let names = chosen
            .settings
            .into_iter()
            .map(|setting| format!("{} @ {}", setting.name, setting.path))
            .collect();
        (names, problems.into_vec().iter().map(ToString::to_string).collect())
    }

    #[test]
    fn sections_apply_in_the_order_of_the_file_and_others_are_left_alone() {
        let text = "/cell:\n  owlet:\n    ros__parameters: {a: {b: 1}}\n  camera:\n    \
                    ros__parameters: {rate: 30}\n/**:\n  ros__parameters: {a.b: 2}\n";
        let (names, problems) = names(text, "/cell/owlet");
        assert_eq!(
            names,
            ["a.b @ /cell.owlet.ros__parameters.a.b", "a.b @ /**.ros__parameters.a.b"]
        );
        assert_eq!(problems, [""; 0]);
    }

    #[test]
    fn a_file_for_other_nodes_a_flat_file_and_repeated_keys_are_told() {
        let (_, problems) = names("camera:\n  ros__parameters: {rate: 30}\n", "/owlet");
        assert_eq!(problems, ["f: expected , found sections for /camera only"]);
        let (_, problems) = names("threshold: 0.1\nmodel: x\n", "/owlet");
        assert_eq!(problems.len(), 2);
        assert!(problems[0].contains("parameters stand under `/**:`"), "{problems:?}");
        let text = "/**:\n  ros__parameters:\n    a: 1\n    b: 2\n    a: 3\n  extra: 1\n";
        let (_, problems) = names(text, "/owlet");
        assert_eq!(problems.len(), 2);
        assert!(problems[0].starts_with("f:5: /**.ros__parameters.a: expected each key once"));
        assert!(problems[1].starts_with("f:6: /**.extra: expected one of ros__parameters"));
    }
}
