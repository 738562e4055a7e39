//! `vision_msgs`, as in 4.x: detections in images and in space, and what their classes mean.

mod detection_3d;
mod info;

use std::borrow::Cow;

use crate::types::{FrameDetections, PixelBox};

use super::cdr::{FieldError, Message, Reader, Writer};
use super::geometry_msgs::PoseWithCovariance;
use super::std_msgs::Header;

pub use detection_3d::{
    BoundingBox3D, Detection3D, Detection3DArray, best_pick, detection_3d_array, picks_array,
};
pub use info::{LabelInfo, VisionClass, VisionInfo, label_info};

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

impl<'a> Message<'a> for ObjectHypothesisWithPose<'a> {
    const TYPE: &'static str = "vision_msgs/msg/ObjectHypothesisWithPose";
    const SMALLEST: usize = 4 + 8 + PoseWithCovariance::SMALLEST;

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
    const SMALLEST: usize = 5 * 8;

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

impl From<PixelBox> for BoundingBox2D {
    fn from(area: PixelBox) -> Self {
        // Corner by corner in f64: centre and size give back the same corners.
        let [x0, y0, x1, y1] = area.corners().map(f64::from);
        Self {
            center_x: 0.5 * (x0 + x1),
            center_y: 0.5 * (y0 + y1),
            theta: 0.0,
            size_x: x1 - x0,
            size_y: y1 - y0,
        }
    }
}

impl From<BoundingBox2D> for PixelBox {
    /// The corners, as if it were not turned. Nothing is checked.
    fn from(area: BoundingBox2D) -> Self {
        let BoundingBox2D { center_x, center_y, size_x, size_y, .. } = area;
        let (dx, dy) = (0.5 * size_x, 0.5 * size_y);
        let corners = [center_x - dx, center_y - dy, center_x + dx, center_y + dy];
        Self::from_corners(corners.map(|corner| corner as f32))
    }
}

/// `vision_msgs/msg/Detection2D`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Detection2D<'a> {
    /// Header of the source image.
    pub header: Header<'a>,
    /// What it is, with the score of the detection; then the finer labels, best first.
    pub results: Vec<ObjectHypothesisWithPose<'a>>,
    /// Where it is in the image.
    pub bbox: BoundingBox2D,
    /// Number of the instance, as text.
    pub id: Cow<'a, str>,
}

impl<'a> Message<'a> for Detection2D<'a> {
    const TYPE: &'static str = "vision_msgs/msg/Detection2D";
    const SMALLEST: usize = Header::SMALLEST + 4 + BoundingBox2D::SMALLEST + 4;

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

impl<'a> Detection2D<'a> {
    /// One object with one name. `class_id` is the prompt's name, `score` is in `[0, 1]`, and `id`
    /// is the number of the instance.
    #[must_use]
    pub fn of(
        header: Header<'a>,
        class_id: &'a str,
        score: f32,
        box_in_source_px: PixelBox,
        id: String,
    ) -> Self {
        Self {
            header,
            results: vec![ObjectHypothesisWithPose {
                class_id,
                score: f64::from(score),
                pose: PoseWithCovariance::default(),
            }],
            bbox: box_in_source_px.into(),
            id: Cow::Owned(id),
        }
    }

    /// With finer labels as further results, by falling score.
    #[must_use]
    pub fn with_finer(mut self, finer: impl IntoIterator<Item = (&'a str, f32)>) -> Self {
        self.results.extend(finer_results(finer, PoseWithCovariance::default()));
        self
    }
}

/// Finer labels as results, all at one pose.
fn finer_results<'a>(
    finer: impl IntoIterator<Item = (&'a str, f32)>,
    pose: PoseWithCovariance,
) -> impl Iterator<Item = ObjectHypothesisWithPose<'a>> {
    finer.into_iter().map(move |(class_id, score)| ObjectHypothesisWithPose {
        class_id,
        score: f64::from(score),
        pose: pose.clone(),
    })
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
    const SMALLEST: usize = Header::SMALLEST + 4;

    fn read(reader: &mut Reader<'a>) -> Result<Self, FieldError> {
        Ok(Self { header: reader.nested("header")?, detections: reader.sequence("detections")? })
    }

    fn write(&self, writer: &mut Writer) {
        self.header.write(writer);
        writer.sequence(&self.detections);
    }
}

/// The message for one frame: every header is the source image's, `class_id` of the first result is
/// the prompt's name, finer labels are further results, the box is in pixels of the source image, and `id` is that of [`FrameDetections::id_text`].
#[must_use]
pub fn detection_2d_array(found: &FrameDetections) -> Detection2DArray<'_> {
    let header = Header::from(&found.header);
    let detections = found.detections.iter().enumerate().map(|(index, detection)| {
        let prompt = found.prompts.prompts.get(detection.prompt);
        let class_id = prompt.map_or("", |prompt| prompt.name.as_str());
        let id = found.id_text(index);
        Detection2D::of(header, class_id, detection.score, detection.box_in_source_px, id)
            .with_finer(detection.finer_names(&found.prompts))
    });
    Detection2DArray { header, detections: detections.collect() }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::types::{
        Detection, FinerLabel, FinerScore, FrameHeader, PixelBox, Prompt, PromptSet, StageTimings,
        Stamp,
    };

    use super::*;

    fn found() -> FrameDetections {
        let detection = |prompt, score, corners| Detection {
            prompt,
            score,
            objectness: None,
            box_in_source_px: PixelBox::from_corners(corners),
            mask: None,
            finer: Vec::new(),
            explanation: None,
        };
        FrameDetections {
            camera: Arc::from("/camera/image"),
            header: FrameHeader { stamp: Stamp(-1), frame_id: Arc::from("optical") },
            width: 640,
            height: 480,
            prompts: Arc::new(PromptSet {
                version: 1,
                prompts: vec![
                    Prompt::from_text("a cat"),
                    Prompt {
                        finer: ["jung", "alt"].map(FinerLabel::from_text).to_vec(),
                        ..Prompt::from_text("ein Käuzchen")
                    },
                ],
                default_threshold: 0.1,
            }),
            detections: vec![
                detection(1, 0.75, [10.0, 20.0, 30.0, 60.0]),
                detection(0, 0.5, [0.0, 0.0, 1.0, 1.0]),
            ],
            weak: Vec::new(),
            has_masks: false,
            track_ids: None,
            timings: StageTimings::default(),
        }
    }

    #[test]
    fn a_frame_becomes_a_message_with_the_rules_of_the_topics() {
        let mut found = found();
        found.detections[0].finer =
            [(1, 0.75), (0, 0.25)].map(|(label, score)| FinerScore { label, score }).to_vec();
        let bytes = detection_2d_array(&found).encode();
        let message = Detection2DArray::decode(&bytes).unwrap();
        let results = |at: usize| -> Vec<_> {
            let results = &message.detections[at].results;
            results.iter().map(|result| (result.class_id, result.score)).collect()
        };
        assert_eq!(results(0), [("ein Käuzchen", 0.75), ("alt", 0.75), ("jung", 0.25)]);
        assert_eq!(results(1), [("a cat", 0.5)]);
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

        let tracked = FrameDetections { track_ids: Some(vec![Some(7), None]), ..found };
        let bytes = detection_2d_array(&tracked).encode();
        let message = Detection2DArray::decode(&bytes).unwrap();
        let ids: Vec<_> = message.detections.iter().map(|detection| &*detection.id).collect();
        assert_eq!(ids, ["7", ""]);
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
