//! Output that nobody reads, or that has no room.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use tempfile::TempDir;

use super::{detect_words, gallery, picture, process, replay_words, words};

/// Runs the program with a stdout that is closed at once; its exit code and stderr.
fn with_closed_stdout(words: &[std::ffi::OsString]) -> (Option<i32>, String) {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = process(words).stdout(writer).output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_reader_that_goes_away_ends_the_program_quietly() {
    let commands = [
        detect_words(&[&picture("square.png")], words!["-p", "cat", "-q"]),
        words!["inspect", gallery()],
        words!["models", "--json"],
        words!["config"],
        words!["completions", "zsh"],
    ];
    for words in commands {
        let (code, stderr) = with_closed_stdout(&words);
        assert_eq!((code, stderr.as_str()), (Some(141), ""), "{words:?}");
    }
}

#[test]
fn a_replay_is_done_whether_or_not_its_summary_is_read() {
    let out = TempDir::new().unwrap();
    let (code, stderr) =
        with_closed_stdout(&replay_words(&gallery(), out.path(), words!["-p", "cat"]));
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    assert!(out.path().join("report.html").is_file());
}

#[test]
fn the_first_line_can_be_had_of_many() {
    let images = vec![picture("square.png"); 3];
    let paths: Vec<_> = images.iter().map(AsRef::as_ref).collect();
    let mut child = process(&detect_words(&paths, words!["-p", "cat", "--json", "-q"]))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.ends_with("]}\n"), "{line}");
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert_eq!(stderr, "");
    // All three lines may have fitted into the pipe before it was closed.
    assert!(matches!(child.wait().unwrap().code(), Some(141 | 0)));
}

#[test]
fn a_full_disk_behind_stdout_is_an_error_with_its_reason() {
    for words in [words!["config"], words!["inspect", gallery(), "--json"]] {
        let output = process(&words)
            .stdout(File::options().write(true).open("/dev/full").unwrap())
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr.starts_with("error: cannot write to stdout: No space left"), "{stderr}");
    }
}

#[test]
fn a_closed_stderr_stops_nothing() {
    let out = TempDir::new().unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    // Something is logged, and an error is told: neither may panic.
    let more = words!["-p", "cat", "-vv"];
    let words: Vec<_> = replay_words(&gallery(), out.path(), more)
        .into_iter()
        .filter(|word| word != "-q")
        .collect();
    let run = |words: &[std::ffi::OsString]| {
        process(words).stderr(writer.try_clone().unwrap()).output().unwrap()
    };
    let output = run(&words);
    assert_eq!(output.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("24 frames, "));
    assert_eq!(run(&words).status.code(), Some(2), "the results are there already");
}
