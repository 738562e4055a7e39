//! The Python programs that recordings are exchanged with.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use serde_json::Value;

/// What a script in `tests/peers` prints.
pub(super) fn run(script: &str, argument: &Path) -> String {
    crate::peers::run(script, &[argument])
}

/// The folder of recordings that `write_bags.py` makes, once for each run of the tests.
pub(super) fn bags() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let scratch = Path::new(env!("CARGO_TARGET_TMPDIR")).join("peer_bags");
        std::fs::create_dir_all(&scratch).unwrap();
        // What earlier runs left is cleared away; a run that is still going on keeps its own.
        for old in std::fs::read_dir(&scratch).unwrap() {
            let old = old.unwrap();
            let made = old.metadata().and_then(|about| about.modified());
            let age = made.ok().and_then(|made| SystemTime::now().duration_since(made).ok());
            if age.is_some_and(|age| age > Duration::from_secs(3600)) {
                std::fs::remove_dir_all(old.path()).ok();
            }
        }
        let folder = scratch.join(std::process::id().to_string());
        std::fs::remove_dir_all(&folder).ok();
        run("write_bags.py", &folder);
        folder
    })
}

/// What a reader must find in the recordings.
pub(super) fn expected() -> Value {
    let text = std::fs::read_to_string(bags().join("expected.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}
