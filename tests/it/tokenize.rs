//! CLIP's tokenizer against `transformers` 5.23.0, and folders that must be refused.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use owlet::tokenize::{ClipTokenizer, TextRefused, TokenizerError};
use tempfile::TempDir;

use crate::golden_models::fixture;

/// The shared test data, or `None` with a line that says what is not tested.
fn test_data(name: &str) -> Option<PathBuf> {
    let Some(data) = std::env::var_os("OWLET_TEST_DATA") else {
        eprintln!("skipped: OWLET_TEST_DATA is not set, {name} cannot be found");
        return None;
    };
    let path = Path::new(&data).join(name);
    assert!(path.exists(), "{} is missing", path.display());
    Some(path)
}

/// Ids that `tools/make_token_goldens.py` wrote: accents, digits, contractions, emoji,
/// other scripts, special tokens inside a text; each for OWL-ViT's padding token and for CLIP's.
#[test]
fn clip_ids_are_those_of_the_reference() {
    let Some(vocabulary) = test_data("clip_vocabulary") else { return };
    let golden = fs::read(fixture("owl_tokens/clip_ids.json")).unwrap();
    let golden: BTreeMap<String, Vec<(String, Vec<i64>)>> =
        serde_json::from_slice(&golden).unwrap();
    assert_eq!(golden.len(), 2);
    for (padding, rows) in golden {
        let folder = TempDir::new().unwrap();
        for name in ["vocab.json", "merges.txt"] {
            fs::copy(vocabulary.join(name), folder.path().join(name)).unwrap();
        }
        let config = serde_json::json!({ "pad_token": padding });
        fs::write(folder.path().join("tokenizer_config.json"), config.to_string()).unwrap();
        let tokenizer = ClipTokenizer::open(folder.path()).unwrap();
        assert!(rows.len() > 60);
        let mut too_long = 0;
        for (text, ids) in rows {
            assert_eq!(tokenizer.encode(&text, ids.len()).as_ref(), Ok(&ids), "{text:?}");
            if ids.len() > 16 {
                too_long += 1;
                let expected =
                    TextRefused::TooLong { text: text.clone(), found: ids.len(), limit: 16 };
                assert_eq!(tokenizer.encode(&text, 16), Err(expected));
            }
        }
        assert!(too_long > 0);
    }
}

#[test]
fn a_text_that_is_too_long_is_refused_with_its_count() {
    let tokenizer = ClipTokenizer::open(&fixture("owlvit_tiny")).unwrap();
    let fits = vec!["cat"; 14].join(" ");
    let ids = tokenizer.encode(&fits, 16).unwrap();
    assert_eq!((ids[0], ids[15]), (542, 543));
    let error = tokenizer.encode(&format!("{fits} cat"), 16).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("\"{fits} cat\" has 17 tokens, the model takes at most 16: use fewer words")
    );
}

#[test]
fn one_file_and_two_files_give_the_same_ids() {
    let two = ClipTokenizer::open(&fixture("owlvit_tiny")).unwrap();
    let one = ClipTokenizer::open(&fixture("owlv2_tiny")).unwrap();
    assert_eq!(two.end_id(), 543);
    for text in ["a photo of a cat!", "Blue   CUPS", "été 12", "", "it's <|endoftext|>"] {
        assert_eq!(one.encode(text, 32), two.encode(text, 32), "{text:?}");
    }

    // The older form of tokenizer.json writes a merge as one string.
    let folder = TempDir::new().unwrap();
    let text = fs::read_to_string(fixture("owlv2_tiny/tokenizer.json")).unwrap();
    let mut json: serde_json::Value = serde_json::from_str(&text).unwrap();
    for merge in json["model"]["merges"].as_array_mut().unwrap() {
        let [left, right] = [0, 1].map(|side| merge[side].as_str().unwrap());
        *merge = format!("{left} {right}").into();
    }
    fs::write(folder.path().join("tokenizer.json"), json.to_string()).unwrap();
    fs::copy(
        fixture("owlv2_tiny/tokenizer_config.json"),
        folder.path().join("tokenizer_config.json"),
    )
    .unwrap();
    let older = ClipTokenizer::open(folder.path()).unwrap();
    assert_eq!(older.encode("two blue cups!", 16), one.encode("two blue cups!", 16));
}

#[test]
fn without_a_role_for_padding_it_is_the_end_of_text() {
    let folder = TempDir::new().unwrap();
    for name in ["vocab.json", "merges.txt"] {
        fs::copy(fixture("owlvit_tiny").join(name), folder.path().join(name)).unwrap();
    }
    let tokenizer = ClipTokenizer::open(folder.path()).unwrap();
    let ids = tokenizer.encode("a cat!", 8).unwrap();
    // `!` is then an ordinary character: byte symbol 0 at the end of a word.
    assert_eq!(ids, [542, 320, 525, 256, 543, 543, 543, 543]);
}

#[test]
fn files_that_make_no_tokenizer_are_refused() {
    let folder = TempDir::new().unwrap();
    let refused = || ClipTokenizer::open(folder.path()).unwrap_err();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();

    assert!(matches!(refused(), TokenizerError::Missing { .. }));
    write("vocab.json", r#"{"a": 0, "b": 1, "<|startoftext|>": 2, "<|endoftext|>": 3}"#);
    assert!(matches!(refused(), TokenizerError::Io { path, .. } if path.ends_with("merges.txt")));
    write("merges.txt", "#version: 0.2\na b c\n");
    assert!(refused().to_string().contains("line 2: expected two tokens, found \"a b c\""));
    // The joined token is longer than any in the vocabulary.
    write("merges.txt", "<|startoftext|> <|endoftext|>\n");
    let error = refused();
    assert!(matches!(error, TokenizerError::Inconsistent { .. }), "{error}");
    assert!(error.to_string().contains("which the vocabulary lacks"), "{error}");
    write("merges.txt", "");
    assert!(ClipTokenizer::open(folder.path()).is_ok());
    write("tokenizer_config.json", r#"{"pad_token": "<pad>"}"#);
    assert!(refused().to_string().contains("lacks the special token \"<pad>\""));
    write("tokenizer_config.json", "{");
    assert!(matches!(refused(), TokenizerError::Unusable { .. }));
    write("tokenizer.json", r#"{"model": {"vocab": {"a": -1}, "merges": []}}"#);
    assert!(matches!(refused(), TokenizerError::Unusable { path, .. }
        if path.ends_with("tokenizer.json")));
}
