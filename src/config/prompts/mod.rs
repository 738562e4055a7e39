//! Files of prompts: YAML or JSON with a list `prompts`, whose items are a text or a map.
//!
//! ```yaml
//! default_threshold: 0.1
//! templates: ["a photo of a {}", "a close-up of a {}"]
//! prompts:
//!   - a cat
//!   - name: remote
//!     texts: [a remote control, a tv remote]
//!     threshold: 0.2
//!   - {name: cushion, negative: true}
//!   - name: a mug
//!     finer: [a clean mug, {name: dirty, texts: [a dirty mug, a stained mug]}]
//!   - name: gadget
//!     exemplars: [{image: pictures/gadget.png, box: [12, 40, 96, 130]}]
//! ```
//!
//! `name` alone is also its text, where there are no exemplars; `texts` alone are named after the
//! first; the same holds for the labels of `finer`. Pictures are named relative to the file, or stand in it as data URLs; an exemplar without
//! a box is the whole picture. `default_threshold` and `templates` hold for the prompts of the file
//! that have none of their own; `templates: []` are a prompt's own.

mod exemplars;
mod write;

use std::collections::HashMap;
use std::path::Path;

pub use write::{prompt_to_yaml, to_yaml, to_yaml_without_pictures};

use self::exemplars::Pictures;
use super::loader::hint_at_quotes;
use super::problem::{ConfigError, Problems};
use super::sections::report_repeated_keys;
use super::yaml::{self, Entry, Node, Value};
use crate::types::{FinerLabel, Prompt, numbered};

const ROOT_KEYS: [&str; 3] = ["prompts", "default_threshold", "templates"];
/// What a message may say beyond a file.
const MESSAGE_KEYS: [&str; 4] = ["prompts", "default_threshold", "templates", "version"];
const PROMPT_KEYS: [&str; 9] = [
    "name",
    "texts",
    "exemplars",
    "threshold",
    "negative",
    "asif",
    "average",
    "templates",
    "finer",
];
const FINER_KEYS: [&str; 2] = ["name", "texts"];
/// The largest file or message, in bytes. Pictures stand in it as text.
pub const MAX_BYTES: u64 = 32 << 20;
/// The most prompts of a file or message.
const MAX_PROMPTS: usize = 20_000;

/// Reads a file of prompts: at least one, names unique, nothing blank, thresholds in `[0, 1]`,
/// pictures that can be decoded.
///
/// # Errors
/// Every problem of the file, each with its path (`prompts[2].threshold`), its line, what was
/// expected and what was found.
pub fn read(path: &Path) -> Result<Vec<Prompt>, ConfigError> {
    let mut problems = Problems::of(path.to_string_lossy());
    let prompts = yaml::read(path, MAX_BYTES, &mut problems)
        .map(|root| from_tree(&root, &ROOT_KEYS, Pictures::beside(path), &mut problems));
    let problems = problems.into_vec();
    if problems.is_empty() {
        Ok(prompts.unwrap_or_default())
    } else {
        Err(ConfigError { problems })
    }
}

/// Prompts that came as a message while the node runs.
#[derive(Clone, Debug, PartialEq)]
pub struct PromptsMessage {
    /// At least one; a threshold of the message stands in those that have none of their own.
    pub prompts: Vec<Prompt>,
    /// The version of the set that the sender means to replace.
    pub replaces: Option<u64>,
}

/// Reads prompts in the form of a file from a message, in which `version` may say which set they
/// are to replace.
///
/// # Errors
/// As [`read`]; a prompt is named by its number and name (`prompt 2 ("mug").threshold`), since the
/// sender may know it as no list's item.
pub fn parse_message(bytes: &[u8]) -> Result<PromptsMessage, ConfigError> {
    let mut problems = Problems::of("");
    let mut replaces = None;
    let prompts = yaml::parse_bytes(bytes, MAX_BYTES, &mut problems).map(|root| {
        if let Value::Map(entries) = &root.value
            && let Some(node) = find(entries, "version")
        {
            replaces = version(node, &mut problems);
        }
        from_tree(&root, &MESSAGE_KEYS, Pictures::in_message(), &mut problems)
    });
    // As a rule it is JSON that no person wrote, on one line.
    if !bytes.trim_ascii().contains(&b'\n') {
        problems.forget_lines();
    }
    let problems = problems.into_vec();
    match prompts {
        Some(prompts) if problems.is_empty() => Ok(PromptsMessage { prompts, replaces }),
        _ => Err(ConfigError { problems }),
    }
}

/// Prompts from a value that holds a file of prompts: as a tree, or as text.
pub(super) fn from_value(value: &Value, problems: &mut Problems) -> Vec<Prompt> {
    match value {
        Value::Text(text) => match yaml::parse_bytes(text.as_bytes(), MAX_BYTES, problems) {
            Some(root) => from_tree(&root, &ROOT_KEYS, Pictures::in_message(), problems),
            None => Vec::new(),
        },
        tree => {
            let root = Node { value: tree.clone(), line: 0 };
            from_tree(&root, &ROOT_KEYS, Pictures::in_message(), problems)
        }
    }
}

