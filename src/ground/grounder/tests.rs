//! Regions of a frame by encoders whose vectors one can tell by hand.

use super::by_hand::{Colours, Letters, id, info, stripe, stripes, taught};
use super::*;
use crate::ground::asif::AsifSettings;
use crate::tasks::EncodeError;
use crate::types::{Prompt, PromptSet};

fn prompt(number: usize, texts: &[&str]) -> GroundingPrompt {
    GroundingPrompt {
        prompt: number,
        name: format!("prompt {number}"),
        queries: texts
            .iter()
            .map(|text| GroundingQuery {
                text: (*text).to_owned(),
                sentences: vec![(*text).to_owned()],
            })
            .collect(),
        threshold: 0.5,
        negative: false,
    }
}

fn put(grounder: &mut Grounder, prompts: Vec<GroundingPrompt>) -> Result<(), PromptSetRefused> {
    let encoded = grounder.encode(prompts)?;
    grounder.set_prompts(encoded);
    Ok(())
}

fn names(found: &GroundedImage) -> Vec<usize> {
    found.found.iter().map(|one| one.prompt).collect()
}

#[test]
fn what_was_shown_is_found_and_says_why() {
    let mut grounder = taught(GrounderOptions::default());
    put(&mut grounder, vec![prompt(7, &["bb"]), prompt(4, &["gb", "rr"])]).unwrap();
    let outside = PixelBox::from_corners([400.0, 0.0, 500.0, 50.0]);
    let regions = [stripe(0), stripe(1), stripe(2), outside];
    let found = grounder.ground(&stripes(), &regions).unwrap();
    assert_eq!(found.skipped_regions, 1);
    let mut sorted = names(&found);
    sorted.sort_unstable();
    assert_eq!(sorted[..1], [4]);
    assert!(sorted.contains(&7));
    let blue = found.found.iter().find(|one| one.prompt == 7).unwrap();
    assert_eq!(blue.box_in_source_px, stripe(2));
    assert!(blue.score > 0.9 && blue.score <= 1.0);
    let why = blue.explanation.as_ref().unwrap();
    assert_eq!((&*why.text, &*why.evidence[0].caption), ("bb", "bbb"));
    assert_eq!(why.evidence[0].weights.pair, PairId(3));
    assert_eq!(why.pairs, why.evidence.len());
    // All pairs are listed: their products are the score, but for rounding in another order.
    let sum: f32 = why.evidence.iter().map(|one| one.weights.product).sum();
    assert!((sum - blue.score).abs() < 1e-6);
    assert!(found.best_scores.iter().all(|score| *score > 0.5));
    assert!(found.found.is_sorted_by(|a, b| a.score >= b.score));
}

#[test]
fn a_distractor_takes_what_it_explains_best() {
    let mut grounder = taught(GrounderOptions { names_per_box: 3, ..GrounderOptions::default() });
    let red = GroundingPrompt { negative: true, ..prompt(1, &["rr"]) };
    let mixed = GroundingPrompt { threshold: 0.1, ..prompt(0, &["rg"]) };
    put(&mut grounder, vec![mixed, red]).unwrap();
    let found = grounder.ground(&stripes(), &[stripe(0), stripe(1)]).unwrap();
    assert_eq!(names(&found), [0]);
    assert_eq!(found.found[0].box_in_source_px, stripe(1));
    assert!(found.best_scores[1] > 0.9, "{:?}", found.best_scores);
}

#[test]
fn boxes_of_one_prompt_suppress_each_other() {
    let near = PixelBox::from_corners([22.0, 10.0, 82.0, 90.0]);
    let regions = [stripe(0), near];
    for (nms_iou, count) in [(Some(0.5), 1), (None, 2)] {
        let mut grounder = taught(GrounderOptions { nms_iou, ..GrounderOptions::default() });
        put(&mut grounder, vec![prompt(0, &["rr"])]).unwrap();
        assert_eq!(grounder.ground(&stripes(), &regions).unwrap().found.len(), count);
    }
    let mut grounder =
        taught(GrounderOptions { nms_iou: None, max_detections: 1, ..GrounderOptions::default() });
    put(&mut grounder, vec![prompt(0, &["rr"])]).unwrap();
    assert_eq!(grounder.ground(&stripes(), &regions).unwrap().found.len(), 1);
}

