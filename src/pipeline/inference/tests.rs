mod mid_frame;

use std::sync::atomic::{AtomicUsize, Ordering};

use image::RgbImage;

use super::*;
use crate::types::{
    Detection, FrameHeader, PixelBox, Prompt, Stage, StageTimings, Stamp, StampSource,
};

/// Finds a box that covers the image, for the first prompt: one, or as many as the rules allow; fails on a 13 px wide image and
/// panics on a 14 px wide one.
struct WholeImage {
    info: ModelInfo,
    passes: Arc<AtomicUsize>,
    has_prompts: bool,
    rules: Option<DetectionRules>,
}

impl Detector for WholeImage {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn set_prompts(&mut self, prompts: Arc<PromptSet>) -> Result<(), PromptSetRefused> {
        prompts.check()?;
        self.has_prompts = true;
        Ok(())
    }

    fn set_rules(&mut self, rules: DetectionRules) {
        self.rules = Some(rules);
    }

    fn detect(&mut self, images: &[Arc<RgbImage>]) -> Result<Vec<ImageDetections>, DetectError> {
        if !self.has_prompts {
            return Err(DetectError::NoPrompts);
        }
        self.passes.fetch_add(1, Ordering::Relaxed);
        images
            .iter()
            .enumerate()
            .map(|(index, image)| match image.width() {
                13 => Err(DetectError::EmptyImage { index, width: 13, height: image.height() }),
                14 => panic!("an operator failed"),
                width => Ok(ImageDetections {
                    weak: Vec::new(),
                    has_masks: false,
                    detections: vec![
                        Detection {
                            prompt: 0,
                            score: 0.5,
                            objectness: None,
                            box_in_source_px: PixelBox::from_corners([0.0, 0.0, width as f32, 1.0]),
                            mask: None,
                            finer: Vec::new(),
                            explanation: None,
                        };
                        self.rules.map_or(1, |rules| rules.max_detections)
                    ],
                    best_scores: vec![0.5],
                    proposals: Vec::new(),
                    timings: StageTimings::default(),
                }),
            })
            .collect()
    }
}

fn start(policy: Policy) -> (Pipeline, mpsc::Receiver<Outcome>, Arc<AtomicUsize>) {
    let passes = Arc::new(AtomicUsize::new(0));
    let detector = WholeImage {
        info: ModelInfo {
            name: "whole-image".to_owned(),
            architecture: "test".to_owned(),
            device: "cpu".to_owned(),
            dtype: "f32".to_owned(),
            input_size: (1, 1),
            parameters: 0,
            useful_batch: 16,
        },
        passes: Arc::clone(&passes),
        has_prompts: false,
        rules: None,
    };
    let options = PipelineOptions {
        cameras: vec!["/left".into(), "/right".into()],
        policy,
        max_batch: 2,
        results_capacity: 2,
    };
    let (pipeline, results) =
        Pipeline::start(options, move || Ok::<_, String>(Box::new(detector) as Box<dyn Detector>))
            .unwrap();
    (pipeline, results, passes)
}

fn frame(camera: &str, stamp: i64, width: u32) -> Incoming {
    let header = FrameHeader { stamp: Stamp(stamp), frame_id: "optical".into() };
    let image = Arc::new(RgbImage::new(width, 1));
    let (stamp_from, received) = (StampSource::Camera, Stamp(stamp));
    let frame = Frame { camera: camera.into(), header, stamp_from, received, image };
    Incoming { frame, timings: StageTimings::default() }
}

fn prompts(version: u64, texts: &[&str]) -> Arc<PromptSet> {
    let prompts = texts.iter().map(|text| Prompt::from_text(text)).collect();
    Arc::new(PromptSet { version, prompts, default_threshold: 0.1 })
}

#[test]
fn frames_come_out_in_order_with_header_version_and_wait() {
    let (pipeline, mut results, passes) = start(Policy::Block);
    pipeline.set_prompts(prompts(7, &["a cat"])).unwrap();
    let left = pipeline.camera("/left").unwrap();
    let right = pipeline.camera("/right").unwrap();
    assert_eq!(pipeline.camera("/nowhere"), None);
    let poster = thread::spawn(move || {
        for stamp in 0..5 {
            let (camera, name) = if stamp == 1 { (right, "/right") } else { (left, "/left") };
            assert_eq!(pipeline.post(camera, frame(name, stamp, 3)), Posted::Stored);
        }
        pipeline.close();
        pipeline
    });
    let mut stamps = Vec::new();
    while let Some(outcome) = results.blocking_recv() {
        let Outcome::Found { detections, frame, best_scores } = outcome else {
            panic!("a frame failed")
        };
        assert_eq!(best_scores, [0.5]);
        assert_eq!(detections.header, frame.header);
        assert_eq!(detections.prompts.version, 7);
        assert_eq!((detections.width, detections.height), (3, 1));
        assert!(detections.timings.get(Stage::Wait).is_some());
        stamps.push(detections.header.stamp.0);
    }
    assert_eq!(stamps, [0, 1, 2, 3, 4]);
    assert_eq!(passes.load(Ordering::Relaxed), 3, "two frames share a pass");
    let counts = poster.join().unwrap().counts(left);
    assert_eq!(counts, CameraCounts { received: 4, dropped: 0, taken: 4 });
}

