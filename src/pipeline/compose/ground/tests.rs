use super::*;
use crate::ground::by_hand::{stripe, stripes, taught};
use crate::ground::{GrounderOptions, PairId};
use crate::tasks::Proposal;
use crate::types::{Detection, Exemplar, ExemplarPicture, FinerLabel, Prompt, WeakDetection};

/// Finds one box of each prompt, and proposes the three stripes where it can.
struct Stripes {
    info: ModelInfo,
    can_propose: bool,
    regions: usize,
    prompts: Option<Arc<PromptSet>>,
}

impl Stripes {
    fn boxed(can_propose: bool) -> Box<dyn Detector> {
        let info = ModelInfo {
            name: "stripes".to_owned(),
            architecture: "test".to_owned(),
            device: "cpu".to_owned(),
            dtype: "f32".to_owned(),
            input_size: (1, 1),
            parameters: 5,
            useful_batch: 2,
        };
        Box::new(Self { info, can_propose, regions: 0, prompts: None })
    }
}

impl Detector for Stripes {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn set_prompts(&mut self, prompts: Arc<PromptSet>) -> Result<(), PromptSetRefused> {
        if !(prompts.prompts.is_empty() && self.regions > 0) {
            prompts.check()?;
        }
        let problems = prompts.problems_without_bank();
        if !problems.is_empty() {
            return Err(PromptSetRefused { problems });
        }
        self.prompts = Some(prompts);
        Ok(())
    }

    fn set_rules(&mut self, _rules: DetectionRules) {}

    fn set_proposals(&mut self, most: usize) -> bool {
        self.regions = most;
        self.can_propose
    }

    fn detect(&mut self, images: &[Arc<RgbImage>]) -> Result<Vec<ImageDetections>, DetectError> {
        let prompts = self.prompts.as_ref().ok_or(DetectError::NoPrompts)?.prompts.len();
        let one = |prompt: usize| Detection {
            prompt,
            score: 0.9 - 0.1 * prompt as f32,
            objectness: None,
            box_in_source_px: stripe(prompt),
            mask: None,
            finer: Vec::new(),
            explanation: None,
        };
        let weak = |prompt| WeakDetection { prompt, score: 0.3, box_in_source_px: stripe(prompt) };
        let region = |at: usize| Proposal { box_in_source_px: stripe(at), score: 0.5 };
        let found = |_: &Arc<RgbImage>| ImageDetections {
            detections: (0..prompts).map(one).collect(),
            weak: (0..prompts).map(weak).collect(),
            best_scores: (0..prompts).map(|prompt| 0.9 - 0.1 * prompt as f32).collect(),
            proposals: (0..self.regions.min(3)).map(region).collect(),
            ..ImageDetections::default()
        };
        Ok(images.iter().map(found).collect())
    }
}

const RULES: DetectionRules = DetectionRules {
    nms_iou: None,
    nms_across_prompts: false,
    max_detections: 100,
    names_per_box: 1,
};

fn grounding() -> GroundingDetector {
    let grounder = taught(GrounderOptions::default());
    GroundingDetector::new(Stripes::boxed(true), grounder, "banks/colours".into(), RULES, 10, None)
        .unwrap()
}

fn set(version: u64, prompts: Vec<Prompt>) -> Arc<PromptSet> {
    Arc::new(PromptSet { version, prompts, default_threshold: 0.5 })
}

fn of_bank(text: &str) -> Prompt {
    Prompt { asif: true, ..Prompt::from_text(text) }
}

fn look(detector: &mut GroundingDetector) -> ImageDetections {
    detector.detect(&[Arc::new(stripes())]).unwrap().remove(0)
}

fn prompts_of(found: &ImageDetections) -> Vec<usize> {
    found.detections.iter().map(|found| found.prompt).collect()
}

#[test]
fn both_are_told_as_of_one_set() {
    let mut detector = grounding();
    assert_eq!(detector.info().name, "stripes + colours");
    let prompts =
        vec![of_bank("bb"), Prompt::from_text("x"), of_bank("rr"), Prompt::from_text("y")];
    detector.set_prompts(set(3, prompts)).unwrap();
    let found = look(&mut detector);
    // Those of the bank have scores near 1, the others 0.9 and 0.8.
    let mut prompts = prompts_of(&found);
    assert!(found.detections.is_sorted_by(|a, b| a.score >= b.score));
    prompts[..2].sort_unstable();
    assert_eq!(prompts, [0, 2, 1, 3]);
    let weak: Vec<_> = found.weak.iter().map(|weak| weak.prompt).collect();
    assert_eq!(weak, [1, 3]);
    for detection in &found.detections {
        let (area, explained) = match detection.prompt {
            0 => (stripe(2), true),
            1 => (stripe(0), false),
            2 => (stripe(0), true),
            _ => (stripe(1), false),
        };
        assert_eq!(detection.box_in_source_px, area);
        assert_eq!(detection.explanation.is_some(), explained);
    }
    let blue = found.detections.iter().find(|found| found.prompt == 0).unwrap();
    let why = blue.explanation.as_ref().unwrap();
    assert_eq!((&*why.text, &*why.evidence[0].caption), ("bb", "bbb"));
    assert_eq!(why.evidence[0].weights.pair, PairId(3));
    assert_eq!(found.best_scores.len(), 4);
    assert_eq!(found.best_scores[1], 0.9);
    assert!(found.best_scores[0] > 0.9 && found.best_scores[2] > 0.9);
    assert!(found.proposals.is_empty());
    assert!(found.timings.iter().any(|(stage, _)| stage == Stage::Ground));
}

