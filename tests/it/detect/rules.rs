//! Thresholds, synonyms, distractors, suppression and caps.

use std::sync::Arc;

use image::RgbImage;
use owlet::detect::{DetectorOptions, OwlDetector};
use owlet::tasks::{DetectionRules, Detector};
use owlet::tokenize::ClipTokenizer;
use owlet::types::{Detection, Prompt, PromptSet};
use owlet::vision::canvas::{CanvasGeometry, Placement};
use owlet::vision::nms::{Contender, greedy_nms};
use tch::Tensor;

use super::{FOLDERS, assert_same, detect_one, detector, options, prompt, set, texts};
use crate::golden_models::fixture;
use crate::golden_preprocess::picture;

/// The rules in their plainest form, from the logits of one text at a time.
fn plainly(
    detector: &mut OwlDetector,
    placement: Placement,
    image: &RgbImage,
    prompts: &PromptSet,
) -> Vec<Detection> {
    let pixels = detector.pixel_values(&[Arc::new(image.clone())]).unwrap();
    let tokenizer = ClipTokenizer::open(&fixture(&detector.info().name)).unwrap();
    let model = detector.model();
    let features = model.image_features(&pixels).unwrap();
    let scores_of = |text: &String| {
        let ids = Tensor::from_slice(&tokenizer.encode(text, 16).unwrap()).view([1, 16]);
        let query = model.embed_texts(&ids).unwrap();
        let scores = model.class_logits(&features, &query).unwrap().sigmoid();
        Vec::<f32>::try_from(scores.view(-1)).unwrap()
    };
    let scores_of_prompts: Vec<Vec<Vec<f32>>> =
        prompts.prompts.iter().map(|prompt| prompt.texts.iter().map(scores_of).collect()).collect();
    let boxes = Vec::<f32>::try_from(model.boxes(&features).unwrap().view(-1)).unwrap();
    let geometry = CanvasGeometry::new(placement, image.width(), image.height());
    let mut found = Vec::new();
    for (patch, norm) in boxes.chunks_exact(4).enumerate() {
        let mut best: Option<(usize, f32)> = None;
        for (index, scores_of_texts) in scores_of_prompts.iter().enumerate() {
            let score = scores_of_texts.iter().map(|scores| scores[patch]).fold(f32::MIN, f32::max);
            if score > prompts.threshold_of(index) && best.is_none_or(|(_, other)| score > other) {
                best = Some((index, score));
            }
        }
        let Some((prompt, score)) = best else { continue };
        let box_in_source_px = geometry.source_px_from_norm(norm.try_into().unwrap());
        if !prompts.prompts[prompt].negative && box_in_source_px.area() > 0.0 {
            found.push(Detection {
                prompt,
                score,
                objectness: None,
                box_in_source_px,
                mask: None,
                finer: Vec::new(),
                explanation: None,
            });
        }
    }
    found.sort_by(|a, b| b.score.total_cmp(&a.score));
    found
}

#[test]
fn thresholds_synonyms_and_negatives_do_what_their_plain_rules_say() {
    let cases = [
        (
            "one threshold",
            set(
                vec![
                    prompt("cat", &["a cat"], None, false),
                    prompt("dog", &["a photo of a dog"], None, false),
                ],
                0.3,
            ),
        ),
        (
            "own thresholds",
            set(
                vec![
                    prompt("cat", &["a cat"], Some(0.5), false),
                    prompt("dog", &["a photo of a dog"], Some(0.1), false),
                    prompt("sofa", &["Red SOFA!"], None, false),
                ],
                0.4,
            ),
        ),
        (
            "a prompt that nothing reaches leaves its boxes to the next",
            set(
                vec![
                    prompt("cat", &["a cat"], Some(1.0), false),
                    prompt("dog", &["a photo of a dog"], Some(0.0), false),
                ],
                0.0,
            ),
        ),
        (
            "synonyms",
            set(
                vec![
                    prompt("animal", &["a cat", "a photo of a dog"], None, false),
                    prompt(
                        "thing",
                        &["Red SOFA!", "the left hand", "two red cups"],
                        Some(0.2),
                        false,
                    ),
                ],
                0.25,
            ),
        ),
        (
            "a distractor",
            set(
                vec![
                    prompt("cat", &["a cat"], None, false),
                    prompt("not it", &["a photo of a dog", "the left hand"], Some(0.35), true),
                ],
                0.1,
            ),
        ),
    ];
    for (folder, placement) in FOLDERS {
        let mut detector = detector(folder);
        for (case, prompts) in &cases {
            for name in ["landscape", "portrait", "strip"] {
                let image = picture(name);
                detector.set_prompts(prompts.clone()).unwrap();
                let found = detect_one(&mut detector, &image);
                let expected = plainly(&mut detector, placement, &image, prompts);
                assert_same(&format!("{folder}, {case}, {name}"), &found, &expected);
            }
        }
    }
}

