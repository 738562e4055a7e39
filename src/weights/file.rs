//! One safetensors file: its header, and its tensors by position.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use safetensors::Dtype;
use safetensors::tensor::Metadata;

use super::{NotSafetensors, WeightsError};

/// Bytes that give the length of the header.
const LENGTH_BYTES: u64 = 8;

/// What safetensors itself allows a header to be; the largest known ones are below 10 MB.
const MAX_HEADER_BYTES: u64 = 100_000_000;

/// What a header says about one tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StoredTensor {
    pub(super) dtype: Dtype,
    pub(super) shape: Vec<i64>,
    /// Bytes from the start of the file.
    offset: u64,
    bytes: usize,
}

/// An open safetensors file whose header was checked against its length. Tensors are read by
/// position, whole or in part.
#[derive(Debug)]
pub struct SafetensorsFile {
    path: PathBuf,
    file: File,
    tensors: BTreeMap<String, StoredTensor>,
}

impl SafetensorsFile {
    /// Opens a file and reads its header.
    ///
    /// # Errors
    /// A file that is missing or is not safetensors, a header that is damaged or disagrees with the
    /// file's length.
    pub fn open(path: &Path) -> Result<Self, WeightsError> {
        let io_error = |source| WeightsError::Io { path: path.to_owned(), source };
        let damaged = |reason| WeightsError::Damaged { path: path.to_owned(), reason };

        let file = File::open(path).map_err(io_error)?;
        let file_bytes = file.metadata().map_err(io_error)?.len();
        let mut start = Vec::new();
        (&file).take(64).read_to_end(&mut start).map_err(io_error)?;
        if let Some(found) = recognise(&start) {
            return Err(WeightsError::NotSafetensors { path: path.to_owned(), found });
        }
        let Some(length) = start.first_chunk::<{ LENGTH_BYTES as usize }>() else {
            return Err(damaged(format!(
                "expected at least {LENGTH_BYTES} bytes, found {file_bytes}"
            )));
        };
        let header_bytes = u64::from_le_bytes(*length);
        if header_bytes > MAX_HEADER_BYTES || header_bytes > file_bytes - LENGTH_BYTES {
            return Err(damaged(format!(
                "its header claims {header_bytes} bytes, the file has {file_bytes}"
            )));
        }
        let mut header = vec![0; header_bytes as usize];
        file.read_exact_at(&mut header, LENGTH_BYTES).map_err(io_error)?;
        // Checks on the way that offsets follow each other and agree with shapes and types.
        let metadata: Metadata = serde_json::from_slice(&header)
            .map_err(|error| damaged(format!("its header cannot be read: {error}")))?;
        let data_start = LENGTH_BYTES + header_bytes;
        // Saturating: a header may claim nearly 2^64 bytes.
        let expected_bytes = data_start.saturating_add(metadata.data_len() as u64);
        if expected_bytes != file_bytes {
            return Err(damaged(format!(
                "its header describes {expected_bytes} bytes, the file has {file_bytes}"
            )));
        }
        let tensors = metadata
            .tensors()
            .into_iter()
            .map(|(name, info)| {
                let (begin, end) = info.data_offsets;
                let stored = StoredTensor {
                    dtype: info.dtype,
                    // Every size divides a number of bytes that is in the file.
                    shape: info
                        .shape
                        .iter()
                        .map(|&size| i64::try_from(size).unwrap_or(i64::MAX))
                        .collect(),
                    offset: data_start + begin as u64,
                    bytes: end - begin,
                };
                (name, stored)
            })
            .collect();
        Ok(Self { path: path.to_owned(), file, tensors })
    }

    pub(super) fn tensors(&self) -> &BTreeMap<String, StoredTensor> {
        &self.tensors
    }

    /// The bytes of a tensor of this file, little-endian, row by row.
    pub(super) fn read(&self, tensor: &StoredTensor) -> Result<Vec<u8>, WeightsError> {
        let mut bytes = vec![0; tensor.bytes];
        self.file
            .read_exact_at(&mut bytes, tensor.offset)
            .map_err(|source| WeightsError::Io { path: self.path.clone(), source })?;
        Ok(bytes)
    }
}

impl SafetensorsFile {
    /// Type and shape of a tensor, where it has one of that name.
    #[must_use]
    pub fn tensor(&self, name: &str) -> Option<(Dtype, &[i64])> {
        self.tensors.get(name).map(|tensor| (tensor.dtype, tensor.shape.as_slice()))
    }

    /// A part of a tensor's bytes, little-endian and row by row; where the first of them stands in
    /// the file, and how many the whole tensor has, is checked.
    ///
    /// # Errors
    /// [`WeightsError::Damaged`] where there is no such tensor or it is smaller; what the file system
    /// reports.
    pub fn read_part(&self, name: &str, part: Range<u64>) -> Result<Vec<u8>, WeightsError> {
        let offset = self.offset_of(name, &part)?;
        let mut bytes = vec![0; (part.end - part.start) as usize];
        self.file
            .read_exact_at(&mut bytes, offset)
            .map_err(|source| WeightsError::Io { path: self.path.clone(), source })?;
        Ok(bytes)
    }

    /// Where a part of a tensor's bytes begins in the file.
    ///
    /// # Errors
    /// [`WeightsError::Damaged`] where there is no such tensor or it is smaller.
    pub fn offset_of(&self, name: &str, part: &Range<u64>) -> Result<u64, WeightsError> {
        let damaged = |reason| WeightsError::Damaged { path: self.path.clone(), reason };
        let Some(tensor) = self.tensors.get(name) else {
            return Err(damaged(format!("it has no tensor {name}")));
        };
        if part.start > part.end || part.end > tensor.bytes as u64 {
            let found = format!("{name} has {} bytes, asked for {part:?}", tensor.bytes);
            return Err(damaged(found));
        }
        Ok(tensor.offset + part.start)
    }

    /// The file itself and its path, for who keeps it open to read more.
    #[must_use]
    pub fn into_file(self) -> (PathBuf, File) {
        (self.path, self.file)
    }
}

/// What a file that is not safetensors looks like from its first bytes. A safetensors file starts
/// with the length of its header, whose high bytes are 0, and then a brace.
fn recognise(start: &[u8]) -> Option<NotSafetensors> {
    if start.get(LENGTH_BYTES as usize) == Some(&b'{') {
        return None;
    }
    let text = start.to_ascii_lowercase();
    if start.starts_with(b"PK\x03\x04") {
        Some(NotSafetensors::Zip)
    } else if matches!(start, [0x80, 1..=5, ..]) {
        Some(NotSafetensors::Pickle)
    } else if text.starts_with(b"version https://git-lfs") {
        Some(NotSafetensors::LfsPointer)
    } else if text.starts_with(b"<!doctype") || text.starts_with(b"<html") {
        Some(NotSafetensors::Html)
    } else {
        None
    }
}

/// Reads a small text file, with its path in the error.
pub(super) fn read_text(path: &Path) -> Result<String, WeightsError> {
    std::fs::read_to_string(path)
        .map_err(|source: io::Error| WeightsError::Io { path: path.to_owned(), source })
}
