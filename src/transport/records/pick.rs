//! Picks as JSON.

use serde::{Deserialize, Serialize};

use crate::types::{FrameDetections, FramePlaces, Pick};

/// Where a thing may be taken hold of. Lengths are rounded to a micrometre, all else to a
/// millionth.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PickRecord {
    /// The point on its surface, `x, y, z` in metres.
    pub position_m: [f64; 3],
    /// The gripper's axes, `x, y, z, w`: z is the way in, y the way that the fingers close.
    pub orientation_xyzw: [f64; 4],
    /// The normal of the surface, out of the thing.
    pub normal: [f64; 3],
    /// How wide the thing is there along y, in metres.
    pub width_m: f64,
    /// How long it is along x, in metres.
    pub length_m: f64,
    /// Radius of the largest even disc around the point, in metres.
    pub room_m: f64,
    /// In `[0, 1]`; see [`Pick::score`].
    pub score: f64,
    /// Where the source image shows the point, `[x, y]` in pixels.
    pub at_px: [f32; 2],
}

impl From<&Pick> for PickRecord {
    fn from(pick: &Pick) -> Self {
        let rounded = |value: f64| (value * 1e6).round() / 1e6;
        Self {
            position_m: pick.position_m.map(rounded),
            orientation_xyzw: pick.orientation_xyzw.map(rounded),
            normal: pick.normal.map(rounded),
            width_m: rounded(pick.width_m),
            length_m: rounded(pick.length_m),
            room_m: rounded(pick.room_m),
            score: rounded(pick.score),
            at_px: pick.at_px,
        }
    }
}

/// The best pick of a frame by itself.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BestPickRecord {
    /// Stamp of the source image in nanoseconds.
    pub stamp_ns: i64,
    /// The frame that it is in.
    pub frame_id: String,
    /// The prompt's name.
    pub prompt: String,
    /// How much the thing looks like the prompt, in `[0, 1]`.
    pub detection_score: f32,
    /// Which object over time it is, where objects are tracked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<u16>,
    /// How it may be picked.
    pub pick: PickRecord,
}

impl BestPickRecord {
    /// That of [`FramePlaces::best_pick`]; `None` where there is none.
    #[must_use]
    pub fn of(found: &FrameDetections, places: &FramePlaces) -> Option<Self> {
        let (index, pick) = places.best_pick(found)?;
        let detection = found.detections.get(index)?;
        Some(Self {
            stamp_ns: places.header.stamp.0,
            frame_id: places.header.frame_id.to_string(),
            prompt: found.prompts.prompts.get(detection.prompt)?.name.clone(),
            detection_score: detection.score,
            id: found.track_id(index),
            pick: pick.into(),
        })
    }
}
