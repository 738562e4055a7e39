//! JSON as annotation tools write it.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use serde::de::{Deserialize, DeserializeOwned, Deserializer};

/// Why a file was refused as a whole.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    /// The file system refused.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is not JSON, or its entries have another form.
    #[error("{path}: expected {expected}, found something else: {source}")]
    Form {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        expected: &'static str,
        /// Where and why, with line and column.
        source: serde_json::Error,
    },
    /// Its parts contradict each other, or it holds nothing to evaluate.
    #[error("{path}:\n  {}", .problems.join("\n  "))]
    Broken {
        /// The file.
        path: PathBuf,
        /// Every problem, each with what was expected and found.
        problems: Vec<String>,
    },
}

/// Reads a file of JSON. `NaN`, `Infinity` and `-Infinity`, which Python writes and JSON does not
/// know, are read as `null`, so that one such number does not cost the whole file.
pub(super) fn read<T: DeserializeOwned>(
    path: &Path,
    expected: &'static str,
) -> Result<T, DatasetError> {
    let text = std::fs::read(path)
        .map_err(|source| DatasetError::Read { path: path.to_owned(), source })?;
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&text);
    serde_json::from_slice(&without_not_numbers(text)).map_err(|source| DatasetError::Form {
        path: path.to_owned(),
        expected,
        source,
    })
}

/// Tells a number that is there but is none (`null`) from one that is missing.
pub(super) fn present<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Option<f64>>, D::Error> {
    Option::deserialize(from).map(Some)
}

/// The text with `null` in the place of each number that JSON does not know, outside of strings.
fn without_not_numbers(text: &[u8]) -> Cow<'_, [u8]> {
    const WORDS: [&[u8]; 3] = [b"NaN", b"Infinity", b"-Infinity"];
    let mut replaced: Option<Vec<u8>> = None;
    let (mut at, mut copied) = (0, 0);
    while at < text.len() {
        match text[at] {
            b'"' => at = end_of_string(text, at),
            b'N' | b'I' | b'-' => match WORDS.iter().find(|word| text[at..].starts_with(word)) {
                Some(word) => {
                    let replaced = replaced.get_or_insert_with(Vec::new);
                    replaced.extend_from_slice(&text[copied..at]);
                    replaced.extend_from_slice(b"null");
                    at += word.len();
                    copied = at;
                }
                None => at += 1,
            },
            _ => at += 1,
        }
    }
    match replaced {
        None => Cow::Borrowed(text),
        Some(mut replaced) => {
            replaced.extend_from_slice(&text[copied..]);
            Cow::Owned(replaced)
        }
    }
}

/// The position behind a string that begins at `start`.
fn end_of_string(text: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while at < text.len() {
        match text[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn not_numbers_become_null_outside_of_strings_only() {
        let clean = |text: &str| {
            String::from_utf8(without_not_numbers(text.as_bytes()).into_owned()).unwrap()
        };
        assert_eq!(clean(r#"[NaN,-Infinity, Infinity,-1]"#), "[null,null, null,-1]");
        let kept = r#"{"NaN":"a \"NaN\" Infinity\\","x":-2e-3}"#;
        assert_eq!(clean(kept), kept);
        assert!(matches!(without_not_numbers(kept.as_bytes()), Cow::Borrowed(_)));
        // Broken text stays broken.
        for broken in ["\"abc", "\"abc\\", "[Na", "-"] {
            assert_eq!(clean(broken), broken);
        }
    }
}
