//! From message bytes to pixels.
//!
//! | input | function |
//! | --- | --- |
//! | `sensor_msgs/Image` | [`decode_raw`] |
//! | `sensor_msgs/CompressedImage`, an encoded image over any transport | [`decode_compressed`] |
//! | the `compressedDepth` form of `sensor_msgs/CompressedImage` | [`decode_compressed_depth`] |
//! | an image file | [`decode_file`] |
//!
//! Colour comes out as 8-bit RGB, depth as metres with NaN for unknown ([`Picture`]). Bytes that
//! contradict their own description are refused, never guessed at: a picture is either what the
//! camera saw or an error. Nothing here panics on any input.
//!
//! The modules know nothing of message definitions, so that each transport can hand over borrowed
//! fields.

mod compressed;
mod compressed_depth;
mod encoding;
mod error;
mod file;
mod jpeg;
mod raw;
mod rvl;
mod samples;

pub use compressed::{compressed_size, decode_color, decode_compressed};
pub use compressed_depth::decode_compressed_depth;
pub use encoding::{PictureKind, known_encodings, packed_step, picture_kind};
pub use error::{DecodeError, DecodeFileError, RvlError};
pub use file::{MAX_FILE_BYTES, decode_file};
pub use raw::{RawImage, decode_raw};

use crate::types::DepthImage;
#[cfg(doc)]
use crate::types::Picture;

/// The longest side that is decoded, in pixels.
pub const MAX_SIDE_PX: u32 = 32_768;

/// The most pixels that are decoded in one image (134 megapixels): a few bytes can announce an
/// image of any size, and this bounds what they can make the host allocate.
pub const MAX_PIXELS: u64 = 1 << 27;

/// Refuses sizes of zero and sizes above [`MAX_SIDE_PX`] and [`MAX_PIXELS`], before anything is
/// allocated.
fn check_size(width: u32, height: u32) -> Result<(), DecodeError> {
    if width == 0 || height == 0 {
        return Err(DecodeError::Empty { width, height });
    }
    let pixels = u64::from(width) * u64::from(height);
    if width > MAX_SIDE_PX || height > MAX_SIDE_PX || pixels > MAX_PIXELS {
        return Err(DecodeError::TooLarge { width, height });
    }
    Ok(())
}

fn depth_image(width: u32, height: u32, metres: Vec<f32>) -> DepthImage {
    DepthImage::new(width, height, metres).expect("one depth is made for each pixel")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_bounded_on_each_side_and_in_area() {
        assert!(check_size(1, 1).is_ok());
        assert!(check_size(MAX_SIDE_PX, 4096).is_ok());
        assert!(matches!(check_size(MAX_SIDE_PX, 4097), Err(DecodeError::TooLarge { .. })));
        assert!(matches!(check_size(MAX_SIDE_PX + 1, 1), Err(DecodeError::TooLarge { .. })));
        assert!(matches!(check_size(u32::MAX, u32::MAX), Err(DecodeError::TooLarge { .. })));
        assert!(matches!(check_size(0, 4), Err(DecodeError::Empty { width: 0, height: 4 })));
        assert!(matches!(check_size(4, 0), Err(DecodeError::Empty { width: 4, height: 0 })));
    }
}
