//! The folder of a replay's results: nothing in it is lost or mixed up by accident.

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::replay::{results, run_json};
use super::{bags, names_in, replay_words, run, words};

/// A replay of eight frames.
fn replay(bag: &Path, out: &Path, more: Vec<std::ffi::OsString>, code: i32) -> super::Ran {
    run(replay_words(bag, out, [words!["-p", "cat"], more].concat()), code)
}

#[test]
fn results_are_never_replaced_unasked() {
    let folder = TempDir::new().unwrap();
    let bag = bags::one_camera(folder.path(), 8);
    let out = folder.path().join("out");
    replay(&bag, &out, vec![], 0);
    let before = results(&out);
    let refused = replay(&bag, &out, words!["--threshold", "0.5"], 2);
    refused.says(&["holds the results of an earlier run", "--resume", "--overwrite"]);
    assert!(results(&out) == before);

    // Neither by a run that is then refused, or that fails.
    replay(&bag, &out, words!["--overwrite", "-p", " "], 2);
    replay(&bag, &out, words!["--overwrite", "--device", "cuda:77"], 1);
    replay(&bag, &out, words!["--overwrite", "--topic", "/none"], 2);
    replay(Path::new("/nonexistent"), &out, words!["--overwrite"], 1);
    assert!(results(&out) == before);

    // Records of somebody else's are not added to, even where no run is known.
    let other = folder.path().join("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("detections.jsonl"), "precious\n").unwrap();
    replay(&bag, &other, vec![], 2).says(&["detections.jsonl"]);
    replay(&bag, &other, words!["--resume"], 2).says(&["there is no run.json"]);
    assert_eq!(fs::read_to_string(other.join("detections.jsonl")).unwrap(), "precious\n");
}

#[test]
fn overwrite_removes_what_a_replay_writes_and_nothing_else() {
    let folder = TempDir::new().unwrap();
    let bag = bags::one_camera(folder.path(), 8);
    let out = folder.path().join("out");
    replay(&bag, &out, words!["--overlays"], 0);
    let whole = results(&out);
    fs::write(out.join("notes.txt"), "mine").unwrap();
    fs::write(out.join("overlays/best.jpg"), "mine").unwrap();
    replay(&bag, &out, words!["--overwrite"], 0);
    assert!(results(&out) == whole);
    assert_eq!(
        names_in(&out),
        [
            "coco.json",
            "detections.jsonl",
            "detections.mcap",
            "notes.txt",
            "overlays",
            "report.html",
            "run.json"
        ]
    );
    assert_eq!(names_in(&out.join("overlays")), ["best.jpg"]);

    // A recording with a file of somebody else's in it is not written into.
    fs::write(out.join("detections.mcap/notes.txt"), "mine").unwrap();
    replay(&bag, &out, words!["--overwrite"], 1).says(&["detections.mcap", "not empty"]);
    assert_eq!(names_in(&out.join("detections.mcap")), ["notes.txt"]);
}

#[test]
fn a_folder_that_cannot_be_written_is_one_clear_line() {
    let folder = TempDir::new().unwrap();
    let bag = bags::one_camera(folder.path(), 8);
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    for out in [file.as_path(), &file.join("out")] {
        let ran = replay(&bag, out, vec![], 1);
        ran.says(&["cannot make", file.to_str().unwrap()]);
        assert_eq!(ran.errors(), 1);
    }
}

#[test]
fn a_disk_that_fills_up_ends_the_run_and_what_was_done_is_gone_on_with() {
    let folder = TempDir::new().unwrap();
    // Far more frames than all queues hold, so that reader and inference wait for the writer when
    // it gives up.
    let bag = bags::one_camera(folder.path(), 150);
    let out = folder.path().join("out");
    let words = replay_words(&bag, &out, words!["-p", "cat"]);
    // No file may grow beyond 20 kB; without the signal, writing fails as on a full disk.
    let mut shell = Command::new("sh");
    super::settle(&mut shell);
    let output = shell
        .args(["-c", "trap '' XFSZ; ulimit -f 40; exec \"$@\"", "sh"])
        .arg(env!("CARGO_BIN_EXE_owlet"))
        .args(&words)
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("detections.jsonl: File too large"), "{stderr}");
    assert!(stderr.contains("--resume goes on from there"), "{stderr}");
    assert_eq!(run_json(&out)["state"], "running");

    replay(&bag, &out, words!["--resume"], 0);
    let whole = folder.path().join("whole");
    replay(&bag, &whole, vec![], 0);
    assert!(results(&out) == results(&whole));
}
