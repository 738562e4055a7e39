//! CLIP as a classifier: which of several labels fits a picture best.

use std::sync::Arc;

use image::RgbImage;

use super::encode::{ClipEncoder, EncoderError, EncoderOptions};
use crate::models::clip::ClipTexts;
use crate::models::prompts::PromptEncoder;
use crate::models::{self, TextStoreOptions};
use crate::tasks::{Classifier, DetectError, ImageEncoder, ModelInfo, PromptsAhead};
use crate::tokenize::ClipTokenizer;
use crate::types::{FinerScore, PromptSet, PromptSetRefused};

/// CLIP, with its tokenizer and its preprocessing. The scores of the labels are what the reference
/// gives as `logits_per_image.softmax()`: of each label the cosine with the picture, times CLIP's
/// learned factor, and a softmax over all labels.
pub struct ClipClassifier {
    pictures: ClipEncoder,
    encoder: Arc<PromptEncoder>,
}

impl ClipClassifier {
    /// Loads a checkpoint from a Hugging Face folder. `text_store` is where encoded labels are kept
    /// from one start to the next; `None` encodes them anew, which alone gives the same bits each
    /// time.
    ///
    /// # Errors
    /// As [`ClipEncoder::load`], and a checkpoint that is no CLIP.
    pub fn load(
        options: &EncoderOptions,
        text_store: Option<&TextStoreOptions>,
    ) -> Result<Self, EncoderError> {
        let found = models::architecture(&options.model_dir)?;
        if found != "clip" {
            return Err(EncoderError::Architecture {
                model_dir: options.model_dir.clone(),
                encodes: "pictures and texts alike",
                expected: "clip",
                found,
            });
        }
        let pictures = ClipEncoder::load(options)?;
        let model = pictures.model();
        let (max_tokens, device) = (model.config().text.max_tokens, model.device());
        let tokenizer = ClipTokenizer::open(&options.model_dir)?;
        let store = text_store.and_then(|store| store.open(device, model.kind()));
        let encoder = Arc::new(PromptEncoder::new(tokenizer, max_tokens, device, store));
        Ok(Self { pictures, encoder })
    }
}

impl Classifier for ClipClassifier {
    fn info(&self) -> &ModelInfo {
        ImageEncoder::info(&self.pictures)
    }

    fn encode_finer(&self, prompts: &PromptSet) -> Result<Vec<Vec<Vec<f32>>>, PromptSetRefused> {
        self.encoder.encode_finer(prompts, |ids| self.pictures.model().embed_texts(ids))
    }

    fn prompts_ahead(&self) -> Option<Arc<dyn PromptsAhead>> {
        let (encoder, texts) = (Arc::clone(&self.encoder), self.pictures.model().texts());
        Some(Arc::new(ClipAhead { encoder, texts }))
    }

    fn classify(
        &mut self,
        images: &[Arc<RgbImage>],
        labels: &[&[Vec<f32>]],
    ) -> Result<Vec<Vec<FinerScore>>, DetectError> {
        let vectors = ImageEncoder::encode(&mut self.pictures, images)?;
        let scale = self.pictures.model().scale();
        Ok(vectors
            .iter()
            .zip(labels)
            .map(|(vector, labels)| scores(vector, labels, scale))
            .collect())
    }
}

/// The texts of a classifier, on another thread.
struct ClipAhead {
    encoder: Arc<PromptEncoder>,
    texts: ClipTexts,
}

impl PromptsAhead for ClipAhead {
    fn encode(&self, prompts: &PromptSet) {
        // What is wrong with the set is told when it is put into use.
        let _ = self.encoder.encode_finer(prompts, |ids| self.texts.embed(ids));
    }
}

/// By falling score; of equal ones the first label comes first. `labels` are of length 1.
fn scores(picture: &[f32], labels: &[Vec<f32>], scale: f64) -> Vec<FinerScore> {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
    };
    let length = dot(picture, picture).sqrt().max(f64::MIN_POSITIVE);
    let logits: Vec<f64> =
        labels.iter().map(|label| scale * dot(picture, label) / length).collect();
    let best = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = logits.iter().map(|logit| (logit - best).exp()).collect();
    let sum: f64 = weights.iter().sum();
    let mut scores: Vec<_> = weights
        .iter()
        .enumerate()
        .map(|(label, weight)| FinerScore { label, score: (weight / sum) as f32 })
        .collect();
    scores.sort_by(|a, b| b.score.total_cmp(&a.score));
    scores
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_a_softmax_of_scaled_cosines_and_never_overflow() {
        let labels = [vec![1.0, 0.0], vec![0.0, 1.0], vec![-1.0, 0.0]];
        // Cosines 0.6, 0.8 and -0.6 of a picture of length 5.
        let found = scores(&[3.0, 4.0], &labels, 10.0);
        let order: Vec<_> = found.iter().map(|score| score.label).collect();
        assert_eq!(order, [1, 0, 2]);
        let sum = 1.0 + (-2.0_f64).exp() + (-14.0_f64).exp();
        for (found, expected) in found.iter().zip([0.0_f64, -2.0, -14.0]) {
            // One rounding to f32, at values of at most 1.
            assert!((f64::from(found.score) - expected.exp() / sum).abs() < 1e-7);
        }
        let sharp = scores(&[3.0, 4.0], &labels, 1e6);
        assert_eq!((sharp[0].score, sharp[1].score), (1.0, 0.0));
        let equal = scores(&[0.0, 0.0], &labels, 100.0);
        assert!(equal.iter().all(|score| score.score == 1.0 / 3.0), "{equal:?}");
        assert_eq!(equal[0].label, 0);
    }
}
