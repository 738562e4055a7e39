//! Pictures instead of texts, against `image_guided_detection` of transformers
//! (`tools/make_image_guided_goldens.py`).

use std::sync::Arc;

use image::RgbImage;
use owlet::tasks::{DetectionRules, Detector, ImageDetections};
use owlet::types::{Exemplar, PixelBox, Prompt};
use owlet::vision::exemplar::picture_of_image;

use super::{BOX_PX, FOLDERS, SCORE, detect_one, detector, set, texts};
use crate::golden_preprocess::{Goldens, PICTURES, picture};

fn exemplar(image: &RgbImage, corners: Option<[f32; 4]>) -> Exemplar {
    let picture = picture_of_image(Arc::new(image.clone())).unwrap();
    let box_in_source_px = corners.map(PixelBox::from_corners);
    Exemplar { picture: Arc::new(picture), box_in_source_px }
}

fn shown(exemplars: Vec<Exemplar>) -> Prompt {
    Prompt { name: "gadget".to_owned(), exemplars, ..Prompt::default() }
}

fn sigmoid(logit: f32) -> f32 {
    1.0 / (1.0 + (-logit).exp())
}

#[test]
fn whole_pictures_score_what_the_reference_scores() {
    for (folder, _) in FOLDERS {
        let goldens = Goldens::open(&format!("{folder}/goldens/image_guided.safetensors"));
        let mut detector = detector(folder);
        for (number, name) in PICTURES.iter().enumerate() {
            let looked_at = PICTURES[(number + 1) % PICTURES.len()];
            let what = format!("{folder} {name} in {looked_at}");
            let prompt = shown(vec![exemplar(&picture(name), None)]);
            detector.set_prompts(set(vec![prompt], 0.0)).unwrap();
            let found = detector.detect(&[Arc::new(picture(looked_at))]).unwrap().remove(0);
            let logits = goldens.f32s(&format!("{name}.{looked_at}.logits"));
            let expected: Vec<f32> = logits.into_iter().map(sigmoid).collect();
            let best = expected.iter().copied().fold(0.0, f32::max);
            assert!((found.best_scores[0] - best).abs() < SCORE, "{what}");
            // Every patch is a detection, but for those that lie in the padding.
            assert!(!found.detections.is_empty(), "{what}");
            assert!(folder == "owlv2_tiny" || found.detections.len() == expected.len(), "{what}");
            for found in &found.detections {
                let off = expected.iter().map(|score| (score - found.score).abs());
                assert!(off.fold(1.0, f32::min) < SCORE, "{what}: {}", found.score);
            }
        }
    }
}

/// What `post_process_image_guided_detection` made of one pair of pictures, best first. It spreads
/// scores so that the best is 1 and a tenth of it 0, and leaves out what is below.
struct PostProcessed {
    scores: Vec<f32>,
    boxes: Vec<PixelBox>,
}

impl PostProcessed {
    fn read(goldens: &Goldens, key: &str, (width, height): (u32, u32)) -> Self {
        let corners = goldens.f32s(&format!("{key}.boxes"));
        let boxes = corners
            .as_chunks()
            .0
            .iter()
            .map(|corners| PixelBox::from_corners(*corners).clipped_to(width, height));
        let scores = goldens.f32s(&format!("{key}.scores"));
        // Here boxes are clipped, and those that lie in the padding are none.
        let (scores, boxes) = scores.into_iter().zip(boxes).filter(|(_, b)| b.area() > 0.0).unzip();
        Self { scores, boxes }
    }

    #[track_caller]
    fn assert_is(&self, what: &str, found: &ImageDetections) {
        let best = found.best_scores[0] + 1e-6;
        let spread = |score: f32| ((score - 0.1 * best) / (0.9 * best)).clamp(0.0, 1.0);
        let kept: Vec<_> =
            found.detections.iter().filter(|found| spread(found.score) > 0.0).collect();
        assert_eq!(kept.len(), self.scores.len(), "{what}: number of detections");
        for (rank, (found, expected)) in kept.iter().zip(&self.scores).enumerate() {
            let off = (spread(found.score) - expected).abs();
            assert!(off <= SCORE, "{what}: score at rank {rank} is off by {off:e}");
            let off = |area: &PixelBox| {
                let corners = area.corners().into_iter().zip(found.box_in_source_px.corners());
                corners.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
            };
            // Scores nearer to each other than the tolerance may change places.
            let near = self.scores.iter().zip(&self.boxes);
            let mut near = near.filter(|(score, _)| (*score - expected).abs() <= SCORE);
            assert!(near.any(|(_, area)| off(area) <= BOX_PX), "{what}: box at rank {rank}");
        }
    }
}

