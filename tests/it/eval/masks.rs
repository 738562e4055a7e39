//! Masks, by the command: those of a results file, and those that a segmenter draws for true boxes.

use std::path::Path;

use image::{Rgb, RgbImage};
use owlet::types::Mask;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::data::read;
use crate::cli::{Ran, names_in, run, words};
use crate::peers;

const SIZE: (u32, u32) = (320, 240);
/// Centre and radius.
const DISCS: [[f64; 3]; 3] = [[80.0, 70.0, 40.0], [230.0, 90.0, 55.0], [150.0, 180.0, 35.0]];

fn disc([x, y, radius]: [f64; 3]) -> Mask {
    let is_in =
        |px: u32, py: u32| (f64::from(px) + 0.5 - x).hypot(f64::from(py) + 0.5 - y) <= radius;
    let pixels = (0..SIZE.1).flat_map(|py| (0..SIZE.0).map(move |px| is_in(px, py)));
    Mask::new(SIZE.0, SIZE.1, pixels.collect())
}

fn bbox([x, y, radius]: [f64; 3]) -> [f64; 4] {
    [x - radius, y - radius, 2.0 * radius, 2.0 * radius]
}

/// One picture of discs on a dark ground; `change` changes the annotations.
fn dataset(change: impl FnOnce(&mut Value)) -> TempDir {
    let folder = TempDir::new().unwrap();
    let masks = DISCS.map(disc);
    let colors = [Rgb([200, 40, 30]), Rgb([40, 180, 60]), Rgb([230, 210, 60])];
    let picture = RgbImage::from_fn(SIZE.0, SIZE.1, |x, y| {
        let on = masks.iter().position(|mask| mask.holds(x, y));
        on.map_or(Rgb([70, 72, 80]), |at| colors[at])
    });
    picture.save(folder.path().join("discs.png")).unwrap();
    let objects: Vec<_> = DISCS
        .iter()
        .zip(&masks)
        .enumerate()
        .map(|(at, (numbers, mask))| {
            json!({
                "id": at + 1, "image_id": 1, "category_id": 1 + at / 2, "bbox": bbox(*numbers),
                "area": mask.area_px(), "iscrowd": 0, "segmentation": mask.rle(),
            })
        })
        .collect();
    let mut annotations = json!({
        "images": [{"id": 1, "file_name": "discs.png", "width": SIZE.0, "height": SIZE.1}],
        "categories": [{"id": 1, "name": "disc"}, {"id": 2, "name": "coin"}],
        "annotations": objects,
    });
    change(&mut annotations);
    std::fs::write(folder.path().join("annotations.json"), annotations.to_string()).unwrap();
    folder
}

fn eval(dataset: &Path, more: Vec<std::ffi::OsString>, code: i32) -> Ran {
    run([words!["eval", dataset], more, words!["-q"]].concat(), code)
}

/// Discs that are drawn a little too small, and one nowhere near.
fn results(folder: &Path) -> std::path::PathBuf {
    let drawn = [[80.0, 70.0, 36.0], [230.0, 90.0, 50.0], [40.0, 200.0, 30.0]];
    let results: Vec<_> = drawn
        .iter()
        .enumerate()
        .map(|(at, numbers)| {
            json!({
                "image_id": 1, "category_id": 1 + at / 2, "bbox": bbox(*numbers),
                "score": 0.9 - 0.1 * at as f64, "segmentation": disc(*numbers).rle(),
            })
        })
        .collect();
    let path = folder.join("results.json");
    std::fs::write(&path, serde_json::to_string(&results).unwrap()).unwrap();
    path
}

#[test]
fn masks_of_a_results_file_are_measured_and_compared() {
    let folder = dataset(|_| {});
    let folder = folder.path();
    let found = results(folder);
    let out = folder.join("out");
    let told = eval(folder, words!["--results", found, "--out", out], 0).stdout;
    for text in ["masks", "mIoU", "boundary IoU", "class IoU"] {
        assert!(told.contains(text), "{text} is not in\n{told}");
    }
    let record = read(&out.join("eval.json"));
    let iou = |large: f64, small: f64| (small / large).powi(2);
    let (first, second) = (iou(40.0, 36.0), iou(55.0, 50.0));
    let masks = &record["masks"];
    let is_near = |value: &Value, expected: f64| {
        // Discs of pixels are not quite round.
        assert!((value.as_f64().unwrap() - expected).abs() < 0.01, "{value} and {expected}");
    };
    assert_eq!((&masks["overall"]["objects"], &masks["overall"]["drawn"]), (&3.into(), &2.into()));
    is_near(&masks["overall"]["mean_iou"], (first + second) / 3.0);
    is_near(&masks["overall"]["mean_iou_of_drawn"], (first + second) / 2.0);
    is_near(&record["prompts"][1]["masks"]["mean_iou"], 0.0);
    let words = [folder.join("annotations.json"), found.clone(), "segm".into()];
    let words: Vec<&Path> = words.iter().map(|word| word.as_path()).collect();
    let theirs: Value = serde_json::from_str(&peers::run("coco_eval.py", &words)).unwrap();
    let ap = masks["metrics"]["ap"].as_f64().unwrap();
    assert!((ap - theirs["stats"][0].as_f64().unwrap()).abs() < 1e-9, "{ap} {theirs}");
    let page = std::fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page.contains("Boundary IoU") && page.contains("Mean IoU of masks"));

    let earlier = out.join("eval.json");
    let again = eval(folder, words!["--results", found, "--against", earlier], 0).stdout;
    assert!(again.contains("all, mask mIoU"), "{again}");
}

