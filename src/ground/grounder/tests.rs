//! Regions of a frame by encoders whose vectors one can tell by hand.

use super::*;
use crate::ground::asif::AsifSettings;
use crate::tasks::ModelInfo;
use image::Rgb;

fn info() -> ModelInfo {
    ModelInfo {
        name: "by hand".to_owned(),
        architecture: "none".to_owned(),
        device: "cpu".to_owned(),
        dtype: "f32".to_owned(),
        input_size: (1, 1),
        parameters: 0,
        useful_batch: 1,
    }
}

/// The mean colour.
struct Colours(ModelInfo);

impl ImageEncoder for Colours {
    fn info(&self) -> &ModelInfo {
        &self.0
    }

    fn dimension(&self) -> usize {
        3
    }

    fn encode(&mut self, images: &[Arc<RgbImage>]) -> Result<Vec<Vec<f32>>, DetectError> {
        let mean = |image: &Arc<RgbImage>| {
            let sum = |channel: usize| image.pixels().map(|pixel| f32::from(pixel[channel])).sum();
            (0..3).map(sum).map(|sum: f32| sum + 1e-3).collect()
        };
        Ok(images.iter().map(mean).collect())
    }
}

/// How often a text has each of three letters; texts of more than 20 letters are too long.
struct Letters(ModelInfo);

impl TextEncoder for Letters {
    fn info(&self) -> &ModelInfo {
        &self.0
    }

    fn dimension(&self) -> usize {
        3
    }

    fn encode(&mut self, texts: &[String]) -> Result<Vec<Vec<f32>>, EncodeError> {
        let encode = |(index, text): (usize, &String)| match text.len() {
            0 => Err(EncodeError::Empty { index }),
            tokens @ 21.. => Err(EncodeError::TooLong { index, tokens, limit: 20 }),
            _ => Ok(['r', 'g', 'b']
                .iter()
                .map(|letter| text.matches(*letter).count() as f32 + 1e-3)
                .collect()),
        };
        texts.iter().enumerate().map(encode).collect()
    }
}

fn id(name: &str) -> EncoderId {
    EncoderId { name: name.to_owned(), sha256: name.to_owned(), dimension: 3 }
}

fn grounder(options: GrounderOptions) -> Grounder {
    let bank = Bank::new(id("colours"), id("letters"), AsifSettings::default()).unwrap();
    let image = Identified { encoder: Box::new(Colours(info())) as Box<_>, id: id("colours") };
    let text = Identified { encoder: Box::new(Letters(info())) as Box<_>, id: id("letters") };
    Grounder::new(bank, image, text, options).unwrap()
}

fn prompt(number: usize, texts: &[&str]) -> GroundingPrompt {
    GroundingPrompt {
        prompt: number,
        name: format!("prompt {number}"),
        texts: texts.iter().map(|text| (*text).to_owned()).collect(),
        threshold: 0.5,
        negative: false,
    }
}

/// Three stripes of 100 pixels: red, green, blue.
fn stripes() -> RgbImage {
    RgbImage::from_fn(300, 100, |x, _| {
        let mut pixel = [10; 3];
        pixel[x as usize / 100] = 240;
        Rgb(pixel)
    })
}

fn stripe(number: usize) -> PixelBox {
    let left = 100.0 * number as f32;
    PixelBox::from_corners([left + 20.0, 10.0, left + 80.0, 90.0])
}

/// Shows a grounder all three stripes.
fn taught(options: GrounderOptions) -> Grounder {
    let mut grounder = grounder(options);
    for (number, caption) in ["rrr", "ggg", "bbb"].into_iter().enumerate() {
        let origin = PairOrigin {
            caption: caption.to_owned(),
            source: "shown".into(),
            topic: None,
            stamp: None,
            box_in_source_px: Some(stripe(number)),
        };
        grounder.teach(&stripes(), origin, None).unwrap();
    }
    grounder
}

fn names(found: &GroundedImage) -> Vec<usize> {
    found.found.iter().map(|one| one.detection.prompt).collect()
}

#[test]
fn what_was_shown_is_found_and_says_why() {
    let mut grounder = taught(GrounderOptions::default());
    grounder.set_prompts(vec![prompt(7, &["bb"]), prompt(4, &["gb", "rr"])]).unwrap();
    let outside = PixelBox::from_corners([400.0, 0.0, 500.0, 50.0]);
    let regions = [stripe(0), stripe(1), stripe(2), outside];
    let found = grounder.ground(&stripes(), &regions).unwrap();
    assert_eq!(found.skipped_regions, 1);
    let mut sorted = names(&found);
    sorted.sort_unstable();
    assert_eq!(sorted[..1], [4]);
    assert!(sorted.contains(&7));
    let blue = found.found.iter().find(|one| one.detection.prompt == 7).unwrap();
    assert_eq!(blue.detection.box_in_source_px, stripe(2));
    assert!(blue.detection.score > 0.9 && blue.detection.score <= 1.0);
    assert_eq!(blue.explanation.evidence[0].pair, PairId(3));
    assert!((blue.explanation.score - blue.detection.score).abs() < 1e-6);
    assert!(found.best_scores.iter().all(|score| *score > 0.5));
    assert!(found.found.is_sorted_by(|a, b| a.detection.score >= b.detection.score));
}

