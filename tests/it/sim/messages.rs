//! The messages of the simulator's recordings that Owlet itself does not read, as far as these
//! tests use them.

use owlet::wire::Message;
use owlet::wire::cdr::{FieldError, Reader, Writer};
use owlet::wire::std_msgs::Header;
use owlet::wire::vision_msgs::ObjectHypothesisWithPose;

/// A rigid transform: `parent_from_child`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Transform {
    pub(super) translation: [f64; 3],
    /// `x, y, z, w`.
    pub(super) rotation: [f64; 4],
}

impl Transform {
    /// Where a point of the child is in the parent.
    pub(super) fn apply(&self, point: [f64; 3]) -> [f64; 3] {
        let [x, y, z, w] = self.rotation;
        let cross = |a: [f64; 3], b: [f64; 3]| {
            [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
        };
        let twice = cross([x, y, z], point).map(|side| 2.0 * side);
        let more = cross([x, y, z], twice);
        std::array::from_fn(|i| point[i] + w * twice[i] + more[i] + self.translation[i])
    }
}

/// `geometry_msgs/msg/TransformStamped`.
#[derive(Debug)]
pub(super) struct TransformStamped<'a> {
    pub(super) header: Header<'a>,
    pub(super) child_frame_id: &'a str,
    pub(super) parent_from_child: Transform,
}

impl<'a> Message<'a> for TransformStamped<'a> {
    const TYPE: &'static str = "geometry_msgs/msg/TransformStamped";

    fn read(reader: &mut Reader<'a>) -> Result<Self, FieldError> {
        Ok(Self {
            header: reader.nested("header")?,
            child_frame_id: reader.string("child_frame_id")?,
            parent_from_child: Transform {
                translation: reader.f64_array("translation")?,
                rotation: reader.f64_array("rotation")?,
            },
        })
    }

    fn write(&self, _: &mut Writer) {
        unreachable!("these tests only read")
    }
}

/// `tf2_msgs/msg/TFMessage`.
#[derive(Debug)]
pub(super) struct TfMessage<'a> {
    pub(super) transforms: Vec<TransformStamped<'a>>,
}

impl<'a> Message<'a> for TfMessage<'a> {
    const TYPE: &'static str = "tf2_msgs/msg/TFMessage";

    fn read(reader: &mut Reader<'a>) -> Result<Self, FieldError> {
        Ok(Self { transforms: reader.sequence("transforms", 72)? })
    }

    fn write(&self, _: &mut Writer) {
        unreachable!("these tests only read")
    }
}

/// `vision_msgs/msg/Detection3D`.
#[derive(Debug)]
pub(super) struct Detection3D<'a> {
    pub(super) results: Vec<ObjectHypothesisWithPose<'a>>,
    pub(super) optical_from_box: Transform,
    pub(super) size_m: [f64; 3],
    pub(super) id: &'a str,
}

impl<'a> Message<'a> for Detection3D<'a> {
    const TYPE: &'static str = "vision_msgs/msg/Detection3D";

    fn read(reader: &mut Reader<'a>) -> Result<Self, FieldError> {
        let _: Header<'_> = reader.nested("header")?;
        Ok(Self {
            results: reader.sequence("results", 356)?,
            optical_from_box: Transform {
                translation: reader.f64_array("position")?,
                rotation: reader.f64_array("orientation")?,
            },
            size_m: reader.f64_array("size")?,
            id: reader.string("id")?,
        })
    }

    fn write(&self, _: &mut Writer) {
        unreachable!("these tests only read")
    }
}

/// `vision_msgs/msg/Detection3DArray`.
#[derive(Debug)]
pub(super) struct Detection3DArray<'a> {
    pub(super) header: Header<'a>,
    pub(super) detections: Vec<Detection3D<'a>>,
}

impl<'a> Message<'a> for Detection3DArray<'a> {
    const TYPE: &'static str = "vision_msgs/msg/Detection3DArray";

    fn read(reader: &mut Reader<'a>) -> Result<Self, FieldError> {
        Ok(Self {
            header: reader.nested("header")?,
            detections: reader.sequence("detections", 96)?,
        })
    }

    fn write(&self, _: &mut Writer) {
        unreachable!("these tests only read")
    }
}
