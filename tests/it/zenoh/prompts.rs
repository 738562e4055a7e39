//! Prompts that change while the node runs.

use serde_json::json;

use super::{Node, detected, next};
use crate::cli::picture;

#[test]
fn a_set_is_replaced_as_a_whole_and_every_output_says_which_one_made_it() {
    let node = Node::start("prompts", &["-p", "cat"]);
    let found = node.subscribe("detections/*");
    let path = picture("square.png");
    let png = std::fs::read(&path).unwrap();
    node.send("front", "image/png", &png, 1);
    assert_eq!(next(&found)["detections"], detected(&path, &["-p", "cat"]));
    let first = node.ask("prompts", None).unwrap();
    assert_eq!((&first["version"], &first["prompts"][0]["name"]), (&json!(1), &json!("cat")));

    let yaml =
        "prompts:\n  - name: pet\n    texts: [a dog, a cat]\n    threshold: 0.2\n  - a mug\n";
    let answer = node.ask("prompts", Some(("application/yaml", yaml.as_bytes()))).unwrap();
    assert_eq!(answer["version"], 2);
    assert_eq!(node.ask("prompts", None).unwrap(), answer);
    node.send("front", "image/png", &png, 2);
    let record = next(&found);
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("prompts.yaml");
    std::fs::write(&file, yaml).unwrap();
    assert_eq!(record["prompts_version"], 2);
    assert_eq!(record["detections"], detected(&path, &["--prompts", file.to_str().unwrap()]));

    // A put is answered on a key of its own; what was got can be put back.
    let answers = node.subscribe("prompts/answer");
    let json = serde_json::to_vec(&first).unwrap();
    node.put(&node.key("prompts"), "application/json", &json, None);
    let refused = next(&answers);
    assert_eq!(refused["version"], 2);
    let reason = refused["reasons"][0].as_str().unwrap();
    assert!(reason.contains("replace version 1, found version 2"), "{reason}");
    let mut again = first.clone();
    again["version"] = json!(2);
    let again = again.to_string();
    node.put(&node.key("prompts"), "application/json", again.as_bytes(), None);
    assert_eq!(next(&answers)["version"], 3);
    node.send("front", "image/png", &png, 3);
    let record = next(&found);
    assert_eq!(record["prompts_version"], 3);
    assert_eq!(record["detections"], detected(&path, &["-p", "cat"]));
}

#[test]
fn a_refused_set_names_every_reason_and_changes_nothing() {
    let node = Node::start("refused", &["-p", "cat"]);
    let set = |text: &[u8]| node.ask("prompts", Some(("text/plain", text)));
    let long = "word ".repeat(40);
    let four_bad = b"prompts: [\"\", {name: dog, threshold: 3}, {nam: x}, cup, cup]\n";
    let refused = set(four_bad).unwrap_err();
    let reasons = refused["reasons"].to_string();
    for expected in ["prompts[0]", "prompts[1].threshold", "prompts[2].nam", "each name once"] {
        assert!(reasons.contains(expected), "{expected} is not in {reasons}");
    }
    // What only the tokenizer knows.
    let text = json!({ "prompts": [long, "a mug", "word ".repeat(30)] }).to_string();
    let refused = set(text.as_bytes()).unwrap_err();
    assert_eq!(refused["reasons"].as_array().unwrap().len(), 2, "{refused}");

    let many: Vec<_> = (0..10_000).map(|n| format!("thing {n}")).collect();
    let many = json!({ "prompts": many }).to_string();
    let megabyte = vec![b'a'; 2 << 20];
    for (text, expected) in [
        (many.as_bytes(), "at most 1000 texts, found 10000"),
        (&megabyte, "at most 1048576 bytes"),
        (b"prompts: [\"\xff\xfe\"]".as_slice(), "UTF-8"),
        (b"".as_slice(), "a YAML map"),
        (b"prompts: [".as_slice(), "YAML"),
        (b"[1, 2]".as_slice(), "a map with a list `prompts`"),
        (b"prompts: []".as_slice(), "at least one prompt"),
    ] {
        let refused = set(text).unwrap_err();
        assert_eq!(refused["version"], 1);
        let reasons = refused["reasons"].to_string();
        assert!(reasons.contains(expected), "{expected} is not in {reasons}");
    }
    let prompts = node.ask("prompts", None).unwrap();
    assert_eq!((&prompts["version"], &prompts["prompts"][0]["name"]), (&json!(1), &json!("cat")));
    assert!(set(b"prompts: [a mug]").is_ok(), "the node lives on");
}
