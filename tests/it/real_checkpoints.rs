//! Numbers that are published for the released checkpoints, on COCO val2017 000000039769 (two
//! cats, two remotes). Runs for every checkpoint that is there: `OWLET_MODELS` names the folder of
//! checkpoints, `OWLET_TEST_DATA` the one with the picture.
//!
//! Facts from huggingface/transformers: `tests/models/owlvit/test_modeling_owlvit.py`
//! @47af5a475674, `tests/models/owlv2/test_modeling_owlv2.py` @01080c629600,
//! `tests/pipelines/test_pipelines_zero_shot_object_detection.py` @01223136f893, and the example in
//! `models/owlv2/modeling_owlv2.py` of 5.23.0.
//!
//! The published numbers were made with processors of several years, which differ by a level or
//! two of 8 bits. On random checkpoints that moves logits by some hundredths; the tolerances here
//! are an order below the differences between neighbouring patches.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use image::RgbImage;
use owlet::detect::{DetectorOptions, OwlDetector};
use owlet::models::owl::Owl;
use owlet::tasks::Detector;
use owlet::tokenize::ClipTokenizer;
use owlet::types::{DeviceChoice, DtypeChoice, PixelBox, Prompt, PromptSet};
use tch::{Device, Kind, Tensor};

/// Boxes in `[0, 1]`, published with four decimals.
const BOXES: f64 = 2e-3;

/// Logits of CLIP and of detection, published with four decimals.
const LOGITS: f64 = 5e-2;

/// Scores.
const SCORES: f32 = 1e-2;

/// A checkpoint by one of the names its folder may have, or `None` with a line that says what is
/// not tested. Somebody's `OWLET_MODELS` need not hold every checkpoint.
fn checkpoint(names: &[&str]) -> Option<PathBuf> {
    let Some(models) = std::env::var_os("OWLET_MODELS") else {
        eprintln!("skipped: OWLET_MODELS is not set, {} cannot be found", names[0]);
        return None;
    };
    let found = names.iter().map(|name| Path::new(&models).join(name)).find(|path| path.is_dir());
    if found.is_none() {
        eprintln!("skipped: {} holds none of {names:?}", Path::new(&models).display());
    }
    found
}

/// The picture; only asked for once a checkpoint is there, so then it must be there as well.
fn cats() -> Arc<RgbImage> {
    let data = std::env::var_os("OWLET_TEST_DATA").expect("OWLET_TEST_DATA names the test data");
    let path = Path::new(&data).join("coco_39769/000000039769.png");
    let image = image::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    Arc::new(image.into_rgb8())
}

fn detector(folder: &Path) -> OwlDetector {
    OwlDetector::load(&DetectorOptions {
        device: DeviceChoice::Cpu,
        dtype: DtypeChoice::F32,
        ..DetectorOptions::new(folder, "released")
    })
    .unwrap()
}

fn queries(folder: &Path, owl: &Owl, texts: &[&str]) -> Tensor {
    let tokenizer = ClipTokenizer::open(folder).unwrap();
    let ids = texts.iter().map(|text| tokenizer.encode(text, 16).unwrap());
    let ids: Vec<Tensor> = ids.map(|ids| Tensor::from_slice(&ids)).collect();
    owl.embed_texts(&Tensor::stack(&ids, 0)).unwrap()
}

#[track_caller]
fn assert_near(what: &str, found: &Tensor, expected: &[f64], tolerance: f64) {
    let found = Vec::<f64>::try_from(found.to_kind(Kind::Double).flatten(0, -1)).unwrap();
    assert_eq!(found.len(), expected.len(), "{what}");
    for (a, b) in found.iter().zip(expected) {
        assert!((a - b).abs() <= tolerance, "{what}: {found:?} is not {expected:?}");
    }
}

/// The first three of the first three rows of the first image.
fn corner(x: &Tensor, columns: i64) -> Tensor {
    x.select(0, 0).narrow(0, 0, 3).narrow(1, 0, columns)
}

const CAT_AND_DOG: [&str; 2] = ["a photo of a cat", "a photo of a dog"];

