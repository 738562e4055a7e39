//! Prompts that change while the node runs.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Node, TOO_LONG, are_alike, detected, next};
use crate::cli::picture;
use crate::golden_models::fixture;

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
    are_alike(&record["detections"], &detected(&path, &["--prompts", file.to_str().unwrap()]));

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
    are_alike(&record["detections"], &detected(&path, &["-p", "cat"]));
}

#[test]
fn a_refused_set_names_every_reason_and_changes_nothing() {
    let node = Node::start("refused", &["-p", "cat"]);
    let set = |text: &[u8]| node.ask("prompts", Some(("text/plain", text)));
    let long = "word ".repeat(40);
    let four_bad = b"prompts: [\"\", {name: dog, threshold: 3}, {nam: x}, cup, cup]\n";
    let refused = set(four_bad).unwrap_err();
    let reasons = refused["reasons"].to_string();
    for expected in [
        "\"prompt 1: expected a text",
        r#""prompt 2 (\"dog\").threshold: expected"#,
        "\"prompt 3.nam: expected",
        r#""prompt 5 (\"cup\"): expected each name once, found \"cup\" again (first in prompt 4)""#,
    ] {
        assert!(reasons.contains(expected), "{expected} is not in {reasons}");
    }
    // What only the tokenizer knows.
    let text = json!({ "prompts": [long, "a mug", "word ".repeat(30)] }).to_string();
    let refused = set(text.as_bytes()).unwrap_err();
    let reasons: Vec<_> =
        refused["reasons"].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect();
    let numbered = ["prompt 1 (\"word word ", "prompt 3 (\"word word "];
    assert_eq!(reasons.len(), numbered.len(), "{refused}");
    for (reason, start) in reasons.iter().zip(numbered) {
        assert!(reason.starts_with(start) && reason.contains("tokens"), "{reason}");
    }

    let many: Vec<_> = (0..10_000).map(|n| format!("thing {n}")).collect();
    let many = json!({ "prompts": many }).to_string();
    let megabyte = vec![b'a'; 2 << 20];
    for (text, expected) in [
        (many.as_bytes(), "at most 1000 texts, found 10000"),
        (&megabyte, "a map with a list `prompts`"),
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

#[test]
fn finer_labels_come_and_go_while_a_node_with_a_classifier_runs() {
    let classifier = format!("classifier={}", fixture("clip_tiny").display());
    let node = Node::start("finer", &["-p", "cat", "--param", &classifier]);
    let found = node.subscribe("detections/*");
    let path = picture("square.png");
    let png = std::fs::read(&path).unwrap();
    let set = |text: &str| node.ask("prompts", Some(("application/yaml", text.as_bytes())));
    let yaml = "prompts:\n  - name: cat\n    finer: [a red cat, a blue cat]\n    templates: [\"the {}\"]\n";
    let answer = set(yaml).unwrap();
    assert_eq!(answer["version"], 2);
    let labels = json!([
        { "name": "a red cat", "texts": ["a red cat"] },
        { "name": "a blue cat", "texts": ["a blue cat"] },
    ]);
    assert_eq!(answer["prompts"][0]["finer"], labels);
    assert_eq!(answer["prompts"][0]["templates"], json!(["the {}"]));
    node.send("front", "image/png", &png, 1);
    let record = next(&found);
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("prompts.yaml");
    std::fs::write(&file, yaml).unwrap();
    let words = ["--prompts", file.to_str().unwrap(), "--param", &classifier];
    let expected = detected(&path, &words);
    are_alike(&record["detections"], &expected);
    let best = |detections: &Value| {
        let label = &detections[0]["finer"][0];
        (label["name"].as_str().unwrap().to_owned(), label["score"].as_f64().unwrap())
    };
    let ((name, score), expected) = (best(&record["detections"]), best(&expected));
    assert!(name == expected.0 && (score - expected.1).abs() < 1e-5, "{name} {score}");

    // A set that is refused leaves the labels in use; one without labels takes them away.
    let refused = set("prompts: [{name: cat, finer: [one, one]}]").unwrap_err();
    assert!(
        refused["reasons"].to_string().contains("finer[1]: the name is used twice"),
        "{refused}"
    );
    node.send("front", "image/png", &png, 2);
    assert_eq!(best(&next(&found)["detections"]).0, name);
    assert_eq!(set("prompts: [cat]").unwrap()["version"], 3);
    node.send("front", "image/png", &png, 3);
    let record = next(&found);
    assert_eq!(
        (&record["prompts_version"], record["detections"][0].get("finer")),
        (&json!(3), None)
    );

    let plain = Node::start("not_finer", &["-p", "cat"]);
    let refused = plain.ask("prompts", Some(("application/yaml", yaml.as_bytes()))).unwrap_err();
    let reasons = refused["reasons"].to_string();
    assert!(reasons.contains("finer: no classifier is configured"), "{reasons}");
}

/// The prompts in use, once they have this version.
fn at_version(node: &Node, version: u64) -> Value {
    let began = Instant::now();
    loop {
        let prompts = node.ask("prompts", None).unwrap();
        if prompts["version"] == version {
            return prompts;
        }
        assert!(began.elapsed() < TOO_LONG, "{prompts}\n{}", node.log());
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn logged(node: &Node, text: &str) {
    let began = Instant::now();
    while !node.log().contains(text) {
        assert!(began.elapsed() < TOO_LONG, "{}", node.log());
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_file_that_is_watched_is_in_use_as_it_stands() {
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("prompts.yaml");
    std::fs::write(&file, "prompts: [cat]\n").unwrap();
    let node = Node::start("watch", &["--prompts", file.to_str().unwrap(), "--watch"]);
    at_version(&node, 1);
    std::fs::write(&file, "prompts: [cat, dog]\n").unwrap();
    assert_eq!(at_version(&node, 2)["prompts"][1]["name"], "dog");

    // As most editors do it; and what is refused changes nothing.
    let put_in_place = |text: &str| {
        let new = folder.path().join("new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(&new, &file).unwrap();
    };
    put_in_place("prompts: [cat, dog, \"\"]\n");
    logged(&node, "is refused, what was in use stays");
    std::fs::remove_file(&file).unwrap();
    logged(&node, "is not there any more");
    assert_eq!(node.ask("prompts", None).unwrap()["version"], 2);

    // The newest change wins, whoever makes it.
    node.ask("prompts", Some(("application/json", br#"{"prompts": ["cup"]}"#))).unwrap();
    at_version(&node, 3);
    put_in_place("prompts: [bird]\n");
    assert_eq!(at_version(&node, 4)["prompts"][0]["name"], "bird");
}

#[test]
fn texts_that_were_encoded_are_found_by_the_next_start() {
    let cache = tempfile::TempDir::new().unwrap();
    let kept = || -> Vec<PathBuf> {
        let entries = |folder: &Path| -> Vec<PathBuf> {
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
        };
        let models = entries(&cache.path().join("owlet/texts"));
        assert_eq!(models.len(), 1, "{models:?}");
        entries(&models[0])
    };
    let found = |name: &str| {
        let model = fixture("owlvit_tiny");
        let node = Node::start_in(cache.path(), &model, name, &["-p", "cat", "-p", "a red dog"]);
        let found = node.subscribe("detections/*");
        node.send("front", "image/png", &std::fs::read(picture("square.png")).unwrap(), 1);
        next(&found)["detections"].take()
    };
    let first = found("learns");
    let files = kept();
    assert_eq!(files.len(), 2);
    assert_eq!(found("knows"), first);
    assert_eq!(kept().len(), 2);
    // What is damaged is encoded again.
    std::fs::write(&files[0], b"cut").unwrap();
    are_alike(&found("learns_again"), &first);
    assert!(std::fs::metadata(&files[0]).unwrap().len() > 32);
}

#[test]
fn finer_labels_are_kept_beside_the_texts_of_the_detector() {
    let cache = tempfile::TempDir::new().unwrap();
    let classifier = format!("classifier={}", fixture("clip_tiny").display());
    let found = |name: &str| {
        let model = fixture("owlvit_tiny");
        let node = Node::start_in(cache.path(), &model, name, &["-t", "0", "--param", &classifier]);
        let set = json!({ "prompts": [{ "name": "cat", "finer": ["red", "blue", "green"] }] });
        node.ask("prompts", Some(("application/json", set.to_string().as_bytes()))).unwrap();
        let found = node.subscribe("detections/*");
        node.send("front", "image/png", &std::fs::read(picture("square.png")).unwrap(), 1);
        next(&found)["detections"].take()
    };
    let kept = || -> Vec<usize> {
        let entries = |path: &Path| std::fs::read_dir(path).unwrap().flatten();
        let models = entries(&cache.path().join("owlet/texts"));
        let mut counts: Vec<_> = models.map(|model| entries(&model.path()).count()).collect();
        counts.sort_unstable();
        counts
    };
    let first = found("learns_labels");
    assert_eq!(first[0]["finer"].as_array().map(Vec::len), Some(3), "{first}");
    assert_eq!(kept(), [1, 3]);
    assert_eq!(found("knows_labels"), first);
    assert_eq!(kept(), [1, 3]);
}
