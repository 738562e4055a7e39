//! Masks in recordings: the built-in detector with the built-in segmenter.

use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use super::replay::records;
use super::{run, words};
use crate::peers;

fn sample() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/tabletop")
}

/// Bag, records and COCO file say the same, to the pixel; a mask lies in its box and fills a good
/// part of it.
#[test]
fn every_output_has_the_same_masks() {
    let out = TempDir::new().unwrap();
    let prompts = words!["-p", "a red bowl", "-p", "the blue block", "-p", "an orange ball"];
    let options = words![
        "--param",
        "segmenter=owlet-nano-seg",
        "--param",
        "nms_iou=0.5",
        "--threshold",
        "0.3",
        "-q"
    ];
    let first = words!["replay", sample(), "--out", out.path()];
    run([first, prompts, options].concat(), 0);
    let told = peers::run("read_masks.py", &[out.path()]);
    let told: Value = serde_json::from_str(told.lines().last().unwrap()).unwrap();
    let records = records(out.path());
    let found: Vec<&Value> =
        records.iter().flat_map(|frame| frame["detections"].as_array().unwrap()).collect();
    assert!(found.len() > 100, "{}", found.len());
    assert_eq!(told["masks"].as_u64(), Some(found.len() as u64));
    // All but those whose object was seen in one frame only have a number.
    assert!(told["numbered"].as_u64().unwrap() * 10 > 9 * found.len() as u64, "{told}");
    let number = |value: &Value| value.as_f64().unwrap();
    let mut filled = Vec::new();
    for detection in &found {
        let [x0, y0, x1, y1] = [0, 1, 2, 3].map(|at| number(&detection["box_px"][at]));
        let mask = &detection["mask"];
        filled.push(number(&mask["area_px"]) / ((x1 - x0) * (y1 - y0)));
        assert!(number(&mask["axis"]["length_px"]) >= number(&mask["axis"]["width_px"]));
    }
    filled.sort_by(f64::total_cmp);
    // Bowls, blocks and balls: a ball fills pi/4 of its box.
    let median = filled[filled.len() / 2];
    assert!((0.5..0.95).contains(&median), "{median}");
}
