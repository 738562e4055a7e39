//! Images that travel as JPEG or PNG.

use std::io::Cursor;

use image::codecs::png::PngDecoder;
use image::{DynamicImage, ImageDecoder, Limits, RgbImage};

use super::compressed_depth::{decode_compressed_depth, is_compressed_depth};
use super::raw::depth_from_mm;
use super::{DecodeError, MAX_PIXELS, MAX_SIDE_PX, RawImage, check_size, decode_raw, jpeg};
use crate::types::Picture;

/// The widest pixel that a decoder makes: four samples of 16 bits.
const MAX_BYTES_PER_PIXEL: u64 = 8;

/// Decodes a JPEG or PNG as `sensor_msgs/CompressedImage` carries it.
///
/// The container is told by its first bytes, not by `format`: formats in the wild are often wrong
/// about it. Of the forms that `format` takes ("jpeg", "png", "rgb8; jpeg compressed bgr8", with
/// or without what follows "compressed") these change what is made of the pixels:
///
/// - `16UC1; png compressed `: depth in millimetres, not colour.
/// - `bayer_rggb8; png compressed ` (any pattern, also JPEG) over a grey image: the mosaic itself,
///   which is interpolated as in [`decode_raw`]. Where "compressed" is followed by `mono8` the
///   sender has made it grey, and grey it stays.
/// - `16UC1; compressedDepth png` and its relatives go to [`decode_compressed_depth`].
///
/// All else is colour: grey becomes RGB, 16 bits become 8 (scaled by 255/65535, rounded), alpha is
/// dropped, CMYK and YCCK are converted without a colour profile, of an animation the first image
/// is taken. Red is what the file says is red: "bgr8" and "rgb8" in a format name the memory of the
/// sender, and many senders name it wrongly. EXIF is not read, its orientation neither: cameras on
/// robots are mounted, not held.
///
/// # Errors
/// [`DecodeError`]: neither JPEG nor PNG; corrupt or cut off (a JPEG must have its end marker: what
/// decoders put in place of the missing part looks like a picture); a size above the
/// [limits](super::MAX_PIXELS), read from the header before memory is asked for; depth announced
/// over an image that cannot hold it.
pub fn decode_compressed(format: &str, data: &[u8]) -> Result<Picture, DecodeError> {
    if is_compressed_depth(format) {
        return decode_compressed_depth(format, data).map(Picture::Depth);
    }
    let (encoding, target) = sender_encoding_and_target(format);
    let (container, image) = decode_container(format, data)?;
    match (encoding, image) {
        ("16UC1", DynamicImage::ImageLuma16(depth)) => {
            Ok(Picture::Depth(depth_from_mm(depth.width(), depth.height(), depth.as_raw())))
        }
        ("16UC1" | "32FC1", other) => Err(DecodeError::NotDepth {
            format: format.to_owned(),
            found: container.with_pixels(&other),
        }),
        (mosaic, DynamicImage::ImageLuma8(grey)) if is_mosaic(mosaic) && target.is_empty() => {
            decode_raw(&RawImage {
                width: grey.width(),
                height: grey.height(),
                encoding: &format!("{}8", pattern(mosaic)),
                is_bigendian: false,
                step: grey.width(),
                data: grey.as_raw(),
            })
        }
        (mosaic, DynamicImage::ImageLuma16(grey)) if is_mosaic(mosaic) && target.is_empty() => {
            decode_raw(&RawImage {
                width: grey.width(),
                height: grey.height(),
                encoding: &format!("{}16", pattern(mosaic)),
                is_bigendian: cfg!(target_endian = "big"),
                step: 2 * grey.width(),
                data: bytemuck::cast_slice(grey.as_raw()),
            })
        }
        (_, image) => Ok(Picture::Color(image.into_rgb8())),
    }
}

/// `bgr8` and `mono8` of `bgr8; jpeg compressed mono8`; both empty where `format` names only the
/// container.
fn sender_encoding_and_target(format: &str) -> (&str, &str) {
    let Some((encoding, rest)) = format.split_once(';') else { return ("", "") };
    let target = rest.split_once("compressed").map_or("", |(_, target)| target);
    (encoding.trim(), target.trim())
}

fn is_mosaic(encoding: &str) -> bool {
    encoding.starts_with("bayer_")
}

