//! The encodings of raw images, as `sensor_msgs/image_encodings` names them.

use opencv::imgproc::{
    COLOR_BGR2RGB, COLOR_BGRA2RGB, COLOR_BayerBG2RGB, COLOR_BayerGB2RGB, COLOR_BayerGR2RGB,
    COLOR_BayerRG2RGB, COLOR_GRAY2RGB, COLOR_RGBA2RGB, COLOR_YUV2RGB_NV12, COLOR_YUV2RGB_NV21,
    COLOR_YUV2RGB_UYVY, COLOR_YUV2RGB_YUY2,
};

/// Said where the length of NV12 or NV21 data is wrong, since the message has no field for it.
pub(super) const NV_RULE: &str = " (a luma plane of `height` rows and a chroma plane of half as many, both with \
                                  this step)";

/// What a raw encoding holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PictureKind {
    /// Something a network can look at.
    Color,
    /// Distances.
    Depth,
}

/// How the samples of an encoding become a picture. `to_rgb` is the code of OpenCV's `cvtColor`.
#[derive(Clone, Copy, Debug)]
pub(super) enum Layout {
    /// 8-bit samples that are RGB already.
    Rgb8,
    /// 8-bit samples, `channels` for each pixel.
    Samples8 { channels: u8, to_rgb: i32 },
    /// 16-bit samples, `channels` for each pixel, that become one of the 8-bit encodings by
    /// scaling.
    Samples16 { channels: u8, as_8_bit: &'static str },
    /// One 16-bit sample for each pixel, behind a colour filter.
    Mosaic16 { to_rgb: i32 },
    /// A plane of 8-bit luma and one of interleaved chroma for each 2 x 2 pixels.
    Yuv420 { to_rgb: i32 },
    /// Millimetres in 16 bits (REP 118).
    DepthMm16,
    /// Metres in 32-bit floats (REP 118).
    DepthM32,
}

/// What an encoding asks of the size of an image.
#[derive(Clone, Copy, Debug)]
pub(super) enum SizeRule {
    Any,
    EvenWidth,
    EvenSides,
    /// Interpolation looks at both neighbours of a pixel, so three rows and columns are the least.
    AtLeastThree,
}

impl SizeRule {
    /// The rule in words, where the size breaks it.
    pub(super) fn broken_by(self, width: u32, height: u32) -> Option<&'static str> {
        let (kept, rule) = match self {
            Self::Any => (true, ""),
            Self::EvenWidth => (width.is_multiple_of(2), "an even width"),
            Self::EvenSides => {
                (width.is_multiple_of(2) && height.is_multiple_of(2), "an even width and height")
            }
            Self::AtLeastThree => (width >= 3 && height >= 3, "at least 3x3 pixels"),
        };
        (!kept).then_some(rule)
    }
}

/// One known encoding.
#[derive(Clone, Copy, Debug)]
pub(super) struct Encoding {
    pub(super) name: &'static str,
    pub(super) layout: Layout,
    pub(super) size_rule: SizeRule,
}

impl Encoding {
    /// Bytes of the samples of one row, without padding.
    pub(super) fn row_bytes(&self, width: u32) -> u64 {
        let bytes_per_pixel: u8 = match self.layout {
            Layout::Rgb8 => 3,
            Layout::Samples8 { channels, .. } => channels,
            Layout::Samples16 { channels, .. } => 2 * channels,
            Layout::Mosaic16 { .. } | Layout::DepthMm16 => 2,
            Layout::Yuv420 { .. } => 1,
            Layout::DepthM32 => 4,
        };
        u64::from(width) * u64::from(bytes_per_pixel)
    }

    /// Rows of `step` bytes in the data of an image of `height` pixels.
    pub(super) fn rows(&self, height: u32) -> u32 {
        match self.layout {
            Layout::Yuv420 { .. } => height + height / 2,
            _ => height,
        }
    }

    fn kind(&self) -> PictureKind {
        match self.layout {
            Layout::DepthMm16 | Layout::DepthM32 => PictureKind::Depth,
            _ => PictureKind::Color,
        }
    }
}

const fn samples8(name: &'static str, channels: u8, to_rgb: i32) -> Encoding {
    Encoding { name, layout: Layout::Samples8 { channels, to_rgb }, size_rule: SizeRule::Any }
}

const fn samples16(name: &'static str, channels: u8, as_8_bit: &'static str) -> Encoding {
    Encoding { name, layout: Layout::Samples16 { channels, as_8_bit }, size_rule: SizeRule::Any }
}

const fn mosaic8(name: &'static str, to_rgb: i32) -> Encoding {
    Encoding {
        name,
        layout: Layout::Samples8 { channels: 1, to_rgb },
        size_rule: SizeRule::AtLeastThree,
    }
}

const fn mosaic16(name: &'static str, to_rgb: i32) -> Encoding {
    Encoding { name, layout: Layout::Mosaic16 { to_rgb }, size_rule: SizeRule::AtLeastThree }
}

