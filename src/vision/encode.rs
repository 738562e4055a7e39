//! From pixels to JPEG and PNG.

use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder, RgbImage};
use turbojpeg::{Compressor, Image, PixelFormat, Subsamp};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

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
    /// The encoder refused, as JPEG does above 65500 pixels on a side.
    #[error("an image of {width}x{height} pixels cannot be encoded: {source}")]
    Encoder {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// What the encoder said.
        source: BoxError,
    },
}

/// A baseline JPEG by libjpeg-turbo with one chroma sample for each 2x2 pixels (4:2:0); `quality`
/// in `1..=100` on the scale of libjpeg, where 90 shows no artefacts to most eyes. The same image
/// gives the same bytes.
///
/// # Errors
/// [`EncodeError`].
pub fn encode_jpeg(image: &RgbImage, quality: u8) -> Result<Vec<u8>, EncodeError> {
    if !(1..=100).contains(&quality) {
        return Err(EncodeError::Quality { found: quality });
    }
    encode(image, || jpeg(image, quality).map_err(BoxError::from))
}

/// An 8-bit RGB PNG. The same image gives the same bytes.
///
/// # Errors
/// [`EncodeError`].
pub fn encode_png(image: &RgbImage) -> Result<Vec<u8>, EncodeError> {
    encode(image, || {
        let mut bytes = Vec::new();
        let (width, height) = image.dimensions();
        PngEncoder::new(&mut bytes).write_image(
            image.as_raw(),
            width,
            height,
            ExtendedColorType::Rgb8,
        )?;
        Ok(bytes)
    })
}

fn jpeg(image: &RgbImage, quality: u8) -> turbojpeg::Result<Vec<u8>> {
    let (width, height) = (image.width() as usize, image.height() as usize);
    let format = PixelFormat::RGB;
    let mut compressor = Compressor::new()?;
    compressor.set_quality(i32::from(quality))?;
    compressor.set_subsamp(Subsamp::Sub2x2)?;
    let pitch = width * format.size();
    compressor.compress_to_vec(Image { pixels: image.as_raw(), width, pitch, height, format })
}

fn encode(
    image: &RgbImage,
    encoded: impl FnOnce() -> Result<Vec<u8>, BoxError>,
) -> Result<Vec<u8>, EncodeError> {
    let (width, height) = image.dimensions();
    if width == 0 || height == 0 {
        return Err(EncodeError::Empty { width, height });
    }
    encoded().map_err(|source| EncodeError::Encoder { width, height, source })
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
