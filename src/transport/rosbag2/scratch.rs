//! Files that are compressed as a whole, unpacked to disk.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::Path;

use tempfile::NamedTempFile;

use super::error::BagError;
use super::info::OpenOptions;

/// The first bytes of a zstd frame.
pub(super) const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// A file that was unpacked; it is deleted when this is dropped.
pub(super) struct Unpacked {
    pub(super) file: NamedTempFile,
    /// Why unpacking stopped early, if it did. What came before stands in the file.
    pub(super) cut: Option<Cut>,
}

/// A place where a compressed stream cannot be read on.
pub(super) struct Cut {
    /// Unpacked bytes before it.
    pub(super) unpacked_bytes: u64,
    /// What zstd says.
    pub(super) reason: String,
}

/// Unpacks a zstd file piece by piece.
///
/// # Errors
/// Where the disk fails or is full, or the limit is passed. A broken stream is no error.
pub(super) fn unpack(path: &Path, options: &OpenOptions) -> Result<Unpacked, BagError> {
    let packed = File::open(path).map_err(BagError::io(path, "open the file"))?;
    let mut file = match &options.scratch_folder {
        Some(folder) => NamedTempFile::with_prefix_in("owlet-bag-", folder),
        None => NamedTempFile::with_prefix("owlet-bag-"),
    }
    .map_err(BagError::io(path, "create a scratch file to unpack into"))?;
    let broken =
        |unpacked_bytes, error: io::Error| Cut { unpacked_bytes, reason: error.to_string() };

    let mut stream = match zstd::Decoder::new(BufReader::new(packed)) {
        Ok(stream) => stream,
        Err(error) => return Ok(Unpacked { file, cut: Some(broken(0, error)) }),
    };
    let mut piece = vec![0; 256 << 10];
    let mut unpacked_bytes = 0_u64;
    let cut = loop {
        match stream.read(&mut piece) {
            Ok(0) => break None,
            Ok(len) => {
                unpacked_bytes += len as u64;
                if unpacked_bytes > options.unpacked_limit_bytes {
                    let limit_bytes = options.unpacked_limit_bytes;
                    return Err(BagError::UnpacksTooLarge { path: path.to_owned(), limit_bytes });
                }
                file.write_all(&piece[..len])
                    .map_err(BagError::io(file.path(), "write the unpacked file"))?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => break Some(broken(unpacked_bytes, error)),
        }
    };
    Ok(Unpacked { file, cut })
}

/// One message of a bag in message mode. `Err` says why it cannot be unpacked.
pub(super) fn unpack_message(packed: &[u8], limit_bytes: usize) -> Result<Vec<u8>, String> {
    let stream = zstd::Decoder::with_buffer(packed).map_err(|error| error.to_string())?;
    let mut message = Vec::new();
    let mut limited = stream.take(limit_bytes as u64 + 1);
    limited.read_to_end(&mut message).map_err(|error| error.to_string())?;
    if message.len() > limit_bytes {
        return Err(format!("unpacks to more than {limit_bytes} bytes"));
    }
    Ok(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_stream_keeps_what_came_before_and_a_bomb_is_stopped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.zstd");
        let plain: Vec<u8> =
            (0..3_000_000_u32).map(|i| (i.wrapping_mul(0x9e37_79b1) >> 25) as u8).collect();
        let packed = zstd::encode_all(plain.as_slice(), 1).unwrap();
        std::fs::write(&path, &packed[..packed.len() / 2]).unwrap();

        let unpacked = unpack(&path, &OpenOptions::default()).unwrap();
        let kept = std::fs::read(unpacked.file.path()).unwrap();
        let cut = unpacked.cut.unwrap();
        assert_eq!(kept.len() as u64, cut.unpacked_bytes);
        assert!(!kept.is_empty() && plain.starts_with(&kept), "{} bytes", kept.len());

        std::fs::write(&path, zstd::encode_all(&[0; 1 << 20][..], 1).unwrap()).unwrap();
        let options = OpenOptions { unpacked_limit_bytes: 1000, ..OpenOptions::default() };
        assert!(matches!(unpack(&path, &options), Err(BagError::UnpacksTooLarge { .. })));
    }

    #[test]
    fn a_message_is_unpacked_within_its_limit() {
        let packed = zstd::encode_all(&[7; 100][..], 1).unwrap();
        assert_eq!(unpack_message(&packed, 100), Ok(vec![7; 100]));
        assert!(unpack_message(&packed, 99).unwrap_err().contains("more than 99 bytes"));
        assert!(unpack_message(&packed[..packed.len() - 2], 100).is_err());
        assert!(unpack_message(b"no zstd", 100).is_err());
    }
}
