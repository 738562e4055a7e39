//! What places in space need, as it travels: depth pictures, calibrations and transforms.
//!
//! | what | payload |
//! | --- | --- |
//! | depth | PNG of 16-bit grey (millimetres, 0 = unknown), or raw `16UC1` or `32FC1` as images are described; the attachment of images |
//! | calibration | JSON with the fields of `sensor_msgs/msg/CameraInfo` beside `stamp_ns` and `frame_id`, or that message as CDR |
//! | transforms | JSON `{"transforms": [{"stamp_ns", "frame_id", "child_frame_id", "translation_m", "rotation_xyzw"}]}`, or `tf2_msgs/msg/TFMessage` as CDR |
//!
//! Whether a payload is JSON or CDR, its first byte says.

use serde::Deserialize;
use zenoh::sample::{Sample, SampleKind};

use super::super::live::{DepthMessage, ImageError};
use super::error::PayloadError;
use super::payload::ImagePayload;
use crate::types::{Calibration, DepthImage, FrameHeader, FrameTransform, Stamp};
use crate::wire::Message;
use crate::wire::sensor_msgs::CameraInfo;
use crate::wire::tf2_msgs::TFMessage;

/// Longer ones are refused unread: they would keep the thread that reads the socket.
const MAX_BYTES: usize = 1 << 20;

/// A depth picture as it came.
pub(super) struct DepthPayload(pub(super) ImagePayload);

impl DepthMessage for DepthPayload {
    fn header(&self) -> Result<FrameHeader, ImageError> {
        Ok(self.0.header()?.0)
    }

    fn decode(&self) -> Result<DepthImage, ImageError> {
        Ok(self.0.depth()?)
    }
}

