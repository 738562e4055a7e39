//! Depth as `compressed_depth_image_transport` sends it.

use super::compressed::{Container, decode_container};
use super::raw::{depth_from_mm, known_depth};
use super::{DecodeError, depth_image, rvl};
use crate::types::DepthImage;

/// Bytes of the header before the coded image: a 32-bit enumeration (unused, one kind exists) and
/// the two floats of the quantisation, little-endian.
const HEADER_BYTES: usize = 12;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Codec {
    Png,
    Rvl,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    /// Millimetres.
    Mm,
    /// Quantised inverse depth: metres = a / (value - b).
    InverseM,
}

/// Decodes a depth image with the formats of `compressed_depth_image_transport`:
/// `ENCODING; compressedDepth CODEC` with encoding `16UC1` (millimetres) or `32FC1` (metres, as
/// quantised inverse depth), codec `png` or `rvl`. Older senders leave out the codec, or all that
/// follows the encoding: that is PNG. The coded value 0 is unknown and becomes NaN.
///
/// # Errors
/// [`DecodeError`]: another format; data that end within the header; quantisation that gives no
/// depth; an image that is not 16-bit grey, cut off, corrupt or above the
/// [limits](super::MAX_PIXELS).
pub fn decode_compressed_depth(format: &str, data: &[u8]) -> Result<DepthImage, DecodeError> {
    let (meaning, codec) = parse(format)
        .ok_or_else(|| DecodeError::UnknownDepthFormat { format: format.to_owned() })?;
    let (header, coded) = data
        .split_first_chunk::<HEADER_BYTES>()
        .ok_or(DecodeError::DepthHeaderMissing { expected: HEADER_BYTES, found: data.len() })?;
    let [_, _, _, _, a0, a1, a2, a3, b0, b1, b2, b3] = *header;
    let a = f32::from_le_bytes([a0, a1, a2, a3]);
    let b = f32::from_le_bytes([b0, b1, b2, b3]);
    // The header of millimetres is not filled in by every sender, and not needed.
    if meaning == Meaning::InverseM && !(a.is_finite() && b.is_finite() && a > 0.0) {
        return Err(DecodeError::DepthQuantisation { a, b });
    }

    let rvl::Pixels { width, height, values } = match codec {
        Codec::Rvl => rvl::decode(coded)?,
        Codec::Png => decode_png(format, coded)?,
    };
    Ok(match meaning {
        Meaning::Mm => depth_from_mm(width, height, &values),
        Meaning::InverseM => {
            let metres = |value| if value == 0 { f32::NAN } else { a / (f32::from(value) - b) };
            depth_image(width, height, values.into_iter().map(metres).map(known_depth).collect())
        }
    })
}

/// Whether a format announces compressed depth.
pub(super) fn is_compressed_depth(format: &str) -> bool {
    matches!(format.trim(), "16UC1" | "32FC1") || format.contains("compressedDepth")
}

fn parse(format: &str) -> Option<(Meaning, Codec)> {
    let (encoding, rest) = format.split_once(';').unwrap_or((format, "compressedDepth"));
    let meaning = match encoding.trim() {
        "16UC1" => Meaning::Mm,
        "32FC1" => Meaning::InverseM,
        _ => return None,
    };
    let codec = match rest.trim().strip_prefix("compressedDepth")?.trim_start() {
        "" | "png" => Codec::Png,
        "rvl" => Codec::Rvl,
        _ => return None,
    };
    Some((meaning, codec))
}

fn decode_png(format: &str, coded: &[u8]) -> Result<rvl::Pixels, DecodeError> {
    match decode_container(format, coded)? {
        (Container::Png, image::DynamicImage::ImageLuma16(image)) => Ok(rvl::Pixels {
            width: image.width(),
            height: image.height(),
            values: image.into_raw(),
        }),
        (container, image) => Err(DecodeError::NotDepth {
            format: format.to_owned(),
            found: container.with_pixels(&image),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_old_and_new_are_told_apart() {
        use {Codec::*, Meaning::*};
        assert_eq!(parse("16UC1; compressedDepth png"), Some((Mm, Png)));
        assert_eq!(parse("32FC1; compressedDepth rvl"), Some((InverseM, Rvl)));
        assert_eq!(parse("16UC1; compressedDepth"), Some((Mm, Png)));
        assert_eq!(parse("32FC1;compressedDepth "), Some((InverseM, Png)));
        assert_eq!(parse("16UC1"), Some((Mm, Png)));
        assert_eq!(parse("16UC1; compressedDepth zstd"), None);
        assert_eq!(parse("16UC1; png compressed "), None);
        assert_eq!(parse("rgb8; compressedDepth png"), None);
        assert_eq!(parse(""), None);
    }
}
