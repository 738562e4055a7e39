//! The manifest that a download leaves in a model's folder: where it came from and what its
//! files were.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::HubError;
use super::dir::{is_bookkeeping, is_checkpoint_path, read_json};

/// Its name in the folder.
pub const MANIFEST_FILE: &str = "owlet-manifest.json";

/// Raised when a field changes its meaning.
const FORMAT: u32 = 1;

/// Where a checkpoint came from and what its files were when it came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of this format.
    pub format: u32,
    /// `owner/name` on the hub.
    pub repo: String,
    /// What was asked for: a branch, a tag, a commit; `main` where nothing was.
    pub revision: String,
    /// The commit that it was then.
    pub commit: String,
    /// When it was fetched, in seconds since 1970.
    pub pulled_unix_secs: u64,
    /// Every file that was fetched, sorted by path.
    pub files: Vec<ManifestFile>,
}

/// One file of a [`Manifest`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestFile {
    /// Its path in the folder.
    pub path: String,
    /// Its size.
    pub size_bytes: u64,
    /// SHA-256 of its bytes, in lower-case hexadecimal.
    pub sha256: String,
    /// The hub's ETag: the SHA-256 of a large file, the git blob id of a small one.
    pub etag: String,
}

impl Manifest {
    pub(super) fn new(repo: &str, revision: &str, commit: &str, files: Vec<ManifestFile>) -> Self {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Self {
            format: FORMAT,
            repo: repo.to_owned(),
            revision: revision.to_owned(),
            commit: commit.to_owned(),
            pulled_unix_secs: now.map_or(0, |since| since.as_secs()),
            files,
        }
    }

    /// Reads the manifest of a folder; `None` where there is none.
    pub(super) fn read(folder: &Path) -> Result<Option<Self>, HubError> {
        let path = folder.join(MANIFEST_FILE);
        if !path.exists() {
            return Ok(None);
        }
        let manifest: Self = read_json(&path)?;
        let bad = |why| HubError::BadFile { path: path.clone(), why };
        if manifest.format != FORMAT {
            return Err(bad(format!("format {} (this version reads {FORMAT})", manifest.format)));
        }
        let mut seen = BTreeSet::new();
        for file in &manifest.files {
            if !is_checkpoint_path(&file.path) || is_bookkeeping(&file.path) {
                let listed_in = path.display().to_string();
                return Err(HubError::UnsafeFileName { listed_in, name: file.path.clone() });
            }
            if !seen.insert(&file.path) {
                return Err(bad(format!("{} is listed twice", file.path)));
            }
        }
        Ok(Some(manifest))
    }

    pub(super) fn write(&self, folder: &Path) -> Result<(), HubError> {
        write_json(&folder.join(MANIFEST_FILE), self)
    }

    /// What it says of one file.
    #[must_use]
    pub fn file(&self, path: &str) -> Option<&ManifestFile> {
        self.files.iter().find(|file| file.path == path)
    }
}

/// Writes JSON so that a reader sees the old file or the new one, never a part.
pub(super) fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<(), HubError> {
    let failed = |source| HubError::io("write", path, source);
    let mut text = serde_json::to_string_pretty(value)
        .map_err(|error| HubError::BadFile { path: path.to_owned(), why: error.to_string() })?;
    text.push('\n');
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = path.with_file_name(name);
    let mut file = File::create(&new).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    file.sync_all().map_err(failed)?;
    drop(file);
    fs::rename(&new, path).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Manifest {
        let file = |path: &str| ManifestFile {
            path: path.to_owned(),
            size_bytes: 3,
            sha256: "a".repeat(64),
            etag: "b".repeat(40),
        };
        let files = vec![file("config.json"), file("model.safetensors")];
        Manifest::new("google/x", "main", &"c".repeat(40), files)
    }

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Manifest::read(folder.path()).unwrap(), None);
        sample().write(folder.path()).unwrap();
        assert_eq!(Manifest::read(folder.path()).unwrap(), Some(sample()));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_manifest_that_cannot_be_trusted_is_refused() {
        let refused = |manifest: &Manifest| {
            let folder = tempfile::tempdir().unwrap();
            manifest.write(folder.path()).unwrap();
            Manifest::read(folder.path()).unwrap_err()
        };
        let mut later = sample();
        later.format = 2;
        assert!(matches!(refused(&later), HubError::BadFile { .. }));
        for path in ["../x", "/etc/passwd", MANIFEST_FILE] {
            let mut outside = sample();
            outside.files[0].path = path.to_owned();
            assert!(matches!(refused(&outside), HubError::UnsafeFileName { .. }), "{path}");
        }
        let mut twice = sample();
        twice.files[1].path = "config.json".to_owned();
        assert!(matches!(refused(&twice), HubError::BadFile { .. }));
    }
}
