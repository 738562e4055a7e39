//! Prompt files, and prompts that cannot be used.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::{detect_words, names, picture, run, scores, words};

fn prompt_file(folder: &TempDir, text: &str) -> PathBuf {
    let path = folder.path().join("prompts.yaml");
    fs::write(&path, text).unwrap();
    path
}

fn detect(more: Vec<std::ffi::OsString>) -> serde_json::Value {
    let words = [words!["--json"], more].concat();
    let ran = run(detect_words(&[&picture("square.png")], words), 0);
    ran.json()["detections"].clone()
}

#[test]
fn a_file_gives_synonyms_thresholds_and_distractors() {
    let folder = TempDir::new().unwrap();
    // By itself each text finds something.
    let plain = detect(words!["-p", "cat", "-p", "a dog", "-p", "a bird", "--threshold", "0"]);
    for name in ["cat", "a dog", "a bird"] {
        assert!(names(&plain).contains(&name), "{name} is missing: {plain}");
    }
    let best_bird = names(&plain).iter().position(|name| *name == "a bird").unwrap();
    let strict = scores(&plain)[best_bird];

    let file = prompt_file(
        &folder,
        &format!(
            "prompts:\n  - name: pet\n    texts: [cat, a dog]\n  - name: bird\n    texts: [a \
             bird]\n    threshold: {strict}\n"
        ),
    );
    let found = detect(words!["--prompts", file, "--threshold", "0"]);
    let (all, all_scores) = (names(&found), scores(&found));
    assert!(all.iter().all(|name| ["pet", "bird"].contains(name)), "{all:?}");
    for (name, score) in all.iter().zip(&all_scores) {
        assert!(*name != "bird" || *score >= strict, "its own threshold holds: {found}");
    }
    // Either text gives a pet, so that there are as many as cats and dogs together.
    let count =
        |list: &[&str], wanted: &[&str]| list.iter().filter(|name| wanted.contains(name)).count();
    assert!(count(&all, &["pet"]) >= count(&names(&plain), &["cat", "a dog"]), "{found}");

    // A distractor takes what it explains best away and is never named.
    let file = prompt_file(&folder, "prompts: [a dog, {name: cat, negative: true}]\n");
    let left = detect(words!["--prompts", file, "--threshold", "0"]);
    assert!(names(&left).iter().all(|name| *name == "a dog"), "{left}");
    assert_eq!(
        names(&left).len(),
        count(&names(&detect(words!["-p", "a dog", "-p", "cat", "--threshold", "0"])), &["a dog"])
    );

    // More prompts may be typed.
    let both = detect(words!["--prompts", file, "-p", "a bird", "--threshold", "0"]);
    assert!(names(&both).contains(&"a bird"), "{both}");
}

#[test]
fn a_file_that_a_configuration_names_is_looked_for_beside_it() {
    let folder = TempDir::new().unwrap();
    prompt_file(&folder, "prompts: [a bird]\n");
    let config = folder.path().join("owlet.yaml");
    fs::write(&config, "owlet:\n  ros__parameters:\n    prompts_file: prompts.yaml\n").unwrap();
    let found = detect(words!["--config", config, "--threshold", "0"]);
    assert!(names(&found).iter().all(|name| *name == "a bird") && !names(&found).is_empty());
    // What is typed takes its place, so that it need not even be there.
    fs::remove_file(folder.path().join("prompts.yaml")).unwrap();
    let found = detect(words!["--config", config, "-p", "cat", "--threshold", "0"]);
    assert!(names(&found).iter().all(|name| *name == "cat"));
}

#[test]
fn all_that_is_wrong_with_prompts_is_said_at_once() {
    let long = "cat ".repeat(40);
    let more = words!["-p", "", "-p", "cat", "-p", "cat", "-p", long.trim(), "-p", "  "];
    let ran = run(detect_words(&[&picture("square.png")], more), 2);
    ran.says(&[
        "prompt 1: the prompt is empty",
        "\"cat\": the name is used twice",
        "tokens, the model takes at most",
        "prompt 5: the prompt is empty",
    ]);
    // Forty words, a start and an end.
    assert!(ran.stderr.contains("has 42 tokens"), "{ran}");
    assert_eq!((ran.errors(), ran.stdout.as_str()), (1, ""));

    let replay =
        words!["replay", super::gallery(), "-p", "", "-p", long, "--out", "/nonexistent/x"];
    let model = crate::golden_models::fixture("owlvit_tiny");
    let out = TempDir::new().unwrap();
    let mut words = [replay, words!["--model", model]].concat();
    words[7] = out.path().join("out").into();
    run(words, 2).says(&["the prompt is empty", "has 42 tokens"]);
}

#[test]
fn without_a_prompt_it_says_how_to_give_one() {
    let ran = run(detect_words(&[&picture("square.png")], vec![]), 2);
    ran.says(&["nothing to look for", "--prompt TEXT", "--prompts FILE.yaml"]);
    assert_eq!(ran.errors(), 1);
}

#[test]
fn a_broken_configuration_says_every_problem_with_place_and_value() {
    let folder = TempDir::new().unwrap();
    let prompts = prompt_file(&folder, "prompts:\n  - {name: cat, threshold: 7}\n  - [1]\n");
    let config = folder.path().join("owlet.yaml");
    fs::write(&config, "/**:\n  ros__parameters:\n    treshold: 0.5\n    max_batch: 0\n").unwrap();
    let more = words![
        "--config",
        config,
        "--prompts",
        prompts,
        "--param",
        "nms_iou",
        "--param",
        "device=gpu",
        "--threshold",
        "1.5",
        "-p",
        "dog",
        "-p",
        "dog"
    ];
    let ran = run(detect_words(&[Path::new("none.png")], more), 2);
    ran.says(&[
        "owlet.yaml:3: /**.ros__parameters.treshold",
        "did you mean \"threshold\"?",
        "owlet.yaml:4: /**.ros__parameters.max_batch: expected an integer from 1 to 64, found 0",
        "device: expected auto, cpu, cuda or cuda:N, found the text \"gpu\"",
        "threshold: expected a number from 0 to 1, found 1.5",
        "prompts.yaml:2: prompts[0].threshold: expected a number from 0 to 1, found 7",
        "prompts.yaml:3: prompts[1]",
        "--param: expected NAME=VALUE, found \"nms_iou\"",
        "\"dog\": the name is used twice",
    ]);
    assert_eq!(ran.errors(), 1);

    // A name that stands in the file and on the command line.
    let prompts = prompt_file(&folder, "prompts: [cat]\n");
    let more = words!["--prompts", prompts, "-p", "cat"];
    run(detect_words(&[&picture("square.png")], more), 2)
        .says(&["\"cat\": the name is used twice"]);
}
