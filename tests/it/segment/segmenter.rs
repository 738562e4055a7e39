//! What a user of the trait relies on.

use std::sync::Arc;

use owlet::segment::masks;
use owlet::tasks::Segmenter;
use owlet::types::{Prompt, Stage};
use owlet::vision::mask::ScoreMap;

use super::{FOLDERS, LOGITS, TEXTS, segmenter, set, texts};
use crate::golden_preprocess::picture;

#[track_caller]
fn assert_same_maps(found: &[ScoreMap], expected: &[ScoreMap]) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!((found.width(), found.height()), (expected.width(), expected.height()));
        for (a, b) in found.logits().iter().zip(expected.logits()) {
            // Other batches are other blocks of matrix products.
            assert!(f64::from((a - b).abs()) <= LOGITS, "{a} is not {b}");
        }
    }
}

#[test]
fn a_new_set_changes_the_maps_and_the_old_set_brings_the_old_ones_back() {
    for folder in FOLDERS {
        let mut segmenter = segmenter(folder);
        let image = Arc::new(picture("portrait"));
        let mut maps_of = |prompts: &[&str]| {
            segmenter.set_prompts(texts(prompts)).unwrap();
            assert_eq!(segmenter.prompts().unwrap().prompts.len(), prompts.len());
            segmenter.segment(&[Arc::clone(&image)]).unwrap().remove(0).maps
        };
        let first = maps_of(&["a cat", "red"]);
        let second = maps_of(&["the left hand"]);
        assert_eq!(maps_of(&["a cat", "red"]), first, "to the last bit");
        assert_eq!((first.len(), second.len()), (2, 1));
        assert_ne!(first[0], second[0]);
        assert_ne!(first[0], first[1]);
        assert_same_maps(&maps_of(&["red", "a cat", "the left hand"])[2..], &second);
    }
}

/// More prompts than are drawn in one pass, and pictures of several sizes in one batch.
#[test]
fn many_prompts_and_pictures_in_one_go_are_the_same_as_one_by_one() {
    let mut segmenter = segmenter("clipseg_tiny");
    let names: Vec<String> = (0..37).map(|n| format!("a cat {n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let images = ["landscape", "portrait", "square"].map(|name| Arc::new(picture(name)));
    segmenter.set_prompts(texts(&names)).unwrap();
    let together = segmenter.segment(&images).unwrap();
    assert_eq!(together.len(), images.len());
    for (image, together) in images.iter().zip(&together) {
        let alone = segmenter.segment(&[Arc::clone(image)]).unwrap().remove(0);
        assert_same_maps(&together.maps, &alone.maps);
    }
    for index in [0, 15, 16, 36] {
        segmenter.set_prompts(texts(&names[index..=index])).unwrap();
        let alone = segmenter.segment(&images[..1]).unwrap().remove(0);
        assert_same_maps(&together[0].maps[index..=index], &alone.maps);
    }
    assert!(segmenter.segment(&[]).unwrap().is_empty());
}

#[test]
fn synonyms_give_the_better_of_their_maps() {
    let mut segmenter = segmenter("clipseg_refined_tiny");
    let image = [Arc::new(picture("landscape"))];
    segmenter.set_prompts(texts(&TEXTS[..2])).unwrap();
    let single = segmenter.segment(&image).unwrap().remove(0).maps;
    let both = Prompt {
        texts: TEXTS[..2].iter().map(|text| (*text).to_owned()).collect(),
        ..Prompt::from_text("either")
    };
    segmenter.set_prompts(set(vec![both])).unwrap();
    let joined = segmenter.segment(&image).unwrap().remove(0).maps;
    let mut expected = single[0].clone();
    expected.join(single[1].logits());
    assert_same_maps(&joined, &[expected]);
}

#[test]
fn a_distractor_takes_pixels_away() {
    let mut segmenter = segmenter("clipseg_tiny");
    let image = Arc::new(picture("landscape"));
    let (width, height) = image.dimensions();
    let mut area_of = |negative: bool| {
        let other = Prompt { negative, ..Prompt::from_text("the left hand") };
        let prompts = set(vec![Prompt::from_text("a cat"), other]);
        segmenter.set_prompts(Arc::clone(&prompts)).unwrap();
        let scores = segmenter.segment(&[Arc::clone(&image)]).unwrap().remove(0);
        assert_eq!(scores.maps.len(), 2, "distractors have a map, too");
        let found = masks(&scores.maps, &prompts, width, height);
        assert!(found.classes.pixels().all(|class| class.0[0] <= if negative { 1 } else { 2 }));
        (found.masks.len(), found.masks[0].area_px)
    };
    let (both, whole) = area_of(false);
    let (one, rest) = area_of(true);
    assert_eq!((both, one), (2, 1));
    assert!(0 < rest && rest < whole, "{rest} of {whole}");
}

#[test]
fn every_stage_is_timed_and_the_model_says_what_it_is() {
    let mut segmenter = segmenter("clipseg_refined_tiny");
    segmenter.set_prompts(texts(&["a cat"])).unwrap();
    let scores = segmenter.segment(&[Arc::new(picture("square"))]).unwrap().remove(0);
    for stage in [Stage::Preprocess, Stage::ImageTower, Stage::Heads] {
        assert!(scores.timings.get(stage).is_some(), "{stage}");
    }
    let info = segmenter.info();
    assert_eq!((info.architecture.as_str(), info.device.as_str()), ("clipseg", "cpu"));
    assert_eq!((info.input_size, info.useful_batch), ((80, 80), 1));
    assert_eq!(info.parameters, segmenter.model().parameters());
}