#[test]
fn a_distractor_takes_boxes_away_and_gives_none() {
    let mut detector = detector("owlvit_tiny");
    let image = picture("landscape");
    detector.set_prompts(texts(&["a cat"], 0.0)).unwrap();
    let alone = detect_one(&mut detector, &image);
    let with = set(
        vec![
            prompt("cat", &["a cat"], None, false),
            prompt("not it", &["a photo of a dog"], None, true),
        ],
        0.0,
    );
    detector.set_prompts(with).unwrap();
    let left = detect_one(&mut detector, &image);
    assert!(!left.is_empty() && left.len() < alone.len(), "{} of {}", left.len(), alone.len());
    assert!(left.iter().all(|found| found.prompt == 0));
}

#[test]
fn suppression_is_within_a_prompt_and_the_cap_keeps_the_best() {
    let image = picture("portrait");
    let prompts = texts(&["a cat", "a photo of a dog", "the left hand"], 0.1);
    let mut plain = detector("owlvit_tiny");
    plain.set_prompts(prompts.clone()).unwrap();
    let all = detect_one(&mut plain, &image);

    let mut suppressing =
        OwlDetector::load(&DetectorOptions { nms_iou: Some(0.2), ..options("owlvit_tiny") })
            .unwrap();
    suppressing.set_prompts(prompts.clone()).unwrap();
    let kept = detect_one(&mut suppressing, &image);
    let contenders: Vec<_> = all
        .iter()
        .map(|found| Contender { pixel_box: found.box_in_source_px, group: found.prompt })
        .collect();
    let expected: Vec<_> =
        greedy_nms(&contenders, 0.2).into_iter().map(|index| all[index].clone()).collect();
    assert!(expected.len() < all.len());
    assert_eq!(kept, expected);

    // Across prompts, boxes of all names are one group.
    let rules = DetectionRules {
        nms_iou: Some(0.2),
        nms_across_prompts: true,
        max_detections: 1000,
        names_per_box: 1,
    };
    suppressing.set_rules(rules);
    let contenders: Vec<_> =
        contenders.into_iter().map(|one| Contender { group: 0, ..one }).collect();
    let across: Vec<_> =
        greedy_nms(&contenders, 0.2).into_iter().map(|index| all[index].clone()).collect();
    assert!(across.len() < expected.len(), "boxes of different prompts overlap");
    assert_eq!(detect_one(&mut suppressing, &image), across);
    // With several names each, one box keeps its best.
    suppressing.set_rules(DetectionRules { names_per_box: 3, ..rules });
    assert_same("one name is kept", &detect_one(&mut suppressing, &image), &across);

    let mut capped =
        OwlDetector::load(&DetectorOptions { max_detections: 3, ..options("owlvit_tiny") })
            .unwrap();
    capped.set_prompts(prompts).unwrap();
    assert_eq!(detect_one(&mut capped, &image), all[..3]);
}

#[test]
fn a_box_with_all_its_names_is_what_each_prompt_finds_alone() {
    let image = picture("landscape");
    let prompts = vec![
        prompt("cat", &["a cat", "a photo of a cat"], Some(0.2), false),
        prompt("dog", &["a photo of a dog"], None, false),
        prompt("hand", &["the left hand"], None, false),
    ];
    let mut one_name = detector("owlvit_tiny");
    let mut expected = Vec::new();
    for (position, prompt) in prompts.iter().enumerate() {
        one_name.set_prompts(set(vec![prompt.clone()], 0.1)).unwrap();
        let mut alone = detect_one(&mut one_name, &image);
        assert!(!alone.is_empty());
        alone.iter_mut().for_each(|found| found.prompt = position);
        expected.extend(alone);
    }
    expected.sort_by(|a, b| b.score.total_cmp(&a.score));
    let load = |names_per_box| {
        OwlDetector::load(&DetectorOptions { names_per_box, ..options("owlvit_tiny") }).unwrap()
    };
    // Four texts: both of one prompt may be among a patch's best.
    let mut all_names = load(4);
    all_names.set_prompts(set(prompts.clone(), 0.1)).unwrap();
    let found = detect_one(&mut all_names, &image);
    assert_same("all names", &found, &expected);

    one_name.set_prompts(set(prompts.clone(), 0.1)).unwrap();
    let best = detect_one(&mut one_name, &image);
    let mut two_names = load(2);
    two_names.set_prompts(set(prompts, 0.1)).unwrap();
    let two = detect_one(&mut two_names, &image);
    assert!(best.len() < two.len() && two.len() < found.len(), "{} {}", best.len(), two.len());

    // What is less than a distractor is not the box's name either.
    let distracted = set(
        vec![
            prompt("cat", &["a cat"], None, false),
            prompt("not it", &["a photo of a dog"], None, true),
            prompt("hand", &["the left hand"], None, false),
        ],
        0.1,
    );
    one_name.set_prompts(distracted.clone()).unwrap();
    all_names.set_prompts(distracted).unwrap();
    let (best, all) = (detect_one(&mut one_name, &image), detect_one(&mut all_names, &image));
    let patches = |found: &[Detection]| -> std::collections::HashSet<_> {
        found.iter().map(|found| format!("{:?}", found.box_in_source_px)).collect()
    };
    assert_eq!(
        patches(&best),
        patches(&all),
        "a distractor takes the box from all that score less"
    );
}

