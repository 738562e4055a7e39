//! `owlet replay` that is interrupted and gone on with.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::replay::{records, results, run_json};
use super::{bags, process, replay_words, run, words};

/// Enough that a run is not over before it is interrupted.
const FRAMES: usize = 400;

struct Setup {
    folder: TempDir,
    bag: PathBuf,
}

impl Setup {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let shots: Vec<_> = (0..FRAMES)
            .map(|n| bags::color(if n % 5 == 0 { "/left" } else { "/right" }, n))
            .collect();
        let bag = bags::write(folder.path(), &shots);
        Self { folder, bag }
    }

    fn out(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn words(&self, out: &Path, more: Vec<std::ffi::OsString>) -> Vec<std::ffi::OsString> {
        replay_words(&self.bag, out, [words!["-p", "cat", "-p", "a dog"], more].concat())
    }

    /// The results of a run in one go.
    fn whole(&self) -> (Vec<u8>, Vec<u8>, String) {
        let out = self.out("whole");
        run(self.words(&out, vec![]), 0);
        results(&out)
    }

    /// A run that has done at least `frames` frames.
    fn started(&self, out: &Path, more: Vec<std::ffi::OsString>, frames: usize) -> Child {
        let mut child = process(&self.words(out, more))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let began = Instant::now();
        while lines(out) < frames {
            assert!(child.try_wait().unwrap().is_none(), "it ended before it was interrupted");
            assert!(began.elapsed() < super::TOO_LONG);
            std::thread::sleep(Duration::from_millis(1));
        }
        child
    }
}

fn lines(out: &Path) -> usize {
    let file = fs::File::open(out.join("detections.jsonl"));
    file.map_or(0, |file| BufReader::new(file).lines().count())
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args(["-s", name, &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

#[test]
fn an_interrupted_run_keeps_what_was_done_and_resuming_gives_the_same_bytes() {
    let setup = Setup::new();
    let whole = setup.whole();
    let out = setup.out("out");
    let child = setup.started(&out, vec![], 20);
    signal(&child, "INT");
    let ended = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(130), "{stderr}");
    assert!(stderr.contains("ending after the frames in flight"), "{stderr}");

    // All is closed and readable: a recording, a report, records, and how far it came.
    let done = records(&out).len();
    assert!((20..FRAMES).contains(&done), "{done}");
    assert!(whole.0.starts_with(&fs::read(out.join("detections.jsonl")).unwrap()));
    assert_eq!(bags::messages(&out.join("detections.mcap")).len(), done);
    let state = run_json(&out);
    assert_eq!(
        (&state["state"], &state["summary"]["frames"]),
        (&"interrupted".into(), &done.into())
    );
    let report = fs::read_to_string(out.join("report.html")).unwrap();
    assert!(report.contains(&format!("Interrupted after {done} frames")));

    // Interrupted again while it goes on, this time by SIGTERM.
    let child = setup.started(&out, words!["--resume"], done + 20);
    signal(&child, "TERM");
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(130));
    let further = records(&out).len();
    assert!((done + 20..FRAMES).contains(&further), "{further} after {done}");

    let ran = run(setup.words(&out, words!["--resume"]), 0);
    assert!(ran.stdout.starts_with(&format!("{FRAMES} frames, ")), "{ran}");
    assert!(results(&out) == whole);
    assert_eq!(run_json(&out)["state"], "done");
    let report = fs::read_to_string(out.join("report.html")).unwrap();
    assert!(report.contains("are of an earlier run"));

    // Of a run that is done nothing is left to do.
    run(setup.words(&out, words!["--resume"]), 0);
    assert!(results(&out) == whole);
}

#[test]
fn a_run_that_was_killed_can_be_gone_on_with() {
    let setup = Setup::new();
    let out = setup.out("out");
    let mut child = setup.started(&out, vec![], 20);

    // While it lives nobody else may write there.
    signal(&child, "STOP");
    run(setup.words(&out, words!["--resume"]), 2).says(&["another owlet is writing there"]);

    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(9));
    assert_eq!(run_json(&out)["state"], "running");
    // Half a line, as a kill in the middle of a write leaves it.
    let mut text = fs::read_to_string(out.join("detections.jsonl")).unwrap();
    text += "{\"topic\":\"/left\",\"stamp_ns\":17";
    fs::write(out.join("detections.jsonl"), text).unwrap();
    run(setup.words(&out, words!["--resume"]), 0);
    assert!(results(&out) == setup.whole());
}

#[test]
fn a_run_of_other_settings_is_not_gone_on_with() {
    let folder = TempDir::new().unwrap();
    let bag = bags::one_camera(folder.path(), 10);
    let out = folder.path().join("out");
    let with =
        |bag: &Path, more: Vec<std::ffi::OsString>, code| run(replay_words(bag, &out, more), code);
    with(&bag, words!["-p", "cat", "--threshold", "0.2"], 0);
    let before = results(&out);
    let refused =
        with(&bag, words!["-p", "cat", "-p", "a dog", "--threshold", "0.3", "--resume"], 2);
    refused.says(&["--resume: the earlier run had other settings", "threshold: 0.2 then, 0.3 now"]);
    refused.says(&["prompts: [", "a dog"]);
    assert!(!refused.stderr.contains("max_batch"), "only what differs: {refused}");

    // Another recording under the same name.
    let other = TempDir::new().unwrap();
    let longer = bags::one_camera(other.path(), 11);
    with(&longer, words!["-p", "cat", "--threshold", "0.2", "--resume"], 2).says(&["bag: {"]);
    assert!(results(&out) == before);

    // The same recording at another place is the same.
    let moved = TempDir::new().unwrap();
    fs::rename(&bag, moved.path().join("bag")).unwrap();
    with(&moved.path().join("bag/"), words!["-p", "cat", "--threshold", "0.2", "--resume"], 0);
    assert!(results(&out) == before);
}

#[test]
fn records_that_do_not_fit_the_recording_are_refused() {
    let folder = TempDir::new().unwrap();
    let bag = bags::one_camera(folder.path(), 10);
    let out = folder.path().join("out");
    let resume = |code| run(replay_words(&bag, &out, words!["-p", "cat", "--resume"]), code);
    // With nothing to go on with it starts.
    resume(0);
    let path = out.join("detections.jsonl");
    let text = fs::read_to_string(&path).unwrap();

    fs::write(&path, text.replace(&bags::stamp(4).to_string(), "44")).unwrap();
    resume(2).says(&["0.000000044", "it is not the same recording"]);
    let longer = text.clone() + text.lines().last().unwrap() + "\n";
    fs::write(&path, longer).unwrap();
    resume(2).says(&["the recording ends 1 frames before"]);
    fs::write(&path, text.replacen("{\"topic\"", "{\"tropic\"", 1)).unwrap();
    resume(1).says(&["detections.jsonl", "line 1", "tropic"]);
}
