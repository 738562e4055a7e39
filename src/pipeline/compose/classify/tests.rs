use std::sync::Mutex;

use image::Rgb;

use super::*;
use crate::types::{FinerLabel, FinerScore, PixelBox, Prompt, StageTimings};

fn info(name: &str) -> ModelInfo {
    ModelInfo {
        name: name.to_owned(),
        architecture: "test".to_owned(),
        device: "cpu".to_owned(),
        dtype: "f32".to_owned(),
        input_size: (1, 1),
        parameters: 5,
        useful_batch: 2,
    }
}

/// What the parts were asked, in order.
type Asked = Arc<Mutex<Vec<String>>>;

/// Finds one box of each prompt in each image, side by side.
struct Boxes(ModelInfo, Asked, usize);

impl Detector for Boxes {
    fn info(&self) -> &ModelInfo {
        &self.0
    }

    fn set_prompts(&mut self, prompts: Arc<PromptSet>) -> Result<(), PromptSetRefused> {
        prompts.check()?;
        let problems = prompts.problems_without_classifier();
        if !problems.is_empty() {
            return Err(PromptSetRefused { problems });
        }
        self.1.lock().unwrap().push(format!("detector: version {}", prompts.version));
        self.2 = prompts.prompts.len();
        Ok(())
    }

    fn prompts_ahead(&self) -> Option<Arc<dyn PromptsAhead>> {
        Some(Arc::new(Telling("detector", Arc::clone(&self.1))))
    }

    fn set_rules(&mut self, _rules: DetectionRules) {}

    fn detect(&mut self, images: &[Arc<RgbImage>]) -> Result<Vec<ImageDetections>, DetectError> {
        let one = |prompt: usize| Detection {
            prompt,
            score: 0.5,
            objectness: None,
            box_in_source_px: PixelBox::from_corners([
                10.0 + 20.0 * prompt as f32,
                10.0,
                20.0 + 20.0 * prompt as f32,
                20.0,
            ]),
            mask: None,
            finer: Vec::new(),
            explanation: None,
        };
        let found = |_: &Arc<RgbImage>| ImageDetections {
            detections: (0..self.2).map(one).collect(),
            timings: StageTimings::default(),
            ..ImageDetections::default()
        };
        Ok(images.iter().map(found).collect())
    }
}

