//! Prompts that are changed while the pipeline looks at frames with a real network.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use image::RgbImage;
use owlet::detect::OwlDetector;
use owlet::pipeline::{Incoming, Outcome, Pipeline, PipelineOptions, Policy, Posted};
use owlet::tasks::{
    DetectError, DetectionRules, Detector, ImageDetections, ModelInfo, PromptsAhead,
};
use owlet::types::{
    Exemplar, Frame, FrameHeader, Prompt, PromptSet, PromptSetRefused, Stage, StageTimings, Stamp,
    StampSource,
};
use owlet::vision::exemplar::picture_of_image;

use super::{detector, set, texts};
use crate::golden_preprocess::picture;

/// Far more than the small network needs; a test that waits so long has failed.
const TOO_LONG: Duration = Duration::from_secs(60);

/// What happened, in order.
type Events = Arc<Mutex<Vec<String>>>;

/// A detector that says what it does. Its first frame is not done before a set was encoded.
struct Watched {
    detector: OwlDetector,
    events: Events,
    began: Option<Sender<()>>,
    encoded: Receiver<()>,
    tell_encoded: Sender<()>,
}

fn tell(events: &Events, what: String) {
    events.lock().unwrap().push(what);
}

impl Detector for Watched {
    fn info(&self) -> &ModelInfo {
        self.detector.info()
    }

    fn set_prompts(&mut self, prompts: Arc<PromptSet>) -> Result<(), PromptSetRefused> {
        tell(&self.events, format!("version {} is put into use", prompts.version));
        self.detector.set_prompts(prompts)
    }

    fn prompts_ahead(&self) -> Option<Arc<dyn PromptsAhead>> {
        Some(Arc::new(WatchedAhead {
            ahead: self.detector.prompts_ahead()?,
            events: Arc::clone(&self.events),
            tell_encoded: Mutex::new(self.tell_encoded.clone()),
        }))
    }

    fn set_rules(&mut self, rules: DetectionRules) {
        self.detector.set_rules(rules);
    }

    fn detect(&mut self, images: &[Arc<RgbImage>]) -> Result<Vec<ImageDetections>, DetectError> {
        tell(&self.events, "a frame begins".to_owned());
        if let Some(began) = self.began.take() {
            began.send(()).unwrap();
            // Nothing else runs on this thread until the set was encoded.
            self.encoded.recv_timeout(TOO_LONG).expect("it is encoded while a frame is under way");
        }
        let found = self.detector.detect(images);
        tell(&self.events, "it is done".to_owned());
        found
    }
}

struct WatchedAhead {
    ahead: Arc<dyn PromptsAhead>,
    events: Events,
    tell_encoded: Mutex<Sender<()>>,
}

impl PromptsAhead for WatchedAhead {
    fn encode(&self, prompts: &PromptSet) {
        self.ahead.encode(prompts);
        tell(&self.events, format!("version {} is encoded", prompts.version));
        if prompts.exemplars().next().is_some() {
            self.tell_encoded.lock().unwrap().send(()).unwrap();
        }
    }
}

fn frame(stamp: i64) -> Incoming {
    let header = FrameHeader { stamp: Stamp(stamp), frame_id: "optical".into() };
    let (stamp_from, received) = (StampSource::Camera, Stamp(stamp));
    let image = Arc::new(picture("landscape"));
    let frame = Frame { camera: "front".into(), header, stamp_from, received, image };
    Incoming { frame, timings: StageTimings::default() }
}

#[test]
fn exemplars_are_encoded_beside_the_frame_under_way_and_used_for_the_next() {
    let events = Events::default();
    let (began, frame_began) = channel();
    let (tell_encoded, encoded) = channel();
    let watched = Watched {
        detector: detector("owlvit_tiny"),
        events: Arc::clone(&events),
        began: Some(began),
        encoded,
        tell_encoded,
    };
    let options = PipelineOptions {
        cameras: vec!["front".into()],
        policy: Policy::Block,
        max_batch: 1,
        results_capacity: 4,
    };
    let make = move || Ok::<_, String>(Box::new(watched) as Box<dyn Detector>);
    let (pipeline, mut results) = Pipeline::start(options, make).unwrap();
    pipeline.set_prompts(texts(&["a cat"], 0.0)).unwrap();
    let camera = pipeline.camera("front").unwrap();
    assert_eq!(pipeline.post(camera, frame(1)), Posted::Stored);
    frame_began.recv_timeout(TOO_LONG).unwrap();

    let shown = Arc::new(picture_of_image(Arc::new(picture("square"))).unwrap());
    let exemplars = vec![Exemplar { picture: shown, box_in_source_px: None }];
    let gadget = Prompt { name: "gadget".to_owned(), exemplars, ..Prompt::default() };
    let gadget = PromptSet { version: 2, ..(*set(vec![gadget], 0.0)).clone() };
    pipeline.set_prompts(Arc::new(gadget)).unwrap();
    assert_eq!(pipeline.post(camera, frame(2)), Posted::Stored);

    let versions = [(); 2].map(|()| match results.blocking_recv().unwrap() {
        Outcome::Found { detections, .. } => {
            assert!(detections.timings.get(Stage::ImageTower).is_some());
            detections.prompts.version
        }
        Outcome::Failed(failure) => panic!("{}", failure.reason),
    });
    assert_eq!(versions, [1, 2]);
    let events = events.lock().unwrap();
    assert_eq!(
        *events,
        [
            "version 1 is encoded",
            "version 1 is put into use",
            "a frame begins",
            "version 2 is encoded",
            "it is done",
            "version 2 is put into use",
            "a frame begins",
            "it is done",
        ]
    );
}
