//! GroupViT against `transformers` 5.23.0, tensor by tensor, and its score maps against the
//! authors' rule.
//!
//! Checkpoint and golden tensors are made by `tools/make_groupvit_goldens.py` with
//! `attn_implementation="eager"`, one thread, f32. Its seed is one with which no two groups are as
//! good for a token or a pixel, so that rounding moves none of them to another group.

use std::sync::Arc;

use image::RgbImage;
use owlet::models::groupvit::GroupVit;
use owlet::segment::{GroupVitSegmenter, SegmenterError, SegmenterOptions, masks};
use owlet::tasks::{DetectError, Segmenter};
use owlet::tokenize::ClipTokenizer;
use owlet::types::{DeviceChoice, Prompt, PromptSet, Stage};
use owlet::vision::mask::{ScoreMap, score_of_logit};
use serde_json::Value;
use tch::{Device, Kind, Tensor};

use crate::golden_models::{assert_close, facts, fixture, goldens};
use crate::golden_preprocess::{PICTURES, picture};

/// For tokens of a few units through at most four layers: f32 keeps 7 digits, and sums in another
/// order cost one or two of them.
const TOKENS: f64 = 5e-5;

/// For shares and for vectors of length 1.
const SHARES: f64 = 1e-5;

/// For cosines times a scale of 55.
const LOGITS: f64 = 1e-3;

/// For segmentation logits, which that scale stands in twice.
const SEGMENTATION: f64 = 0.05;

/// For scores: those of a softmax whose logits are as far off as `LOGITS`, once over all prompts
/// and once over the best.
const SCORES: f64 = 2e-3;

/// Side of the canvas of the small checkpoint in pixels.
const SIDE_PX: u32 = 48;

fn model(kind: Kind) -> GroupVit {
    GroupVit::load(&fixture("groupvit_tiny"), Device::Cpu, kind).unwrap()
}

fn segmenter() -> GroupVitSegmenter {
    GroupVitSegmenter::load(&SegmenterOptions {
        device: DeviceChoice::Cpu,
        ..SegmenterOptions::new(fixture("groupvit_tiny"), "tiny")
    })
    .unwrap()
}

fn text_facts() -> Value {
    facts(&fixture("groupvit_tiny/goldens/texts.safetensors"))
}

fn strings(value: &Value) -> Vec<String> {
    serde_json::from_value(value.clone()).unwrap()
}

/// The prompts of the goldens, one of which has two texts.
fn prompts(threshold: f32) -> Arc<PromptSet> {
    let facts = text_facts();
    let texts = strings(&facts["texts"]);
    let prompts = facts["prompts"].as_array().unwrap().iter().map(|of| {
        let of: Vec<usize> = serde_json::from_value(of.clone()).unwrap();
        Prompt {
            texts: of.iter().map(|text| texts[*text].clone()).collect(),
            ..Prompt::from_text(&texts[of[0]])
        }
    });
    let prompts = prompts.collect();
    Arc::new(PromptSet { version: 1, prompts, default_threshold: threshold })
}

#[test]
fn the_network_is_the_reference() {
    let folder = fixture("groupvit_tiny");
    let model = model(Kind::Float);
    let texts = goldens(&folder.join("goldens/texts.safetensors"));
    let tokenizer = ClipTokenizer::open(&folder).unwrap();
    let ids: Vec<Tensor> = strings(&text_facts()["texts"])
        .iter()
        .map(|text| Tensor::from_slice(&tokenizer.encode(text, 16).unwrap()))
        .collect();
    let ids = Tensor::stack(&ids, 0);
    assert_eq!(ids, texts["input_ids"]);
    let embeds = model.embed_texts(&ids).unwrap();
    assert_close("text_embeds", &embeds, &texts["text_embeds"], TOKENS);

    for picture in PICTURES {
        let golden = goldens(&folder.join(format!("goldens/{picture}.safetensors")));
        let check = |name: &str, found: &Tensor, expected: &Tensor, tolerance: f64| {
            assert_close(&format!("{picture} {name}"), found, expected, tolerance);
        };
        let groups = model.groups(&golden["pixel_values"]).unwrap();
        // The first assignment has patches, the second has groups of the first.
        let shares = golden["assignment.1"].matmul(&golden["assignment.0"]);
        let shares = shares.view([1, 5, 6, 6]);
        check("shares", &groups.shares, &shares, SHARES);
        check("image_embeds", &groups.image_embeds, &golden["image_embeds"], SHARES);
        let of_image = model.image_logits(&groups, &embeds).unwrap();
        check("logits_per_image", &of_image, &golden["logits_per_image"], LOGITS);
        let two = embeds.narrow(0, 0, 2);
        let found = model.segmentation_logits(&groups, &two).unwrap();
        check("segmentation_logits", &found, &golden["segmentation_logits"], SEGMENTATION);
    }
}