fn version(node: &Node, problems: &mut Problems) -> Option<u64> {
    match node.value {
        Value::Integer(version) if version >= 0 => u64::try_from(version).ok(),
        _ => {
            let expected = "the version of a prompt set, a whole number";
            problems.add("version", Some(node.line), expected, node.value.to_string());
            None
        }
    }
}

fn from_tree(
    root: &Node,
    known: &[&str],
    mut pictures: Pictures<'_>,
    problems: &mut Problems,
) -> Vec<Prompt> {
    let Value::Map(entries) = &root.value else {
        let expected = "a map with a list `prompts`";
        problems.add("", Some(root.line), expected, root.value.to_string());
        return Vec::new();
    };
    check_keys("", entries, known, problems);
    let default_threshold = find(entries, "default_threshold")
        .and_then(|node| threshold(node, "default_threshold", problems));
    let of_all = find(entries, "templates")
        .and_then(|node| templates(node, "templates", problems))
        .unwrap_or_default();
    let items = match find(entries, "prompts") {
        Some(Node { value: Value::List(items), .. }) if !items.is_empty() => items,
        Some(other) => {
            let expected = "a list of at least one prompt";
            problems.add("prompts", Some(other.line), expected, other.value.to_string());
            return Vec::new();
        }
        None => {
            problems.add(
                "prompts",
                Some(root.line),
                "a list of at least one prompt",
                "no such key",
            );
            return Vec::new();
        }
    };
    if items.len() > MAX_PROMPTS {
        let expected = format!("at most {MAX_PROMPTS} prompts");
        problems.add("prompts", None, expected, items.len().to_string());
        return Vec::new();
    }
    let mut prompts = Vec::new();
    let is_message = pictures.are_in_message();
    let mut first_of_name = HashMap::new();
    for (index, item) in items.iter().enumerate() {
        let path = match is_message {
            true => number_and_name(index, item),
            false => format!("prompts[{index}]"),
        };
        let Some(mut prompt) = prompt(item, &path, &of_all, &mut pictures, problems) else {
            continue;
        };
        if let Some((first, line)) = first_of_name.insert(prompt.name.clone(), (index, item.line)) {
            let first = match is_message {
                true => format!("in prompt {}", first + 1),
                false => format!("on line {line}"),
            };
            let found = format!("{:?} again (first {first})", prompt.name);
            problems.add(&path, Some(item.line), "each name once", found);
        }
        prompt.threshold = prompt.threshold.or(default_threshold);
        prompts.push(prompt);
    }
    prompts
}

/// The prompt at `index` as its sender knows it: `prompt 2 ("a mug")`.
fn number_and_name(index: usize, item: &Node) -> String {
    fn text_of(node: &Node) -> Option<&str> {
        match &node.value {
            Value::Text(text) if !text.trim().is_empty() => Some(text),
            _ => None,
        }
    }
    let name = match &item.value {
        Value::Map(entries) => {
            let first_text = || match &find(entries, "texts")?.value {
                Value::List(texts) => texts.first().and_then(text_of),
                _ => None,
            };
            find(entries, "name").and_then(text_of).or_else(first_text)
        }
        _ => text_of(item),
    };
    name.map_or_else(|| format!("prompt {}", index + 1), |name| numbered(index, name))
}

/// One item of the list; `None` where it was refused.
fn prompt(
    item: &Node,
    path: &str,
    templates_of_all: &[String],
    pictures: &mut Pictures<'_>,
    problems: &mut Problems,
) -> Option<Prompt> {
    let Value::Map(entries) = &item.value else {
        let templates = templates_of_all.to_vec();
        return text(item, path, problems)
            .map(|text| Prompt { templates, ..Prompt::from_text(&text) });
    };
    check_keys(path, entries, &PROMPT_KEYS, problems);
    let named = name_and_texts(item, entries, path, problems);
    let exemplars = match find(entries, "exemplars") {
        Some(node) => pictures.exemplars(node, &format!("{path}.exemplars"), problems),
        None => Vec::new(),
    };
    let threshold = find(entries, "threshold")
        .and_then(|node| threshold(node, &format!("{path}.threshold"), problems));
    let [negative, asif, average] =
        ["negative", "asif", "average"].map(|key| flag(entries, key, path, problems));
    let finer = find(entries, "finer")
        .map_or_else(Vec::new, |node| finer(node, &format!("{path}.finer"), problems));
    let is_shown = find(entries, "exemplars").is_some();
    let (name, texts) = match named? {
        // What is shown needs no words.
        (name, None) if is_shown => (name, Vec::new()),
        (name, texts) => {
            let texts = texts.unwrap_or_else(|| vec![name.clone()]);
            (name, texts)
        }
    };
    let templates = match find(entries, "templates") {
        Some(node) => templates(node, &format!("{path}.templates"), problems)?,
        // Where there are no words there is nothing to put into them.
        None if texts.is_empty() && finer.is_empty() => Vec::new(),
        None => templates_of_all.to_vec(),
    };
    Some(Prompt { name, texts, exemplars, threshold, negative, asif, average, templates, finer })
}

