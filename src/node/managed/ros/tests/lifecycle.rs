//! Its states, and the ways between them.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::super::stage::{MAX_TEXT, Stage, TOO_LONG, double, flag, image, text, texts};
use super::with_a_cat;
use crate::node::lifecycle::TRANSITIONS;
use crate::transport::live::{NodeInput, State};
use crate::transport::ros::{Qos, RosEndpoint, RosLink, ros_type};
use crate::wire::Message;
use crate::wire::diagnostic_msgs::DiagnosticArray;
use crate::wire::lifecycle_msgs::{
    ChangeState, ChangeStateResponse, GetAvailableStates, GetAvailableStatesRequest,
    GetAvailableStatesResponse, GetAvailableTransitions, GetAvailableTransitionsRequest,
    GetAvailableTransitionsResponse,
};
use crate::wire::sensor_msgs::Image;
use crate::wire::std_msgs::Time;
use crate::wire::vision_msgs::Detection2DArray;

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
