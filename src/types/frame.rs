//! What a camera gave, decoded.

use std::sync::Arc;

use image::RgbImage;

use super::Stamp;

/// What is copied from a source image to every output that is made from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// When the camera took the image.
    pub stamp: Stamp,
    /// The coordinate frame of the camera (`header.frame_id`).
    pub frame_id: Arc<str>,
}

/// Whose clock gave a frame its stamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StampSource {
    /// The camera's: it came with the image.
    Camera,
    /// The transport's, when the message was sent.
    Transport,
    /// This machine's, when the message arrived.
    Arrival,
}

impl StampSource {
    /// The name in every output.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Camera => "camera",
            Self::Transport => "transport",
            Self::Arrival => "arrival",
        }
    }
}

/// One colour image of one camera, ready for a network.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Which camera: its topic or key, or the path of a file.
    pub camera: Arc<str>,
    /// Stamp and coordinate frame of the source image.
    pub header: FrameHeader,
    /// Whose clock gave the header its stamp.
    pub stamp_from: StampSource,
    /// When its message arrived, by the clock of the robot or of the recording.
    pub received: Stamp,
    /// The pixels: 8-bit sRGB, row by row from the top left.
    pub image: Arc<RgbImage>,
}

/// A depth image in metres along the optical axis, row by row from the top left.
#[derive(Clone, Debug, PartialEq)]
pub struct DepthImage {
    width: u32,
    height: u32,
    metres: Vec<f32>,
}

impl DepthImage {
    /// `metres` holds `width * height` values; unknown depth is NaN (REP 118). `None` where the
    /// length disagrees.
    #[must_use]
    pub fn new(width: u32, height: u32, metres: Vec<f32>) -> Option<Self> {
        let expected = usize::try_from(u64::from(width) * u64::from(height)).ok()?;
        (metres.len() == expected).then_some(Self { width, height, metres })
    }

    /// Width in pixels.
    #[must_use]
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height in pixels.
    #[must_use]
    pub fn height(&self) -> u32 {
        self.height
    }

    /// All depths in metres, row by row; NaN is unknown.
    #[must_use]
    pub fn metres(&self) -> &[f32] {
        &self.metres
    }
}

/// A decoded image message: colour for the networks, depth for geometry.
#[derive(Clone, Debug, PartialEq)]
pub enum Picture {
    /// 8-bit sRGB.
    Color(RgbImage),
    /// Depth in metres.
    Depth(DepthImage),
}
