//! Picks and heightmaps over zenoh: the simulated camera streams image, depth, calibration and
//! transforms as a robot does, and what comes back is compared with the simulator's truth.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use nalgebra::Point3;
use owlet::vision::decode::decode_compressed;
use owlet::wire::Message;
use owlet::wire::sensor_msgs::Image;
use serde_json::Value;
use zenoh::Wait;

use super::simulated::{numbers, pose, take, three};
use super::{Node, Samples, TOO_LONG, router};
use crate::sim;

const THINGS: [&str; 4] = ["red bowl", "blue block", "orange ball", "green can"];
/// Frames that are streamed, and frames that have to come back: a busy machine may be too slow for
/// some of them.
const FRAMES: usize = 10;
const NEEDED: usize = 3;
/// 100 x 100 cells, from 5 cm below the table's top, which is the origin of `world`.
const BOUNDS: &str = "heightmap_bounds_m=-0.5 0.5 -0.5 0.5 -0.05 0.45";
const CELLS: usize = 100 * 100;

/// The newest pictures of a key by stamp: encoding and values.
fn pictures(samples: &Samples, into: &mut BTreeMap<i64, (String, Vec<u8>)>) {
    while let Ok(Some(sample)) = samples.try_recv() {
        let bytes = sample.payload().to_bytes();
        let image = Image::decode(&bytes).unwrap();
        assert_eq!((image.width, image.height, image.header.frame_id), (100, 100, "world"));
        let stamp = image.header.to_frame_header().stamp.0;
        into.insert(stamp, (image.encoding.to_owned(), image.data.to_vec()));
    }
}

fn floats((encoding, bytes): &(String, Vec<u8>), expected: &str) -> Vec<f32> {
    assert_eq!(encoding, expected);
    let float = |four: &[u8]| f32::from_le_bytes(four.try_into().unwrap());
    bytes.chunks_exact(4).map(float).collect()
}

