//! `geometry_msgs`: poses and transforms. Points, vectors and quaternions are arrays.

use crate::types::Stamp;

use super::cdr::{FieldError, Message, Reader, Writer};
use super::std_msgs::Header;

/// The quaternion of an unset rotation in ROS, `x, y, z, w`.
const NOT_TURNED: [f64; 4] = [0.0, 0.0, 0.0, 1.0];

/// `geometry_msgs/msg/Pose`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pose {
    /// `x, y, z` in metres.
    pub position: [f64; 3],
    /// `x, y, z, w`.
    pub orientation: [f64; 4],
}

impl Default for Pose {
    /// The identity, as an unset pose is in ROS.
    fn default() -> Self {
        Self { position: [0.0; 3], orientation: NOT_TURNED }
    }
}

impl<'a> Message<'a> for Pose {
    const TYPE: &'static str = "geometry_msgs/msg/Pose";
    const SMALLEST: usize = (3 + 4) * 8;

    fn read(reader: &mut Reader<'a>) -> Result<Self, FieldError> {
        Ok(Self {
            position: reader.f64_array("position")?,
            orientation: reader.f64_array("orientation")?,
        })
    }

    fn write(&self, writer: &mut Writer) {
        writer.f64_array(&self.position);
        writer.f64_array(&self.orientation);
    }
}

/// `geometry_msgs/msg/PoseStamped`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PoseStamped<'a> {
    /// When, and in which frame.
    pub header: Header<'a>,
    /// The pose in that frame.
    pub pose: Pose,
}

impl<'a> Message<'a> for PoseStamped<'a> {
    const TYPE: &'static str = "geometry_msgs/msg/PoseStamped";
    const SMALLEST: usize = Header::SMALLEST + Pose::SMALLEST;

    fn read(reader: &mut Reader<'a>) -> Result<Self, FieldError> {
        Ok(Self { header: reader.nested("header")?, pose: reader.nested("pose")? })
    }

    fn write(&self, writer: &mut Writer) {
        self.header.write(writer);
        self.pose.write(writer);
    }
}

/// `geometry_msgs/msg/PoseWithCovariance`.
#[derive(Clone, Debug, PartialEq)]
pub struct PoseWithCovariance {
    /// The pose.
    pub pose: Pose,
    /// Over `x, y, z` and rotations about X, Y, Z, row by row; all zero is unknown.
    pub covariance: [f64; 36],
}

impl Default for PoseWithCovariance {
    fn default() -> Self {
        Self { pose: Pose::default(), covariance: [0.0; 36] }
    }
}

impl<'a> Message<'a> for PoseWithCovariance {
    const TYPE: &'static str = "geometry_msgs/msg/PoseWithCovariance";
    const SMALLEST: usize = Pose::SMALLEST + 36 * 8;

    fn read(reader: &mut Reader<'a>) -> Result<Self, FieldError> {
        Ok(Self { pose: reader.nested("pose")?, covariance: reader.f64_array("covariance")? })
    }

    fn write(&self, writer: &mut Writer) {
        self.pose.write(writer);
        writer.f64_array(&self.covariance);
    }
}

/// `geometry_msgs/msg/Transform`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Transform {
    /// `x, y, z` in metres.
    pub translation: [f64; 3],
    /// `x, y, z, w`.
    pub rotation: [f64; 4],
}

impl Default for Transform {
    /// The identity, as an unset transform is in ROS.
    fn default() -> Self {
        Self { translation: [0.0; 3], rotation: NOT_TURNED }
    }
}

impl<'a> Message<'a> for Transform {
    const TYPE: &'static str = "geometry_msgs/msg/Transform";
    const SMALLEST: usize = (3 + 4) * 8;

    fn read(reader: &mut Reader<'a>) -> Result<Self, FieldError> {
        Ok(Self {
            translation: reader.f64_array("translation")?,
            rotation: reader.f64_array("rotation")?,
        })
    }

    fn write(&self, writer: &mut Writer) {
        writer.f64_array(&self.translation);
        writer.f64_array(&self.rotation);
    }
}

/// `geometry_msgs/msg/TransformStamped`: the pose of `child_frame_id` in the header's frame.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TransformStamped<'a> {
    /// When, and in which parent frame.
    pub header: Header<'a>,
    /// The child frame.
    pub child_frame_id: &'a str,
    /// Takes points in the child to the parent.
    pub transform: Transform,
}

impl TransformStamped<'_> {
    /// When it holds.
    #[must_use]
    pub fn stamp(&self) -> Stamp {
        self.header.stamp.into()
    }
}

impl<'a> Message<'a> for TransformStamped<'a> {
    const TYPE: &'static str = "geometry_msgs/msg/TransformStamped";
    const SMALLEST: usize = Header::SMALLEST + 4 + Transform::SMALLEST;

    fn read(reader: &mut Reader<'a>) -> Result<Self, FieldError> {
        Ok(Self {
            header: reader.nested("header")?,
            child_frame_id: reader.string("child_frame_id")?,
            transform: reader.nested("transform")?,
        })
    }

    fn write(&self, writer: &mut Writer) {
        self.header.write(writer);
        writer.string(self.child_frame_id);
        self.transform.write(writer);
    }
}
