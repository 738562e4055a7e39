//! What the heads say, turned into detections.
//!
//! Held against `post_process_object_detection` of transformers 5.23.0: each patch gives one box
//! and the text that it resembles most, and is kept where the score is above the threshold.
//! Beyond it: each prompt has a threshold of its own, may have several texts, and may be negative.
//! With one threshold, one text for each prompt and no negative prompt both agree, but for boxes
//! being clipped to the image here.

use tch::{Device, Kind, TchError, Tensor};

use super::prompts::ActivePrompts;
use crate::models::ForwardError;
use crate::models::owl::Owl;
use crate::types::Detection;
use crate::vision::canvas::CanvasGeometry;
use crate::vision::nms::{Contender, greedy_nms};

/// Logits that are worked out at a time (64 MB): bounds the memory that ten thousand texts take.
pub(super) const LOGITS_PER_PASS: i64 = 1 << 24;

/// Values of one patch in [`HeadOutput`]: score, text, centre x, centre y, width, height.
const FIELDS: i64 = 6;

/// The best of each patch, on the host.
#[derive(Debug)]
pub(super) struct HeadOutput {
    patches: usize,
    fields: usize,
    /// `[batch, patches, fields]`: [`FIELDS`], and objectness where the model has it.
    values: Vec<f32>,
}

impl HeadOutput {
    /// Runs the heads on `features` (`[batch, grid, grid, hidden]`) and picks for each patch the
    /// text with the highest score among those above their own threshold. All of that happens on
    /// the device; few numbers for each patch come to the host, in one copy.
    ///
    /// Taking the best of all texts, each under its prompt's threshold, is the same as taking the
    /// best text of each prompt and then the best prompt.
    ///
    /// At most `logits_per_pass` logits are worked out at a time, or those of one text where they
    /// are more.
    ///
    /// # Errors
    /// What libtorch reports.
    pub(super) fn compute(
        model: &Owl,
        features: &Tensor,
        prompts: &ActivePrompts,
        logits_per_pass: i64,
    ) -> Result<Self, ForwardError> {
        let boxes = model.boxes(features)?;
        let (batch, patches, _) = boxes.size3()?;
        let (logit, text) =
            best_texts(model, features, prompts, logits_per_pass / (batch * patches).max(1))?;
        let mut columns = vec![
            logit.f_sigmoid()?.f_unsqueeze(-1)?,
            // Exact: there are far fewer than 2^24 texts.
            text.f_to_kind(Kind::Float)?.f_unsqueeze(-1)?,
            boxes,
        ];
        if let Some(objectness) = model.objectness(features)? {
            columns.push(objectness.f_sigmoid()?.f_unsqueeze(-1)?);
        }
        let packed = Tensor::f_cat(&columns, -1)?.f_to_device(Device::Cpu)?.f_contiguous()?;
        let fields = packed.size().last().copied().unwrap_or(FIELDS) as usize;
        let mut values = vec![0.0f32; packed.numel()];
        packed.f_copy_data(&mut values, packed.numel())?;
        Ok(Self { patches: patches as usize, fields, values })
    }

    /// Patches of the whole batch whose score or box is not a number.
    pub(super) fn not_numbers(&self) -> usize {
        let broken = |patch: &&[f32]| patch.iter().any(|value| value.is_nan());
        self.values.chunks_exact(self.fields).filter(broken).count()
    }

    /// Detections of the image at `index` of the batch.
    pub(super) fn detections(
        &self,
        index: usize,
        geometry: &CanvasGeometry,
        prompts: &ActivePrompts,
        rules: &Rules,
    ) -> Vec<Detection> {
        let per_image = self.patches * self.fields;
        let image = &self.values[index * per_image..(index + 1) * per_image];
        let mut found: Vec<Detection> = image
            .chunks_exact(self.fields)
            .filter_map(|patch| {
                let score = patch[0];
                let prompt = *prompts.prompt_of_text.get(patch[1] as usize)?;
                let negative = prompts.set.prompts[prompt].negative;
                // Strictly above, as in the reference. What no text reached has score 0.
                if negative || score <= prompts.set.threshold_of(prompt) {
                    return None;
                }
                let box_in_norm = [patch[2], patch[3], patch[4], patch[5]];
                let box_in_source_px = geometry.source_px_from_norm(box_in_norm);
                // Nothing of it is in the image: it lies in the padding, say.
                (box_in_source_px.area() > 0.0).then(|| Detection {
                    prompt,
                    score,
                    objectness: patch.get(FIELDS as usize).copied(),
                    box_in_source_px,
                })
            })
            .collect();
        // A stable sort: equal scores stay in the order of patches, so that two runs agree.
        found.sort_by(|a, b| b.score.total_cmp(&a.score));
        if let Some(iou_threshold) = rules.nms_iou {
            let contenders: Vec<_> = found
                .iter()
                .map(|found| Contender { pixel_box: found.box_in_source_px, group: found.prompt })
                .collect();
            let kept = greedy_nms(&contenders, iou_threshold);
            found = kept.into_iter().map(|position| found[position].clone()).collect();
        }
        found.truncate(rules.max_detections);
        found
    }
}

/// What is done to the boxes of one image after thresholds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    /// Intersection over union above which the lower of two boxes of one prompt goes.
    pub(super) nms_iou: Option<f32>,
    /// The most that is reported for one image, best first.
    pub(super) max_detections: usize,
}

