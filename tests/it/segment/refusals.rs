//! What is refused, and that nothing else changes by it.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use image::RgbImage;
use owlet::models::clipseg::ClipSeg;
use owlet::models::{ConfigError, LoadError};
use owlet::segment::{ClipSegmenter, MAX_PROMPTS, SegmenterError, SegmenterOptions};
use owlet::tasks::{DetectError, Segmenter};
use owlet::types::{DeviceChoice, Prompt, PromptSet};
use owlet::weights::WeightsError;
use serde_json::{Value, json};
use tch::{Device, Kind};
use tempfile::TempDir;

use super::{options, segmenter, texts};
use crate::golden_models::fixture;
use crate::golden_preprocess::picture;

pub(super) fn copy_of(name: &str) -> TempDir {
    let copy = TempDir::new().unwrap();
    for entry in fs::read_dir(fixture(name)).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
        }
    }
    copy
}

/// Changes one of the JSON files of a checkpoint.
pub(super) fn change(folder: &Path, file: &str, with: impl FnOnce(&mut Value)) {
    let path = folder.join(file);
    let mut value: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    with(&mut value);
    fs::write(&path, value.to_string()).unwrap();
}

fn load(folder: &Path) -> Result<ClipSegmenter, SegmenterError> {
    ClipSegmenter::load(&SegmenterOptions {
        device: DeviceChoice::Cpu,
        ..SegmenterOptions::new(folder, "test")
    })
}

#[track_caller]
fn key_problems(folder: &Path) -> String {
    match load(folder).unwrap_err() {
        SegmenterError::Model(LoadError::Weights(error @ WeightsError::Keys { .. })) => {
            error.to_string()
        }
        other => panic!("expected keys that do not fit, found {other}"),
    }
}

#[test]
fn weights_of_another_decoder_are_refused_key_by_key() {
    // The plain decoder's weights under the configuration of the refined one.
    let folder = copy_of("clipseg_tiny");
    change(folder.path(), "config.json", |config| {
        config["use_complex_transposed_convolution"] = true.into();
    });
    let error = key_problems(folder.path());
    for part in [
        "missing: decoder.transposed_convolution.0.weight",
        "missing: decoder.transposed_convolution.4.bias",
        "unexpected: decoder.transposed_convolution.weight",
    ] {
        assert!(error.contains(part), "{part} is not in:\n{error}");
    }

    let folder = copy_of("clipseg_refined_tiny");
    change(folder.path(), "config.json", |config| {
        config["reduce_dim"] = 8.into();
        config["extract_layers"] = json!([0, 2]);
    });
    let error = key_problems(folder.path());
    for part in [
        "wrong shape: decoder.film_mul.weight: expected [8, 24], found [16, 24]",
        "wrong shape: decoder.transposed_convolution.2.weight: expected [8, 4, 4, 4], found [16, 8, 4, 4]",
        "unexpected: decoder.reduces.2.weight",
        "unexpected: decoder.layers.2.self_attn.q_proj.weight",
    ] {
        assert!(error.contains(part), "{part} is not in:\n{error}");
    }
}

/// Layers behind the last one that the decoder reads are part of the checkpoint all the same.
#[test]
fn a_tower_that_is_cut_off_is_refused() {
    let folder = copy_of("clipseg_tiny");
    change(folder.path(), "config.json", |config| {
        config["vision_config"]["num_hidden_layers"] = 3.into();
    });
    let error = key_problems(folder.path());
    assert!(error.contains("unexpected: clip.vision_model.encoder.layers.3."), "{error}");
}

#[test]
fn a_detector_is_no_segmenter() {
    let error = load(&fixture("owlvit_tiny")).unwrap_err();
    assert!(error.to_string().contains("expected model_type clipseg, found \"owlvit\""), "{error}");
    // OWLv2 pads, which its masks would have to be cut by: told before weights are looked at.
    let error = load(&fixture("owlv2_tiny")).unwrap_err();
    assert!(matches!(&error, SegmenterError::Canvas { .. }), "{error}");
}

#[test]
fn images_that_the_network_cannot_take_are_refused_with_the_reason() {
    let folder = copy_of("clipseg_tiny");
    let size = |height: u32, width: u32| {
        change(folder.path(), "preprocessor_config.json", |settings| {
            settings["size"] = json!({"height": height, "width": width});
        });
        load(folder.path())
    };
    let error = size(64, 80).unwrap_err().to_string();
    assert!(error.contains("stretched to a square") && error.contains("80x64"), "{error}");
    let error = size(7, 7).unwrap_err();
    assert!(
        matches!(&error, SegmenterError::Model(LoadError::Config(ConfigError::Values { .. }))),
        "{error}"
    );
    // Any other square is taken: positions are stretched to it.
    assert_eq!(size(104, 104).unwrap().info().input_size, (104, 104));
    let same = ClipSeg::load(folder.path(), 32, Device::Cpu, Kind::Float);
    assert_eq!(same.unwrap().config().image.image_size, 32);
}

#[test]
fn a_refused_set_leaves_the_old_one_in_use_and_names_every_problem() {
    let mut segmenter = segmenter("clipseg_tiny");
    let image = [Arc::new(picture("landscape"))];
    assert!(matches!(segmenter.segment(&image), Err(DetectError::NoPrompts)));
    segmenter.set_prompts(texts(&["a cat"])).unwrap();
    let before = segmenter.segment(&image).unwrap().remove(0).maps;

    let too_long = "a cat ".repeat(20);
    let bad = PromptSet {
        version: 2,
        prompts: vec![Prompt::from_text(&too_long), Prompt::from_text(" ")],
        default_threshold: 0.5,
    };
    let refused = segmenter.set_prompts(Arc::new(bad)).unwrap_err();
    assert_eq!(refused.problems.len(), 2, "{refused}");
    let message = refused.to_string();
    assert!(message.contains("42 tokens") && message.contains("at most 16"), "{message}");

    let many: Vec<String> = (0..=MAX_PROMPTS).map(|n| format!("a {n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let refused = segmenter.set_prompts(texts(&many)).unwrap_err().to_string();
    assert!(refused.contains("at most 255 prompts for a class mask, found 256"), "{refused}");
    segmenter.set_prompts(texts(&many[1..])).unwrap();
    segmenter.set_prompts(texts(&["a cat"])).unwrap();
    assert_eq!(segmenter.segment(&image).unwrap().remove(0).maps, before);
}

#[test]
fn an_image_with_no_pixels_is_named_by_its_place() {
    let mut segmenter = segmenter("clipseg_refined_tiny");
    segmenter.set_prompts(texts(&["a cat"])).unwrap();
    let images = [Arc::new(picture("square")), Arc::new(RgbImage::new(3, 0))];
    let refused = segmenter.segment(&images).unwrap_err();
    let DetectError::EmptyImage { index, width, height } = refused else { panic!("{refused}") };
    assert_eq!((index, width, height), (1, 3, 0));
}

#[test]
fn options_out_of_range_are_refused() {
    for found in [0, 1025] {
        let refused = ClipSegmenter::load(&SegmenterOptions {
            threads: Some(found),
            ..options("clipseg_tiny")
        });
        let message = refused.unwrap_err().to_string();
        assert_eq!(message, format!("threads: expected a number in [1, 1024], found {found}"));
    }
    let absent = ClipSegmenter::load(&SegmenterOptions {
        device: DeviceChoice::Cuda(99),
        ..options("clipseg_tiny")
    });
    assert!(matches!(absent, Err(SegmenterError::Device(_))));
}
