//! Pictures as prompts, against `conditional_pixel_values` of the reference.

use std::sync::Arc;

use image::RgbImage;
use owlet::segment::{ClipSegmenter, VisualPrompt};
use owlet::tasks::Segmenter;
use owlet::types::PixelBox;
use owlet::vision::mask::ScoreMap;
use tch::{Kind, Tensor};

use super::{FOLDERS, LOGITS, segmenter, texts};
use crate::golden_models::{assert_close, fixture, goldens};
use crate::golden_preprocess::picture;

fn shown(prompt: usize, names: &[&str], with_texts: bool) -> VisualPrompt {
    let exemplars = names.iter().map(|name| (Arc::new(picture(name)), None)).collect();
    VisualPrompt { prompt, exemplars, with_texts }
}

fn maps(segmenter: &mut ClipSegmenter, name: &str) -> Vec<ScoreMap> {
    segmenter.segment(&[Arc::new(picture(name))]).unwrap().remove(0).maps
}

fn tensor(map: &ScoreMap) -> Tensor {
    Tensor::from_slice(map.logits()).view([1, map.height().into(), map.width().into()])
}

#[test]
fn a_picture_in_place_of_texts_is_the_reference() {
    for folder in FOLDERS {
        let golden = goldens(&fixture(folder).join("goldens/visual.safetensors"));
        let mut segmenter = segmenter(folder);
        segmenter.set_prompts(texts(&["a cat", "the left hand"])).unwrap();
        for name in ["landscape", "portrait"] {
            segmenter.show(&[]).unwrap();
            let before = maps(&mut segmenter, name);
            segmenter.show(&[shown(0, &["square"], false)]).unwrap();
            let found = maps(&mut segmenter, name);
            let expected = &golden[&format!("{name}.logits")];
            assert_close(&format!("{folder} {name}"), &tensor(&found[0]), expected, LOGITS);
            // Another batch of conditions is another block of matrix products.
            assert_close("the other prompt", &tensor(&found[1]), &tensor(&before[1]), LOGITS);
            segmenter.show(&[]).unwrap();
            assert_eq!(maps(&mut segmenter, name), before, "to the last bit");
        }
    }
}

#[test]
fn several_pictures_and_texts_are_averaged() {
    let mut segmenter = segmenter("clipseg_tiny");
    segmenter.set_prompts(texts(&["a cat", "the left hand"])).unwrap();
    let both = [Arc::new(picture("square")), Arc::new(picture("portrait"))];
    let pictures = segmenter.embed_pictures(&both).unwrap();
    let mean = pictures.mean_dim([0].as_slice(), true, Kind::Float);
    let text = goldens(&fixture("clipseg_tiny/goldens/texts.safetensors"))
        .remove("text_embeds")
        .unwrap()
        .narrow(0, 1, 1);
    let pixels = segmenter.pixel_values(&[Arc::new(picture("strip"))]).unwrap();
    let model = segmenter.model();
    let input = model.decoder_input(&model.layers(&pixels).unwrap()).unwrap();
    let expected = |condition: &Tensor| model.logits(&input, condition).unwrap().squeeze_dim(0);
    let (alone, with_text) = (expected(&mean), expected(&((&mean + text) * 0.5)));
    for (with_texts, expected) in [(false, alone), (true, with_text)] {
        segmenter.show(&[shown(1, &["square", "portrait"], with_texts)]).unwrap();
        let found = maps(&mut segmenter, "strip");
        assert_close("shown", &tensor(&found[1]), &expected, LOGITS);
    }
}

#[test]
fn a_box_picks_the_thing_in_the_picture() {
    let mut segmenter = segmenter("clipseg_tiny");
    segmenter.set_prompts(texts(&["a cat"])).unwrap();
    let image = Arc::new(picture("landscape"));
    let around = Some(PixelBox::from_corners([26.0, 17.0, 71.0, 70.0]));
    let boxed = VisualPrompt {
        prompt: 0,
        exemplars: vec![(Arc::clone(&image), around)],
        with_texts: false,
    };
    segmenter.show(&[boxed]).unwrap();
    let found = maps(&mut segmenter, "square");
    segmenter.show(&[shown(0, &["landscape"], false)]).unwrap();
    let whole = maps(&mut segmenter, "square");
    let apart = (tensor(&found[0]) - tensor(&whole[0])).abs().max().double_value(&[]);
    assert!(apart > 100.0 * LOGITS, "{apart}");
}

#[test]
fn what_cannot_be_shown_is_refused_and_what_was_shown_stays() {
    let mut segmenter = segmenter("clipseg_tiny");
    let refused = segmenter.show(&[shown(0, &["square"], false)]).unwrap_err();
    assert!(refused.to_string().contains("no prompts are set"), "{refused}");
    segmenter.set_prompts(texts(&["a cat"])).unwrap();
    segmenter.show(&[shown(0, &["square"], true)]).unwrap();
    let before = maps(&mut segmenter, "portrait");
    let outside = Some(PixelBox::from_corners([500.0, 0.0, 600.0, 50.0]));
    let wrong = VisualPrompt {
        prompt: 0,
        exemplars: vec![
            (Arc::new(picture("square")), outside),
            (Arc::new(RgbImage::new(0, 7)), None),
        ],
        with_texts: false,
    };
    let refused = segmenter.show(&[wrong, shown(3, &["square"], false)]).unwrap_err();
    assert_eq!(refused.problems.len(), 3, "{refused}");
    assert_eq!(maps(&mut segmenter, "portrait"), before);
    // A new set starts with its texts.
    segmenter.set_prompts(texts(&["a cat"])).unwrap();
    assert_ne!(maps(&mut segmenter, "portrait"), before);
}
