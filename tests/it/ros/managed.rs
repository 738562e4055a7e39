//! Lifecycle and parameters over rmw_zenoh, asked by a client that speaks its protocol on zenoh.

use std::process::Command;
use std::time::{Duration, Instant};

use owlet::transport::ros::Qos;
use owlet::wire::lifecycle_msgs::{
    ChangeState, ChangeStateRequest, ChangeStateResponse, GetState, GetStateRequest,
    GetStateResponse, Transition, TransitionEvent,
};
use owlet::wire::rcl_interfaces::{
    GetParameters, GetParametersRequest, GetParametersResponse, Parameter, ParameterValue,
    SetParameters, SetParametersRequest, SetParametersResponse, parameter_type,
};
use owlet::wire::{Message, Service};
use zenoh::{Session, Wait};

use super::{Client, Node, TOO_LONG, diagnostic, diagnostics_of, router};
use crate::zenoh::client;

/// A client of services, as rmw_zenoh makes one.
struct Asking {
    session: Session,
    domain: u32,
    node: &'static str,
}

impl Asking {
    fn new(client_of: &Client, node: &'static str) -> Self {
        Self { session: client(), domain: client_of.domain, node }
    }

    fn ask<S: Service>(&self, service: &str, request: &S::Request<'_>) -> Vec<u8> {
        let dds_type = S::TYPE.replacen("/srv/", "::srv::dds_::", 1) + "_";
        let key = format!("{}/{}/{service}/{dds_type}/{}", self.domain, self.node, S::TYPE_HASH);
        // Number and time of the request, and who asks.
        let mut attachment = [1_i64.to_le_bytes(), 0_i64.to_le_bytes()].concat();
        attachment.push(16);
        attachment.extend([7; 16]);
        let began = Instant::now();
        loop {
            let replies = self
                .session
                .get(&key)
                .payload(request.encode())
                .attachment(attachment.as_slice())
                .timeout(TOO_LONG)
                .wait()
                .unwrap();
            if let Ok(reply) = replies.recv() {
                return reply.into_result().unwrap().payload().to_bytes().into_owned();
            }
            // Nobody serves it yet.
            assert!(began.elapsed() < TOO_LONG, "nobody serves {key}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn state(&self) -> String {
        let answer = self.ask::<GetState>("get_state", &GetStateRequest {});
        GetStateResponse::decode(&answer).unwrap().current_state.label.into_owned()
    }

    fn change(&self, label: &str) -> bool {
        let request = ChangeStateRequest { transition: Transition { id: 0, label: label.into() } };
        let answer = self.ask::<ChangeState>("change_state", &request);
        ChangeStateResponse::decode(&answer).unwrap().success
    }

    fn number(&self, name: &str) -> f64 {
        let request = GetParametersRequest { names: vec![name.into()] };
        let answer = self.ask::<GetParameters>("get_parameters", &request);
        GetParametersResponse::decode(&answer).unwrap().values[0].double_value
    }

    /// Why it was refused; empty where it was taken.
    fn set(&self, name: &str, value: ParameterValue<'_>) -> String {
        let parameters = vec![Parameter { name: name.into(), value }];
        let answer =
            self.ask::<SetParameters>("set_parameters", &SetParametersRequest { parameters });
        let result = &SetParametersResponse::decode(&answer).unwrap().results[0];
        assert_eq!(result.successful, result.reason.is_empty());
        result.reason.to_string()
    }
}

fn text(value: &str) -> ParameterValue<'_> {
    let value = value.into();
    ParameterValue { r#type: parameter_type::STRING, string_value: value, ..Default::default() }
}

fn double(value: f64) -> ParameterValue<'static> {
    let r#type = parameter_type::DOUBLE;
    ParameterValue { r#type, double_value: value, ..Default::default() }
}

#[test]
fn what_ros_passes_on_makes_a_managed_node() {
    let client = Client::new();
    let events = client.read("/robot/left/transition_event", TransitionEvent::TYPE, Qos::RELIABLE);
    let folder = tempfile::tempdir().unwrap();
    let params = folder.path().join("launch_params.yaml");
    let sections = "/**:\n  ros__parameters: {max_detections: 7}\n\
                    /robot/left:\n  ros__parameters: {prompts: [cat, a dog]}\n\
                    /robot/right:\n  ros__parameters: {prompts: [nothing]}\n";
    std::fs::write(&params, sections).unwrap();
    let words = [
        "--ros-args",
        "-r",
        "__ns:=/robot",
        "-r",
        "__node:=left",
        "-r",
        "image:=/camera/image_raw",
        "-p",
        "threshold:=0.2",
        "--params-file",
        params.to_str().unwrap(),
        "--log-level",
        "debug",
        "--",
        "--param",
        "jpeg_quality=50",
    ];
    let node = Node::start(&client, "owlet", &words);
    for text in ["2 prompts", "images on /camera/image_raw", "below /robot/left/", "DEBUG"] {
        assert!(node.log().contains(text), "{text:?} is not in\n{}", node.log());
    }
    let asking = Asking::new(&client, "robot/left");
    assert_eq!(asking.state(), "active");
    assert_eq!(asking.number("threshold"), 0.2);
    assert_eq!(asking.set("threshold", double(0.3)), "");
    assert_eq!(asking.number("threshold"), 0.3);
    assert!(asking.set("threshold", double(f64::NAN)).contains("from 0 to 1"));
    assert!(asking.set("model", text("other")).contains("clean the node up first"));

    assert!(!asking.change("configure"));
    assert!(asking.change("deactivate"));
    assert_eq!(asking.state(), "inactive");
    assert!(asking.change("cleanup"));
    assert_eq!(asking.set("model", text("no_such_model")), "");
    assert!(!asking.change("configure"));
    assert_eq!(asking.state(), "unconfigured");
    assert!(node.log().contains("no_such_model"), "{}", node.log());
    assert!(asking.change("shutdown"));
    let mut way = Vec::new();
    while way.last().is_none_or(|last| last != "finalized") {
        let bytes = events.next();
        way.push(TransitionEvent::decode(&bytes).unwrap().goal_state.label.into_owned());
    }
    let expected = "deactivating inactive cleaningup unconfigured configuring unconfigured \
                    shuttingdown finalized";
    // The first ones may have been said before the subscription was known.
    assert!(way.join(" ").ends_with(expected), "{way:?}");
}

#[test]
fn a_model_that_cannot_be_loaded_does_not_end_a_node_that_can_be_managed() {
    let client = Client::new();
    let diagnostics = diagnostics_of(&client);
    let words = ["--ros-args", "-p", "model:=no_such_model", "-p", "prompts:=[cat]"];
    let node =
        Node::begin(router(), client.domain, "owlet", &words).said("waiting to be configured");
    let asking = Asking::new(&client, "owlet");
    assert_eq!(asking.state(), "unconfigured");
    let entry = diagnostic(&diagnostics, "owlet: detection", |entry| entry.level == 2);
    assert!(entry.message.contains("no_such_model"), "{entry:?}");
    let model = crate::golden_models::fixture("owlvit_tiny");
    assert_eq!(asking.set("model", text(model.to_str().unwrap())), "");
    assert!(asking.change("configure") && asking.change("activate"), "{}", node.log());
    assert_eq!(asking.state(), "active");
}

#[test]
fn without_autostart_it_waits_and_ends_in_every_state() {
    for steps in [&[] as &[&str], &["configure"], &["configure", "activate"]] {
        let client = Client::new();
        let words = ["-p", "cat", "--ros-args", "-p", "autostart:=false"];
        let mut node = Node::start_at(router(), client.domain, "owlet", &words);
        let asking = Asking::new(&client, "owlet");
        assert_eq!(asking.state(), "unconfigured");
        for step in steps {
            assert!(asking.change(step), "{step}: {}", node.log());
        }
        let pid = node.process.id().to_string();
        assert!(Command::new("kill").args(["-s", "INT", &pid]).status().unwrap().success());
        let began = Instant::now();
        let status = loop {
            if let Some(status) = node.process.try_wait().unwrap() {
                break status;
            }
            assert!(began.elapsed() < TOO_LONG, "{}", node.log());
            std::thread::sleep(Duration::from_millis(5));
        };
        assert_eq!(status.code(), Some(0), "{}", node.log());
    }
}

#[test]
fn what_makes_no_sense_behind_ros_args_is_refused_with_every_reason() {
    let words = crate::cli::words![
        "run",
        "--transport",
        "rmw_zenoh",
        "--param",
        "max_batch=0",
        "--ros-args",
        "-p",
        "treshold:=0.2",
        "-p",
        "overlay:=7",
        "-r",
        "image:=no good",
        "--parms-file",
        "x.yaml"
    ];
    crate::cli::run(words, 2).says(&["--parms-file", "did you mean \"--params-file\"?"]);
    let words = crate::cli::words![
        "run",
        "--param",
        "max_batch=0",
        "--ros-args",
        "-p",
        "treshold:=0.2",
        "-p",
        "overlay:=7"
    ];
    crate::cli::run(words, 2).says(&[
        "max_batch: expected an integer",
        "treshold",
        "did you mean \"threshold\"?",
        "overlay: expected true or false",
    ]);
}
