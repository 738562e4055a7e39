//! Images from the disk.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use image::RgbImage;

use super::DecodeFileError;
use super::compressed::decode_color;

/// The largest image file that is read.
pub const MAX_FILE_BYTES: u64 = 1 << 29;

/// Reads a JPEG or PNG file, told by its content and not by its name, as 8-bit RGB. The same rules
/// as in [`decode_compressed`](super::decode_compressed) with no format given: EXIF orientation is
/// not applied, so that boxes are in the pixels that are stored.
///
/// # Errors
/// [`DecodeFileError`], which names the file.
pub fn decode_file(path: &Path) -> Result<RgbImage, DecodeFileError> {
    let path_owned = || path.to_owned();
    let read = || {
        let mut data = Vec::new();
        File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut data)?;
        Ok(data)
    };
    let data: Vec<u8> =
        read().map_err(|source| DecodeFileError::Read { path: path_owned(), source })?;
    if data.len() as u64 > MAX_FILE_BYTES {
        return Err(DecodeFileError::TooLarge { path: path_owned() });
    }
    decode_color(&data).map_err(|source| DecodeFileError::Decode { path: path_owned(), source })
}
