//! Files of prompts: YAML or JSON with a list `prompts`, whose items are a text or a map.
//!
//! ```yaml
//! default_threshold: 0.1
//! prompts:
//!   - a cat
//!   - name: remote
//!     texts: [a remote control, a tv remote]
//!     threshold: 0.2
//!   - {name: cushion, negative: true}
//! ```
//!
//! `name` alone is also its text; `texts` alone are named after the first. `default_threshold`
//! holds for the prompts of the file that have none of their own.

use std::collections::HashMap;
use std::path::Path;

use super::loader::hint_at_quotes;
use super::problem::{ConfigError, Problems};
use super::sections::report_repeated_keys;
use super::yaml::{self, Entry, Node, Value};
use crate::types::Prompt;

const ROOT_KEYS: [&str; 2] = ["prompts", "default_threshold"];
const PROMPT_KEYS: [&str; 4] = ["name", "texts", "threshold", "negative"];

/// Reads a file of prompts: at least one, names unique, nothing blank, thresholds in `[0, 1]`.
///
/// # Errors
/// Every problem of the file, each with its path (`prompts[2].threshold`), its line, what was
/// expected and what was found.
pub fn read(path: &Path) -> Result<Vec<Prompt>, ConfigError> {
    let mut problems = Problems::of(path.to_string_lossy());
    let prompts = yaml::read(path, &mut problems).map(|root| from_tree(&root, &mut problems));
    let problems = problems.into_vec();
    if problems.is_empty() {
        Ok(prompts.unwrap_or_default())
    } else {
        Err(ConfigError { problems })
    }
}

fn from_tree(root: &Node, problems: &mut Problems) -> Vec<Prompt> {
    let Value::Map(entries) = &root.value else {
        let expected = "a map with a list `prompts`";
        problems.add("", Some(root.line), expected, root.value.to_string());
        return Vec::new();
    };
    check_keys("", entries, &ROOT_KEYS, problems);
    let default_threshold = find(entries, "default_threshold")
        .and_then(|node| threshold(node, "default_threshold", problems));
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
    let mut prompts = Vec::new();
    let mut lines_of_names = HashMap::new();
    for (index, item) in items.iter().enumerate() {
        let path = format!("prompts[{index}]");
        let Some(mut prompt) = prompt(item, &path, problems) else { continue };
        if let Some(first_line) = lines_of_names.insert(prompt.name.clone(), item.line) {
            let found = format!("{:?} again (first on line {first_line})", prompt.name);
            problems.add(&path, Some(item.line), "each name once", found);
        }
        prompt.threshold = prompt.threshold.or(default_threshold);
        prompts.push(prompt);
    }
    prompts
}

/// One item of the list; `None` where it was refused.
fn prompt(item: &Node, path: &str, problems: &mut Problems) -> Option<Prompt> {
    let entries = match &item.value {
        Value::Map(entries) => entries,
        _ => return text(item, path, problems).map(|text| Prompt::from_text(&text)),
    };
    check_keys(path, entries, &PROMPT_KEYS, problems);
    let name = find(entries, "name").map(|node| text(node, &format!("{path}.name"), problems));
    let texts = find(entries, "texts").map(|node| texts(node, &format!("{path}.texts"), problems));
    let threshold = find(entries, "threshold")
        .and_then(|node| threshold(node, &format!("{path}.threshold"), problems));
    let negative = match find(entries, "negative") {
        None => false,
        Some(Node { value: Value::Flag(flag), .. }) => *flag,
        Some(other) => {
            let path = format!("{path}.negative");
            problems.add(&path, Some(other.line), "true or false", other.value.to_string());
            false
        }
    };
    let (name, texts) = match (name, texts) {
        (Some(name), Some(texts)) => (name?, texts?),
        (Some(name), None) => (name.clone()?, vec![name?]),
        (None, Some(texts)) => {
            let texts = texts?;
            (texts.first()?.clone(), texts)
        }
        (None, None) => {
            problems.add(path, Some(item.line), "`name` or `texts`", "neither");
            return None;
        }
    };
    Some(Prompt { name, texts, threshold, negative })
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