/// A name, or that of the first text; texts where there are some.
fn name_and_texts(
    item: &Node,
    entries: &[Entry],
    path: &str,
    problems: &mut Problems,
) -> Option<(String, Option<Vec<String>>)> {
    let (name, own_texts) = (find(entries, "name"), find(entries, "texts"));
    let name = name.map(|node| text(node, &format!("{path}.name"), problems));
    // Who sends no name or no text sends the one in place of the other: a blank one is one fault.
    let is_told = matches!(name, Some(None)) && is_only_text(find(entries, "name"), own_texts);
    let texts = match own_texts {
        Some(_) if is_told => Some(None),
        texts_node => texts_node.map(|node| texts(node, &format!("{path}.texts"), problems)),
    };
    match (name, texts) {
        (Some(name), Some(texts)) => Some((name?, Some(texts?))),
        (Some(name), None) => Some((name?, None)),
        (None, Some(texts)) => {
            let texts = texts?;
            Some((texts.first()?.clone(), Some(texts)))
        }
        (None, None) => {
            problems.add(path, Some(item.line), "`name` or `texts`", "neither");
            None
        }
    }
}

/// Whether `texts` is a list of the name alone.
fn is_only_text(name: Option<&Node>, texts: Option<&Node>) -> bool {
    match (name.map(|node| &node.value), texts.map(|node| &node.value)) {
        (Some(Value::Text(name)), Some(Value::List(texts))) => match texts.as_slice() {
            [Node { value: Value::Text(text), .. }] => text == name,
            _ => false,
        },
        _ => false,
    }
}

/// Finer labels: each a text, or a map of a name and texts.
fn finer(node: &Node, path: &str, problems: &mut Problems) -> Vec<FinerLabel> {
    let items = match &node.value {
        Value::List(items) if items.len() > 1 => items,
        other => {
            problems.add(path, Some(node.line), "a list of at least two labels", other.to_string());
            return Vec::new();
        }
    };
    let mut label = |(index, item): (usize, &Node)| {
        let path = format!("{path}[{index}]");
        let Value::Map(entries) = &item.value else {
            return text(item, &path, problems).map(|text| FinerLabel::from_text(&text));
        };
        check_keys(&path, entries, &FINER_KEYS, problems);
        let (name, texts) = name_and_texts(item, entries, &path, problems)?;
        Some(FinerLabel { texts: texts.unwrap_or_else(|| vec![name.clone()]), name })
    };
    items.iter().enumerate().filter_map(&mut label).collect()
}

/// Templates, of which there may be none. What each has to hold is told by the check of a set.
fn templates(node: &Node, path: &str, problems: &mut Problems) -> Option<Vec<String>> {
    match &node.value {
        Value::List(items) if items.is_empty() => Some(Vec::new()),
        _ => texts(node, path, problems),
    }
}

fn flag(entries: &[Entry], key: &str, path: &str, problems: &mut Problems) -> bool {
    match find(entries, key) {
        None => false,
        Some(Node { value: Value::Flag(flag), .. }) => *flag,
        Some(other) => {
            let path = format!("{path}.{key}");
            problems.add(&path, Some(other.line), "true or false", other.value.to_string());
            false
        }
    }
}

fn texts(node: &Node, path: &str, problems: &mut Problems) -> Option<Vec<String>> {
    let Value::List(items) = &node.value else {
        problems.add(path, Some(node.line), "a list of texts", node.value.to_string());
        return None;
    };
    if items.is_empty() {
        problems.add(path, Some(node.line), "at least one text", "an empty list");
        return None;
    }
    let texts: Vec<_> = items
        .iter()
        .enumerate()
        .filter_map(|(index, item)| text(item, &format!("{path}[{index}]"), problems))
        .collect();
    (texts.len() == items.len()).then_some(texts)
}

fn text(node: &Node, path: &str, problems: &mut Problems) -> Option<String> {
    match &node.value {
        Value::Text(text) if !text.trim().is_empty() => Some(text.clone()),
        other => {
            problems.add(path, Some(node.line), "a text that is not blank", other.to_string());
            hint_at_quotes(other, problems);
            None
        }
    }
}

fn threshold(node: &Node, path: &str, problems: &mut Problems) -> Option<f32> {
    let number = match node.value {
        Value::Number(number) => number,
        Value::Integer(integer) => integer as f64,
        _ => f64::NAN,
    };
    if (0.0..=1.0).contains(&number) {
        return Some(number as f32);
    }
    problems.add(path, Some(node.line), "a number from 0 to 1", node.value.to_string());
    None
}

fn find<'a>(entries: &'a [Entry], key: &str) -> Option<&'a Node> {
    entries.iter().find(|entry| entry.key == key).map(|entry| &entry.node)
}

fn check_keys(path: &str, entries: &[Entry], known: &[&str], problems: &mut Problems) {
    report_repeated_keys(path, entries, problems);
    for entry in entries {
        if !known.contains(&entry.key.as_str()) {
            let path = super::sections::join(path, &entry.key);
            problems.unknown_key(&path, Some(entry.key_line), &entry.key, known);
        }
    }
}
