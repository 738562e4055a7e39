//! What a newcomer reads.

use std::fs;

use tempfile::TempDir;

use super::{detect_words, picture, run, words};

#[test]
fn help_and_version_go_to_stdout() {
    let help = run(words!["--help"], 0);
    assert!(help.stdout.contains("\n  replay ") && help.stderr.is_empty(), "{help}");
    let help = run(words!["detect", "--help"], 0);
    assert!(help.stdout.contains("Example") && help.stdout.contains("Exit codes:"), "{help}");
    let version = run(words!["--version"], 0).stdout;
    assert_eq!(version, format!("owlet {}\n", env!("CARGO_PKG_VERSION")));
    let script = run(words!["completions", "bash"], 0).stdout;
    assert!(script.contains("_owlet()"), "{script}");
}

#[test]
fn a_command_line_that_makes_no_sense_ends_with_2() {
    run(words!["detect", "a.png", "--colour"], 2).says(&["--colour", "--help"]);
    run(words!["detct"], 2).says(&["detect"]);
    run(vec![], 2).says(&["Usage: owlet"]);
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
    assert_eq!(known.len(), owlet::hub::KNOWN_MODELS.len(), "{list}");
    // Beside them there is what comes with Owlet.
    let installed = list["installed"].as_array().unwrap();
    let names: Vec<_> = installed.iter().map(|model| &model["name"]).collect();
    assert_eq!(names, ["owlet-nano", "owlet-nano-seg"], "{list}");
    for model in installed {
        assert_eq!(model["builtin"], true);
        assert_eq!(model["state"]["state"], "no_manifest");
    }
}
