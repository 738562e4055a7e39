//! The Python programs that Owlet is held against.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The Python that has the packages of `tests/peers/requirements.txt`.
pub(crate) fn python() -> PathBuf {
    if let Some(python) = std::env::var_os("OWLET_TEST_PYTHON") {
        return python.into();
    }
    let made_by_make = Path::new(env!("CARGO_MANIFEST_DIR")).join(".cache/venv/bin/python");
    assert!(made_by_make.exists(), "run `make test` once, it sets up the Python peers");
    made_by_make
}

/// What a script in `tests/peers` prints.
pub(crate) fn run(script: &str, arguments: &[&Path]) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers").join(script);
    let python = python();
    let output = Command::new(&python)
        .arg("-B")
        .arg(&path)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}", python.display()));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script} failed:\n{stderr}");
    String::from_utf8(output.stdout).unwrap()
}
