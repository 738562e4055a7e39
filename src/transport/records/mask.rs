//! Masks as JSON.

use serde::{Deserialize, Serialize};

use crate::types::{CocoRle, InstanceMask, RleError};
use crate::vision::mask::principal_axis;

/// The pixels of an object, and how they lie.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MaskRecord {
    /// COCO's run-length code over the whole source image.
    pub rle: CocoRle,
    /// How many they are.
    pub area_px: u64,
    /// The mean of their centres, `[x, y]`; absent where there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub centroid_px: Option<[f32; 2]>,
    /// How it lies; absent where there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub axis: Option<AxisRecord>,
    /// How well the model thinks the mask fits, mostly in `[0, 1]`; only from models that say so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predicted_iou: Option<f32>,
}

/// The ellipse that spreads as the pixels do: what a gripper closes across. Rounded to a
/// ten-thousandth.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AxisRecord {
    /// Its long axis, in radians from the x axis of the image towards its y axis (downwards).
    pub angle_rad: f64,
    /// Length of that axis in pixels.
    pub length_px: f64,
    /// Length of the other one in pixels.
    pub width_px: f64,
}

impl From<&InstanceMask> for MaskRecord {
    fn from(found: &InstanceMask) -> Self {
        let mask = &found.mask;
        let rounded = |value: f64| (value * 1e4).round() / 1e4;
        Self {
            rle: mask.rle(),
            area_px: mask.area_px(),
            centroid_px: mask.centroid_px().map(<[f32; 2]>::from),
            axis: principal_axis(mask).map(|axis| AxisRecord {
                angle_rad: rounded(axis.angle_rad),
                length_px: rounded(axis.length_px),
                width_px: rounded(axis.width_px),
            }),
            predicted_iou: found.predicted_iou,
        }
    }
}

impl MaskRecord {
    /// Back to what the record was made from.
    ///
    /// # Errors
    /// A run-length code that is none.
    pub fn into_mask(self) -> Result<InstanceMask, RleError> {
        Ok(InstanceMask { mask: self.rle.mask()?, predicted_iou: self.predicted_iou })
    }
}
