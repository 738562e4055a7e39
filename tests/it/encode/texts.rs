//! Texts to vectors.

use owlet::ground::encode::{BertEncoder, load_text_encoder};
use owlet::models::ForwardError;
use owlet::models::bert::{Bert, BertFamily};
use owlet::tasks::{EncodeError, TextEncoder};
use owlet::tokenize::{TextRefused, TokenizerError, WordPieceRoles, WordPieceTokenizer};
use tch::{Device, Kind, Tensor};

use super::{TOKENS, UNIT, copied, folder, golden, options};
use crate::golden_models::{assert_close, facts};

const FOLDERS: [(&str, WordPieceRoles, usize); 2] =
    [("bert", WordPieceRoles::Bert, 20), ("mpnet", WordPieceRoles::Mpnet, 180)];

fn texts(name: &str) -> Vec<String> {
    let facts = facts(&folder(name).join("goldens.safetensors"));
    let texts = facts["texts"].as_array().unwrap();
    texts.iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

#[test]
fn ids_and_networks_are_the_reference() {
    for (name, roles, max_tokens) in FOLDERS {
        let golden = golden(name);
        let tokenizer = WordPieceTokenizer::open(&folder(name), roles).unwrap();
        let ids: Vec<Vec<i64>> =
            texts(name).iter().map(|text| tokenizer.encode(text, max_tokens).unwrap()).collect();
        for (index, row) in ids.iter().enumerate() {
            assert_eq!(Tensor::from_slice(row), golden[&format!("ids.{index}")], "{name} {index}");
        }
        let model = Bert::load(&folder(name), Device::Cpu, Kind::Float).unwrap();
        let together = model.tokens(&ids).unwrap();
        for (index, row) in ids.iter().enumerate() {
            let count = row.len() as i64;
            let step = if count > 40 { 7 } else { 1 };
            let expected = &golden[&format!("states.{index}")];
            let states = together.states.get(index as i64).slice(0, 0, count, step);
            assert_close(&format!("{name} {index}"), &states, expected, TOKENS);
            // Padding changes nothing.
            let alone = model.tokens(std::slice::from_ref(row)).unwrap();
            let states = alone.states.get(0).slice(0, 0, count, step);
            assert_close(&format!("{name} {index} alone"), &states, expected, TOKENS);
        }
    }
}

#[test]
fn texts_are_pooled_as_their_files_say_in_any_number_and_order() {
    for (name, _, max_tokens) in FOLDERS {
        let expected = &golden(name)["embeddings"];
        let mut encoder = BertEncoder::load(&options(&folder(name))).unwrap();
        assert_eq!((encoder.dimension(), encoder.max_tokens()), (24, max_tokens));
        let tolerance = if name == "bert" { UNIT } else { TOKENS };
        let texts = texts(name);
        // Three passes and some more, of all lengths.
        let order: Vec<usize> = (0..205).map(|index| index * 5 % texts.len()).collect();
        let many: Vec<String> = order.iter().map(|index| texts[*index].clone()).collect();
        let vectors = encoder.encode(&many).unwrap();
        assert_eq!(vectors.len(), many.len());
        for (index, vector) in order.into_iter().zip(&vectors) {
            let row = expected.get(index as i64);
            assert_close(&texts[index], &Tensor::from_slice(vector), &row, tolerance);
        }
        assert!(encoder.encode(&[]).unwrap().is_empty());
    }
}

#[test]
fn what_cannot_be_encoded_is_named_and_nothing_is_cut() {
    let mut encoder = load_text_encoder(&options(&folder("bert"))).unwrap();
    let mut encode = |texts: &[&str]| {
        encoder.encode(&texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>())
    };
    let fits = vec!["mug"; 18].join(" ");
    assert_eq!(encode(&["a mug", &fits]).unwrap().len(), 2);
    let longer = format!("{fits} mug");
    let refused = encode(&["a mug", &longer]).unwrap_err();
    assert_eq!(refused, EncodeError::TooLong { index: 1, tokens: 21, limit: 20 });
    assert!(refused.to_string().contains("21 tokens"), "{refused}");
    // Spaces, and characters that are cleaned away.
    for empty in ["", " \n\t", "\u{0}\u{fffd}"] {
        assert_eq!(encode(&["a", "b", empty]), Err(EncodeError::Empty { index: 2 }), "{empty:?}");
    }
    let tokenizer = WordPieceTokenizer::open(&folder("bert"), WordPieceRoles::Bert).unwrap();
    assert_eq!(tokenizer.max_tokens(), Some(32));
    let refused = tokenizer.encode("a red mug", 4).unwrap_err();
    let text = "a red mug".to_owned();
    assert_eq!(refused, TextRefused::TooLong { text, found: 5, limit: 4 });
}

#[test]
fn ids_that_the_network_does_not_have_are_refused() {
    let model = Bert::load(&folder("mpnet"), Device::Cpu, Kind::Float).unwrap();
    assert_eq!(model.config().family, BertFamily::Mpnet);
    let vocabulary = model.config().vocabulary;
    for bad in [vocabulary, -1] {
        let refused = model.tokens(&[vec![0, bad, 2]]).unwrap_err();
        assert!(
            matches!(refused, ForwardError::TokenId { found, .. } if found == bad),
            "{refused}"
        );
    }
    for rows in [vec![], vec![vec![0, 2], vec![]], vec![vec![3; 181]]] {
        let refused = model.tokens(&rows).unwrap_err();
        assert!(refused.to_string().contains("[texts, 1 to 180]"), "{refused}");
    }
}

#[test]
fn folders_without_a_whole_tokenizer_are_refused() {
    let open = |folder: &std::path::Path| {
        WordPieceTokenizer::open(folder, WordPieceRoles::Bert).unwrap_err()
    };
    let copy = copied("bert");
    let lines = copy.path().join("vocab.txt");
    let vocabulary = std::fs::read_to_string(&lines).unwrap();
    std::fs::write(&lines, vocabulary.replace("[SEP]\n", "[END]\n")).unwrap();
    let refused = open(copy.path());
    assert!(refused.to_string().contains("lacks the special token \"[SEP]\""), "{refused}");
    std::fs::remove_file(&lines).unwrap();
    let refused = open(copy.path());
    assert!(matches!(refused, TokenizerError::Missing { .. }), "{refused}");
    assert!(refused.to_string().contains("vocab.txt"), "{refused}");
    let bpe = r#"{"model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}}"#;
    for (text, named) in [(bpe, "found BPE"), ("{", "EOF"), (r#"{"model": {}}"#, "vocab")] {
        std::fs::write(copy.path().join("tokenizer.json"), text).unwrap();
        let refused = open(copy.path()).to_string();
        assert!(refused.contains(named), "{refused}");
    }
}
