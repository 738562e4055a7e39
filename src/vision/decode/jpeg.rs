//! JPEG, by libjpeg-turbo: the pixels are those that Pillow and the camera drivers see.

use image::{DynamicImage, GrayImage, RgbImage};
use turbojpeg::{Colorspace, DecompressHeader, Decompressor, Image, PixelFormat};

use super::{DecodeError, check_size};

const START_OF_IMAGE: [u8; 2] = [0xff, 0xd8];
const START_OF_SCAN: u8 = 0xda;
const END_OF_IMAGE: [u8; 2] = [0xff, 0xd9];

/// Ten are usual. Each costs a pass over the whole image and can take a handful of bytes, so that
/// a small file could keep the decoder busy for minutes.
const MAX_SCANS: u32 = 100;

/// How the one warning ends that is no damage: padding between the last scan, which was complete,
/// and the end marker. Webcams send it.
const PADDING_BEFORE_END: &str = "extraneous bytes before marker 0xd9";

/// Decodes with the accurate cosine transform and with chroma that is interpolated where it has
/// fewer samples than luma, as Pillow does: grey stays grey, all else becomes RGB.
///
/// Motion JPEG needs nothing of its own: where Huffman tables are missing, as from many USB
/// cameras, libjpeg-turbo takes the standard ones (ITU-T T.81, annex K.3).
///
/// # Errors
/// [`DecodeError`]: no end marker, a size outside the [limits](super::MAX_PIXELS), and all that
/// libjpeg-turbo only warns of as well, since what it puts in place of lost pixels looks like a
/// picture.
pub(super) fn decode(data: &[u8]) -> Result<DynamicImage, DecodeError> {
    if !has_end(data) {
        return Err(DecodeError::JpegCutOff { len: data.len() });
    }
    let corrupt = DecodeError::corrupt_jpeg;
    // A new one for each image, which takes microseconds: a used one would decode an image that
    // lacks tables with those of the image before.
    let mut decompressor = Decompressor::new().map_err(corrupt)?;
    decompressor.set_scan_limit(MAX_SCANS).map_err(corrupt)?;
    let header = decompressor.read_header(data).map_err(corrupt)?;
    let (width, height) = sides(&header);
    check_size(width, height)?;

    let mut pixels = |format: PixelFormat| {
        let pitch = header.width * format.size();
        let mut pixels = vec![0; pitch * header.height];
        let image = Image {
            pixels: &mut pixels[..],
            width: header.width,
            pitch,
            height: header.height,
            format,
        };
        match decompressor.decompress(data, image) {
            Err(turbojpeg::Error::TurboJpegError(told)) if told.ends_with(PADDING_BEFORE_END) => {}
            other => other.map_err(corrupt)?,
        }
        Ok::<_, DecodeError>(pixels)
    };
    const MATCHES: &str = "the buffer was made for this size";
    Ok(match header.colorspace {
        Colorspace::Gray => {
            GrayImage::from_raw(width, height, pixels(PixelFormat::GRAY)?).expect(MATCHES).into()
        }
        Colorspace::RGB | Colorspace::YCbCr => {
            RgbImage::from_raw(width, height, pixels(PixelFormat::RGB)?).expect(MATCHES).into()
        }
        Colorspace::CMYK | Colorspace::YCCK => {
            let cmyk = pixels(PixelFormat::CMYK)?;
            let (cmyk, _) = cmyk.as_chunks();
            let rgb = cmyk.iter().copied().flat_map(rgb_of_cmyk).collect();
            RgbImage::from_raw(width, height, rgb).expect(MATCHES).into()
        }
    })
}

/// Width and height that the header announces; no pixel is decoded.
///
/// # Errors
/// A header that cannot be read.
pub(super) fn size(data: &[u8]) -> Result<(u32, u32), DecodeError> {
    let mut decompressor = Decompressor::new().map_err(DecodeError::corrupt_jpeg)?;
    let header = decompressor.read_header(data).map_err(DecodeError::corrupt_jpeg)?;
    Ok(sides(&header))
}

