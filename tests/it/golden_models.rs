//! OWL-ViT and OWLv2 against `transformers` 5.23.0, tensor by tensor.
//!
//! Checkpoints and golden tensors are made by `tools/make_goldens.py` with
//! `attn_implementation="eager"`, one thread, f32.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use owlet::models::owl::{Owl, OwlVersion, box_bias};
use owlet::tokenize::ClipTokenizer;
use tch::{Device, Kind, Tensor};

/// For logits of a few units: f32 keeps 7 digits, and sums in another order (fused attention,
/// blocked matrix products) cost one or two of them over five layers.
const LOGITS: f64 = 1e-4;

/// For boxes and other values in `[0, 1]`: the sigmoid's slope is at most 1/4.
const BOXES: f64 = 1e-5;

/// For tokens and features, which are of the size of logits.
const FEATURES: f64 = 1e-4;

pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// All tensors of a golden file.
pub(crate) fn goldens(path: &Path) -> HashMap<String, Tensor> {
    Tensor::read_safetensors(path).unwrap().into_iter().collect()
}

/// The facts that a golden file carries beside its tensors.
pub(crate) fn facts(path: &Path) -> serde_json::Value {
    let bytes = std::fs::read(path).unwrap();
    let (_, metadata) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    serde_json::from_str(&metadata.metadata().as_ref().unwrap()["facts"]).unwrap()
}

#[track_caller]
pub(crate) fn assert_close(what: &str, found: &Tensor, expected: &Tensor, tolerance: f64) {
    assert_eq!(found.size(), expected.size(), "{what}: shape");
    let difference = (found.to_kind(Kind::Double) - expected.to_kind(Kind::Double)).abs().max();
    let difference = difference.double_value(&[]);
    // Written so that NaN fails.
    assert!(difference <= tolerance, "{what}: off by {difference:e}, allowed {tolerance:e}");
}

const PICTURES: [&str; 5] = ["landscape", "portrait", "small_portrait", "strip", "square"];

