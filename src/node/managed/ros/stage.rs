//! What the tests play with: a managed node on a bus in memory, with a model that is none, and a
//! client beside it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use image::RgbImage;

use super::{Management, manage};
use crate::config::{Config, ParameterValue};
use crate::node::lifecycle::NotDone;
use crate::node::managed::ManagedNode;
use crate::tasks::{DetectError, DetectionRules, Detector, ImageDetections, ModelInfo};
use crate::transport::live::{NodeClock, NodeInput};
use crate::transport::ros::memory::{MemoryBus, MemoryLink};
use crate::transport::ros::{
    Held, Qos, RosEndpoint, RosLink, RosTransport, RosTransportOptions, RosType, ros_type,
};
use crate::types::{Detection, PixelBox, PromptProblem, PromptSet, PromptSetRefused, StageTimings};
use crate::wire::lifecycle_msgs::{
    ChangeState, ChangeStateRequest, ChangeStateResponse, GetState, GetStateRequest,
    GetStateResponse, Transition, TransitionEvent,
};
use crate::wire::rcl_interfaces::{
    Parameter, ParameterEvent, ParameterValue as Value, SetParameters, SetParametersRequest,
    SetParametersResponse, parameter_type,
};
use crate::wire::sensor_msgs::Image;
use crate::wire::std_msgs::{Header, Time};
use crate::wire::{Message, Service};

/// Nothing here takes a hundredth of it.
pub(super) const TOO_LONG: Duration = Duration::from_secs(60);

/// Longer texts are refused, as a tokenizer refuses them.
pub(super) const MAX_TEXT: usize = 40;

/// Finds in every picture one thing for each prompt, with score 0.5, as many as the rules allow.
struct Fake {
    info: ModelInfo,
    set: Option<Arc<PromptSet>>,
    rules: DetectionRules,
    seen: Arc<Seen>,
}

/// What the models of one stage were asked to do.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) passes: AtomicUsize,
    /// Models that are in memory.
    pub(super) loaded: AtomicUsize,
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.seen.loaded.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Detector for Fake {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn set_prompts(&mut self, prompts: Arc<PromptSet>) -> Result<(), PromptSetRefused> {
        prompts.check()?;
        let too_long =
            prompts.prompts.iter().filter(|p| p.texts.iter().any(|text| text.len() > MAX_TEXT));
        let problems: Vec<_> = too_long
            .map(|prompt| {
                let reason = format!("expected at most {MAX_TEXT} bytes");
                PromptProblem::of_prompt(&prompt.name, reason)
            })
            .collect();
        if !problems.is_empty() {
            return Err(PromptSetRefused { problems });
        }
        self.set = Some(prompts);
        Ok(())
    }

    fn set_rules(&mut self, rules: DetectionRules) {
        self.rules = rules;
    }

    fn detect(&mut self, images: &[Arc<RgbImage>]) -> Result<Vec<ImageDetections>, DetectError> {
        self.seen.passes.fetch_add(1, Ordering::SeqCst);
        let set = self.set.clone().ok_or(DetectError::NoPrompts)?;
        let one = |prompt| Detection {
            prompt,
            score: 0.5,
            objectness: None,
            box_in_source_px: PixelBox::from_corners([0.0, 0.0, 1.0, 1.0]),
            mask: None,
            finer: Vec::new(),
            explanation: None,
        };
        let found = (0..set.prompts.len()).filter(|prompt| set.threshold_of(*prompt) < 0.5);
        let detections: Vec<_> = found.map(one).take(self.rules.max_detections).collect();
        let best_scores = vec![0.5; set.prompts.len()];
        let timings = StageTimings::default();
        let all = |_: &Arc<RgbImage>| ImageDetections {
            weak: Vec::new(),
            has_masks: false,
            detections: detections.clone(),
            best_scores: best_scores.clone(),
            proposals: Vec::new(),
            timings: timings.clone(),
        };
        Ok(images.iter().map(all).collect())
    }
}

/// A managed node, `/cell/owlet`, and a client.
pub(super) struct Stage {
    pub(super) node: Arc<ManagedNode>,
    pub(super) client: Arc<MemoryLink>,
    pub(super) seen: Arc<Seen>,
    /// Lets the model called `slow` come in.
    pub(super) let_in: Sender<()>,
    pub(super) is_loading: Receiver<()>,
    pub(super) events: Heard,
    pub(super) parameter_events: Heard,
    _management: Management,
}

/// What came on a topic.
pub(super) struct Heard {
    messages: Receiver<Vec<u8>>,
    _held: Held,
}

