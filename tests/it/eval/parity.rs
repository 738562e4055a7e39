//! The numbers are those of pycocotools, on random datasets with all that COCO knows: crowds, sizes
//! that do not count, empty categories and images, equal scores, crowded images.

use std::path::Path;

use owlet::eval::{AREAS, Dataset, Evaluation, Remarks, iou_thresholds, read_results};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::peers;

/// Numbers that look random and are the same in every run (PCG, XSH-RR 32).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u32 {
        let state = self.0;
        self.0 =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((((state >> 18) ^ state) >> 27) as u32).rotate_right((state >> 59) as u32)
    }

    /// In `[0, 1)`.
    fn share(&mut self) -> f64 {
        f64::from(self.next()) / 4_294_967_296.0
    }

    fn below(&mut self, end: usize) -> usize {
        (self.share() * end as f64) as usize
    }

    fn chance(&mut self, share: f64) -> bool {
        self.share() < share
    }
}

/// What a random dataset is like.
struct Recipe {
    seed: u64,
    images: usize,
    categories: usize,
    /// The most objects of an image.
    objects: usize,
    /// The most stray detections of an image.
    strays: usize,
    /// Scores are rounded to so many steps, so that many are equal.
    score_steps: f64,
    /// Boxes lie on whole pixels, so that many overlaps are equal.
    whole_pixels: bool,
}

const SIDE: f64 = 400.0;

fn boxed(random: &mut Random, whole: bool) -> [f64; 4] {
    // Squared: small boxes are more frequent, and some are below 32 pixels a side.
    let mut length = || (random.share().powi(2) * 250.0).max(2.0);
    let (width, height) = (length(), length());
    let numbers = [random.share() * (SIDE - 20.0), random.share() * (SIDE - 20.0), width, height];
    if whole { numbers.map(f64::round) } else { numbers }
}

/// A box that overlaps another one more or less.
fn near(random: &mut Random, [left, top, width, height]: [f64; 4], whole: bool) -> [f64; 4] {
    let spread = [0.0, 0.05, 0.15, 0.4][random.below(4)];
    let mut off = || (random.share() - 0.5) * 2.0 * spread;
    let numbers =
        [left + off() * width, top + off() * height, width * (1.0 + off()), height * (1.0 + off())];
    if whole { numbers.map(|number| number.round().max(1.0)) } else { numbers }
}

/// A dataset and results for it.
fn make(recipe: &Recipe) -> (Value, Value) {
    let random = &mut Random(recipe.seed);
    let (mut annotations, mut results) = (Vec::new(), Vec::new());
    // Ids with gaps, and lists that are not in their order.
    let image_id = |index: usize| ((index * 7919) % recipe.images) as i64 * 3 + 5;
    let category_id = |index: usize| (recipe.categories - index) as i64 * 2;
    for image in 0..recipe.images {
        let score = |random: &mut Random| {
            (random.share() * recipe.score_steps).round() / recipe.score_steps
        };
        let mut detect = |image_id: i64, category_id: i64, bbox: [f64; 4], score: f64| {
            results.push(json!({
                "image_id": image_id, "category_id": category_id, "bbox": bbox, "score": score,
            }));
        };
        // Some images have no annotation, some no detection.
        let objects = if random.chance(0.15) { 0 } else { random.below(recipe.objects + 1) };
        let is_seen = random.chance(0.9);
        for _ in 0..objects {
            // The last two categories have no object; the first is the most frequent.
            let share = random.share();
            let category = (share * share * (recipe.categories - 2) as f64) as usize;
            let bbox = boxed(random, recipe.whole_pixels);
            let crowd = random.chance(0.08);
            // The area of a mask is smaller than its box; some lie just on a limit.
            let area = match random.below(8) {
                0 => 1024.0,
                1 => 9216.0,
                2 => 1e11,
                _ => bbox[2] * bbox[3] * (0.4 + 0.6 * random.share()),
            };
            annotations.push(json!({
                "id": annotations.len() + 1,
                "image_id": image_id(image),
                "category_id": category_id(category),
                "bbox": bbox,
                "area": area,
                "iscrowd": u8::from(crowd),
            }));
            if !is_seen {
                continue;
            }
            for _ in 0..random.below(4) {
                let other = random.below(recipe.categories);
                let seen_as = if random.chance(0.8) { category } else { other };
                let bbox = near(random, bbox, recipe.whole_pixels);
                let score = score(random);
                detect(image_id(image), category_id(seen_as), bbox, score);
            }
        }
        let strays = if is_seen { random.below(recipe.strays + 1) } else { 0 };
        for _ in 0..strays {
            let category = random.below(recipe.categories);
            let bbox = boxed(random, recipe.whole_pixels);
            let score = score(random);
            detect(image_id(image), category_id(category), bbox, score);
        }
    }
    let images: Vec<_> = (0..recipe.images)
        .map(|index| {
            let id = image_id(index);
            json!({"id": id, "file_name": format!("{id}.jpg"), "width": 1000, "height": 1000})
        })
        .collect();
    let categories: Vec<_> = (0..recipe.categories)
        .map(|index| json!({"id": category_id(index), "name": format!("thing {index}")}))
        .collect();
    let dataset = json!({"images": images, "categories": categories, "annotations": annotations});
    (dataset, Value::Array(results))
}

