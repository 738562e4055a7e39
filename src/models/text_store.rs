//! Encoded texts on disk, so that a node that starts again need not encode them.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

use sha2::{Digest as _, Sha256};
use tch::{Device, Kind};

use crate::nn::kind_name;

/// Texts of one model that are kept: at most 70 MB of vectors of 1024 numbers.
const MAX_FILES: usize = 16_384;
/// The longest vector that is read.
const MAX_VALUES: usize = 1 << 16;
const DIGEST_BYTES: usize = 32;

/// Where the encoded texts of a model are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextStoreOptions {
    /// The folder, for all models.
    pub folder: PathBuf,
    /// What tells the weights from any others.
    pub weights: String,
}

impl TextStoreOptions {
    /// The store of the model that has these weights in `kind` on `device`; `None`, and a warning,
    /// where it cannot be opened: a node does without.
    #[must_use]
    pub fn open(&self, device: Device, kind: Kind) -> Option<TextStore> {
        let Self { folder, weights } = self;
        let device = if device.is_cuda() { "cuda" } else { "cpu" };
        let model = format!("{weights} in {} on {device}", kind_name(kind));
        TextStore::open(folder, &model)
            .inspect_err(|error| {
                tracing::warn!("encoded texts are not kept: {}: {error}", folder.display());
            })
            .ok()
    }
}

/// A folder with one small file for each text that a model has encoded: a SHA-256 of what follows,
/// and the vector, f32 in little endian. Named after the token ids, so whatever a tokenizer makes
/// the same is found again.
///
/// It saves time and is never needed: a file that is missing, cut or of something else is as if the
/// text had not been seen, and where nothing can be written nothing is.
#[derive(Debug)]
pub struct TextStore {
    folder: PathBuf,
    /// Files of the folder, as far as this process knows.
    files: AtomicUsize,
}

impl TextStore {
    /// The texts of one model in `cache`, which is made. `model` tells its weights, their number
    /// format and the kind of device from all others: vectors of one are not bit for bit those of
    /// another. Where there are too many, the older half goes.
    ///
    /// # Errors
    /// A folder that cannot be made or read.
    pub fn open(cache: &Path, model: &str) -> io::Result<Self> {
        let folder = cache.join(&hex(&Sha256::digest(model))[..32]);
        fs::create_dir_all(&folder)?;
        let mut files: Vec<_> =
            fs::read_dir(&folder)?.flatten().map(|entry| entry.path()).collect();
        if files.len() >= MAX_FILES {
            files.sort_by_cached_key(|path| {
                let about = path.metadata();
                about.and_then(|about| about.modified()).unwrap_or(SystemTime::UNIX_EPOCH)
            });
            let older: Vec<_> = files.drain(..MAX_FILES / 2).collect();
            for path in older {
                fs::remove_file(path)?;
            }
        }
        Ok(Self { folder, files: AtomicUsize::new(files.len()) })
    }

    /// The vector of a text by its token ids.
    pub(super) fn read(&self, ids: &[i64]) -> Option<Vec<f32>> {
        let bytes = fs::read(self.path(ids)).ok()?;
        let (digest, values) = bytes.split_at_checked(DIGEST_BYTES)?;
        let whole = values.len() % 4 == 0 && values.len() <= 4 * MAX_VALUES && !values.is_empty();
        (whole && *Sha256::digest(values) == *digest).then(|| {
            let value = |bytes: &[u8]| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
            values.chunks_exact(4).map(value).collect()
        })
    }

    /// Keeps the vector of a text.
    pub(super) fn write(&self, ids: &[i64], vector: &[f32]) {
        if self.files.load(Ordering::Relaxed) >= MAX_FILES {
            return;
        }
        match self.try_write(&self.path(ids), vector) {
            Ok(()) => drop(self.files.fetch_add(1, Ordering::Relaxed)),
            Err(error) => {
                // One sentence for a disk that is full, not one for each text.
                self.files.store(MAX_FILES, Ordering::Relaxed);
                tracing::warn!(
                    "encoded texts are not kept any more: cannot write into {}: {error}",
                    self.folder.display()
                );
            }
        }
    }

    fn try_write(&self, path: &Path, vector: &[f32]) -> io::Result<()> {
        let values: Vec<u8> = vector.iter().flat_map(|value| value.to_le_bytes()).collect();
        // Another process may write the same at the same time: each has its own, and the last that
        // is put in place wins.
        let partial = path.with_extension(format!("part{}", std::process::id()));
        let mut file = fs::File::create(&partial)?;
        file.write_all(&Sha256::digest(&values))?;
        file.write_all(&values)?;
        drop(file);
        fs::rename(&partial, path)
    }

    fn path(&self, ids: &[i64]) -> PathBuf {
        let mut hasher = Sha256::new();
        for id in ids {
            hasher.update(id.to_le_bytes());
        }
        self.folder.join(hex(&hasher.finalize()))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_damaged_is_as_if_it_were_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let store = TextStore::open(folder.path(), "model").unwrap();
        let vector = [0.5_f32, -1.0, f32::MIN_POSITIVE];
        assert_eq!(store.read(&[1, 2]), None);
        store.write(&[1, 2], &vector);
        assert_eq!(store.read(&[1, 2]).as_deref(), Some(&vector[..]));
        assert_eq!(store.read(&[2, 1]), None);
        let path = store.path(&[1, 2]);
        let good = fs::read(&path).unwrap();
        let mut changed = good.clone();
        changed[DIGEST_BYTES] ^= 1;
        for bad in [&good[..good.len() - 4], &good[..good.len() - 1], &good[..7], &changed, &[]] {
            fs::write(&path, bad).unwrap();
            assert_eq!(store.read(&[1, 2]), None);
        }
        // It is written again.
        store.write(&[1, 2], &vector);
        assert!(store.read(&[1, 2]).is_some());
    }

    #[test]
    fn a_store_that_is_full_makes_room_when_it_is_opened() {
        let folder = tempfile::tempdir().unwrap();
        let store = TextStore::open(folder.path(), "model").unwrap();
        for n in 0..MAX_FILES {
            fs::write(store.folder.join(n.to_string()), []).unwrap();
        }
        let store = TextStore::open(folder.path(), "model").unwrap();
        assert_eq!(fs::read_dir(&store.folder).unwrap().count(), MAX_FILES / 2);
        store.write(&[1], &[1.0]);
        assert!(store.read(&[1]).is_some());
    }

    #[test]
    fn where_nothing_can_be_written_nothing_is() {
        let folder = tempfile::tempdir().unwrap();
        let store = TextStore::open(folder.path(), "model").unwrap();
        fs::remove_dir_all(&store.folder).unwrap();
        store.write(&[1], &[1.0]);
        assert_eq!(store.read(&[1]), None);
        assert!(TextStore::open(Path::new("/dev/null"), "model").is_err());
    }
}
