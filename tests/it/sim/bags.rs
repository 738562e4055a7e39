//! Recordings of a camera's way around a table, read with Owlet's own reader.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use image::RgbImage;
use nalgebra::{Isometry3, Point3};
use owlet::geometry::rigid;
use owlet::transport::frames::frame_from_message;
use owlet::transport::rosbag2::RawMessage;
use owlet::types::{DepthImage, Picture};
use owlet::wire::Message;
use owlet::wire::geometry_msgs::Transform;
use owlet::wire::sensor_msgs::CameraInfo;
use owlet::wire::std_msgs::Header;
use owlet::wire::tf2_msgs::TFMessage;
use owlet::wire::vision_msgs::{BoundingBox2D, Detection2DArray, Detection3DArray};

use super::{simulates, unseen_among};
use crate::recordings::read_whole;

const OPTICAL: &str = "camera_color_optical_frame";

fn sample() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/tabletop")
}

fn made(out: &Path, more: &[&str]) -> bool {
    let words = ["bag", out.to_str().unwrap(), "--seconds", "0.6", "--size", "160x120", "--seed"];
    simulates([&words[..], &["142"], more].concat())
}

/// Messages of the topic whose name ends so, in their order.
fn on<'a>(messages: &'a [RawMessage], topic: &str) -> Vec<&'a RawMessage> {
    messages.iter().filter(|message| message.topic.ends_with(topic)).collect()
}

/// An object as the ground truth of one frame tells it.
#[derive(Debug)]
struct Truth {
    name: String,
    box_2d: Option<BoundingBox2D>,
    optical_from_box: Isometry3<f64>,
    size_m: [f64; 3],
}

/// All that belongs to one frame.
struct Frame {
    color: RgbImage,
    depth: DepthImage,
    info: [f64; 9],
    world_from_link: Isometry3<f64>,
    truth: BTreeMap<String, Truth>,
}

fn frames_of(messages: &[RawMessage]) -> Vec<Frame> {
    let color = [on(messages, "/image_raw/compressed"), on(messages, "/image_raw")].concat();
    let depth = [on(messages, "/compressedDepth"), on(messages, "/image_rect_raw")].concat();
    let infos = on(messages, "/camera/color/camera_info");
    let (boxes_2d, boxes_3d) = (on(messages, "/detections"), on(messages, "/detections_3d"));
    let poses = on(messages, "/tf");
    for topic in [&depth, &infos, &boxes_2d, &boxes_3d, &poses] {
        assert_eq!(topic.len(), color.len(), "a message of each topic for each frame");
    }
    let frame = |i: usize| {
        let picture = |message: &RawMessage| {
            frame_from_message(&message.topic, &message.message_type, &message.data).unwrap()
        };
        let (color, depth) = (picture(color[i]), picture(depth[i]));
        let header = &color.header;
        let belongs = |other: Header<'_>| assert_eq!(other.to_frame_header(), *header, "frame {i}");
        assert_eq!((depth.header, &*header.frame_id), (header.clone(), OPTICAL));
        let info = CameraInfo::decode(&infos[i].data).unwrap();
        belongs(info.header);
        let boxes_3d = Detection3DArray::decode(&boxes_3d[i].data).unwrap();
        belongs(boxes_3d.header);
        let boxes_2d = Detection2DArray::decode(&boxes_2d[i].data).unwrap();
        belongs(boxes_2d.header);
        let pose = TFMessage::decode(&poses[i].data).unwrap();
        let [pose] = pose.transforms.as_slice() else { panic!("one transform: {pose:?}") };
        assert_eq!((pose.header.frame_id, pose.child_frame_id), ("world", "camera_link"));
        assert_eq!(pose.header.stamp, info.header.stamp);

        let mut truth = BTreeMap::new();
        for found in boxes_3d.detections {
            let box_2d = boxes_2d.detections.iter().find(|flat| flat.id == found.id);
            let name = found.results[0].class_id;
            if let Some(flat) = box_2d {
                assert_eq!(flat.results[0].class_id, name);
            }
            let about = Truth {
                name: name.to_owned(),
                box_2d: box_2d.map(|flat| flat.bbox),
                optical_from_box: {
                    let pose = found.bbox.center;
                    rigid(pose.position, pose.orientation).unwrap()
                },
                size_m: found.bbox.size,
            };
            assert!(
                truth.insert(found.id.clone().into_owned(), about).is_none(),
                "two of {}",
                found.id
            );
        }
        let ids = boxes_2d.detections.iter().map(|flat| &*flat.id);
        assert!(ids.clone().all(|id| truth.contains_key(id)), "{:?}", ids.collect::<Vec<_>>());
        let (Picture::Color(color), Picture::Depth(depth)) = (color.picture, depth.picture) else {
            panic!("colour and depth")
        };
        assert_eq!((info.width, info.height), color.dimensions());
        assert_eq!((depth.width(), depth.height()), color.dimensions());
        Frame { color, depth, info: info.k, world_from_link: from_message(&pose.transform), truth }
    };
    (0..color.len()).map(frame).collect()
}