#[test]
fn a_set_may_be_for_the_bank_alone_or_for_the_detector_alone() {
    let mut detector = grounding();
    detector.set_prompts(set(1, vec![of_bank("gg")])).unwrap();
    let found = look(&mut detector);
    assert_eq!(prompts_of(&found), [0]);
    assert_eq!(found.detections[0].box_in_source_px, stripe(1));
    detector.set_prompts(set(2, vec![Prompt::from_text("x")])).unwrap();
    let found = look(&mut detector);
    assert_eq!((prompts_of(&found), found.best_scores.as_slice()), (vec![0], &[0.9][..]));
    // No region is asked for that nobody looks up.
    assert!(!found.timings.iter().any(|(stage, _)| stage == Stage::Ground));
    detector.set_prompts(set(3, vec![of_bank("gg")])).unwrap();
    assert_eq!(prompts_of(&look(&mut detector)), [0]);
}

#[test]
fn rules_hold_for_both() {
    let mut detector = grounding();
    detector.set_prompts(set(1, vec![Prompt::from_text("x"), of_bank("rr")])).unwrap();
    detector.set_rules(DetectionRules { max_detections: 1, ..RULES });
    let found = look(&mut detector);
    assert_eq!(prompts_of(&found), [1]);
    // Both have found the first stripe, and one of them keeps it.
    for (nms_across_prompts, count) in [(false, 2), (true, 1)] {
        let nms_iou = Some(0.5);
        detector.set_rules(DetectionRules { nms_iou, nms_across_prompts, ..RULES });
        let found = look(&mut detector);
        let first = found.detections.iter().filter(|one| one.box_in_source_px == stripe(0));
        assert_eq!(first.count(), count);
    }
    let mixed = || vec![of_bank("rg"), of_bank("rrg")];
    detector.set_prompts(set(2, mixed())).unwrap();
    detector.set_rules(DetectionRules { names_per_box: 1, ..RULES });
    let one = look(&mut detector).detections.len();
    detector.set_rules(DetectionRules { names_per_box: 2, ..RULES });
    assert!(look(&mut detector).detections.len() > one);
}

#[test]
fn a_set_is_refused_as_a_whole_and_the_one_before_stays() {
    let mut detector = grounding();
    detector.set_prompts(set(1, vec![of_bank("gg"), Prompt::from_text("x")])).unwrap();
    let before = prompts_of(&look(&mut detector));
    let picture = ExemplarPicture { image: Arc::new(stripes()), encoded: Vec::new(), file: None };
    let shown = Exemplar { picture: Arc::new(picture), box_in_source_px: None };
    let finer = ["a", "b"].map(FinerLabel::from_text).to_vec();
    for (prompts, reasons) in [
        (vec![of_bank("more than twenty letters")], vec!["has 24 tokens"]),
        (
            vec![of_bank("more than twenty letters"), of_bank("gg"), of_bank("gg")],
            vec!["the name is used twice", "has 24 tokens"],
        ),
        (vec![Prompt { texts: Vec::new(), ..of_bank("gg") }], vec!["no text"]),
        (vec![Prompt { exemplars: vec![shown], ..of_bank("gg") }], vec!["exemplar"]),
        (vec![Prompt { finer, ..of_bank("gg") }], vec!["no classifier is configured"]),
        (vec![of_bank("gg"), Prompt::from_text(" ")], vec!["the prompt is empty"]),
        (Vec::new(), vec!["the set holds no prompt"]),
    ] {
        let refused = detector.set_prompts(set(2, prompts)).unwrap_err();
        assert_eq!(refused.problems.len(), reasons.len(), "{refused}");
        for (problem, reason) in refused.problems.iter().zip(reasons) {
            assert!(problem.reason.contains(reason), "{refused}");
        }
        assert_eq!(prompts_of(&look(&mut detector)), before);
    }
}

#[test]
fn what_proposes_nothing_cannot_be_grounded() {
    let grounder = taught(GrounderOptions::default());
    let refused = GroundingDetector::new(
        Stripes::boxed(false),
        grounder,
        "banks/colours".into(),
        RULES,
        10,
        None,
    );
    let text = refused.err().unwrap().to_string();
    assert!(text.contains("found stripes (test)"), "{text}");
}
