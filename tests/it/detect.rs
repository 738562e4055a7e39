//! The detector on the golden checkpoints: against the reference's post-processing, and against a
//! plain re-statement of its rules.

use std::path::Path;
use std::sync::Arc;

use image::RgbImage;
use owlet::detect::{DetectorError, DetectorOptions, DeviceRefused, OwlDetector};
use owlet::tasks::{DetectError, Detector};
use owlet::types::{Detection, DeviceChoice, DtypeChoice, PixelBox, Prompt, PromptSet, Stage};
use owlet::vision::canvas::{CanvasGeometry, Placement};
use owlet::vision::nms::{Contender, greedy_nms};

use crate::golden_preprocess::{Goldens, PICTURES, fixture, picture};

const FOLDERS: [(&str, Placement); 2] =
    [("owlvit_tiny", Placement::Stretch), ("owlv2_tiny", Placement::PadToSquare)];

/// The contract is 1e-3; 1e-5 is what f32 keeps of a sigmoid of sums in another order.
const SCORE: f32 = 1e-5;

/// The contract is half a pixel; boxes in [0, 1] agree to 1e-5, images are up to 230 pixels.
const BOX_PX: f32 = 1e-2;

fn options(folder: &str) -> DetectorOptions {
    DetectorOptions {
        device: DeviceChoice::Cpu,
        max_detections: usize::MAX,
        ..DetectorOptions::new(fixture(folder), folder)
    }
}

fn detector(folder: &str) -> OwlDetector {
    OwlDetector::load(&options(folder)).unwrap()
}

fn set(prompts: Vec<Prompt>, default_threshold: f32) -> Arc<PromptSet> {
    Arc::new(PromptSet { version: 1, prompts, default_threshold })
}

fn texts(texts: &[&str], default_threshold: f32) -> Arc<PromptSet> {
    set(texts.iter().map(|text| Prompt::from_text(text)).collect(), default_threshold)
}

fn prompt(name: &str, texts: &[&str], threshold: Option<f32>, negative: bool) -> Prompt {
    let texts = texts.iter().map(|text| (*text).to_owned()).collect();
    Prompt { name: name.to_owned(), texts, threshold, negative }
}

fn detect_one(detector: &mut OwlDetector, image: &RgbImage) -> Vec<Detection> {
    detector.detect(&[Arc::new(image.clone())]).unwrap().remove(0).detections
}

#[track_caller]
fn assert_same(what: &str, found: &[Detection], expected: &[Detection]) {
    assert_eq!(found.len(), expected.len(), "{what}: number of detections");
    for (rank, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert_eq!(found.prompt, expected.prompt, "{what}: prompt at rank {rank}");
        let off = (found.score - expected.score).abs();
        assert!(off <= SCORE, "{what}: score at rank {rank} is off by {off:e}");
        let corners = found.box_in_source_px.corners();
        for (a, b) in corners.iter().zip(expected.box_in_source_px.corners()) {
            assert!((a - b).abs() <= BOX_PX, "{what}: box at rank {rank} is off by {}", a - b);
        }
    }
}

/// What the reference found, clipped to the image as Owlet does it.
fn golden_detections(goldens: &Goldens, image: &RgbImage) -> Vec<Detection> {
    let boxes = goldens.f32s("torchvision.detections.boxes");
    let scores = goldens.f32s("torchvision.detections.scores");
    let labels = goldens.i64s("torchvision.detections.labels");
    let mut expected: Vec<Detection> = boxes
        .chunks_exact(4)
        .zip(scores.iter().zip(labels))
        .map(|(corners, (&score, label))| Detection {
            prompt: usize::try_from(label).unwrap(),
            score,
            objectness: None,
            box_in_source_px: PixelBox::from_corners(corners.try_into().unwrap())
                .clipped_to(image.width(), image.height()),
        })
        .filter(|detection| detection.box_in_source_px.area() > 0.0)
        .collect();
    expected.sort_by(|a, b| b.score.total_cmp(&a.score));
    expected
}

