//! What the heads say, turned into detections.
//!
//! Held against `post_process_object_detection` of transformers 5.23.0: each patch gives one box
//! and the text that it resembles most, and is kept where the score is above the threshold.
//! Beyond it: each prompt has a threshold of its own, may have several texts and exemplars, and may
//! be negative; and a box may have several names. Where it says text here, a query is meant.
//! With one threshold, one text for each prompt and no negative prompt both agree, but for boxes
//! being clipped to the image here.

use tch::{Device, Kind, TchError, Tensor};

use super::prompts::ActivePrompts;
use super::weak::{beside, contender, weak_name};
use crate::models::ForwardError;
use crate::models::owl::Owl;
use crate::tasks::{DetectionRules, Proposal};
use crate::types::{Detection, WeakDetection};
use crate::vision::canvas::CanvasGeometry;
use crate::vision::nms::{Contender, greedy_nms};

/// Logits that are worked out at a time (64 MB): bounds the memory that ten thousand texts take.
pub(super) const LOGITS_PER_PASS: i64 = 1 << 24;

/// Overlap (IoU) above which the lower of two regions is dropped, whatever they show.
pub(super) const REGION_NMS_IOU: f32 = 0.5;

/// Regions that are looked at for each that is wanted: neighbours mostly propose the same one.
pub(super) const CANDIDATES_PER_REGION: usize = 20;

/// The best of each patch, on the host.
#[derive(Debug)]
pub(super) struct HeadOutput {
    patches: usize,
    /// Names that a patch has; a name that is none has score 0.
    names: usize,
    fields: usize,
    /// `[batch, patches, fields]`: the scores of its names, falling; their texts; centre x, centre
    /// y, width and height of its box; objectness where the model has it, or where it has none and
    /// regions are asked for, what a perfect query would score; where weak boxes are asked for, the
    /// highest score above the weak limit of its text (0 for none) and that text.
    values: Vec<f32>,
    has_objectness: bool,
    /// `[batch, texts]`: the best score of each text over all patches, whatever its threshold.
    best_of_texts: Vec<f32>,
    texts: usize,
}

