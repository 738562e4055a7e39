//! `vision_msgs/msg/Detection2DArray` and what it is made of, as in `vision_msgs` 4.x.

use std::borrow::Cow;

use crate::types::FrameDetections;

use super::cdr::{FieldError, Message, Reader, Writer};
use super::std_msgs::Header;

/// `geometry_msgs/msg/PoseWithCovariance`, flattened: position, quaternion, and a 6x6 covariance
/// row by row.
#[derive(Clone, Debug, PartialEq)]
pub struct PoseWithCovariance {
    /// `x, y, z` in metres.
    pub position: [f64; 3],
    /// `x, y, z, w`.
    pub orientation: [f64; 4],
    /// Over `x, y, z` and rotations about X, Y, Z, row by row.
    pub covariance: [f64; 36],
}

impl Default for PoseWithCovariance {
    /// The identity, as an unset pose is in ROS.
    fn default() -> Self {
        Self { position: [0.0; 3], orientation: [0.0, 0.0, 0.0, 1.0], covariance: [0.0; 36] }
    }
}

impl<'a> Message<'a> for PoseWithCovariance {
    const TYPE: &'static str = "geometry_msgs/msg/PoseWithCovariance";

    fn read(reader: &mut Reader<'a>) -> Result<Self, FieldError> {
        Ok(Self {
            position: reader.f64_array("pose.position")?,
            orientation: reader.f64_array("pose.orientation")?,
            covariance: reader.f64_array("covariance")?,
        })
    }

    fn write(&self, writer: &mut Writer) {
        writer.f64_array(&self.position);
        writer.f64_array(&self.orientation);
        writer.f64_array(&self.covariance);
    }
}

/// `vision_msgs/msg/ObjectHypothesisWithPose`, with its `hypothesis` flattened.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ObjectHypothesisWithPose<'a> {
    /// What it is, as text.
    pub class_id: &'a str,
    /// How sure the network is, in `[0, 1]`; not a probability.
    pub score: f64,
    /// Where it is in space; the identity where that is not known.
    pub pose: PoseWithCovariance,
}

impl<'a> ObjectHypothesisWithPose<'a> {
    /// Length of an empty class id, the score and the pose.
    const SMALLEST: usize = 4 + 8 + (3 + 4 + 36) * 8;
}

impl<'a> Message<'a> for ObjectHypothesisWithPose<'a> {
    const TYPE: &'static str = "vision_msgs/msg/ObjectHypothesisWithPose";

    fn read(reader: &mut Reader<'a>) -> Result<Self, FieldError> {
        Ok(Self {
            class_id: reader.string("hypothesis.class_id")?,
            score: reader.f64("hypothesis.score")?,
            pose: reader.nested("pose")?,
        })
    }

    fn write(&self, writer: &mut Writer) {
        writer.string(self.class_id);
        writer.f64(self.score);
        self.pose.write(writer);
    }
}

/// `vision_msgs/msg/BoundingBox2D`, with its `center` flattened. In pixels of the source image.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct BoundingBox2D {
    /// Column of the centre.
    pub center_x: f64,
    /// Row of the centre.
    pub center_y: f64,
    /// Rotation in radians.
    pub theta: f64,
    /// Width.
    pub size_x: f64,
    /// Height.
    pub size_y: f64,
}

impl<'a> Message<'a> for BoundingBox2D {
    const TYPE: &'static str = "vision_msgs/msg/BoundingBox2D";

    fn read(reader: &mut Reader<'a>) -> Result<Self, FieldError> {
        Ok(Self {
            center_x: reader.f64("center.position.x")?,
            center_y: reader.f64("center.position.y")?,
            theta: reader.f64("center.theta")?,
            size_x: reader.f64("size_x")?,
            size_y: reader.f64("size_y")?,
        })
    }

    fn write(&self, writer: &mut Writer) {
        writer.f64_array(&[self.center_x, self.center_y, self.theta, self.size_x, self.size_y]);
    }
}

/// `vision_msgs/msg/Detection2D`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Detection2D<'a> {
    /// Header of the source image.
    pub header: Header<'a>,
    /// What it may be, best first.
    pub results: Vec<ObjectHypothesisWithPose<'a>>,
    /// Where it is in the image.
    pub bbox: BoundingBox2D,
    /// Number of the instance, as text.
    pub id: Cow<'a, str>,
}

impl Detection2D<'_> {
    /// Length of a stamp, an empty frame, no results, a box and an empty id.
    const SMALLEST: usize = 8 + 4 + 4 + 5 * 8 + 4;
}

