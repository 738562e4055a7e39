//! CLIPSeg against `transformers` 5.23.0, tensor by tensor.
//!
//! Checkpoints and golden tensors are made by `tools/make_clipseg_goldens.py` with
//! `attn_implementation="eager"`, one thread, f32.

use owlet::models::clipseg::ClipSeg;
use owlet::tokenize::ClipTokenizer;
use owlet::vision::preprocess::Preprocessor;
use owlet::vision::recipe::Recipe;
use tch::{Device, Kind, Tensor};

use super::{FOLDERS, LOGITS, TEXTS};
use crate::golden_models::{assert_close, fixture, goldens};
use crate::golden_preprocess::{PICTURES, picture};

/// For tokens and embeddings of a few units, through at most five layers: as for logits, with two
/// digits less before the point.
const TOKENS: f64 = 2e-5;

/// Sides of the canvases of both checkpoints.
const SIDES_PX: [u32; 2] = [64, 80];

fn models() -> impl Iterator<Item = (&'static str, ClipSeg)> {
    FOLDERS.into_iter().zip(SIDES_PX).map(|(folder, side)| {
        let model = ClipSeg::load(&fixture(folder), side, Device::Cpu, Kind::Float).unwrap();
        (folder, model)
    })
}

fn golden_pixels(folder: &str, picture: &str) -> Tensor {
    let path = fixture(folder).join(format!("goldens/{picture}.safetensors"));
    goldens(&path).remove("pixel_values").unwrap()
}

#[test]
fn pictures_are_prepared_to_the_last_bit_as_the_reference_does() {
    for folder in FOLDERS {
        let recipe = Recipe::open(&fixture(folder)).unwrap();
        let shape = [1, 3, i64::from(recipe.canvas_height), i64::from(recipe.canvas_width)];
        let mut preprocessor = Preprocessor::new(recipe);
        for name in PICTURES {
            let mut planes = vec![f32::NAN; preprocessor.values_per_image()];
            preprocessor.write_planes(&picture(name), &mut planes).unwrap();
            let found = Tensor::from_slice(&planes).view(shape);
            // Integers in fixed point and one division in f32, in the reference's order.
            assert_close(&format!("{folder} {name}"), &found, &golden_pixels(folder, name), 0.0);
        }
    }
}

#[test]
fn the_network_is_the_reference() {
    for (folder, model) in models() {
        let folder = fixture(folder);
        let golden_texts = goldens(&folder.join("goldens/texts.safetensors"));
        let tokenizer = ClipTokenizer::open(&folder).unwrap();
        let ids = TEXTS.map(|text| Tensor::from_slice(&tokenizer.encode(text, 16).unwrap()));
        let ids = Tensor::stack(&ids, 0);
        assert_eq!(ids, golden_texts["input_ids"]);
        let conditions = model.embed_texts(&ids).unwrap();
        assert_close("text_embeds", &conditions, &golden_texts["text_embeds"], TOKENS);

        for picture in PICTURES {
            let golden = goldens(&folder.join(format!("goldens/{picture}.safetensors")));
            let check = |name: &str, found: &Tensor, tolerance: f64| {
                let what = format!("{} {picture} {name}", folder.display());
                assert_close(&what, found, &golden[name], tolerance);
            };
            let layers = model.layers(&golden["pixel_values"]).unwrap();
            let extracted = &model.config().extract_layers;
            assert_eq!(layers.len(), extracted.len());
            for (index, layer) in extracted.iter().zip(&layers) {
                check(&format!("layer.{index}"), layer, TOKENS);
            }
            let input = model.decoder_input(&layers).unwrap();
            let logits = model.logits(&input, &conditions).unwrap();
            check("logits", &logits.squeeze_dim(0), LOGITS);
            check("image_embeds", &model.embed_images(&golden["pixel_values"]).unwrap(), TOKENS);
        }
    }
}

