//! Boxes below their thresholds, for trackers.

use tch::Tensor;

use super::decode::{CANDIDATES_PER_REGION, REGION_NMS_IOU};
use super::prompts::ActivePrompts;
use crate::tasks::DetectionRules;
use crate::types::{Detection, PixelBox, WeakDetection};
use crate::vision::nms::{Contender, greedy_nms};

/// Which scores are weak.
#[derive(Debug)]
pub(super) struct WeakScores {
    /// Share of a prompt's threshold that they have to be above, in `[0, 1)`.
    pub(super) share: f32,
    /// The logit of that for each query: f32 `[queries]` on the model's device, `-inf` for 0.
    pub(super) logits: Tensor,
}

/// The prompt that is weakly there in a patch, and its score.
pub(super) fn weak_name(patch: &[f32], prompts: &ActivePrompts) -> Option<(usize, f32)> {
    let share = prompts.weak.as_ref()?.share;
    let &[.., score, text] = patch else { return None };
    let prompt = *prompts.prompt_of_query.get(text as usize)?;
    let threshold = prompts.set.threshold_of(prompt);
    // At the threshold itself it would be more than weak to a tracker.
    let is_weak = score > share * threshold && score < threshold;
    (is_weak && !prompts.set.prompts[prompt].negative).then_some((prompt, score))
}

/// A box among those that it may lose against.
pub(super) fn contender(prompt: usize, pixel_box: PixelBox, rules: DetectionRules) -> Contender {
    let group = if rules.nms_across_prompts { 0 } else { prompt };
    Contender { pixel_box, group }
}

/// The weak boxes that lie on no detection and on no better one of themselves, at most as many as
/// there may be detections, best first. Where the rules name no overlap it is one half: a box beside
/// a detection is mostly that same thing again.
pub(super) fn beside(
    found: &[Detection],
    mut weak: Vec<WeakDetection>,
    rules: DetectionRules,
) -> Vec<WeakDetection> {
    if weak.is_empty() {
        return weak;
    }
    weak.sort_by(|a, b| b.score.total_cmp(&a.score));
    weak.truncate(rules.max_detections.saturating_mul(CANDIDATES_PER_REGION));
    // Detections stand before all of them, whatever the thresholds.
    let strong = found.iter().map(|one| contender(one.prompt, one.box_in_source_px, rules));
    let others = weak.iter().map(|one| contender(one.prompt, one.box_in_source_px, rules));
    let all: Vec<_> = strong.chain(others).collect();
    let kept = greedy_nms(&all, rules.nms_iou.unwrap_or(REGION_NMS_IOU));
    let kept = kept.into_iter().filter_map(|position| position.checked_sub(found.len()));
    kept.map(|position| weak[position]).take(rules.max_detections).collect()
}