#[test]
fn detections_are_the_reference() {
    for (folder, _) in FOLDERS {
        let mut detector = detector(folder);
        let facts = Goldens::open(&format!("{folder}/goldens/texts.safetensors")).facts();
        let prompts: Vec<_> = facts["texts"]
            .as_array()
            .unwrap()
            .iter()
            .map(|text| Prompt::from_text(text.as_str().unwrap()))
            .collect();
        let mut in_all = 0;
        for name in PICTURES {
            let goldens = Goldens::open(&format!("{folder}/goldens/{name}.safetensors"));
            let threshold = goldens.facts()["threshold"].as_f64().unwrap() as f32;
            detector.set_prompts(set(prompts.clone(), threshold)).unwrap();
            let image = picture(name);
            let found = detect_one(&mut detector, &image);
            assert_same(&format!("{folder} {name}"), &found, &golden_detections(&goldens, &image));
            in_all += found.len();
        }
        assert!(in_all > 10, "{folder}: {in_all} detections hold nothing");
    }
}

#[test]
fn objectness_is_given_by_owlv2_and_belongs_to_its_box() {
    let mut owlvit = detector("owlvit_tiny");
    owlvit.set_prompts(texts(&["a cat"], 0.0)).unwrap();
    let image = picture("square");
    assert!(detect_one(&mut owlvit, &image).iter().all(|found| found.objectness.is_none()));

    let mut owlv2 = detector("owlv2_tiny");
    owlv2.set_prompts(texts(&["a cat"], 0.0)).unwrap();
    // As large as the canvas, so that both variants of the reference see the same pixels.
    let goldens = Goldens::open("owlv2_tiny/goldens/square.safetensors");
    let (boxes, logits) = (goldens.f32s("pred_boxes"), goldens.f32s("objectness_logits"));
    let geometry = CanvasGeometry::new(Placement::PadToSquare, image.width(), image.height());
    let found = detect_one(&mut owlv2, &image);
    assert_eq!(found.len(), logits.len());
    for found in found {
        let at = |patch: &[f32]| geometry.source_px_from_norm(patch.try_into().unwrap()).corners();
        let distance = |patch: &[f32]| {
            let corners = found.box_in_source_px.corners();
            at(patch).iter().zip(corners).map(|(a, b)| (a - b).abs()).sum::<f32>()
        };
        let (_, nearest) = boxes
            .chunks_exact(4)
            .zip(&logits)
            .min_by(|(a, _), (b, _)| distance(a).total_cmp(&distance(b)))
            .unwrap();
        let expected = 1.0 / (1.0 + (-nearest).exp());
        assert!((found.objectness.unwrap() - expected).abs() < SCORE);
    }
}