#[test]
fn boxes_in_pictures_find_what_the_reference_finds() {
    for (folder, _) in FOLDERS {
        let goldens = Goldens::open(&format!("{folder}/goldens/exemplars.safetensors"));
        let mut detector = detector(folder);
        let (mut compared, mut refused, mut chosen_among_several) = (0, 0, 0);
        for (number, name) in PICTURES.iter().enumerate() {
            let looked_at = PICTURES[(number + 1) % PICTURES.len()];
            let (showing, looked_at) = (picture(name), picture(looked_at));
            let size = looked_at.dimensions();
            let looked_at = [Arc::new(looked_at)];
            for tensor in goldens.names() {
                let Some(key) = tensor.strip_suffix(".box_px") else { continue };
                if !key.starts_with(&format!("{name}.")) {
                    continue;
                }
                let what = format!("{folder} {key}");
                let corners = goldens.f32s(&tensor).try_into().unwrap();
                let prompt = shown(vec![exemplar(&showing, Some(corners))]);
                let overlap = goldens.f32s(&format!("{key}.overlap"))[0];
                match detector.set_prompts(set(vec![prompt], 0.0)) {
                    // The reference takes whatever is nearest.
                    Err(error) => {
                        assert!(overlap < 0.1, "{what}: {error}");
                        let expected = format!("overlaps the one that is shown by {overlap:.2}");
                        assert!(error.to_string().contains(&expected), "{what}: {error}");
                        refused += 1;
                        continue;
                    }
                    Ok(()) => assert!(overlap >= 0.1, "{what}: overlaps by {overlap}"),
                }
                compared += 1;
                chosen_among_several += usize::from(goldens.i64s(&format!("{key}.near"))[0] > 1);
                for (made, nms_iou) in [("plain", None), ("apart", Some(0.3))] {
                    let rules = DetectionRules {
                        nms_iou,
                        nms_across_prompts: false,
                        max_detections: 1000,
                        names_per_box: 1,
                    };
                    detector.set_rules(rules);
                    let found = detector.detect(&looked_at).unwrap().remove(0);
                    let logits = goldens.f32s(&format!("{key}.logits"));
                    let best = logits.into_iter().map(sigmoid).fold(0.0, f32::max);
                    assert!((found.best_scores[0] - best).abs() <= SCORE, "{what}");
                    PostProcessed::read(&goldens, &format!("{key}.{made}"), size)
                        .assert_is(&format!("{what} {made}"), &found);
                }
            }
        }
        assert!(compared >= 20 && refused >= 1, "{folder}: {compared} compared, {refused} refused");
        assert!(chosen_among_several >= 2, "{folder}: {chosen_among_several}");
    }
}

#[test]
fn a_box_that_the_model_predicts_makes_its_own_patch_the_query() {
    // OWLv2 takes the patch that is most like an object; shown with its box, it is among those that
    // fit best and is taken again.
    let goldens = Goldens::open("owlv2_tiny/goldens/image_guided.safetensors");
    let image = picture("square");
    let [cx, cy, w, h] = goldens.f32s("square.landscape.query_box").try_into().unwrap();
    let corners = [cx - w / 2.0, cy - h / 2.0, cx + w / 2.0, cy + h / 2.0];
    // The picture is as large as the canvas.
    let corners = corners.map(|share| (64.0 * share).clamp(0.0, 64.0));
    let mut detector = detector("owlv2_tiny");
    let mut scores = |corners: Option<[f32; 4]>| {
        let prompt = shown(vec![exemplar(&image, corners)]);
        detector.set_prompts(set(vec![prompt], 0.0)).unwrap();
        detect_one(&mut detector, &picture("landscape"))
    };
    let (whole, part) = (scores(None), scores(Some(corners)));
    assert_eq!(whole, part);
}

#[test]
fn texts_and_exemplars_are_queries_of_one_pass() {
    for (folder, _) in FOLDERS {
        let mut detector = detector(folder);
        let image = Arc::new(picture("landscape"));
        let mut best = |prompts: Vec<Prompt>| {
            detector.set_prompts(set(prompts, 0.0)).unwrap();
            detector.detect(&[Arc::clone(&image)]).unwrap().remove(0).best_scores
        };
        let (one, other) = (exemplar(&picture("square"), None), exemplar(&picture("strip"), None));
        let alone = [
            best(vec![Prompt::from_text("a cat")])[0],
            best(vec![shown(vec![one.clone()])])[0],
            best(vec![shown(vec![other.clone()])])[0],
        ];
        let both = Prompt { exemplars: vec![one.clone()], ..Prompt::from_text("a cat") };
        let apart = shown(vec![one.clone(), other.clone()]);
        let together = best(vec![both, apart.clone()]);
        // Matrix products of other sizes sum in another order.
        assert!((together[0] - alone[0].max(alone[1])).abs() < SCORE, "{folder}");
        assert!((together[1] - alone[1].max(alone[2])).abs() < SCORE, "{folder}");

        let mean = best(vec![Prompt { average: true, ..apart }])[0];
        let twice = Prompt { average: true, ..shown(vec![one.clone(), one]) };
        assert!((best(vec![twice])[0] - alone[1]).abs() < SCORE, "the mean of equals is they");
        assert!((mean - together[1]).abs() > SCORE, "{folder}: the mean is another query");
    }
}