impl HeadOutput {
    /// Runs the heads on `features` (`[batch, grid, grid, hidden]`) and picks for each patch the
    /// `names` texts with the highest scores among those above their own thresholds. All of that
    /// happens on the device; few numbers for each patch come to the host, in one copy.
    ///
    /// Taking the best of all texts, each under its prompt's threshold, is the same as taking the
    /// best text of each prompt and then the best prompt.
    ///
    /// `regions` says whether [`proposals`](Self::proposals) are asked for. Without any query there
    /// are no names.
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
        names: usize,
        regions: bool,
        logits_per_pass: i64,
    ) -> Result<Self, ForwardError> {
        let names = names.max(1).min(prompts.prompt_of_query.len());
        let boxes = model.boxes(features)?;
        let (batch, patches, _) = boxes.size3()?;
        let texts_per_pass = logits_per_pass / (batch * patches).max(1);
        let Best { logit, text, weak, logit_of_text } =
            best_texts(model, features, prompts, names as i64, texts_per_pass)?;
        // A text as a float is exact: there are far fewer than 2^24.
        let mut columns = vec![logit.f_sigmoid()?, text.f_to_kind(Kind::Float)?, boxes];
        let objectness = model.objectness(features)?;
        let has_objectness = objectness.is_some();
        let of_regions = match objectness {
            None if regions => Some(model.highest_possible_logits(features)?),
            objectness => objectness,
        };
        if let Some(logits) = of_regions {
            columns.push(logits.f_sigmoid()?.f_unsqueeze(-1)?);
        }
        if let Some((logit, text)) = weak {
            columns.extend([logit.f_sigmoid()?, text.f_to_kind(Kind::Float)?]);
        }
        // Names and their texts are as many columns as there are names, a box is four.
        let fields = 2 * names + columns.len() + 1;
        let of_patches = Tensor::f_cat(&columns, -1)?.f_view([batch, -1])?;
        let packed = Tensor::f_cat(&[of_patches, logit_of_text.f_sigmoid()?], -1)?;
        let packed = packed.f_to_device(Device::Cpu)?.f_contiguous()?;
        let mut all = vec![0.0f32; packed.numel()];
        packed.f_copy_data(&mut all, packed.numel())?;
        let (patches, texts) = (patches as usize, prompts.prompt_of_query.len());
        let (mut values, mut best_of_texts) = (Vec::new(), Vec::new());
        for image in all.chunks_exact(patches * fields + texts) {
            let (of_patches, of_texts) = image.split_at(patches * fields);
            values.extend_from_slice(of_patches);
            best_of_texts.extend_from_slice(of_texts);
        }
        Ok(Self { patches, names, fields, values, has_objectness, best_of_texts, texts })
    }

    /// Patches of the whole batch whose score or box is not a number.
    pub(super) fn not_numbers(&self) -> usize {
        let broken = |patch: &&[f32]| patch.iter().any(|value| value.is_nan());
        self.values.chunks_exact(self.fields).filter(broken).count()
    }

    /// The best score of each prompt in the image at `index` of the batch.
    pub(super) fn best_scores(&self, index: usize, prompts: &ActivePrompts) -> Vec<f32> {
        let mut best = vec![0.0_f32; prompts.set.prompts.len()];
        let of_texts = &self.best_of_texts[index * self.texts..(index + 1) * self.texts];
        for (score, prompt) in of_texts.iter().zip(&prompts.prompt_of_query) {
            best[*prompt] = best[*prompt].max(*score);
        }
        best
    }

    /// Detections of the image at `index` of the batch, and where they are asked for the weak ones.
    pub(super) fn detections(
        &self,
        index: usize,
        geometry: &CanvasGeometry,
        prompts: &ActivePrompts,
        rules: DetectionRules,
    ) -> (Vec<Detection>, Vec<WeakDetection>) {
        let (mut found, mut weak) = (Vec::new(), Vec::new());
        for patch in self.patches_of(index) {
            let (scores, rest) = patch.split_at(self.names);
            let (texts, rest) = rest.split_at(self.names);
            let box_in_source_px =
                geometry.source_px_from_norm([rest[0], rest[1], rest[2], rest[3]]);
            // Nothing of it is in the image: it lies in the padding, say.
            if box_in_source_px.area() <= 0.0 {
                continue;
            }
            let first = found.len();
            let mut is_free = true;
            for (&score, &text) in scores.iter().zip(texts) {
                let Some(&prompt) = prompts.prompt_of_query.get(text as usize) else { break };
                // Strictly above, as in the reference. What no text reached has score 0.
                if score <= prompts.set.threshold_of(prompt) {
                    break;
                }
                is_free = false;
                // A distractor takes the box from all that score less.
                if prompts.set.prompts[prompt].negative {
                    break;
                }
                // Another text of the same prompt resembles it more.
                if found[first..].iter().any(|other: &Detection| other.prompt == prompt) {
                    continue;
                }
                let objectness = rest.get(4).copied().filter(|_| self.has_objectness);
                found.push(Detection {
                    prompt,
                    score,
                    objectness,
                    box_in_source_px,
                    mask: None,
                    finer: Vec::new(),
                    explanation: None,
                });
            }
            if is_free && let Some((prompt, score)) = weak_name(patch, prompts) {
                weak.push(WeakDetection { prompt, score, box_in_source_px });
            }
        }
        // A stable sort: equal scores stay in the order of patches, so that two runs agree.
        found.sort_by(|a, b| b.score.total_cmp(&a.score));
        if let Some(iou_threshold) = rules.nms_iou {
            let contenders: Vec<_> = found
                .iter()
                .map(|one| contender(one.prompt, one.box_in_source_px, rules))
                .collect();
            let kept = greedy_nms(&contenders, iou_threshold);
            found = kept.into_iter().map(|position| found[position].clone()).collect();
        }
        let weak = beside(&found, weak, rules);
        found.truncate(rules.max_detections);
        (found, weak)
    }

    /// At most `most` regions of the image at `index` of the batch that look like things, best
    /// first; none where none were asked for.
    pub(super) fn proposals(
        &self,
        index: usize,
        geometry: &CanvasGeometry,
        most: usize,
    ) -> Vec<Proposal> {
        let region = |patch: &[f32]| {
            let &[cx, cy, w, h, score] = patch.get(2 * self.names..)?.first_chunk()?;
            let box_in_source_px = geometry.source_px_from_norm([cx, cy, w, h]);
            (box_in_source_px.area() > 0.0).then_some(Proposal { box_in_source_px, score })
        };
        let mut found: Vec<Proposal> = self.patches_of(index).filter_map(region).collect();
        found.sort_by(|a, b| b.score.total_cmp(&a.score));
        found.truncate(most.saturating_mul(CANDIDATES_PER_REGION));
        let contenders: Vec<_> = found
            .iter()
            .map(|region| Contender { pixel_box: region.box_in_source_px, group: 0 })
            .collect();
        let kept = greedy_nms(&contenders, REGION_NMS_IOU);
        kept.into_iter().take(most).map(|position| found[position]).collect()
    }

    fn patches_of(&self, index: usize) -> std::slice::ChunksExact<'_, f32> {
        let per_image = self.patches * self.fields;
        self.values[index * per_image..(index + 1) * per_image].chunks_exact(self.fields)
    }
}

