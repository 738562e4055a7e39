//! What a newcomer reads.

use std::fs;

use tempfile::TempDir;

use super::{detect_words, picture, run, words};

const COMMANDS: [&str; 9] = [
    "detect",
    "replay",
    "inspect",
    "pull",
    "models",
    "random-model",
    "check",
    "config",
    "completions",
];

#[test]
fn every_help_has_an_example_and_the_exit_codes() {
    let all = run(words!["--help"], 0).stdout;
    assert!(all.contains("Exit codes:"), "{all}");
    for command in COMMANDS {
        assert!(all.contains(&format!("\n  {command} ")), "{command} is not in\n{all}");
        let help = run(words![command, "--help"], 0).stdout;
        for text in ["Example", &format!("  owlet {command}"), "Exit codes:", "\n  130 "] {
            assert!(help.contains(text), "{text:?} is not in\n{help}");
        }
        for line in help.lines() {
            assert!(line.chars().count() <= 100, "{command}: {line}");
        }
    }
}

#[test]
fn json_output_is_documented_where_it_is_promised() {
    let help = run(words!["detect", "--help"], 0).stdout;
    for key in ["image", "width", "height", "model", "detections", "prompt", "score", "box_px"] {
        assert!(help.contains(&format!("\"{key}\"")), "{key} is not in\n{help}");
    }
    let help = run(words!["replay", "--help"], 0).stdout;
    for file in ["detections.jsonl", "detections.mcap", "report.html", "run.json"] {
        assert!(help.contains(file), "{file} is not in\n{help}");
    }
}

#[test]
fn a_command_line_that_makes_no_sense_ends_with_2() {
    run(words!["detect"], 2).says(&["<IMAGE>"]);
    run(words!["replay", "bag"], 2).says(&["--out"]);
    run(words!["detct"], 2).says(&["detect"]);
    run(words!["replay", "bag", "--out", "o", "--resume", "--overwrite"], 2)
        .says(&["--resume", "--overwrite"]);
    run(words!["inspect", "bag", "-q", "-v"], 2).says(&["--quiet"]);
    run(vec![], 2).says(&["Usage: owlet"]);
    let version = run(words!["--version"], 0).stdout;
    assert_eq!(version, format!("owlet {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn completions_know_every_command() {
    for shell in ["bash", "zsh", "fish"] {
        let script = run(words!["completions", shell], 0).stdout;
        for command in COMMANDS {
            assert!(script.contains(command), "{command} is not in the script for {shell}");
        }
        for option in ["overlay", "threshold", "resume"] {
            assert!(script.contains(option), "{option} is not in the script for {shell}");
        }
    }
    run(words!["completions", "tcsh"], 2).says(&["tcsh", "bash"]);
}

#[test]
fn the_default_configuration_changes_nothing() {
    let folder = TempDir::new().unwrap();
    let config = folder.path().join("owlet.yaml");
    let default = run(words!["config", "--default"], 0).stdout;
    fs::write(&config, &default).unwrap();
    let detect = |more: Vec<std::ffi::OsString>| {
        let words = [words!["-p", "cat", "--json"], more].concat();
        run(detect_words(&[&picture("square.png")], words), 0).stdout
    };
    assert_eq!(detect(words!["--config", config]), detect(vec![]));

    for form in [vec![], words!["--markdown"]] {
        let text = run([words!["config"], form].concat(), 0).stdout;
        for name in ["model", "threshold", "nms_iou", "image_topics"] {
            assert!(text.contains(name), "{name} is not in\n{text}");
        }
    }
}

#[test]
fn known_models_are_listed_with_nothing_pulled() {
    let table = run(words!["models"], 0).stdout;
    assert!(table.contains("not here: owlet pull owlvit-base-patch32"), "{table}");
    let list = run(words!["models", "--json"], 0).json();
    assert_eq!(super::keys(&list), ["installed", "interrupted", "available"]);
    let known: Vec<_> = list["available"].as_array().unwrap().iter().map(|m| &m["name"]).collect();
    assert_eq!(known.len() + list["installed"].as_array().unwrap().len(), 5, "{list}");
}