#[derive(Deserialize)]
struct CalibrationJson {
    stamp_ns: Option<i64>,
    frame_id: Option<String>,
    width: u32,
    height: u32,
    #[serde(default)]
    distortion_model: String,
    #[serde(default)]
    d: Vec<f64>,
    k: [f64; 9],
    #[serde(default)]
    r: [f64; 9],
    #[serde(default)]
    p: [f64; 12],
    #[serde(default)]
    binning_x: u32,
    #[serde(default)]
    binning_y: u32,
    #[serde(default)]
    roi: RegionJson,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RegionJson {
    x_offset: u32,
    y_offset: u32,
    width: u32,
    height: u32,
}

#[derive(Deserialize)]
struct TransformsJson {
    transforms: Vec<TransformJson>,
}

#[derive(Deserialize)]
struct TransformJson {
    #[serde(default)]
    stamp_ns: i64,
    frame_id: String,
    child_frame_id: String,
    translation_m: [f64; 3],
    rotation_xyzw: [f64; 4],
}

/// `default` holds where the payload has no stamp or names no frame.
pub(super) fn calibration(sample: &Sample, default: FrameHeader) -> Result<Calibration, String> {
    read(sample, |bytes| calibration_of(bytes, default))
}

pub(super) fn transforms(sample: &Sample) -> Result<Vec<FrameTransform>, String> {
    read(sample, transforms_of)
}

fn read<T>(
    sample: &Sample,
    read: impl FnOnce(&[u8]) -> Result<T, PayloadError>,
) -> Result<T, String> {
    if sample.kind() == SampleKind::Delete {
        return Err("expected a message, found a delete".to_owned());
    }
    let bytes = sample.payload().to_bytes();
    if bytes.len() > MAX_BYTES {
        return Err(format!("expected at most {MAX_BYTES} bytes, found {}", bytes.len()));
    }
    read(&bytes).map_err(|error| error.to_string())
}

fn calibration_of(bytes: &[u8], default: FrameHeader) -> Result<Calibration, PayloadError> {
    if !is_json(bytes) {
        return Ok(CameraInfo::decode(bytes)?.to_calibration());
    }
    let info: CalibrationJson = from_json("a calibration", bytes)?;
    let RegionJson { x_offset, y_offset, width, height } = info.roi;
    Ok(Calibration {
        header: FrameHeader {
            stamp: info.stamp_ns.map_or(default.stamp, Stamp),
            frame_id: info.frame_id.map_or(default.frame_id, Into::into),
        },
        width: info.width,
        height: info.height,
        distortion_model: info.distortion_model,
        d: info.d,
        k: info.k,
        r: info.r,
        p: info.p,
        binning: [info.binning_x, info.binning_y],
        region: [x_offset, y_offset, width, height],
    })
}

fn transforms_of(bytes: &[u8]) -> Result<Vec<FrameTransform>, PayloadError> {
    if !is_json(bytes) {
        return Ok(TFMessage::decode(bytes)?.to_transforms());
    }
    let message: TransformsJson = from_json("transforms", bytes)?;
    let transforms = message.transforms.into_iter().map(|transform| FrameTransform {
        stamp: Stamp(transform.stamp_ns),
        parent: transform.frame_id,
        child: transform.child_frame_id,
        translation_m: transform.translation_m,
        rotation_xyzw: transform.rotation_xyzw,
    });
    Ok(transforms.collect())
}

/// The header of CDR starts with a zero.
fn is_json(bytes: &[u8]) -> bool {
    bytes.first() != Some(&0)
}

fn from_json<'a, T: Deserialize<'a>>(
    what: &'static str,
    bytes: &'a [u8],
) -> Result<T, PayloadError> {
    serde_json::from_slice(bytes)
        .map_err(|error| PayloadError::Json { what, reason: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn default() -> FrameHeader {
        FrameHeader { stamp: Stamp(7), frame_id: "front".into() }
    }

    #[test]
    fn a_calibration_is_the_same_as_json_and_as_cdr() {
        let json = r#"{"stamp_ns": 5, "frame_id": "optical", "width": 64, "height": 48,
            "distortion_model": "plumb_bob", "d": [0.1, 0.0, 0.0, 0.0, 0.0],
            "k": [50, 0, 31.5, 0, 50, 23.5, 0, 0, 1], "binning_x": 2,
            "roi": {"x_offset": 1, "width": 3, "height": 4}, "exposure": 9}"#;
        let read = calibration_of(json.as_bytes(), default()).unwrap();
        assert_eq!((read.header.stamp, &*read.header.frame_id), (Stamp(5), "optical"));
        assert_eq!((read.binning, read.region, read.k[2]), ([2, 0], [1, 0, 3, 4], 31.5));
        let header = (&read.header).into();
        let info = CameraInfo {
            header,
            height: 48,
            width: 64,
            distortion_model: "plumb_bob",
            d: read.d.clone(),
            k: read.k,
            binning_x: 2,
            roi: crate::wire::sensor_msgs::RegionOfInterest {
                x_offset: 1,
                width: 3,
                height: 4,
                ..Default::default()
            },
            ..CameraInfo::default()
        };
        assert_eq!(calibration_of(&info.encode(), default()).unwrap(), read);
        let bare = r#"{"width": 1, "height": 1, "k": [1, 0, 0, 0, 1, 0, 0, 0, 1]}"#;
        assert_eq!(calibration_of(bare.as_bytes(), default()).unwrap().header, default());
    }

    #[test]
    fn what_is_no_message_is_refused_with_a_reason() {
        for (bytes, expected) in [
            (&b""[..], "a calibration"),
            (b"{}", "width"),
            (br#"{"width": 1, "height": 1, "k": [1]}"#, "a calibration: invalid length 1"),
            (br#"{"width": -1}"#, "-1"),
            (&[0, 1, 0, 0, 1], "sensor_msgs/msg/CameraInfo: field `header.stamp.sec`"),
        ] {
            let error = calibration_of(bytes, default()).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        let error = transforms_of(br#"{"transforms": [{"frame_id": "a"}]}"#).unwrap_err();
        assert!(error.to_string().contains("child_frame_id"), "{error}");
        let error = transforms_of(&[0, 1, 0, 0, 255, 255, 255, 255]).unwrap_err();
        assert!(error.to_string().contains("transforms"), "{error}");
        let one = br#"{"transforms": [{"frame_id": "a", "child_frame_id": "b",
            "translation_m": [1, 2, 3], "rotation_xyzw": [0, 0, 0, 1]}]}"#;
        assert_eq!(transforms_of(one).unwrap()[0].translation_m, [1.0, 2.0, 3.0]);
    }
}
