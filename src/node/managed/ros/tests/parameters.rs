//! Parameters, and the time that one of them asks for.

use super::super::stage::{MAX_TEXT, Stage, double, flag, integer, parameters, text, texts};
use super::with_a_cat;
use crate::config::{PARAMETERS, ParameterValue};
use crate::transport::live::{NodeInput, State};
use crate::transport::ros::{Qos, RosEndpoint, RosLink, ros_type};
use crate::types::{Prompt, Stamp};
use crate::wire::Message;
use crate::wire::rcl_interfaces::{
    DescribeParameters, DescribeParametersRequest, DescribeParametersResponse, GetParameterTypes,
    GetParameterTypesRequest, GetParameterTypesResponse, GetParameters, GetParametersRequest,
    GetParametersResponse, ListParameters, ListParametersRequest, ListParametersResponse,
    ParameterEvent, ParameterValue as Value, SetParameters, SetParametersAtomically,
    SetParametersAtomicallyRequest, SetParametersAtomicallyResponse, SetParametersRequest,
    SetParametersResponse, parameter_type,
};
use crate::wire::rosgraph_msgs::Clock;
use crate::wire::std_msgs::Time;
use crate::wire::vision_msgs::Detection2DArray;

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
