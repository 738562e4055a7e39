//! Writing safetensors piece by piece: the vectors of a large bank never stand in memory twice.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::{BankError, FileRecord};

/// A file that is being written, and what the manifest will say of it.
pub(super) struct HashedFile {
    out: BufWriter<File>,
    hash: Sha256,
    bytes: u64,
}

impl HashedFile {
    /// Takes the place of a file of that name, which only a save that was cut can have left.
    pub(super) fn create(path: &Path) -> Result<Self, BankError> {
        let file = File::create(path).map_err(BankError::io("write", path))?;
        Ok(Self { out: BufWriter::with_capacity(1 << 20, file), hash: Sha256::new(), bytes: 0 })
    }

    /// Once the bytes are on the disk.
    pub(super) fn finish(self, path: &Path) -> Result<FileRecord, BankError> {
        let file = self.out.into_inner().map_err(io::IntoInnerError::into_error);
        file.and_then(|file| file.sync_all()).map_err(BankError::io("write", path))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let sha256 = self.hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(FileRecord { name, bytes: self.bytes, sha256 })
    }
}

impl Write for HashedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.hash.update(&bytes[..count]);
        self.bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// A tensor that follows in the data, in the order of the header.
pub(super) struct TensorHead {
    pub(super) name: &'static str,
    /// In the words of safetensors.
    pub(super) dtype: &'static str,
    pub(super) shape: Vec<usize>,
    pub(super) bytes: u64,
}

/// Writes the header; the tensors' bytes follow, little-endian and row by row.
pub(super) fn write_header(out: &mut impl Write, tensors: &[TensorHead]) -> io::Result<()> {
    let mut offset = 0;
    let mut header = Map::new();
    for TensorHead { name, dtype, shape, bytes } in tensors {
        let end = offset + bytes;
        header.insert(
            (*name).to_owned(),
            json!({ "dtype": dtype, "shape": shape, "data_offsets": [offset, end] }),
        );
        offset = end;
    }
    let mut text = Value::Object(header).to_string();
    // As the library itself: data begins at a multiple of 8.
    text.extend(std::iter::repeat_n(' ', text.len().next_multiple_of(8) - text.len()));
    out.write_all(&(text.len() as u64).to_le_bytes())?;
    out.write_all(text.as_bytes())
}
