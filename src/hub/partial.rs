//! The folder of a download that has not ended: what is in it, and what of it can be used.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::HubError;
use super::answer::RemoteFile;
use super::digest::HubDigest;
use super::dir::{entries, read_json};
use super::manifest::{Manifest, write_json};

/// What an unfinished folder was to hold.
pub(super) const STATE_FILE: &str = "owlet-pull.json";

/// What the hub announced of the files that lie in an unfinished folder.
#[derive(Default, Serialize, Deserialize)]
struct State {
    files: BTreeMap<String, StateFile>,
}

#[derive(PartialEq, Eq, Serialize, Deserialize)]
struct StateFile {
    size_bytes: u64,
    etag: String,
}

/// An unfinished folder.
pub(super) struct Partial<'a> {
    path: &'a Path,
    state: State,
}

impl<'a> Partial<'a> {
    pub(super) fn open(path: &'a Path) -> Result<Self, HubError> {
        fs::create_dir_all(path).map_err(|source| HubError::io("make the folder", path, source))?;
        // Without a state that can be read nothing there is trusted, and it is fetched anew.
        let state = read_json(&path.join(STATE_FILE)).unwrap_or_default();
        Ok(Self { path, state })
    }

    /// Prepares to fetch files: what is there of another version is deleted, and what the model's
    /// folder holds of the same version is linked in. Returns how many bytes are there.
    pub(super) fn admit(
        &mut self,
        files: &[RemoteFile],
        before: &Path,
        manifest_before: Option<&Manifest>,
    ) -> Result<u64, HubError> {
        let mut present_bytes = 0;
        for file in files {
            let path = self.path.join(&file.path);
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)
                    .map_err(|source| HubError::io("make the folder", parent, source))?;
            }
            let announced = StateFile { size_bytes: file.size_bytes, etag: file.etag.clone() };
            if self.state.files.get(&file.path) != Some(&announced) {
                remove_file(&path)?;
                self.state.files.insert(file.path.clone(), announced);
            }
            if !path.exists()
                && let Some(known) = manifest_before.and_then(|before| before.file(&file.path))
                && known.etag == file.etag
                // Only where the bytes are compared with the hub's digest later.
                && HubDigest::from_etag(&file.etag) != HubDigest::Opaque
            {
                link(&before.join(&file.path), &path, file.size_bytes);
            }
            present_bytes += fs::metadata(&path).map_or(0, |m| m.len()).min(file.size_bytes);
        }
        write_json(&self.path.join(STATE_FILE), &self.state)?;
        Ok(present_bytes)
    }

    /// Deletes what belongs to no file of this download.
    pub(super) fn keep_only(&self, files: &[RemoteFile]) -> Result<(), HubError> {
        let mut kept: BTreeSet<&str> = files.iter().map(|file| file.path.as_str()).collect();
        kept.insert(STATE_FILE);
        self.keep_below(self.path, &kept)
    }

    fn keep_below(&self, folder: &Path, kept: &BTreeSet<&str>) -> Result<(), HubError> {
        for entry in entries(folder)? {
            let inside = entry.strip_prefix(self.path).ok().and_then(Path::to_str);
            let name = inside.unwrap_or_default();
            // A link to a folder is not followed.
            if entry.is_dir() && !entry.is_symlink() {
                if kept.iter().any(|path| Path::new(path).starts_with(name)) {
                    self.keep_below(&entry, kept)?;
                }
            } else if !kept.contains(name) {
                remove_file(&entry)?;
            }
        }
        Ok(())
    }
}

/// A whole file of the revision before, under a second name; a copy where links cannot be made.
/// Where neither works it is fetched.
fn link(from: &Path, to: &Path, size_bytes: u64) {
    let is_whole = fs::metadata(from).is_ok_and(|m| m.is_file() && m.len() == size_bytes);
    if is_whole && fs::hard_link(from, to).is_err() && fs::copy(from, to).is_err() {
        let _ = fs::remove_file(to);
    }
}

/// Deletes a file that may not be there.
pub(super) fn remove_file(path: &Path) -> Result<(), HubError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(HubError::io("delete", path, error))
        }
        _ => Ok(()),
    }
}
