//! Pictures as prompts.

use std::sync::Arc;

use image::{RgbImage, imageops};

use crate::types::{PixelBox, PromptProblem, PromptSet};

/// How much longer than the box around a thing the side of its crop is: a quarter of the box is
/// added on either side.
const CONTEXT: f32 = 1.5;

/// What a prompt is shown: pictures of what it asks for.
#[derive(Clone, Debug)]
pub struct VisualPrompt {
    /// Index into the prompts of the set in use.
    pub prompt: usize,
    /// Pictures, each with the box around the thing in pixels of that picture; without one the
    /// whole picture shows it.
    pub exemplars: Vec<(Arc<RgbImage>, Option<PixelBox>)>,
    /// Whether the prompt's texts still count: each is then averaged with the pictures. Else the
    /// pictures take their place.
    pub with_texts: bool,
}

/// The pictures to look at, cut to what they show, in the order of `visual` and of their
/// exemplars; or everything that is wrong.
pub(super) fn crops(
    visual: &[VisualPrompt],
    set: &PromptSet,
) -> Result<Vec<Arc<RgbImage>>, Vec<PromptProblem>> {
    let mut crops = Vec::new();
    let mut problems = Vec::new();
    let mut seen = vec![false; set.prompts.len()];
    for VisualPrompt { prompt, exemplars, .. } in visual {
        let Some(seen) = seen.get_mut(*prompt) else {
            let reason = format!(
                "expected an index below the number of prompts ({}), found {prompt}",
                set.prompts.len()
            );
            problems.push(PromptProblem::of_set(reason));
            continue;
        };
        let mut refuse = |reason: String| {
            problems.push(PromptProblem::of_prompt(&set.prompts[*prompt].name, reason));
        };
        if std::mem::replace(seen, true) {
            refuse("is shown twice: all its pictures belong together".to_owned());
        }
        if exemplars.is_empty() {
            refuse("expected at least one picture, found none".to_owned());
        }
        for (index, (image, around)) in exemplars.iter().enumerate() {
            match crop(image, *around) {
                Some(crop) => crops.push(crop),
                None => refuse(format!(
                    "picture {index}: expected a box with an area inside {}x{} pixels, found {}",
                    image.width(),
                    image.height(),
                    around
                        .map_or("no pixels".to_owned(), |around| format!("{:?}", around.corners())),
                )),
            }
        }
    }
    if problems.is_empty() { Ok(crops) } else { Err(problems) }
}

/// What the picture prompt of a thing is: the square around its box with a quarter of its longer
/// side as context on either side, as far as the picture goes, and whole pixels. `None` where the
/// box has no pixel in the picture.
///
/// Of the ways to point at a thing in a picture prompt (Lüddecke and Ecker 2022, section 4.4 and
/// table 5) a crop with context and, on top, a darkened and blurred background is the best. What
/// the background is only a mask tells; a robot's user gives a box, so it is the crop alone.
fn crop(image: &Arc<RgbImage>, around: Option<PixelBox>) -> Option<Arc<RgbImage>> {
    let (width, height) = image.dimensions();
    if width == 0 || height == 0 {
        return None;
    }
    let Some(around) = around else { return Some(Arc::clone(image)) };
    let inside = around.clipped_to(width, height);
    // Written so that what is not finite is refused.
    if !(inside.width() >= 1.0 && inside.height() >= 1.0) {
        return None;
    }
    let side = (CONTEXT * inside.width().max(inside.height())).round();
    let (x, y) = inside.centre();
    let along = |centre: f32, length: u32| {
        let side = side.min(length as f32);
        let start = (centre - side / 2.0).round().clamp(0.0, length as f32 - side);
        (start as u32, side as u32)
    };
    let ((left, width), (top, height)) = (along(x, width), along(y, height));
    Some(Arc::new(imageops::crop_imm(&**image, left, top, width, height).to_image()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Prompt;

    fn image(width: u32, height: u32) -> Arc<RgbImage> {
        Arc::new(RgbImage::from_fn(width, height, |x, y| image::Rgb([x as u8, y as u8, 0])))
    }

    /// Left, top, width and height of the crop.
    fn place(image: &Arc<RgbImage>, corners: [f32; 4]) -> Option<[u32; 4]> {
        let crop = crop(image, Some(PixelBox::from_corners(corners)))?;
        let first = crop.get_pixel(0, 0);
        Some([first[0].into(), first[1].into(), crop.width(), crop.height()])
    }

    #[test]
    fn a_crop_is_a_square_with_context_inside_the_picture() {
        let image = image(200, 100);
        assert_eq!(place(&image, [80.0, 40.0, 120.0, 60.0]), Some([70, 20, 60, 60]));
        // Moved inwards at an edge, and cut where the picture is not high enough.
        assert_eq!(place(&image, [-10.0, 0.0, 20.0, 10.0]), Some([0, 0, 30, 30]));
        assert_eq!(place(&image, [190.0, 90.0, 300.0, 300.0]), Some([185, 85, 15, 15]));
        assert_eq!(place(&image, [0.0, 0.0, 100.0, 100.0]), Some([0, 0, 150, 100]));
        for nothing in
            [[10.0, 10.0, 10.4, 50.0], [210.0, 10.0, 250.0, 50.0], [f32::NAN, 0.0, 50.0, 50.0]]
        {
            assert_eq!(place(&image, nothing), None, "{nothing:?}");
        }
        assert!(Arc::ptr_eq(&crop(&image, None).unwrap(), &image));
        assert_eq!(crop(&Arc::new(RgbImage::new(0, 4)), None), None);
    }

    #[test]
    fn every_problem_of_every_prompt_is_told() {
        let prompts = vec![Prompt::from_text("a mug"), Prompt::from_text("a bowl")];
        let set = PromptSet { version: 1, prompts, default_threshold: 0.5 };
        let shown = |prompt, exemplars| VisualPrompt { prompt, exemplars, with_texts: false };
        let outside = Some(PixelBox::from_corners([50.0, 0.0, 60.0, 9.0]));
        let problems = crops(
            &[
                shown(0, vec![(image(40, 40), None), (image(40, 30), outside)]),
                shown(1, vec![]),
                shown(1, vec![(image(4, 4), None)]),
                shown(2, vec![]),
            ],
            &set,
        )
        .unwrap_err();
        let told: Vec<_> = problems.iter().map(|p| (p.prompt.as_str(), &*p.reason)).collect();
        assert_eq!(told.len(), 4, "{told:?}");
        assert!(told[0].0 == "a mug" && told[0].1.contains("inside 40x30 pixels, found [50.0"));
        assert!(told[1].0 == "a bowl" && told[1].1.contains("found none"));
        assert!(told[2].0 == "a bowl" && told[2].1.contains("shown twice"));
        assert!(told[3].0.is_empty() && told[3].1.contains("number of prompts (2), found 2"));
    }
}
