//! Places and ids against what is true: of the sample recording, which the simulated camera took,
//! and of a real RGB-D frame.

mod ids;
mod picks;
mod places;
mod real;
pub(crate) mod tracks;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use nalgebra::{Isometry3, Point3, Vector3};
use owlet::geometry::rigid;
use owlet::geometry::tf::{Buffer, BufferSettings};
use owlet::transport::rosbag2::RawMessage;
use owlet::types::Stamp;
use owlet::wire::Message;
use owlet::wire::tf2_msgs::TFMessage;
use owlet::wire::vision_msgs::Detection3DArray;

use crate::cli::{Ran, run, words};

pub(crate) const OPTICAL: &str = "camera_color_optical_frame";

pub(crate) fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Replays a recording of the simulated camera with the built-in checkpoint.
fn replay_with_builtin(bag: &Path, out: &Path, more: Vec<OsString>) -> Ran {
    replay_for(bag, &repository("samples/prompts.yaml"), out, more)
}

/// The same with these prompts.
fn replay_for(bag: &Path, prompts: &Path, out: &Path, more: Vec<OsString>) -> Ran {
    let mut words = words!["replay", bag, "--model", repository("models/owlet-nano")];
    words.extend(words!["--prompts", prompts, "--out", out, "-q"]);
    words.extend(words!["--param", "overlay=false"]);
    words.extend(more);
    run(words, 0)
}

/// The words that have the built-in segmenter draw masks.
fn segmenter() -> Vec<OsString> {
    let folder = repository("models/owlet-nano-seg");
    words!["--param", format!("segmenter={}", folder.display())]
}

/// The messages of one topic, in their order.
pub(crate) fn on<'a>(messages: &'a [RawMessage], topic: &str) -> Vec<&'a RawMessage> {
    messages.iter().filter(|message| &*message.topic == topic).collect()
}

/// A box in space.
#[derive(Clone, Debug)]
pub(crate) struct Boxed {
    pub(crate) class: String,
    pub(crate) frame_from_box: Isometry3<f64>,
    pub(crate) size_m: Vector3<f64>,
}

impl Boxed {
    fn centre(&self) -> Point3<f64> {
        self.frame_from_box * Point3::origin()
    }
}

/// Boxes by stamp, with the frame that they are in.
fn boxes(messages: &[RawMessage], topic: &str) -> BTreeMap<i64, (String, Vec<Boxed>)> {
    let mut by_stamp = BTreeMap::new();
    for message in on(messages, topic) {
        let array = Detection3DArray::decode(&message.data).unwrap();
        let stamp: Stamp = array.header.stamp.into();
        let boxes = array.detections.iter().map(|detection| {
            assert_eq!(detection.header, array.header);
            let center = detection.bbox.center;
            Boxed {
                class: detection.results[0].class_id.to_owned(),
                frame_from_box: rigid(center.position, center.orientation).unwrap(),
                size_m: detection.bbox.size.into(),
            }
        });
        by_stamp.insert(stamp.0, (array.header.frame_id.to_owned(), boxes.collect()));
    }
    by_stamp
}

/// All transforms of a recording.
fn transforms(messages: &[RawMessage]) -> Buffer {
    let mut buffer = Buffer::new(BufferSettings { kept_secs: 1e6, ..BufferSettings::default() });
    for (topic, is_static) in [("/tf_static", true), ("/tf", false)] {
        for message in on(messages, topic) {
            for transform in TFMessage::decode(&message.data).unwrap().to_transforms() {
                match is_static {
                    true => buffer.insert_static(&(&transform).into()).unwrap(),
                    false => buffer.insert(&(&transform).into()).unwrap(),
                };
            }
        }
    }
    buffer
}

fn median(mut values: Vec<f64>) -> f64 {
    assert!(!values.is_empty());
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The value below which nine in ten lie.
fn ninth_decile(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() * 9 / 10]
}
