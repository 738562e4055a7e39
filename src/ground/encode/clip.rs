//! CLIP as an encoder of pictures and of texts.

use std::sync::Arc;

use image::RgbImage;

use super::pictures::{Pictures, no_numbers, rows_of};
use super::{EncoderError, EncoderOptions};
use crate::models::clip::Clip;
use crate::models::prompts::embed_rows;
use crate::nn::{device_name, kind_name};
use crate::tasks::{DetectError, EncodeError, ImageEncoder, ModelInfo, TextEncoder};
use crate::tokenize::{ClipTokenizer, TextRefused};
use crate::vision::recipe::Recipe;

/// Both towers of CLIP with preprocessing and tokenizer. Vectors of pictures and of texts lie in
/// one space: the cosine of two of them, times [`Clip::scale`], is CLIP's logit. As the
/// checkpoint's preprocessing asks for, what lies beside the middle square of a picture is not
/// seen: give it crops.
#[derive(Debug)]
pub struct ClipEncoder {
    info: ModelInfo,
    model: Clip,
    tokenizer: ClipTokenizer,
    pictures: Pictures,
}

impl ClipEncoder {
    /// Loads a checkpoint from a Hugging Face folder.
    ///
    /// # Errors
    /// An option out of range, a device that is not there, and every way in which the folder is
    /// not a checkpoint that can be run.
    pub fn load(options: &EncoderOptions) -> Result<Self, EncoderError> {
        let (device, kind) = options.resolve()?;
        // The small files first: what is wrong with them is known before the weights are read.
        let recipe = Recipe::open(&options.model_dir)?;
        let (width, height) = (recipe.canvas_width, recipe.canvas_height);
        let tokenizer = ClipTokenizer::open(&options.model_dir)?;
        let model = Clip::load(&options.model_dir, device, kind)?;
        let side = model.config().image.image_size;
        if i64::from(width) != side || i64::from(height) != side {
            return Err(EncoderError::Canvas {
                model_dir: options.model_dir.clone(),
                width,
                height,
                expected: format!("{side}x{side}"),
            });
        }
        options.set_threads();
        let pictures = Pictures::new(recipe, options.threads, (device, kind));
        Ok(Self {
            info: ModelInfo {
                name: options.name.clone(),
                architecture: "clip".to_owned(),
                device: device_name(device),
                dtype: kind_name(kind).to_owned(),
                input_size: (height, width),
                parameters: model.parameters(),
                useful_batch: pictures.per_pass(),
            },
            model,
            tokenizer,
            pictures,
        })
    }

    /// The network, for callers that need more than vectors.
    #[must_use]
    pub fn model(&self) -> &Clip {
        &self.model
    }

    fn ids(&self, index: usize, text: &str) -> Result<Vec<i64>, EncodeError> {
        if text.trim().is_empty() {
            return Err(EncodeError::Empty { index });
        }
        let limit = usize::try_from(self.model.config().text.max_tokens).unwrap_or(0);
        self.tokenizer.encode(text, limit).map_err(|refused| match refused {
            TextRefused::TooLong { found, limit, .. } => {
                EncodeError::TooLong { index, tokens: found, limit }
            }
            TextRefused::Unencodable { .. } => {
                EncodeError::Backend { message: refused.to_string() }
            }
        })
    }
}

impl ImageEncoder for ClipEncoder {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn dimension(&self) -> usize {
        self.model.config().projection as usize
    }

    fn encode(&mut self, images: &[Arc<RgbImage>]) -> Result<Vec<Vec<f32>>, DetectError> {
        let model = &self.model;
        self.pictures.encode(images, |_, pixel_values| model.embed_images(pixel_values))
    }
}

impl TextEncoder for ClipEncoder {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn dimension(&self) -> usize {
        self.model.config().projection as usize
    }

    fn encode(&mut self, texts: &[String]) -> Result<Vec<Vec<f32>>, EncodeError> {
        let ids = texts
            .iter()
            .enumerate()
            .map(|(index, text)| self.ids(index, text))
            .collect::<Result<Vec<_>, _>>()?;
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let end_id = i64::from(self.tokenizer.end_id());
        let vectors = embed_rows(&ids, end_id, |ids| self.model.embed_texts(ids))
            .and_then(|rows| Ok(rows_of(&rows)?))
            .map_err(|error| EncodeError::Backend { message: error.to_string() })?;
        let broken = vectors.iter().flatten().filter(|value| !value.is_finite()).count();
        if broken > 0 {
            return Err(EncodeError::Backend { message: no_numbers(broken, self.model.kind()) });
        }
        Ok(vectors)
    }
}
