//! What is managed: the model with its threads, and the transport's subscriptions.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use image::{Rgb, RgbImage};

use super::super::lifecycle::{Managed, NotDone};
use super::super::{Node, NodeOptions, SpaceOptions, Tuning};
use super::Shared;
use crate::config::Config;
use crate::pipeline::{
    Incoming, Outcome, Pipeline, PipelineOptions, Policy, SetPromptsError, StartError,
};
use crate::spatial::SpatialSettings;
use crate::tasks::{DetectionRules, Detector};
use crate::transport::live::{NodeInput, NodeOutput};
use crate::types::{Frame, FrameHeader, PromptSet, StageTimings, Stamp, StampSource};

/// Results that may wait to be sent before inference waits.
const RESULTS_CAPACITY: usize = 8;
/// How long the threads may take to end when the model is to be freed: a frame in flight is waited
/// for, on a slow machine with a large model.
const FREE_PATIENCE: Duration = Duration::from_secs(60);

/// Loads the model that a configuration asks for. Called on the thread that is to own it.
pub type LoadModel = Arc<dyn Fn(&Config) -> Result<Box<dyn Detector>, NotDone> + Send + Sync>;

pub(super) struct ManagedModel {
    pub(super) shared: Arc<Shared>,
    load: LoadModel,
    /// The version of the newest prompt set of models that were freed: versions never come twice.
    last_version: u64,
}

impl ManagedModel {
    pub(super) fn new(shared: Arc<Shared>, load: LoadModel) -> Self {
        Self { shared, load, last_version: 0 }
    }

    fn node_options(&self, config: &Config) -> Result<NodeOptions, NotDone> {
        let prompts = config.read_prompts().map_err(|error| NotDone::Refused(error.to_string()))?;
        let set = PromptSet {
            version: self.last_version + 1,
            prompts,
            default_threshold: config.threshold,
        };
        Ok(NodeOptions {
            name: config.node.clone(),
            prompts: (!set.prompts.is_empty()).then(|| Arc::new(set)),
            threshold: config.threshold,
            tracking: config.tracking,
            polygons: config.polygons,
            space: SpaceOptions {
                mode: config.locate,
                clouds: config.clouds,
                settings: SpatialSettings::of(config)
                    .map_err(|error| NotDone::Refused(error.to_string()))?,
            },
            tuning: tuning(config),
        })
    }

    /// Stops the model and frees it: whether it is gone.
    fn free(&mut self) -> bool {
        self.shared.transport.deactivate();
        let Some(running) = self.shared.set_running(None) else { return true };
        self.last_version = self.last_version.max(running.node().prompts.in_use().version);
        if self.shared.is_ending.load(Ordering::Acquire) {
            // Nobody waits for a frame in flight; dropping the pipeline would.
            let _ = running.stop(Duration::ZERO);
            std::mem::forget(running);
            return true;
        }
        let is_gone = running.stop(FREE_PATIENCE);
        if !is_gone {
            std::mem::forget(running);
        }
        is_gone
    }
}

impl Managed for ManagedModel {
    fn configure(&mut self) -> Result<(), NotDone> {
        let config = self.shared.config().clone();
        let options = self.node_options(&config)?;
        let pipeline_options = PipelineOptions {
            cameras: Vec::new(),
            policy: Policy::LatestWins,
            max_batch: config.max_batch,
            results_capacity: RESULTS_CAPACITY,
        };
        let load = Arc::clone(&self.load);
        let (pipeline, results) = Pipeline::start(pipeline_options, move || load(&config))
            .map_err(|error| match error {
                StartError::Detector(why) => why,
                error @ StartError::Thread { .. } => NotDone::Failed(error.to_string()),
            })?;
        if let Some(prompts) = &options.prompts {
            pipeline.set_prompts(Arc::clone(prompts)).map_err(|error| match error {
                SetPromptsError::Refused(refused) => NotDone::Refused(refused.to_string()),
                SetPromptsError::Closed(closed) => NotDone::Failed(closed.to_string()),
            })?;
            warm_up(&pipeline)?;
        }
        pipeline.pause().map_err(|closed| NotDone::Failed(closed.to_string()))?;
        let output = Arc::clone(&self.shared.transport) as Arc<dyn NodeOutput>;
        let node = Node::new(options, pipeline, output, Arc::clone(&self.shared.clock));
        let running = node.start(results).map_err(|error| NotDone::Failed(error.to_string()))?;
        // Where there are none that is told, too; before anybody can set others.
        self.shared.transport.prompts_in_use(&node.prompts(), node.model());
        self.shared.set_running(Some(Arc::new(running)));
        self.shared.put_waiting_prompts();
        Ok(())
    }