/// The rules in their plainest form, from logits and boxes on the host.
fn plainly(
    detector: &mut OwlDetector,
    placement: Placement,
    image: &RgbImage,
    prompts: &Arc<PromptSet>,
) -> Vec<Detection> {
    // One prompt for each text tells what each text scores.
    let all_texts: Vec<&str> =
        prompts.prompts.iter().flat_map(|p| p.texts.iter().map(String::as_str)).collect();
    let geometry = CanvasGeometry::new(placement, image.width(), image.height());
    let mut unique: Vec<&str> = all_texts.clone();
    unique.sort_unstable();
    unique.dedup();
    // score_of[text] = score of every patch, by box.
    let mut score_of = std::collections::HashMap::new();
    for text in unique {
        let tokenizer =
            owlet::tokenize::ClipTokenizer::open(&fixture(&detector.info().name)).unwrap();
        let ids = tokenizer.encode(text, 16).unwrap();
        let pixels = detector.pixel_values(&[Arc::new(image.clone())]).unwrap();
        let model = detector.model();
        let features = model.image_features(&pixels).unwrap();
        let query = model.embed_texts(&tch::Tensor::from_slice(&ids).view([1, 16])).unwrap();
        let scores = model.class_logits(&features, &query).unwrap().sigmoid().view(-1);
        let boxes = model.boxes(&features).unwrap().view(-1);
        let scores = Vec::<f32>::try_from(scores).unwrap();
        score_of.insert(text.to_owned(), (scores, Vec::<f32>::try_from(boxes).unwrap()));
    }
    let (_, boxes) = &score_of[all_texts[0]];
    let mut found = Vec::new();
    for (patch, norm) in boxes.chunks_exact(4).enumerate() {
        let mut best: Option<(usize, f32)> = None;
        for (index, prompt) in prompts.prompts.iter().enumerate() {
            let score = prompt
                .texts
                .iter()
                .map(|text| score_of[text].0[patch])
                .fold(f32::NEG_INFINITY, f32::max);
            if score > prompts.threshold_of(index) && best.is_none_or(|(_, other)| score > other) {
                best = Some((index, score));
            }
        }
        let Some((prompt, score)) = best else { continue };
        let box_in_source_px = geometry.source_px_from_norm(norm.try_into().unwrap());
        if !prompts.prompts[prompt].negative && box_in_source_px.area() > 0.0 {
            found.push(Detection { prompt, score, objectness: None, box_in_source_px });
        }
    }
    found.sort_by(|a, b| b.score.total_cmp(&a.score));
    found
}

#[test]
fn thresholds_synonyms_and_negatives_do_what_their_plain_rules_say() {
    let cases = [
        (
            "one threshold",
            set(
                vec![
                    prompt("cat", &["a cat"], None, false),
                    prompt("dog", &["a photo of a dog"], None, false),
                ],
                0.3,
            ),
        ),
        (
            "own thresholds",
            set(
                vec![
                    prompt("cat", &["a cat"], Some(0.5), false),
                    prompt("dog", &["a photo of a dog"], Some(0.1), false),
                    prompt("sofa", &["Red SOFA!"], None, false),
                ],
                0.4,
            ),
        ),
        (
            "a prompt that nothing reaches leaves its boxes to the next",
            set(
                vec![
                    prompt("cat", &["a cat"], Some(1.0), false),
                    prompt("dog", &["a photo of a dog"], Some(0.0), false),
                ],
                0.0,
            ),
        ),
        (
            "synonyms",
            set(
                vec![
                    prompt("animal", &["a cat", "a photo of a dog"], None, false),
                    prompt(
                        "thing",
                        &["Red SOFA!", "the left hand", "two red cups"],
                        Some(0.2),
                        false,
                    ),
                ],
                0.25,
            ),
        ),
        (
            "a distractor",
            set(
                vec![
                    prompt("cat", &["a cat"], None, false),
                    prompt("not it", &["a photo of a dog", "the left hand"], Some(0.35), true),
                ],
                0.1,
            ),
        ),
    ];
    for (folder, placement) in FOLDERS {
        let mut detector = detector(folder);
        for (case, prompts) in &cases {
            for name in ["landscape", "portrait", "strip"] {
                let image = picture(name);
                detector.set_prompts(prompts.clone()).unwrap();
                let found = detect_one(&mut detector, &image);
                let expected = plainly(&mut detector, placement, &image, prompts);
                assert_same(&format!("{folder}, {case}, {name}"), &found, &expected);
            }
        }
    }
}

#[test]
fn a_distractor_takes_boxes_away_and_gives_none() {
    let mut detector = detector("owlvit_tiny");
    let image = picture("landscape");
    detector.set_prompts(texts(&["a cat"], 0.0)).unwrap();
    let alone = detect_one(&mut detector, &image);
    let with = set(
        vec![
            prompt("cat", &["a cat"], None, false),
            prompt("not it", &["a photo of a dog"], None, true),
        ],
        0.0,
    );
    detector.set_prompts(with).unwrap();
    let left = detect_one(&mut detector, &image);
    assert!(!left.is_empty() && left.len() < alone.len(), "{} of {}", left.len(), alone.len());
    assert!(left.iter().all(|found| found.prompt == 0));
}

