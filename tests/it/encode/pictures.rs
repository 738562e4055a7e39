//! Pictures to vectors.

use std::sync::Arc;

use image::RgbImage;
use owlet::ground::encode::{OwlTowerEncoder, VitEncoder, load_image_encoder};
use owlet::models::vit::Vit;
use owlet::tasks::{DetectError, ImageEncoder};
use owlet::vision::preprocess::Preprocessor;
use owlet::vision::recipe::Recipe;
use tch::{Device, Kind, Tensor};

use super::{TOKENS, copied, folder, golden, options, rows};
use crate::golden_models::{assert_close, fixture};
use crate::golden_preprocess::{PICTURES, picture};

const FOLDERS: [&str; 4] = ["vit", "dinov2", "dinov2_swiglu", "timm"];

fn pictures() -> Vec<Arc<RgbImage>> {
    PICTURES.map(|name| Arc::new(picture(name))).to_vec()
}

fn prepared(recipe: &Recipe, image: &RgbImage) -> Tensor {
    let shape = [1, 3, i64::from(recipe.canvas_height), i64::from(recipe.canvas_width)];
    let mut preprocessor = Preprocessor::new(recipe.clone());
    let mut planes = vec![f32::NAN; preprocessor.values_per_image()];
    preprocessor.write_planes(image, &mut planes).unwrap();
    Tensor::from_slice(&planes).view(shape)
}

#[test]
fn networks_and_their_preprocessing_are_the_reference() {
    for name in FOLDERS {
        let golden = golden(name);
        let recipe = Recipe::open(&folder(name)).unwrap();
        let canvas = (recipe.canvas_width, recipe.canvas_height);
        let vit = Vit::load(&folder(name), canvas, Device::Cpu, Kind::Float).unwrap();
        for picture_name in PICTURES {
            let pixels = prepared(&recipe, &picture(picture_name));
            let what = format!("{name} {picture_name}");
            // Integers in fixed point and one division in f32, in the reference's order.
            let sampled = pixels.slice(2, 0, i64::MAX, 3).slice(3, 0, i64::MAX, 3);
            let expected = &golden[&format!("{picture_name}.pixel_values")];
            assert_close(&format!("{what} pixels"), &sampled, expected, 0.0);
            let tokens = vit.tokens(&pixels).unwrap();
            assert_close(&what, &tokens, &golden[&format!("{picture_name}.tokens")], TOKENS);
        }
    }
}

#[test]
fn the_vector_of_a_picture_is_its_class_token_and_patches_come_row_by_row() {
    for name in FOLDERS {
        let golden = golden(name);
        let mut encoder = VitEncoder::load(&options(&folder(name))).unwrap();
        let found = encoder.encode(&pictures()).unwrap();
        let patches = encoder.encode_patches(&pictures()).unwrap();
        assert_eq!((found.len(), encoder.dimension()), (PICTURES.len(), 24));
        for ((picture_name, vector), patches) in PICTURES.iter().zip(&found).zip(&patches) {
            let tokens = golden[&format!("{picture_name}.tokens")].get(0);
            let what = format!("{name} {picture_name}");
            assert_close(&what, &Tensor::from_slice(vector), &tokens.get(0), TOKENS);
            let count = (patches.rows * patches.columns) as i64;
            let expected = tokens.narrow(0, 1, count);
            assert_eq!(tokens.size()[0], count + 1, "{what}");
            assert_close(&what, &rows(&patches.vectors), &expected, TOKENS);
        }
    }
    // A canvas that is no square.
    let mut encoder = VitEncoder::load(&options(&folder("dinov2"))).unwrap();
    let patches = &encoder.encode_patches(&pictures()).unwrap()[0];
    assert_eq!((patches.rows, patches.columns), (5, 6));
    // 213 x 140 scaled to 76 x 50; 28 columns and 10 rows are cut away.
    let whole = patches.geometry.source_px_from_norm([0.5, 0.5, 1.0, 1.0]).corners();
    let px = (213.0 / 76.0, 140.0 / 50.0);
    let expected = [14.0 * px.0, 5.0 * px.1, 62.0 * px.0, 45.0 * px.1];
    for (found, expected) in whole.iter().zip(expected) {
        // A few roundings of f32 at 200.
        assert!((found - expected).abs() < 1e-4, "{whole:?}");
    }
}