#[test]
fn hundreds_of_prompts_are_all_looked_at() {
    let mut detector = detector("owlvit_tiny");
    let image = picture("landscape");
    detector.set_prompts(texts(&["a cat"], 0.1)).unwrap();
    let mut expected = detect_one(&mut detector, &image);
    assert!(!expected.is_empty());

    // None of the first 600 can be reached, so all boxes are the last one's.
    let name = |n: usize| format!("red {n}");
    let mut prompts: Vec<_> =
        (0..600).map(|n| prompt(&name(n), &[&name(n)], Some(1.0), false)).collect();
    prompts.push(Prompt::from_text("a cat"));
    detector.set_prompts(set(prompts, 0.1)).unwrap();
    expected.iter_mut().for_each(|found| found.prompt = 600);
    assert_same("601 prompts", &detect_one(&mut detector, &image), &expected);
}

#[test]
fn weak_boxes_are_what_half_the_threshold_finds_beside_the_detections() {
    for (folder, _) in FOLDERS {
        let image = [Arc::new(picture("landscape"))];
        let sets = |threshold| {
            let prompts = vec![
                prompt("cat", &["a cat"], None, false),
                prompt("dog", &["a photo of a dog"], None, false),
                prompt("not it", &["the left hand"], None, true),
            ];
            set(prompts, threshold)
        };
        let mut plain = detector(folder);
        plain.set_prompts(sets(0.0)).unwrap();
        let all = plain.detect(&image).unwrap().remove(0).detections;
        // Between two scores, so that some reach it and others do not.
        let threshold = 0.5 * (all[all.len() / 4].score + all[all.len() / 4 + 1].score);
        plain.set_prompts(sets(threshold)).unwrap();
        let strong = plain.detect(&image).unwrap().remove(0);
        assert!(strong.weak.is_empty() && !strong.detections.is_empty(), "none are asked for");
        plain.set_prompts(sets(0.5 * threshold)).unwrap();
        let both = plain.detect(&image).unwrap().remove(0).detections;
        let contenders: Vec<_> = both
            .iter()
            .map(|found| Contender { pixel_box: found.box_in_source_px, group: found.prompt })
            .collect();
        // Without an overlap of the rules' own it is one half.
        let expected: Vec<_> = greedy_nms(&contenders, 0.5)
            .into_iter()
            .map(|index| &both[index])
            .filter(|found| found.score < threshold)
            .collect();
        assert!(!expected.is_empty(), "{folder}");

        let options = DetectorOptions { weakest_share: 0.5, ..options(folder) };
        let mut telling = OwlDetector::load(&options).unwrap();
        telling.set_prompts(sets(threshold)).unwrap();
        let found = telling.detect(&image).unwrap().remove(0);
        assert_same(folder, &found.detections, &strong.detections);
        assert_eq!(found.weak.len(), expected.len(), "{folder}");
        for (weak, expected) in found.weak.iter().zip(expected) {
            let told = (weak.prompt, weak.box_in_source_px);
            assert_eq!(told, (expected.prompt, expected.box_in_source_px), "{folder}");
            // The sigmoid of one logit may differ in its last bit by its place in a tensor.
            assert!((weak.score - expected.score).abs() < 1e-6, "{folder}");
        }
        assert_eq!(found.best_scores, strong.best_scores);

        let fewer = OwlDetector::load(&DetectorOptions { max_detections: 2, ..options });
        let mut fewer = fewer.unwrap();
        fewer.set_prompts(sets(threshold)).unwrap();
        assert!(fewer.detect(&image).unwrap()[0].weak.len() <= 2);
    }
}
