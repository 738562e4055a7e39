//! WordPiece, the tokenizer of BERT and MPNet.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;
// The map that both models take; WordPiece keeps its own name for it private.
use tokenizers::models::bpe::Vocab;
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::{BertNormalizer, NormalizerWrapper};
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::{AddedToken, Tokenizer};

use super::files::{AddedTokenJson, TokenJson, read_json, read_json_if_there, read_text, unusable};
use super::{TextRefused, TokenizerError};

/// A word of more characters is unknown as a whole, as in the reference.
const LONGEST_WORD: usize = 100;

/// What stands before a piece that goes on with a word.
const CONTINUING: &str = "##";

/// Limits beyond this are a stand-in for none (the reference writes 10^30).
const NO_LIMIT: f64 = 1e9;

/// Which tokens have a role where the files do not name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WordPieceRoles {
    /// `[CLS]`, `[SEP]`, `[PAD]`, `[MASK]`.
    Bert,
    /// `<s>`, `</s>`, `<pad>`, `<mask>`.
    Mpnet,
}

impl WordPieceRoles {
    /// Start, end, padding, mask.
    fn defaults(self) -> [&'static str; 4] {
        match self {
            Self::Bert => ["[CLS]", "[SEP]", "[PAD]", "[MASK]"],
            Self::Mpnet => ["<s>", "</s>", "<pad>", "<mask>"],
        }
    }
}

/// WordPiece (Wu et al. 2016, arXiv:1609.08144) with the vocabulary of one checkpoint.
///
/// Held against `BertTokenizer` and `MPNetTokenizer` of `transformers` 5.23.0. As there, only the
/// vocabulary, the special tokens and three switches (lower case, accents, Chinese characters)
/// come from the checkpoint; what a `tokenizer.json` says about cutting and padding does not count,
/// since nothing is cut here.
#[derive(Debug)]
pub struct WordPieceTokenizer {
    tokenizer: Tokenizer,
    start_id: u32,
    end_id: u32,
    max_tokens: Option<usize>,
}

#[derive(Deserialize)]
struct TokenizerJson {
    model: ModelJson,
    #[serde(default)]
    added_tokens: Vec<AddedTokenJson>,
}

#[derive(Deserialize)]
struct ModelJson {
    #[serde(rename = "type")]
    kind: Option<String>,
    vocab: BTreeMap<String, u32>,
}

/// `tokenizer_config.json` and `special_tokens_map.json`: only what concerns encoding.
#[derive(Default, Deserialize)]
#[serde(default)]
struct SettingsJson {
    cls_token: Option<TokenJson>,
    sep_token: Option<TokenJson>,
    pad_token: Option<TokenJson>,
    mask_token: Option<TokenJson>,
    unk_token: Option<TokenJson>,
    do_lower_case: Option<bool>,
    strip_accents: Option<bool>,
    tokenize_chinese_chars: Option<bool>,
    model_max_length: Option<Value>,
    added_tokens_decoder: Option<BTreeMap<String, AddedTokenJson>>,
}

impl WordPieceTokenizer {
    /// Opens the tokenizer of a Hugging Face folder: `tokenizer.json`, or `vocab.txt`; switches and
    /// the roles of tokens from `tokenizer_config.json` and `special_tokens_map.json` where they
    /// are there, else `roles`.
    ///
    /// # Errors
    /// Files that are missing, damaged or do not fit each other.
    pub fn open(folder: &Path, roles: WordPieceRoles) -> Result<Self, TokenizerError> {
        let whole = folder.join("tokenizer.json");
        let (vocabulary, added_in_whole) = if whole.exists() {
            let TokenizerJson { model, added_tokens } = read_json(&whole)?;
            if let Some(kind) = model.kind.filter(|kind| kind != "WordPiece") {
                return Err(unusable(&whole, format!("expected WordPiece, found {kind}")));
            }
            (model.vocab, added_tokens)
        } else {
            let lines = folder.join("vocab.txt");
            if !lines.exists() {
                let expected = "tokenizer.json or vocab.txt";
                return Err(TokenizerError::Missing { folder: folder.to_owned(), expected });
            }
            (read_vocabulary(&lines)?, Vec::new())
        };
        let mut settings: SettingsJson = read_json_if_there(&folder.join("tokenizer_config.json"))?;
        let added = match settings.added_tokens_decoder.take() {
            Some(decoder) => decoder.into_values().collect(),
            None => {
                let map: SettingsJson =
                    read_json_if_there(&folder.join("special_tokens_map.json"))?;
                settings.cls_token = map.cls_token.or(settings.cls_token);
                settings.sep_token = map.sep_token.or(settings.sep_token);
                settings.pad_token = map.pad_token.or(settings.pad_token);
                settings.mask_token = map.mask_token.or(settings.mask_token);
                settings.unk_token = map.unk_token.or(settings.unk_token);
                added_in_whole
            }
        };
        Self::build(vocabulary, settings, added, roles)
            .map_err(|reason| TokenizerError::Inconsistent { folder: folder.to_owned(), reason })
    }