impl<'a> Message<'a> for Detection2D<'a> {
    const TYPE: &'static str = "vision_msgs/msg/Detection2D";

    fn read(reader: &mut Reader<'a>) -> Result<Self, FieldError> {
        Ok(Self {
            header: reader.nested("header")?,
            results: reader.sequence("results", ObjectHypothesisWithPose::SMALLEST)?,
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

/// `vision_msgs/msg/Detection2DArray`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Detection2DArray<'a> {
    /// Header of the source image.
    pub header: Header<'a>,
    /// What was found, best first.
    pub detections: Vec<Detection2D<'a>>,
}

impl<'a> Message<'a> for Detection2DArray<'a> {
    const TYPE: &'static str = "vision_msgs/msg/Detection2DArray";

    fn read(reader: &mut Reader<'a>) -> Result<Self, FieldError> {
        Ok(Self {
            header: reader.nested("header")?,
            detections: reader.sequence("detections", Detection2D::SMALLEST)?,
        })
    }

    fn write(&self, writer: &mut Writer) {
        self.header.write(writer);
        writer.sequence(&self.detections);
    }
}

/// The message for one frame: every header is the source image's, `class_id` is the prompt's name,
/// the box is in pixels of the source image, and `id` counts the detections of the frame from 1
/// (0 is "nothing" in an instance mask).
#[must_use]
pub fn detection_2d_array(found: &FrameDetections) -> Detection2DArray<'_> {
    let header = Header::from(&found.header);
    let detections = found.detections.iter().zip(1_u32..).map(|(detection, instance)| {
        let pixels = detection.box_in_source_px;
        // Corner by corner in f64: centre and size give back the same corners.
        let [x0, y0, x1, y1] = pixels.corners().map(f64::from);
        let prompt = found.prompts.prompts.get(detection.prompt);
        Detection2D {
            header,
            results: vec![ObjectHypothesisWithPose {
                class_id: prompt.map_or("", |prompt| prompt.name.as_str()),
                score: f64::from(detection.score),
                pose: PoseWithCovariance::default(),
            }],
            bbox: BoundingBox2D {
                center_x: 0.5 * (x0 + x1),
                center_y: 0.5 * (y0 + y1),
                theta: 0.0,
                size_x: x1 - x0,
                size_y: y1 - y0,
            },
            id: Cow::Owned(instance.to_string()),
        }
    });
    Detection2DArray { header, detections: detections.collect() }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::types::{Detection, FrameHeader, PixelBox, Prompt, PromptSet, StageTimings, Stamp};

    use super::*;

    fn found() -> FrameDetections {
        let detection = |prompt, score, corners| Detection {
            prompt,
            score,
            objectness: None,
            box_in_source_px: PixelBox::from_corners(corners),
        };
        FrameDetections {
            camera: Arc::from("/camera/image"),
            header: FrameHeader { stamp: Stamp(-1), frame_id: Arc::from("optical") },
            width: 640,
            height: 480,
            prompts: Arc::new(PromptSet {
                version: 1,
                prompts: vec![Prompt::from_text("a cat"), Prompt::from_text("ein Käuzchen")],
                default_threshold: 0.1,
            }),
            detections: vec![
                detection(1, 0.75, [10.0, 20.0, 30.0, 60.0]),
                detection(0, 0.5, [0.0, 0.0, 1.0, 1.0]),
            ],
            timings: StageTimings::default(),
        }
    }

    #[test]
    fn a_frame_becomes_a_message_with_the_rules_of_the_topics() {
        let found = found();
        let bytes = detection_2d_array(&found).encode();
        let message = Detection2DArray::decode(&bytes).unwrap();
        assert_eq!(message.header.to_frame_header(), found.header);
        let [first, second] = message.detections.as_slice() else {
            panic!("two detections, not {}", message.detections.len())
        };
        assert_eq!(first.header, message.header);
        assert_eq!(first.results[0].class_id, "ein Käuzchen");
        assert_eq!(first.results[0].score, 0.75);
        assert_eq!(
            first.bbox,
            BoundingBox2D {
                center_x: 20.0,
                center_y: 40.0,
                theta: 0.0,
                size_x: 20.0,
                size_y: 40.0
            }
        );
        assert_eq!((first.id.as_ref(), second.id.as_ref()), ("1", "2"));
    }

    #[test]
    fn a_broken_detection_is_named_by_its_index() {
        let found = found();
        let bytes = detection_2d_array(&found).encode();
        let error = Detection2DArray::decode(&bytes[..bytes.len() - 4]).unwrap_err();
        assert_eq!(error.at.field, "detections[1].id");
        let count_at = 4 + 8 + 4 + 8;
        let mut hostile = bytes.clone();
        hostile[count_at..count_at + 4].copy_from_slice(&u32::MAX.to_le_bytes());
        let error = Detection2DArray::decode(&hostile).unwrap_err();
        assert_eq!((error.at.field.as_str(), error.at.offset), ("detections", count_at + 4));
    }
}
