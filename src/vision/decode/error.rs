//! Why bytes are not a picture.

use std::io;
use std::path::PathBuf;

use super::encoding::{NV_RULE, known_encodings};
use super::{MAX_FILE_BYTES, MAX_PIXELS, MAX_SIDE_PX};

/// Why an image was refused.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// `encoding` of a raw image is none that is known.
    #[error("encoding {encoding:?} is not known; known are {}", known_encodings().collect::<Vec<_>>().join(", "))]
    UnknownEncoding {
        /// The encoding as the message names it.
        encoding: String,
    },
    /// There are no pixels.
    #[error("the image is {width}x{height} pixels: neither side may be 0")]
    Empty {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
    },
    /// The image is above [`MAX_SIDE_PX`] or [`MAX_PIXELS`].
    #[error(
        "the image is {width}x{height} pixels: at most {MAX_SIDE_PX} on a side and {MAX_PIXELS} \
         in all are decoded"
    )]
    TooLarge {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
    },
    /// The encoding cannot describe an image of this size.
    #[error("encoding {encoding:?} needs {rule}, found {width}x{height} pixels")]
    SizeRule {
        /// The encoding as the message names it.
        encoding: String,
        /// What the encoding asks for.
        rule: &'static str,
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
    },
    /// `step` is smaller than the bytes of one row.
    #[error(
        "step {step} is smaller than a row: {width} pixels of {encoding:?} take {row_bytes} bytes"
    )]
    StepTooSmall {
        /// The encoding as the message names it.
        encoding: String,
        /// Width in pixels.
        width: u32,
        /// Bytes from one row to the next, as the message says.
        step: u32,
        /// Bytes that one row takes without padding.
        row_bytes: u64,
    },
    /// `data` is shorter or longer than step and height say.
    #[error(
        "the data have {found} bytes, but step {step} and height {height} of {encoding:?} make \
         {expected}{}", if matches!(encoding.as_str(), "nv12" | "nv21") { NV_RULE } else { "" }
    )]
    DataLength {
        /// The encoding as the message names it.
        encoding: String,
        /// Bytes from one row to the next, as the message says.
        step: u32,
        /// Height in pixels.
        height: u32,
        /// Bytes that step and height ask for.
        expected: u64,
        /// Bytes that are there.
        found: usize,
    },
    /// OpenCV refused a conversion that the checks before it allowed.
    #[error("OpenCV did not convert {encoding:?}: {source}")]
    OpenCv {
        /// The encoding as the message names it.
        encoding: &'static str,
        /// What OpenCV said.
        source: opencv::Error,
    },
    /// The bytes are neither JPEG nor PNG, whatever the format says.
    #[error(
        "neither JPEG nor PNG: {len} bytes that begin with {}{}",
        hex(first_bytes),
        declared(format)
    )]
    UnknownContainer {
        /// The format as the message names it; empty for a file.
        format: String,
        /// Up to eight bytes from the beginning.
        first_bytes: Vec<u8>,
        /// Number of all bytes.
        len: usize,
    },
    /// A JPEG without its end marker: part of the picture is missing.
    #[error("the JPEG is cut off: {len} bytes without an end marker")]
    JpegCutOff {
        /// Number of all bytes.
        len: usize,
    },
    /// The JPEG or PNG cannot be decoded.
    #[error("the {container} cannot be decoded: {source}")]
    Corrupt {
        /// `JPEG` or `PNG`, by content.
        container: &'static str,
        /// What the decoder said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The format announces depth, and the image in it cannot hold it without loss.
    #[error("format {format:?} announces depth, which only a 16-bit grey PNG holds; found {found}")]
    NotDepth {
        /// The format as the message names it.
        format: String,
        /// Container and pixel type that were found.
        found: String,
    },
    /// The format is none that compressed depth images have.
    #[error(
        "format {format:?} is no compressed depth; known are \"16UC1\" and \"32FC1\", alone or \
         followed by \"; compressedDepth\", \"; compressedDepth png\" or \"; compressedDepth rvl\""
    )]
    UnknownDepthFormat {
        /// The format as the message names it.
        format: String,
    },
    /// A compressed depth image ends within its header.
    #[error(
        "compressed depth begins with a header of {expected} bytes; found {found} bytes in all"
    )]
    DepthHeaderMissing {
        /// Bytes of the header.
        expected: usize,
        /// Bytes that are there.
        found: usize,
    },
    /// The inverse-depth parameters of a 32FC1 image give no depth.
    #[error("depth quantisation a = {a}, b = {b}: both must be finite and a above 0")]
    DepthQuantisation {
        /// Scale of the inverse depth.
        a: f32,
        /// Offset of the inverse depth.
        b: f32,
    },
    /// RVL data that contradict themselves.
    #[error("the RVL depth cannot be decoded: {0}")]
    Rvl(#[from] RvlError),
}

impl DecodeError {
    pub(super) fn corrupt_jpeg(source: turbojpeg::Error) -> Self {
        Self::Corrupt { container: "JPEG", source: source.into() }
    }

    pub(super) fn corrupt_png(source: image::ImageError) -> Self {
        Self::Corrupt { container: "PNG", source: source.into() }
    }
}

/// Why run-length depth was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RvlError {
    /// The data end before width and height.
    #[error("{found} bytes do not hold width and height")]
    NoSize {
        /// Bytes that are there.
        found: usize,
    },
    /// The data end before the last pixel.
    #[error("the data end after {decoded} of {expected} pixels")]
    CutOff {
        /// Pixels that were decoded.
        decoded: usize,
        /// Pixels that width and height ask for.
        expected: usize,
    },
    /// A run goes past the last pixel.
    #[error("a run of {run} pixels where {left} are left")]
    RunTooLong {
        /// Pixels in the run.
        run: u64,
        /// Pixels that are left.
        left: usize,
    },
    /// A number has more digits than any depth needs.
    #[error("a number of more than 32 bits at pixel {pixel}")]
    NumberTooLong {
        /// Index of the pixel.
        pixel: usize,
    },
    /// The sum of the differences leaves the range of a 16-bit pixel.
    #[error("the depth of pixel {pixel} is {value}, not in 0..=65535")]
    OutOfRange {
        /// Index of the pixel.
        pixel: usize,
        /// The depth that the data lead to.
        value: i64,
    },
}

/// Why a file is not a picture.
#[derive(Debug, thiserror::Error)]
pub enum DecodeFileError {
    /// The file cannot be read.
    #[error("cannot read image {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is above [`MAX_FILE_BYTES`].
    #[error("image {} has more than {MAX_FILE_BYTES} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// The file was read and holds no picture.
    #[error("image {}: {source}", path.display())]
    Decode {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: DecodeError,
    },
}

fn hex(bytes: &[u8]) -> String {
    let digits: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    if digits.is_empty() { "nothing".to_owned() } else { digits.join(" ") }
}

/// Only a message of ROS says a format.
fn declared(format: &str) -> String {
    if format.is_empty() { String::new() } else { format!(", declared as format {format:?}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_is_told_where_one_was_declared() {
        let told = |format: &str| {
            let (format, first_bytes) = (format.to_owned(), vec![0x47, 0x49]);
            DecodeError::UnknownContainer { format, first_bytes, len: 9 }.to_string()
        };
        assert_eq!(told(""), "neither JPEG nor PNG: 9 bytes that begin with 47 49");
        assert!(told("png").ends_with("47 49, declared as format \"png\""));
    }
}
