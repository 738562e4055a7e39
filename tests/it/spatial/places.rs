//! The places of a replay against the simulator's truth.

use std::collections::BTreeMap;
use std::path::Path;

use owlet::types::Stamp;
use owlet::wire::Message;
use owlet::wire::sensor_msgs::PointCloud2;
use owlet::wire::vision_msgs::Detection2DArray;
use serde_json::Value;
use tempfile::TempDir;

use super::{
    Boxed, OPTICAL, boxes, median, ninth_decile, on, replay_with_builtin, repository, segmenter,
    transforms,
};
use crate::cli::words;
use crate::recordings::read_whole;

/// A detection is of the true thing of its name whose centre is nearest, no further than this.
const SAME_THING_M: f64 = 0.15;

/// What is off between boxes and the truth, over all frames.
struct Errors {
    located: usize,
    /// Of the centre, in metres.
    centre_m: Vec<f64>,
    /// Of the three sides, from shortest to longest: the largest difference, in metres.
    size_m: Vec<f64>,
    /// Boxes whose thing is nowhere near.
    astray: usize,
}

/// Compares the boxes of a replay with the truth at the same stamps, in the frame of the former.
fn compare(bag: &Path, out: &Path, frame: &str) -> Errors {
    let source = read_whole(bag);
    let truths = boxes(&source, "/ground_truth/detections_3d");
    let tf = transforms(&source);
    let found = boxes(&read_whole(&out.join("detections.mcap")), "/owlet/detections_3d");
    let mut errors = Errors { located: 0, centre_m: Vec::new(), size_m: Vec::new(), astray: 0 };
    assert_eq!(
        found.keys().collect::<Vec<_>>(),
        truths.keys().collect::<Vec<_>>(),
        "one message for each frame"
    );
    for (stamp, (found_frame, found)) in &found {
        assert_eq!(found_frame, frame);
        let (truth_frame, truths) = &truths[stamp];
        let found_from_truth = tf.lookup(found_frame, truth_frame, Stamp(*stamp)).unwrap();
        for found in found {
            errors.located += 1;
            let named = truths.iter().filter(|truth| is_named(&found.class, &truth.class));
            let centre = |truth: &Boxed| found_from_truth * truth.centre();
            let nearest = named.min_by(|a, b| {
                let off = |truth| (centre(truth) - found.centre()).norm();
                off(a).total_cmp(&off(b))
            });
            let off = nearest.map(|truth| (truth, (centre(truth) - found.centre()).norm()));
            let Some((truth, off_m)) = off.filter(|(_, off)| *off < SAME_THING_M) else {
                errors.astray += 1;
                continue;
            };
            errors.centre_m.push(off_m);
            let mut real: Vec<f64> = truth.size_m.iter().copied().collect();
            let mut seen: Vec<f64> = found.size_m.iter().copied().collect();
            real.sort_by(f64::total_cmp);
            seen.sort_by(f64::total_cmp);
            let differences = real.iter().zip(&seen).map(|(real, seen)| (real - seen).abs());
            errors.size_m.push(differences.fold(0.0, f64::max));
        }
    }
    errors
}

/// `a red bowl` is `red bowl`.
pub(super) fn is_named(prompt: &str, thing: &str) -> bool {
    prompt.trim_start_matches("the ").trim_start_matches("an ").trim_start_matches("a ") == thing
}

