//! Sentence encoders of the BERT family.

use super::pictures::{no_numbers, rows_of};
use super::{EncoderError, EncoderOptions};
use crate::models::bert::{Bert, BertConfig, BertFamily, SentenceConfig};
use crate::nn::{device_name, kind_name};
use crate::tasks::{EncodeError, ModelInfo, TextEncoder};
use crate::tokenize::{TextRefused, WordPieceRoles, WordPieceTokenizer};

/// Texts in one pass: bounds the memory that a call with any number of them takes.
const PER_PASS: usize = 64;

/// BERT or MPNet, with its tokenizer and its pooling.
#[derive(Debug)]
pub struct BertEncoder {
    info: ModelInfo,
    model: Bert,
    tokenizer: WordPieceTokenizer,
    sentence: SentenceConfig,
    max_tokens: usize,
}

impl BertEncoder {
    /// Loads a checkpoint from a folder of sentence-transformers or `transformers`.
    ///
    /// # Errors
    /// An option out of range, a device that is not there, and every way in which the folder is
    /// not a checkpoint that can be run.
    pub fn load(options: &EncoderOptions) -> Result<Self, EncoderError> {
        let (device, kind) = options.resolve()?;
        // The small files first: what is wrong with them is known before the weights are read.
        let config = BertConfig::open(&options.model_dir)?;
        let sentence = SentenceConfig::open(&options.model_dir, config.encoder.size)?;
        let roles = match config.family {
            BertFamily::Bert => WordPieceRoles::Bert,
            BertFamily::Mpnet => WordPieceRoles::Mpnet,
        };
        let tokenizer = WordPieceTokenizer::open(&options.model_dir, roles)?;
        let model = Bert::load(&options.model_dir, device, kind)?;
        options.set_threads();
        // What sentence-transformers was told counts before what the tokenizer was.
        let told = sentence.max_tokens.or(tokenizer.max_tokens()).unwrap_or(usize::MAX);
        let max_tokens = told.min(config.max_tokens() as usize);
        Ok(Self {
            info: ModelInfo {
                name: options.name.clone(),
                architecture: config.family.model_type().to_owned(),
                device: device_name(device),
                dtype: kind_name(kind).to_owned(),
                input_size: (0, 0),
                parameters: model.parameters(),
                useful_batch: PER_PASS,
            },
            model,
            tokenizer,
            sentence,
            max_tokens,
        })
    }

    /// The network, for callers that need more than vectors.
    #[must_use]
    pub fn model(&self) -> &Bert {
        &self.model
    }

    /// The most tokens of a text, with those for its start and end.
    #[must_use]
    pub fn max_tokens(&self) -> usize {
        self.max_tokens
    }

    fn ids(&self, index: usize, text: &str) -> Result<Vec<i64>, EncodeError> {
        let lower = self.sentence.lower_case.then(|| text.to_lowercase());
        match self.tokenizer.encode(lower.as_deref().unwrap_or(text), self.max_tokens) {
            // Nothing but the tokens for the start and the end.
            Ok(ids) if ids.len() <= 2 => Err(EncodeError::Empty { index }),
            Ok(ids) => Ok(ids),
            Err(TextRefused::TooLong { found, limit, .. }) => {
                Err(EncodeError::TooLong { index, tokens: found, limit })
            }
            Err(refused @ TextRefused::Unencodable { .. }) => {
                Err(EncodeError::Backend { message: refused.to_string() })
            }
        }
    }
}

impl TextEncoder for BertEncoder {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn dimension(&self) -> usize {
        self.model.config().encoder.size as usize
    }

    fn encode(&mut self, texts: &[String]) -> Result<Vec<Vec<f32>>, EncodeError> {
        let mut rows = texts
            .iter()
            .enumerate()
            .map(|(index, text)| Ok((index, self.ids(index, text)?)))
            .collect::<Result<Vec<_>, EncodeError>>()?;
        // Texts of like lengths in one pass: little of it is padding then.
        rows.sort_by_key(|(_, ids)| ids.len());
        let mut vectors = vec![Vec::new(); texts.len()];
        for pass in rows.chunks(PER_PASS) {
            let (indices, ids): (Vec<usize>, Vec<Vec<i64>>) = pass.iter().cloned().unzip();
            let encoded = self
                .model
                .embed(&ids, &self.sentence)
                .and_then(|rows| Ok(rows_of(&rows)?))
                .map_err(|error| EncodeError::Backend { message: error.to_string() })?;
            for (index, vector) in indices.into_iter().zip(encoded) {
                let broken = vector.iter().filter(|value| !value.is_finite()).count();
                if broken > 0 {
                    let message = no_numbers(broken, self.model.kind());
                    return Err(EncodeError::Backend { message });
                }
                vectors[index] = vector;
            }
        }
        Ok(vectors)
    }
}
