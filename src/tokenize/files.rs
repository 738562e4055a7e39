//! The tokenizer files of a Hugging Face folder: which of them count, and what they say.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokenizers::AddedToken;

use super::TokenizerError;

/// What a byte-level BPE tokenizer is made of.
#[derive(Debug, PartialEq)]
pub(super) struct BpeFiles {
    /// Token to id.
    pub(super) vocabulary: BTreeMap<String, u32>,
    /// Pairs to join, the most urgent first.
    pub(super) merges: Vec<(String, String)>,
    /// The roles that tokens have.
    pub(super) special: SpecialTokens,
    /// Tokens that are recognised in the raw text, before it is split.
    pub(super) added: Vec<AddedToken>,
}

/// The tokens with a role. Where the files do not name one it is the one CLIP has.
#[derive(Debug, PartialEq)]
pub(super) struct SpecialTokens {
    pub(super) start: String,
    pub(super) end: String,
    pub(super) unknown: String,
    pub(super) padding: String,
}

const START: &str = "<|startoftext|>";
const END: &str = "<|endoftext|>";

#[derive(Deserialize)]
struct TokenizerJson {
    model: ModelJson,
    #[serde(default)]
    added_tokens: Vec<AddedTokenJson>,
}

#[derive(Deserialize)]
struct ModelJson {
    vocab: BTreeMap<String, u32>,
    merges: Vec<MergeJson>,
}

/// A merge in the older and in the newer form.
#[derive(Deserialize)]
#[serde(untagged)]
enum MergeJson {
    Line(String),
    Pair(String, String),
}

/// `tokenizer_config.json` and `special_tokens_map.json`: only what concerns encoding.
#[derive(Default, Deserialize)]
#[serde(default)]
struct RolesJson {
    bos_token: Option<TokenJson>,
    eos_token: Option<TokenJson>,
    unk_token: Option<TokenJson>,
    pad_token: Option<TokenJson>,
    added_tokens_decoder: Option<BTreeMap<String, AddedTokenJson>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum TokenJson {
    Text(String),
    Added(AddedTokenJson),
}

#[derive(Clone, Deserialize)]
pub(super) struct AddedTokenJson {
    content: String,
    #[serde(default)]
    single_word: bool,
    #[serde(default)]
    lstrip: bool,
    #[serde(default)]
    rstrip: bool,
    normalized: Option<bool>,
    special: Option<bool>,
}

impl AddedTokenJson {
    pub(super) fn into_token(self, special: bool) -> AddedToken {
        let special = self.special.unwrap_or(special);
        AddedToken {
            content: self.content,
            single_word: self.single_word,
            lstrip: self.lstrip,
            rstrip: self.rstrip,
            // Where it is not said, text is matched as it stands for special tokens only.
            normalized: self.normalized.unwrap_or(!special),
            special,
        }
    }
}

impl TokenJson {
    pub(super) fn content(&self) -> &str {
        match self {
            Self::Text(content) => content,
            Self::Added(token) => &token.content,
        }
    }

