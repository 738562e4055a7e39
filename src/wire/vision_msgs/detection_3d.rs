//! `vision_msgs/msg/Detection3DArray` and what it is made of.

use std::borrow::Cow;

use super::{ObjectHypothesisWithPose, finer_results};
use crate::types::{FrameDetections, FramePlaces, Pick};
use crate::wire::cdr::{FieldError, Message, Reader, Writer};
use crate::wire::geometry_msgs::{Pose, PoseStamped, PoseWithCovariance};
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
    /// What it is, with the score of the detection; then the finer labels, best first. All at one
    /// pose.
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
        let pose = PoseWithCovariance { pose: center, ..Default::default() };
        let mut results = vec![ObjectHypothesisWithPose {
            class_id: prompt.map_or("", |prompt| prompt.name.as_str()),
            score: f64::from(detection.score),
            pose: pose.clone(),
        }];
        results.extend(finer_results(detection.finer_names(&found.prompts), pose));
        Some(Detection3D {
            header,
            results,
            bbox: BoundingBox3D { center, size: place.size_m },
            id: Cow::Owned(found.id_text(index)),
        })
    });
    Detection3DArray { header, detections: detections.collect() }
}

/// Where the things of one frame may be taken hold of: stamp, frame, `class_id` and `id` as in
/// [`detection_3d_array`]. The score of a result is that of the pick and its pose that of the
/// gripper; the box lies there, too, and its size is the length of the thing along x, the width
/// that the fingers have to span along y, and nothing along z. What cannot be picked is not in it.
#[must_use]
pub fn picks_array<'a>(
    found: &'a FrameDetections,
    places: &'a FramePlaces,
) -> Detection3DArray<'a> {
    let header = Header::from(&places.header);
    let picks = found.detections.iter().zip(places.picks.iter().flatten()).enumerate();
    let detections = picks.filter_map(|(index, (detection, pick))| {
        let pick = pick.as_ref().ok()?;
        let center = pick_pose(pick);
        let prompt = found.prompts.prompts.get(detection.prompt);
        Some(Detection3D {
            header,
            results: vec![ObjectHypothesisWithPose {
                class_id: prompt.map_or("", |prompt| prompt.name.as_str()),
                score: pick.score,
                pose: PoseWithCovariance { pose: center, ..Default::default() },
            }],
            bbox: BoundingBox3D { center, size: [pick.length_m, pick.width_m, 0.0] },
            id: Cow::Owned(found.id_text(index)),
        })
    });
    Detection3DArray { header, detections: detections.collect() }
}

/// The pose of [`FramePlaces::best_pick`]; `None` where there is none.
#[must_use]
pub fn best_pick<'a>(found: &FrameDetections, places: &'a FramePlaces) -> Option<PoseStamped<'a>> {
    let (_, pick) = places.best_pick(found)?;
    Some(PoseStamped { header: Header::from(&places.header), pose: pick_pose(pick) })
}

fn pick_pose(pick: &Pick) -> Pose {
    Pose { position: pick.position_m, orientation: pick.orientation_xyzw }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn picks_carry_the_gripper_and_what_it_has_to_span() {
        use crate::types::{
            Detection, FrameHeader, NoPlace, NoPlaceKind, PixelBox, Prompt, PromptSet,
            StageTimings, Stamp,
        };
        let header = FrameHeader { stamp: Stamp(7), frame_id: "base_link".into() };
        let detection = |prompt, score| Detection {
            prompt,
            score,
            objectness: None,
            box_in_source_px: PixelBox::from_corners([0.0, 0.0, 9.0, 9.0]),
            mask: None,
            finer: Vec::new(),
            explanation: None,
        };
        let prompts = vec![Prompt::from_text("a mug"), Prompt::from_text("a bowl")];
        let found = FrameDetections {
            camera: "front".into(),
            header: header.clone(),
            width: 9,
            height: 9,
            prompts: PromptSet { version: 1, prompts, default_threshold: 0.1 }.into(),
            detections: vec![detection(0, 0.9), detection(1, 0.8), detection(1, 0.4)],
            weak: Vec::new(),
            has_masks: false,
            track_ids: None,
            timings: StageTimings::default(),
        };
        let pick = |score| Pick {
            position_m: [0.1, 0.2, 0.3],
            orientation_xyzw: [1.0, 0.0, 0.0, 0.0],
            normal: [0.0, 0.0, 1.0],
            width_m: 0.05,
            length_m: 0.12,
            room_m: 0.02,
            score,
            at_px: [4.5, 4.5],
            span_px: None,
        };
        let none = NoPlace::new(NoPlaceKind::NoEvenPatch, "rough");
        let picks = Some(vec![Err(none.clone()), Ok(pick(0.5)), Ok(pick(0.9))]);
        let of = |pick_prompt: Option<&str>| FramePlaces {
            header: header.clone(),
            places: vec![Err(none.clone()); 3],
            picks: picks.clone(),
            pick_prompt: pick_prompt.map(Into::into),
        };
        let places = of(None);
        let array = picks_array(&found, &places);
        assert_eq!(array.header.frame_id, "base_link");
        let told: Vec<_> = array
            .detections
            .iter()
            .map(|pick| (&*pick.id, pick.results[0].class_id, pick.results[0].score))
            .collect();
        assert_eq!(told, [("2", "a bowl", 0.5), ("3", "a bowl", 0.9)]);
        assert_eq!(array.detections[0].bbox.size, [0.12, 0.05, 0.0]);
        assert_eq!(array.detections[0].bbox.center.orientation, [1.0, 0.0, 0.0, 0.0]);
        // 0.8 times 0.5 is more than 0.4 times 0.9.
        assert_eq!(places.best_pick(&found).unwrap().0, 1);
        let bowl = of(Some("a bowl"));
        let pose = best_pick(&found, &bowl).unwrap();
        assert_eq!((pose.header.stamp.nanosec, pose.pose.position), (7, [0.1, 0.2, 0.3]));
        assert_eq!(best_pick(&found, &of(Some("a mug"))), None);
    }

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