/// The highest logit of each patch among texts above their thresholds, and which text it was:
/// f32 and i64 `[batch, patches]`. `-inf` where there is none; NaN where any logit is NaN.
fn best_texts(
    model: &Owl,
    features: &Tensor,
    prompts: &ActivePrompts,
    texts_per_pass: i64,
) -> Result<(Tensor, Tensor), ForwardError> {
    let texts = prompts.queries.size()[0];
    let per_pass = texts_per_pass.clamp(1, texts.max(1));
    let mut best = Vec::new();
    for first in (0..texts).step_by(per_pass as usize) {
        let count = per_pass.min(texts - first);
        let logits = model.class_logits(features, &prompts.queries.f_narrow(0, first, count)?)?;
        let thresholds = prompts.threshold_logits.f_narrow(0, first, count)?;
        let (logit, text) = above_threshold(&logits, &thresholds)?;
        best.push((logit, text.f_add_scalar(first)?));
    }
    if best.len() == 1
        && let Some(only) = best.pop()
    {
        return Ok(only);
    }
    let (logits, texts): (Vec<_>, Vec<_>) = best.into_iter().unzip();
    let (logit, pass) = Tensor::f_stack(&logits, -1)?.f_max_dim(-1, true)?;
    let text = Tensor::f_stack(&texts, -1)?.f_gather(-1, &pass, false)?;
    Ok((logit.f_squeeze_dim(-1)?, text.f_squeeze_dim(-1)?))
}

/// Maximum and its place over the last dimension, among logits above `thresholds`. NaN is never
/// hidden: it compares as not below, and wins the maximum.
fn above_threshold(logits: &Tensor, thresholds: &Tensor) -> Result<(Tensor, Tensor), TchError> {
    let below = logits.f_le_tensor(thresholds)?;
    logits.f_masked_fill(&below, f64::NEG_INFINITY)?.f_max_dim(-1, false)
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::tokenize::ClipTokenizer;
    use crate::types::{Prompt, PromptSet};

    fn folder() -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/owlv2_tiny")
    }

    fn prompts(model: &Owl, texts: &[&str], default_threshold: f32) -> ActivePrompts {
        let prompts = texts.iter().map(|text| Prompt::from_text(text)).collect();
        let set = PromptSet { version: 1, prompts, default_threshold };
        let tokenizer = ClipTokenizer::open(&folder()).unwrap();
        ActivePrompts::encode(Arc::new(set), &tokenizer, model).unwrap()
    }

    #[test]
    fn the_number_of_texts_in_a_pass_changes_nothing() {
        let model = Owl::load(&folder(), Device::Cpu, Kind::Float).unwrap();
        let texts = ["a cat", "a dog", "the left hand", "two red cups", "a photo", "blue"];
        let prompts = prompts(&model, &texts, 0.3);
        let pixels = Tensor::randn([2, 3, 64, 64], (Kind::Float, Device::Cpu));
        let features = model.image_features(&pixels).unwrap();
        let whole =
            HeadOutput::compute(&model, &features, &prompts, LOGITS_PER_PASS).unwrap().values;
        // 2 images of 64 patches: passes of one text, of four and the rest, of all.
        for logits_per_pass in [1, 4 * 128, 6 * 128] {
            let found = HeadOutput::compute(&model, &features, &prompts, logits_per_pass).unwrap();
            for (a, b) in found.values.iter().zip(&whole) {
                // Matrix products of other sizes sum in another order.
                assert!((a - b).abs() < 1e-5, "{logits_per_pass}: {a} {b}");
            }
        }
        assert!(whole.chunks_exact(7).any(|patch| patch[0] > 0.0 && patch[1] > 0.0));
    }

    #[test]
    fn the_best_is_taken_among_those_above_their_own_threshold_and_nan_is_never_hidden() {
        let logits = Tensor::from_slice(
            &[[1.0f32, 2.0, 3.0], [1.0, 2.0, 0.0], [0.0, 0.0, 0.0], [f32::NAN, 2.0, 9.0]].concat(),
        )
        .view([4, 3]);
        // Strictly above: 2.0 does not reach 2.0.
        let thresholds = Tensor::from_slice(&[0.5f32, 2.0, 4.0]);
        let (best, text) = above_threshold(&logits, &thresholds).unwrap();
        let best = Vec::<f32>::try_from(&best).unwrap();
        assert_eq!(&best[..3], [1.0, 1.0, f32::NEG_INFINITY]);
        assert!(best[3].is_nan());
        assert_eq!(&Vec::<i64>::try_from(&text).unwrap()[..2], [0, 0]);
    }

    #[test]
    fn thresholds_of_nought_and_one_take_all_and_nothing() {
        let model = Owl::load(&folder(), Device::Cpu, Kind::Float).unwrap();
        let pixels = Tensor::randn([1, 3, 64, 64], (Kind::Float, Device::Cpu));
        let features = model.image_features(&pixels).unwrap();
        for (threshold, expected) in [(0.0, 64), (1.0, 0)] {
            let prompts = prompts(&model, &["a cat"], threshold);
            let output = HeadOutput::compute(&model, &features, &prompts, LOGITS_PER_PASS).unwrap();
            let scored = output.values.chunks_exact(7).filter(|patch| patch[0] > threshold);
            assert_eq!(scored.count(), expected);
        }
    }
}