#[test]
fn owlvit_base_patch32_gives_the_published_numbers() {
    let names = ["owlvit-base-patch32", "google--owlvit-base-patch32"];
    let Some(folder) = checkpoint(&names) else { return };
    let mut detector = detector(&folder);
    let pixels = detector.pixel_values(&[cats()]).unwrap();
    let owl = detector.model();
    let cat_and_dog = queries(&folder, owl, &CAT_AND_DOG);
    let tokens = owl.image_tokens(&pixels).unwrap();
    let clip = owl.clip_logits(&owl.image_embeds(&tokens).unwrap(), &cat_and_dog).unwrap();
    assert_near("logits_per_image", &clip, &[3.4613, 0.9403], LOGITS);

    let features = owl.feature_map(&tokens).unwrap();
    let boxes = owl.boxes(&features).unwrap();
    assert_eq!(boxes.size(), [1, 576, 4]);
    let expected = [0.0691, 0.0445, 0.1373, 0.1592, 0.0456, 0.3192, 0.1632, 0.0423, 0.2478];
    assert_near("pred_boxes", &corner(&boxes, 3), &expected, BOXES);

    // The pipeline scores each label by itself and keeps what is above 0.1.
    let expected: [(usize, f32, [f32; 4]); 5] = [
        (0, 0.2868, [324.0, 20.0, 640.0, 373.0]),
        (1, 0.277, [40.0, 72.0, 177.0, 115.0]),
        (0, 0.2537, [1.0, 55.0, 315.0, 472.0]),
        (1, 0.1474, [335.0, 74.0, 371.0, 187.0]),
        (2, 0.1208, [4.0, 0.0, 642.0, 476.0]),
    ];
    let logits = owl.class_logits(&features, &queries(&folder, owl, &["cat", "remote", "couch"]));
    let scores = logits.unwrap().sigmoid().select(0, 0);
    let mut found = Vec::new();
    for patch in 0..576 {
        for label in 0..3 {
            let score = scores.double_value(&[patch, label]) as f32;
            if score > 0.1 {
                let [cx, cy, w, h] =
                    [0, 1, 2, 3].map(|field| boxes.double_value(&[0, patch, field]) as f32);
                let (left, top) = (cx - 0.5 * w, cy - 0.5 * h);
                let corners = [left, top, left + w, top + h];
                let scale = [640.0, 480.0, 640.0, 480.0];
                let in_px = std::array::from_fn::<f32, 4, _>(|side| corners[side] * scale[side]);
                found.push((label as usize, score, in_px));
            }
        }
    }
    found.sort_by(|a, b| b.1.total_cmp(&a.1));
    assert_eq!(found.len(), expected.len(), "{found:?}");
    for ((label, score, in_px), (expected_label, expected_score, expected_px)) in
        found.iter().zip(expected)
    {
        assert_eq!(*label, expected_label);
        assert!((score - expected_score).abs() < SCORES, "{score} is not {expected_score}");
        for (a, b) in in_px.iter().zip(expected_px) {
            // Published without decimals, cut towards zero.
            assert!((a - b - 0.5).abs() < 2.0, "{in_px:?} is not {expected_px:?}");
        }
    }
}

/// These were made with OWL-ViT's processor: stretched to the canvas, not padded. So they are here
/// too, with torch's own resize.
#[test]
fn owlv2_base_patch16_gives_the_published_numbers() {
    let Some(folder) = checkpoint(&["google--owlv2-base-patch16", "owlv2-base-patch16"]) else {
        return;
    };
    let owl = Owl::load(&folder, Device::Cpu, Kind::Float).unwrap();
    let image = cats();
    let planes = Tensor::from_slice(image.as_raw())
        .view([1, i64::from(image.height()), i64::from(image.width()), 3])
        .permute([0, 3, 1, 2])
        .to_kind(Kind::Float);
    let stretched = planes
        .internal_upsample_bilinear2d_aa([960, 960], false, None, None)
        .round()
        .clamp(0.0, 255.0);
    let statistics =
        |values: [f64; 3]| Tensor::from_slice(&values).to_kind(Kind::Float).view([1, 3, 1, 1]);
    let mean = statistics([0.481_454_66, 0.457_827_5, 0.408_210_73]);
    let std = statistics([0.268_629_54, 0.261_302_58, 0.275_777_11]);
    let pixels = (stretched / 255.0 - mean) / std;

    let cat_and_dog = queries(&folder, &owl, &CAT_AND_DOG);
    let tokens = owl.image_tokens(&pixels).unwrap();
    let clip = owl.clip_logits(&owl.image_embeds(&tokens).unwrap(), &cat_and_dog).unwrap();
    assert_near("logits_per_image", &clip, &[-6.2229, -8.2601], LOGITS);
    let features = owl.feature_map(&tokens).unwrap();
    let logits = owl.class_logits(&features, &cat_and_dog).unwrap();
    let expected = [-21.413_497, -21.612_638, -19.008_193, -19.548_841, -20.958_896, -21.382_694];
    assert_near("logits", &corner(&logits, 2), &expected, LOGITS);
    let boxes = owl.boxes(&features).unwrap();
    let expected = [
        0.241_309, 0.051_896, 0.453_267, 0.139_474, 0.045_701, 0.250_660, 0.233_022, 0.050_479,
        0.427_671,
    ];
    assert_near("pred_boxes", &corner(&boxes, 3), &expected, BOXES);
}

/// The example in the reference's documentation, whole: picture in, boxes in its pixels out.
#[test]
fn owlv2_ensemble_finds_the_published_cats() {
    let names = ["owlv2-base-patch16-ensemble", "google--owlv2-base-patch16-ensemble"];
    let Some(folder) = checkpoint(&names) else { return };
    let mut detector = detector(&folder);
    let prompts = CAT_AND_DOG.iter().map(|text| Prompt::from_text(text)).collect();
    let set = PromptSet { version: 1, prompts, default_threshold: 0.1 };
    detector.set_prompts(Arc::new(set)).unwrap();
    let found = detector.detect(&[cats()]).unwrap().remove(0).detections;
    let expected = [
        (0.665, PixelBox::from_corners([6.75, 51.96, 326.62, 473.13])),
        (0.614, PixelBox::from_corners([341.67, 23.39, 642.32, 371.35]).clipped_to(640, 480)),
    ];
    assert_eq!(found.len(), expected.len(), "{found:?}");
    for (detection, (score, box_in_source_px)) in found.iter().zip(expected) {
        assert_eq!(detection.prompt, 0);
        assert!((detection.score - score).abs() < SCORES, "{} is not {score}", detection.score);
        let iou = detection.box_in_source_px.iou(&box_in_source_px);
        assert!(iou > 0.98, "{:?} is not {box_in_source_px:?}", detection.box_in_source_px);
    }
}
