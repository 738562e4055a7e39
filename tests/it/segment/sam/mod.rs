//! SAM on the golden checkpoint.

mod memory;
mod network;
mod refusals;
mod segmenter;

use owlet::segment::{SamSegmenter, SegmenterOptions};
use owlet::tasks::{MaskPrompt, PointPrompt};
use owlet::types::{DeviceChoice, PixelBox};
use serde_json::Value;

use crate::golden_models::{facts, fixture};

const FOLDER: &str = "sam_tiny";

/// Pictures that golden values were made for.
const PICTURES: [&str; 3] = ["landscape", "portrait", "square"];

/// What each pass of the reference was asked for; see `tools/make_sam_goldens.py`.
const PASSES: [&str; 4] = ["boxes", "point", "points", "both"];

/// For embeddings, tokens and predicted IoUs of a few units: f32 keeps 7 digits, and sums in
/// another order (fused attention, blocked matrix products and convolutions) cost one or two of
/// them over the layers of encoder and decoder.
const FEATURES: f64 = 1e-4;

/// For logits of masks, which are up to 18 here: 1.1e-5 of that. The reference's own f32 is off by
/// up to 1.1e-4 (eager attention, as in the goldens) and 1.7e-4 (fused) from the reference in f64,
/// and so is Owlet (1.4e-4); in the mean all three are off by 4e-6 to 8e-6.
const LOGITS: f64 = 2e-4;

/// What the script notes beside the tensors of a picture.
fn passes(picture: &str) -> Value {
    facts(&fixture(FOLDER).join(format!("goldens/{picture}.safetensors")))["passes"].take()
}

fn options(folder: &str) -> SegmenterOptions {
    SegmenterOptions { device: DeviceChoice::Cpu, ..SegmenterOptions::new(fixture(folder), folder) }
}

fn segmenter() -> SamSegmenter {
    SamSegmenter::load(&options(FOLDER)).unwrap()
}

fn floats(value: &Value) -> Vec<f32> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap() as f32).collect()
}

/// The prompts of a pass, in pixels of the picture.
fn prompts(pass: &Value) -> Vec<MaskPrompt> {
    (0..pass["masks"].as_array().unwrap().len())
        .map(|index| {
            let area = pass["input_boxes"]
                .get(index)
                .map(|area| PixelBox::from_corners(floats(area).try_into().unwrap()));
            let points = pass["input_points"].get(index).and_then(Value::as_array);
            let points = points.into_iter().flatten().enumerate().map(|(at, point)| PointPrompt {
                x_px: floats(point)[0],
                y_px: floats(point)[1],
                inside: pass["input_labels"][index][at] == 1,
            });
            MaskPrompt { box_in_source_px: area, points: points.collect() }
        })
        .collect()
}

fn boxed(corners: [f32; 4]) -> MaskPrompt {
    MaskPrompt { box_in_source_px: Some(PixelBox::from_corners(corners)), points: Vec::new() }
}