    pub(super) fn into_token(self) -> AddedToken {
        match self {
            Self::Text(content) => AddedToken::from(content, true),
            Self::Added(token) => AddedTokenJson { special: None, ..token }.into_token(true),
        }
    }
}

impl BpeFiles {
    /// Reads `tokenizer.json`, or `vocab.json` and `merges.txt` where it is absent, and the roles
    /// of tokens from `tokenizer_config.json` and, as `transformers` does, from
    /// `special_tokens_map.json` where the former has no `added_tokens_decoder`.
    pub(super) fn open(folder: &Path) -> Result<Self, TokenizerError> {
        let whole = folder.join("tokenizer.json");
        let (vocabulary, merges, added_in_whole) = if whole.exists() {
            let TokenizerJson { model, added_tokens } = read_json(&whole)?;
            let merges = model.merges.into_iter().map(|merge| merge.pair(&whole));
            (model.vocab, merges.collect::<Result<_, _>>()?, added_tokens)
        } else {
            let vocabulary = folder.join("vocab.json");
            let merges = folder.join("merges.txt");
            if !vocabulary.exists() && !merges.exists() {
                return Err(TokenizerError::Missing {
                    folder: folder.to_owned(),
                    expected: "tokenizer.json, or vocab.json and merges.txt",
                });
            }
            (read_json(&vocabulary)?, read_merges(&merges)?, Vec::new())
        };

        let mut roles: RolesJson = read_json_if_there(&folder.join("tokenizer_config.json"))?;
        let added: Vec<AddedToken> = match roles.added_tokens_decoder.take() {
            Some(decoder) => decoder.into_values().map(|token| token.into_token(false)).collect(),
            None => {
                let map: RolesJson = read_json_if_there(&folder.join("special_tokens_map.json"))?;
                roles.bos_token = map.bos_token.or(roles.bos_token);
                roles.eos_token = map.eos_token.or(roles.eos_token);
                roles.unk_token = map.unk_token.or(roles.unk_token);
                roles.pad_token = map.pad_token.or(roles.pad_token);
                added_in_whole.into_iter().map(|token| token.into_token(false)).collect()
            }
        };
        let (special, added) = roles.resolve(added);
        Ok(Self { vocabulary, merges, special, added })
    }
}

impl RolesJson {
    /// The roles, and all tokens to recognise in raw text: those listed, then those with a role
    /// that are not.
    fn resolve(self, mut added: Vec<AddedToken>) -> (SpecialTokens, Vec<AddedToken>) {
        let mut role = |token: Option<TokenJson>, default: &str| {
            let token = token.unwrap_or_else(|| TokenJson::Text(default.to_owned()));
            let content = token.content().to_owned();
            match added.iter_mut().find(|known| known.content == content) {
                Some(known) => known.special = true,
                None => added.push(token.into_token()),
            }
            content
        };
        let special = SpecialTokens {
            start: role(self.bos_token, START),
            end: role(self.eos_token, END),
            unknown: role(self.unk_token, END),
            padding: role(self.pad_token, END),
        };
        (special, added)
    }
}

impl MergeJson {
    fn pair(self, path: &Path) -> Result<(String, String), TokenizerError> {
        match self {
            Self::Pair(left, right) => Ok((left, right)),
            Self::Line(line) => split_merge(&line).ok_or_else(|| {
                unusable(path, format!("expected two tokens as a merge, found {line:?}"))
            }),
        }
    }
}

pub(super) fn unusable(path: &Path, reason: String) -> TokenizerError {
    TokenizerError::Unusable { path: path.to_owned(), reason }
}

fn split_merge(line: &str) -> Option<(String, String)> {
    let (left, right) = line.split_once(' ')?;
    (!left.is_empty() && !right.is_empty() && !right.contains(' '))
        .then(|| (left.to_owned(), right.to_owned()))
}

pub(super) fn read_text(path: &Path) -> Result<String, TokenizerError> {
    std::fs::read_to_string(path)
        .map_err(|source| TokenizerError::Io { path: path.to_owned(), source })
}

pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, TokenizerError> {
    serde_json::from_str(&read_text(path)?).map_err(|error| unusable(path, error.to_string()))
}

pub(super) fn read_json_if_there<T: DeserializeOwned + Default>(
    path: &Path,
) -> Result<T, TokenizerError> {
    if path.exists() { read_json(path) } else { Ok(T::default()) }
}

/// One merge a line; the first line may give a version.
fn read_merges(path: &Path) -> Result<Vec<(String, String)>, TokenizerError> {
    read_text(path)?
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.starts_with("#version"))
        .map(|(index, line)| {
            split_merge(line).ok_or_else(|| {
                let number = index + 1;
                unusable(path, format!("line {number}: expected two tokens, found {line:?}"))
            })
        })
        .collect()
}