#[test]
fn any_number_of_pictures_is_encoded_and_the_first_empty_one_is_named() {
    let mut encoder = load_image_encoder(&options(&folder("timm"))).unwrap();
    assert!(encoder.encode(&[]).unwrap().is_empty());
    let many: Vec<_> = pictures().into_iter().cycle().take(43).collect();
    let found = encoder.encode(&many).unwrap();
    let few = encoder.encode(&pictures()).unwrap();
    for (index, vector) in found.iter().enumerate() {
        let (found, alone) =
            (Tensor::from_slice(vector), Tensor::from_slice(&few[index % few.len()]));
        // Matrix products are blocked differently for another number of rows.
        assert_close("in a crowd", &found, &alone, TOKENS);
    }
    let mut with_empty = many;
    with_empty[37] = Arc::new(RgbImage::new(0, 4));
    let refused = encoder.encode(&with_empty).unwrap_err();
    assert!(matches!(refused, DetectError::EmptyImage { index: 37, .. }), "{refused}");
}

/// By hand: what each patch would be as a query, scaled to length 1, and the mean of those of them
/// that lie in the picture.
#[test]
fn the_tower_of_a_detector_averages_the_patches_in_the_picture() {
    for name in ["owlvit_tiny", "owlv2_tiny"] {
        let mut encoder = OwlTowerEncoder::load(&options(&fixture(name))).unwrap();
        let found = encoder.encode(&pictures()).unwrap();
        let recipe = Recipe::open(&fixture(name)).unwrap();
        for (image, vector) in pictures().iter().zip(&found) {
            let model = encoder.model();
            let features = model.image_features(&prepared(&recipe, image)).unwrap();
            let embeds = model.image_class_embeds(&features).unwrap().get(0);
            let grid = model.config().image.grid();
            let (width, height) = (f64::from(image.width()), f64::from(image.height()));
            let longer = width.max(height);
            let inside = |patch: i64| {
                let centre = |index: i64| (index as f64 + 0.5) / grid as f64 * longer;
                let padded = name == "owlv2_tiny";
                !padded || (centre(patch % grid) < width && centre(patch / grid) < height)
            };
            let kept: Vec<Tensor> = (0..grid * grid)
                .filter(|patch| inside(*patch))
                .map(|patch| embeds.get(patch) / embeds.get(patch).norm())
                .collect();
            assert!(name == "owlvit_tiny" || width == height || kept.len() < 64);
            let expected = Tensor::stack(&kept, 0).mean_dim([0].as_slice(), false, Kind::Float);
            assert_close(name, &Tensor::from_slice(vector), &expected, TOKENS);
        }
        assert_eq!(encoder.dimension(), found[0].len());
    }
    // A line of pixels, which holds the centre of no patch.
    let mut encoder = load_image_encoder(&options(&fixture("owlv2_tiny"))).unwrap();
    let line = Arc::new(RgbImage::new(900, 1));
    assert!(encoder.encode(&[line]).unwrap()[0].iter().all(|value| value.is_finite()));
}

#[test]
fn a_canvas_that_patches_do_not_fill_is_refused() {
    let copy = copied("dinov2");
    let path = copy.path().join("preprocessor_config.json");
    let text = std::fs::read_to_string(&path).unwrap().replace("\"height\": 40", "\"height\": 41");
    std::fs::write(&path, text).unwrap();
    let refused = VitEncoder::load(&options(copy.path())).unwrap_err().to_string();
    assert!(refused.contains("48x41") && refused.contains("multiples"), "{refused}");
    let vit = Vit::load(&folder("vit"), (7, 32), Device::Cpu, Kind::Float).unwrap_err();
    assert!(vit.to_string().contains("patch_size"), "{vit}");
    let vit = Vit::load(&folder("vit"), (32, 32), Device::Cpu, Kind::Float).unwrap();
    let wrong = vit.tokens(&Tensor::zeros([1, 3, 32, 40], (Kind::Float, Device::Cpu)));
    let refused = wrong.unwrap_err().to_string();
    assert!(refused.contains("expected shape [batch, 3, 32, 32]"), "{refused}");
}