#[test]
fn a_batch_gives_what_its_images_give_alone() {
    let model = model(Kind::Float);
    let pixels = ["landscape", "portrait"].map(|name| {
        goldens(&fixture(&format!("groupvit_tiny/goldens/{name}.safetensors")))
            .remove("pixel_values")
            .unwrap()
    });
    let together = model.groups(&Tensor::cat(&pixels, 0)).unwrap();
    for (index, pixels) in pixels.iter().enumerate() {
        let alone = model.groups(pixels).unwrap();
        let of = |x: &Tensor| x.narrow(0, index as i64, 1);
        assert_close("embeds", &of(&together.embeds), &alone.embeds, SHARES);
        assert_close("shares", &of(&together.shares), &alone.shares, SHARES);
    }
}

/// Pictures of any shape: what lies beside the middle square is seen, too.
#[test]
fn pictures_are_stretched_to_the_last_bit_as_the_reference_does_without_its_crop() {
    let mut segmenter = segmenter();
    for name in PICTURES {
        let golden = goldens(&fixture(&format!("groupvit_tiny/goldens/{name}.safetensors")));
        let found = segmenter.pixel_values(&[Arc::new(picture(name))]).unwrap();
        // Integers in fixed point and one division in f32, in the reference's order.
        assert_close(name, &found, &golden["pixel_values"], 0.0);
    }
}

#[test]
fn scores_and_classes_are_those_of_the_authors_rule() {
    let mut segmenter = segmenter();
    let mut classes_seen = std::collections::BTreeSet::new();
    for name in PICTURES {
        let path = fixture(&format!("groupvit_tiny/goldens/{name}.safetensors"));
        let golden = goldens(&path);
        // Theirs is lowered to the best affinity where nothing reaches it; ours is above, not at.
        let threshold = facts(&path)["threshold"].as_f64().unwrap() as f32;
        let set = prompts(threshold - 1e-4);
        segmenter.set_prompts(Arc::clone(&set)).unwrap();
        let pixels = segmenter.pixel_values(&[Arc::new(picture(name))]).unwrap();
        let groups = segmenter.model().groups(&pixels).unwrap();
        let affinities = segmenter.affinities(&groups).unwrap().squeeze_dim(0);
        assert_close(&format!("{name} affinities"), &affinities, &golden["group_scores"], SCORES);

        let found = segmenter.segment(&[Arc::new(picture(name))]).unwrap().remove(0);
        let side = i64::from(SIDE_PX);
        let scores: Vec<f32> = found.maps[..2]
            .iter()
            .flat_map(|map| map.logits().iter().map(|logit| score_of_logit(*logit)))
            .collect();
        let scores = Tensor::from_slice(&scores).view([2, side, side]);
        assert_close(&format!("{name} scores"), &scores, &golden["scores"], SCORES);

        let found = masks(&found.maps, &set, SIDE_PX, SIDE_PX).classes.into_raw();
        let expected = Vec::<u8>::try_from(golden["classes"].flatten(0, -1)).unwrap();
        assert_eq!(found, expected, "{name}");
        classes_seen.extend(found);
    }
    assert!(classes_seen.len() > 3, "background and several prompts: {classes_seen:?}");
}

#[test]
fn pictures_of_any_shape_get_masks_of_their_size() {
    let mut segmenter = segmenter();
    let set = prompts(0.5);
    segmenter.set_prompts(Arc::clone(&set)).unwrap();
    let images = PICTURES.map(|name| Arc::new(picture(name)));
    let together = segmenter.segment(&images).unwrap();
    for (image, together) in images.iter().zip(&together) {
        let alone = segmenter.segment(&[Arc::clone(image)]).unwrap().remove(0);
        let apart = |a: &ScoreMap, b: &ScoreMap| {
            let pairs = a.logits().iter().zip(b.logits());
            pairs.filter(|(a, b)| (score_of_logit(**a) - score_of_logit(**b)).abs() > 2e-3).count()
        };
        for (alone, together) in alone.maps.iter().zip(&together.maps) {
            assert_eq!(apart(alone, together), 0);
        }
        let found = masks(&alone.maps, &set, image.width(), image.height());
        assert_eq!(found.classes.dimensions(), image.dimensions());
        // Scores of the prompts add up to at most 1: above one half there is one of them.
        for mask in &found.masks {
            let classes = found.classes.pixels().map(|class| usize::from(class.0[0]));
            assert!(
                mask.mask
                    .pixels()
                    .iter()
                    .zip(classes)
                    .all(|(pixel, class)| { !*pixel || class == mask.prompt + 1 })
            );
        }
        for stage in [Stage::Preprocess, Stage::ImageTower, Stage::Heads] {
            assert!(together.timings.get(stage).is_some(), "{stage}");
        }
    }
    assert!(segmenter.segment(&[]).unwrap().is_empty());
}

