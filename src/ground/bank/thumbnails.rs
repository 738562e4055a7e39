//! Small pictures of pairs. Those of a bank that was loaded stay on the disk.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use super::{BankError, MAX_THUMBNAIL_BYTES};

/// An open file with thumbnails. It can be read even where a later save has removed its name.
#[derive(Debug)]
pub(super) struct ThumbnailFile {
    pub(super) path: PathBuf,
    pub(super) file: File,
}

/// The JPEG of a pair.
#[derive(Clone, Debug)]
pub(super) enum Thumbnail {
    None,
    Own(Arc<[u8]>),
    /// In the file, from this byte on.
    Stored {
        file: Arc<ThumbnailFile>,
        offset: u64,
        bytes: u32,
    },
}

impl Thumbnail {
    pub(super) fn own(jpeg: Option<&[u8]>) -> Self {
        match jpeg {
            Some(jpeg) if !jpeg.is_empty() => Self::Own(jpeg.into()),
            _ => Self::None,
        }
    }

    /// Those of a file, one after the other: each has the bytes from its offset to the next.
    pub(super) fn stored(file: ThumbnailFile, offsets: Vec<u64>) -> impl Iterator<Item = Self> {
        let file = Arc::new(file);
        (1..offsets.len()).map(move |end| {
            let (offset, end) = (offsets[end - 1], offsets[end]);
            match end.saturating_sub(offset) {
                0 => Self::None,
                bytes => Self::Stored {
                    file: Arc::clone(&file),
                    offset,
                    bytes: u32::try_from(bytes).unwrap_or(u32::MAX),
                },
            }
        })
    }

    /// Its size; 0 where there is none.
    pub(super) fn bytes(&self) -> u64 {
        match self {
            Self::None => 0,
            Self::Own(jpeg) => jpeg.len() as u64,
            Self::Stored { bytes, .. } => u64::from(*bytes),
        }
    }

    pub(super) fn read(&self) -> Result<Option<Vec<u8>>, BankError> {
        match self {
            Self::None => Ok(None),
            Self::Own(jpeg) => Ok(Some(jpeg.to_vec())),
            Self::Stored { file, offset, bytes } => {
                let mut jpeg = vec![0; (*bytes as usize).min(MAX_THUMBNAIL_BYTES)];
                file.file
                    .read_exact_at(&mut jpeg, *offset)
                    .map_err(BankError::io("read", &file.path))?;
                Ok(Some(jpeg))
            }
        }
    }
}
