use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::stage::{
    MAX_TEXT, Stage, TOO_LONG, double, flag, image, integer, parameters, text, texts,
};
use crate::config::{Config, PARAMETERS, ParameterValue};
use crate::node::lifecycle::TRANSITIONS;
use crate::transport::live::{NodeInput, State};
use crate::transport::ros::{Qos, RosEndpoint, RosLink, ros_type};
use crate::types::{PixelBox, Prompt, Stamp};
use crate::wire::diagnostic_msgs::DiagnosticArray;
use crate::wire::lifecycle_msgs::{
    ChangeState, ChangeStateResponse, GetAvailableStates, GetAvailableStatesRequest,
    GetAvailableStatesResponse, GetAvailableTransitions, GetAvailableTransitionsRequest,
    GetAvailableTransitionsResponse,
};
use crate::wire::owlet_msgs::{
    self, PromptSet, SetPrompts, SetPromptsRequest, SetPromptsResponse, Teach, TeachRequest,
    TeachResponse,
};
use crate::wire::rcl_interfaces::{
    DescribeParameters, DescribeParametersRequest, DescribeParametersResponse, GetParameterTypes,
    GetParameterTypesRequest, GetParameterTypesResponse, GetParameters, GetParametersRequest,
    GetParametersResponse, ListParameters, ListParametersRequest, ListParametersResponse,
    ParameterEvent, ParameterValue as Value, SetParameters, SetParametersAtomically,
    SetParametersAtomicallyRequest, SetParametersAtomicallyResponse, SetParametersRequest,
    SetParametersResponse, parameter_type,
};
use crate::wire::rosgraph_msgs::Clock;
use crate::wire::sensor_msgs::{CompressedImage, Image};
use crate::wire::std_msgs::Time;
use crate::wire::vision_msgs::Detection2DArray;
use crate::wire::{Message, Service};

fn with_a_cat(config: &mut Config) {
    config.prompts = vec![Prompt::from_text("cat")];
}

#[test]
fn a_client_leads_it_through_its_life() {
    let stage = Stage::new(with_a_cat);
    assert_eq!(stage.state(), "unconfigured");
    assert_eq!(stage.seen.loaded.load(Ordering::SeqCst), 0);
    stage.go(&["configure"]);
    assert_eq!(stage.seen.loaded.load(Ordering::SeqCst), 1);
    assert_eq!(stage.seen.passes.load(Ordering::SeqCst), 1, "it is warm");
    let endpoint = RosEndpoint {
        topic: "/cell/image",
        ros_type: ros_type::<Image<'_>>(),
        qos: Qos::SENSOR_DATA,
    };
    let camera = stage.client.publisher(endpoint).unwrap();
    assert_eq!(camera.subscribers(), 0);

    stage.go(&["activate"]);
    assert_eq!(camera.subscribers(), 1);
    let found = stage.hear::<Detection2DArray<'_>>("/cell/owlet/detections");
    camera.publish(&image(7)).unwrap();
    let detections = found.next();
    let detections = Detection2DArray::decode(&detections).unwrap();
    assert_eq!(detections.header.stamp, Time { sec: 7, nanosec: 0 });
    assert_eq!(detections.detections[0].results[0].class_id, "cat");

    stage.go(&["deactivate"]);
    assert_eq!(camera.subscribers(), 0, "nothing is sent to a node that does not look");
    let passes = stage.seen.passes.load(Ordering::SeqCst);
    camera.publish(&image(8)).unwrap();
    stage.go(&["activate", "deactivate"]);
    assert_eq!(stage.seen.passes.load(Ordering::SeqCst), passes);
    stage.settle();
    assert!(found.all().is_empty());

    stage.go(&["cleanup"]);
    assert_eq!(stage.seen.loaded.load(Ordering::SeqCst), 0, "the model is out of memory");
    stage.go(&["configure", "activate", "shutdown"]);
    assert_eq!(stage.seen.loaded.load(Ordering::SeqCst), 0);
    assert_eq!(stage.state(), "finalized");
    assert_eq!(
        stage.way().join(" "),
        "unconfigured configuring inactive activating active deactivating inactive activating \
         active deactivating inactive cleaningup unconfigured configuring inactive activating \
         active shuttingdown finalized"
    );
}

