//! What is refused, and that nothing else changes by it.

use std::path::Path;
use std::sync::Arc;

use image::RgbImage;
use owlet::detect::{DetectorError, DetectorOptions, OwlDetector};
use owlet::nn::DeviceRefused;
use owlet::tasks::{DetectError, Detector};
use owlet::types::{DeviceChoice, DtypeChoice, PromptSet};

use super::{detect_one, detector, options, prompt, texts};
use crate::golden_models::fixture;
use crate::golden_preprocess::picture;

#[test]
fn a_refused_set_leaves_the_old_one_in_use_and_names_every_problem() {
    let mut detector = detector("owlvit_tiny");
    let image = picture("landscape");
    let unset = detector.detect(&[Arc::new(image.clone())]);
    assert!(matches!(unset, Err(DetectError::NoPrompts)));
    detector.set_prompts(texts(&["a cat"], 0.1)).unwrap();
    let before = detect_one(&mut detector, &image);

    let too_long = "a cat ".repeat(20);
    let bad = PromptSet {
        version: 2,
        prompts: vec![
            prompt("fine", &["a photo of a dog"], None, false),
            prompt("long", &[&too_long, "a dog", &too_long], None, false),
            prompt("blank", &[" "], None, false),
            prompt("fine", &["a dog"], Some(7.0), false),
        ],
        default_threshold: 0.1,
    };
    let refused = detector.set_prompts(Arc::new(bad)).unwrap_err();
    let of = |name: &str| refused.problems.iter().filter(|p| p.prompt == name).count();
    assert_eq!((of("long"), of("blank"), of("fine")), (2, 1, 2), "{refused}");
    let message = refused.to_string();
    assert!(message.contains("42 tokens") && message.contains("at most 16"), "{message}");

    assert_eq!(detector.prompts().unwrap().version, 1);
    assert_eq!(detect_one(&mut detector, &image), before);
}

#[test]
fn an_image_with_no_pixels_is_named_by_its_place() {
    let mut detector = detector("owlv2_tiny");
    detector.set_prompts(texts(&["a cat"], 0.1)).unwrap();
    assert!(detector.detect(&[]).unwrap().is_empty());
    let images = [Arc::new(picture("square")), Arc::new(RgbImage::new(3, 0))];
    let refused = detector.detect(&images).unwrap_err();
    let DetectError::EmptyImage { index, width, height } = refused else { panic!("{refused}") };
    assert_eq!((index, width, height), (1, 3, 0));
}

#[test]
fn a_device_that_is_not_there_is_an_error_and_never_replaced() {
    let load = |device, dtype| {
        OwlDetector::load(&DetectorOptions { device, dtype, ..options("owlvit_tiny") })
    };
    // No machine has that many.
    let refused = load(DeviceChoice::Cuda(99), DtypeChoice::Auto).unwrap_err();
    assert!(matches!(&refused, DetectorError::Device(DeviceRefused::Missing { .. })), "{refused}");
    assert!(refused.to_string().contains("cuda:99 is not there: "), "{refused}");
    let refused = load(DeviceChoice::Cpu, DtypeChoice::F16).unwrap_err();
    assert!(refused.to_string().contains("f16 is refused on the CPU"), "{refused}");
    let info = load(DeviceChoice::Cpu, DtypeChoice::Auto).unwrap().info().clone();
    assert_eq!((info.device.as_str(), info.dtype.as_str()), ("cpu", "f32"));
    assert_eq!((info.architecture.as_str(), info.input_size), ("owlvit", (80, 80)));
    assert!(info.parameters > 10_000);
}

#[test]
fn options_out_of_range_are_refused_by_name() {
    let base = options("owlvit_tiny");
    for (options, option) in [
        (DetectorOptions { nms_iou: Some(1.5), ..base.clone() }, "nms_iou"),
        (DetectorOptions { nms_iou: Some(f32::NAN), ..base.clone() }, "nms_iou"),
        (DetectorOptions { max_detections: 0, ..base.clone() }, "max_detections"),
        (DetectorOptions { names_per_box: 0, ..base.clone() }, "names_per_box"),
        (DetectorOptions { threads: Some(0), ..base.clone() }, "threads"),
    ] {
        let refused = OwlDetector::load(&options).unwrap_err().to_string();
        assert!(refused.starts_with(option), "{refused}");
    }
}

fn copy_of(folder: &str) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(fixture(folder)).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            std::fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
        }
    }
    copy
}

fn load_from(folder: &Path) -> Result<OwlDetector, DetectorError> {
    OwlDetector::load(&DetectorOptions { model_dir: folder.to_owned(), ..options("copy") })
}

#[test]
fn preprocessing_must_be_there_and_fit_the_network() {
    let copy = copy_of("owlvit_tiny");
    let settings = copy.path().join("preprocessor_config.json");
    std::fs::write(&settings, r#"{"image_processor_type": "OwlViTImageProcessor", "size": 96}"#)
        .unwrap();
    let refused = load_from(copy.path()).unwrap_err();
    assert!(matches!(refused, DetectorError::CanvasSize { canvas_width: 96, .. }), "{refused}");
    std::fs::remove_file(&settings).unwrap();
    let refused = load_from(copy.path()).unwrap_err();
    assert!(matches!(refused, DetectorError::Recipe(_)), "{refused}");
    assert!(refused.to_string().contains("preprocessor_config.json"), "{refused}");
}

#[test]
fn predictions_that_are_not_numbers_are_an_error() {
    let copy = copy_of("owlvit_tiny");
    let path = copy.path().join("model.safetensors");
    let mut bytes = std::fs::read(&path).unwrap();
    let (header_len, metadata) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let (start, _) = metadata.info("class_head.dense0.bias").unwrap().data_offsets;
    let at = 8 + header_len + start;
    bytes[at..at + 4].copy_from_slice(&f32::NAN.to_le_bytes());
    std::fs::write(&path, bytes).unwrap();
    let mut detector = load_from(copy.path()).unwrap();
    detector.set_prompts(texts(&["a cat"], 0.1)).unwrap();
    let refused = detector.detect(&[Arc::new(picture("square"))]).unwrap_err().to_string();
    assert!(refused.contains("25 predictions are not numbers"), "{refused}");
}