fn from_message(transform: &Transform) -> Isometry3<f64> {
    rigid(transform.translation, transform.rotation).unwrap()
}

/// Where a point of the child is in the parent.
fn placed(parent_from_child: &Isometry3<f64>, point: [f64; 3]) -> [f64; 3] {
    parent_from_child.transform_point(&Point3::from(point)).coords.into()
}

/// Pixel of a point in the optical frame, centres at whole numbers.
fn project(k: &[f64; 9], [x, y, z]: [f64; 3]) -> (f64, f64) {
    (k[0] * x / z + k[2], k[4] * y / z + k[5])
}

/// Holds a frame's boxes in the picture, in space and in depth against each other; gives how many
/// were held closely.
fn hold_boxes(frame: &Frame) -> usize {
    let mut whole = 0;
    for about in frame.truth.values() {
        let Some(flat) = about.box_2d else { continue };
        let corners = (0..8).map(|corner| {
            let side = |axis: usize| (f64::from(corner >> axis & 1) - 0.5) * about.size_m[axis];
            project(&frame.info, placed(&about.optical_from_box, [side(0), side(1), side(2)]))
        });
        let corners: Vec<(f64, f64)> = corners.collect();
        let range = |of: fn(&(f64, f64)) -> f64| {
            let values = corners.iter().map(of);
            (values.clone().fold(f64::INFINITY, f64::min), values.fold(f64::NEG_INFINITY, f64::max))
        };
        let ((x0, x1), (y0, y1)) = (range(|p| p.0), range(|p| p.1));
        // Edges of pixels lie half a pixel beside their centres; one more for rounding.
        let (left, right) = (flat.center_x - flat.size_x / 2.0, flat.center_x + flat.size_x / 2.0);
        let (top, bottom) = (flat.center_y - flat.size_y / 2.0, flat.center_y + flat.size_y / 2.0);
        let fits = left - 0.5 >= x0 - 1.0
            && right - 0.5 <= x1 + 1.0
            && top - 0.5 >= y0 - 1.0
            && bottom - 0.5 <= y1 + 1.0;
        assert!(fits, "{about:?} is outside of {x0}..{x1}, {y0}..{y1}");

        // Where nothing hides it, the middle of the thing is in the middle of what is seen.
        if flat.size_x * flat.size_y < 0.7 * (x1 - x0) * (y1 - y0) {
            continue;
        }
        whole += 1;
        let middle = placed(&about.optical_from_box, [0.0; 3]);
        let (u, v) = project(&frame.info, middle);
        assert!(
            (u + 0.5 - flat.center_x).abs() < 0.25 * flat.size_x
                && (v + 0.5 - flat.center_y).abs() < 0.25 * flat.size_y,
            "{about:?} has its middle at {u}, {v}"
        );
        let pixel = v.round() as usize * frame.depth.width() as usize + u.round() as usize;
        let seen_m = f64::from(frame.depth.metres()[pixel]);
        let half_m = about.size_m.iter().map(|side| side * side).sum::<f64>().sqrt() / 2.0;
        // Nearer only by what stands before it.
        assert!(seen_m > 0.2 && seen_m < middle[2] + half_m, "{about:?}: {seen_m} m deep");
    }
    whole
}

