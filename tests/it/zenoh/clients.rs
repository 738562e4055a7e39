//! The example clients, against a node and a router.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::{Node, are_alike, detected, router};
use crate::cli::picture;
use crate::peers::python;

/// What a client prints: one JSON value on each line.
fn lines(command: &mut Command) -> Vec<Value> {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {stderr}");
    let stdout = String::from_utf8(output.stdout).unwrap();
    stdout.lines().map(|line| super::json(line.as_bytes())).collect()
}

/// Asks a client for all that it can do.
fn speaks(mut client: Command, name: &str) {
    let node = Node::start(name, &["-p", "cat"]);
    let path = picture("square.png");
    client.args(["--node", name, "--connect", router(), "--prompt", "a dog", "--prompt", "cat"]);
    let [prompts, answer, found] = lines(client.arg(&path)).try_into().expect("three lines");
    let expected = detected(&path, &["-p", "a dog", "-p", "cat"]);
    assert_eq!(prompts["version"], 2);
    are_alike(&answer["detections"], &expected);
    are_alike(&found["detections"], &expected);
    assert_eq!(found["topic"], node.key("camera/example/image"));
    assert_eq!((&found["stamp_from"], &found["frame_id"]), (&"camera".into(), &"example".into()));
}

#[test]
fn the_python_client_speaks_with_the_node() {
    let mut client = Command::new(python());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/zenoh_client.py");
    client.arg("-B").arg(script);
    speaks(client, "python");
}

#[test]
fn the_rust_client_speaks_with_the_node() {
    let deps: PathBuf = std::env::current_exe().unwrap().parent().unwrap().to_owned();
    // Built by a plain `cargo test`. To call cargo here would build crates anew whose build scripts
    // look at the environment, which is another one inside a test.
    let client = deps.with_file_name("examples").join("zenoh_client");
    assert!(client.exists(), "run `cargo build --example zenoh_client` first");
    speaks(Command::new(client), "rust");
}
