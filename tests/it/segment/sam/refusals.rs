//! What is refused, and that nothing else changes by it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use image::RgbImage;
use owlet::models::sam::Sam;
use owlet::models::{ConfigError, LoadError};
use owlet::segment::{MAX_POINTS, SamSegmenter, SegmenterError, SegmenterOptions};
use owlet::tasks::{DetectError, MaskPrompt, PointPrompt, PromptableSegmenter};
use owlet::types::DeviceChoice;
use safetensors::SafeTensors;
use serde_json::{Value, json};
use tch::{Device, Kind};

use super::super::refusals::{change, copy_of};
use super::{FOLDER, boxed, segmenter};
use crate::golden_models::fixture;
use crate::golden_preprocess::picture;

fn load(folder: &Path) -> Result<SamSegmenter, SegmenterError> {
    SamSegmenter::load(&SegmenterOptions {
        device: DeviceChoice::Cpu,
        ..SegmenterOptions::new(folder, "test")
    })
}

#[test]
fn weights_of_another_network_are_refused_key_by_key() {
    let folder = copy_of(FOLDER);
    change(folder.path(), "config.json", |config| {
        config["vision_config"]["window_size"] = 4.into();
        config["vision_config"]["num_hidden_layers"] = 2.into();
        config["mask_decoder_config"]["num_multimask_outputs"] = 4.into();
    });
    let error = load(folder.path()).unwrap_err().to_string();
    for part in [
        "missing: mask_decoder.output_hypernetworks_mlps.4.proj_in.weight",
        "unexpected: vision_encoder.layers.2.attn.rel_pos_h",
        "wrong shape: vision_encoder.layers.0.attn.rel_pos_w: expected [7, 8], found [5, 8]",
        "wrong shape: mask_decoder.mask_tokens.weight: expected [5, 32], found [4, 32]",
    ] {
        assert!(error.contains(part), "{part} is not in:\n{error}");
    }
}

#[test]
fn values_that_make_no_network_are_refused_all_at_once() {
    let folder = copy_of(FOLDER);
    change(folder.path(), "config.json", |config| {
        config["vision_config"]["patch_size"] = 9.into();
        config["vision_config"]["num_pos_feats"] = 15.into();
        config["vision_config"]["hidden_act"] = "swish".into();
        config["vision_config"]["window_size"] = json!(-1);
        config["prompt_encoder_config"]["mask_input_channels"] = 6.into();
        config["mask_decoder_config"]["hidden_size"] = 24.into();
        config["mask_decoder_config"]["num_attention_heads"] = 5.into();
        config["mask_decoder_config"]["iou_head_depth"] = 1.into();
    });
    let error = match Sam::load(folder.path(), Device::Cpu, Kind::Float).unwrap_err() {
        LoadError::Config(error @ ConfigError::Values { .. }) => error.to_string(),
        other => panic!("{other}"),
    };
    for part in [
        "vision_config.patch_size: expected a divisor of image_size (64), found 9",
        "vision_config.num_pos_feats: expected half of output_channels (32), found 15",
        "vision_config.hidden_act: expected one of quick_gelu",
        "vision_config.window_size: expected 0 to 1024, found -1",
        "prompt_encoder_config.patch_size: expected 9, as the image encoder's stride, found 8",
        "prompt_encoder_config.mask_input_channels: expected a multiple of 4, found 6",
        "mask_decoder_config.hidden_size: expected 32, as vision_config.output_channels, found 24",
        "mask_decoder_config.num_attention_heads: expected a divisor of hidden_size (32)",
        "mask_decoder_config.iou_head_depth: expected at least 2, found 1",
    ] {
        assert!(error.contains(part), "{part} is not in:\n{error}");
    }
    change(folder.path(), "config.json", |config| config["model_type"] = "sam2".into());
    let error = load(folder.path()).unwrap_err().to_string();
    assert!(error.contains("expected model_type sam, found \"sam2\""), "{error}");
}

#[test]
fn preprocessing_for_another_network_is_refused() {
    let folder = copy_of(FOLDER);
    change(folder.path(), "preprocessor_config.json", |settings| {
        settings["pad_size"] = json!({"height": 96, "width": 96});
    });
    let error = load(folder.path()).unwrap_err().to_string();
    assert!(error.contains("on a square of 64 pixels"), "{error}");
    assert!(error.contains("SamImageProcessor with 96x96"), "{error}");
    let other = fixture("clipseg_tiny").join("preprocessor_config.json");
    fs::copy(other, folder.path().join("preprocessor_config.json")).unwrap();
    let error = load(folder.path()).unwrap_err();
    assert!(matches!(error, SegmenterError::SamCanvas { expected: 64, .. }), "{error}");
    let threads = SegmenterOptions { threads: Some(0), ..SegmenterOptions::new("x", "x") };
    let refused = SamSegmenter::load(&threads).unwrap_err();
    assert!(matches!(refused, SegmenterError::Threads { found: 0 }), "{refused}");
}

