//! A segmenter by itself: true boxes in, masks out.

use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;
use owlet::eval::{CocoBox, Found, RemarkKind, Remarks, StoredMask};
use owlet::segment::MaskRules;
use owlet::tasks::MaskPrompt;
use owlet::types::PixelBox;

use super::super::Chatter;
use super::super::loading::load_promptable;
use super::super::running::frames_bar;
use super::super::settings::Settings;
use super::looking::{self, LookedAt};
use super::source::Source;

/// The score of an object that was given: all are asked for.
const GIVEN: f64 = 1.0;

/// Draws a mask for the box of every object, crowds left out. As [`looking::look_at_all`], but one
/// picture after the other.
pub(super) fn look_at_all(
    settings: &Settings,
    source: &Source,
    chatter: &Chatter,
    remarks: &mut Remarks,
) -> anyhow::Result<looking::Looked> {
    looking::some_are_there(source)?;
    let options = settings.detector_source().segmenter.context("a segmenter for boxes")?;
    let mut segmenter = load_promptable(&options, MaskRules::default())?;
    let images = source.dataset.images.len();
    let progress = frames_bar(images as u64, chatter);
    let started = Instant::now();
    let mut looked = LookedAt::default();
    for image in 0..images {
        progress.inc(1);
        let (picture, asked) = match looking::read(source, image) {
            Ok(picture) => (Arc::new(picture), boxes(source, image)),
            Err((kind, reason)) => {
                remarks.add(kind, || reason);
                looked.left_out.push(image);
                continue;
            }
        };
        let prompts: Vec<MaskPrompt> = asked
            .iter()
            .map(|(_, area)| MaskPrompt { box_in_source_px: Some(*area), points: Vec::new() })
            .collect();
        match segmenter.segment(&[picture], &[prompts]) {
            Ok(drawn) => {
                let masks = drawn.into_iter().flat_map(|image| image.masks);
                let found = asked.iter().zip(masks).map(|((category, area), one)| Found {
                    image,
                    category: *category,
                    box_in_source_px: CocoBox::from(*area),
                    score: GIVEN,
                    mask: Some(StoredMask::from(&one.mask)),
                });
                looked.found.extend(found);
            }
            Err(error) => {
                remarks.add(RemarkKind::PictureFailed, || error.to_string());
                looked.left_out.push(image);
            }
        }
    }
    progress.finish_and_clear();
    Ok(looking::Looked {
        model: segmenter.info().clone(),
        sources: vec![looked],
        took: started.elapsed(),
    })
}

/// The categories and boxes of an image's objects.
fn boxes(source: &Source, image: usize) -> Vec<(usize, PixelBox)> {
    let truths = source.dataset.truths.iter();
    let of_image = truths.filter(|truth| truth.image == image && !truth.crowd);
    of_image.map(|truth| (truth.category, truth.box_in_source_px.to_pixel_box())).collect()
}
