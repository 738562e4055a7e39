//! Why there is nothing, in words.

use serde_json::Value;
use zenoh::Wait;

use super::{Node, next};
use crate::cli::picture;

fn why(status: &Value) -> String {
    let why = status["why"].as_array().unwrap();
    why.iter().map(|text| text.as_str().unwrap().to_owned() + "\n").collect()
}

#[test]
fn each_silence_is_explained() {
    let node = Node::start("silence", &[]);
    let png = std::fs::read(picture("square.png")).unwrap();

    // Its token is there a moment before the last of its states is reached.
    let status = node.status("it is ready", |status| status["state"] == "no_prompts");
    assert_eq!((&status["node"], &status["model"]["device"]), (&"silence".into(), &"cpu".into()));
    assert!(why(&status).contains("put a set on owlet/silence/prompts"), "{status}");
    let error = node.ask("detect", Some(("image/png", &png))).unwrap_err();
    assert_eq!(error["error"], "no prompts are set: nothing to look for");

    let set = b"{\"prompts\": [{\"name\": \"cat\", \"threshold\": 1.0}]}";
    assert_eq!(node.ask("prompts", Some(("application/json", set))).unwrap()["version"], 1);
    let no_publisher = "no image has come yet on owlet/silence/camera/*/image: no publisher";
    node.status("nobody sends", |status| {
        status["state"] == "no_images" && why(status).contains(no_publisher)
    });
    let camera = node.session.declare_publisher(node.key("camera/front/image")).wait().unwrap();
    node.status("somebody could send", |s| why(s).contains("a publisher is declared there"));
    drop(camera);

    node.send("front", "image/jpeg", b"no picture", 1);
    let status = node.status("the image is bad", |status| status["state"] == "bad_images");
    assert!(why(&status).contains("none of the 1 image could be read"), "{status}");
    assert!(why(&status).contains("neither JPEG nor PNG"), "{status}");
    assert_eq!(status["cameras"]["front"]["bad"], 1);

    let found = node.subscribe("detections/*");
    node.send("front", "image/png", &png, 2);
    assert_eq!(next(&found)["detections"].as_array().unwrap().len(), 0);
    let status = node.status("nothing is found", |status| {
        why(status)
            .contains("nothing is above its threshold in the newest image; nearest was \"cat\"")
            || status["state"] == "images_stopped"
    });
    let best = &status["cameras"]["front"]["best_scores"][0];
    assert_eq!((&best["prompt"], &best["threshold"]), (&"cat".into(), &1.0.into()));
    let score = best["score"].as_f64().unwrap();
    assert!(score > 0.0 && score < 1.0, "{status}");
    for stage in ["decode", "wait", "preprocess", "image_tower", "heads", "postprocess"] {
        assert!(status["cameras"]["front"]["stages_ms"][stage].is_f64(), "{stage} {status}");
    }

    let status = node.status("the camera stopped", |s| s["state"] == "images_stopped");
    assert!(why(&status).contains("front: no image for "), "{status}");

    // It comes back, and with another set there is nothing left to explain but the bad image.
    node.ask("prompts", Some(("application/json", b"prompts: [cat]"))).unwrap();
    node.send("front", "image/png", &png, 3);
    assert!(!next(&found)["detections"].as_array().unwrap().is_empty());
    let counts = |status: &Value| {
        let camera = &status["cameras"]["front"];
        ["received", "bad", "dropped", "answered", "failed"].map(|name| camera[name].clone())
    };
    node.status("all is counted", |s| counts(s) == [3, 1, 0, 2, 0].map(Value::from));
}