fn sides(header: &DecompressHeader) -> (u32, u32) {
    let side = |pixels: usize| u32::try_from(pixels).unwrap_or(u32::MAX);
    (side(header.width), side(header.height))
}

/// Without a colour profile. The samples say how much light each ink lets through, not how much
/// ink there is: all programs store them so, Adobe's having begun. Rounded as Pillow rounds.
fn rgb_of_cmyk([c, m, y, k]: [u8; 4]) -> [u8; 3] {
    [c, m, y].map(|let_through| {
        let taken = u32::from(255 - let_through) * u32::from(k) + 128;
        k - ((taken + (taken >> 8)) >> 8) as u8
    })
}

/// Whether an end-of-image marker follows the first scan. Within coded pixels 0xFF is always
/// followed by 0 or a restart marker, so the marker cannot be met by chance; a thumbnail in front
/// of the first scan has one of its own, which does not count. Bytes after the marker are allowed:
/// some cameras send buffers of a fixed size.
pub(super) fn has_end(data: &[u8]) -> bool {
    // Without a scan the decoder knows better what is wrong than that the end is missing, unless
    // there is no end at all.
    let scan = segments(data).find(|(kind, _)| *kind == START_OF_SCAN).map_or(0, |(_, at)| at);
    data[scan..].windows(2).rev().any(|pair| pair == END_OF_IMAGE)
}

/// Kind and position of each segment up to the first scan, or to where the data make no sense.
fn segments(data: &[u8]) -> impl Iterator<Item = (u8, usize)> + '_ {
    let mut next = Some(START_OF_IMAGE.len());
    std::iter::from_fn(move || {
        let mut at = next?;
        loop {
            match *data.get(at..at + 2)? {
                // A marker may have any number of 0xFF in front.
                [0xff, 0xff] => at += 1,
                // Markers without a segment.
                [0xff, 0x01 | 0xd0..=0xd8] => at += 2,
                [0xff, kind] => {
                    let length = data.get(at + 2..at + 4)?;
                    let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
                    next = (kind != START_OF_SCAN).then_some(at + 2 + length);
                    return Some((kind, at));
                }
                _ => return None,
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const THUMBNAIL: &[u8] = b"\xff\xd8\xff\xe1\x00\x06\xff\xd9\x00\x00";
    const SCAN: &[u8] = b"\xff\xda\x00\x02\x12\x34";

    #[test]
    fn the_end_of_a_thumbnail_is_not_that_of_the_image() {
        let cut = [THUMBNAIL, SCAN].concat();
        assert!(!has_end(&cut));
        assert!(has_end(&[&cut[..], b"\xff\xd9"].concat()));
        assert!(has_end(&[&cut[..], b"\xff\xd9\0\0\0\0"].concat()));
        assert!(!has_end(b"\xff\xd8"));
        assert!(!has_end(b"\xff\xd8\xff\xe0\xff\xff"));
        assert!(!has_end(b""));
    }

    #[test]
    fn fill_bytes_and_bare_markers_are_walked_over() {
        let data = [&b"\xff\xd8\xff\xff\xff\xe0\x00\x02\xff\xd0"[..], SCAN].concat();
        assert_eq!(segments(&data).collect::<Vec<_>>(), [(0xe0, 4), (0xda, 10)]);
    }

    #[test]
    fn inks_take_light_from_each_other() {
        assert_eq!(rgb_of_cmyk([255, 255, 255, 255]), [255; 3]);
        assert_eq!(rgb_of_cmyk([255, 255, 255, 0]), [0; 3]);
        assert_eq!(rgb_of_cmyk([0, 255, 128, 255]), [0, 255, 128]);
        assert_eq!(rgb_of_cmyk([200, 100, 0, 128]), [100, 50, 0]);
    }
}