/// The tensor that image and prompts share may be stored a second time, as the released
/// checkpoints have it.
#[test]
fn a_second_copy_of_the_shared_tensor_is_taken_if_it_is_one() {
    const SHARED: &str = "shared_image_embedding.positional_embedding";
    const COPY: &str = "prompt_encoder.shared_embedding.positional_embedding";
    let folder = copy_of(FOLDER);
    let path = folder.path().join("model.safetensors");
    let bytes = fs::read(&path).unwrap();
    let stored = SafeTensors::deserialize(&bytes).unwrap();
    let mut tensors: BTreeMap<_, _> = stored.tensors().into_iter().collect();
    let write = |tensors: &BTreeMap<String, safetensors::tensor::TensorView<'_>>| {
        fs::write(&path, safetensors::serialize(tensors, None).unwrap()).unwrap();
    };
    tensors.insert(COPY.to_owned(), stored.tensor(SHARED).unwrap());
    write(&tensors);
    let parameters = segmenter().model().parameters();
    assert_eq!(load(folder.path()).unwrap().model().parameters(), parameters);

    let other: Vec<u8> = stored.tensor(SHARED).unwrap().data().iter().rev().copied().collect();
    let shared = stored.tensor(SHARED).unwrap();
    let other =
        safetensors::tensor::TensorView::new(shared.dtype(), shared.shape().to_vec(), &other)
            .unwrap();
    tensors.insert(COPY.to_owned(), other);
    write(&tensors);
    let error = load(folder.path()).unwrap_err().to_string();
    assert!(error.contains(&format!("unexpected: {COPY}")), "{error}");

    tensors.insert(COPY.to_owned(), shared);
    tensors.remove(SHARED);
    write(&tensors);
    let error = load(folder.path()).unwrap_err().to_string();
    assert!(error.contains(&format!("missing: {SHARED}")), "{error}");
}

#[test]
fn what_is_no_batch_is_refused_before_anything_is_run() {
    let mut segmenter = segmenter();
    let image = Arc::new(picture("square"));
    let good = vec![boxed([1.0, 1.0, 9.0, 9.0])];
    let refused = segmenter.segment(&[Arc::clone(&image)], &[]).unwrap_err().to_string();
    assert!(refused.contains("prompts for each of 1 images, found them for 0"), "{refused}");
    let empty = Arc::new(RgbImage::new(4, 0));
    let refused = segmenter.segment(&[Arc::clone(&image), empty], &[good.clone(), Vec::new()]);
    assert!(matches!(
        refused.unwrap_err(),
        DetectError::EmptyImage { index: 1, width: 4, height: 0 }
    ));
    let point = PointPrompt { x_px: 1.0, y_px: 1.0, inside: true };
    let points = |count: usize| MaskPrompt { box_in_source_px: None, points: vec![point; count] };
    let many = vec![good[0].clone(), points(MAX_POINTS + 1)];
    let refused = segmenter.segment(&[Arc::clone(&image)], &[many]).unwrap_err().to_string();
    assert!(refused.contains("prompt 1 of image 0: expected at most 64 points, found 65"));
    let found = segmenter.segment(&[image], &[vec![good[0].clone(), points(MAX_POINTS)]]).unwrap();
    assert_eq!(found[0].masks.len(), 2);
}

#[test]
fn weights_that_are_no_numbers_are_an_error_and_no_mask() {
    let folder = copy_of(FOLDER);
    let path = folder.path().join("model.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let table: Value = serde_json::from_slice(&bytes[8..8 + header]).unwrap();
    let offsets = &table["vision_encoder.neck.layer_norm2.bias"]["data_offsets"];
    let at = 8 + header + offsets[0].as_u64().unwrap() as usize;
    // NaN in f16.
    bytes[at..at + 2].copy_from_slice(&0x7e00_u16.to_le_bytes());
    fs::write(&path, bytes).unwrap();
    let mut broken = load(folder.path()).unwrap();
    let image = [Arc::new(picture("square"))];
    let refused = broken.segment(&image, &[vec![boxed([1.0, 1.0, 9.0, 9.0])]]).unwrap_err();
    assert!(refused.to_string().contains("what is no number"), "{refused}");
}