#[test]
fn a_distractor_takes_what_it_explains_best() {
    let mut grounder = taught(GrounderOptions { names_per_box: 3, ..GrounderOptions::default() });
    let red = GroundingPrompt { negative: true, ..prompt(1, &["rr"]) };
    let mixed = GroundingPrompt { threshold: 0.1, ..prompt(0, &["rg"]) };
    grounder.set_prompts(vec![mixed, red]).unwrap();
    let found = grounder.ground(&stripes(), &[stripe(0), stripe(1)]).unwrap();
    assert_eq!(names(&found), [0]);
    assert_eq!(found.found[0].detection.box_in_source_px, stripe(1));
    assert!(found.best_scores[1] > 0.9, "{:?}", found.best_scores);
}

#[test]
fn boxes_of_one_prompt_suppress_each_other() {
    let near = PixelBox::from_corners([22.0, 10.0, 82.0, 90.0]);
    let regions = [stripe(0), near];
    for (nms_iou, count) in [(Some(0.5), 1), (None, 2)] {
        let mut grounder = taught(GrounderOptions { nms_iou, ..GrounderOptions::default() });
        grounder.set_prompts(vec![prompt(0, &["rr"])]).unwrap();
        assert_eq!(grounder.ground(&stripes(), &regions).unwrap().found.len(), count);
    }
    let mut grounder =
        taught(GrounderOptions { nms_iou: None, max_detections: 1, ..GrounderOptions::default() });
    grounder.set_prompts(vec![prompt(0, &["rr"])]).unwrap();
    assert_eq!(grounder.ground(&stripes(), &regions).unwrap().found.len(), 1);
}

#[test]
fn bad_prompts_are_refused_with_every_reason_and_those_before_stay() {
    let mut grounder = taught(GrounderOptions::default());
    grounder.set_prompts(vec![prompt(0, &["rr"])]).unwrap();
    let bad = vec![
        prompt(0, &[]),
        prompt(1, &["rr", ""]),
        prompt(2, &["a text of more than twenty letters"]),
        prompt(3, &["gg"]),
    ];
    let refused = grounder.set_prompts(bad).unwrap_err();
    assert_eq!(refused.problems.len(), 3);
    let text = refused.to_string();
    for part in ["no text", "is empty", "has 34 tokens", "takes 20"] {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
    let many = vec![prompt(0, &["r"; 10_000])];
    assert!(grounder.set_prompts(many).unwrap_err().to_string().contains("10000 texts"));
    assert_eq!(grounder.prompts(), [prompt(0, &["rr"])]);
    assert_eq!(names(&grounder.ground(&stripes(), &[stripe(0)]).unwrap()), [0]);
}

#[test]
fn what_cannot_be_taught_changes_nothing() {
    let mut grounder = taught(GrounderOptions::default());
    let origin = |caption: &str, corners: [f32; 4]| PairOrigin {
        caption: caption.to_owned(),
        source: "shown".into(),
        topic: None,
        stamp: None,
        box_in_source_px: Some(PixelBox::from_corners(corners)),
    };
    let far = grounder.teach(&stripes(), origin("r", [900.0, 0.0, 950.0, 9.0]), None).unwrap_err();
    assert!(far.to_string().contains("no part of an image of 300x100"), "{far}");
    let long = origin("a text of more than twenty letters", [0.0, 0.0, 9.0, 9.0]);
    assert!(matches!(
        grounder.teach(&stripes(), long, None),
        Err(GrounderError::Caption(EncodeError::TooLong { .. }))
    ));
    assert_eq!(grounder.asif().bank().len(), 3);
}

#[test]
fn encoders_of_another_bank_are_refused() {
    let bank = Bank::new(id("colours"), id("letters"), AsifSettings::default()).unwrap();
    let image = Identified { encoder: Box::new(Colours(info())) as Box<_>, id: id("other") };
    let text = Identified { encoder: Box::new(Letters(info())) as Box<_>, id: id("letters") };
    let refused = Grounder::new(bank, image, text, GrounderOptions::default()).unwrap_err();
    assert!(matches!(&refused, BankError::OtherEncoders { mismatches } if mismatches.len() == 1));
}
