//! From pixels to JPEG and PNG.

use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, GrayImage, ImageBuffer, ImageEncoder, Luma, RgbImage};
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
    encode(image.dimensions(), || jpeg(image, quality).map_err(BoxError::from))
}

/// An 8-bit RGB PNG. The same image gives the same bytes.
///
/// # Errors
/// [`EncodeError`].
pub fn encode_png(image: &RgbImage) -> Result<Vec<u8>, EncodeError> {
    png(image.dimensions(), image.as_raw(), ExtendedColorType::Rgb8)
}

/// An 8-bit grey PNG, as of a class mask. The same image gives the same bytes.
///
/// # Errors
/// [`EncodeError`].
pub fn encode_gray_png(image: &GrayImage) -> Result<Vec<u8>, EncodeError> {
    png(image.dimensions(), image.as_raw(), ExtendedColorType::L8)
}

/// A 16-bit grey PNG. The same image gives the same bytes.
///
/// # Errors
/// [`EncodeError`].
pub fn encode_gray16_png(image: &ImageBuffer<Luma<u16>, Vec<u16>>) -> Result<Vec<u8>, EncodeError> {
    png(image.dimensions(), bytemuck::cast_slice(image.as_raw()), ExtendedColorType::L16)
}

/// `samples` in the byte order of the machine.
fn png(
    (width, height): (u32, u32),
    samples: &[u8],
    kind: ExtendedColorType,
) -> Result<Vec<u8>, EncodeError> {
    encode((width, height), || {
        let mut bytes = Vec::new();
        PngEncoder::new(&mut bytes).write_image(samples, width, height, kind)?;
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
    (width, height): (u32, u32),
    encoded: impl FnOnce() -> Result<Vec<u8>, BoxError>,
) -> Result<Vec<u8>, EncodeError> {
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
    fn grey_pngs_come_back_exactly() {
        let grey = GrayImage::from_fn(9, 5, |x, y| Luma([(x * 28 + y) as u8]));
        let fine = ImageBuffer::from_fn(9, 5, |x, y| Luma([(x * 7000 + y * 3) as u16]));
        let decode = |bytes: &[u8]| image::load_from_memory(bytes).unwrap();
        assert_eq!(decode(&encode_gray_png(&grey).unwrap()), grey.clone().into());
        assert_eq!(decode(&encode_gray16_png(&fine).unwrap()), fine.into());
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