#[test]
fn a_set_that_cannot_be_compared_is_refused_and_the_one_in_use_stays() {
    let mut segmenter = segmenter();
    let image = [Arc::new(picture("square"))];
    assert!(matches!(segmenter.segment(&image), Err(DetectError::NoPrompts)));
    segmenter.set_prompts(prompts(0.5)).unwrap();
    let before = segmenter.segment(&image).unwrap().remove(0).maps;
    let set = |prompts| Arc::new(PromptSet { version: 2, prompts, default_threshold: 0.5 });
    let long = "cat ".repeat(20);
    for (prompts, part) in [
        (vec![Prompt::from_text("a cat")], "at least two prompts, found one"),
        (vec![Prompt::from_text(&long), Prompt::from_text("a cat")], "at most 16"),
        ((0..256).map(|n| Prompt::from_text(&n.to_string())).collect(), "at most 255 prompts"),
    ] {
        let refused = segmenter.set_prompts(set(prompts)).unwrap_err().to_string();
        assert!(refused.contains(part), "{refused}");
    }
    assert_eq!(segmenter.prompts().unwrap().version, 1);
    assert_eq!(segmenter.segment(&image).unwrap().remove(0).maps, before);
    let empty = segmenter.segment(&[Arc::clone(&image[0]), Arc::new(RgbImage::new(0, 3))]);
    assert!(matches!(empty, Err(DetectError::EmptyImage { index: 1, .. })));
    let info = segmenter.info();
    assert_eq!((info.architecture.as_str(), info.input_size), ("groupvit", (48, 48)));
    assert_eq!(info.parameters, segmenter.model().parameters());
}

#[test]
fn what_is_no_groupvit_is_refused() {
    let load = |name: &str| {
        GroupVitSegmenter::load(&SegmenterOptions {
            device: DeviceChoice::Cpu,
            ..SegmenterOptions::new(fixture(name), name)
        })
        .unwrap_err()
    };
    let error = load("clipseg_tiny").to_string();
    assert!(error.contains("expected model_type groupvit, found \"clipseg\""), "{error}");
    let copy = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(fixture("groupvit_tiny")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            std::fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
        }
    }
    let path = copy.path().join("preprocessor_config.json");
    let text =
        std::fs::read_to_string(&path).unwrap().replace("\"crop_size\": 48", "\"crop_size\": 64");
    std::fs::write(&path, text).unwrap();
    let options = SegmenterOptions {
        device: DeviceChoice::Cpu,
        ..SegmenterOptions::new(copy.path(), "copy")
    };
    let error = GroupVitSegmenter::load(&options).unwrap_err();
    assert!(matches!(&error, SegmenterError::InputSize { expected_px: 48, .. }), "{error}");
    assert!(error.to_string().contains("48x48, the preprocessing makes 64x64"), "{error}");
}

#[test]
fn half_formats_stay_near_f32_and_give_f32_results() {
    let golden = goldens(&fixture("groupvit_tiny/goldens/portrait.safetensors"));
    let texts = goldens(&fixture("groupvit_tiny/goldens/texts.safetensors"));
    for kind in [Kind::Half, Kind::BFloat16] {
        let model = model(kind);
        let embeds = model.embed_texts(&texts["input_ids"]).unwrap();
        let groups = model.groups(&golden["pixel_values"]).unwrap();
        assert_eq!((embeds.kind(), groups.embeds.kind()), (Kind::Float, Kind::Float));
        let off = (embeds - &texts["text_embeds"]).abs().mean(Kind::Double).double_value(&[]);
        let size = texts["text_embeds"].std(true).double_value(&[]);
        // The unit roundoff of bf16 is 2^-8; four layers lose some more. What single tokens do
        // in the grouping is not compared: rounding may well move one to another group.
        assert!(off < 0.05 * size, "{kind:?}: off by {off} in the mean of {size}");
        let sums = groups.shares.sum_dim_intlist([1].as_slice(), false, Kind::Float);
        // Shares of a patch add up to 1, whatever the number format.
        assert!((sums - 1.0).abs().max().double_value(&[]) < 1e-4);
    }
}
