//! From pixels to JPEG and PNG.

use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder, ImageResult, RgbImage};

/// Why an image could not be encoded.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// There are no pixels.
    #[error("an image of {width}x{height} pixels cannot be encoded")]
    Empty {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
    },
    /// JPEG quality outside `1..=100`.
    #[error("JPEG quality is {found}, not in 1..=100")]
    Quality {
        /// The quality that was asked for.
        found: u8,
    },
    /// The encoder refused, as JPEG does above 65535 pixels on a side.
    #[error("an image of {width}x{height} pixels cannot be encoded: {source}")]
    Encoder {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// What the encoder said.
        source: image::ImageError,
    },
}

/// A baseline JPEG; `quality` in `1..=100`, where 90 shows no artefacts to most eyes.
///
/// # Errors
/// [`EncodeError`].
pub fn encode_jpeg(image: &RgbImage, quality: u8) -> Result<Vec<u8>, EncodeError> {
    if !(1..=100).contains(&quality) {
        return Err(EncodeError::Quality { found: quality });
    }
    encode(image, |bytes| write(JpegEncoder::new_with_quality(bytes, quality), image))
}

/// An 8-bit RGB PNG. The same image gives the same bytes.
///
/// # Errors
/// [`EncodeError`].
pub fn encode_png(image: &RgbImage) -> Result<Vec<u8>, EncodeError> {
    encode(image, |bytes| write(PngEncoder::new(bytes), image))
}

fn write(encoder: impl ImageEncoder, image: &RgbImage) -> ImageResult<()> {
    encoder.write_image(image.as_raw(), image.width(), image.height(), ExtendedColorType::Rgb8)
}

fn encode(
    image: &RgbImage,
    encode_into: impl FnOnce(&mut Vec<u8>) -> ImageResult<()>,
) -> Result<Vec<u8>, EncodeError> {
    let (width, height) = image.dimensions();
    if width == 0 || height == 0 {
        return Err(EncodeError::Empty { width, height });
    }
    let mut bytes = Vec::new();
    encode_into(&mut bytes).map_err(|source| EncodeError::Encoder { width, height, source })?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Picture;
    use crate::vision::decode::decode_compressed;

    fn picture() -> RgbImage {
        RgbImage::from_fn(37, 21, |x, y| image::Rgb([(x * 6) as u8, (y * 11) as u8, 90]))
    }

    #[test]
    fn png_comes_back_exactly_and_jpeg_nearly() {
        let source = picture();
        let decode = |bytes: &[u8]| match decode_compressed("", bytes).unwrap() {
            Picture::Color(image) => image,
            Picture::Depth(_) => panic!("depth"),
        };
        assert_eq!(decode(&encode_png(&source).unwrap()), source);
        let jpeg = decode(&encode_jpeg(&source, 95).unwrap());
        let worst = jpeg.iter().zip(source.iter()).map(|(a, b)| a.abs_diff(*b)).max();
        // Gradients without edges: quality 95 quantises them by a few levels.
        assert!(worst <= Some(8), "{worst:?}");
    }

    #[test]
    fn what_cannot_be_encoded_is_refused() {
        let empty = RgbImage::new(0, 4);
        assert!(matches!(encode_png(&empty), Err(EncodeError::Empty { width: 0, height: 4 })));
        assert!(matches!(encode_jpeg(&picture(), 0), Err(EncodeError::Quality { found: 0 })));
        assert!(matches!(encode_jpeg(&picture(), 101), Err(EncodeError::Quality { found: 101 })));
        let long = RgbImage::new(70_000, 1);
        assert!(matches!(encode_jpeg(&long, 90), Err(EncodeError::Encoder { width: 70_000, .. })));
    }
}