pub(super) fn records(out: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(out.join("detections.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

impl Errors {
    fn print(&self, what: &str) -> (f64, f64) {
        let (centre, size) = (median(self.centre_m.clone()), median(self.size_m.clone()));
        println!(
            "{what}: {} boxes; centre off by {:.1} mm (median), {:.1} mm (90 %); sides by {:.1} mm, \
             {:.1} mm; {} are of nothing near",
            self.located,
            1e3 * centre,
            1e3 * ninth_decile(self.centre_m.clone()),
            1e3 * size,
            1e3 * ninth_decile(self.size_m.clone()),
            self.astray
        );
        (centre, size)
    }
}

#[test]
fn places_of_the_sample_are_near_the_truth_in_the_frame_that_was_asked_for() {
    let bag = repository("samples/tabletop");
    let folder = TempDir::new().unwrap();
    let mut located = BTreeMap::new();
    for (frame, with_masks) in [("base_link", false), ("base_link", true), (OPTICAL, false)] {
        let out = folder.path().join(format!("{frame}_{with_masks}"));
        // By default that of the image.
        let mut more = match frame {
            OPTICAL => words![],
            _ => words!["--param", format!("target_frame={frame}")],
        };
        if with_masks {
            more.extend(segmenter());
        }
        let ran = replay_with_builtin(&bag, &out, more);
        assert!(ran.stdout.contains("detections have a place"), "{}", ran.stdout);
        let errors = compare(&bag, &out, frame);
        let what = if with_masks { "with masks" } else { "with boxes" };
        let (centre_m, size_m) = errors.print(&format!("{frame}, {what}"));
        // Boxes are around what is visible: the back of a thing is not in it, and where there are
        // no masks, of the table beneath it a little is.
        let (most_centre_m, most_size_m) = match (frame, with_masks) {
            (OPTICAL, _) => (0.03, 0.06),
            (_, false) => (0.025, 0.045),
            (_, true) => (0.02, 0.04),
        };
        assert!(centre_m < most_centre_m, "{frame}: centre {centre_m}");
        assert!(size_m < most_size_m, "{frame}: size {size_m}");
        assert!(errors.astray * 20 < errors.located, "{frame}: {}", errors.astray);
        located.insert((frame, with_masks), errors.located);

        // The records say the same, and count what has no place.
        let (mut with, mut without) = (0, 0);
        for record in records(&out) {
            assert_eq!(record["places_frame_id"], frame);
            for detection in record["detections"].as_array().unwrap() {
                assert!(detection["place"].is_object() != detection["no_place"].is_object());
                with += usize::from(detection["place"].is_object());
                without += usize::from(detection["no_place"].is_object());
            }
        }
        assert_eq!(with, errors.located);
        let run: Value =
            serde_json::from_slice(&std::fs::read(out.join("run.json")).unwrap()).unwrap();
        let places = &run["places"]["/camera/color/image_raw/compressed"];
        println!("{frame}: {places}");
        assert_eq!((&places["frames"], &places["located"]), (&60.into(), &with.into()));
        let counted = places["unlocated"].as_object().unwrap().values();
        assert_eq!(counted.map(|count| count.as_u64().unwrap()).sum::<u64>(), without as u64);
        assert!(places["frames_without"].as_object().unwrap().is_empty());
    }
    assert_eq!(located[&("base_link", false)], located[&(OPTICAL, false)]);
}

#[test]
fn two_replays_with_places_ids_and_clouds_give_the_same_bytes_and_so_does_a_resumed_one() {
    let bag = repository("samples/tabletop");
    let folder = TempDir::new().unwrap();
    let replay = |name: &str| {
        let out = folder.path().join(name);
        let more = words!["--param", "clouds=true", "--param", "target_frame=world"];
        replay_with_builtin(&bag, &out, more);
        let read = |file: &str| std::fs::read(out.join(file)).unwrap();
        (read("detections.jsonl"), read("detections.mcap/detections_0.mcap"))
    };
    let first = replay("a");
    assert!(first == replay("b"), "two runs");

    // As if it had been interrupted in the middle.
    let out = folder.path().join("b");
    let lines = String::from_utf8(first.0.clone()).unwrap();
    let half: String = lines.split_inclusive('\n').take(29).collect();
    std::fs::write(out.join("detections.jsonl"), half).unwrap();
    let more = words!["--param", "clouds=true", "--param", "target_frame=world", "--resume"];
    replay_with_builtin(&bag, &out, more);
    let read = |file: &str| std::fs::read(out.join(file)).unwrap();
    assert!(read("detections.jsonl") == first.0, "records of a resumed run");
    assert!(read("detections.mcap/detections_0.mcap") == first.1, "bag of a resumed run");

    // Clouds hold the points that the boxes were made from, by the ids of their detections.
    let messages = read_whole(&out.join("detections.mcap"));
    let records = records(&out);
    let clouds = on(&messages, "/owlet/cloud");
    assert_eq!((clouds.len(), records.len()), (60, 60));
    for (message, record) in clouds.iter().zip(&records) {
        let cloud = PointCloud2::decode(&message.data).unwrap();
        assert_eq!(cloud.header.frame_id, "world");
        let mut points: BTreeMap<u32, u64> = BTreeMap::new();
        for point in cloud.data.chunks_exact(20) {
            *points.entry(u32::from_le_bytes(point[16..].try_into().unwrap())).or_default() += 1;
        }
        let mut expected: BTreeMap<u32, u64> = BTreeMap::new();
        for detection in record["detections"].as_array().unwrap() {
            let id = detection["id"].as_u64().unwrap_or(0) as u32;
            if let Some(points) = detection["place"]["points"].as_u64() {
                *expected.entry(id).or_default() += points;
            }
        }
        assert_eq!(points, expected);
    }
}

#[test]
fn what_cannot_be_placed_is_told_and_places_can_be_turned_off() {
    let bag = repository("samples/tabletop");
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("nowhere");
    replay_with_builtin(&bag, &out, words!["--param", "target_frame=wrold"]);
    let records = records(&out);
    let detection = &records[0]["detections"][0];
    assert_eq!(detection["no_place"]["kind"], "no_transform");
    let reason = detection["no_place"]["reason"].as_str().unwrap();
    assert!(reason.contains("did you mean \"world\"?"), "{reason}");
    let found = boxes(&read_whole(&out.join("detections.mcap")), "/owlet/detections_3d");
    assert!(found.values().all(|(_, boxes)| boxes.is_empty()));

    let out = folder.path().join("off");
    let ran = replay_with_builtin(
        &bag,
        &out,
        words!["--param", "locate=never", "--param", "tracking=false"],
    );
    assert!(!ran.stdout.contains("have a place"), "{}", ran.stdout);
    let messages = read_whole(&out.join("detections.mcap"));
    assert!(messages.iter().all(|message| &*message.topic == "/owlet/detections"));
    let array = Detection2DArray::decode(&messages[0].data).unwrap();
    let ids: Vec<_> = array.detections.iter().map(|detection| detection.id.to_string()).collect();
    let counted: Vec<_> = (1..=ids.len()).map(|number| number.to_string()).collect();
    assert_eq!(ids, counted, "without tracking ids count the detections of a frame");
}
