//! The folder that a command writes its results to, and what an earlier run left in it.

use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::Path;

use anyhow::Context;

use super::{PARTIAL_SUFFIX, Refused};

/// Holds a folder against other programs of Owlet until it is dropped.
pub(crate) struct FolderLock(#[expect(dead_code, reason = "held, not read")] Option<File>);

impl FolderLock {
    /// Makes the folder where it is missing and holds it. A file system without locks is done
    /// without.
    ///
    /// # Errors
    /// Another program of Owlet that writes there; what the file system reports.
    pub(crate) fn make(folder: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let file =
            File::open(folder).with_context(|| format!("cannot look into {}", folder.display()))?;
        match file.try_lock() {
            Ok(()) => Ok(Self(Some(file))),
            Err(TryLockError::WouldBlock) => {
                let text = format!("{}: another owlet is writing there", folder.display());
                Err(Refused(text).into())
            }
            Err(TryLockError::Error(error)) => {
                tracing::debug!("{} cannot be locked: {error}", folder.display());
                Ok(Self(None))
            }
        }
    }
}

/// Which of the names are in a folder.
pub(crate) fn results_in(folder: &Path, names: &[&'static str]) -> Vec<&'static str> {
    names.iter().copied().filter(|name| folder.join(name).exists()).collect()
}

/// Removes a file that [`replace_file`](super::replace_file) wrote, done or not.
pub(crate) fn remove_written(folder: &Path, name: &str) -> anyhow::Result<()> {
    remove_file(&folder.join(name))?;
    remove_file(&folder.join(format!("{name}{PARTIAL_SUFFIX}")))
}

/// Removes the files that match, and then the folder if nothing else is in it.
pub(crate) fn remove_matching(folder: &Path, matches: impl Fn(&str) -> bool) -> anyhow::Result<()> {
    let failed = || format!("cannot remove {}", folder.display());
    let listing = match fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        listing => listing.with_context(failed)?,
    };
    let mut others = false;
    for entry in listing {
        let entry = entry.with_context(failed)?;
        match entry.file_name().to_str() {
            Some(name) if matches(name) => remove_file(&entry.path())?,
            _ => others = true,
        }
    }
    if others { Ok(()) } else { fs::remove_dir(folder).with_context(failed) }
}

fn remove_file(path: &Path) -> anyhow::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}
