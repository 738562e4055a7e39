//! Pick points and heightmaps of a replay against the simulator's truth.

use nalgebra::{Isometry3, Point3, Vector3};
use owlet::geometry::rigid;
use owlet::transport::rosbag2::RawMessage;
use owlet::types::Stamp;
use owlet::wire::Message;
use owlet::wire::geometry_msgs::PoseStamped;
use owlet::wire::sensor_msgs::Image;
use owlet::wire::vision_msgs::Detection3DArray;
use serde_json::Value;
use tempfile::TempDir;

use super::places::{is_named, records};
use super::{
    Boxed, boxes, median, ninth_decile, on, replay_with_builtin, repository, segmenter, transforms,
};
use crate::cli::words;
use crate::recordings::read_whole;

/// A pick is of the true thing of its name whose centre is nearest, no further than this.
const SAME_THING_M: f64 = 0.15;

/// A pick as a recording has it.
struct Picked {
    class: String,
    frame_from_gripper: Isometry3<f64>,
    width_m: f64,
}

/// The surface of a thing whose shape follows from its box: how far a point is from it, and its
/// normal nearest to there, in the frame of the box.
fn surface(kind: &str, size: &Vector3<f64>, at: &Point3<f64>) -> Option<(f64, Vector3<f64>)> {
    let half = size / 2.0;
    let face = |axis: usize| {
        let mut normal = Vector3::zeros();
        normal[axis] = at[axis].signum();
        ((at[axis].abs() - half[axis]).abs(), normal)
    };
    let nearest =
        |faces: Vec<(f64, Vector3<f64>)>| faces.into_iter().min_by(|a, b| a.0.total_cmp(&b.0));
    match kind {
        "block" => nearest(vec![face(0), face(1), face(2)]),
        "ball" => Some(((at.coords.norm() - half.x).abs(), at.coords.normalize())),
        // Its rims are bevelled, which is left out here.
        "can" => {
            let out = Vector3::new(at.x, at.y, 0.0);
            nearest(vec![((out.norm() - half.x).abs(), out.normalize()), face(2)])
        }
        _ => None,
    }
}

/// The width of such a thing for fingers that close along a direction in its frame.
fn width(kind: &str, size: &Vector3<f64>, closing: &Vector3<f64>) -> Option<f64> {
    match kind {
        // Between two faces, and between edges where the fingers are turned against them.
        "block" => Some(size.component_mul(&closing.abs()).sum()),
        "ball" => Some(size.x),
        "can" => Some(size.x * closing.xy().norm() + size.z * closing.z.abs()),
        _ => None,
    }
}

fn picks(messages: &[RawMessage]) -> Vec<(Stamp, String, Vec<Picked>)> {
    let messages = on(messages, "/owlet/picks").into_iter().map(|message| {
        let array = Detection3DArray::decode(&message.data).unwrap();
        let picks = array.detections.iter().map(|pick| {
            let score = pick.results[0].score;
            assert!((0.0..=1.0).contains(&score), "{score}");
            let pose = pick.results[0].pose.pose;
            assert_eq!(pose, pick.bbox.center);
            Picked {
                class: pick.results[0].class_id.to_owned(),
                frame_from_gripper: rigid(pose.position, pose.orientation).unwrap(),
                width_m: pick.bbox.size[1],
            }
        });
        (array.header.stamp.into(), array.header.frame_id.to_owned(), picks.collect())
    });
    messages.collect()
}

