//! From score maps to masks.

use image::{GrayImage, Luma};

use crate::types::{Mask, PixelBox, PromptSet};
use crate::vision::mask::{ScoreMap, logit_of_score};

/// The most prompts that a set may have: a class mask has 8 bits, and 0 is for none.
pub const MAX_PROMPTS: usize = 255;

/// What was found in one image.
#[derive(Clone, Debug)]
pub struct ImageMasks {
    /// One for each prompt that is no distractor, in the order of the set, empty where nothing
    /// reached the threshold. They may overlap: a thing can be what several prompts ask for.
    pub masks: Vec<PromptMask>,
    /// For each pixel of the source image the prompt whose mask has it, counted from 1 in the
    /// order of the set; of several the one that scores best there. 0 is for none.
    pub classes: GrayImage,
}

/// The mask of one prompt.
#[derive(Clone, Debug)]
pub struct PromptMask {
    /// Index into the prompts of the set.
    pub prompt: usize,
    /// The best score anywhere in the image, in `[0, 1]`, whatever the threshold; not a
    /// probability.
    pub score: f32,
    /// The pixels of the source image that are above the threshold.
    pub mask: Mask,
    /// How many they are.
    pub area_px: u64,
    /// The box around them, in pixels of the source image; `None` where there are none.
    pub box_in_source_px: Option<PixelBox>,
    /// The mean of their centres, `(x, y)`; `None` where there are none.
    pub centroid_in_source_px: Option<(f32, f32)>,
}

impl ImageMasks {
    /// The pixels whose class is this prompt: those of its mask where it scores best.
    #[must_use]
    pub fn of_class(&self, prompt: usize) -> Mask {
        let (width, height) = self.classes.dimensions();
        let is_of_class = |class: &u8| usize::from(*class) == prompt + 1;
        Mask::new(width, height, self.classes.as_raw().iter().map(is_of_class).collect())
    }
}

/// The masks of an image of this size, from the maps that a segmenter gave for `prompts`.
///
/// A pixel belongs to each prompt that scores above its threshold there. A distractor that scores
/// above its own threshold takes a pixel away from all prompts that score less.
///
/// # Panics
/// Where there is not one map for each prompt, or more prompts than [`MAX_PROMPTS`].
#[must_use]
pub fn masks(maps: &[ScoreMap], prompts: &PromptSet, width: u32, height: u32) -> ImageMasks {
    assert_eq!(maps.len(), prompts.prompts.len(), "one map for each prompt");
    assert!(maps.len() <= MAX_PROMPTS, "prompts of a class mask");
    let count = width as usize * height as usize;
    let negative = |index: &usize| prompts.prompts[*index].negative;
    // The best of the distractors that are above their thresholds.
    let mut taken = vec![f32::NEG_INFINITY; count];
    for index in (0..maps.len()).filter(negative) {
        let threshold = logit_of_score(prompts.threshold_of(index));
        for (taken, logit) in taken.iter_mut().zip(maps[index].logits_at(width, height)) {
            if logit > threshold {
                *taken = taken.max(logit);
            }
        }
    }
    let mut classes = GrayImage::new(width, height);
    let mut best = vec![f32::NEG_INFINITY; count];
    let mut masks = Vec::new();
    // One prompt after the other: logits at the size of the source take 8 MB for a megapixel or two.
    for index in (0..maps.len()).filter(|index| !negative(index)) {
        let threshold = logit_of_score(prompts.threshold_of(index));
        let logits = maps[index].logits_at(width, height);
        let pixels: Vec<bool> = logits
            .iter()
            .zip(&taken)
            .map(|(logit, taken)| *logit > threshold && logit >= taken)
            .collect();
        let label = u8::try_from(index + 1).expect("at most MAX_PROMPTS prompts, checked above");
        for (((class, best), logit), pixel) in
            classes.pixels_mut().zip(&mut best).zip(&logits).zip(&pixels)
        {
            if *pixel && logit > best {
                (*class, *best) = (Luma([label]), *logit);
            }
        }
        let mask = Mask::new(width, height, pixels);
        masks.push(PromptMask {
            prompt: index,
            score: maps[index].best_score(),
            area_px: mask.area_px(),
            box_in_source_px: mask.box_px(),
            centroid_in_source_px: mask.centroid_px(),
            mask,
        });
    }
    ImageMasks { masks, classes }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Prompt;

    fn prompt(name: &str, threshold: Option<f32>, negative: bool) -> Prompt {
        Prompt { threshold, negative, ..Prompt::from_text(name) }
    }

    fn set(prompts: Vec<Prompt>) -> PromptSet {
        PromptSet { version: 1, prompts, default_threshold: 0.5 }
    }

    fn map(logits: [f32; 4]) -> ScoreMap {
        ScoreMap::new(4, 1, logits.to_vec())
    }

    fn pixels(found: &PromptMask) -> Vec<u8> {
        found.mask.pixels().iter().map(|pixel| u8::from(*pixel)).collect()
    }

    #[test]
    fn masks_may_overlap_and_the_best_prompt_has_the_class() {
        let prompts = set(vec![prompt("bowl", None, false), prompt("red", Some(0.1), false)]);
        let maps = [map([3.0, 1.0, -1.0, -9.0]), map([1.0, 2.0, -1.0, -9.0])];
        let found = masks(&maps, &prompts, 4, 1);
        assert_eq!(pixels(&found.masks[0]), [1, 1, 0, 0]);
        // A logit of -1 is a score of 0.27.
        assert_eq!(pixels(&found.masks[1]), [1, 1, 1, 0]);
        assert_eq!(found.classes.as_raw(), &[1, 2, 2, 0]);
        assert_eq!((found.masks[1].prompt, found.masks[1].area_px), (1, 3));
        assert_eq!(found.masks[1].centroid_in_source_px, Some((1.5, 0.5)));
    }

    #[test]
    fn a_distractor_takes_what_it_explains_better_and_is_never_reported() {
        let prompts = set(vec![prompt("shadow", Some(0.6), true), prompt("mug", None, false)]);
        // Above its threshold and better; better, but below its threshold (0.55); worse; absent.
        let maps = [map([4.0, 0.2, 1.0, -5.0]), map([3.0, 0.1, 2.0, 1.0])];
        let found = masks(&maps, &prompts, 4, 1);
        assert_eq!(found.masks.len(), 1);
        assert_eq!(pixels(&found.masks[0]), [0, 1, 1, 1]);
        // The number stays that of the prompt in the set.
        assert_eq!(found.classes.as_raw(), &[0, 2, 2, 2]);
    }

    #[test]
    fn thresholds_at_their_ends_take_all_and_nothing() {
        let prompts = set(vec![prompt("all", Some(0.0), false), prompt("none", Some(1.0), false)]);
        let maps = [map([-80.0, 0.0, 5.0, 9.0]), map([90.0, 90.0, 90.0, 90.0])];
        let found = masks(&maps, &prompts, 8, 2);
        assert_eq!((found.masks[0].area_px, found.masks[1].area_px), (16, 0));
        assert_eq!(found.masks[1].box_in_source_px, None);
        assert!(found.masks[1].score > 0.99, "the score says how near it came");
    }
}
