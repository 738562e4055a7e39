//! `sensor_msgs/msg/Image`, `CompressedImage`, `CameraInfo` and `PointCloud2`.

mod point_cloud;

use super::cdr::{FieldError, Message, Reader, Writer};
use super::std_msgs::Header;
use crate::types::Calibration;

pub use point_cloud::{PointCloud2, PointField, datatype, point_bytes};

/// `sensor_msgs/msg/Image`. Nothing is checked against anything here: whether `step` and the
/// length of `data` fit the size and the encoding is for the decoder of pixels to say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Image<'a> {
    /// Stamp and optical frame of the camera.
    pub header: Header<'a>,
    /// Rows.
    pub height: u32,
    /// Columns.
    pub width: u32,
    /// Name of the pixel layout, as in `sensor_msgs/image_encodings.hpp`.
    pub encoding: &'a str,
    /// Whether values of more than one byte are big-endian (not 0); independent of the byte order
    /// of the message around them.
    pub is_bigendian: u8,
    /// Bytes from the start of one row to the start of the next.
    pub step: u32,
    /// The rows, `step * height` bytes.
    pub data: &'a [u8],
}

impl<'a> Message<'a> for Image<'a> {
    const TYPE: &'static str = "sensor_msgs/msg/Image";
    const SMALLEST: usize = Header::SMALLEST + 4 + 4 + 4 + 1 + 4 + 4;

    fn read(reader: &mut Reader<'a>) -> Result<Self, FieldError> {
        Ok(Self {
            header: reader.nested("header")?,
            height: reader.u32("height")?,
            width: reader.u32("width")?,
            encoding: reader.string("encoding")?,
            is_bigendian: reader.u8("is_bigendian")?,
            step: reader.u32("step")?,
            data: reader.byte_sequence("data")?,
        })
    }

    fn write(&self, writer: &mut Writer) {
        self.header.write(writer);
        writer.u32(self.height);
        writer.u32(self.width);
        writer.string(self.encoding);
        writer.u8(self.is_bigendian);
        writer.u32(self.step);
        writer.byte_sequence(self.data);
    }
}

/// `sensor_msgs/msg/CompressedImage`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CompressedImage<'a> {
    /// Stamp and optical frame of the camera.
    pub header: Header<'a>,
    /// `jpeg`, `png`, or the longer forms of `image_transport` (`rgb8; jpeg compressed bgr8`,
    /// `16UC1; compressedDepth png`).
    pub format: &'a str,
    /// The encoded file; for compressed depth with a header before it.
    pub data: &'a [u8],
}

impl<'a> Message<'a> for CompressedImage<'a> {
    const TYPE: &'static str = "sensor_msgs/msg/CompressedImage";
    const SMALLEST: usize = Header::SMALLEST + 4 + 4;

    fn read(reader: &mut Reader<'a>) -> Result<Self, FieldError> {
        Ok(Self {
            header: reader.nested("header")?,
            format: reader.string("format")?,
            data: reader.byte_sequence("data")?,
        })
    }

    fn write(&self, writer: &mut Writer) {
        self.header.write(writer);
        writer.string(self.format);
        writer.byte_sequence(self.data);
    }
}

/// `sensor_msgs/msg/RegionOfInterest`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RegionOfInterest {
    /// Leftmost column.
    pub x_offset: u32,
    /// Topmost row.
    pub y_offset: u32,
    /// Rows.
    pub height: u32,
    /// Columns.
    pub width: u32,
    /// Whether the region is to be rectified before use.
    pub do_rectify: bool,
}

impl<'a> Message<'a> for RegionOfInterest {
    const TYPE: &'static str = "sensor_msgs/msg/RegionOfInterest";
    const SMALLEST: usize = 4 * 4 + 1;

    fn read(reader: &mut Reader<'a>) -> Result<Self, FieldError> {
        Ok(Self {
            x_offset: reader.u32("x_offset")?,
            y_offset: reader.u32("y_offset")?,
            height: reader.u32("height")?,
            width: reader.u32("width")?,
            do_rectify: reader.bool("do_rectify")?,
        })
    }

    fn write(&self, writer: &mut Writer) {
        writer.u32(self.x_offset);
        writer.u32(self.y_offset);
        writer.u32(self.height);
        writer.u32(self.width);
        writer.bool(self.do_rectify);
    }
}

