//! `bank.json`.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::BankError;

/// The manifest's file name.
pub(super) const MANIFEST_FILE: &str = "bank.json";

/// The form of banks that is written and read.
pub(super) const FORMAT: u32 = 2;

/// A manifest has half a kilobyte for each segment.
const MAX_MANIFEST_BYTES: u64 = 4 << 20;

/// An encoder that vectors come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EncoderId {
    /// The name or folder that it was asked for by: for people, and not compared.
    pub name: String,
    /// SHA-256 of its weights, in hex.
    pub sha256: String,
    /// Numbers in its vectors.
    pub dimension: usize,
}

impl EncoderId {
    /// The most numbers in a vector.
    pub const MAX_DIMENSION: usize = 1 << 14;

    /// Whether the other gives the same vectors.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        self.sha256 == other.sha256 && self.dimension == other.dimension
    }
}

impl fmt::Display for EncoderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, sha256, dimension } = self;
        write!(f, "{name} (sha256 {sha256}, {dimension} numbers)")
    }
}

/// A file of a bank.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRecord {
    /// Its name in the bank's folder.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// SHA-256 of its bytes, in hex.
    pub sha256: String,
}

/// What a bank says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BankManifest {
    /// The form in which the bank is kept.
    pub format: u32,
    /// Counts up each time that the bank is saved.
    pub generation: u64,
    /// What pictures were encoded with.
    pub image_encoder: EncoderId,
    /// What captions were encoded with.
    pub text_encoder: EncoderId,
    /// Pairs that are kept of each description.
    pub k: usize,
    /// The power that similarities are raised to.
    pub p: f64,
    /// How much of the surroundings of regions was looked at; see [`Bank::margin`](super::Bank::margin).
    pub margin: f32,
    /// How many pairs there are.
    pub pairs: usize,
    /// The id of the pair that is added next.
    pub next_id: u64,
    /// The pairs, in the order of rows.
    pub segments: Vec<SegmentRecord>,
}

/// The files of some pairs that follow each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentRecord {
    /// How many pairs.
    pub pairs: usize,
    /// The vectors of both sides.
    pub embeddings: FileRecord,
    /// Ids, captions and origins.
    pub origins: FileRecord,
    /// Small JPEGs, where pairs have some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thumbnails: Option<FileRecord>,
}

impl SegmentRecord {
    /// Its files.
    pub fn files(&self) -> impl Iterator<Item = &FileRecord> {
        [&self.embeddings, &self.origins].into_iter().chain(&self.thumbnails)
    }
}

impl BankManifest {
    /// Reads the manifest of a folder; no other file is looked at.
    ///
    /// # Errors
    /// A folder without a manifest, a manifest that is damaged or of a later version.
    pub fn read(folder: &Path) -> Result<Self, BankError> {
        let path = folder.join(MANIFEST_FILE);
        let mut text = String::new();
        let read = File::open(&path)
            .and_then(|file| file.take(MAX_MANIFEST_BYTES + 1).read_to_string(&mut text));
        let damaged = |reason: String| BankError::Damaged { path: path.clone(), reason };
        match read {
            Ok(_) => {}
            Err(error) if is_missing(&error) => {
                return Err(BankError::NotABank { folder: folder.to_owned() });
            }
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                return Err(damaged("it is not UTF-8".to_owned()));
            }
            Err(error) => return Err(BankError::io("read", &path)(error)),
        }
        if text.len() as u64 > MAX_MANIFEST_BYTES {
            return Err(damaged(format!("it has more than {MAX_MANIFEST_BYTES} bytes")));
        }
        #[derive(Deserialize)]
        struct Head {
            format: u32,
        }
        let Head { format } =
            serde_json::from_str(&text).map_err(|error| damaged(error.to_string()))?;
        if format != FORMAT {
            return Err(BankError::Format { path, known: FORMAT, found: format });
        }
        let manifest: Self =
            serde_json::from_str(&text).map_err(|error| damaged(error.to_string()))?;
        for file in manifest.files() {
            let name = Path::new(&file.name);
            if name.file_name() != Some(name.as_os_str()) {
                return Err(damaged(format!("{:?} is no name of a file beside it", file.name)));
            }
        }
        Ok(manifest)
    }

    /// All other files of the bank.
    pub fn files(&self) -> impl Iterator<Item = &FileRecord> {
        self.segments.iter().flat_map(SegmentRecord::files)
    }

    /// Path of the manifest in a folder.
    pub(super) fn path(folder: &Path) -> PathBuf {
        folder.join(MANIFEST_FILE)
    }
}

fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}
