//! timm's data configuration: `pretrained_cfg` of the `config.json` that timm writes.
//!
//! Followed is the evaluation transform of timm 1.0.31 (`data/transforms_factory.py`,
//! `transforms_imagenet_eval`) for the sizes of training, not those of `test_input_size`.

use serde_json::{Map, Value};

use super::{Processor, Recipe, RecipeProblem};
use crate::vision::resize::Filter;

/// What timm takes where a configuration leaves it out.
const DEFAULT_CROP_PCT: f64 = 0.875;
const IMAGENET_MEAN: [f64; 3] = [0.485, 0.456, 0.406];
const IMAGENET_STD: [f64; 3] = [0.229, 0.224, 0.225];

/// The recipe that a `pretrained_cfg` describes, or every problem with it. Its other keys say
/// nothing about pixels.
pub(super) fn read(config: &Map<String, Value>) -> Result<Recipe, Vec<RecipeProblem>> {
    let mut problems = Vec::new();
    let mut refuse = |key: &str, expected: &str, found: &Value| {
        let reason = format!("expected {expected}, found {found}");
        problems.push(RecipeProblem { key: format!("pretrained_cfg.{key}"), reason });
    };
    let value = |key: &str| config.get(key).filter(|value| !value.is_null());

    let size = value("input_size").cloned().unwrap_or_else(|| serde_json::json!([3, 224, 224]));
    let side = |value: &Value| value.as_u64().filter(|n| (1..=16_384).contains(n));
    let canvas = match size.as_array().map(Vec::as_slice) {
        Some([channels, height, width]) if channels.as_u64() == Some(3) => {
            side(height).zip(side(width))
        }
        _ => None,
    };
    if canvas.is_none() {
        refuse("input_size", "[3, height, width] with sides in [1, 16384]", &size);
    }
    let (height, width) = canvas.unwrap_or((1, 1));
    let filter = match value("interpolation") {
        None => Filter::Bilinear,
        Some(Value::String(name)) if name == "bilinear" => Filter::Bilinear,
        Some(Value::String(name)) if name == "bicubic" => Filter::Bicubic,
        Some(found) => {
            refuse("interpolation", "bilinear or bicubic", found);
            Filter::Bilinear
        }
    };
    let crop_pct = match value("crop_pct") {
        None => DEFAULT_CROP_PCT,
        Some(found) => {
            let number = found.as_f64().filter(|pct| (0.1..=1.0).contains(pct));
            if number.is_none() {
                refuse("crop_pct", "a number in [0.1, 1]", found);
            }
            number.unwrap_or(1.0)
        }
    };
    let squashes = match value("crop_mode").map(|mode| (mode.as_str(), mode)) {
        None | Some((Some("center"), _)) => false,
        // With less than the whole the canvas would be cut out of a stretched image.
        Some((Some("squash"), _)) if crop_pct == 1.0 => true,
        Some((_, found)) => {
            refuse("crop_mode", "center, or squash with a crop_pct of 1", found);
            false
        }
    };
    if !squashes && height != width {
        refuse("input_size", "a square where the canvas is cut out of the middle", &size);
    }
    let mut channels = |key: &str, default: [f64; 3]| {
        let Some(found) = value(key) else { return default };
        let numbers = found.as_array().and_then(|items| {
            let numbers: Option<Vec<f64>> = items.iter().map(Value::as_f64).collect();
            numbers.and_then(|numbers| <[f64; 3]>::try_from(numbers).ok())
        });
        let usable = numbers.filter(|numbers| key != "std" || !numbers.contains(&0.0));
        if usable.is_none() {
            refuse(key, "three numbers, and none of a std 0", found);
        }
        usable.unwrap_or(default)
    };
    let normalize = (channels("mean", IMAGENET_MEAN), channels("std", IMAGENET_STD));
    if !problems.is_empty() {
        return Err(problems);
    }
    let scaled = (height as f64 / crop_pct).floor() as u32;
    Ok(Recipe {
        processor: Processor::Timm,
        canvas_width: width as u32,
        canvas_height: height as u32,
        longest_edge: None,
        shortest_edge: (!squashes).then_some(scaled),
        filter,
        rescale_factor: Some(1.0 / 255.0),
        normalize: Some(normalize),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Recipe, Vec<RecipeProblem>> {
        read(serde_json::from_str::<Value>(text).unwrap().as_object().unwrap())
    }

    #[test]
    fn a_released_configuration_is_understood() {
        let recipe = parse(
            r#"{"tag": "augreg_in21k_ft_in1k", "custom_load": true, "input_size": [3, 224, 224],
                "fixed_input_size": true, "interpolation": "bicubic", "crop_pct": 0.9,
                "crop_mode": "center", "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5],
                "num_classes": 1000, "pool_size": null, "first_conv": "patch_embed.proj",
                "classifier": "head"}"#,
        )
        .unwrap();
        assert_eq!((recipe.canvas_width, recipe.canvas_height), (224, 224));
        assert_eq!((recipe.shortest_edge, recipe.filter), (Some(248), Filter::Bicubic));
        assert_eq!(recipe.normalize, Some(([0.5; 3], [0.5; 3])));
        let bare = parse("{}").unwrap();
        assert_eq!((bare.shortest_edge, bare.filter), (Some(256), Filter::Bilinear));
        assert_eq!(bare.normalize, Some((IMAGENET_MEAN, IMAGENET_STD)));
        let squash =
            parse(r#"{"crop_mode": "squash", "crop_pct": 1.0, "input_size": [3, 256, 384]}"#)
                .unwrap();
        assert_eq!((squash.canvas_width, squash.canvas_height), (384, 256));
        assert_eq!(squash.shortest_edge, None);
    }

    #[test]
    fn every_setting_that_cannot_be_followed_is_named() {
        let problems = parse(
            r#"{"input_size": [1, 224, 224], "interpolation": "random", "crop_pct": 2,
                "crop_mode": "border", "mean": [0.5], "std": [1, 0, 1]}"#,
        )
        .unwrap_err();
        let keys: Vec<_> = problems.iter().map(|problem| problem.key.as_str()).collect();
        let expected = ["input_size", "interpolation", "crop_pct", "crop_mode", "mean", "std"];
        assert_eq!(keys, expected.map(|key| format!("pretrained_cfg.{key}")));
        for bad in [
            r#"{"crop_mode": "squash"}"#,
            r#"{"input_size": [3, 224, 256]}"#,
            r#"{"input_size": [3, 0, 0]}"#,
        ] {
            assert_eq!(parse(bad).unwrap_err().len(), 1, "{bad}");
        }
    }
}