#[test]
fn picks_of_the_sample_lie_on_true_surfaces_and_maps_have_true_heights() {
    let bag = repository("samples/tabletop");
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("out");
    let mut more = segmenter();
    more.extend(words!["--param", "nms_iou=0.5", "--param", "target_frame=base_link"]);
    more.extend(words!["--param", "picks=true", "--param", "heightmap=true"]);
    more.extend(words!["--param", "heightmap_bounds_m=0.1 0.9 -0.4 0.4 -0.05 0.45"]);
    more.extend(words!["--param", "heightmap_m_per_px=0.005", "--param", "polygons=true"]);
    more.extend(words!["--param", "overlay=true", "--param", "report_pictures=2"]);
    let ran = replay_with_builtin(&bag, &out, more);
    assert!(ran.stdout.contains("detections have a pick point"), "{}", ran.stdout);
    let messages = read_whole(&out.join("detections.mcap"));
    check_picks(&bag, &messages);
    check_heightmaps(&bag, &messages);

    // The records say the same, each detection with a pick or a reason, and with its outline.
    let (mut with, mut without) = (0, 0);
    for record in records(&out) {
        for detection in record["detections"].as_array().unwrap() {
            assert!(detection["pick"].is_object() != detection["no_pick"].is_object());
            with += u64::from(detection["pick"].is_object());
            without += u64::from(detection["no_pick"].is_object());
            let outlines = detection["mask"]["polygons_px"].as_array().unwrap();
            assert!(!outlines.is_empty(), "{detection}");
        }
    }
    let run: Value = serde_json::from_slice(&std::fs::read(out.join("run.json")).unwrap()).unwrap();
    let counted = &run["places"]["/camera/color/image_raw/compressed"];
    assert_eq!(counted["picked"], with);
    let unpicked = counted["unpicked"].as_object().unwrap().values();
    assert_eq!(unpicked.map(|count| count.as_u64().unwrap()).sum::<u64>(), without);
    assert!(with > 20 * without, "{counted}");
    let all: usize = picks(&messages).iter().map(|(.., picks)| picks.len()).sum();
    assert_eq!(all as u64, with);
    // The best of each frame is one of them.
    let best = on(&messages, "/owlet/pick");
    assert!(best.len() > 50, "{}", best.len());
    let pose = PoseStamped::decode(&best[0].data).unwrap();
    assert_eq!(pose.header.frame_id, "base_link");
    // The report shows the scene from above.
    let report = std::fs::read_to_string(out.join("report.html")).unwrap();
    assert!(report.contains("The scene from above"), "no map in the report");
}

fn check_picks(bag: &std::path::Path, messages: &[RawMessage]) {
    let source = read_whole(bag);
    let truths = boxes(&source, "/ground_truth/detections_3d");
    let tf = transforms(&source);
    let (mut surface_m, mut degrees, mut width_m, mut aside_m) = (vec![], vec![], vec![], vec![]);
    let mut astray = 0;
    for (stamp, frame, picks) in picks(messages) {
        let (truth_frame, truths) = &truths[&stamp.0];
        let frame_from_truth = tf.lookup(&frame, truth_frame, stamp).unwrap();
        for pick in picks {
            let at = pick.frame_from_gripper * Point3::origin();
            let off = |truth: &Boxed| (frame_from_truth * truth.centre() - at).norm();
            let named = truths.iter().filter(|truth| is_named(&pick.class, &truth.class));
            let nearest = named.min_by(|a, b| off(a).total_cmp(&off(b)));
            let Some(truth) = nearest.filter(|truth| off(truth) < SAME_THING_M) else {
                astray += 1;
                continue;
            };
            // How far the pick is from the middle of its thing, seen from the gripper.
            let box_from_frame = (frame_from_truth * truth.frame_from_box).inverse();
            let box_from_gripper = box_from_frame * pick.frame_from_gripper;
            let centre = box_from_gripper.inverse() * Point3::origin();
            aside_m.push(centre.xy().coords.norm());
            let kind = truth.class.rsplit(' ').next().unwrap();
            let at = box_from_gripper * Point3::origin();
            let Some((off, normal)) = surface(kind, &truth.size_m, &at) else { continue };
            surface_m.push(off);
            let found = box_from_gripper * -Vector3::z();
            degrees.push(found.angle(&normal).to_degrees());
            let closing = box_from_gripper * Vector3::y();
            width_m.push((pick.width_m - width(kind, &truth.size_m, &closing).unwrap()).abs());
        }
    }
    let print = |what: &str, values: &[f64], scale: f64, unit: &str| {
        let (middle, most) = (median(values.to_vec()), ninth_decile(values.to_vec()));
        let (middle, most) = (scale * middle, scale * most);
        println!(
            "{what}: {middle:.1} {unit} (median), {most:.1} {unit} (90 %) of {}",
            values.len()
        );
        middle
    };
    println!("{astray} picks are of nothing near");
    let off_mm = print("picks off the true surface (blocks, ball, can)", &surface_m, 1e3, "mm");
    let off_degrees = print("their normals off the true ones", &degrees, 1.0, "degrees");
    let off_width_mm = print("their widths off the true ones", &width_m, 1e3, "mm");
    print("picks beside the middle of their thing, all kinds", &aside_m, 1e3, "mm");
    assert!(surface_m.len() > 150, "{}", surface_m.len());
    // Depth in whole millimetres, and planes through what is round.
    assert!(off_mm < 2.0, "{off_mm}");
    assert!(off_degrees < 6.0, "{off_degrees}");
    assert!(off_width_mm < 10.0, "{off_width_mm}");
    assert!(astray * 20 < aside_m.len(), "{astray}");
}

