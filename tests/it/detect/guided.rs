//! Pictures instead of texts, against `image_guided_detection` of transformers
//! (`tools/make_image_guided_goldens.py`).

use std::sync::Arc;

use image::RgbImage;
use owlet::tasks::Detector;
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
