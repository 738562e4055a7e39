//! All masks of a frame in one picture.

use image::{GrayImage, ImageBuffer, Luma};

use crate::types::{FrameDetections, Mask};

/// A picture of the size of the source image with the number of an instance in its pixels
/// ([`FrameDetections::instance_number`]), 0 where there is none. Where masks overlap, the one with
/// the higher score has the pixel. What has no number yet is not drawn.
#[must_use]
pub fn instances(found: &FrameDetections) -> ImageBuffer<Luma<u16>, Vec<u16>> {
    let mut picture = ImageBuffer::new(found.width, found.height);
    for (index, mask) in worst_first(found) {
        if let Some(number) = found.instance_number(index) {
            paint(mask, |x, y| picture.put_pixel(x, y, Luma([number])));
        }
    }
    picture
}

/// A picture of the size of the source image with the class of each pixel: the place of the prompt
/// in its set, from 1; 0 where there is none. Where masks overlap, the one with the higher score
/// has the pixel. A prompt beyond the 255th has no class and is not drawn.
#[must_use]
pub fn classes(found: &FrameDetections) -> GrayImage {
    let mut picture = GrayImage::new(found.width, found.height);
    for (index, mask) in worst_first(found) {
        if let Ok(class) = u8::try_from(found.detections[index].prompt + 1) {
            paint(mask, |x, y| picture.put_pixel(x, y, Luma([class])));
        }
    }
    picture
}

/// The masks over the whole image, with the places of their detections.
fn worst_first(found: &FrameDetections) -> impl Iterator<Item = (usize, &Mask)> {
    let masks = found.detections.iter().enumerate().rev();
    masks.filter_map(|(index, detection)| {
        let mask = &detection.mask.as_ref()?.mask;
        let is_of_frame = (mask.width(), mask.height()) == (found.width, found.height);
        is_of_frame.then_some((index, mask))
    })
}

fn paint(mask: &Mask, mut put: impl FnMut(u32, u32)) {
    for (x, y) in mask.points() {
        put(x, y);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::types::{
        Detection, FrameHeader, InstanceMask, PixelBox, Prompt, PromptSet, StageTimings, Stamp,
    };

    #[test]
    fn the_better_mask_has_the_pixel_and_numbers_are_those_of_the_ids() {
        let detection = |prompt, columns: std::ops::Range<u32>| Detection {
            prompt,
            score: 0.5,
            objectness: None,
            box_in_source_px: PixelBox::from_corners([0.0; 4]),
            mask: Some(InstanceMask {
                mask: Mask::new(5, 1, (0..5).map(|x| columns.contains(&x)).collect()),
                predicted_iou: None,
            }),
            finer: Vec::new(),
            explanation: None,
        };
        let mut found = FrameDetections {
            camera: "front".into(),
            header: FrameHeader { stamp: Stamp(0), frame_id: "optical".into() },
            width: 5,
            height: 1,
            prompts: Arc::new(PromptSet {
                version: 1,
                prompts: ["a", "b", "c"].map(Prompt::from_text).into(),
                default_threshold: 0.1,
            }),
            detections: vec![detection(2, 1..3), detection(0, 0..5)],
            weak: Vec::new(),
            has_masks: true,
            track_ids: None,
            timings: StageTimings::default(),
        };
        assert_eq!(instances(&found).into_raw(), [2, 1, 1, 2, 2]);
        assert_eq!(classes(&found).into_raw(), [1, 3, 3, 1, 1]);
        // With tracks: the number is the track's, and what has none is left out.
        found.track_ids = Some(vec![Some(65_535), None]);
        assert_eq!(instances(&found).into_raw(), [0, 65_535, 65_535, 0, 0]);
        assert_eq!(classes(&found).into_raw(), [1, 3, 3, 1, 1]);
        // A mask of another picture is not drawn.
        found.width = 4;
        assert_eq!(classes(&found).into_raw(), [0; 4]);
    }
}
