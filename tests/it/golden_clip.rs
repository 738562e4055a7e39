//! CLIP against `transformers` 5.23.0, from the picture and the text to their vectors.
//!
//! Checkpoint and golden tensors are made by `tools/make_clip_goldens.py` with
//! `attn_implementation="eager"`, one thread, f32.

use std::sync::Arc;

use image::RgbImage;
use owlet::ground::encode::{EncoderOptions, load_image_encoder, load_text_encoder};
use owlet::models::clip::Clip;
use owlet::nn::unit_length;
use owlet::tasks::{DetectError, EncodeError};
use owlet::tokenize::ClipTokenizer;
use owlet::types::DeviceChoice;
use owlet::vision::preprocess::Preprocessor;
use owlet::vision::recipe::{Processor, Recipe};
use tch::{Device, Kind, Tensor};

use crate::golden_models::{assert_close, facts, fixture, goldens};
use crate::golden_preprocess::{PICTURES, picture};

/// For vectors of a few units: f32 keeps 7 digits, and sums in another order (fused attention,
/// blocked matrix products) cost one or two of them over three layers.
const FEATURES: f64 = 2e-5;

/// For cosines times a scale of 14.3.
const LOGITS: f64 = 1e-4;

#[test]
fn pictures_are_cut_to_the_last_bit_as_the_reference_does() {
    let folder = fixture("clip_tiny");
    let golden = goldens(&folder.join("goldens.safetensors"));
    let recipe = Recipe::open(&folder).unwrap();
    assert_eq!((recipe.processor, recipe.shortest_edge), (Processor::Clip, Some(48)));
    let mut preprocessor = Preprocessor::new(recipe);
    for name in PICTURES {
        let mut planes = vec![f32::NAN; preprocessor.values_per_image()];
        preprocessor.write_planes(&picture(name), &mut planes).unwrap();
        let found = Tensor::from_slice(&planes).view([1, 3, 48, 48]);
        // Integers in fixed point and one division in f32, in the reference's order.
        assert_close(name, &found, &golden[&format!("{name}.pixel_values")], 0.0);
    }
}

#[test]
fn the_network_is_the_reference() {
    let folder = fixture("clip_tiny");
    let path = folder.join("goldens.safetensors");
    let golden = goldens(&path);
    let model = Clip::load(&folder, Device::Cpu, Kind::Float).unwrap();
    let tokenizer = ClipTokenizer::open(&folder).unwrap();
    let texts: Vec<String> = serde_json::from_value(facts(&path)["texts"].clone()).unwrap();
    let ids: Vec<Tensor> =
        texts.iter().map(|text| Tensor::from_slice(&tokenizer.encode(text, 16).unwrap())).collect();
    let ids = Tensor::stack(&ids, 0);
    assert_eq!(ids, golden["input_ids"]);
    let texts = model.embed_texts(&ids).unwrap();
    assert_close("text_features", &texts, &golden["text_features"], FEATURES);
    for name in PICTURES {
        let pixels = &golden[&format!("{name}.pixel_values")];
        let found = model.embed_images(pixels).unwrap();
        let of = |tensor: &str| &golden[&format!("{name}.{tensor}")];
        assert_close(name, &found, of("image_features"), FEATURES);
        let cosines = unit_length(&found).unwrap().matmul(&unit_length(&texts).unwrap().tr());
        assert_close(name, &(cosines * model.scale()), of("logits_per_image"), LOGITS);
    }
}

/// From the picture and the text as a caller has them.
#[test]
fn an_encoder_gives_the_vectors_of_the_reference() {
    let folder = fixture("clip_tiny");
    let path = folder.join("goldens.safetensors");
    let golden = goldens(&path);
    let options =
        EncoderOptions { device: DeviceChoice::Cpu, ..EncoderOptions::new(&folder, "tiny") };
    let check = |what: &str, found: Vec<Vec<f32>>, expected: &Tensor| {
        let found: Vec<Tensor> = found.iter().map(|row| Tensor::from_slice(row)).collect();
        assert_close(what, &Tensor::stack(&found, 0), expected, FEATURES);
    };
    let mut images = load_image_encoder(&options).unwrap();
    assert_eq!((images.dimension(), images.info().architecture.as_str()), (24, "clip"));
    let pictures = PICTURES.map(|name| Arc::new(picture(name)));
    let expected = PICTURES.map(|name| &golden[&format!("{name}.image_features")]);
    check("pictures", images.encode(&pictures).unwrap(), &Tensor::cat(&expected, 0));
    let empty = images.encode(&[Arc::clone(&pictures[0]), Arc::new(RgbImage::new(3, 0))]);
    assert!(matches!(empty, Err(DetectError::EmptyImage { index: 1, .. })));
    assert!(images.encode(&[]).unwrap().is_empty());

    let mut texts = load_text_encoder(&options).unwrap();
    let given: Vec<String> = serde_json::from_value(facts(&path)["texts"].clone()).unwrap();
    check("texts", texts.encode(&given).unwrap(), &golden["text_features"]);
    let refused = texts.encode(&["a cat".to_owned(), " ".to_owned()]).unwrap_err();
    assert_eq!(refused, EncodeError::Empty { index: 1 });
    let refused = texts.encode(&["cat ".repeat(15)]).unwrap_err();
    assert_eq!(refused, EncodeError::TooLong { index: 0, tokens: 17, limit: 16 });
    assert!(texts.encode(&[]).unwrap().is_empty());
}

#[test]
fn inputs_of_another_shape_are_refused_by_name() {
    let model = Clip::load(&fixture("clip_tiny"), Device::Cpu, Kind::Float).unwrap();
    let pixels = Tensor::zeros([1, 3, 48, 64], (Kind::Float, Device::Cpu));
    let refused = model.embed_images(&pixels).unwrap_err().to_string();
    assert!(refused.contains("expected shape [batch, 3, 48, 48]"), "{refused}");
    let refused = model.embed_texts(&Tensor::from_slice(&[544_i64]).unsqueeze(0)).unwrap_err();
    assert!(refused.to_string().contains("expected 0..544, found 544"), "{refused}");
}
