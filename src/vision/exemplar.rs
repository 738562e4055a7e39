//! Pictures of exemplars: from bytes, files, pixels and texts, and back.
//!
//! In files and messages such a picture is a data URL (RFC 2397), `data:image/png;base64,…`.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use image::RgbImage;

use super::decode::{DecodeError, compressed_size, decode_color};
use super::encode::{EncodeError, encode_png};
use crate::types::ExemplarPicture;

/// The largest JPEG or PNG of an exemplar, in bytes.
pub const MAX_PICTURE_BYTES: usize = 8 << 20;
/// The most pixels of an exemplar's picture (16 megapixels).
pub const MAX_PICTURE_PIXELS: u64 = 1 << 24;

const PREFIXES: [&str; 2] = ["data:image/png;base64,", "data:image/jpeg;base64,"];

/// Why something is no picture of an exemplar.
#[derive(Debug, thiserror::Error)]
pub enum PictureError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// More bytes than [`MAX_PICTURE_BYTES`].
    #[error("more than {MAX_PICTURE_BYTES} bytes")]
    TooManyBytes,
    /// More pixels than [`MAX_PICTURE_PIXELS`].
    #[error("{width}x{height} pixels, at most {MAX_PICTURE_PIXELS} in all are taken")]
    TooManyPixels {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
    },
    /// A text that is no data URL of a picture.
    #[error("expected \"{}…\" or \"{}…\", found {found:?}", PREFIXES[0], PREFIXES[1])]
    NoDataUrl {
        /// How it begins.
        found: String,
    },
    /// What follows is no base64.
    #[error("no base64: {0}")]
    Base64(#[from] base64::DecodeError),
    /// Neither JPEG nor PNG, or one that is broken.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// Pixels that cannot be written as a picture.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

/// A picture from a JPEG or PNG; `file` is where it came from.
///
/// # Errors
/// More bytes or pixels than are taken, what cannot be decoded.
pub fn picture_of_bytes(
    encoded: Vec<u8>,
    file: Option<PathBuf>,
) -> Result<ExemplarPicture, PictureError> {
    if encoded.len() > MAX_PICTURE_BYTES {
        return Err(PictureError::TooManyBytes);
    }
    // Before it is decoded: a few bytes can announce a picture of any size.
    let (width, height) = compressed_size(&encoded)?;
    check_pixels(width, height)?;
    let image = decode_color(&encoded)?;
    Ok(ExemplarPicture { image: Arc::new(image), encoded, file })
}

/// A picture from a JPEG or PNG file.
///
/// # Errors
/// As [`picture_of_bytes`], and a file that cannot be read.
pub fn picture_of_file(path: &Path) -> Result<ExemplarPicture, PictureError> {
    use std::io::Read;
    let read = || {
        let mut bytes = Vec::new();
        // One byte more than allowed tells a file that is too large from one that just fits.
        let file = std::fs::File::open(path)?;
        file.take(MAX_PICTURE_BYTES as u64 + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().map_err(|source| PictureError::Read { path: path.to_owned(), source })?;
    picture_of_bytes(bytes, Some(path.to_owned()))
}

/// A picture from pixels, which become a PNG.
///
/// # Errors
/// No pixels, or more than are taken.
pub fn picture_of_image(image: Arc<RgbImage>) -> Result<ExemplarPicture, PictureError> {
    check_pixels(image.width(), image.height())?;
    let encoded = encode_png(&image)?;
    if encoded.len() > MAX_PICTURE_BYTES {
        return Err(PictureError::TooManyBytes);
    }
    Ok(ExemplarPicture { image, encoded, file: None })
}

/// A picture from a data URL.
///
/// # Errors
/// As [`picture_of_bytes`], and what is no data URL of a JPEG or PNG.
pub fn picture_of_data_url(text: &str) -> Result<ExemplarPicture, PictureError> {
    let Some(payload) = PREFIXES.iter().find_map(|prefix| text.strip_prefix(prefix)) else {
        return Err(PictureError::NoDataUrl { found: text.chars().take(30).collect() });
    };
    // Four characters for three bytes: known before anything is allocated.
    if payload.len() / 4 * 3 > MAX_PICTURE_BYTES + 3 {
        return Err(PictureError::TooManyBytes);
    }
    picture_of_bytes(BASE64.decode(payload)?, None)
}

/// Whether a text is meant as a data URL and not as the name of a file.
#[must_use]
pub fn is_data_url(text: &str) -> bool {
    text.starts_with("data:")
}

/// A JPEG or PNG as data URL, which [`picture_of_data_url`] gives the same picture back from.
#[must_use]
pub fn data_url(encoded: &[u8]) -> String {
    let prefix = PREFIXES[usize::from(format_name(encoded) == "jpeg")];
    format!("{prefix}{}", BASE64.encode(encoded))
}

/// What a picture is, by its first bytes: `jpeg`, or else `png`.
#[must_use]
pub fn format_name(encoded: &[u8]) -> &'static str {
    if encoded.starts_with(b"\xff\xd8") { "jpeg" } else { "png" }
}

fn check_pixels(width: u32, height: u32) -> Result<(), PictureError> {
    match u64::from(width) * u64::from(height) {
        0 => Err(DecodeError::Empty { width, height }.into()),
        pixels if pixels > MAX_PICTURE_PIXELS => Err(PictureError::TooManyPixels { width, height }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::encode::encode_jpeg;
    use super::*;

    fn image() -> RgbImage {
        RgbImage::from_fn(31, 17, |x, y| image::Rgb([(x * 8) as u8, (y * 15) as u8, 77]))
    }

    #[test]
    fn pictures_go_there_and_back_byte_by_byte() {
        let png = picture_of_image(Arc::new(image())).unwrap();
        assert_eq!(*png.image, image());
        let url = data_url(&png.encoded);
        assert!(url.starts_with("data:image/png;base64,iVBOR"), "{url:.40}");
        assert_eq!(picture_of_data_url(&url).unwrap(), png);

        let bytes = encode_jpeg(&image(), 90).unwrap();
        let jpeg = picture_of_bytes(bytes.clone(), None).unwrap();
        let url = data_url(&bytes);
        assert!(url.starts_with("data:image/jpeg;base64,/9j/"), "{url:.40}");
        let again = picture_of_data_url(&url).unwrap();
        assert_eq!((&again, &again.image), (&jpeg, &jpeg.image));
        assert!(is_data_url(&url) && !is_data_url("pictures/mug.png"));
    }

    #[test]
    fn what_is_no_picture_is_told() {
        let refused = |text: &str| picture_of_data_url(text).unwrap_err().to_string();
        assert!(refused("data:image/gif;base64,R0lGOD").contains("data:image/gif;base64,"));
        assert!(refused("data:image/png;base64,a*").starts_with("no base64: "));
        assert!(refused("data:image/png;base64,AAAA").starts_with("neither JPEG nor PNG"));
        let png = picture_of_image(Arc::new(image())).unwrap().encoded;
        let cut = data_url(&png[..png.len() / 2]);
        assert!(refused(&cut).starts_with("the PNG cannot be decoded"), "{}", refused(&cut));
        let long = format!("data:image/png;base64,{}", "A".repeat(12 << 20));
        assert_eq!(refused(&long), "more than 8388608 bytes");
        let missing = picture_of_file(Path::new("/nowhere/mug.png")).unwrap_err().to_string();
        assert!(missing.starts_with("cannot read /nowhere/mug.png"), "{missing}");
        let empty = picture_of_image(Arc::new(RgbImage::new(0, 3))).unwrap_err().to_string();
        assert!(empty.contains("0x3"), "{empty}");
    }

    #[test]
    fn a_few_bytes_that_announce_a_huge_picture_are_refused_before_it_is_decoded() {
        // One colour: a PNG of kilobytes with the pixels of a giant.
        let giant = RgbImage::new(8192, 4096);
        let bytes = encode_png(&giant).unwrap();
        assert!(bytes.len() < MAX_PICTURE_BYTES, "{}", bytes.len());
        let refused = picture_of_bytes(bytes, None).unwrap_err().to_string();
        assert!(refused.contains("8192x4096"), "{refused}");
    }
}