    fn activate(&mut self) -> Result<(), NotDone> {
        let Some(running) = self.shared.running() else {
            return Err(NotDone::Broken("there is no model".to_owned()));
        };
        running.node().resume();
        if let Err(error) = self.shared.transport.activate() {
            self.shared.transport.deactivate();
            running.node().pause().map_err(|closed| NotDone::Broken(closed.to_string()))?;
            return Err(NotDone::Failed(error.to_string()));
        }
        Ok(())
    }

    fn deactivate(&mut self) -> Result<(), NotDone> {
        self.shared.transport.deactivate();
        match self.shared.running() {
            Some(running) if !self.shared.is_ending.load(Ordering::Acquire) => {
                running.node().pause().map_err(|closed| NotDone::Broken(closed.to_string()))
            }
            _ => Ok(()),
        }
    }

    fn clean_up(&mut self) -> Result<(), NotDone> {
        match self.free() {
            true => Ok(()),
            false => {
                let patience = FREE_PATIENCE.as_secs();
                Err(NotDone::Broken(format!("the model has not stopped within {patience} s")))
            }
        }
    }

    fn shut_down(&mut self) {
        self.free();
    }

    fn recover(&mut self) {
        self.free();
    }
}

pub(super) fn tuning(config: &Config) -> Tuning {
    Tuning {
        overlay: config.overlay,
        jpeg_quality: config.jpeg_quality,
        max_rate_hz: config.max_rate_hz,
        pick_prompt: config.pick_prompt.as_deref().map(Into::into),
    }
}

pub(super) fn rules(config: &Config) -> DetectionRules {
    DetectionRules {
        nms_iou: config.nms_iou,
        nms_across_prompts: config.nms_across_prompts,
        max_detections: config.max_detections,
        names_per_box: config.names_per_box,
    }
}

/// Has one grey picture looked at: kernels are chosen and memory is taken now, not when the first
/// image comes, and a model that does not fit the device is known now.
fn warm_up(pipeline: &Pipeline) -> Result<(), NotDone> {
    let (height, width) = pipeline.info().input_size;
    let image = RgbImage::from_pixel(width.max(1), height.max(1), Rgb([128; 3]));
    let frame = Frame {
        camera: "warm-up".into(),
        header: FrameHeader { stamp: Stamp(0), frame_id: "".into() },
        stamp_from: StampSource::Arrival,
        received: Stamp(0),
        image: Arc::new(image),
    };
    let (answer, answered) = std::sync::mpsc::channel();
    let incoming = Incoming { frame, timings: StageTimings::default() };
    pipeline.request(incoming, None, move |outcome| {
        // Nobody waits any more where the lifecycle's thread has gone.
        let _ = answer.send(outcome);
    });
    match answered.recv() {
        Ok(Outcome::Found { .. }) => Ok(()),
        Ok(Outcome::Failed(failure)) => {
            Err(NotDone::Failed(format!("the model's first pass fails: {}", failure.reason)))
        }
        Err(_) => Err(NotDone::Failed("the model ended in its first pass".to_owned())),
    }
}