#[test]
fn bad_prompts_are_refused_with_every_reason_and_those_before_stay() {
    let mut grounder = taught(GrounderOptions::default());
    put(&mut grounder, vec![prompt(0, &["rr"])]).unwrap();
    let bad = vec![
        prompt(0, &[]),
        prompt(1, &["rr", ""]),
        prompt(2, &["a text of more than twenty letters"]),
        prompt(3, &["gg"]),
    ];
    let refused = put(&mut grounder, bad).unwrap_err();
    assert_eq!(refused.problems.len(), 3);
    let text = refused.to_string();
    for part in ["no text", "is empty", "has 34 tokens", "takes 20"] {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
    let many = vec![prompt(0, &["r"; 10_000])];
    assert!(put(&mut grounder, many).unwrap_err().to_string().contains("10000 texts"));
    assert_eq!(grounder.prompts(), [prompt(0, &["rr"])]);
    assert_eq!(names(&grounder.ground(&stripes(), &[stripe(0)]).unwrap()), [0]);
}

/// Another thread describes the texts of a set to come. What the bank said before a change is not
/// used after it.
#[test]
fn texts_are_described_ahead_and_anew_when_the_bank_changes() {
    let set = PromptSet {
        version: 2,
        prompts: ["bb", "gb"].map(|text| Prompt { asif: true, ..Prompt::from_text(text) }).into(),
        default_threshold: 0.5,
    };
    let mut grounder = taught(GrounderOptions::default());
    let ahead = grounder.prompts_ahead();
    assert_eq!(grounder.sentences.queries_described(), 0);
    std::thread::scope(|scope| scope.spawn(|| ahead.encode(&set)).join()).unwrap();
    assert_eq!(grounder.sentences.queries_described(), 2);
    let put_set = |grounder: &mut Grounder| {
        put(grounder, GroundingPrompt::of_set(&set)).unwrap();
        let found = grounder.ground(&stripes(), &[stripe(0), stripe(1), stripe(2)]).unwrap();
        found.best_scores
    };
    let before = put_set(&mut grounder);
    assert_eq!(grounder.sentences.queries_described(), 2);

    let origin = |number: usize, caption: &str| PairOrigin {
        caption: caption.to_owned(),
        source: "shown".into(),
        topic: None,
        stamp: None,
        box_in_source_px: Some(stripe(number)),
    };
    let pair = grounder.teach(&stripes(), origin(0, "bbbbb")).unwrap();
    assert_eq!(grounder.sentences.queries_described(), 0);
    ahead.encode(&set);
    let taught_more = put_set(&mut grounder);
    assert_ne!(taught_more, before);
    // As by one that never looked ahead.
    let mut fresh = taught(GrounderOptions::default());
    fresh.teach(&stripes(), origin(0, "bbbbb")).unwrap();
    assert_eq!(put_set(&mut fresh), taught_more);

    assert_eq!(grounder.forget(&[pair]).unwrap(), 1);
    assert_eq!(put_set(&mut grounder), before);
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
    let far = grounder.teach(&stripes(), origin("r", [900.0, 0.0, 950.0, 9.0])).unwrap_err();
    assert!(far.to_string().contains("no part of an image of 300x100"), "{far}");
    let long = origin("a text of more than twenty letters", [0.0, 0.0, 9.0, 9.0]);
    assert!(matches!(
        grounder.teach(&stripes(), long),
        Err(GrounderError::Caption(EncodeError::TooLong { .. }))
    ));
    assert_eq!(grounder.asif().bank().len(), 3);
}

/// A region is looked at with the surroundings that the pairs of the bank have.
#[test]
fn the_margin_is_that_of_the_bank() {
    let bank_of = |margin: f32| {
        let mut bank = Bank::new(id("colours"), id("letters"), AsifSettings::default()).unwrap();
        bank.set_margin(margin).unwrap();
        by_hand::with_bank(bank, GrounderOptions::default())
    };
    // The middle of the green stripe; with four times its width around it all stripes.
    let area = PixelBox::from_corners([130.0, 10.0, 170.0, 90.0]);
    let origin = PairOrigin {
        caption: "g".to_owned(),
        source: "shown".into(),
        topic: None,
        stamp: None,
        box_in_source_px: Some(area),
    };
    let [narrow, wide] = [0.0, 4.0].map(|margin| {
        let mut grounder = bank_of(margin);
        let pair = grounder.teach(&stripes(), origin.clone()).unwrap();
        grounder.asif().bank().vector(Side::Image, pair).unwrap().unwrap()
    });
    // 10, 240 and 10 of each pixel, and equal parts of all three.
    assert!((narrow[1] - 0.998).abs() < 1e-3, "{narrow:?}");
    assert!(wide.iter().all(|part| (part - 3.0f32.sqrt().recip()).abs() < 1e-3), "{wide:?}");
}

#[test]
fn encoders_of_another_bank_are_refused() {
    let bank = Bank::new(id("colours"), id("letters"), AsifSettings::default()).unwrap();
    let image = Identified { encoder: Box::new(Colours(info())) as Box<_>, id: id("other") };
    let text = Identified { encoder: Box::new(Letters(info())) as Box<_>, id: id("letters") };
    let refused = Grounder::new(bank, image, text, GrounderOptions::default()).unwrap_err();
    assert!(matches!(&refused, BankError::OtherEncoders { mismatches } if mismatches.len() == 1));
}