#[test]
fn states_and_transitions_are_told_as_rcl_tells_them() {
    let stage = Stage::new(with_a_cat);
    let answer =
        stage.ask::<GetAvailableStates>("get_available_states", &GetAvailableStatesRequest {});
    let states = GetAvailableStatesResponse::decode(&answer).unwrap().available_states;
    let states: Vec<_> = states.iter().map(|state| (state.id, &*state.label)).collect();
    let expected = [
        (0, "unknown"),
        (1, "unconfigured"),
        (2, "inactive"),
        (3, "active"),
        (4, "finalized"),
        (10, "configuring"),
        (11, "cleaningup"),
        (12, "shuttingdown"),
        (13, "activating"),
        (14, "deactivating"),
        (15, "errorprocessing"),
    ];
    assert_eq!(states, expected);

    let ways = |service: &str| {
        let request = GetAvailableTransitionsRequest {};
        let answer = stage.ask::<GetAvailableTransitions>(service, &request);
        let answer = GetAvailableTransitionsResponse::decode(&answer).unwrap();
        let ways = answer.available_transitions.into_iter();
        ways.map(|way| {
            let states = [way.start_state.id, way.goal_state.id];
            (way.transition.id, way.transition.label.into_owned(), states)
        })
        .collect::<Vec<_>>()
    };
    let own = |rows: &[(u8, &str, [u8; 2])]| {
        rows.iter().map(|row| (row.0, row.1.to_owned(), row.2)).collect::<Vec<_>>()
    };
    let first = [(1, "configure", [1, 10]), (5, "shutdown", [1, 12])];
    assert_eq!(ways("get_available_transitions"), own(&first));
    stage.go(&["configure"]);
    let second = [(2, "cleanup", [2, 11]), (3, "activate", [2, 13]), (6, "shutdown", [2, 12])];
    assert_eq!(ways("get_available_transitions"), own(&second));
    assert_eq!(ways("get_transition_graph").len(), TRANSITIONS.len());
}

#[test]
fn what_makes_no_sense_changes_nothing() {
    let stage = Stage::new(with_a_cat);
    for (id, label) in
        [(3, ""), (0, "activate"), (1, "cleanup"), (10, ""), (0, ""), (255, ""), (0, "\u{fffd}")]
    {
        assert!(!stage.change_by(id, label), "{id} {label:?}");
    }
    for garbage in
        [&b""[..], &[0, 1, 0], &[0xff; 64], &[0, 1, 0, 0, 1, 0, 0, 0, 255, 255, 255, 127]]
    {
        let answer = stage.ask_with_bytes::<ChangeState>("change_state", garbage.to_vec());
        assert!(!ChangeStateResponse::decode(&answer).unwrap().success);
    }
    assert_eq!(stage.state(), "unconfigured");
    assert_eq!(stage.way(), [""; 0]);
    // The label wins, as in rclcpp.
    assert!(stage.change_by(99, "configure"));
    assert!(stage.change_by(3, ""));
    assert_eq!(stage.state(), "active");
}

#[test]
fn a_model_that_cannot_be_loaded_is_told_and_may_be_another_one() {
    let stage = Stage::new(|config| {
        with_a_cat(config);
        config.model = "missing".to_owned();
    });
    let diagnostics = stage.hear::<DiagnosticArray<'_>>("/diagnostics");
    assert!(!stage.change_by(0, "configure"));
    assert_eq!(stage.way(), ["unconfigured", "configuring", "unconfigured"]);
    let began = Instant::now();
    loop {
        let bytes = diagnostics.next();
        let message = &DiagnosticArray::decode(&bytes).unwrap().status[0];
        if message.level == 2 && message.message.contains("no model \"missing\"") {
            break;
        }
        assert!(began.elapsed() < TOO_LONG, "{message:?}");
    }
    stage.take("model", text("damaged"));
    assert!(!stage.change_by(0, "configure"));
    assert!(stage.node.why().unwrap().to_string().contains("the checkpoint is damaged"));
    assert_eq!(stage.state(), "unconfigured");

    stage.take("model", text("right"));
    let long = "x".repeat(MAX_TEXT + 1);
    stage.take("prompts", texts(&["cat", &long]));
    assert!(!stage.change_by(0, "configure"));
    assert!(stage.node.why().unwrap().to_string().contains("expected at most 40 bytes"));
    assert_eq!(stage.seen.loaded.load(Ordering::SeqCst), 0, "nothing is left of it");

    stage.take("prompts", texts(&["cat"]));
    stage.go(&["configure", "activate"]);
    assert_eq!(stage.node.status().model.name, "right");
    assert_eq!(stage.node.status().state, State::NoImages);
}

