//! The program as a user meets it: each test runs the real binary on small checkpoints and small
//! recordings.

mod bags;
mod bank;
mod boxes;
mod detect;
mod detect_refusals;
mod finer;
pub(crate) mod grounding;
mod help;
mod inspect;
mod masks;
mod overlays;
mod pipes;
mod prompts;
mod pull;
mod replay;
mod replay_damage;
mod replay_folder;
mod replay_resume;
mod segment;
mod teach;

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::golden_models::fixture;

/// No command of these tests takes a tenth of it: who is not back by then never comes back.
const TOO_LONG: Duration = Duration::from_secs(120);

/// Words of a command line from texts and paths.
macro_rules! words {
    ($($word:expr),* $(,)?) => {
        vec![$(std::ffi::OsStr::new(&$word).to_owned()),*]
    };
}
pub(crate) use words;

/// Variables that would change what the program does.
const VARIABLES: [&str; 8] = [
    "RUST_LOG",
    "OWLET_MODELS",
    "HF_ENDPOINT",
    "HF_HOME",
    "HF_TOKEN",
    "HF_TOKEN_PATH",
    "HF_HUB_OFFLINE",
    "XDG_DATA_HOME",
];

/// What a command came to.
pub(crate) struct Ran {
    code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// Lines of stdout as JSON.
    pub(crate) fn json_lines(&self) -> Vec<Value> {
        self.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// All of stdout as one JSON value.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self}"))
    }

    /// Whether stderr holds all of the texts; else the test fails and shows it.
    #[track_caller]
    pub(crate) fn says(&self, texts: &[&str]) -> &Self {
        for text in texts {
            assert!(self.stderr.contains(text), "expected {text:?} on stderr of {self}");
        }
        self
    }

    /// The errors on stderr: one, unless something else was expected.
    fn errors(&self) -> usize {
        self.stderr.lines().filter(|line| line.starts_with("error")).count()
    }
}

impl std::fmt::Display for Ran {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { code, stdout, stderr } = self;
        write!(f, "exit code {code}\n-- stdout\n{stdout}\n-- stderr\n{stderr}")
    }
}

/// Takes what the user or the machine has set out of a command's sight: the CPU is the one device
/// that every machine has, and no model of the user's is found.
pub(crate) fn settle(command: &mut Command) {
    for name in VARIABLES {
        command.env_remove(name);
    }
    command.env("HOME", "/nonexistent").env("CUDA_VISIBLE_DEVICES", "");
    // Many programs run at once here, each on a network of which one thread makes short work.
    command.env("OMP_NUM_THREADS", "1");
}

/// The program with these words, for tests that handle the process themselves.
fn process(words: &[OsString]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_owlet"));
    settle(&mut command);
    command.args(words).stdin(Stdio::null());
    command
}

/// The program with these words, ended where it hangs.
fn owlet(words: &[OsString]) -> assert_cmd::Command {
    let mut command = assert_cmd::Command::from_std(process(words));
    command.timeout(TOO_LONG);
    command
}

/// Runs a command to its end and holds its exit code.
#[track_caller]
fn ends(mut command: assert_cmd::Command, code: i32) -> Ran {
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let ran = Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: text(&output.stdout),
        stderr: text(&output.stderr),
    };
    assert!(!ran.stderr.contains("panicked"), "{ran}");
    assert_eq!(ran.code, code, "{ran}");
    ran
}

/// Runs a command line and holds its exit code.
#[track_caller]
pub(crate) fn run(words: Vec<OsString>, code: i32) -> Ran {
    ends(owlet(&words), code)
}

/// The words of `detect` with the small OWL-ViT.
pub(crate) fn detect_words(images: &[&Path], more: Vec<OsString>) -> Vec<OsString> {
    let mut words = words!["detect", "--model", fixture("owlvit_tiny")];
    words.extend(images.iter().map(OsString::from));
    words.extend(more);
    words
}

/// The words of `replay` with the small OWL-ViT, quiet.
fn replay_words(bag: &Path, out: &Path, more: Vec<OsString>) -> Vec<OsString> {
    let mut words = words!["replay", bag, "--model", fixture("owlvit_tiny"), "--out", out, "-q"];
    words.extend(more);
    words
}

/// One of the pictures that the golden values were made from.
pub(crate) fn picture(name: &str) -> PathBuf {
    fixture("owl_images").join(name)
}

/// The recording that comes with the source.
fn gallery() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/gallery")
}

/// A copy of a small checkpoint that a test may spoil.
fn checkpoint(name: &str) -> TempDir {
    let copy = TempDir::new().unwrap();
    for entry in fs::read_dir(fixture(name)).unwrap().map(Result::unwrap) {
        if entry.path().is_file() {
            fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
        }
    }
    copy
}

/// The names in a folder, sorted.
pub(crate) fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    let mut names: Vec<_> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// The keys of a JSON object, in their order.
pub(crate) fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

/// Scores in the order of the list.
fn scores(detections: &Value) -> Vec<f64> {
    let list = detections.as_array().unwrap();
    list.iter().map(|detection| detection["score"].as_f64().unwrap()).collect()
}

/// The prompts of detections, in the order of the list.
fn names(detections: &Value) -> Vec<&str> {
    let list = detections.as_array().unwrap();
    list.iter().map(|detection| detection["prompt"].as_str().unwrap()).collect()
}

/// A text as the word of a command line that is no text everywhere.
fn odd_name() -> &'static OsStr {
    use std::os::unix::ffi::OsStrExt;
    OsStr::from_bytes(b"k\xfcche.png")
}
