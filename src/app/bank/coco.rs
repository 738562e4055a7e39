//! COCO annotations as pictures with captions.

use std::path::{Path, PathBuf};

use owlet::eval::Remarks;
use owlet::types::PixelBox;

use super::gather::Shown;
use super::skipped::{Kind, Skipped};
use crate::app::eval::Source;

/// Every picture that has boxes, with the text of each box's category. Of several texts of a category
/// its boxes take turns.
pub(super) fn read(
    path: &Path,
    images: Option<&Path>,
    skipped: &mut Skipped,
) -> anyhow::Result<Vec<(PathBuf, Vec<Shown>)>> {
    let mut remarks = Remarks::default();
    let source = Source::open(path, images, &mut remarks)?;
    for remark in remarks.iter() {
        if remark.kind.is_loss() {
            skipped.add_many(Kind::Annotation, remark.count, || remark.to_string());
        } else {
            tracing::warn!("{remark}");
        }
    }
    let dataset = &source.dataset;
    let mut shown: Vec<Vec<Shown>> = vec![Vec::new(); dataset.images.len()];
    let mut turns = vec![0usize; dataset.categories.len()];
    let mut crowds = 0;
    for truth in &dataset.truths {
        if truth.crowd {
            crowds += 1;
            continue;
        }
        let category = &dataset.categories[truth.category];
        let turn = turns[truth.category];
        turns[truth.category] += 1;
        let caption = match category.texts.len() {
            0 => category.name.clone(),
            texts => category.texts[turn % texts].clone(),
        };
        let [left, top, width, height] = <[f64; 4]>::from(truth.box_in_source_px);
        let corners = [left, top, left + width, top + height].map(|corner| corner as f32);
        let box_in_source_px = Some(PixelBox::from_corners(corners));
        shown[truth.image].push(Shown { caption, box_in_source_px });
    }
    if crowds > 0 {
        tracing::info!("{crowds} annotations are of crowds: they show no single thing");
    }
    let pictures = (0..dataset.images.len()).map(|image| source.picture(image));
    Ok(pictures.zip(shown).filter(|(_, shown)| !shown.is_empty()).collect())
}