impl Heard {
    pub(super) fn next(&self) -> Vec<u8> {
        self.messages.recv_timeout(TOO_LONG).expect("a message comes")
    }

    pub(super) fn all(&self) -> Vec<Vec<u8>> {
        self.messages.try_iter().collect()
    }
}

impl Stage {
    pub(super) fn new(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config { node: "cell/owlet".to_owned(), ..Config::default() };
        change(&mut config);
        let bus = MemoryBus::new().unwrap();
        let link = bus.link("cell/owlet", &[]).unwrap() as Arc<dyn RosLink>;
        let client = bus.link("client", &[]).unwrap();
        let events = hear::<TransitionEvent<'_>>(&client, "/cell/owlet/transition_event");
        let parameter_events = hear::<ParameterEvent<'_>>(&client, "/parameter_events");

        let seen = Arc::<Seen>::default();
        let (let_in, gate) = mpsc::channel();
        let (loading, is_loading) = mpsc::channel();
        let (gate, for_model) = (Mutex::new(gate), Arc::clone(&seen));
        let load = move |config: &Config| -> Result<Box<dyn Detector>, NotDone> {
            match config.model.as_str() {
                "missing" => return Err(NotDone::Refused("no model \"missing\"".to_owned())),
                "damaged" => panic!("the checkpoint is damaged"),
                "slow" => {
                    loading.send(()).unwrap();
                    gate.lock().unwrap().recv_timeout(TOO_LONG).unwrap();
                }
                _ => {}
            }
            for_model.loaded.fetch_add(1, Ordering::SeqCst);
            Ok(Box::new(Fake {
                info: info(&config.model),
                set: None,
                rules: DetectionRules {
                    nms_iou: config.nms_iou,
                    nms_across_prompts: config.nms_across_prompts,
                    max_detections: config.max_detections,
                    names_per_box: config.names_per_box,
                },
                seen: Arc::clone(&for_model),
            }))
        };
        let clock = Arc::<NodeClock>::default();
        let options = RosTransportOptions { locates: true, ..Default::default() };
        let transport =
            RosTransport::open(Arc::clone(&link), &options, Arc::clone(&clock)).unwrap();
        let node = ManagedNode::start(config, Arc::new(load), transport, clock).unwrap();
        let management = manage(&link, &node).unwrap();
        Self {
            node,
            client,
            seen,
            let_in,
            is_loading,
            events,
            parameter_events,
            _management: management,
        }
    }

    /// Asks a service of the node; the answer comes out of the receiver.
    pub(super) fn post<S: Service>(&self, name: &str, request: Vec<u8>) -> Receiver<Vec<u8>> {
        let ros_type = RosType { name: S::TYPE, hash: S::TYPE_HASH };
        let name = format!("/cell/owlet/{name}");
        self.client.call(&name, ros_type, request).unwrap_or_else(|| panic!("{name} is served"))
    }

    pub(super) fn ask<S: Service>(&self, name: &str, request: &S::Request<'_>) -> Vec<u8> {
        self.ask_with_bytes::<S>(name, request.encode())
    }

    pub(super) fn ask_with_bytes<S: Service>(&self, name: &str, request: Vec<u8>) -> Vec<u8> {
        self.post::<S>(name, request).recv_timeout(TOO_LONG).expect("an answer comes")
    }

    pub(super) fn begin(&self, id: u8, label: &str) -> Receiver<Vec<u8>> {
        let transition = Transition { id, label: label.into() };
        self.post::<ChangeState>("change_state", ChangeStateRequest { transition }.encode())
    }

    /// Waits until all that was published before this was heard: the bus has one thread, and takes
    /// turns in their order.
    pub(super) fn settle(&self) {
        self.state();
    }

    pub(super) fn change_by(&self, id: u8, label: &str) -> bool {
        let answer = self.begin(id, label).recv_timeout(TOO_LONG).expect("an answer comes");
        ChangeStateResponse::decode(&answer).unwrap().success
    }

    /// Does all of these, which must succeed.
    pub(super) fn go(&self, labels: &[&str]) {
        for label in labels {
            assert!(self.change_by(0, label), "{label}: {:?}", self.node.why());
        }
    }

    pub(super) fn state(&self) -> String {
        let answer = self.ask::<GetState>("get_state", &GetStateRequest {});
        let state = GetStateResponse::decode(&answer).unwrap().current_state;
        state.label.into_owned()
    }

    /// The states that were gone through since the last call, from the events.
    pub(super) fn way(&self) -> Vec<String> {
        self.settle();
        let mut way: Vec<String> = Vec::new();
        for bytes in self.events.all() {
            let event = TransitionEvent::decode(&bytes).unwrap();
            assert!(event.timestamp > 0);
            match way.last() {
                Some(last) => assert_eq!(*last, event.start_state.label, "no gap"),
                None => way.push(event.start_state.label.into_owned()),
            }
            way.push(event.goal_state.label.into_owned());
        }
        way
    }

