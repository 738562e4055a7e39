//! Datasets and results that are wrong in every way that the help names.

use std::fs;

use serde_json::{Value, json};

use super::data::{data, read};
use crate::cli::words;

fn kinds(record: &Value) -> Vec<(&str, u64)> {
    let remarks = record["remarks"].as_array().unwrap().iter();
    remarks.map(|one| (one["kind"].as_str().unwrap(), one["count"].as_u64().unwrap())).collect()
}

#[test]
fn pictures_that_cannot_be_used_are_left_out_and_named() {
    let mut data = data();
    fs::remove_file(data.picture("landscape.png")).unwrap();
    fs::write(data.picture("portrait.png"), "no picture").unwrap();
    data.annotations["images"][2]["width"] = json!(1234);
    data.save();
    let out = data.out("out");
    let ran = data.eval(words!["--out", out], 3);
    ran.says(&[
        "images left out, no such picture: 1 (image 1: ",
        "images left out, picture cannot be read: 1 (image 2: ",
        "images left out, picture of another size than the dataset says: 1 (image 3: expected 1234x",
    ]);
    let record = read(&out.join("eval.json"));
    assert_eq!(record["dataset"]["left_out"], json!([1, 2, 3]));
    assert_eq!(record["dataset"]["images"], 1);
    assert_eq!(record["dataset"]["objects"], data.objects(|image| image == 4));
    let expected =
        [("picture_missing", 1), ("picture_unreadable", 1), ("picture_of_another_size", 1)];
    assert_eq!(kinds(&record), expected);
    let page = fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page.contains("3 images could not be looked at"));

    fs::remove_dir_all(data.path().join("images")).unwrap();
    let none = data.eval(words!["--out", data.out("none")], 1);
    none.says(&["there is none of the pictures in", "landscape.png"]);
    assert!(!data.out("none").join("eval.json").exists());
}

#[test]
fn a_picture_that_is_broken_in_the_last_image_ends_nothing_either() {
    let data = data();
    for name in super::data::PICTURES {
        fs::write(data.picture(name), "no picture").unwrap();
    }
    let ran = data.eval(words!["--out", data.out("out")], 1);
    ran.says(&["picture cannot be read: 4", "none of the pictures could be worked on"]);
}

#[test]
fn single_annotations_are_skipped_and_counted() {
    let mut data = data();
    let objects = data.objects(|_| true);
    let good = data.annotations["annotations"][0].clone();
    let with = |id: u64, key: &str, value: Value| {
        let mut entry = good.clone();
        entry["id"] = json!(id);
        entry[key] = value;
        entry
    };
    let list = data.annotations["annotations"].as_array_mut().unwrap();
    list.extend([
        with(101, "image_id", json!(99)),
        with(102, "category_id", json!(99)),
        with(103, "bbox", json!([1, 2, 3])),
        with(104, "bbox", json!([1, 2, 3, "nan"])),
        with(105, "bbox", json!([1, 2, 0, 4])),
        with(106, "bbox", json!([1, 2, -3, 4])),
        with(107, "bbox", json!([5000, 2, 3, 4])),
        with(108, "segmentation", json!({"size": [7, 8], "counts": [56]})),
    ]);
    fs::write(data.file(), data.annotations.to_string().replace("\"nan\"", "NaN")).unwrap();
    let results = data.out("results.json");
    fs::write(&results, "[]").unwrap();
    let ran = data.score(&results, words!["--json"], 3);
    assert_eq!(
        kinds(&ran.json()),
        [
            ("annotation_of_unknown_image", 1),
            ("annotation_of_unknown_category", 1),
            ("annotation_without_box", 1),
            ("annotation_not_finite", 1),
            ("annotation_without_area", 2),
            ("annotation_outside_image", 1),
            ("mask_of_another_size", 1),
        ]
    );
    assert_eq!(ran.json()["dataset"]["objects"], objects + 1, "the one with a wrong mask is used");
    ran.says(&["annotation 106: box [1.0, 2.0, -3.0, 4.0]", "8x7 in an image of"]);
}

#[test]
fn single_results_are_skipped_and_counted() {
    let data = data();
    let results = data.out("results.json");
    fs::write(
        &results,
        r#"[{"image_id": 1, "category_id": 10, "bbox": [1, 1, 3, 3], "score": 0.9},
            {"image_id": 1, "category_id": 10, "bbox": [1, 1, 3, 3], "score": NaN},
            {"image_id": 77, "category_id": 10, "bbox": [1, 1, 3, 3], "score": 0.9},
            {"image_id": 1, "category_id": 77, "bbox": [1, 1, 3, 3], "score": 0.9},
            {"image_id": 1, "category_id": 10, "score": 0.9},
            {"image_id": 2, "category_id": 10, "bbox": [1, 1, 0, 3], "score": 0.9}]"#,
    )
    .unwrap();
    let ran = data.score(&results, words!["--json"], 3);
    let record = ran.json();
    assert_eq!(
        kinds(&record),
        [
            ("result_of_unknown_image", 1),
            ("result_of_unknown_category", 1),
            ("result_incomplete", 1),
            ("result_not_finite", 1),
            ("result_without_area", 1),
        ]
    );
    // The one that is right, and the one without area.
    let counts = &record["at_threshold"];
    assert_eq!((&counts["hits"], &counts["false_positives"]), (&json!(1), &json!(1)));
}

#[test]
fn broken_files_are_refused() {
    let mut data = data();
    let results = data.out("results.json");
    fs::write(&results, "{\"not\": \"a list\"}").unwrap();
    data.score(&results, vec![], 2).says(&["results.json: expected a COCO results file"]);
    fs::write(
        &results,
        r#"[{"image_id": 77, "category_id": 10, "bbox": [1, 1, 3, 3], "score": 1}]"#,
    )
    .unwrap();
    data.score(&results, vec![], 2).says(&["found none that can be used", "image 77"]);
    data.score(&data.out("none.json"), vec![], 1).says(&["cannot read", "none.json"]);

    fs::write(&results, "[]").unwrap();
    let whole = data.annotations.clone();
    let mut refuse = |change: fn(&mut Value), text: &str| {
        data.annotations = whole.clone();
        change(&mut data.annotations);
        data.save();
        let ran = data.score(&results, vec![], 2);
        assert_eq!(ran.stdout, "");
        ran.says(&["annotations.json", text]);
    };
    refuse(
        |all| all["images"][1]["id"] = json!(1),
        "each image id once, found 1 more than once: \"1\"",
    );
    refuse(|all| all["annotations"][1]["id"] = json!(1), "each annotation id once");
    refuse(|all| all["categories"][1]["id"] = json!(10), "each category id once");
    refuse(|all| all["categories"][1]["name"] = json!("cat"), "each category name once");
    refuse(|all| all["annotations"] = json!([]), "at least one of `annotations`, found none");
    refuse(|all| all["categories"] = Value::Null, "found no key `categories`");
    refuse(|all| all["images"][0] = json!({"id": 1}), "missing field `file_name`");
    fs::write(data.file(), "not json").unwrap();
    data.score(&results, vec![], 2).says(&["expected a COCO annotation file"]);
    fs::remove_file(data.file()).unwrap();
    data.score(&results, vec![], 1).says(&["cannot read", "annotations.json"]);
}