fn write(folder: &Path, name: &str, value: &Value) -> std::path::PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, value.to_string()).unwrap();
    path
}

/// -1 stands for no number in pycocotools.
fn as_there(number: Option<f64>) -> f64 {
    number.unwrap_or(-1.0)
}

fn numbers(value: &Value) -> Vec<f64> {
    serde_json::from_value(value.clone()).unwrap()
}

/// Sums are made in another order there; all else is the same arithmetic.
const TOLERANCE: f64 = 1e-9;

#[track_caller]
fn hold(recipe: &Recipe) {
    let folder = TempDir::new().unwrap();
    let (dataset, results) = make(recipe);
    let dataset_path = write(folder.path(), "annotations.json", &dataset);
    let results_path = write(folder.path(), "results.json", &results);
    let theirs: Value =
        serde_json::from_str(&peers::run("coco_eval.py", &[&dataset_path, &results_path])).unwrap();

    let mut remarks = Remarks::default();
    let dataset = Dataset::read(&dataset_path, &mut remarks).unwrap();
    let found = read_results(&results_path, &dataset, &mut remarks).unwrap();
    assert_eq!(remarks, Remarks::default(), "nothing of it is skipped");
    let ours = Evaluation::of(dataset.categories.len(), &dataset.truths, &found);

    assert_eq!(numbers(&theirs["overlaps"]), iou_thresholds());
    let near = |ours: f64, theirs: f64, what: &str| {
        let seed = recipe.seed;
        assert!((ours - theirs).abs() < TOLERANCE, "seed {seed}, {what}: {ours}, there {theirs}");
    };
    for ((name, ours), theirs) in ours.metrics().named().into_iter().zip(numbers(&theirs["stats"]))
    {
        near(as_there(ours), theirs, name);
    }
    let mut without_objects = 0;
    for (category, result) in ours.categories.iter().enumerate() {
        for area in 0..AREAS {
            let mut sum = 0.0;
            for step in 0..10 {
                for recall in 0..101 {
                    let theirs =
                        theirs["precision"][step][recall][category][area].as_f64().unwrap();
                    let ours = result.curves[area].as_ref();
                    let ours = as_there(ours.map(|curves| curves.precision[step][recall]));
                    near(ours, theirs, &format!("precision {category} {area} {step} {recall}"));
                    sum += theirs;
                }
                for limit in 0..3 {
                    let theirs = theirs["recall"][step][category][area][limit].as_f64().unwrap();
                    let ours = result.curves[area].as_ref();
                    let ours = as_there(ours.map(|curves| curves.recall[limit][step]));
                    near(ours, theirs, &format!("recall {category} {area} {step} {limit}"));
                }
            }
            if area == 0 {
                near(as_there(result.metrics().ap), sum / 1010.0, &format!("AP of {category}"));
                without_objects += usize::from(result.curves[0].is_none());
            }
        }
    }
    // The recipe holds what it is meant to.
    assert!(without_objects >= 2, "there are categories without objects");
    assert!(ours.metrics().ap.is_some_and(|ap| ap > 0.02 && ap < 0.98), "{:?}", ours.metrics());
}

#[test]
fn random_datasets_have_the_numbers_of_pycocotools() {
    for seed in 0..4 {
        hold(&Recipe {
            seed,
            images: 40,
            categories: 6,
            objects: 8,
            strays: 12,
            score_steps: 1e6,
            whole_pixels: false,
        });
    }
}

#[test]
fn equal_scores_and_equal_overlaps_are_parted_as_there() {
    for seed in 10..14 {
        hold(&Recipe {
            seed,
            images: 30,
            categories: 4,
            objects: 12,
            strays: 10,
            score_steps: 8.0,
            whole_pixels: true,
        });
    }
}

#[test]
fn beyond_a_hundred_detections_of_an_image_and_category_the_same_are_cut() {
    hold(&Recipe {
        seed: 20,
        images: 12,
        categories: 3,
        objects: 20,
        strays: 700,
        score_steps: 50.0,
        whole_pixels: false,
    });
}

#[test]
fn thousands_of_boxes_have_the_numbers_of_pycocotools() {
    hold(&Recipe {
        seed: 30,
        images: 400,
        categories: 20,
        objects: 15,
        strays: 30,
        score_steps: 1e9,
        whole_pixels: false,
    });
}
