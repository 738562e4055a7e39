//! YAML text to a tree whose nodes know their lines, so that fields can be checked one by one and
//! every problem told at once.

use std::borrow::Cow;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::options::{MergeKeyPolicy, NonFiniteFloatPolicy};
use serde_saphyr::{DuplicateKeyPolicy, Spanned};

use super::problem::Problems;
use crate::types::shortened;

/// Larger configuration files are refused: they are written by people.
pub(super) const MAX_FILE_BYTES: u64 = 1 << 20;
/// Deeper nesting is refused; a parameter file needs five levels.
const MAX_DEPTH: usize = 32;
/// Nodes that aliases may add to a file: enough for reuse, too few for an alias bomb.
const MAX_ALIASED_NODES: usize = 10_000;

/// A value and the line (from 1) on which it stands.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    pub(super) value: Value,
    pub(super) line: u64,
}

/// A YAML value of the core schema.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Null,
    Flag(bool),
    Integer(i64),
    Number(f64),
    Text(String),
    List(Vec<Node>),
    /// In file order, repeated keys included.
    Map(Vec<Entry>),
}

/// One `key: value` of a map.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_line: u64,
    pub(super) node: Node,
}

impl fmt::Display for Value {
    /// The value as a problem shows it: short, with its type visible.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("nothing"),
            Self::Flag(flag) => write!(f, "{flag}"),
            Self::Integer(integer) => write!(f, "{integer}"),
            Self::Number(number) if number.is_nan() => f.write_str("NaN"),
            Self::Number(number) => write!(f, "{number:?}"),
            Self::Text(text) => write!(f, "the text {:?}", shortened(text)),
            Self::List(items) => write!(f, "a list of {}", items.len()),
            Self::Map(entries) => write!(f, "a map of {}", entries.len()),
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Value>::deserialize(deserializer)?;
        Ok(Self { value: spanned.value, line: spanned.referenced.line() })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Flag(flag))
    }

    fn visit_i64<E>(self, integer: i64) -> Result<Value, E> {
        Ok(Value::Integer(integer))
    }

    fn visit_u64<E>(self, integer: u64) -> Result<Value, E> {
        // What i64 cannot hold is out of every range here; as a float it is still shown.
        Ok(i64::try_from(integer).map_or(Value::Number(integer as f64), Value::Integer))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Value::Number(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = map.next_key::<Spanned<String>>()? {
            let node = map.next_value()?;
            entries.push(Entry { key: key.value, key_line: key.referenced.line(), node });
        }
        Ok(Value::Map(entries))
    }
}

/// Parses one YAML (or JSON) document.
///
/// # Errors
/// The line, where it is known, and what the parser says.
pub(super) fn parse(text: &str) -> Result<Node, (Option<u64>, String)> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: MAX_DEPTH,
            flow_nesting_limit: MAX_DEPTH,
            max_recorded_anchor_events: MAX_ALIASED_NODES,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: MAX_ALIASED_NODES,
        },
        // Repeated keys are told with their path and both lines, together with all else.
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        merge_keys: MergeKeyPolicy::Merge,
        // `.nan` reaches the range check, which names the parameter.
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
        // YAML 1.2: a prompt called `on` or `no` is a text, and so is `007`.
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        reject_unsupported_tags: true,
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options(&without_python_tuples(text), options).map_err(|error| {
        let line = error.location().map(|location| location.line()).filter(|line| *line > 0);
        (line, first_line(&error.to_string()))
    })
}

/// How `ros2 launch` tags the lists of the parameter files that it writes (PyYAML, for a tuple).
const PYTHON_TUPLE: &str = "!!python/tuple";

/// The text with blanks in place of such tags, which rcl passes over as well. Any other tag stays,
/// and is refused.
fn without_python_tuples(text: &str) -> Cow<'_, str> {
    if !text.contains(PYTHON_TUPLE) {
        return Cow::Borrowed(text);
    }
    let lines = text.split_inclusive('\n').map(|line| match line.split_once(PYTHON_TUPLE) {
        Some((before, after))
            if (before.trim().is_empty() || before.ends_with([' ', '\t']))
                && (after.trim().is_empty() || after.trim_start().starts_with('[')) =>
        {
            Cow::Owned(format!("{before}{:width$}{after}", "", width = PYTHON_TUPLE.len()))
        }
        _ => Cow::Borrowed(line),
    });
    Cow::Owned(lines.collect())
}

/// The parser's message without the lines that explain it in the parser's own terms.
fn first_line(message: &str) -> String {
    shortened(message.lines().next().unwrap_or(message)).into_owned()
}

