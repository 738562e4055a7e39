//! SAM against `transformers` 5.23.0, tensor by tensor.
//!
//! Checkpoint and golden tensors are made by `tools/make_sam_goldens.py` with
//! `attn_implementation="eager"`, one thread, f32.

use owlet::models::sam::{CanvasPoint, CanvasPrompt, Sam};
use owlet::tasks::MaskPrompt;
use owlet::vision::canvas::fitted_size;
use owlet::vision::preprocess::Preprocessor;
use owlet::vision::recipe::Recipe;
use tch::{Device, Kind, Tensor};

use super::{FEATURES, FOLDER, LOGITS, PASSES, PICTURES, passes, prompts};
use crate::golden_models::{assert_close, facts, fixture, goldens};
use crate::golden_preprocess::picture;

fn model(kind: Kind) -> Sam {
    Sam::load(&fixture(FOLDER), Device::Cpu, kind).unwrap()
}

fn golden(picture: &str) -> std::collections::HashMap<String, Tensor> {
    goldens(&fixture(FOLDER).join(format!("goldens/{picture}.safetensors")))
}

/// As the reference's processor scales them; the segmenter does this by itself.
fn on_canvas(name: &str, prompts: &[MaskPrompt]) -> Vec<CanvasPrompt> {
    let image = picture(name);
    let (width, height) = fitted_size(image.width(), image.height(), 60).unwrap();
    let x = |px: f32| f64::from(px) * (f64::from(width) / f64::from(image.width()));
    let y = |px: f32| f64::from(px) * (f64::from(height) / f64::from(image.height()));
    prompts
        .iter()
        .map(|prompt| CanvasPrompt {
            box_in_canvas_px: prompt
                .box_in_source_px
                .map(|area| [x(area.x0), y(area.y0), x(area.x1), y(area.y1)]),
            points: prompt
                .points
                .iter()
                .map(|point| CanvasPoint {
                    x_px: x(point.x_px),
                    y_px: y(point.y_px),
                    inside: point.inside,
                })
                .collect(),
        })
        .collect()
}

#[test]
fn pictures_are_prepared_to_the_last_bit_as_the_reference_does() {
    let mut preprocessor = Preprocessor::new(Recipe::open(&fixture(FOLDER)).unwrap());
    for name in PICTURES {
        let mut planes = vec![f32::NAN; preprocessor.values_per_image()];
        preprocessor.write_planes(&picture(name), &mut planes).unwrap();
        let found = Tensor::from_slice(&planes).view([1, 3, 64, 64]);
        // Integers in fixed point and one division in f32, in the reference's order.
        assert_close(name, &found, &golden(name)["pixel_values"], 0.0);
    }
}

#[test]
fn the_network_is_the_reference() {
    let model = model(Kind::Float);
    for name in PICTURES {
        let golden = golden(name);
        let image = model.embed_images(&golden["pixel_values"]).unwrap();
        assert_close(name, &image, &golden["image_embeddings"], FEATURES);
        let passes = passes(name);
        for pass in PASSES {
            let check = |tensor: &str, found: &Tensor, tolerance: f64| {
                let key = format!("{pass}.{tensor}");
                assert_close(&format!("{name} {key}"), found, &golden[&key], tolerance);
            };
            let prompts = on_canvas(name, &prompts(&passes[pass]));
            let tokens = model.embed_prompts(&prompts).unwrap();
            // Sine and cosine of angles of up to 20: an ulp of those is 2e-6.
            check("tokens", &tokens, 1e-5);
            let decoded = model.decode(&image, &tokens).unwrap();
            check("low_res_masks", &decoded.logits().unwrap(), LOGITS);
            check("iou_scores", &decoded.iou, FEATURES);
            let (best, iou) = decoded.best().unwrap();
            let (expected, index) = golden[&format!("{pass}.iou_scores")].max_dim(1, false);
            assert_close(pass, &iou, &expected, FEATURES);
            for (prompt, index) in (0..).zip(Vec::<i64>::try_from(index).unwrap()) {
                let expected = golden[&format!("{pass}.low_res_masks")].get(prompt).get(index);
                assert_close(pass, &best.get(prompt), &expected, LOGITS);
            }
        }
    }
}

/// MobileSAM's image encoder against its published structure, from an unconverted checkpoint with
/// batch norms, and the decoder behind it.
#[test]
fn a_converted_mobile_sam_is_the_published_one() {
    let folder = fixture("mobile_sam_tiny");
    let model = Sam::load(&folder, Device::Cpu, Kind::Float).unwrap();
    let path = folder.join("goldens/landscape.safetensors");
    let golden = goldens(&path);
    let mut preprocessor = Preprocessor::new(Recipe::open(&folder).unwrap());
    let mut planes = vec![f32::NAN; preprocessor.values_per_image()];
    let image = picture("landscape");
    preprocessor.write_planes(&image, &mut planes).unwrap();
    let pixels = Tensor::from_slice(&planes).view([1, 3, 128, 128]);
    let embedding = model.embed_images(&pixels).unwrap();
    // Folding changes where sums are rounded, once for each of some twenty convolutions.
    assert_close("image_embeddings", &embedding, &golden["image_embeddings"], FEATURES);
    let scale = 128.0 / f64::from(image.width());
    let height = (f64::from(image.height()) * 128.0 / f64::from(image.width())).round();
    let scale_y = height / f64::from(image.height());
    let boxes: Vec<CanvasPrompt> = prompts(&facts(&path)["passes"]["boxes"])
        .iter()
        .map(|prompt| {
            let [x0, y0, x1, y1] = prompt.box_in_source_px.unwrap().corners().map(f64::from);
            let corners = [x0 * scale, y0 * scale_y, x1 * scale, y1 * scale_y];
            CanvasPrompt { box_in_canvas_px: Some(corners), points: Vec::new() }
        })
        .collect();
    let decoded = model.decode(&embedding, &model.embed_prompts(&boxes).unwrap()).unwrap();
    let logits = decoded.logits().unwrap();
    // And the decoder enlarges what the embedding is off by.
    assert_close("masks", &logits, &golden["boxes.low_res_masks"], 2.5 * LOGITS);
    assert_close("iou", &decoded.iou, &golden["boxes.iou_scores"], FEATURES);
}