/// What is kept of all logits.
struct Best {
    /// The highest logits of each patch among texts above their thresholds, falling: f32 `[batch,
    /// patches, names]`. `-inf` where there is none; NaN where any logit is NaN.
    logit: Tensor,
    /// Which texts those were: i64 `[batch, patches, names]`.
    text: Tensor,
    /// The same above the weak limits, `[batch, patches, 1]`; `None` where that is not asked for.
    weak: Option<(Tensor, Tensor)>,
    /// The highest logit of each text among all patches: f32 `[batch, texts]`.
    logit_of_text: Tensor,
}

fn best_texts(
    model: &Owl,
    features: &Tensor,
    prompts: &ActivePrompts,
    names: i64,
    texts_per_pass: i64,
) -> Result<Best, ForwardError> {
    let texts = prompts.queries.size()[0];
    if texts == 0 {
        let (batch, grid, ..) = features.size4()?;
        let none = |shape: &[i64], kind| Tensor::f_zeros(shape, (kind, features.device()));
        return Ok(Best {
            logit: none(&[batch, grid * grid, 0], Kind::Float)?,
            text: none(&[batch, grid * grid, 0], Kind::Int64)?,
            weak: None,
            logit_of_text: none(&[batch, 0], Kind::Float)?,
        });
    }
    let per_pass = texts_per_pass.clamp(1, texts.max(1));
    let (mut strong, mut weak, mut of_texts) = (Vec::new(), Vec::new(), Vec::new());
    for first in (0..texts).step_by(per_pass as usize) {
        let count = per_pass.min(texts - first);
        let all = model.class_logits(features, &prompts.queries.f_narrow(0, first, count)?)?;
        let above = |limits: &Tensor, names| -> Result<(Tensor, Tensor), TchError> {
            let limits = limits.f_narrow(0, first, count)?;
            let (logit, text) = above_threshold(&all, &limits, names)?;
            Ok((logit, text.f_add_scalar(first)?))
        };
        strong.push(above(&prompts.threshold_logits, names)?);
        if let Some(scores) = &prompts.weak {
            weak.push(above(&scores.logits, 1)?);
        }
        of_texts.push(all.f_amax([1].as_slice(), false)?);
    }
    let logit_of_text = Tensor::f_cat(&of_texts, -1)?;
    let weak = if weak.is_empty() { None } else { Some(best_of_passes(weak, 1)?) };
    let (logit, text) = best_of_passes(strong, names)?;
    Ok(Best { logit, text, weak, logit_of_text })
}

/// The best of the best of all passes.
fn best_of_passes(passes: Vec<(Tensor, Tensor)>, names: i64) -> Result<(Tensor, Tensor), TchError> {
    let is_one = passes.len() == 1;
    let (logits, texts): (Vec<_>, Vec<_>) = passes.into_iter().unzip();
    let (logit, text) = (Tensor::f_cat(&logits, -1)?, Tensor::f_cat(&texts, -1)?);
    if is_one {
        return Ok((logit, text));
    }
    let (logit, of_passes) = highest(&logit, names)?;
    Ok((logit, text.f_gather(-1, &of_passes, false)?))
}

/// The highest and their places over the last dimension, among logits above `thresholds`; fewer
/// than `names` where there are fewer.
fn above_threshold(
    logits: &Tensor,
    thresholds: &Tensor,
    names: i64,
) -> Result<(Tensor, Tensor), TchError> {
    let below = logits.f_le_tensor(thresholds)?;
    highest(&logits.f_masked_fill(&below, f64::NEG_INFINITY)?, names)
}