/// Reads and parses a file of bounded size. What goes wrong becomes one problem.
pub(super) fn read(path: &Path, max_bytes: u64, problems: &mut Problems) -> Option<Node> {
    let bytes = match read_bounded(path, max_bytes) {
        Ok(bytes) => bytes,
        Err(error) => {
            problems.add("", None, "a file that can be read", error.to_string());
            return None;
        }
    };
    parse_bytes(&bytes, max_bytes, problems)
}

/// Parses what should be one document in UTF-8 of bounded size. What goes wrong becomes one
/// problem.
pub(super) fn parse_bytes(bytes: &[u8], max_bytes: u64, problems: &mut Problems) -> Option<Node> {
    if bytes.len() as u64 > max_bytes {
        let expected = format!("at most {max_bytes} bytes");
        problems.add("", None, expected, format!("{} bytes", bytes.len()));
        return None;
    }
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let found = format!("a byte that is not at offset {}", error.valid_up_to());
            problems.add("", None, "UTF-8 text", found);
            return None;
        }
    };
    match parse(text) {
        Ok(Node { value: Value::Null, .. }) => {
            problems.add("", None, "a YAML map", "nothing");
            None
        }
        Ok(root) => Some(root),
        Err((line, message)) => {
            problems.add("", line, "YAML", message);
            None
        }
    }
}

fn read_bounded(path: &Path, max_bytes: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // One byte more than allowed tells a file that is too large from one that just fits.
    File::open(path)?.take(max_bytes + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Value {
        parse(text).unwrap().value
    }

    #[test]
    fn scalars_take_the_types_of_yaml_1_2() {
        assert_eq!(value("true"), Value::Flag(true));
        assert_eq!(value("7"), Value::Integer(7));
        assert_eq!(value("-7"), Value::Integer(-7));
        assert_eq!(value("0.5"), Value::Number(0.5));
        assert_eq!(value("~"), Value::Null);
        for text in ["yes", "on", "007", "1_000", "a cat"] {
            assert_eq!(value(text), Value::Text(text.to_owned()));
        }
        assert_eq!(value("'7'"), Value::Text("7".to_owned()));
        assert!(matches!(value(".nan"), Value::Number(number) if number.is_nan()));
        assert!(matches!(value("18446744073709551615"), Value::Number(number) if number > 1e19));
    }

    #[test]
    fn maps_keep_their_order_their_lines_and_repeated_keys() {
        let Value::Map(entries) = value("b: 1\na: [x,\n  y]\nb: 2\n") else { panic!("a map") };
        let seen: Vec<_> = entries.iter().map(|e| (e.key.as_str(), e.key_line)).collect();
        assert_eq!(seen, [("b", 1), ("a", 2), ("b", 4)]);
        let Value::List(items) = &entries[1].node.value else { panic!("a list") };
        assert_eq!(items[1].line, 3);
    }

    #[test]
    fn a_list_as_ros_2_launch_writes_it_is_a_list() {
        let written = "prompts: !!python/tuple\n- a mug\n- a bowl\n";
        assert_eq!(value(written), value("prompts:               \n- a mug\n- a bowl\n"));
        assert!(
            matches!(value("!!python/tuple\n- a mug\n"), Value::List(items) if items.len() == 1)
        );
        assert!(matches!(value("!!python/tuple []"), Value::List(items) if items.is_empty()));
        let text = "'prompts: !!python/tuple'";
        assert_eq!(value(text), Value::Text("prompts: !!python/tuple".to_owned()));
        assert!(parse("prompts: !!python/object:os.system\n- ls\n").is_err());
    }

    #[test]
    fn json_with_tabs_is_yaml() {
        let Value::Map(entries) = value("{\n\t\"prompts\": [\n\t\t\"a cat\"\n\t]\n}\n") else {
            panic!("a map")
        };
        assert_eq!(entries[0].key, "prompts");
    }

    #[test]
    fn hostile_documents_are_refused_with_a_message() {
        let bomb = std::iter::once("a0: &a0 [x, x, x, x, x, x, x, x, x, x]".to_owned())
            .chain((1..9).map(|n| {
                let inner = vec![format!("*a{}", n - 1); 10].join(", ");
                format!("a{n}: &a{n} [{inner}]")
            }))
            .collect::<Vec<_>>()
            .join("\n");
        let flow = format!("{}1{}", "[".repeat(5000), "]".repeat(5000));
        let block: String = (0..5000).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
        for text in [bomb.as_str(), &flow, &block, "a: [", "a: *b", "a: 1\n---\nb: 2", "a: !x 1"] {
            let (_, message) = parse(text).unwrap_err();
            assert!(!message.is_empty());
        }
    }

    #[test]
    fn a_broken_document_tells_its_line() {
        assert_eq!(parse("a: 1\nb: [1, 2\nc: 3\n").unwrap_err().0, Some(3));
    }
}