#[test]
fn a_segmenter_is_measured_by_itself_on_true_boxes() {
    let folder = dataset(|_| {});
    let out = folder.path().join("out");
    let words = words!["--true-boxes", "--param", "segmenter=owlet-nano-seg", "--out", out];
    eval(folder.path(), words, 0);
    let record = read(&out.join("eval.json"));
    assert_eq!(record["masks"]["true_boxes"], true);
    assert_eq!(record["masks"]["overall"]["objects"], 3);
    // Plain discs on a plain ground: far easier than what it was trained on.
    let iou = record["masks"]["overall"]["mean_iou"].as_f64().unwrap();
    assert!(iou > 0.8, "{record:#}");
    assert_eq!(names_in(&out), ["eval.json", "report.html", "results.json"]);
    let words = words!["--true-boxes", "--out", folder.path().join("none"), "--overwrite"];
    eval(folder.path(), words, 2).says(&["--true-boxes", "segmenter=NAME"]);
}

#[test]
fn masks_that_cannot_be_used_are_told_and_their_boxes_count() {
    let folder = dataset(|annotations| {
        annotations["annotations"][0]["segmentation"] = json!([[1, 2, 3, 4]]);
        annotations["annotations"][1]["segmentation"]["size"] = json!([10, 10]);
    });
    let found = results(folder.path());
    let text =
        std::fs::read_to_string(&found).unwrap().replacen("\"counts\":\"", "\"counts\":\"!", 1);
    std::fs::write(&found, text).unwrap();
    let record = eval(folder.path(), words!["--results", found, "--json"], 0).json();
    assert_eq!(record["dataset"]["objects"], 3);
    assert_eq!(record["masks"]["overall"]["objects"], 1);
    let kinds: Vec<_> =
        record["remarks"].as_array().unwrap().iter().map(|remark| &remark["count"]).collect();
    assert_eq!(kinds, [1, 1, 1], "{}", record["remarks"]);
}

/// The outline of a disc, as whoever annotates by hand draws it.
fn outline([x, y, radius]: [f64; 3]) -> Vec<f64> {
    let corners = (0..40).map(|corner| f64::from(corner) * std::f64::consts::TAU / 40.0);
    corners.flat_map(|angle| [x + radius * angle.cos(), y + radius * angle.sin()]).collect()
}

#[test]
fn polygons_count_as_they_do_in_pycocotools() {
    let folder = dataset(|annotations| {
        for (at, numbers) in DISCS.iter().enumerate() {
            annotations["annotations"][at]["segmentation"] = json!([outline(*numbers)]);
        }
    });
    let found = results(folder.path());
    let record = eval(folder.path(), words!["--results", found, "--json"], 0).json();
    assert_eq!(record["masks"]["overall"]["objects"], 3);
    assert_eq!(record["remarks"], json!([]));
    let iou = record["masks"]["overall"]["mean_iou_of_drawn"].as_f64().unwrap();
    let expected = ((36.0_f64 / 40.0).powi(2) + (50.0_f64 / 55.0).powi(2)) / 2.0;
    // A polygon of 40 corners has 0.4 % less area than its circle.
    assert!((iou - expected).abs() < 0.015, "{iou} and {expected}");
    let words = [folder.path().join("annotations.json"), found.clone(), "segm".into()];
    let words: Vec<&Path> = words.iter().map(|word| word.as_path()).collect();
    let theirs: Value = serde_json::from_str(&peers::run("coco_eval.py", &words)).unwrap();
    let ap = record["masks"]["metrics"]["ap"].as_f64().unwrap();
    assert!((ap - theirs["stats"][0].as_f64().unwrap()).abs() < 1e-9, "{ap} {theirs}");
}
