//! Small datasets from pictures that the tests have, with objects where the small network sees
//! something: its detections mean nothing, but they are the same in every run.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::cli::{Ran, detect_words, picture, run, words};
use crate::golden_models::fixture;

pub(super) const PICTURES: [&str; 4] = ["landscape.png", "portrait.png", "square.png", "strip.png"];
pub(super) const NAMES: [&str; 3] = ["cat", "a dog", "left hand"];

/// A dataset in a folder that a test may change.
pub(super) struct Data {
    pub(super) folder: TempDir,
    pub(super) annotations: Value,
}

/// What `owlet detect` finds with a low threshold, as the corners of boxes by prompt and score.
fn detected(path: &Path, threshold: &str) -> Vec<(String, f64, [f64; 4])> {
    let mut more = words!["--json", "--threshold", threshold, "--param", "max_detections=10000"];
    more.extend(NAMES.iter().flat_map(|name| words!["-p", name]));
    let found = run(detect_words(&[path], more), 0).json();
    let found = found["detections"].as_array().unwrap().iter();
    found
        .map(|one| {
            let corners = serde_json::from_value(one["box_px"].clone()).unwrap();
            (one["prompt"].as_str().unwrap().to_owned(), one["score"].as_f64().unwrap(), corners)
        })
        .collect()
}

/// Four pictures; of each prompt the best and the third box of a picture is an object, and another
/// object is seen by none.
pub(super) fn data() -> Data {
    static ANNOTATIONS: LazyLock<Value> = LazyLock::new(annotations);
    let folder = TempDir::new().unwrap();
    let data = Data { folder, annotations: ANNOTATIONS.clone() };
    fs::create_dir(data.path().join("images")).unwrap();
    for name in PICTURES {
        fs::copy(picture(name), data.picture(name)).unwrap();
    }
    data.save();
    data
}

fn annotations() -> Value {
    let (mut images, mut annotations) = (Vec::new(), Vec::new());
    for (at, name) in PICTURES.iter().enumerate() {
        let path = picture(name);
        let (width, height) = image::image_dimensions(&path).unwrap();
        images.push(json!({"id": at + 1, "file_name": name, "width": width, "height": height}));
        let found = detected(&path, "0.1");
        let mut add = |category: usize, bbox: [f64; 4]| {
            annotations.push(json!({
                "id": annotations.len() + 1, "image_id": at + 1, "category_id": 10 * (category + 1),
                "bbox": bbox, "area": bbox[2] * bbox[3], "iscrowd": 0,
            }));
        };
        for (category, prompt) in NAMES.iter().enumerate() {
            let of_prompt = found.iter().filter(|(name, ..)| name == prompt);
            for (_, _, [x0, y0, x1, y1]) in of_prompt.step_by(2).take(2) {
                add(category, [*x0, *y0, x1 - x0, y1 - y0]);
            }
        }
        add(0, [1.0, 1.0, 3.0, 3.0]);
    }
    let categories: Vec<_> = NAMES
        .iter()
        .enumerate()
        .map(|(at, name)| {
            let group = if at == 0 { "seen" } else { "unseen" };
            json!({"id": 10 * (at + 1), "name": name, "supercategory": group})
        })
        .collect();
    assert!(annotations.len() > 20, "{annotations:?}");
    json!({"images": images, "categories": categories, "annotations": annotations})
}

impl Data {
    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(super) fn file(&self) -> PathBuf {
        self.path().join("annotations.json")
    }

    pub(super) fn picture(&self, name: &str) -> PathBuf {
        self.path().join("images").join(name)
    }

    /// Objects in the images whose ids are meant.
    pub(super) fn objects(&self, meant: impl Fn(u64) -> bool) -> usize {
        let all = self.annotations["annotations"].as_array().unwrap().iter();
        all.filter(|one| meant(one["image_id"].as_u64().unwrap())).count()
    }

    pub(super) fn out(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// Writes the annotations as they are now.
    pub(super) fn save(&self) {
        fs::write(self.file(), self.annotations.to_string()).unwrap();
    }

    /// `owlet eval` on it with the small OWL-ViT.
    #[track_caller]
    pub(super) fn eval(&self, more: Vec<OsString>, code: i32) -> Ran {
        let mut words = words!["eval", self.path(), "--model", fixture("owlvit_tiny"), "-q"];
        words.extend(more);
        run(words, code)
    }

    /// `owlet eval --results` on it.
    #[track_caller]
    pub(super) fn score(&self, results: &Path, more: Vec<OsString>, code: i32) -> Ran {
        let mut words = words!["eval", self.path(), "--results", results, "-q"];
        words.extend(more);
        run(words, code)
    }
}

pub(super) fn read(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}
