//! The simulated camera of `sim/`, run for real: what it says about its pictures is true.

mod bags;
mod dataset;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::peers;

/// Python with the simulator's packages and modules, or `None` with a word about it: MuJoCo is
/// made for Python 3.11 and newer, Owlet's other peers for 3.10, too.
pub(crate) fn python() -> Option<Command> {
    let mut python = Command::new(peers::python());
    let is_new = "import sys; sys.exit(sys.version_info < (3, 11))";
    if !Command::new(peers::python()).args(["-c", is_new]).status().unwrap().success() {
        println!("skipped: the simulator needs Python 3.11 or newer");
        return None;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    python.arg("-B").env("PYTHONPATH", root.join("sim")).env_remove("MUJOCO_GL");
    Some(python)
}

/// Stdout of a command that must succeed.
fn output_of(mut command: Command) -> String {
    let output = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} failed:\n{stderr}");
    String::from_utf8(output.stdout).unwrap()
}

/// Runs a command line of the simulator; `false` where this machine's Python is too old for it.
fn simulates<W: AsRef<OsStr>>(words: impl IntoIterator<Item = W>) -> bool {
    let Some(mut python) = python() else { return false };
    python.args(["-m", "owlet_sim"]).args(words);
    output_of(python);
    true
}

/// Those of the names (`red bowl`) that stand for a combination which training never sees.
fn unseen_among(names: &BTreeSet<String>) -> Option<String> {
    let mut python = python()?;
    let question = "import sys; from owlet_sim.vocabulary import is_unseen; \
                    print(*(n for n in sys.argv[1:] if is_unseen(*reversed(n.split()))), sep=', ')";
    python.args(["-c", question]).args(names);
    Some(output_of(python).trim().to_owned())
}

#[test]
fn wrong_words_are_refused_with_the_right_ones() {
    let Some(mut python) = python() else { return };
    let words = ["bag", "nowhere", "--things", "red bowl, crimson bowl, red", "--rate", "5"];
    let output = python.args(["-m", "owlet_sim"]).args(words).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("'crimson bowl', 'red'; materials: plastic"), "{stderr}");
}

#[test]
fn the_simulator_is_tested_with_the_versions_that_it_asks_for() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let pins = |path: &str| -> BTreeSet<String> {
        let text = fs::read_to_string(root.join(path)).unwrap();
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        lines.map(|line| line.split(';').next().unwrap().trim().to_owned()).collect()
    };
    let (wanted, tested) = (pins("sim/requirements.txt"), pins("tests/peers/requirements.txt"));
    assert!(wanted.iter().any(|pin| pin.starts_with("mujoco==")), "{wanted:?}");
    assert!(wanted.is_subset(&tested), "not tested with: {:?}", wanted.difference(&tested));
}
