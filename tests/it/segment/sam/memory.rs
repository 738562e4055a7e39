//! What thousands of boxes cost in memory.

use std::sync::Arc;

use image::RgbImage;
use owlet::tasks::PromptableSegmenter;

use super::{boxed, segmenter};
use crate::alone::{is_alone, memory_kib};

/// Boxes go through the decoder in passes of bounded size.
#[test]
fn three_thousand_boxes_take_hardly_more_memory_than_a_hundred() {
    const NAME: &str =
        "segment::sam::memory::three_thousand_boxes_take_hardly_more_memory_than_a_hundred";
    if !is_alone(NAME) {
        return;
    }
    let mut segmenter = segmenter();
    // Small, so that the masks themselves are: at most 400 bytes each.
    let image = [Arc::new(RgbImage::from_fn(20, 20, |x, y| image::Rgb([x as u8, y as u8, 90])))];
    let mut peak_after = |boxes: u16| {
        let prompts: Vec<_> = (0..boxes)
            .map(|n| {
                let (x, y) = (f32::from(n % 11), f32::from(n / 11 % 13));
                boxed([x, y, x + 8.0, y + 6.0])
            })
            .collect();
        let found = segmenter.segment(&image, &[prompts]).unwrap();
        assert_eq!(found[0].masks.len(), usize::from(boxes));
        assert!(found[0].masks.iter().all(|found| found.predicted_iou.is_some()));
        memory_kib("VmHWM:")
    };
    let with_few = peak_after(100);
    let grown_kib = peak_after(3000) - with_few;
    // Prompts, logits of one pass and masks take 4 MiB. Of the dozens of tensors in the decoder the
    // image embedding of 3000 prompts alone would take 24: 64 places, 32 channels, f32.
    assert!(grown_kib < 12 << 10, "{grown_kib} KiB more than with 100");
}