/// The `count` highest over the last dimension, falling, and where they are. NaN is never hidden:
/// it compares as not below, and is higher than all.
fn highest(values: &Tensor, count: i64) -> Result<(Tensor, Tensor), TchError> {
    match count {
        1 => values.f_max_dim(-1, true),
        count => {
            let there = values.size().last().copied().unwrap_or(0);
            values.f_topk(count.min(there), -1, true, true)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::models::prompts::PromptEncoder;
    use crate::tokenize::ClipTokenizer;
    use crate::types::{Prompt, PromptSet};

    fn folder() -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/owlv2_tiny")
    }

    fn prompts(model: &Owl, texts: &[&str], default_threshold: f32) -> ActivePrompts {
        let prompts = texts.iter().map(|text| Prompt::from_text(text)).collect();
        let set = PromptSet { version: 1, prompts, default_threshold };
        let tokenizer = ClipTokenizer::open(&folder()).unwrap();
        let max_tokens = model.config().text.max_tokens;
        let encoder = PromptEncoder::new(tokenizer, max_tokens, model.device(), None);
        ActivePrompts::encode(Arc::new(set), &encoder, model, Default::default(), 1.0).unwrap()
    }

    #[test]
    fn the_number_of_texts_in_a_pass_changes_nothing() {
        let model = Owl::load(&folder(), Device::Cpu, Kind::Float).unwrap();
        let texts = ["a cat", "a dog", "the left hand", "two red cups", "a photo", "blue"];
        let prompts = prompts(&model, &texts, 0.3);
        let pixels = Tensor::randn([2, 3, 64, 64], (Kind::Float, Device::Cpu));
        let features = model.image_features(&pixels).unwrap();
        let HeadOutput { values: whole, best_of_texts, .. } =
            HeadOutput::compute(&model, &features, &prompts, 1, false, LOGITS_PER_PASS).unwrap();
        // 2 images of 64 patches: passes of one text, of four and the rest, of all.
        for logits_per_pass in [1, 4 * 128, 6 * 128] {
            let found = HeadOutput::compute(&model, &features, &prompts, 1, false, logits_per_pass)
                .unwrap();
            for (a, b) in found.values.iter().zip(&whole) {
                // Matrix products of other sizes sum in another order.
                assert!((a - b).abs() < 1e-5, "{logits_per_pass}: {a} {b}");
            }
            for (a, b) in found.best_of_texts.iter().zip(&best_of_texts) {
                assert!((a - b).abs() < 1e-5, "{logits_per_pass}: {a} {b}");
            }
            assert_eq!(found.best_of_texts.len(), best_of_texts.len());
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
        let (best, text) = above_threshold(&logits, &thresholds, 1).unwrap();
        let best = Vec::<f32>::try_from(best.flatten(0, -1)).unwrap();
        assert_eq!(&best[..3], [1.0, 1.0, f32::NEG_INFINITY]);
        assert!(best[3].is_nan());
        assert_eq!(&Vec::<i64>::try_from(text.flatten(0, -1)).unwrap()[..2], [0, 0]);
    }

    #[test]
    fn several_names_are_the_highest_whatever_the_passes() {
        let model = Owl::load(&folder(), Device::Cpu, Kind::Float).unwrap();
        let texts = ["a cat", "a dog", "the left hand", "two red cups", "a photo", "blue"];
        let prompts = prompts(&model, &texts, 0.0);
        let pixels = Tensor::randn([2, 3, 64, 64], (Kind::Float, Device::Cpu));
        let features = model.image_features(&pixels).unwrap();
        let compute = |names, logits_per_pass| {
            HeadOutput::compute(&model, &features, &prompts, names, false, logits_per_pass).unwrap()
        };
        // More names than texts are as many as there are texts.
        let all = compute(100, LOGITS_PER_PASS);
        assert_eq!((all.names, all.fields), (6, 17));
        for (names, logits_per_pass) in [(3, LOGITS_PER_PASS), (3, 1), (3, 4 * 128), (1, 1)] {
            let some = compute(names, logits_per_pass);
            for (some, all) in
                some.values.chunks_exact(some.fields).zip(all.values.chunks_exact(17))
            {
                for name in 0..names {
                    assert!((some[name] - all[name]).abs() < 1e-5, "{some:?} {all:?}");
                    // Equal to rounding, two texts may change places.
                    let is_close = all[..6].windows(2).any(|pair| pair[0] - pair[1] < 1e-5);
                    assert!(is_close || some[names + name] == all[6 + name]);
                }
                assert_eq!(some[2 * names..], all[12..]);
            }
        }
    }

    #[test]
    fn thresholds_of_nought_and_one_take_all_and_nothing() {
        let model = Owl::load(&folder(), Device::Cpu, Kind::Float).unwrap();
        let pixels = Tensor::randn([1, 3, 64, 64], (Kind::Float, Device::Cpu));
        let features = model.image_features(&pixels).unwrap();
        let mut best = Vec::new();
        for (threshold, expected) in [(0.0, 64), (1.0, 0)] {
            let prompts = prompts(&model, &["a cat"], threshold);
            let output =
                HeadOutput::compute(&model, &features, &prompts, 1, false, LOGITS_PER_PASS)
                    .unwrap();
            let scored = output.values.chunks_exact(7).filter(|patch| patch[0] > threshold);
            assert_eq!(scored.count(), expected);
            // What nothing reaches still says how near it came. The sigmoid of one logit may differ
            // in its last bit by its place in a tensor: vectors and remainders are other code.
            let of_prompts = output.best_scores(0, &prompts);
            let highest = output.values.chunks_exact(7).map(|patch| patch[0]).fold(0.0, f32::max);
            assert!(expected == 0 || (of_prompts[0] - highest).abs() < 1e-6);
            best.push(of_prompts);
        }
        assert_eq!(best[0], best[1], "thresholds change nothing of it");
    }
}
