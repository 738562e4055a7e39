//! Images whose pixels lie in the message as they are.

use image::RgbImage;

use super::encoding::{Encoding, Layout, find};
use super::samples::{Rows, narrowed, rgb_from_mosaic};
use super::{DecodeError, check_size, depth_image};
use crate::types::{DepthImage, Picture};

/// The fields of a `sensor_msgs/Image`, borrowed.
#[derive(Clone, Copy, Debug)]
pub struct RawImage<'a> {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// What the bytes mean: one of [`known_encodings`](super::known_encodings).
    pub encoding: &'a str,
    /// Byte order of samples of more than 8 bits.
    pub is_bigendian: bool,
    /// Bytes from the start of one row to the start of the next.
    pub step: u32,
    /// Row after row from the top left, each followed by its padding.
    pub data: &'a [u8],
}

/// Decodes a raw image. What the encodings mean:
///
/// | encoding | meaning |
/// | --- | --- |
/// | `rgb8` `bgr8` `rgba8` `bgra8` `mono8` | as named; alpha is dropped |
/// | `rgb16` `bgr16` `rgba16` `bgra16` `mono16` | scaled to 8 bits by 255/65535 and rounded |
/// | `8UC1` `8UC3` `8UC4` | as `mono8`, `bgr8`, `bgra8`: these types are OpenCV's own, and so is the order of colours |
/// | `bayer_{rggb,bggr,gbrg,grbg}{8,16}` | bilinear interpolation (OpenCV); the 16-bit ones are interpolated first and then scaled to 8 bits as above |
/// | `uyvy` = `yuv422`, `yuyv` = `yuv422_yuy2` | 4:2:2, BT.601 in its limited range (luma 16..=235), as OpenCV and cv_bridge convert it |
/// | `nv12`, `nv21` | 4:2:0, the same range; `height` rows of luma, then `height / 2` rows of interleaved chroma, all `step` apart |
/// | `16UC1` | depth in millimetres, 0 is unknown (REP 118) |
/// | `32FC1` | depth in metres; NaN, infinite, zero and negative values are unknown |
///
/// 8-bit colour agrees with cv_bridge's conversion to `rgb8` wherever that has one.
///
/// # Errors
/// [`DecodeError`]: an encoding that is not known; a size of zero, above the
/// [limits](super::MAX_PIXELS), or one that the encoding cannot describe (4:2:2 needs an even
/// width, 4:2:0 an even width and height, a colour filter 3x3 pixels); a step smaller than a row;
/// data shorter or longer than step and height say. A surplus is refused as well as a shortage, as
/// cv_bridge does: it shows that the sender and the header disagree about what the image is.
pub fn decode_raw(image: &RawImage<'_>) -> Result<Picture, DecodeError> {
    let encoding = find(image.encoding)
        .ok_or_else(|| DecodeError::UnknownEncoding { encoding: image.encoding.to_owned() })?;
    let rows = checked_rows(image, encoding)?;
    let size = (image.width, image.height);
    let samples16 = || rows.samples::<u16>(image.is_bigendian, u16::swap_bytes);

    let converted = match encoding.layout {
        Layout::DepthMm16 => return Ok(depth(size, metres_from_mm(&samples16()))),
        Layout::DepthM32 => {
            let bits = rows.samples::<u32>(image.is_bigendian, u32::swap_bytes);
            return Ok(depth(
                size,
                bits.into_iter().map(f32::from_bits).map(known_depth).collect(),
            ));
        }
        Layout::Rgb8 => Ok(rows.packed()),
        Layout::Samples8 { channels, to_rgb } => rows.rgb(channels, to_rgb, size),
        // Luma and chroma planes lie below each other: one channel of half as many rows again.
        Layout::Yuv420 { to_rgb } => rows.rgb(1, to_rgb, size),
        Layout::Mosaic16 { to_rgb } => rgb_from_mosaic(&samples16(), to_rgb, size),
        Layout::Samples16 { channels, as_8_bit } => match narrowed(&samples16()) {
            Ok(data) => {
                // At most 32768 pixels of 4 channels: fits.
                let step = image.width * u32::from(channels);
                return decode_raw(&RawImage { encoding: as_8_bit, step, data: &data, ..*image });
            }
            Err(refused) => Err(refused),
        },
    };
    let rgb =
        converted.map_err(|source| DecodeError::OpenCv { encoding: encoding.name, source })?;
    let rgb = RgbImage::from_raw(image.width, image.height, rgb);
    Ok(Picture::Color(rgb.expect("three bytes are made for each pixel")))
}

/// The rows of the data, after all that the fields say about each other has been checked.
fn checked_rows<'a>(image: &RawImage<'a>, encoding: &Encoding) -> Result<Rows<'a>, DecodeError> {
    let &RawImage { width, height, step, data, .. } = image;
    let named = || encoding.name.to_owned();
    check_size(width, height)?;
    if let Some(rule) = encoding.size_rule.broken_by(width, height) {
        return Err(DecodeError::SizeRule { encoding: named(), rule, width, height });
    }
    let row_bytes = encoding.row_bytes(width);
    if u64::from(step) < row_bytes {
        return Err(DecodeError::StepTooSmall { encoding: named(), width, step, row_bytes });
    }
    let expected = u64::from(step) * u64::from(encoding.rows(height));
    if data.len() as u64 != expected {
        let found = data.len();
        return Err(DecodeError::DataLength { encoding: named(), step, height, expected, found });
    }
    Ok(Rows { data, step: step as usize, row_bytes: row_bytes as usize })
}

fn depth((width, height): (u32, u32), metres: Vec<f32>) -> Picture {
    Picture::Depth(depth_image(width, height, metres))
}

/// Millimetres to metres; 0 is unknown (REP 118) and becomes NaN.
pub(super) fn metres_from_mm(millimetres: &[u16]) -> Vec<f32> {
    let metres = |&mm: &u16| if mm == 0 { f32::NAN } else { f32::from(mm) / 1000.0 };
    millimetres.iter().map(metres).collect()
}

/// A depth as it is where it can be one, NaN otherwise. REP 118 gives infinities a meaning (too
/// near, too far), but no place where something is.
pub(super) fn known_depth(metres: f32) -> f32 {
    if metres.is_finite() && metres > 0.0 { metres } else { f32::NAN }
}

/// A depth image from millimetres, one for each pixel.
pub(super) fn depth_from_mm(width: u32, height: u32, millimetres: &[u16]) -> DepthImage {
    depth_image(width, height, metres_from_mm(millimetres))
}