#[test]
fn an_exemplar_that_cannot_be_used_is_refused_and_changes_nothing() {
    for (folder, _) in FOLDERS {
        let mut detector = detector(folder);
        let image = picture("landscape");
        detector.set_prompts(texts(&["a cat"], 0.0)).unwrap();
        let before = detect_one(&mut detector, &image);
        // A sliver at the edge is none of the boxes of the tiny models.
        let sliver = exemplar(&image, Some([0.0, 0.0, 213.0, 1.0]));
        let outside = exemplar(&image, Some([0.0, 0.0, 300.0, 100.0]));
        for (exemplars, expected) in [
            (vec![exemplar(&image, None), sliver], "exemplars[1]: the model sees no object there"),
            (vec![outside], "exemplars[0]: the box [0, 0, 300, 100] is not inside its picture"),
        ] {
            let refused = detector.set_prompts(set(vec![shown(exemplars)], 0.0)).unwrap_err();
            assert!(refused.to_string().contains(expected), "{folder}: {refused}");
        }
        let asif = Prompt { asif: true, ..Prompt::from_text("a cat") };
        let refused = detector.set_prompts(set(vec![asif], 0.0)).unwrap_err().to_string();
        assert!(refused.contains("asif: no bank is configured"), "{refused}");
        assert_eq!(detect_one(&mut detector, &image), before);
    }
}

#[test]
fn a_box_that_is_predicted_finds_itself_in_its_own_picture() {
    for (folder, _) in FOLDERS {
        let mut detector = detector(folder);
        let image = picture("portrait");
        detector.set_prompts(texts(&["a cat"], 0.0)).unwrap();
        // Any box that lies inside.
        let inside = |found: &owlet::types::Detection| {
            let [x0, y0, x1, y1] = found.box_in_source_px.corners();
            x0 > 1.0 && y0 > 1.0 && x1 < 119.0 && y1 < 189.0
        };
        let found = detect_one(&mut detector, &image);
        let area = found.iter().find(|found| inside(found)).unwrap().box_in_source_px;
        let prompt = shown(vec![exemplar(&image, Some(area.corners()))]);
        detector.set_prompts(set(vec![prompt], 0.0)).unwrap();
        let again = detect_one(&mut detector, &image);
        let off = |found: &owlet::types::Detection| {
            let corners = found.box_in_source_px.corners().into_iter().zip(area.corners());
            corners.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
        };
        assert!(again.iter().any(|found| off(found) < BOX_PX), "{folder}");
    }
}

#[test]
fn two_hundred_exemplars_are_taken_and_the_one_that_shows_nothing_is_named() {
    for (folder, _) in FOLDERS {
        let mut detector = detector(folder);
        let image = picture("landscape");
        let goldens = Goldens::open(&format!("{folder}/goldens/exemplars.safetensors"));
        let corners = goldens.f32s("landscape.predicted0.box_px").try_into().unwrap();
        let one = exemplar(&image, Some(corners));
        let many: Vec<_> = (0..200)
            .map(|number| {
                let moved = |corner: f32| corner + 0.001 * number as f32;
                let box_in_source_px = Some(PixelBox::from_corners(corners.map(moved)));
                Exemplar { box_in_source_px, ..one.clone() }
            })
            .collect();
        detector.set_prompts(set(vec![shown(many.clone())], 0.0)).unwrap();
        let before = detect_one(&mut detector, &image);
        assert!(!before.is_empty());
        let mut bad = many;
        bad[150].box_in_source_px = Some(PixelBox::from_corners([0.0, 0.0, 213.0, 1.0]));
        let refused = detector.set_prompts(set(vec![shown(bad)], 0.0)).unwrap_err().to_string();
        assert!(refused.contains("\"gadget\": exemplars[150]: the model sees no"), "{refused}");
        assert_eq!(refused.lines().count(), 2, "{refused}");
        assert_eq!(detect_one(&mut detector, &image), before);
        // The smallest picture is answered, one way or the other.
        let dot = RgbImage::from_pixel(1, 1, image::Rgb([200, 30, 10]));
        for corners in [None, Some([0.0, 0.0, 1.0, 1.0])] {
            if let Err(refused) =
                detector.set_prompts(set(vec![shown(vec![exemplar(&dot, corners)])], 0.0))
            {
                assert!(refused.to_string().contains("sees no object"), "{refused}");
            }
            assert!(!detect_one(&mut detector, &image).is_empty());
        }
    }
}