/// Images of a batch do not see each other, nor do prompts of a pass.
#[test]
fn a_batch_gives_what_its_images_and_prompts_give_alone() {
    let model = model(Kind::Float);
    let pixels = PICTURES.map(|name| golden(name).remove("pixel_values").unwrap());
    let together = model.embed_images(&Tensor::cat(&pixels, 0)).unwrap();
    for (index, pixels) in (0..).zip(&pixels) {
        let alone = model.embed_images(pixels).unwrap();
        assert_close("image", &together.narrow(0, index, 1), &alone, FEATURES);
    }
    let image = together.narrow(0, 0, 1);
    let prompts = on_canvas("landscape", &prompts(&passes("landscape")["boxes"]));
    let all = model.decode(&image, &model.embed_prompts(&prompts).unwrap()).unwrap();
    for (index, prompt) in (0..).zip(&prompts) {
        let tokens = model.embed_prompts(std::slice::from_ref(prompt)).unwrap();
        let alone = model.decode(&image, &tokens).unwrap();
        assert_close("iou", &all.iou.narrow(0, index, 1), &alone.iou, FEATURES);
        let found = all.logits().unwrap().narrow(0, index, 1);
        assert_close("mask", &found, &alone.logits().unwrap(), LOGITS);
    }
}

#[test]
fn half_formats_stay_near_f32_and_give_f32_results() {
    let golden = golden("portrait");
    let prompts = on_canvas("portrait", &prompts(&passes("portrait")["boxes"]));
    let expected = &golden["boxes.low_res_masks"];
    let deviation = expected.std(true).double_value(&[]);
    // The unit roundoff of f16 is 2^-11 and of bf16 2^-8; encoder and decoder lose some more.
    for (kind, share) in [(Kind::Half, 0.02), (Kind::BFloat16, 0.16)] {
        let model = model(kind);
        let image = model.embed_images(&golden["pixel_values"]).unwrap();
        let tokens = model.embed_prompts(&prompts).unwrap();
        assert_eq!((image.kind(), tokens.kind()), (kind, kind));
        let decoded = model.decode(&image, &tokens).unwrap();
        let logits = decoded.logits().unwrap();
        assert_eq!((decoded.iou.kind(), logits.kind()), (Kind::Float, Kind::Float));
        let off = (logits - expected).abs().mean(Kind::Double).double_value(&[]);
        assert!(off < share * deviation, "{kind:?}: off by {off} in the mean");
    }
}

#[test]
fn inputs_of_another_shape_are_refused_by_name() {
    let model = model(Kind::Float);
    let zeros = |shape: &[i64]| Tensor::zeros(shape, (Kind::Float, Device::Cpu));
    for shape in [&[1, 3, 64, 80][..], &[3, 64, 64], &[0, 3, 64, 64]] {
        let refused = model.embed_images(&zeros(shape)).unwrap_err().to_string();
        assert!(refused.contains("expected shape [batch, 3, 64, 64]"), "{refused}");
    }
    let (image, tokens) = (zeros(&[1, 32, 8, 8]), zeros(&[2, 2, 32]));
    for shape in [&[2, 32, 8, 8][..], &[1, 32, 8, 7], &[32, 8, 8]] {
        let refused = model.decode(&zeros(shape), &tokens).unwrap_err().to_string();
        assert!(refused.contains("image embedding: expected shape [1, 32, 8, 8]"), "{refused}");
    }
    for shape in [&[2, 2, 31][..], &[0, 2, 32], &[2, 0, 32]] {
        let refused = model.decode(&image, &zeros(shape)).unwrap_err().to_string();
        assert!(refused.contains("expected shape [prompts, tokens, 32]"), "{refused}");
    }
    let boxed = CanvasPrompt { box_in_canvas_px: Some([1.0; 4]), points: Vec::new() };
    let point = CanvasPoint { x_px: 1.0, y_px: 1.0, inside: true };
    let pointed = CanvasPrompt { box_in_canvas_px: None, points: vec![point] };
    // Both are two tokens, of other kinds.
    for unlike in [vec![], vec![CanvasPrompt::default()], vec![boxed, pointed]] {
        let refused = model.embed_prompts(&unlike).unwrap_err().to_string();
        assert!(refused.contains("as many points and boxes in each"), "{refused}");
    }
}