#[test]
fn a_recording_is_consistent_in_picture_space_and_depth() {
    let messages = read_whole(&sample());
    let frames = frames_of(&messages);
    assert_eq!(frames.len(), 60);
    let names: BTreeSet<String> =
        frames.iter().flat_map(|frame| frame.truth.values()).map(|t| t.name.clone()).collect();
    assert_eq!(names.len(), 10, "{names:?}");
    if let Some(unseen) = unseen_among(&names) {
        assert_eq!(unseen, "", "the sample shows what a detector was trained on");
    }

    let fixed = on(&messages, "/tf_static");
    let fixed = TFMessage::decode(&fixed[0].data).unwrap();
    let to_optical = fixed.transforms.iter().find(|edge| edge.child_frame_id == OPTICAL).unwrap();
    assert_eq!(to_optical.header.frame_id, "camera_link");
    let link_from_optical = from_message(&to_optical.transform);
    let mut in_world: BTreeMap<&str, [f64; 3]> = BTreeMap::new();
    let mut held = 0;
    for frame in &frames {
        held += hold_boxes(frame);
        for (id, about) in &frame.truth {
            let in_link = placed(&link_from_optical, placed(&about.optical_from_box, [0.0; 3]));
            let place = placed(&frame.world_from_link, in_link);
            let first = *in_world.entry(id).or_insert(place);
            // Nothing on the table moves: only the camera does.
            assert!((0..3).all(|i| (place[i] - first[i]).abs() < 1e-9), "{about:?}: {first:?}");
            assert!(place[2] > 0.0 && place[2] < 0.2, "{about:?} is not on the table: {place:?}");
        }
    }
    assert!(held > 100, "only {held} boxes could be held closely");
}

#[test]
fn the_same_words_give_the_same_bytes() {
    let scratch = tempfile::tempdir().unwrap();
    let made_in = |folder: &str| {
        let out = scratch.path().join(folder).join("bag");
        fs::create_dir(scratch.path().join(folder)).unwrap();
        made(&out, &[]).then(|| fs::read(out.join("bag.mcap")).unwrap())
    };
    let Some(first) = made_in("first") else { return };
    assert!(first == made_in("again").unwrap());
}

#[test]
fn raw_and_compressed_recordings_show_the_same() {
    let scratch = tempfile::tempdir().unwrap();
    let (raw, compressed) = (scratch.path().join("raw"), scratch.path().join("compressed"));
    if !made(&raw, &["--raw"]) {
        return;
    }
    assert!(made(&compressed, &[]));
    let (raw, compressed) = (read_whole(&raw), read_whole(&compressed));
    let (raw, compressed) = (frames_of(&raw), frames_of(&compressed));
    assert_eq!((raw.len(), compressed.len()), (3, 3));
    for (raw, compressed) in raw.iter().zip(&compressed) {
        assert!(hold_boxes(raw) > 0);
        assert!(raw.depth == compressed.depth, "depth is kept to the millimetre");
        let off = raw.color.as_raw().iter().zip(compressed.color.as_raw());
        let off: u64 = off.map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
        let mean = off as f64 / raw.color.as_raw().len() as f64;
        // JPEG at quality 80 takes 2 to 4 levels of a small picture's edges.
        assert!(mean > 0.0 && mean < 6.0, "{mean} levels off");
    }
    assert!(raw[0].color != raw[1].color, "the camera moves");
}