fn hold_against_goldens(folder: &str, version: OwlVersion) {
    let folder = fixture(folder);
    let owl = Owl::load(&folder, Device::Cpu, Kind::Float).unwrap();
    assert_eq!(owl.config().version, version);

    let texts_path = folder.join("goldens/texts.safetensors");
    let texts = goldens(&texts_path);
    let tokenizer = ClipTokenizer::open(&folder).unwrap();
    let max_tokens = owl.config().text.max_tokens as usize;
    let ids: Vec<Tensor> = facts(&texts_path)["texts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|text| tokenizer.encode(text.as_str().unwrap(), max_tokens).unwrap())
        .map(|ids| Tensor::from_slice(&ids))
        .collect();
    let ids = Tensor::stack(&ids, 0);
    assert_eq!(ids, texts["input_ids"]);
    let queries = owl.embed_texts(&ids).unwrap();
    assert_close("text_embeds", &queries, &texts["text_embeds"], BOXES);

    for picture in PICTURES {
        let golden = goldens(&folder.join(format!("goldens/{picture}.safetensors")));
        let check = |name: &str, found: &Tensor, tolerance: f64| {
            assert_close(&format!("{picture} {name}"), found, &golden[name], tolerance);
        };
        let tokens = owl.image_tokens(&golden["pil.pixel_values"]).unwrap();
        check("image_tokens", &tokens, FEATURES);
        let embeds = owl.image_embeds(&tokens).unwrap();
        check("image_embeds", &embeds, BOXES);
        check("logits_per_image", &owl.clip_logits(&embeds, &queries).unwrap(), LOGITS);
        let features = owl.feature_map(&tokens).unwrap();
        check("feature_map", &features, FEATURES);
        check("image_class_embeds", &owl.image_class_embeds(&features).unwrap(), FEATURES);
        check("logits", &owl.class_logits(&features, &queries).unwrap(), LOGITS);
        check("pred_boxes", &owl.boxes(&features).unwrap(), BOXES);
        match owl.objectness(&features).unwrap() {
            Some(objectness) => check("objectness_logits", &objectness, LOGITS),
            None => assert!(!golden.contains_key("objectness_logits")),
        }
    }
}

#[test]
fn owlvit_is_the_reference() {
    hold_against_goldens("owlvit_tiny", OwlVersion::OwlVit);
}

#[test]
fn owlv2_is_the_reference() {
    hold_against_goldens("owlv2_tiny", OwlVersion::Owlv2);
}

#[test]
fn a_batch_gives_what_its_images_give_alone() {
    let folder = fixture("owlv2_tiny");
    let owl = Owl::load(&folder, Device::Cpu, Kind::Float).unwrap();
    let pixels = ["landscape", "portrait", "strip"].map(|picture| {
        goldens(&folder.join(format!("goldens/{picture}.safetensors")))
            .remove("pil.pixel_values")
            .unwrap()
    });
    let batch = owl.image_features(&Tensor::cat(&pixels, 0)).unwrap();
    for (index, pixels) in pixels.iter().enumerate() {
        let alone = owl.image_features(pixels).unwrap();
        let in_batch = batch.narrow(0, index as i64, 1);
        // Matrix products are blocked differently for another number of rows.
        assert_close("features", &in_batch, &alone, FEATURES);
        assert_close("boxes", &owl.boxes(&in_batch).unwrap(), &owl.boxes(&alone).unwrap(), BOXES);
    }
}

#[test]
fn a_patch_can_be_the_query() {
    let folder = fixture("owlvit_tiny");
    let owl = Owl::load(&folder, Device::Cpu, Kind::Float).unwrap();
    let golden = goldens(&folder.join("goldens/landscape.safetensors"));
    let features = owl.image_features(&golden["pil.pixel_values"]).unwrap();
    let embeds = owl.image_class_embeds(&features).unwrap().squeeze_dim(0);
    let logits = owl.class_logits(&features, &embeds).unwrap().squeeze_dim(0);
    // A patch is most like itself: no query scores a patch higher than the patch's own does.
    assert_close("best query", &logits.diagonal(0, 0, 1), &logits.max_dim(1, false).0, LOGITS);
    // The length of a query does not matter.
    let longer = owl.class_logits(&features, &(&embeds * 7.0)).unwrap().squeeze_dim(0);
    assert_close("scaled queries", &longer, &logits, LOGITS);
}

#[test]
fn shards_give_the_same_bits_as_one_file() {
    let pixels = goldens(&fixture("owlvit_tiny/goldens/landscape.safetensors"))
        .remove("pil.pixel_values")
        .unwrap();
    let features = ["owlvit_tiny", "owlvit_tiny_sharded"].map(|folder| {
        let owl = Owl::load(&fixture(folder), Device::Cpu, Kind::Float).unwrap();
        assert!(owl.parameters() > 100_000);
        owl.image_features(&pixels).unwrap()
    });
    assert_eq!(features[0], features[1]);
}

#[test]
fn weights_stored_as_f16_run_as_f32() {
    let folder = fixture("owlvit_tiny_f16");
    let owl = Owl::load(&folder, Device::Cpu, Kind::Float).unwrap();
    let texts = goldens(&fixture("owlvit_tiny/goldens/texts.safetensors"));
    let inputs = goldens(&fixture("owlvit_tiny/goldens/landscape.safetensors"));
    let golden = goldens(&folder.join("golden_landscape.safetensors"));
    let queries = owl.embed_texts(&texts["input_ids"]).unwrap();
    let features = owl.image_features(&inputs["pil.pixel_values"]).unwrap();
    let logits = owl.class_logits(&features, &queries).unwrap();
    assert_close("logits", &logits, &golden["logits"], LOGITS);
    assert_close("boxes", &owl.boxes(&features).unwrap(), &golden["pred_boxes"], BOXES);
    // The rounding of the weights is far outside the tolerance, so it is seen.
    assert!((logits - &inputs["logits"]).abs().max().double_value(&[]) > 5.0 * LOGITS);
}

#[test]
fn half_formats_stay_near_f32_and_give_f32_results() {
    let folder = fixture("owlv2_tiny");
    let texts = goldens(&folder.join("goldens/texts.safetensors"));
    let golden = goldens(&folder.join("goldens/portrait.safetensors"));
    // The unit roundoff of f16 is 2^-11 and of bf16 2^-8; three layers lose some more.
    for (kind, logits_tolerance, boxes_tolerance) in
        [(Kind::Half, 0.05, 0.005), (Kind::BFloat16, 0.5, 0.05)]
    {
        let owl = Owl::load(&folder, Device::Cpu, kind).unwrap();
        let queries = owl.embed_texts(&texts["input_ids"]).unwrap();
        let features = owl.image_features(&golden["pil.pixel_values"]).unwrap();
        assert_eq!(features.kind(), kind);
        let logits = owl.class_logits(&features, &queries).unwrap();
        let boxes = owl.boxes(&features).unwrap();
        let objectness = owl.objectness(&features).unwrap().unwrap();
        for result in [&queries, &logits, &boxes, &objectness] {
            assert_eq!(result.kind(), Kind::Float);
        }
        assert_close("logits", &logits, &golden["logits"], logits_tolerance);
        assert_close("boxes", &boxes, &golden["pred_boxes"], boxes_tolerance);
        assert_close("objectness", &objectness, &golden["objectness_logits"], logits_tolerance);
    }
}

#[test]
fn inputs_of_another_shape_are_refused_by_name() {
    let owl = Owl::load(&fixture("owlvit_tiny"), Device::Cpu, Kind::Float).unwrap();
    let options = (Kind::Float, Device::Cpu);
    for shape in [vec![1, 3, 80, 64], vec![3, 80, 80], vec![1, 1, 80, 80], vec![0, 3, 80, 80]] {
        let error = owl.image_tokens(&Tensor::zeros(&shape, options)).unwrap_err().to_string();
        assert!(error.contains("expected shape [batch, 3, 80, 80]"), "{error}");
    }
    let ids = |ids: &[i64]| Tensor::from_slice(ids).unsqueeze(0);
    let refused = |input: &Tensor| owl.embed_texts(input).unwrap_err().to_string();
    assert!(refused(&ids(&[542, 544, 543])).contains("expected 0..544, found 544"));
    assert!(refused(&ids(&[542, -1, 543])).contains("found -1"));
    assert!(refused(&ids(&[0; 17])).contains("expected shape [texts, 1 to 16]"));
    assert!(refused(&Tensor::from_slice(&[542_i64, 543])).contains("found [2]"));
    let features = Tensor::zeros([1, 5, 5, 40], options);
    let error = owl.class_logits(&features, &Tensor::zeros([2, 40], options)).unwrap_err();
    assert!(error.to_string().contains("expected shape [queries, 48]"), "{error}");
}

/// Published numbers, to 4 decimals: they follow from the geometry, so no checkpoint is needed.
/// `test_modeling_owlvit.py` of huggingface/transformers @47af5a475674 (B/32 at 768) and
/// `test_modeling_owlv2.py` @01080c629600 (B/16 at 960).
#[test]
fn the_box_bias_is_the_published_one() {
    for (grid, first, second, third) in
        [(768 / 32, -3.1332, -2.3968, -1.9452), (960 / 16, -4.0717, -3.3644, -2.9425)]
    {
        let bias = box_bias(grid).unwrap();
        assert_eq!(bias.size(), [grid * grid, 4]);
        let expected = Tensor::from_slice2(&[
            [first; 4],
            [second, first, first, first],
            [third, first, first, first],
        ]);
        assert_close("box_bias", &bias.narrow(0, 0, 3), &expected, 1e-4);
    }
    // All of it, against the reference.
    for folder in ["owlvit_tiny", "owlv2_tiny"] {
        let golden = goldens(&fixture(folder).join("goldens/texts.safetensors"));
        let expected = &golden["box_bias"];
        let grid = (expected.size()[0] as f64).sqrt() as i64;
        assert_close("box_bias", &box_bias(grid).unwrap(), expected, 1e-6);
    }
}
