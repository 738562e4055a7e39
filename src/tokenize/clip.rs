//! CLIP's tokenizer.

use std::collections::BTreeMap;
use std::path::Path;

use tokenizers::models::bpe::BPE;
use tokenizers::normalizers::replace::ReplacePattern;
use tokenizers::normalizers::{
    Lowercase, NFC, NormalizerWrapper, Replace, Sequence as Normalizers,
};
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence as PreTokenizers;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{SplitDelimiterBehavior, Tokenizer};

use super::TokenizerError;
use super::files::BpeFiles;

/// What a text is split into: contractions, words, single digits, and runs of anything else.
const PIECES: &str = concat!(
    r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d",
    r"|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
);

/// What CLIP's merges mark the last piece of a word with.
const END_OF_WORD: &str = "</w>";

/// Why a text has no ids.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextRefused {
    /// It has more tokens than the model takes. It is refused and never cut: what would be cut
    /// off could be the word that matters.
    #[error("{text:?} has {found} tokens, the model takes at most {limit}: use fewer words")]
    TooLong {
        /// The text.
        text: String,
        /// Its tokens, with those for the start and the end.
        found: usize,
        /// The most that the model takes.
        limit: usize,
    },
    /// The tokenizer gave up on it.
    #[error("{text:?} cannot be split into tokens: {reason}")]
    Unencodable {
        /// The text.
        text: String,
        /// What the tokenizer said.
        reason: String,
    },
}

/// CLIP's byte-level BPE (Radford et al. 2021, arXiv:2103.00020) with the vocabulary of one
/// checkpoint.
///
/// Held against `CLIPTokenizer` of `transformers` 5.23.0. As there, only the vocabulary, the
/// merges and the special tokens come from the checkpoint; how text is cleaned (Unicode NFC, runs
/// of white space, lower case) and split is fixed. A special token inside a text is recognised as
/// such: with OWL-ViT's padding token `!` an exclamation mark becomes padding, as in the
/// reference.
#[derive(Debug)]
pub struct ClipTokenizer {
    tokenizer: Tokenizer,
    start_id: u32,
    end_id: u32,
    padding_id: u32,
}

impl ClipTokenizer {
    /// Opens the tokenizer of a Hugging Face folder: `tokenizer.json`, or `vocab.json` and
    /// `merges.txt`; the roles of tokens from `tokenizer_config.json` and
    /// `special_tokens_map.json` where they are there.
    ///
    /// # Errors
    /// Files that are missing, damaged or do not fit each other.
    pub fn open(folder: &Path) -> Result<Self, TokenizerError> {
        let files = BpeFiles::open(folder)?;
        Self::build(files)
            .map_err(|reason| TokenizerError::Inconsistent { folder: folder.to_owned(), reason })
    }

    fn build(files: BpeFiles) -> Result<Self, String> {
        let BpeFiles { vocabulary, merges, special, added } = files;
        check_merges(&vocabulary, &merges)?;
        let id = |token: &str| {
            vocabulary
                .get(token)
                .copied()
                .ok_or_else(|| format!("the vocabulary lacks the special token {token:?}"))
        };
        let (start_id, end_id) = (id(&special.start)?, id(&special.end)?);
        let padding_id = id(&special.padding)?;
        for token in added.iter().map(|token| token.content.as_str()).chain([&*special.unknown]) {
            id(token)?;
        }

        let text = |error: tokenizers::Error| error.to_string();
        let bpe = BPE::builder()
            .vocab_and_merges(
                vocabulary.into_iter().collect::<tokenizers::models::bpe::Vocab>(),
                merges,
            )
            .unk_token(special.unknown)
            .end_of_word_suffix(END_OF_WORD.to_owned())
            .build()
            .map_err(text)?;
        let spaces = Replace::new(ReplacePattern::Regex(r"\s+".to_owned()), " ").map_err(text)?;
        let pieces = Split::new(
            SplitPattern::Regex(PIECES.to_owned()),
            SplitDelimiterBehavior::Removed,
            true,
        )
        .map_err(text)?;
        let mut tokenizer = Tokenizer::new(bpe);
        tokenizer
            .with_normalizer(Some(Normalizers::new(vec![
                NormalizerWrapper::NFC(NFC),
                NormalizerWrapper::Replace(spaces),
                NormalizerWrapper::Lowercase(Lowercase),
            ])))
            .map_err(text)?;
        tokenizer.with_pre_tokenizer(Some(PreTokenizers::new(vec![
            PreTokenizerWrapper::Split(pieces),
            PreTokenizerWrapper::ByteLevel(ByteLevel::new(false, true, true)),
        ])));
        tokenizer.add_tokens(added).map_err(text)?;
        Ok(Self { tokenizer, start_id, end_id, padding_id })
    }

    /// The ids of `text`, from start to end token, padded to exactly `max_tokens`: one row of
    /// what a text tower takes.
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
        Ok(ids.chain(std::iter::repeat(self.padding_id)).take(max_tokens).map(i64::from).collect())
    }

    /// The id that marks the end of a text. CLIP's text tower reads its result at the highest id
    /// of a text, so this must be the highest of the vocabulary.
    #[must_use]
    pub fn end_id(&self) -> u32 {
        self.end_id
    }
}

/// Every merge joins two tokens of the vocabulary into a third. (The tokenizers crate relies on
/// the last and reads out of bounds where it does not hold.)
fn check_merges(
    vocabulary: &BTreeMap<String, u32>,
    merges: &[(String, String)],
) -> Result<(), String> {
    for (left, right) in merges {
        let joined = format!("{left}{right}");
        for token in [left, right, &joined] {
            if !vocabulary.contains_key(token) {
                return Err(format!(
                    "the merge {left:?} {right:?} needs {token:?}, which the vocabulary lacks"
                ));
            }
        }
    }
    Ok(())
}
