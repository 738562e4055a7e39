//! Small pictures of pairs. Those of a bank that was loaded stay on the disk.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use super::rows::Rows;
use super::{BankError, MAX_THUMBNAIL_BYTES};

/// An open file with thumbnails. It can be read even where a later save has removed its name.
#[derive(Debug)]
pub(super) struct ThumbnailFile {
    pub(super) path: PathBuf,
    pub(super) file: File,
}

#[derive(Clone, Debug)]
enum Thumbnail {
    None,
    Own(Arc<[u8]>),
    /// In the file, from this byte on.
    Stored {
        offset: u64,
        bytes: u32,
    },
}

/// One or none for each row.
#[derive(Clone, Debug, Default)]
pub(super) struct Thumbnails {
    rows: Rows<Thumbnail>,
    file: Option<Arc<ThumbnailFile>>,
}

impl Thumbnails {
    /// None for each of so many rows.
    pub(super) fn none(rows: usize) -> Self {
        Self { rows: std::iter::repeat_n(Thumbnail::None, rows).collect(), file: None }
    }

    /// From a file: row `i` has the bytes from `offsets[i]` to `offsets[i + 1]`.
    pub(super) fn stored(file: ThumbnailFile, offsets: &[u64]) -> Self {
        let rows = offsets.windows(2).map(|ends| match ends[1].saturating_sub(ends[0]) {
            0 => Thumbnail::None,
            bytes => Thumbnail::Stored {
                offset: ends[0],
                bytes: u32::try_from(bytes).unwrap_or(u32::MAX),
            },
        });
        Self { rows: rows.collect(), file: Some(Arc::new(file)) }
    }

    pub(super) fn push(&mut self, jpeg: Option<Vec<u8>>) {
        self.rows.push(match jpeg {
            Some(jpeg) if !jpeg.is_empty() => Thumbnail::Own(jpeg.into()),
            _ => Thumbnail::None,
        });
    }

    pub(super) fn swap_remove(&mut self, row: usize) {
        self.rows.swap_remove(row);
    }

    pub(super) fn any(&self) -> bool {
        self.rows.iter().any(|row| !matches!(row, Thumbnail::None))
    }

    /// Bytes of a row's picture; 0 where there is none.
    pub(super) fn bytes(&self, row: usize) -> u64 {
        match self.rows.get(row) {
            None | Some(Thumbnail::None) => 0,
            Some(Thumbnail::Own(jpeg)) => jpeg.len() as u64,
            Some(Thumbnail::Stored { bytes, .. }) => u64::from(*bytes),
        }
    }

    pub(super) fn read(&self, row: usize) -> Result<Option<Vec<u8>>, BankError> {
        match (self.rows.get(row), &self.file) {
            (Some(Thumbnail::Own(jpeg)), _) => Ok(Some(jpeg.to_vec())),
            (Some(Thumbnail::Stored { offset, bytes }), Some(file)) => {
                let mut jpeg = vec![0; (*bytes as usize).min(MAX_THUMBNAIL_BYTES)];
                file.file
                    .read_exact_at(&mut jpeg, *offset)
                    .map_err(BankError::io("read", &file.path))?;
                Ok(Some(jpeg))
            }
            _ => Ok(None),
        }
    }
}
