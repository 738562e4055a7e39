//! `vision_msgs/msg/Detection3DArray` and what it is made of.

use std::borrow::Cow;

use super::ObjectHypothesisWithPose;
use crate::types::{FrameDetections, FramePlaces};
use crate::wire::cdr::{FieldError, Message, Reader, Writer};
use crate::wire::geometry_msgs::{Pose, PoseWithCovariance};
use crate::wire::std_msgs::Header;

/// `vision_msgs/msg/BoundingBox3D`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct BoundingBox3D {
    /// Pose of the centre of the box in the frame of the message.
    pub center: Pose,
    /// Lengths along the box's own x, y and z, in metres.
    pub size: [f64; 3],
}

impl<'a> Message<'a> for BoundingBox3D {
    const TYPE: &'static str = "vision_msgs/msg/BoundingBox3D";
    const SMALLEST: usize = Pose::SMALLEST + 3 * 8;

    fn read(reader: &mut Reader<'a>) -> Result<Self, FieldError> {
        Ok(Self { center: reader.nested("center")?, size: reader.f64_array("size")? })
    }

    fn write(&self, writer: &mut Writer) {
        self.center.write(writer);
        writer.f64_array(&self.size);
    }
}

/// `vision_msgs/msg/Detection3D`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Detection3D<'a> {
    /// Stamp of the source image, and the frame that the box and the poses are in.
    pub header: Header<'a>,
    /// What it may be, best first.
    pub results: Vec<ObjectHypothesisWithPose<'a>>,
    /// Where it is.
    pub bbox: BoundingBox3D,
    /// The same as that of the detection in the image.
    pub id: Cow<'a, str>,
}

impl<'a> Message<'a> for Detection3D<'a> {
    const TYPE: &'static str = "vision_msgs/msg/Detection3D";
    const SMALLEST: usize = Header::SMALLEST + 4 + BoundingBox3D::SMALLEST + 4;

    fn read(reader: &mut Reader<'a>) -> Result<Self, FieldError> {
        Ok(Self {
            header: reader.nested("header")?,
            results: reader.sequence("results")?,
            bbox: reader.nested("bbox")?,
            id: Cow::Borrowed(reader.string("id")?),
        })
    }

    fn write(&self, writer: &mut Writer) {
        self.header.write(writer);
        writer.sequence(&self.results);
        self.bbox.write(writer);
        writer.string(&self.id);
    }
}

/// `vision_msgs/msg/Detection3DArray`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Detection3DArray<'a> {
    /// Stamp of the source image, and the frame of the detections.
    pub header: Header<'a>,
    /// What was found, best first.
    pub detections: Vec<Detection3D<'a>>,
}

impl<'a> Message<'a> for Detection3DArray<'a> {
    const TYPE: &'static str = "vision_msgs/msg/Detection3DArray";
    const SMALLEST: usize = Header::SMALLEST + 4;

    fn read(reader: &mut Reader<'a>) -> Result<Self, FieldError> {
        Ok(Self { header: reader.nested("header")?, detections: reader.sequence("detections")? })
    }

    fn write(&self, writer: &mut Writer) {
        self.header.write(writer);
        writer.sequence(&self.detections);
    }
}

/// The message for one frame: stamp of the source image, in the frame of the places, `class_id` and
/// `id` as in [`detection_2d_array`](super::detection_2d_array). Detections without a place are not
/// in it. The covariance of the pose is that of nobody (all zero): what the depth camera can do is
/// not known.
#[must_use]
pub fn detection_3d_array<'a>(
    found: &'a FrameDetections,
    places: &'a FramePlaces,
) -> Detection3DArray<'a> {
    let header = Header::from(&places.header);
    let placed = found.detections.iter().zip(&places.places).enumerate();
    let detections = placed.filter_map(|(index, (detection, place))| {
        let place = place.as_ref().ok()?;
        let center = Pose { position: place.position_m, orientation: place.orientation_xyzw };
        let prompt = found.prompts.prompts.get(detection.prompt);
        Some(Detection3D {
            header,
            results: vec![ObjectHypothesisWithPose {
                class_id: prompt.map_or("", |prompt| prompt.name.as_str()),
                score: f64::from(detection.score),
                pose: PoseWithCovariance { pose: center, ..Default::default() },
            }],
            bbox: BoundingBox3D { center, size: place.size_m },
            id: Cow::Owned(found.id_text(index)),
        })
    });
    Detection3DArray { header, detections: detections.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn detections_round_trip_and_a_broken_one_is_named() {
        let detection = Detection3D {
            header: Header { frame_id: "optical", ..Header::default() },
            results: vec![ObjectHypothesisWithPose { class_id: "mug", ..Default::default() }],
            bbox: BoundingBox3D {
                center: Pose { position: [0.1, 0.2, 0.9], ..Pose::default() },
                size: [0.08, 0.08, 0.1],
            },
            id: "3".into(),
        };
        let message = Detection3DArray {
            header: detection.header,
            detections: vec![Detection3D::default(), detection],
        };
        let bytes = message.encode();
        assert_eq!(Detection3DArray::decode(&bytes), Ok(message));
        let error = Detection3DArray::decode(&bytes[..bytes.len() - 8]).unwrap_err();
        assert_eq!(error.at.field, "detections[1].bbox.size");
    }
}