fn check_heightmaps(bag: &std::path::Path, messages: &[RawMessage]) {
    let source = read_whole(bag);
    let truths = boxes(&source, "/ground_truth/detections_3d");
    let tf = transforms(&source);
    let (heights, scores) =
        (on(messages, "/owlet/heightmap"), on(messages, "/owlet/heightmap/scores"));
    let labels = on(messages, "/owlet/heightmap/labels");
    assert_eq!([heights.len(), scores.len(), labels.len()], [60; 3]);
    assert_eq!(on(messages, "/owlet/heightmap/color").len(), 60);
    check_prompt_scores(messages);
    let (mut table_m, mut top_m, mut scored) = (vec![], vec![], 0);
    for ((heights, scores), labels) in heights.into_iter().zip(scores).zip(labels) {
        let [heights, scores, labels] =
            [heights, scores, labels].map(|message| Image::decode(&message.data).unwrap());
        assert_eq!((heights.width, heights.height, heights.step), (160, 160, 640));
        assert_eq!(
            (heights.encoding, scores.encoding, labels.encoding),
            ("32FC1", "32FC1", "mono8")
        );
        let floats = |image: &Image<'_>| -> Vec<f32> {
            image
                .data
                .chunks_exact(4)
                .map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()))
                .collect()
        };
        let (metres, scores) = (floats(&heights), floats(&scores));
        let stamp: Stamp = heights.header.stamp.into();
        let (truth_frame, truths) = &truths[&stamp.0];
        let base_from_truth = tf.lookup("base_link", truth_frame, stamp).unwrap();
        let world_from_base = tf.lookup("world", "base_link", stamp).unwrap();
        let cell = |at: &Point3<f64>| {
            let [x, y] = [(at.x - 0.1) / 0.005, (at.y + 0.4) / 0.005];
            let is_within = (0.0..160.0).contains(&x) && (0.0..160.0).contains(&y);
            is_within.then_some(y as usize * 160 + x as usize)
        };
        // The world's origin lies on the table's top.
        let floor_m = -0.05;
        let table_z = (world_from_base.inverse() * Point3::origin()).z;
        let mut known: Vec<f64> =
            metres.iter().filter(|z| !z.is_nan()).map(|z| f64::from(*z) + floor_m).collect();
        known.sort_by(f64::total_cmp);
        // Most of what is seen is table.
        table_m.push((known[known.len() / 2] - table_z).abs());
        for truth in truths.iter().filter(|truth| truth.class.ends_with("block")) {
            let middle = base_from_truth * truth.centre();
            let Some(at) = cell(&middle).filter(|at| !metres[*at].is_nan()) else { continue };
            let up = middle.z + 0.5 * truth.size_m.z;
            top_m.push((f64::from(metres[at]) + floor_m - up).abs());
            scored += usize::from(scores[at] > 0.0 && labels.data[at] > 0);
        }
    }
    let (table, top) = (median(table_m), median(top_m.clone()));
    println!(
        "maps: table off by {:.1} mm, tops of {} blocks by {:.1} mm",
        1e3 * table,
        top_m.len(),
        1e3 * top
    );
    assert!(table < 0.002 && top < 0.003, "{table} {top}");
    assert!(scored * 10 > 7 * top_m.len(), "{scored} of {}", top_m.len());
}

/// The channels of single prompts are, together, the map of scores.
fn check_prompt_scores(messages: &[RawMessage]) {
    let prompts = on(messages, "/owlet/heightmap/prompts");
    let scores = on(messages, "/owlet/heightmap/scores");
    assert_eq!(prompts.len(), 60);
    let mut with_several = 0;
    for (prompts, scores) in prompts.into_iter().zip(scores) {
        let [prompts, scores] = [prompts, scores].map(|one| Image::decode(&one.data).unwrap());
        assert_eq!((prompts.width, prompts.height, prompts.encoding), (160, 160, "32FC11"));
        assert_eq!(prompts.step, 11 * scores.step);
        let float = |bytes: &[u8]| f32::from_le_bytes(bytes.try_into().unwrap());
        let mut there = [false; 11];
        for (cell, score) in prompts.data.chunks_exact(44).zip(scores.data.chunks_exact(4)) {
            let of_prompts = cell.chunks_exact(4).map(float);
            assert_eq!(of_prompts.clone().fold(0.0, f32::max), float(score));
            there.iter_mut().zip(of_prompts).for_each(|(there, score)| *there |= score > 0.0);
        }
        with_several += usize::from(there.iter().filter(|there| **there).count() > 5);
    }
    assert!(with_several > 50, "{with_several} maps show more than five prompts");
}
