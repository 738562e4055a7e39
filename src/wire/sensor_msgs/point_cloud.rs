//! `sensor_msgs/msg/PointCloud2` and `PointField`.

use crate::types::CloudPoint;
use crate::wire::cdr::{FieldError, Message, Reader, Writer};
use crate::wire::std_msgs::Header;

/// Values of [`PointField::datatype`] that Owlet writes.
pub mod datatype {
    /// 32-bit unsigned integer.
    pub const UINT32: u8 = 6;
    /// 32-bit float.
    pub const FLOAT32: u8 = 7;
}

/// `sensor_msgs/msg/PointField`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PointField<'a> {
    /// Name of the field.
    pub name: &'a str,
    /// Bytes from the start of a point.
    pub offset: u32,
    /// Type of its numbers: 1 to 8 for INT8, UINT8, INT16, UINT16, INT32, UINT32, FLOAT32, FLOAT64.
    pub datatype: u8,
    /// How many numbers it holds.
    pub count: u32,
}

impl<'a> Message<'a> for PointField<'a> {
    const TYPE: &'static str = "sensor_msgs/msg/PointField";
    const SMALLEST: usize = 4 + 4 + 1 + 4;

    fn read(reader: &mut Reader<'a>) -> Result<Self, FieldError> {
        Ok(Self {
            name: reader.string("name")?,
            offset: reader.u32("offset")?,
            datatype: reader.u8("datatype")?,
            count: reader.u32("count")?,
        })
    }

    fn write(&self, writer: &mut Writer) {
        writer.string(self.name);
        writer.u32(self.offset);
        writer.u8(self.datatype);
        writer.u32(self.count);
    }
}

/// `sensor_msgs/msg/PointCloud2`. Nothing is checked against anything here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PointCloud2<'a> {
    /// Stamp, and the frame that the points are in.
    pub header: Header<'a>,
    /// Rows; 1 for points in no order.
    pub height: u32,
    /// Points of a row.
    pub width: u32,
    /// What a point is made of.
    pub fields: Vec<PointField<'a>>,
    /// Whether numbers are big-endian.
    pub is_bigendian: bool,
    /// Bytes of a point.
    pub point_step: u32,
    /// Bytes of a row.
    pub row_step: u32,
    /// The rows, `row_step * height` bytes.
    pub data: &'a [u8],
    /// Whether no point is NaN.
    pub is_dense: bool,
}

/// Bytes of a point as [`PointCloud2::of_points`] has it.
const POINT_BYTES: usize = 20;

impl<'a> PointCloud2<'a> {
    /// A cloud in no order: fields `x`, `y`, `z` in metres, `rgb` as rviz and PCL have it (the bytes
    /// `0x00RRGGBB` called a float), and `instance`, the number of the detection that a point belongs
    /// to in the instance mask, 0 for none. `data` is made by [`point_bytes`].
    ///
    /// `None` where `data` is not made of whole points, or of more than a message can count.
    #[must_use]
    pub fn of_points(header: Header<'a>, data: &'a [u8]) -> Option<Self> {
        let field = |name, offset, datatype| PointField { name, offset, datatype, count: 1 };
        let float = |name, offset| field(name, offset, datatype::FLOAT32);
        if !data.len().is_multiple_of(POINT_BYTES) {
            return None;
        }
        Some(Self {
            header,
            height: 1,
            width: u32::try_from(data.len() / POINT_BYTES).ok()?,
            fields: vec![
                float("x", 0),
                float("y", 4),
                float("z", 8),
                float("rgb", 12),
                field("instance", 16, datatype::UINT32),
            ],
            is_bigendian: false,
            point_step: POINT_BYTES as u32,
            row_step: u32::try_from(data.len()).ok()?,
            data,
            is_dense: true,
        })
    }
}

/// The bytes of points, none of them NaN, for [`PointCloud2::of_points`].
#[must_use]
pub fn point_bytes(points: &[CloudPoint]) -> Vec<u8> {
    let mut data = Vec::with_capacity(POINT_BYTES * points.len());
    for CloudPoint { position_m, rgb: [r, g, b], instance } in points {
        data.extend(position_m.iter().flat_map(|metres| metres.to_le_bytes()));
        data.extend([*b, *g, *r, 0]);
        data.extend(instance.to_le_bytes());
    }
    data
}

impl<'a> Message<'a> for PointCloud2<'a> {
    const TYPE: &'static str = "sensor_msgs/msg/PointCloud2";
    const SMALLEST: usize = Header::SMALLEST + 4 + 4 + 4 + 1 + 4 + 4 + 4 + 1;

    fn read(reader: &mut Reader<'a>) -> Result<Self, FieldError> {
        Ok(Self {
            header: reader.nested("header")?,
            height: reader.u32("height")?,
            width: reader.u32("width")?,
            fields: reader.sequence("fields")?,
            is_bigendian: reader.bool("is_bigendian")?,
            point_step: reader.u32("point_step")?,
            row_step: reader.u32("row_step")?,
            data: reader.byte_sequence("data")?,
            is_dense: reader.bool("is_dense")?,
        })
    }

    fn write(&self, writer: &mut Writer) {
        self.header.write(writer);
        writer.u32(self.height);
        writer.u32(self.width);
        writer.sequence(&self.fields);
        writer.bool(self.is_bigendian);
        writer.u32(self.point_step);
        writer.u32(self.row_step);
        writer.byte_sequence(self.data);
        writer.bool(self.is_dense);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cloud_of_colours_round_trips_without_copying_its_points() {
        let point = |position_m, rgb, instance| CloudPoint { position_m, rgb, instance };
        let points =
            [point([1.0, 2.0, 3.0], [9, 8, 7], 1), point([-1.0, 0.5, 4.0], [1, 2, 3], 0x0201)];
        let data = point_bytes(&points);
        let header = Header { frame_id: "optical", ..Header::default() };
        let cloud = PointCloud2::of_points(header, &data).unwrap();
        assert_eq!((cloud.width, cloud.row_step), (2, 40));
        let bytes = cloud.encode();
        let decoded = PointCloud2::decode(&bytes).unwrap();
        assert_eq!(decoded, cloud);
        assert!(bytes.as_ptr_range().contains(&decoded.data.as_ptr()));
        // 0x00RRGGBB in a little-endian float.
        assert_eq!(u32::from_le_bytes(data[12..16].try_into().unwrap()), 0x0009_0807);
        assert_eq!(data[36..], [1, 2, 0, 0]);
        assert!(PointCloud2::of_points(header, &data[..30]).is_none());

        let error = PointCloud2::decode(&bytes[..bytes.len() - 1]).unwrap_err();
        assert_eq!(error.at.field, "is_dense");
        let count_at = 4 + 8 + 4 + 8 + 8;
        let mut hostile = bytes.clone();
        hostile[count_at..count_at + 4].copy_from_slice(&u32::MAX.to_le_bytes());
        let error = PointCloud2::decode(&hostile).unwrap_err();
        assert_eq!((error.at.field.as_str(), error.at.offset), ("fields", count_at + 4));
    }
}