/// `bayer_rggb` of `bayer_rggb8` and `bayer_rggb16`: how many bits there are, the file says.
fn pattern(mosaic: &str) -> &str {
    mosaic.trim_end_matches(|c: char| c.is_ascii_digit())
}

/// What the bytes are, by their beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Container {
    Jpeg,
    Png,
}

impl Container {
    fn of(data: &[u8]) -> Option<Self> {
        if data.starts_with(b"\xff\xd8\xff") {
            Some(Self::Jpeg)
        } else if data.starts_with(b"\x89PNG\r\n\x1a\n") {
            Some(Self::Png)
        } else {
            None
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Jpeg => "JPEG",
            Self::Png => "PNG",
        }
    }

    /// For errors: "JPEG of 8-bit grey".
    pub(super) fn with_pixels(self, image: &DynamicImage) -> String {
        let color = image.color();
        let samples = match color.channel_count() {
            1 => "grey",
            2 => "grey and alpha",
            3 => "RGB",
            _ => "RGBA",
        };
        let bits = 8 * u16::from(color.bytes_per_pixel()) / u16::from(color.channel_count());
        format!("{} of {bits}-bit {samples}", self.name())
    }
}

/// Decodes the pixels of a JPEG or PNG as they are stored. `format` is for errors only.
pub(super) fn decode_container(
    format: &str,
    data: &[u8],
) -> Result<(Container, DynamicImage), DecodeError> {
    let container = Container::of(data).ok_or_else(|| unknown(format, data))?;
    let image = match container {
        Container::Jpeg => jpeg::decode(data)?,
        Container::Png => decode_png(data)?,
    };
    Ok((container, image))
}

/// Decodes a JPEG or PNG as colour: as [`decode_compressed`] without a format.
///
/// # Errors
/// As there.
pub fn decode_color(data: &[u8]) -> Result<RgbImage, DecodeError> {
    decode_container("", data).map(|(_, image)| image.into_rgb8())
}

/// Width and height that a JPEG or PNG announces, without decoding it.
///
/// # Errors
/// Neither JPEG nor PNG; a header that cannot be read.
pub fn compressed_size(data: &[u8]) -> Result<(u32, u32), DecodeError> {
    match Container::of(data) {
        Some(Container::Jpeg) => jpeg::size(data),
        Some(Container::Png) => {
            let decoder = PngDecoder::with_limits(Cursor::new(data), limits());
            decoder.map(|decoder| decoder.dimensions()).map_err(DecodeError::corrupt_png)
        }
        None => Err(unknown("", data)),
    }
}

fn unknown(format: &str, data: &[u8]) -> DecodeError {
    DecodeError::UnknownContainer {
        format: format.to_owned(),
        first_bytes: data.iter().take(8).copied().collect(),
        len: data.len(),
    }
}

fn limits() -> Limits {
    let mut limits = Limits::no_limits();
    limits.max_image_width = Some(MAX_SIDE_PX);
    limits.max_image_height = Some(MAX_SIDE_PX);
    limits.max_alloc = Some(MAX_PIXELS * MAX_BYTES_PER_PIXEL);
    limits
}

fn decode_png(data: &[u8]) -> Result<DynamicImage, DecodeError> {
    let corrupt = DecodeError::corrupt_png;
    let mut decoder = PngDecoder::with_limits(Cursor::new(data), limits()).map_err(corrupt)?;
    let (width, height) = decoder.dimensions();
    check_size(width, height)?;
    decoder.set_limits(limits()).map_err(corrupt)?;
    DynamicImage::from_decoder(decoder).map_err(corrupt)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_taken_apart() {
        let parse = sender_encoding_and_target;
        assert_eq!(parse("jpeg"), ("", ""));
        assert_eq!(parse("rgb8; jpeg compressed bgr8"), ("rgb8", "bgr8"));
        assert_eq!(parse("mono8; jpeg compressed "), ("mono8", ""));
        assert_eq!(parse("bayer_rggb8; jpeg compressed mono8"), ("bayer_rggb8", "mono8"));
        assert_eq!(parse("16UC1;png"), ("16UC1", ""));
        assert_eq!(pattern("bayer_gbrg16"), "bayer_gbrg");
    }
}
