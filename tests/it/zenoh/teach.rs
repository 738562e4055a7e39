//! Things that are shown while the node runs.

use owlet::vision::exemplar::data_url;
use serde_json::json;

use super::{Node, next};
use crate::cli::picture;

#[test]
fn a_thing_that_is_shown_is_looked_for_from_the_next_frame_on() {
    let node = Node::start("teach", &["-p", "cat", "-t", "0"]);
    let found = node.subscribe("detections/*");
    let png = std::fs::read(picture("square.png")).unwrap();
    let teach = |lesson: serde_json::Value| {
        node.ask("teach", Some(("application/json", lesson.to_string().as_bytes())))
    };
    let image = data_url(&png);
    let taught = teach(json!({ "name": "my gadget", "image": image })).unwrap();
    assert_eq!(
        (&taught["version"], &taught["prompts"][1]["name"]),
        (&json!(2), &json!("my gadget"))
    );
    assert_eq!(taught["prompts"][1]["exemplars"], json!([{ "image": image }]), "byte by byte");
    assert_eq!(node.ask("prompts", None).unwrap(), taught);
    node.send("front", "image/png", &png, 1);
    let record = next(&found);
    assert_eq!(record["prompts_version"], 2);
    let detections = record["detections"].as_array().unwrap();
    assert!(detections.iter().any(|found| found["prompt"] == "my gadget"), "{record}");

    // What was got can be put back.
    let again = taught.to_string();
    let again = node.ask("prompts", Some(("application/json", again.as_bytes()))).unwrap();
    let exemplars = |set: &serde_json::Value| set["prompts"][1]["exemplars"].clone();
    assert_eq!((&again["version"], exemplars(&again)), (&json!(3), exemplars(&taught)));

    for (lesson, expected) in [
        (json!({ "name": "x" }), "missing field `image`"),
        (json!({ "name": "x", "image": "mug.png" }), "expected \\\"data:image/png;base64,"),
        (json!({ "name": "x", "image": &image[..82] }), "PNG"),
        (json!({ "name": "x", "image": image, "box": [0, 0, 99, 9] }), "not inside its picture"),
        (json!({ "name": "x", "image": image, "box": [0, 0, 64, 1] }), "sees no object there"),
        (json!({ "name": "", "image": image }), "name: expected a text that is not blank"),
        (json!([]), "expected an object with `name`"),
    ] {
        let refused = teach(lesson).unwrap_err().to_string();
        assert!(refused.contains(expected), "{expected} is not in {refused}");
    }
    assert_eq!(node.ask("prompts", None).unwrap(), again);
}