    fn build(
        vocabulary: BTreeMap<String, u32>,
        settings: SettingsJson,
        added: Vec<AddedTokenJson>,
        roles: WordPieceRoles,
    ) -> Result<Self, String> {
        let mut added: Vec<AddedToken> =
            added.into_iter().map(|token| token.into_token(false)).collect();
        let mut role = |token: Option<TokenJson>, default: &str| {
            let token = token.unwrap_or_else(|| TokenJson::Text(default.to_owned()));
            let content = token.content().to_owned();
            if !added.iter().any(|known| known.content == content) {
                added.push(token.into_token());
            }
            content
        };
        let [start, end, padding, mask] = roles.defaults();
        let start = role(settings.cls_token, start);
        let end = role(settings.sep_token, end);
        let _ = (role(settings.pad_token, padding), role(settings.mask_token, mask));
        let unknown = role(settings.unk_token, "[UNK]");
        // A mask has no use here; some vocabularies have none.
        added.retain(|token| vocabulary.contains_key(&token.content));
        let id = |token: &str| {
            vocabulary
                .get(token)
                .copied()
                .ok_or_else(|| format!("the vocabulary lacks the special token {token:?}"))
        };
        let (start_id, end_id) = (id(&start)?, id(&end)?);
        id(&unknown)?;

        let text = |error: tokenizers::Error| error.to_string();
        let model = WordPiece::builder()
            .vocab(vocabulary.into_iter().collect::<Vocab>())
            .unk_token(unknown)
            .continuing_subword_prefix(CONTINUING.to_owned())
            .max_input_chars_per_word(LONGEST_WORD)
            .build()
            .map_err(text)?;
        let mut tokenizer = Tokenizer::new(model);
        let normalizer = BertNormalizer::new(
            true,
            settings.tokenize_chinese_chars.unwrap_or(true),
            settings.strip_accents,
            settings.do_lower_case.unwrap_or(true),
        );
        tokenizer
            .with_normalizer(Some(NormalizerWrapper::BertNormalizer(normalizer)))
            .map_err(text)?;
        tokenizer.with_pre_tokenizer(Some(PreTokenizerWrapper::BertPreTokenizer(BertPreTokenizer)));
        tokenizer.add_tokens(added).map_err(text)?;
        let max_tokens = settings
            .model_max_length
            .and_then(|limit| limit.as_f64())
            .filter(|limit| (1.0..NO_LIMIT).contains(limit))
            .map(|limit| limit as usize);
        Ok(Self { tokenizer, start_id, end_id, max_tokens })
    }

    /// The ids of `text`, from start to end token.
    ///
    /// # Errors
    /// [`TextRefused::TooLong`] where the text has more than `max_tokens` tokens.
    pub fn encode(&self, text: &str, max_tokens: usize) -> Result<Vec<i64>, TextRefused> {
        let words = self.tokenizer.encode_fast(text, false).map_err(|error| {
            TextRefused::Unencodable { text: text.to_owned(), reason: error.to_string() }
        })?;
        let words = words.get_ids();
        let found = words.len() + 2;
        if found > max_tokens {
            return Err(TextRefused::TooLong { text: text.to_owned(), found, limit: max_tokens });
        }
        let ids = [self.start_id].into_iter().chain(words.iter().copied()).chain([self.end_id]);
        Ok(ids.map(i64::from).collect())
    }

    /// The most tokens of a text by the tokenizer's own files (`model_max_length`).
    #[must_use]
    pub fn max_tokens(&self) -> Option<usize> {
        self.max_tokens
    }
}

/// One token a line, its id is its line's number from 0.
fn read_vocabulary(path: &Path) -> Result<BTreeMap<String, u32>, TokenizerError> {
    let mut vocabulary = BTreeMap::new();
    for (id, line) in (0_u32..).zip(read_text(path)?.lines()) {
        vocabulary.insert(line.trim_end_matches('\r').to_owned(), id);
    }
    Ok(vocabulary)
}