#[test]
fn a_frame_that_fails_or_panics_is_reported_and_the_next_one_is_seen() {
    let (pipeline, mut results, _) = start(Policy::LatestWins);
    let left = pipeline.camera("/left").unwrap();
    let mut reason_of = |width| {
        pipeline.post(left, frame("/left", 1, width));
        match results.blocking_recv().unwrap() {
            Outcome::Failed(failure) => Some(failure.reason.to_string()),
            Outcome::Found { .. } => None,
        }
    };
    assert_eq!(reason_of(3).as_deref(), Some("no prompts are set: nothing to look for"));
    pipeline.set_prompts(prompts(1, &["a cat"])).unwrap();
    assert!(reason_of(13).unwrap().contains("13x1"));
    assert!(reason_of(14).unwrap().contains("an operator failed"));
    assert_eq!(reason_of(3), None);
}

#[test]
fn a_bad_frame_does_not_take_its_neighbours_in_the_batch_down() {
    let (pipeline, mut results, _) = start(Policy::Block);
    pipeline.set_prompts(prompts(1, &["a cat"])).unwrap();
    pipeline.post(pipeline.camera("/left").unwrap(), frame("/left", 1, 3));
    pipeline.post(pipeline.camera("/right").unwrap(), frame("/right", 2, 13));
    assert!(matches!(results.blocking_recv(), Some(Outcome::Found { .. })));
    let Some(Outcome::Failed(failure)) = results.blocking_recv() else { panic!("no failure") };
    assert_eq!(failure.frame.header.stamp, Stamp(2));
}

#[test]
fn refused_prompts_leave_the_old_ones_in_use() {
    let (pipeline, mut results, _) = start(Policy::LatestWins);
    pipeline.set_prompts(prompts(1, &["a cat"])).unwrap();
    let refused = pipeline.set_prompts(prompts(2, &["", "a dog", "a dog"])).unwrap_err();
    assert!(matches!(refused, SetPromptsError::Refused(why) if why.problems.len() == 2));
    pipeline.post(pipeline.camera("/left").unwrap(), frame("/left", 1, 3));
    let Some(Outcome::Found { detections, .. }) = results.blocking_recv() else {
        panic!("no result")
    };
    assert_eq!(detections.prompts.version, 1);
}

#[test]
fn a_detector_that_cannot_be_made_is_an_error_and_posters_never_hang() {
    let options = PipelineOptions {
        cameras: vec!["/left".into()],
        policy: Policy::Block,
        max_batch: 1,
        results_capacity: 1,
    };
    let error = Pipeline::start(options.clone(), || Err("no weights".to_owned())).err().unwrap();
    assert_eq!(error.to_string(), "no weights");
    let panicked = Pipeline::start::<String>(options, || panic!("out of memory")).err().unwrap();
    assert!(panicked.to_string().contains("out of memory"));

    // A consumer that goes away ends the thread; a blocked poster wakes up.
    let (pipeline, results, _) = start(Policy::Block);
    pipeline.set_prompts(prompts(1, &["a cat"])).unwrap();
    drop(results);
    let left = pipeline.camera("/left").unwrap();
    let closed =
        (0..50).any(|stamp| pipeline.post(left, frame("/left", stamp, 3)) == Posted::Closed);
    assert!(closed);
    assert_eq!(
        pipeline.set_prompts(prompts(2, &["a dog"])).unwrap_err().to_string(),
        "the pipeline has ended"
    );
}

