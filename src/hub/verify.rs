//! The check of a checkpoint's files against its manifest.
//!
//! Hashing gigabytes at every start would cost seconds, so a file whose bytes were found right is
//! remembered together with its size, inode, modification and change time. While all of these
//! stay, it is not hashed again. The change time cannot be set by a program, so that a copy over
//! the file or an edit with the old modification time put back is seen. Bytes that rot on the
//! disk without any write are found by [`Verify::Full`] only.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::HubError;
use super::digest::sha256_of;
use super::dir::read_json;
use super::manifest::{Manifest, ManifestFile, write_json};

/// What was found right, in the model's folder.
pub(super) const VERIFIED_FILE: &str = "owlet-verified.json";

/// A file that changed this short a time before it was hashed is hashed again next time: file
/// systems count time in steps, and a write within the same step would not be seen. (FAT has the
/// longest step, two seconds.)
const SETTLED_AFTER: Duration = Duration::from_secs(2);

/// How thoroughly files are compared with the manifest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verify {
    /// Sizes, and the SHA-256 of every file that changed since it was last found right.
    #[default]
    IfChanged,
    /// Sizes, and the SHA-256 of every file.
    Full,
    /// Sizes only; [`Verification::unchecked`] tells how many files would have to be hashed.
    SizesOnly,
}

/// What a check did. It is only given for files that passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verification {
    /// Whether there was a manifest to compare with.
    pub has_manifest: bool,
    /// Files whose SHA-256 was computed now.
    pub hashed: usize,
    /// Bytes of these.
    pub hashed_bytes: u64,
    /// Files that did not change since they were found right.
    pub unchanged: usize,
    /// Files of which only the size was compared.
    pub unchecked: usize,
}

impl Verification {
    pub(super) fn no_manifest() -> Self {
        Self { has_manifest: false, hashed: 0, hashed_bytes: 0, unchanged: 0, unchecked: 0 }
    }
}

/// A file as it was when its bytes were right.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    sha256: String,
    size_bytes: u64,
    inode: u64,
    modified_ns: i64,
    changed_ns: i64,
}

