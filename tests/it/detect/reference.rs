//! Against the reference's post-processing, and against itself.

use std::sync::Arc;

use image::RgbImage;
use owlet::tasks::Detector;
use owlet::types::{Detection, PixelBox, Prompt, Stage};
use owlet::vision::canvas::{CanvasGeometry, Placement};

use super::{FOLDERS, SCORE, assert_same, detect_one, detector, set, texts};
use crate::golden_preprocess::{Goldens, PICTURES, picture};

/// What the reference found, clipped to the image as Owlet does it.
fn golden_detections(goldens: &Goldens, image: &RgbImage) -> Vec<Detection> {
    let boxes = goldens.f32s("torchvision.detections.boxes");
    let scores = goldens.f32s("torchvision.detections.scores");
    let labels = goldens.i64s("torchvision.detections.labels");
    let mut expected: Vec<Detection> = boxes
        .chunks_exact(4)
        .zip(scores.iter().zip(labels))
        .map(|(corners, (&score, label))| Detection {
            mask: None,
            prompt: usize::try_from(label).unwrap(),
            score,
            objectness: None,
            box_in_source_px: PixelBox::from_corners(corners.try_into().unwrap())
                .clipped_to(image.width(), image.height()),
            finer: Vec::new(),
            explanation: None,
        })
        .filter(|detection| detection.box_in_source_px.area() > 0.0)
        .collect();
    expected.sort_by(|a, b| b.score.total_cmp(&a.score));
    expected
}

#[test]
fn detections_are_the_reference() {
    for (folder, _) in FOLDERS {
        let mut detector = detector(folder);
        let facts = Goldens::open(&format!("{folder}/goldens/texts.safetensors")).facts();
        let prompts: Vec<_> = facts["texts"]
            .as_array()
            .unwrap()
            .iter()
            .map(|text| Prompt::from_text(text.as_str().unwrap()))
            .collect();
        let mut in_all = 0;
        for name in PICTURES {
            let goldens = Goldens::open(&format!("{folder}/goldens/{name}.safetensors"));
            let threshold = goldens.facts()["threshold"].as_f64().unwrap() as f32;
            detector.set_prompts(set(prompts.clone(), threshold)).unwrap();
            let image = picture(name);
            let found = detect_one(&mut detector, &image);
            assert_same(&format!("{folder} {name}"), &found, &golden_detections(&goldens, &image));
            in_all += found.len();
        }
        assert!(in_all > 10, "{folder}: {in_all} detections hold nothing");
    }
}

#[test]
fn objectness_is_given_by_owlv2_and_belongs_to_its_box() {
    let mut owlvit = detector("owlvit_tiny");
    owlvit.set_prompts(texts(&["a cat"], 0.0)).unwrap();
    let image = picture("square");
    assert!(detect_one(&mut owlvit, &image).iter().all(|found| found.objectness.is_none()));

    let mut owlv2 = detector("owlv2_tiny");
    owlv2.set_prompts(texts(&["a cat"], 0.0)).unwrap();
    // As large as the canvas, so that both variants of the reference see the same pixels.
    let goldens = Goldens::open("owlv2_tiny/goldens/square.safetensors");
    let (boxes, logits) = (goldens.f32s("pred_boxes"), goldens.f32s("objectness_logits"));
    let geometry = CanvasGeometry::new(Placement::PadToSquare, image.width(), image.height());
    let found = detect_one(&mut owlv2, &image);
    assert_eq!(found.len(), logits.len());
    for found in found {
        let at = |patch: &[f32]| geometry.source_px_from_norm(patch.try_into().unwrap()).corners();
        let distance = |patch: &[f32]| {
            let corners = found.box_in_source_px.corners();
            at(patch).iter().zip(corners).map(|(a, b)| (a - b).abs()).sum::<f32>()
        };
        let (_, nearest) = boxes
            .chunks_exact(4)
            .zip(&logits)
            .min_by(|(a, _), (b, _)| distance(a).total_cmp(&distance(b)))
            .unwrap();
        let expected = 1.0 / (1.0 + (-nearest).exp());
        assert!((found.objectness.unwrap() - expected).abs() < SCORE);
    }
}

#[test]
fn a_batch_of_different_sizes_gives_what_its_images_give_alone() {
    for (folder, _) in FOLDERS {
        let mut detector = detector(folder);
        detector.set_prompts(texts(&["a cat", "the left hand"], 0.2)).unwrap();
        let images: Vec<_> = PICTURES.iter().map(|name| Arc::new(picture(name))).collect();
        let together = detector.detect(&images).unwrap();
        assert_eq!(together.len(), images.len());
        for ((image, found), name) in images.iter().zip(together).zip(PICTURES) {
            let alone = detect_one(&mut detector, image);
            assert!(!alone.is_empty(), "{folder} {name}");
            assert_same(&format!("{folder} {name}"), &found.detections, &alone);
        }
    }
}

#[test]
fn two_runs_give_the_same_bits_and_every_stage_is_timed() {
    let mut detector = detector("owlv2_tiny");
    detector.set_prompts(texts(&["a cat", "a photo of a dog"], 0.1)).unwrap();
    let images = [Arc::new(picture("landscape")), Arc::new(picture("portrait"))];
    let first = detector.detect(&images).unwrap();
    let second = detector.detect(&images).unwrap();
    for (first, second) in first.iter().zip(&second) {
        assert_eq!(first.detections, second.detections);
        let stages: Vec<_> = first.timings.iter().map(|(stage, _)| stage).collect();
        let expected = [Stage::Preprocess, Stage::ImageTower, Stage::Heads, Stage::Postprocess];
        assert_eq!(stages, expected);
        assert!(first.timings.get(Stage::ImageTower).unwrap().as_nanos() > 0);
    }
}