#[test]
fn a_single_frame_is_looked_at_beside_the_streams_and_a_camera_may_come_later() {
    let (pipeline, mut results, _) = start(Policy::LatestWins);
    pipeline.set_prompts(prompts(3, &["a cat"])).unwrap();
    let (sender, answers) = std::sync::mpsc::channel();
    for width in [5, 13, 14] {
        let sender = sender.clone();
        pipeline.request(frame("detect", 1, width), None, move |out| sender.send(out).unwrap());
    }
    let answers: Vec<_> = answers.iter().take(3).collect();
    let Outcome::Found { detections, .. } = &answers[0] else { panic!("it is a good frame") };
    assert_eq!((detections.width, detections.prompts.version), (5, 3));
    assert!(detections.timings.get(Stage::Wait).is_some());
    let reasons: Vec<_> = answers[1..]
        .iter()
        .map(|outcome| match outcome {
            Outcome::Failed(failure) => failure.reason.as_str(),
            Outcome::Found { .. } => panic!("it is a bad frame"),
        })
        .collect();
    assert!(reasons[0].contains("no pixels (13x1)"), "{reasons:?}");
    assert!(reasons[1].contains("an operator failed"), "{reasons:?}");

    let late = pipeline.add_camera("/late".into());
    assert_eq!(pipeline.camera("/late"), Some(late));
    pipeline.post(late, frame("/late", 2, 4));
    let Some(Outcome::Found { detections, .. }) = results.blocking_recv() else {
        panic!("a frame")
    };
    assert_eq!(&*detections.camera, "/late");
    pipeline.close();
    let (sender, answers) = std::sync::mpsc::channel();
    pipeline.request(frame("detect", 1, 5), None, move |outcome| sender.send(outcome).unwrap());
    let Ok(Outcome::Failed(failure)) = answers.recv() else { panic!("nobody is there to look") };
    assert_eq!(failure.reason, PipelineClosed.to_string());
}

#[test]
fn a_request_may_look_for_something_else_and_the_set_in_use_stays() {
    let (pipeline, mut results, _) = start(Policy::LatestWins);
    let ask = |own: Option<Arc<PromptSet>>| {
        let (answer, answered) = std::sync::mpsc::channel();
        pipeline.request(frame("/once", 1, 3), own, move |out| answer.send(out).unwrap());
        answered.recv().unwrap()
    };
    let names = |outcome: &Outcome| match outcome {
        Outcome::Found { detections, .. } => {
            (detections.prompts.version, detections.prompts.prompts[0].name.clone())
        }
        Outcome::Failed(failure) => panic!("{}", failure.reason),
    };
    let reason = |outcome: Outcome| match outcome {
        Outcome::Failed(failure) => failure.reason,
        Outcome::Found { .. } => panic!("found"),
    };
    // Before any set is in use, and none is afterwards.
    assert_eq!(names(&ask(Some(prompts(0, &["a hat"])))), (0, "a hat".to_owned()));
    assert!(reason(ask(None)).contains("no prompts are set"));
    pipeline.set_prompts(prompts(7, &["a cat"])).unwrap();
    assert_eq!(names(&ask(Some(prompts(0, &["a hat"])))), (0, "a hat".to_owned()));
    let refused = reason(ask(Some(prompts(0, &["a hat", " ", "a hat"]))));
    assert_eq!(
        refused,
        "prompt 2: the prompt is empty; prompt 3 (\"a hat\"): the name is used twice"
    );
    assert_eq!(names(&ask(None)), (7, "a cat".to_owned()));
    let left = pipeline.camera("/left").unwrap();
    pipeline.post(left, frame("/left", 2, 3));
    assert_eq!(names(&results.blocking_recv().unwrap()), (7, "a cat".to_owned()));
}

#[test]
fn while_it_is_paused_frames_are_dropped_and_commands_and_requests_are_not() {
    let (pipeline, mut results, passes) = start(Policy::LatestWins);
    pipeline.set_prompts(prompts(1, &["a cat"])).unwrap();
    let left = pipeline.camera("/left").unwrap();
    pipeline.pause().unwrap();
    assert_eq!(pipeline.post(left, frame("/left", 1, 3)), Posted::Paused);
    pipeline.set_prompts(prompts(2, &["a dog"])).unwrap();
    let (answer, answered) = std::sync::mpsc::channel();
    pipeline.request(frame("/once", 2, 3), None, move |outcome| answer.send(outcome).unwrap());
    assert!(matches!(answered.recv().unwrap(), Outcome::Found { .. }));
    assert_eq!(passes.load(Ordering::Relaxed), 1);
    pipeline.resume();
    assert_eq!(pipeline.post(left, frame("/left", 3, 3)), Posted::Stored);
    let Some(Outcome::Found { detections, .. }) = results.blocking_recv() else { panic!("found") };
    assert_eq!((detections.header.stamp, detections.prompts.version), (Stamp(3), 2));
    let counts = pipeline.counts(left);
    assert_eq!((counts.received, counts.dropped, counts.taken), (2, 1, 1));
}

#[test]
fn new_rules_hold_from_the_next_frame_on() {
    let (pipeline, mut results, _) = start(Policy::LatestWins);
    pipeline.set_prompts(prompts(1, &["a cat"])).unwrap();
    let left = pipeline.camera("/left").unwrap();
    for max_detections in [3, 7] {
        pipeline
            .set_rules(DetectionRules {
                nms_iou: None,
                nms_across_prompts: false,
                max_detections,
                names_per_box: 1,
            })
            .unwrap();
        pipeline.post(left, frame("/left", 1, 3));
        let Some(Outcome::Found { detections, .. }) = results.blocking_recv() else {
            panic!("found")
        };
        assert_eq!(detections.detections.len(), max_detections);
    }
}
