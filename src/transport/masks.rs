//! All masks of a frame as the pictures that travel.

use image::{GrayImage, ImageBuffer, Luma};

use crate::types::FrameDetections;
use crate::vision::mask;
use crate::wire::sensor_msgs::Image;
use crate::wire::std_msgs::Header;

/// The instance mask and the class mask of one frame.
pub struct MaskPictures<'a> {
    header: Header<'a>,
    instances: ImageBuffer<Luma<u16>, Vec<u16>>,
    classes: GrayImage,
}

impl<'a> MaskPictures<'a> {
    /// Of what was found in a frame; where nothing was, both are of zeros.
    #[must_use]
    pub fn of(found: &'a FrameDetections) -> Self {
        Self {
            header: Header::from(&found.header),
            instances: mask::instances(found),
            classes: mask::classes(found),
        }
    }

    /// `16UC1`: the number of the instance, which its `Detection2D.id` has, 0 for none.
    #[must_use]
    pub fn instances(&self) -> Image<'_> {
        let (width, height) = self.instances.dimensions();
        Image {
            header: self.header,
            height,
            width,
            encoding: "16UC1",
            is_bigendian: u8::from(cfg!(target_endian = "big")),
            step: 2 * width,
            data: bytemuck::cast_slice(self.instances.as_raw()),
        }
    }

    /// `mono8`: the place of the prompt in its set, from 1; 0 for none.
    #[must_use]
    pub fn labels(&self) -> Image<'_> {
        let (width, height) = self.classes.dimensions();
        Image {
            header: self.header,
            height,
            width,
            encoding: "mono8",
            is_bigendian: 0,
            step: width,
            data: self.classes.as_raw(),
        }
    }
}