const fn yuv422(name: &'static str, to_rgb: i32) -> Encoding {
    Encoding {
        name,
        layout: Layout::Samples8 { channels: 2, to_rgb },
        size_rule: SizeRule::EvenWidth,
    }
}

const fn yuv420(name: &'static str, to_rgb: i32) -> Encoding {
    Encoding { name, layout: Layout::Yuv420 { to_rgb }, size_rule: SizeRule::EvenSides }
}

const fn plain(name: &'static str, layout: Layout) -> Encoding {
    Encoding { name, layout, size_rule: SizeRule::Any }
}

/// ROS names a Bayer pattern by the first two pixels of the first two rows; OpenCV by the second
/// and third pixel of the second row. So `bayer_rggb8` is OpenCV's BG, and so on.
const ENCODINGS: &[Encoding] = &[
    plain("rgb8", Layout::Rgb8),
    samples8("bgr8", 3, COLOR_BGR2RGB),
    samples8("rgba8", 4, COLOR_RGBA2RGB),
    samples8("bgra8", 4, COLOR_BGRA2RGB),
    samples8("mono8", 1, COLOR_GRAY2RGB),
    samples8("8UC1", 1, COLOR_GRAY2RGB),
    samples8("8UC3", 3, COLOR_BGR2RGB),
    samples8("8UC4", 4, COLOR_BGRA2RGB),
    samples16("rgb16", 3, "rgb8"),
    samples16("bgr16", 3, "bgr8"),
    samples16("rgba16", 4, "rgba8"),
    samples16("bgra16", 4, "bgra8"),
    samples16("mono16", 1, "mono8"),
    mosaic8("bayer_rggb8", COLOR_BayerBG2RGB),
    mosaic8("bayer_bggr8", COLOR_BayerRG2RGB),
    mosaic8("bayer_gbrg8", COLOR_BayerGR2RGB),
    mosaic8("bayer_grbg8", COLOR_BayerGB2RGB),
    mosaic16("bayer_rggb16", COLOR_BayerBG2RGB),
    mosaic16("bayer_bggr16", COLOR_BayerRG2RGB),
    mosaic16("bayer_gbrg16", COLOR_BayerGR2RGB),
    mosaic16("bayer_grbg16", COLOR_BayerGB2RGB),
    yuv422("yuv422", COLOR_YUV2RGB_UYVY),
    yuv422("uyvy", COLOR_YUV2RGB_UYVY),
    yuv422("yuv422_yuy2", COLOR_YUV2RGB_YUY2),
    yuv422("yuyv", COLOR_YUV2RGB_YUY2),
    yuv420("nv12", COLOR_YUV2RGB_NV12),
    yuv420("nv21", COLOR_YUV2RGB_NV21),
    plain("16UC1", Layout::DepthMm16),
    plain("32FC1", Layout::DepthM32),
];

pub(super) fn find(name: &str) -> Option<&'static Encoding> {
    ENCODINGS.iter().find(|encoding| encoding.name == name)
}

/// The names of all encodings that [`decode_raw`](super::decode_raw) takes, as they stand in a
/// message (names are compared exactly).
pub fn known_encodings() -> impl Iterator<Item = &'static str> {
    ENCODINGS.iter().map(|encoding| encoding.name)
}

/// Bytes from one row to the next of an image without padding; `None` where the encoding is not
/// known. Rows that no image can have give `u32::MAX`.
#[must_use]
pub fn packed_step(encoding: &str, width: u32) -> Option<u32> {
    let row_bytes = find(encoding)?.row_bytes(width);
    Some(u32::try_from(row_bytes).unwrap_or(u32::MAX))
}

/// What [`decode_raw`](super::decode_raw) makes of an encoding; `None` where it is not known.
#[must_use]
pub fn picture_kind(encoding: &str) -> Option<PictureKind> {
    find(encoding).map(Encoding::kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_every_16_bit_encoding_names_a_known_8_bit_one() {
        let names: std::collections::HashSet<_> = known_encodings().collect();
        assert_eq!(names.len(), ENCODINGS.len());
        for encoding in ENCODINGS {
            if let Layout::Samples16 { channels, as_8_bit } = encoding.layout {
                let narrow = find(as_8_bit).expect(as_8_bit);
                assert_eq!(narrow.row_bytes(10), u64::from(channels) * 10, "{}", encoding.name);
            }
        }
    }

    #[test]
    fn depth_is_told_from_colour() {
        assert_eq!(picture_kind("16UC1"), Some(PictureKind::Depth));
        assert_eq!(picture_kind("32FC1"), Some(PictureKind::Depth));
        assert_eq!(picture_kind("mono16"), Some(PictureKind::Color));
        assert_eq!(picture_kind("bayer_grbg16"), Some(PictureKind::Color));
        assert_eq!(picture_kind("RGB8"), None);
        assert_eq!(picture_kind(""), None);
    }
}