#[test]
fn while_the_model_loads_questions_are_answered_and_requests_are_refused() {
    let stage = Stage::new(|config| {
        with_a_cat(config);
        config.model = "slow".to_owned();
    });
    let configured = stage.begin(0, "configure");
    stage.is_loading.recv_timeout(TOO_LONG).unwrap();
    assert_eq!(stage.state(), "configuring");
    assert_eq!(stage.node.status().state, State::Changing);
    for label in ["configure", "activate", "shutdown", "transition_success"] {
        assert!(!stage.change_by(0, label), "{label}");
    }
    let refused = stage.set(&[("threshold", double(0.3)), ("overlay", flag(false))]);
    for reason in refused {
        assert!(reason.unwrap().contains("the node is configuring"));
    }
    assert!(configured.try_recv().is_err());
    stage.let_in.send(()).unwrap();
    let answer = configured.recv_timeout(TOO_LONG).unwrap();
    assert!(ChangeStateResponse::decode(&answer).unwrap().success);
    assert_eq!(stage.way(), ["unconfigured", "configuring", "inactive"]);
}

#[test]
fn the_end_in_the_middle_of_loading_is_told_and_waits_for_nothing() {
    let stage = Stage::new(|config| config.model = "slow".to_owned());
    let _configured = stage.begin(0, "configure");
    stage.is_loading.recv_timeout(TOO_LONG).unwrap();
    assert!(!stage.node.end(Duration::from_millis(1)));
    let began = Instant::now();
    let mut way = Vec::new();
    while way.last().is_none_or(|last| last != "finalized") {
        way.extend(stage.way());
        assert!(began.elapsed() < TOO_LONG, "{way:?}");
    }
    assert!(way.contains(&"errorprocessing".to_owned()), "{way:?}");
    stage.let_in.send(()).unwrap();
}