    /// Sets parameters one by one: what each was refused for.
    pub(super) fn set(&self, wanted: &[(&str, Value<'_>)]) -> Vec<Option<String>> {
        let request = SetParametersRequest { parameters: parameters(wanted) };
        let answer = self.ask::<SetParameters>("set_parameters", &request);
        let results = SetParametersResponse::decode(&answer).unwrap().results;
        results
            .into_iter()
            .map(|result| {
                assert_eq!(result.successful, result.reason.is_empty());
                (!result.successful).then(|| result.reason.into_owned())
            })
            .collect()
    }

    /// Sets one parameter, which must be taken.
    pub(super) fn take(&self, name: &str, value: Value<'_>) {
        assert_eq!(self.set(&[(name, value)]), [None], "{name}");
    }

    /// Names and values of the newest parameter event.
    pub(super) fn changed(&self) -> BTreeMap<String, ParameterValue> {
        let bytes = self.parameter_events.next();
        let event = ParameterEvent::decode(&bytes).unwrap();
        assert_eq!(event.node, "/cell/owlet");
        event
            .changed_parameters
            .iter()
            .map(|changed| {
                (changed.name.to_string(), super::parameters::from_message(&changed.value))
            })
            .collect()
    }

    pub(super) fn hear<'a, M: Message<'a>>(&self, topic: &str) -> Heard {
        hear::<M>(&self.client, topic)
    }

    /// Publishes a small picture until `is_over`.
    pub(super) fn show_until(&self, mut is_over: impl FnMut() -> bool) {
        let endpoint =
            RosEndpoint { topic: "/cell/image", ros_type: ros_type::<Image<'_>>(), qos: QOS };
        let out = self.client.publisher(endpoint).unwrap();
        let began = Instant::now();
        while !is_over() {
            assert!(began.elapsed() < TOO_LONG, "it never ends: {:?}", self.node.status());
            out.publish(&image(7)).unwrap();
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

const QOS: Qos = Qos::SENSOR_DATA;

pub(super) fn image(sec: i32) -> Vec<u8> {
    let header = Header { stamp: Time { sec, nanosec: 0 }, frame_id: "optical" };
    let data = [0; 12];
    let image = Image {
        header,
        height: 2,
        width: 2,
        encoding: "rgb8",
        is_bigendian: 0,
        step: 6,
        data: &data,
    };
    image.encode()
}

fn hear<'a, M: Message<'a>>(link: &MemoryLink, topic: &str) -> Heard {
    let qos = Qos { depth: 1000, ..Qos::RELIABLE };
    let (heard, messages) = mpsc::channel();
    let held = link.subscribe(
        RosEndpoint { topic, ros_type: ros_type::<M>(), qos },
        // Who listens may have gone.
        Box::new(move |message| drop(heard.send(message.bytes().into_owned()))),
    );
    Heard { messages, _held: held.unwrap() }
}

fn info(name: &str) -> ModelInfo {
    ModelInfo {
        name: name.to_owned(),
        architecture: "fake".to_owned(),
        device: "cpu".to_owned(),
        dtype: "f32".to_owned(),
        input_size: (2, 2),
        parameters: 0,
        useful_batch: 1,
    }
}

pub(super) fn parameters<'a>(wanted: &'a [(&'a str, Value<'a>)]) -> Vec<Parameter<'a>> {
    let one = |(name, value): &(&'a str, Value<'a>)| Parameter {
        name: (*name).into(),
        value: value.clone(),
    };
    wanted.iter().map(one).collect()
}

pub(super) fn double(value: f64) -> Value<'static> {
    Value { r#type: parameter_type::DOUBLE, double_value: value, ..Value::default() }
}

pub(super) fn integer(value: i64) -> Value<'static> {
    Value { r#type: parameter_type::INTEGER, integer_value: value, ..Value::default() }
}

pub(super) fn flag(value: bool) -> Value<'static> {
    Value { r#type: parameter_type::BOOL, bool_value: value, ..Value::default() }
}

pub(super) fn text(value: &str) -> Value<'_> {
    Value { r#type: parameter_type::STRING, string_value: value.into(), ..Value::default() }
}

pub(super) fn texts<'a>(values: &[&'a str]) -> Value<'a> {
    Value {
        r#type: parameter_type::STRING_ARRAY,
        string_array_value: values.iter().map(|value| (*value).into()).collect(),
        ..Value::default()
    }
}