struct Telling(&'static str, Asked);

impl PromptsAhead for Telling {
    fn encode(&self, prompts: &PromptSet) {
        let finer: usize = prompts.prompts.iter().map(|prompt| prompt.finer.len()).sum();
        self.1.lock().unwrap().push(format!("{} ahead: {finer} labels", self.0));
    }
}

/// Scores by the red of the middle pixel: the first label gets it, the others share the rest.
struct Reds(ModelInfo, Asked);

impl Classifier for Reds {
    fn info(&self) -> &ModelInfo {
        &self.0
    }

    fn encode_finer(&self, prompts: &PromptSet) -> Result<Vec<Vec<Vec<f32>>>, PromptSetRefused> {
        prompts.check()?;
        self.1.lock().unwrap().push(format!("labels: version {}", prompts.version));
        Ok(prompts.prompts.iter().map(|prompt| vec![vec![1.0]; prompt.finer.len()]).collect())
    }

    fn prompts_ahead(&self) -> Option<Arc<dyn PromptsAhead>> {
        Some(Arc::new(Telling("classifier", Arc::clone(&self.1))))
    }

    fn classify(
        &mut self,
        images: &[Arc<RgbImage>],
        labels: &[&[Vec<f32>]],
    ) -> Result<Vec<Vec<FinerScore>>, DetectError> {
        self.1.lock().unwrap().push(format!("pictures: {}", images.len()));
        let scores = images.iter().zip(labels).map(|(image, labels)| {
            assert_eq!(image.dimensions(), (12, 12));
            let red = f32::from(image.get_pixel(6, 6).0[0]);
            (0..labels.len()).map(|label| FinerScore { label, score: red }).collect()
        });
        // One that goes wrong, where it is asked for by a picture of its own.
        let lost = usize::from(images[0].get_pixel(0, 0).0[2] == 255);
        Ok(scores.skip(lost).collect())
    }
}

fn both() -> (ClassifyingDetector, Asked) {
    let asked = Asked::default();
    let boxes = Boxes(info("boxes"), Arc::clone(&asked), 0);
    let reds = Reds(info("reds"), Arc::clone(&asked));
    (ClassifyingDetector::new(Box::new(boxes), Box::new(reds)), asked)
}

fn set(version: u64, finer: &[&[&str]]) -> Arc<PromptSet> {
    let prompt = |(number, labels): (usize, &&[&str])| Prompt {
        finer: labels.iter().map(|text| FinerLabel::from_text(text)).collect(),
        ..Prompt::from_text(&format!("thing {number}"))
    };
    let prompts = finer.iter().enumerate().map(prompt).collect();
    Arc::new(PromptSet { version, prompts, default_threshold: 0.1 })
}

/// The red of a pixel is its column.
fn image() -> Arc<RgbImage> {
    Arc::new(RgbImage::from_fn(100, 40, |x, y| Rgb([x as u8, y as u8, 0])))
}

fn told(asked: &Asked) -> Vec<String> {
    std::mem::take(&mut asked.lock().unwrap())
}

#[test]
fn every_detection_gets_the_labels_of_its_prompt_by_its_own_crop() {
    let (mut detector, asked) = both();
    assert_eq!((detector.info().name.as_str(), detector.info().parameters), ("boxes + reds", 10));
    let one = set(1, &[&["a", "b"], &[], &["c", "d", "e"]]);
    detector.set_prompts(Arc::clone(&one)).unwrap();
    assert_eq!(told(&asked), ["labels: version 1", "detector: version 1"]);

    let found = detector.detect(&[image(), image()]).unwrap();
    // Four crops, two in one pass, whatever image they are of; and no text is encoded.
    assert_eq!(told(&asked), ["pictures: 2", "pictures: 2"]);
    for found in &found {
        let finer: Vec<_> = found.detections.iter().map(|found| found.finer.clone()).collect();
        let score = |label, score| FinerScore { label, score };
        // The middle of the box from 10 to 20 is column 15, that of the third one 40 further.
        assert_eq!(finer[0], [score(0, 15.0), score(1, 15.0)]);
        assert!(finer[1].is_empty());
        assert_eq!(finer[2], [0, 1, 2].map(|label| score(label, 55.0)));
        assert!(found.timings.get(Stage::Classify).is_some());
        let names: Vec<_> = found.detections[2].finer_names(&one).map(|(name, _)| name).collect();
        assert_eq!(names, ["c", "d", "e"]);
    }
}

#[test]
fn a_new_set_has_its_own_labels_and_a_refused_one_changes_nothing() {
    let (mut detector, asked) = both();
    detector.set_prompts(set(1, &[&["a", "b"]])).unwrap();
    // Refused for its labels: the detector does not hear of it. Refused by the detector: the
    // labels in use stay.
    let refused = detector.set_prompts(set(2, &[&["a"], &["x", "y"]])).unwrap_err().to_string();
    assert!(refused.contains("finer: expected at least two labels"), "{refused}");
    told(&asked);
    let labels = |detector: &mut ClassifyingDetector| {
        let found = detector.detect(&[image()]).unwrap().remove(0);
        found.detections.iter().map(|found| found.finer.len()).collect::<Vec<_>>()
    };
    assert_eq!(labels(&mut detector), [2]);
    detector.set_prompts(set(3, &[&["a", "b", "c"], &["x", "y"]])).unwrap();
    assert_eq!(labels(&mut detector), [3, 2]);
    detector.set_prompts(set(4, &[&[], &[]])).unwrap();
    told(&asked);
    assert_eq!(labels(&mut detector), [0, 0]);
    let found = detector.detect(&[image()]).unwrap().remove(0);
    assert!(found.timings.get(Stage::Classify).is_none());
    assert!(told(&asked).is_empty(), "the classifier has nothing to do");
}

#[test]
fn texts_of_both_are_encoded_ahead() {
    let (detector, asked) = both();
    detector.prompts_ahead().unwrap().encode(&set(1, &[&["a", "b"], &["x", "y"]]));
    assert_eq!(told(&asked), ["detector ahead: 0 labels", "classifier ahead: 4 labels"]);
}

#[test]
fn an_answer_too_few_is_an_error_and_no_shift() {
    let (mut detector, _) = both();
    detector.set_prompts(set(1, &[&["a", "b"], &["x", "y"]])).unwrap();
    let blue = Arc::new(RgbImage::from_pixel(100, 40, Rgb([0, 0, 255])));
    let error = detector.detect(&[blue]).unwrap_err().to_string();
    assert!(error.contains("classify: 1 answers for 2 crops"), "{error}");
    // What lies beside the image has no crop, and so no labels.
    let narrow = Arc::new(RgbImage::new(25, 40));
    let found = detector.detect(&[narrow]).unwrap().remove(0);
    let labels: Vec<_> = found.detections.iter().map(|found| found.finer.len()).collect();
    assert_eq!(labels, [2, 0]);
}