/// One pass over several images and prompts is the same as one pass for each pair.
#[test]
fn a_batch_gives_what_its_images_and_prompts_give_alone() {
    for (folder, model) in models() {
        let pixels = ["landscape", "portrait"].map(|name| golden_pixels(folder, name));
        let conditions = goldens(&fixture(folder).join("goldens/texts.safetensors"))
            .remove("text_embeds")
            .unwrap();
        let together = model.decoder_input(&model.layers(&Tensor::cat(&pixels, 0)).unwrap());
        let together = model.logits(&together.unwrap(), &conditions).unwrap();
        for (image, pixels) in pixels.iter().enumerate() {
            let input = model.decoder_input(&model.layers(pixels).unwrap()).unwrap();
            for prompt in 0..TEXTS.len() as i64 {
                let alone = model.logits(&input, &conditions.narrow(0, prompt, 1)).unwrap();
                let found = together.narrow(0, image as i64, 1).narrow(1, prompt, 1);
                assert_close(folder, &found, &alone, LOGITS);
            }
        }
    }
}

/// A picture as prompt is a condition like a text.
#[test]
fn a_picture_can_be_the_prompt() {
    for (folder, model) in models() {
        let pixels = golden_pixels(folder, "square");
        let condition = model.embed_images(&pixels).unwrap();
        assert_eq!(condition.size(), [1, model.config().projection]);
        let input = model.decoder_input(&model.layers(&pixels).unwrap()).unwrap();
        let logits = model.logits(&input, &condition).unwrap();
        let text = goldens(&fixture(folder).join("goldens/texts.safetensors"));
        let of_text = model.logits(&input, &text["text_embeds"].narrow(0, 0, 1)).unwrap();
        assert_eq!(logits.size(), of_text.size());
        assert!((logits - of_text).abs().max().double_value(&[]) > 100.0 * LOGITS);
    }
}

#[test]
fn half_formats_stay_near_f32_and_give_f32_results() {
    for (folder, side) in FOLDERS.into_iter().zip(SIDES_PX) {
        let path = fixture(folder);
        let golden = goldens(&path.join("goldens/portrait.safetensors"));
        let ids = goldens(&path.join("goldens/texts.safetensors")).remove("input_ids").unwrap();
        let deviation = golden["logits"].std(true).double_value(&[]);
        // The unit roundoff of f16 is 2^-11 and of bf16 2^-8; eight layers lose some more.
        for (kind, share) in [(Kind::Half, 0.02), (Kind::BFloat16, 0.16)] {
            let model = ClipSeg::load(&path, side, Device::Cpu, kind).unwrap();
            let conditions = model.embed_texts(&ids).unwrap();
            let layers = model.layers(&golden["pixel_values"]).unwrap();
            assert_eq!(layers[0].kind(), kind);
            let input = model.decoder_input(&layers).unwrap();
            let logits = model.logits(&input, &conditions).unwrap();
            assert_eq!((conditions.kind(), logits.kind()), (Kind::Float, Kind::Float));
            let off = (logits.squeeze_dim(0) - &golden["logits"]).abs().mean(Kind::Double);
            let off = off.double_value(&[]);
            assert!(off < share * deviation, "{folder} {kind:?}: off by {off} in the mean");
        }
    }
}

#[test]
fn inputs_of_another_shape_are_refused_by_name() {
    let (_, model) = models().next().unwrap();
    let options = (Kind::Float, Device::Cpu);
    let zeros = |shape: &[i64]| Tensor::zeros(shape, options);
    for shape in [&[1, 3, 64, 80][..], &[3, 64, 64], &[0, 3, 64, 64]] {
        let layers = model.layers(&zeros(shape)).unwrap_err().to_string();
        assert!(layers.contains("expected shape [batch, 3, 64, 64]"), "{layers}");
        assert_eq!(model.embed_images(&zeros(shape)).unwrap_err().to_string(), layers);
    }
    let refused = model.embed_texts(&Tensor::zeros([1, 17], (Kind::Int64, Device::Cpu)));
    assert!(refused.unwrap_err().to_string().contains("expected shape [texts, 1 to 16]"));
    let refused = model.embed_texts(&Tensor::from_slice(&[542_i64, 544]).unsqueeze(0));
    assert!(refused.unwrap_err().to_string().contains("expected 0..544, found 544"));
    let layers = model.layers(&zeros(&[1, 3, 64, 64])).unwrap();
    let input = model.decoder_input(&layers).unwrap();
    for shape in [[2, 23], [0, 24]] {
        let refused = model.logits(&input, &zeros(&shape)).unwrap_err().to_string();
        assert!(refused.contains("expected shape [conditions, 24]"), "{refused}");
    }
    let refused = model.decoder_input(&layers[..1]).unwrap_err().to_string();
    assert!(refused.contains("layers of the image tower: expected shape [2]"), "{refused}");
}