#[test]
fn a_streamed_table_gets_picks_and_heightmaps() {
    let Some(mut simulator) = sim::python() else { return };
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/owlet-nano");
    let mut words = vec!["--threshold", "0.3"];
    for parameter in [
        "nms_iou=0.6",
        "segmenter=owlet-nano-seg",
        "target_frame=world",
        "picks=true",
        "heightmap=true",
        BOUNDS,
        "heightmap_m_per_px=0.01",
    ] {
        words.extend(["--param", parameter]);
    }
    for thing in &THINGS {
        words.extend(["--prompt", thing]);
    }
    let node = Node::start_with_model(&model, "picks", &words);
    let in_space = node.subscribe("detections_3d/front");
    let best = node.subscribe("pick/front");
    let overlays = node.subscribe("overlay/front");
    let names = [
        "heightmap",
        "heightmap_scores",
        "heightmap_labels",
        "heightmap_color",
        "heightmap_prompts",
    ];
    let maps = names.map(|name| node.subscribe(&format!("{name}/front")));
    let truths = node.session.declare_subscriber("sim/front/truth").wait().unwrap();
    let mut simulator = simulator
        .args(["-m", "owlet_sim", "stream", "--connect", router(), "--node", "picks"])
        .args(["--things", &THINGS.join(", "), "--size", "320x240", "--rate", "1"])
        .args(["--frames", &FRAMES.to_string()])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();

    let (mut placed, mut picked, mut true_frames) =
        (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    let mut drawn: [BTreeMap<i64, (String, Vec<u8>)>; 5] = Default::default();
    let began = Instant::now();
    let is_whole = |stamp: &&i64, drawn: &[BTreeMap<i64, (String, Vec<u8>)>; 5]| {
        drawn.iter().all(|pictures| pictures.contains_key(stamp))
    };
    while picked.keys().filter(|stamp| is_whole(stamp, &drawn)).count() < NEEDED {
        assert!(began.elapsed() < TOO_LONG, "{} frames with picks\n{}", picked.len(), node.log());
        std::thread::sleep(std::time::Duration::from_millis(20));
        take(&truths, &mut true_frames);
        take(&in_space, &mut placed);
        take(&best, &mut picked);
        for (samples, pictures_of) in maps.iter().zip(&mut drawn) {
            pictures(samples, pictures_of);
        }
    }
    simulator.kill().ok();
    simulator.wait().unwrap();
    take(&truths, &mut true_frames);

    let (mut near, mut picks) = (0, 0);
    for (stamp, record) in &placed {
        assert_eq!(record["places_frame_id"], "world");
        let Some(truth) = true_frames.get(stamp) else { continue };
        let world_from_optical = pose(&truth["camera_in_world"]);
        for detection in record["detections"].as_array().unwrap() {
            let Some(pick) = detection.get("pick") else { continue };
            picks += 1;
            let at = Point3::from(three(&pick["position_m"]));
            let normal = numbers(&pick["normal"]);
            let length: f64 = normal.iter().map(|one| one * one).sum::<f64>().sqrt();
            assert!((length - 1.0).abs() < 1e-4, "{pick}");
            let (score, width) = (&pick["score"], &pick["width_m"]);
            assert!((0.0..=1.0).contains(&score.as_f64().unwrap()), "{pick}");
            assert!((0.001..0.5).contains(&width.as_f64().unwrap()), "{pick}");
            let objects = truth["objects"].as_array().unwrap();
            let holds = |object: &&Value| {
                let middle = Point3::from(three(&object["position_m"]));
                let size = numbers(&object["size_m"]);
                let reach = size.iter().map(|side| side * side).sum::<f64>().sqrt() / 2.0;
                object["name"] == detection["prompt"]
                    && (world_from_optical * middle - at).norm() < reach + 0.005
            };
            near += usize::from(objects.iter().any(|object| holds(&object)));
        }
    }
    println!("{near} of {picks} picks are on their things");
    // What is found of the wrong name is no fault of the pick.
    assert!(picks >= NEEDED && near * 10 >= picks * 7, "{near} of {picks}");

    for (stamp, best) in &picked {
        assert_eq!(best["frame_id"], "world");
        let Some(record) = placed.get(stamp) else { continue };
        let detections = record["detections"].as_array().unwrap();
        let is_it = |detection: &&Value| {
            detection["pick"] == best["pick"] && detection["prompt"] == best["prompt"]
        };
        assert!(detections.iter().any(|detection| is_it(&detection)), "{best} of {record}");
    }

    let whole: Vec<i64> = picked.keys().copied().filter(|stamp| is_whole(&stamp, &drawn)).collect();
    for stamp in whole {
        let [heights, scores, labels, colours, prompts] = drawn.each_ref().map(|all| &all[&stamp]);
        let (heights, scores) = (floats(heights, "32FC1"), floats(scores, "32FC1"));
        assert_eq!((&*labels.0, &*colours.0), ("mono8", "rgb8"));
        assert_eq!((labels.1.len(), colours.1.len()), (CELLS, 3 * CELLS));
        let prompts = floats(prompts, "32FC4");
        assert_eq!((heights.len(), prompts.len()), (CELLS, THINGS.len() * CELLS));
        let mut seen: Vec<f32> = heights.iter().copied().filter(|z| z.is_finite()).collect();
        seen.sort_by(f32::total_cmp);
        // Most of what is seen is the table's top; millimetres of depth, seen at an angle.
        let table_m = seen[seen.len() / 2];
        assert!((table_m - 0.05).abs() < 0.005, "{table_m}");
        let mut scored = 0;
        for (cell, of_prompts) in prompts.chunks_exact(THINGS.len()).enumerate() {
            // One prompt's channel is what the labels say, and all together are the scores.
            let best = of_prompts.iter().copied().fold(0.0, f32::max);
            assert_eq!(best, scores[cell]);
            assert_eq!(best > 0.0, labels.1[cell] > 0);
            if best > 0.0 {
                scored += 1;
                assert_eq!(of_prompts[usize::from(labels.1[cell]) - 1], best);
            }
        }
        assert!(scored > 20, "{scored} cells");
    }
    // Overlays wait for picks, and come all the same.
    let overlay = overlays.recv_timeout(TOO_LONG).unwrap().expect("an overlay");
    decode_compressed("jpeg", &overlay.payload().to_bytes()).unwrap();
}