#[test]
fn parameters_are_listed_described_and_got() {
    let stage = Stage::new(with_a_cat);
    let names = |prefixes: &[&str], depth| {
        let prefixes = prefixes.iter().map(|prefix| (*prefix).into()).collect();
        let request = ListParametersRequest { prefixes, depth };
        let answer = stage.ask::<ListParameters>("list_parameters", &request);
        let result = ListParametersResponse::decode(&answer).unwrap().result;
        assert!(result.prefixes.is_empty());
        result.names.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let all: Vec<_> = PARAMETERS.iter().map(|parameter| parameter.name).collect();
    assert_eq!(names(&[], 0), all);
    assert_eq!(names(&[], 1), all);
    assert_eq!(names(&["threshold", "nothing", "thresh"], 0), ["threshold"]);

    let asked = ["threshold", "no_such", "prompts", "max_detections", "overlay", "model"];
    let request = GetParametersRequest { names: asked.map(Into::into).to_vec() };
    let answer = stage.ask::<GetParameters>("get_parameters", &request);
    let values = GetParametersResponse::decode(&answer).unwrap().values;
    let expected = [
        double(0.1),
        Value::default(),
        texts(&["cat"]),
        integer(100),
        flag(true),
        text("owlet-nano"),
    ];
    assert_eq!(values, expected);
    let request = GetParameterTypesRequest { names: asked.map(Into::into).to_vec() };
    let answer = stage.ask::<GetParameterTypes>("get_parameter_types", &request);
    assert_eq!(*GetParameterTypesResponse::decode(&answer).unwrap().types, [3, 0, 9, 2, 1, 4]);

    let names = PARAMETERS.iter().map(|parameter| parameter.name.into()).collect();
    let request = DescribeParametersRequest { names };
    let answer = stage.ask::<DescribeParameters>("describe_parameters", &request);
    let described = DescribeParametersResponse::decode(&answer).unwrap().descriptors;
    assert_eq!(described.len(), PARAMETERS.len());
    let of = |name: &str| described.iter().find(|descriptor| descriptor.name == name).unwrap();
    for descriptor in &described {
        assert!(!descriptor.description.is_empty() && descriptor.r#type > 0, "{descriptor:?}");
    }
    let range = of("threshold").floating_point_range.unwrap();
    assert_eq!((range.from_value, range.to_value), (0.0, 1.0));
    let range = of("max_detections").integer_range.unwrap();
    assert_eq!((range.from_value, range.to_value), (1, 10_000));
    assert!(of("node").read_only && !of("threshold").read_only && !of("model").read_only);
    assert!(of("prompts").dynamic_typing && !of("threshold").dynamic_typing);
    assert!(of("model").additional_constraints.contains("when configured"));
}

#[test]
fn what_may_change_changes_and_everybody_is_told() {
    let stage = Stage::new(with_a_cat);
    let first = stage.parameter_events.next();
    let first = ParameterEvent::decode(&first).unwrap();
    assert_eq!(first.new_parameters.len(), PARAMETERS.len());
    stage.go(&["configure", "activate"]);
    let told = stage.hear::<Detection2DArray<'_>>("/cell/owlet/detections");
    let found = |expected: usize| {
        stage.show_until(|| {
            let messages = told.all();
            messages.last().is_some_and(|bytes| {
                Detection2DArray::decode(bytes).unwrap().detections.len() == expected
            })
        });
    };
    found(1);
    stage.take("threshold", double(0.75));
    assert_eq!(stage.changed(), [("threshold".into(), ParameterValue::Number(0.75))].into());
    assert_eq!(stage.node.prompts().version, 2);
    assert_eq!(stage.node.prompts().default_threshold, 0.75);
    found(0);
    stage.take("threshold", integer(0));
    stage.take("prompts", texts(&["cat", "dog", "cow"]));
    found(3);
    stage.take("max_detections", integer(2));
    found(2);
    stage.take("prompts", text("{prompts: [cat, {name: dog, threshold: 0.9}]}"));
    found(1);
    assert_eq!(stage.node.prompts().prompts[1].threshold, Some(0.9));
    let version = stage.node.prompts().version;
    // What is the same already changes nothing.
    stage.settle();
    stage.parameter_events.all();
    stage.take("max_detections", integer(2));
    stage.settle();
    assert!(stage.parameter_events.all().is_empty());
    stage.take("max_rate_hz", double(0.001));
    assert_eq!(stage.node.prompts().version, version);
    stage.show_until(|| {
        let status = stage.node.status();
        status.cameras.values().any(|camera| camera.skipped > 0)
    });
}

#[test]
fn what_may_not_change_is_refused_with_its_reason() {
    let stage = Stage::new(with_a_cat);
    stage.take("max_batch", integer(2));
    stage.go(&["configure"]);
    let long = "x".repeat(MAX_TEXT + 1);
    let wanted = [
        ("model", text("other")),
        ("node", text("other")),
        ("threshold", double(0.25)),
        // What it is already is taken, so that a file of all parameters can be loaded.
        ("max_batch", integer(2)),
        ("prompts", texts(&[&long])),
        ("prompts_file", text("/nonexistent/prompts.yaml")),
    ];
    let results = stage.set(&wanted[..4]);
    assert!(results[0].as_ref().unwrap().contains("clean the node up first"), "{results:?}");
    assert!(results[1].as_ref().unwrap().contains("when the program starts"), "{results:?}");
    assert_eq!(results[2..], [None, None]);
    let version = stage.node.prompts().version;
    for (wanted, reason) in [(&wanted[4], "at most 40 bytes"), (&wanted[5], "can be read")] {
        let results = stage.set(&[wanted.clone(), ("overlay", flag(false))]);
        assert!(results[0].as_ref().unwrap().contains(reason), "{results:?}");
        assert_eq!(results[1], None, "the others are taken");
        assert!(!stage.node.config().overlay);
        stage.take("overlay", flag(true));
    }
    assert_eq!(stage.node.prompts().version, version);
    assert_eq!(stage.node.config().prompts, [Prompt::from_text("cat")]);
    stage.go(&["cleanup"]);
    stage.take("model", text("other"));
    stage.go(&["configure"]);
    assert_eq!(stage.node.status().model.name, "other");
    assert!(stage.node.prompts().version > version, "a version never comes twice");
}

#[test]
fn together_all_are_taken_or_none() {
    let stage = Stage::new(with_a_cat);
    stage.go(&["configure", "activate"]);
    let ask = |wanted: &[(&str, Value<'_>)]| {
        let request = SetParametersAtomicallyRequest { parameters: parameters(wanted) };
        let answer = stage.ask::<SetParametersAtomically>("set_parameters_atomically", &request);
        let result = SetParametersAtomicallyResponse::decode(&answer).unwrap().result;
        (result.successful, result.reason.into_owned())
    };
    let before = stage.node.config();
    for (wanted, reason) in [
        ([("overlay", flag(false)), ("treshold", double(0.3))], "did you mean \"threshold\"?"),
        ([("overlay", flag(false)), ("threshold", double(7.0))], "from 0 to 1"),
        ([("overlay", flag(false)), ("prompts", texts(&[&"x".repeat(50)]))], "at most 40 bytes"),
    ] {
        let (successful, why) = ask(&wanted);
        assert!(!successful && why.contains(reason), "{why}");
        assert_eq!(stage.node.config(), before);
    }
    assert_eq!(ask(&[("overlay", flag(false)), ("threshold", double(0.3))]), (true, String::new()));
    assert_eq!((stage.node.config().overlay, stage.node.config().threshold), (false, 0.3));
    let answer =
        stage.ask_with_bytes::<SetParametersAtomically>("set_parameters_atomically", vec![0xff; 9]);
    let result = SetParametersAtomicallyResponse::decode(&answer).unwrap().result;
    assert!(!result.successful && result.reason.contains("encapsulation"), "{result:?}");
}

#[test]
fn hostile_requests_are_answered_and_change_nothing() {
    let stage = Stage::new(with_a_cat);
    stage.go(&["configure", "activate"]);
    let before = stage.node.config();
    let many: Vec<_> = (0..10_000).map(|_| ("threshold", double(0.2))).collect();
    let results = stage.set(&many);
    assert_eq!(results.len(), many.len());
    assert!(results.iter().all(|result| result.as_ref().unwrap().contains("at most 1000")));
    let names: Vec<_> = (0..1000).map(|n| format!("p{n}")).collect();
    let unknown: Vec<_> = names.iter().map(|name| (name.as_str(), flag(true))).collect();
    assert!(stage.set(&unknown).iter().all(Option::is_some));
    let of_type = |r#type| Value { r#type, ..Value::default() };
    let bytes =
        Value { byte_array_value: vec![1_u8, 2, 3].into(), ..of_type(parameter_type::BYTE_ARRAY) };
    for (name, value, reason) in [
        ("threshold", double(f64::NAN), "from 0 to 1, found NaN"),
        ("threshold", double(f64::NEG_INFINITY), "from 0 to 1"),
        ("threshold", of_type(0), "no value"),
        ("threshold", of_type(77), "unknown type 77"),
        ("threshold", text("0.2"), "a number from 0 to 1"),
        ("threshold", bytes, "a list of 3 bytes"),
        ("max_rate_hz", double(-1.0), "from 0 to 1000"),
        ("jpeg_quality", integer(i64::MAX), "from 1 to 100"),
        ("overlay", text("false"), "true or false"),
        ("prompts", texts(&["cat", "cat"]), "each text once"),
        ("prompts", texts(&[""]), "not blank"),
        ("prompts", text("{prompts: [{name: cat, threshold: .nan}]}"), "from 0 to 1"),
        ("prompts", of_type(parameter_type::DOUBLE_ARRAY), "holds no prompt"),
        ("prompts", text(&"[".repeat(9000)), "put it in brackets"),
        ("", flag(true), "there is no parameter"),
    ] {
        let results = stage.set(&[(name, value)]);
        let why = results[0].as_ref().unwrap_or_else(|| panic!("{name}: taken ({reason})"));
        assert!(why.contains(reason), "{name}: {why}");
    }
    // A text that is no UTF-8 makes a message that cannot be read.
    let wanted = [("overlay", flag(false))];
    let mut bytes = SetParametersRequest { parameters: parameters(&wanted) }.encode();
    let at = bytes.windows(7).position(|window| window == b"overlay").unwrap();
    bytes[at] = 0xff;
    for garbage in [bytes, Vec::new(), vec![0xff; 100], vec![0, 1, 0, 0, 255, 255, 255, 255]] {
        let answer = stage.ask_with_bytes::<SetParameters>("set_parameters", garbage.clone());
        assert!(SetParametersResponse::decode(&answer).unwrap().results.is_empty());
        let answer = stage.ask_with_bytes::<GetParameters>("get_parameters", garbage.clone());
        assert!(GetParametersResponse::decode(&answer).unwrap().values.is_empty());
        let answer = stage.ask_with_bytes::<DescribeParameters>("describe_parameters", garbage);
        assert!(DescribeParametersResponse::decode(&answer).unwrap().descriptors.is_empty());
    }
    assert_eq!(stage.node.config(), before);
    assert_eq!(stage.state(), "active");
}

fn set_prompts(stage: &Stage, names: &[&str]) -> (bool, u64, String) {
    let prompts = names
        .iter()
        .map(|name| owlet_msgs::Prompt { name: (*name).into(), ..owlet_msgs::Prompt::default() });
    let request =
        SetPromptsRequest { replaces: None, default_threshold: None, prompts: prompts.collect() };
    let answer = stage.ask::<SetPrompts>("set_prompts", &request);
    let answer = SetPromptsResponse::decode(&answer).unwrap();
    (answer.success, answer.version, answer.reasons.join("; "))
}

#[test]
fn prompts_that_come_otherwise_are_parameters_too_and_survive_a_new_model() {
    let stage = Stage::new(with_a_cat);
    stage.go(&["configure", "activate"]);
    stage.parameter_events.next();
    assert_eq!(set_prompts(&stage, &["mug", "plate"]), (true, 2, String::new()));
    let texts = ParameterValue::TextList(vec!["mug".to_owned(), "plate".to_owned()]);
    assert_eq!(stage.changed(), [("prompts".to_owned(), texts)].into());
    stage.go(&["deactivate", "cleanup", "configure"]);
    let names = |stage: &Stage| {
        stage.node.prompts().prompts.iter().map(|p| p.name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(names(&stage), ["mug", "plate"]);
    // While it is inactive, too.
    assert!(set_prompts(&stage, &["bowl"]).0);
    assert_eq!(names(&stage), ["bowl"]);
}

#[test]
fn prompts_that_are_latched_before_there_is_a_model_are_not_lost() {
    let stage = Stage::new(|config| config.model = "slow".to_owned());
    let endpoint = RosEndpoint {
        topic: "/cell/owlet/prompts",
        ros_type: ros_type::<PromptSet<'_>>(),
        qos: Qos::LATCHED,
    };
    let (success, _, reason) = set_prompts(&stage, &["fork"]);
    assert!(!success && reason.contains("the set waits"), "{reason}");
    let configured = stage.begin(0, "configure");
    stage.is_loading.recv_timeout(TOO_LONG).unwrap();
    let out = stage.client.publisher(endpoint).unwrap();
    let prompts = vec![owlet_msgs::Prompt { name: "spoon".into(), ..Default::default() }];
    out.publish(&PromptSet { version: 1, default_threshold: None, prompts }.encode()).unwrap();
    stage.settle();
    assert_eq!(stage.state(), "configuring");
    stage.let_in.send(()).unwrap();
    configured.recv_timeout(TOO_LONG).unwrap();
    let began = Instant::now();
    while stage.node.prompts().version == 0 {
        assert!(began.elapsed() < TOO_LONG);
        std::thread::sleep(Duration::from_millis(2));
    }
    assert_eq!(stage.node.prompts().prompts[0].name, "spoon");
}

#[test]
fn the_time_of_a_simulation_is_followed_while_the_parameter_says_so() {
    let stage = Stage::new(with_a_cat);
    let endpoint =
        RosEndpoint { topic: "/clock", ros_type: ros_type::<Clock>(), qos: Qos::SENSOR_DATA };
    let out = stage.client.publisher(endpoint).unwrap();
    assert_eq!(out.subscribers(), 0);
    stage.take("use_sim_time", flag(true));
    assert_eq!(out.subscribers(), 1);
    assert!(stage.node.status().why.iter().any(|why| why.contains("/clock")));
    let tell = |sec| {
        out.publish(&Clock { clock: Time { sec, nanosec: 0 } }.encode()).unwrap();
        stage.settle();
    };
    tell(5);
    assert_eq!(stage.node.clock().now(), Stamp(5_000_000_000));
    assert!(!stage.node.status().why.iter().any(|why| why.contains("/clock")));
    stage.go(&["configure", "activate"]);
    let found = stage.hear::<Detection2DArray<'_>>("/cell/owlet/detections");
    stage.show_until(|| !found.all().is_empty());
    tell(105);
    let age = stage.node.status().cameras["camera"].newest_image_age_secs;
    assert_eq!(age, 100.0);
    assert_eq!(stage.node.status().state, State::ImagesStopped);
    stage.take("use_sim_time", flag(false));
    assert_eq!(out.subscribers(), 0);
    assert!(stage.node.clock().now() > Stamp(1_000_000_000_000_000_000));
    assert!(stage.node.status().cameras["camera"].newest_image_age_secs < 60.0);
}

#[test]
fn the_services_have_the_types_of_ros() {
    // What a client asks for by another type is not served.
    let stage = Stage::new(|_| ());
    let wrong = crate::transport::ros::RosType { name: ChangeState::TYPE, hash: "RIHS01_00" };
    assert!(stage.client.call("/cell/owlet/change_state", wrong, Vec::new()).is_none());
}

#[test]
fn a_thing_that_is_taught_is_in_the_set_and_in_the_parameters() {
    let stage = Stage::new(with_a_cat);
    let data = [200; 8 * 6 * 3];
    let shown =
        Image { height: 6, width: 8, encoding: "rgb8", step: 24, data: &data, ..Image::default() };
    let area = PixelBox::from_corners([1.0, 1.0, 7.0, 5.0]);
    let ask = |request: &TeachRequest<'_>| {
        let answer = stage.ask::<Teach>("teach", request);
        let answer = TeachResponse::decode(&answer).unwrap();
        assert_eq!(answer.success, answer.reasons.is_empty());
        (answer.version, answer.reasons.join("; "))
    };
    let mut good =
        TeachRequest { name: "gadget".into(), r#box: Some(area.into()), ..Default::default() };
    let (_, reason) = ask(&TeachRequest { image: Some(shown), ..good.clone() });
    assert!(reason.contains("unconfigured"), "{reason}");
    stage.go(&["configure", "activate"]);
    let (_, reason) = ask(&good);
    assert!(reason.contains("no image has come yet on /cell/image"), "{reason}");
    good.image = Some(shown);
    assert_eq!(ask(&good), (2, String::new()));
    // Once more, into the prompt of this name, and into one that has texts.
    assert_eq!(ask(&good), (3, String::new()));
    assert_eq!(ask(&TeachRequest { name: "cat".into(), ..good.clone() }), (4, String::new()));
    let counts = |prompts: &[Prompt]| {
        let counts = prompts.iter().map(|p| (p.name.clone(), p.texts.len(), p.exemplars.len()));
        counts.collect::<Vec<_>>()
    };
    let expected = [("cat".to_owned(), 1, 1), ("gadget".to_owned(), 0, 2)];
    let set = stage.node.prompts();
    assert_eq!(counts(&set.prompts), expected);
    assert_eq!(set.prompts[1].exemplars[0].area(), area);
    assert_eq!(set.prompts[1].exemplars[0].picture.image.as_raw().as_slice(), data);
    assert_eq!(counts(&stage.node.config().prompts), expected);

    let cut = Image { data: &data[..9], ..shown };
    let broken = CompressedImage { format: "jpeg", data: b"no picture", ..Default::default() };
    for (request, expected) in [
        (TeachRequest { image: None, ..good.clone() }, "no image has come yet"),
        (TeachRequest { image: Some(cut), ..good.clone() }, "the data have 9 bytes"),
        (
            TeachRequest {
                r#box: Some(PixelBox::from_corners([0.0, 0.0, 9.0, 6.0]).into()),
                ..good.clone()
            },
            "\"gadget\": exemplars[2]: the box [0, 0, 9, 6] is not inside its picture of 8x6",
        ),
        (
            TeachRequest {
                r#box: Some(PixelBox::from_corners([f32::NAN, 0.0, 5.0, 6.0]).into()),
                ..good.clone()
            },
            "\"gadget\": exemplars[2]: the box [NaN, 0, NaN, 6] is not inside",
        ),
        (
            TeachRequest {
                r#box: Some(PixelBox::from_corners([5.0, 1.0, 5.0, 5.0]).into()),
                ..good.clone()
            },
            "\"gadget\": exemplars[2]: the box [5, 1, 5, 5] has no pixel",
        ),
        (
            TeachRequest { image: None, compressed_image: Some(broken), ..good.clone() },
            "\"gadget\": its picture cannot be used: neither JPEG nor PNG",
        ),
        (
            TeachRequest { name: " ".into(), ..good.clone() },
            "name: expected a text that is not blank",
        ),
        (TeachRequest { camera: "/nobody".into(), image: None, ..good }, "found \"/nobody\""),
    ] {
        let (version, reason) = ask(&request);
        assert_eq!(version, 4);
        assert!(reason.contains(expected), "{expected}: {reason}");
    }
    assert_eq!(*stage.node.prompts(), *set);
}