impl Seen {
    fn new(sha256: &str, metadata: &Metadata) -> Self {
        // 64 bits of nanoseconds last until 2262.
        let ns = |secs: i64, ns: i64| secs.saturating_mul(1_000_000_000).saturating_add(ns);
        Self {
            sha256: sha256.to_owned(),
            size_bytes: metadata.len(),
            inode: metadata.ino(),
            modified_ns: ns(metadata.mtime(), metadata.mtime_nsec()),
            changed_ns: ns(metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    fn is_settled(&self, before_hashing: SystemTime, settled_after: Duration) -> bool {
        let now = before_hashing.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let Ok(limit_ns) = i64::try_from(now.saturating_sub(settled_after).as_nanos()) else {
            return false;
        };
        self.changed_ns < limit_ns && self.modified_ns < limit_ns
    }
}

type SeenFiles = BTreeMap<String, Seen>;

pub(super) fn verify(
    folder: &Path,
    manifest: &Manifest,
    how: Verify,
) -> Result<Verification, HubError> {
    verify_settled(folder, manifest, how, SETTLED_AFTER)
}

fn verify_settled(
    folder: &Path,
    manifest: &Manifest,
    how: Verify,
    settled_after: Duration,
) -> Result<Verification, HubError> {
    let record = folder.join(VERIFIED_FILE);
    // A record that cannot be read only means that everything is hashed.
    let known: SeenFiles = match how {
        Verify::Full => SeenFiles::new(),
        Verify::IfChanged | Verify::SizesOnly => read_json(&record).unwrap_or_default(),
    };
    let mut seen_files = SeenFiles::new();
    let mut done = Verification { has_manifest: true, ..Verification::no_manifest() };
    // Sizes first: a truncated file is found before gigabytes are hashed.
    let all_metadata: Vec<_> =
        manifest.files.iter().map(|file| check_size(folder, file)).collect::<Result<_, _>>()?;
    for (file, metadata) in manifest.files.iter().zip(all_metadata) {
        let seen = Seen::new(&file.sha256, &metadata);
        if known.get(&file.path) == Some(&seen) {
            done.unchanged += 1;
            seen_files.insert(file.path.clone(), seen);
            continue;
        }
        if how == Verify::SizesOnly {
            done.unchecked += 1;
            continue;
        }
        let path = folder.join(&file.path);
        let before_hashing = SystemTime::now();
        let found_sha256 = sha256_of(&path)?;
        if found_sha256 != file.sha256 {
            let expected_sha256 = file.sha256.clone();
            return Err(HubError::DigestChanged { path, expected_sha256, found_sha256 });
        }
        done.hashed += 1;
        done.hashed_bytes += file.size_bytes;
        if seen.is_settled(before_hashing, settled_after) {
            seen_files.insert(file.path.clone(), seen);
        }
    }
    if how != Verify::SizesOnly && seen_files != known {
        // A folder that is read only is hashed at every start; that is slow and not wrong.
        if let Err(error) = write_json(&record, &seen_files) {
            tracing::debug!("what was verified cannot be remembered: {error}");
        }
    }
    Ok(done)
}

fn check_size(folder: &Path, file: &ManifestFile) -> Result<Metadata, HubError> {
    let path = folder.join(&file.path);
    let metadata = match fs::metadata(&path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let missing = vec![file.path.clone()];
            let folder = folder.to_owned();
            return Err(HubError::Incomplete { folder, missing, pickles: Vec::new() });
        }
        Err(error) => return Err(HubError::io("look at", &path, error)),
    };
    if metadata.len() == file.size_bytes {
        return Ok(metadata);
    }
    let (expected_bytes, found_bytes) = (file.size_bytes, metadata.len());
    Err(HubError::SizeChanged { path, expected_bytes, found_bytes })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    struct Model {
        folder: tempfile::TempDir,
        manifest: Manifest,
    }

    impl Model {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let mut files = Vec::new();
            for (name, text) in [("config.json", "{}"), ("model.safetensors", "weights")] {
                let path = folder.path().join(name);
                fs::write(&path, text).unwrap();
                files.push(ManifestFile {
                    path: name.to_owned(),
                    size_bytes: text.len() as u64,
                    sha256: sha256_of(&path).unwrap(),
                    etag: String::new(),
                });
            }
            Self { folder, manifest: Manifest::new("a/b", "main", "", files) }
        }

        fn weights(&self) -> PathBuf {
            self.folder.path().join("model.safetensors")
        }

        /// With no wait for the file system's clock: the tests change sizes, inodes or contents
        /// far enough apart.
        fn verify(&self, how: Verify) -> Result<Verification, HubError> {
            std::thread::sleep(Duration::from_millis(30));
            verify_settled(self.folder.path(), &self.manifest, how, Duration::from_millis(20))
        }
    }

    #[test]
    fn what_was_found_right_is_not_hashed_again_until_it_changes() {
        let model = Model::new();
        assert_eq!(model.verify(Verify::SizesOnly).unwrap().unchecked, 2);
        assert_eq!(model.verify(Verify::IfChanged).unwrap().hashed, 2);
        let second = model.verify(Verify::IfChanged).unwrap();
        assert_eq!((second.hashed, second.unchanged), (0, 2));
        assert_eq!(model.verify(Verify::SizesOnly).unwrap().unchecked, 0);
        let full = model.verify(Verify::Full).unwrap();
        assert_eq!((full.hashed, full.hashed_bytes), (2, 9));

        // The same bytes written anew: hashed once more, and right.
        fs::write(model.weights(), "weights").unwrap();
        let third = model.verify(Verify::IfChanged).unwrap();
        assert_eq!((third.hashed, third.unchanged), (1, 1));
    }

    #[test]
    fn a_flipped_byte_is_found_though_size_and_modification_time_are_the_old_ones() {
        let model = Model::new();
        model.verify(Verify::IfChanged).unwrap();
        let modified = fs::metadata(model.weights()).unwrap().modified().unwrap();
        fs::write(model.weights(), "weighty").unwrap();
        let file = fs::File::options().write(true).open(model.weights()).unwrap();
        file.set_modified(modified).unwrap();
        drop(file);
        let error = model.verify(Verify::IfChanged).unwrap_err();
        let text = error.to_string();
        let HubError::DigestChanged { path, expected_sha256, found_sha256 } = error else {
            panic!("{error:?}");
        };
        assert_eq!(path, model.weights());
        assert_eq!(expected_sha256, model.manifest.files[1].sha256);
        assert_eq!(found_sha256, sha256_of(&model.weights()).unwrap());
        assert!(text.contains(&expected_sha256) && text.contains(&found_sha256), "{text}");
    }

    #[test]
    fn a_truncated_or_missing_file_is_named() {
        let model = Model::new();
        model.verify(Verify::IfChanged).unwrap();
        fs::write(model.weights(), "w").unwrap();
        for how in [Verify::IfChanged, Verify::Full, Verify::SizesOnly] {
            let error = model.verify(how).unwrap_err();
            let HubError::SizeChanged { expected_bytes: 7, found_bytes: 1, .. } = error else {
                panic!("{error:?}");
            };
        }
        fs::remove_file(model.weights()).unwrap();
        let error = model.verify(Verify::IfChanged).unwrap_err();
        assert!(matches!(error, HubError::Incomplete { .. }), "{error:?}");
    }

    #[test]
    fn a_file_that_has_just_changed_is_not_remembered() {
        let model = Model::new();
        let check = || {
            let wait = Duration::from_secs(3600);
            verify_settled(model.folder.path(), &model.manifest, Verify::IfChanged, wait).unwrap()
        };
        assert_eq!(check().hashed, 2);
        assert_eq!(check().hashed, 2);
    }

    #[test]
    fn a_damaged_record_only_costs_time() {
        let model = Model::new();
        model.verify(Verify::IfChanged).unwrap();
        fs::write(model.folder.path().join(VERIFIED_FILE), "{").unwrap();
        assert_eq!(model.verify(Verify::IfChanged).unwrap().hashed, 2);
        assert_eq!(model.verify(Verify::IfChanged).unwrap().unchanged, 2);
    }
}
