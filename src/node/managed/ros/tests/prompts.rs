//! Prompts that come as messages, and things that are shown.

use std::time::{Duration, Instant};

use super::super::stage::{Stage, TOO_LONG, texts};
use super::with_a_cat;
use crate::config::ParameterValue;
use crate::transport::live::NodeInput;
use crate::transport::ros::{Qos, RosEndpoint, RosLink, ros_type};
use crate::types::{PixelBox, Prompt};
use crate::wire::Message;
use crate::wire::owlet_msgs::{
    self, PromptSet, SetPrompts, SetPromptsRequest, SetPromptsResponse, Teach, TeachRequest,
    TeachResponse,
};
use crate::wire::sensor_msgs::{CompressedImage, Image};

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
fn a_set_that_waits_for_a_model_gives_way_to_prompts_that_come_after_it() {
    let stage = Stage::new(with_a_cat);
    let (success, _, reason) = set_prompts(&stage, &["fork"]);
    assert!(!success && reason.contains("the set waits"), "{reason}");
    stage.take("prompts", texts(&["spoon"]));
    stage.go(&["configure", "activate"]);
    // Whatever waited would be put into use before this one.
    assert_eq!(set_prompts(&stage, &["bowl"]), (true, 2, String::new()));
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
    stage.parameter_events.all();
    assert_eq!(ask(&good), (2, String::new()));
    // Everybody is told of it, and of the picture only how large it is.
    let told = stage.changed()["prompts"].to_string();
    assert!(told.contains("gadget") && told.contains("<8x6, "), "{told}");
    assert!(!told.contains("data:"), "{told}");
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
            "prompt 2 (\"gadget\").exemplars[2]: the box [0, 0, 9, 6] is not inside its picture of 8x6",
        ),
        (
            TeachRequest {
                r#box: Some(PixelBox::from_corners([f32::NAN, 0.0, 5.0, 6.0]).into()),
                ..good.clone()
            },
            "prompt 2 (\"gadget\").exemplars[2]: the box [NaN, 0, NaN, 6] is not inside",
        ),
        (
            TeachRequest {
                r#box: Some(PixelBox::from_corners([5.0, 1.0, 5.0, 5.0]).into()),
                ..good.clone()
            },
            "prompt 2 (\"gadget\").exemplars[2]: the box [5, 1, 5, 5] has no pixel",
        ),
        (
            TeachRequest { image: None, compressed_image: Some(broken), ..good.clone() },
            "\"gadget\": its picture cannot be used: neither JPEG nor PNG",
        ),
        (
            TeachRequest { name: " ".into(), ..good.clone() },
            "name: expected a text that is not blank",
        ),
        (
            TeachRequest { camera: "/nobody".into(), image: None, ..good.clone() },
            "found \"/nobody\"",
        ),
        (TeachRequest { forget: "a mug".into(), ..good.clone() }, "expected `forget` alone"),
        (TeachRequest { forget_pair: 4, ..good }, "expected `forget` alone"),
        (
            TeachRequest { forget: "a mug".into(), forget_pair: 4, ..Default::default() },
            "expected `forget` or `forget_pair`, found both",
        ),
        (TeachRequest { forget_pair: 4, ..Default::default() }, "no bank is configured"),
        (TeachRequest { forget: "a mug".into(), ..Default::default() }, "no bank is configured"),
    ] {
        let (version, reason) = ask(&request);
        assert_eq!(version, 4);
        assert!(reason.contains(expected), "{expected}: {reason}");
    }
    assert_eq!(*stage.node.prompts(), *set);
}