/// `sensor_msgs/msg/CameraInfo`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CameraInfo<'a> {
    /// Stamp of the image it belongs to, and the optical frame of the camera.
    pub header: Header<'a>,
    /// Rows at which the camera was calibrated.
    pub height: u32,
    /// Columns at which the camera was calibrated.
    pub width: u32,
    /// Name of the lens model (`plumb_bob`, `rational_polynomial`, `equidistant`).
    pub distortion_model: &'a str,
    /// Parameters of the lens model.
    pub d: Vec<f64>,
    /// Intrinsic matrix of the raw image, row by row.
    pub k: [f64; 9],
    /// Rectification matrix, row by row.
    pub r: [f64; 9],
    /// Projection matrix of the rectified image, row by row.
    pub p: [f64; 12],
    /// Columns that were joined into one; 0 and 1 mean none.
    pub binning_x: u32,
    /// Rows that were joined into one; 0 and 1 mean none.
    pub binning_y: u32,
    /// The part of the sensor that the image shows; all zero means all of it.
    pub roi: RegionOfInterest,
}

impl CameraInfo<'_> {
    /// The same as an owned word of floor 0.
    #[must_use]
    pub fn to_calibration(&self) -> Calibration {
        let roi = self.roi;
        Calibration {
            header: self.header.to_frame_header(),
            width: self.width,
            height: self.height,
            distortion_model: self.distortion_model.to_owned(),
            d: self.d.clone(),
            k: self.k,
            r: self.r,
            p: self.p,
            binning: [self.binning_x, self.binning_y],
            region: [roi.x_offset, roi.y_offset, roi.width, roi.height],
        }
    }
}

impl<'a> Message<'a> for CameraInfo<'a> {
    const TYPE: &'static str = "sensor_msgs/msg/CameraInfo";
    const SMALLEST: usize =
        Header::SMALLEST + 4 + 4 + 4 + 4 + (9 + 9 + 12) * 8 + 4 + 4 + RegionOfInterest::SMALLEST;

    fn read(reader: &mut Reader<'a>) -> Result<Self, FieldError> {
        Ok(Self {
            header: reader.nested("header")?,
            height: reader.u32("height")?,
            width: reader.u32("width")?,
            distortion_model: reader.string("distortion_model")?,
            d: reader.sequence("d")?,
            k: reader.f64_array("k")?,
            r: reader.f64_array("r")?,
            p: reader.f64_array("p")?,
            binning_x: reader.u32("binning_x")?,
            binning_y: reader.u32("binning_y")?,
            roi: reader.nested("roi")?,
        })
    }

    fn write(&self, writer: &mut Writer) {
        self.header.write(writer);
        writer.u32(self.height);
        writer.u32(self.width);
        writer.string(self.distortion_model);
        writer.sequence(&self.d);
        writer.f64_array(&self.k);
        writer.f64_array(&self.r);
        writer.f64_array(&self.p);
        writer.u32(self.binning_x);
        writer.u32(self.binning_y);
        self.roi.write(writer);
    }
}

#[cfg(test)]
mod tests {
    use super::super::std_msgs::Time;
    use super::*;

    #[test]
    fn an_image_is_decoded_without_copying_its_pixels() {
        let pixels = [1, 2, 3, 4, 5, 6];
        let image = Image {
            header: Header { stamp: Time { sec: 3, nanosec: 4 }, frame_id: "cam" },
            height: 1,
            width: 2,
            encoding: "rgb8",
            is_bigendian: 0,
            step: 6,
            data: &pixels,
        };
        let bytes = image.encode();
        let decoded = Image::decode(&bytes).unwrap();
        assert_eq!(decoded, image);
        assert!(bytes.as_ptr_range().contains(&decoded.data.as_ptr()));

        let error = Image::decode(&bytes[..bytes.len() - 1]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "sensor_msgs/msg/Image: field `data` at byte 48: expected 6 bytes, \
             found 5 bytes up to the end of the message"
        );
        let error = Image::decode(&bytes[..6]).unwrap_err();
        assert_eq!(error.at.field, "header.stamp.sec");
    }

    #[test]
    fn camera_info_round_trips() {
        let info = CameraInfo {
            header: Header { stamp: Time { sec: -1, nanosec: 9 }, frame_id: "optical" },
            height: 480,
            width: 640,
            distortion_model: "plumb_bob",
            d: vec![0.1, -0.2, 0.0, 0.0, 0.3],
            k: [500.0, 0.0, 320.0, 0.0, 500.0, 240.0, 0.0, 0.0, 1.0],
            roi: RegionOfInterest { width: 3, do_rectify: true, ..Default::default() },
            ..Default::default()
        };
        let bytes = info.encode();
        assert_eq!(CameraInfo::decode(&bytes), Ok(info));
    }
}