#[test]
fn a_batch_of_different_sizes_gives_what_its_images_give_alone() {
    for (folder, _) in FOLDERS {
        let mut detector = detector(folder);
        detector.set_prompts(texts(&["a cat", "the left hand"], 0.2)).unwrap();
        let images: Vec<_> = PICTURES.iter().map(|name| Arc::new(picture(name))).collect();
        let together = detector.detect(&images).unwrap();
        assert_eq!(together.len(), images.len());
        for ((image, found), name) in images.iter().zip(together).zip(PICTURES) {
            let alone = detect_one(&mut detector, image);
            assert!(!alone.is_empty(), "{folder} {name}");
            assert_same(&format!("{folder} {name}"), &found.detections, &alone);
        }
    }
}

#[test]
fn two_runs_give_the_same_bits_and_every_stage_is_timed() {
    let mut detector = detector("owlv2_tiny");
    detector.set_prompts(texts(&["a cat", "a photo of a dog"], 0.1)).unwrap();
    let images = [Arc::new(picture("landscape")), Arc::new(picture("portrait"))];
    let first = detector.detect(&images).unwrap();
    let second = detector.detect(&images).unwrap();
    for (first, second) in first.iter().zip(&second) {
        assert_eq!(first.detections, second.detections);
        let stages: Vec<_> = first.timings.iter().map(|(stage, _)| stage).collect();
        let expected = [Stage::Preprocess, Stage::ImageTower, Stage::Heads, Stage::Postprocess];
        assert_eq!(stages, expected);
        assert!(first.timings.get(Stage::ImageTower).unwrap().as_nanos() > 0);
    }
}

#[test]
fn suppression_is_within_a_prompt_and_the_cap_keeps_the_best() {
    let image = picture("portrait");
    let prompts = texts(&["a cat", "a photo of a dog", "the left hand"], 0.1);
    let mut plain = detector("owlvit_tiny");
    plain.set_prompts(prompts.clone()).unwrap();
    let all = detect_one(&mut plain, &image);

    let mut suppressing =
        OwlDetector::load(&DetectorOptions { nms_iou: Some(0.2), ..options("owlvit_tiny") })
            .unwrap();
    suppressing.set_prompts(prompts.clone()).unwrap();
    let kept = detect_one(&mut suppressing, &image);
    let contenders: Vec<_> = all
        .iter()
        .map(|found| Contender { pixel_box: found.box_in_source_px, group: found.prompt })
        .collect();
    let expected: Vec<_> =
        greedy_nms(&contenders, 0.2).into_iter().map(|index| all[index].clone()).collect();
    assert!(expected.len() < all.len());
    assert_eq!(kept, expected);

    let mut capped =
        OwlDetector::load(&DetectorOptions { max_detections: 3, ..options("owlvit_tiny") })
            .unwrap();
    capped.set_prompts(prompts).unwrap();
    assert_eq!(detect_one(&mut capped, &image), all[..3]);
}

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
fn hundreds_of_prompts_are_all_looked_at() {
    let mut detector = detector("owlvit_tiny");
    let image = picture("landscape");
    detector.set_prompts(texts(&["a cat"], 0.1)).unwrap();
    let mut expected = detect_one(&mut detector, &image);
    assert!(!expected.is_empty());

    // None of the first 600 can be reached, so all boxes are the last one's.
    let name = |n: usize| format!("red {n}");
    let mut prompts: Vec<_> =
        (0..600).map(|n| prompt(&name(n), &[&name(n)], Some(1.0), false)).collect();
    prompts.push(Prompt::from_text("a cat"));
    detector.set_prompts(set(prompts, 0.1)).unwrap();
    expected.iter_mut().for_each(|found| found.prompt = 600);
    assert_same("601 prompts", &detect_one(&mut detector, &image), &expected);
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
