//! Regions that look like things, from the pass that finds the prompts.

use std::sync::Arc;

use owlet::tasks::{Detector, ImageDetections, Proposal};
use owlet::vision::canvas::CanvasGeometry;

use super::{FOLDERS, detector, texts};
use crate::golden_preprocess::picture;

fn look(
    detector: &mut impl Detector,
    image: &Arc<image::RgbImage>,
    proposals: usize,
) -> ImageDetections {
    detector.set_proposals(proposals);
    detector.detect(std::slice::from_ref(image)).unwrap().remove(0)
}

#[test]
fn regions_are_the_patches_that_look_most_like_things() {
    let image = Arc::new(picture("landscape"));
    for (folder, placement) in FOLDERS {
        let mut detector = detector(folder);
        detector.set_prompts(texts(&["a cat"], 0.0)).unwrap();
        let without = look(&mut detector, &image, 0);
        assert!(without.proposals.is_empty());
        let found = look(&mut detector, &image, 12);
        // What the prompts find stays the same to the bit.
        assert_eq!(found.detections, without.detections);
        assert_eq!(found.best_scores, without.best_scores);

        let pixels = detector.pixel_values(std::slice::from_ref(&image)).unwrap();
        let model = detector.model();
        let features = model.image_features(&pixels).unwrap();
        let logits = match model.objectness(&features).unwrap() {
            Some(objectness) => objectness,
            // A query that is the patch itself: the diagonal of all against all.
            None => {
                let queries = model.image_class_embeds(&features).unwrap().squeeze_dim(0);
                let all = model.class_logits(&features, &queries).unwrap();
                all.diagonal(0, 1, 2).contiguous()
            }
        };
        let scores = Vec::<f32>::try_from(logits.sigmoid().view(-1)).unwrap();
        let boxes = Vec::<f32>::try_from(model.boxes(&features).unwrap().view(-1)).unwrap();
        let geometry = CanvasGeometry::new(placement, image.width(), image.height());
        let mut plainly: Vec<Proposal> = Vec::new();
        let mut order: Vec<usize> = (0..scores.len()).collect();
        order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
        for patch in order {
            let norm = boxes[4 * patch..4 * patch + 4].try_into().unwrap();
            let box_in_source_px = geometry.source_px_from_norm(norm);
            let known = |other: &Proposal| other.box_in_source_px.iou(&box_in_source_px) > 0.5;
            if box_in_source_px.area() > 0.0 && !plainly.iter().any(known) {
                plainly.push(Proposal { box_in_source_px, score: scores[patch] });
            }
        }
        plainly.truncate(12);
        assert_eq!(found.proposals.len(), plainly.len(), "{folder}");
        assert!(plainly.len() > 1, "{folder}: there is nothing to compare");
        for (found, plainly) in found.proposals.iter().zip(&plainly) {
            assert_eq!(found.box_in_source_px, plainly.box_in_source_px);
            // The product with itself is 1 only up to the rounding of f32.
            assert!((found.score - plainly.score).abs() < 1e-5, "{found:?} {plainly:?}");
        }
    }
}

#[test]
fn without_prompts_there_are_regions_alone_where_they_are_asked_for() {
    let image = Arc::new(picture("landscape"));
    for (folder, _) in FOLDERS {
        let mut detector = detector(folder);
        let nothing = texts(&[], 0.1);
        assert!(detector.set_prompts(Arc::clone(&nothing)).is_err());
        assert!(detector.set_proposals(5));
        detector.set_prompts(texts(&["a cat"], 0.0)).unwrap();
        let beside = look(&mut detector, &image, 5);
        detector.set_prompts(nothing).unwrap();
        let alone = look(&mut detector, &image, 5);
        assert_eq!(alone.proposals, beside.proposals);
        assert!(!alone.proposals.is_empty());
        assert!(alone.detections.is_empty() && alone.best_scores.is_empty());
        // Two images, with their own regions each.
        let other = Arc::new(image::imageops::flip_horizontal(&*image));
        let both = detector.detect(&[Arc::clone(&image), other]).unwrap();
        assert_eq!(both.len(), 2);
        assert_ne!(both[0].proposals, both[1].proposals);
    }
}
