//! `owlet eval` with a model and with a results file.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::data::{NAMES, PICTURES, data, read};
use crate::cli::{keys, names_in, run, words};
use crate::peers;

#[test]
fn a_run_writes_what_it_says_and_its_results_score_the_same() {
    let data = data();
    let out = data.out("out");
    let ran = data.eval(words!["--out", out], 0);
    assert_eq!(names_in(&out), ["eval.json", "report.html", "results.json"]);
    for text in [
        &format!("4 images, {} objects of 3 categories", data.objects(|_| true)),
        "AP50",
        "unseen",
        "left hand",
        "report.html",
    ] {
        assert!(ran.stdout.contains(text), "{text} is not in\n{}", ran.stdout);
    }
    let record = read(&out.join("eval.json"));
    assert!(record["overall"]["ap50"].as_f64().unwrap() > 0.05, "{record}");
    assert_eq!(record["groups"][0]["name"], "seen");
    assert_eq!(record["groups"][1]["categories"], 2);
    assert_eq!(record["dataset"]["images"], 4);
    assert_eq!(record["settings"]["max_detections"], 10_000);
    assert_eq!(record["detector"]["model"]["architecture"], "owlvit");
    assert_eq!(record["remarks"], json!([]));
    for prompt in record["prompts"].as_array().unwrap() {
        assert_eq!(prompt["precision_at_recall"]["iou_50"].as_array().unwrap().len(), 101);
        let counts = &prompt["at_threshold"];
        let because = &counts["because"];
        let sum: u64 = keys(because).iter().map(|key| because[key].as_u64().unwrap()).sum();
        assert_eq!(counts["false_positives"], sum);
        let hits = counts["hits"].as_u64().unwrap();
        assert_eq!(prompt["objects"], hits + counts["misses"].as_u64().unwrap());
    }

    // Without a model, from the file.
    let again = data.score(&out.join("results.json"), words!["--json"], 0).json();
    for key in ["overall", "groups", "at_threshold", "confusions"] {
        assert_eq!(again[key], record[key], "{key}");
    }
    let theirs: Value = serde_json::from_str(&peers::run(
        "coco_eval.py",
        &[&data.file(), &out.join("results.json"), Path::new("bbox")],
    ))
    .unwrap();
    let numbers = record["overall"].as_object().unwrap().values();
    for (ours, theirs) in numbers.zip(theirs["stats"].as_array().unwrap()) {
        let (ours, theirs) = (ours.as_f64().unwrap_or(-1.0), theirs.as_f64().unwrap());
        assert!((ours - theirs).abs() < 1e-9, "{ours} {theirs}");
    }
    // The page holds everything in itself.
    let page = fs::read_to_string(out.join("report.html")).unwrap();
    for text in ["Best pictures", "data:image/jpeg;base64,", "left hand", "unseen", "<svg"] {
        assert!(page.contains(text), "{text} is not on the page");
    }
    for text in ["http://", "https://", "<link", "src=\"images"] {
        assert!(!page.contains(text), "{text} is on the page");
    }
}

#[test]
fn detections_are_those_of_detect() {
    let data = data();
    let out = data.out("out");
    let more = words!["--out", out, "--param", "nms_iou=0.7", "--min-score", "0.05"];
    data.eval(more, 0);
    let results = read(&out.join("results.json"));
    for (at, name) in PICTURES.iter().enumerate() {
        let mut words = words!["detect", data.picture(name), "--json", "--threshold", "0.05"];
        words.extend(words!["--model", crate::golden_models::fixture("owlvit_tiny"), "-q"]);
        words.extend(words!["--param", "max_detections=10000", "--param", "nms_iou=0.7"]);
        words.extend(NAMES.iter().flat_map(|name| words!["-p", name]));
        let expected = run(words, 0).json();
        let expected = expected["detections"].as_array().unwrap();
        let of_image: Vec<_> = results
            .as_array()
            .unwrap()
            .iter()
            .filter(|one| one["image_id"].as_u64() == Some(at as u64 + 1))
            .collect();
        assert_eq!(of_image.len(), expected.len());
        for (ours, expected) in of_image.iter().zip(expected) {
            assert_eq!(ours["score"], expected["score"]);
            let category = ours["category_id"].as_u64().unwrap() as usize / 10 - 1;
            assert_eq!(expected["prompt"], NAMES[category]);
            let corner = |at: usize| expected["box_px"][at].as_f64().unwrap();
            let number = |at: usize| ours["bbox"][at].as_f64().unwrap();
            assert_eq!((number(0), number(1)), (corner(0), corner(1)));
            // Sums of f32 pixels.
            assert!((number(0) + number(2) - corner(2)).abs() < 1e-4, "{ours} {expected}");
            assert!((number(1) + number(3) - corner(3)).abs() < 1e-4, "{ours} {expected}");
        }
    }
}

#[test]
fn texts_come_from_the_dataset_templates_or_a_prompts_file() {
    let mut data = data();
    data.annotations["categories"][1]["texts"] = json!(["a dog", "two red cups"]);
    data.save();
    let texts = |more: Vec<std::ffi::OsString>| -> Value {
        let out = data.out("texts");
        let words = [words!["--out", out, "--overwrite", "--json"], more].concat();
        let record = data.eval(words, 0).json();
        record["prompts"].as_array().unwrap().iter().map(|one| one["texts"].clone()).collect()
    };
    assert_eq!(texts(vec![]), json!([["cat"], ["a dog", "two red cups"], ["left hand"]]));
    assert_eq!(
        texts(words!["--template", "a photo of a {}", "--template", "a {}"]),
        json!([
            ["a photo of a cat", "a cat"],
            ["a dog", "two red cups"],
            ["a photo of a left hand", "a left hand"]
        ])
    );
    let file = data.out("prompts.yaml");
    fs::write(
        &file,
        "prompts: [{name: left hand, texts: [the left hand], threshold: 0.4}, cat, a dog,
                   {name: blue, negative: true}]",
    )
    .unwrap();
    assert_eq!(texts(words!["--prompts", file]), json!([["cat"], ["a dog"], ["the left hand"]]));
    let record = read(&data.out("texts").join("eval.json"));
    assert_eq!(record["prompts"][2]["at_threshold"]["threshold"], json!(0.4));
    assert_eq!(record["prompts"][0]["at_threshold"]["threshold"], json!(0.1));
    assert_eq!(record["settings"]["prompts"][3]["negative"], true);

    fs::write(&file, "prompts: [cat, a bird]").unwrap();
    let refused = data.eval(words!["--out", data.out("no"), "--prompts", file], 2);
    refused.says(&["\"a bird\": expected the name of a category", "\"a dog\": expected a prompt"]);
    let refused = data.eval(words!["--out", data.out("no"), "--template", "a photo"], 2);
    refused.says(&["--template: expected a text with {}"]);
    let refused = data.eval(words!["--out", data.out("no"), "--min-score", "0.3"], 2);
    refused.says(&["--min-score: expected at most the lowest threshold, which is 0.1, found 0.3"]);
    assert!(!data.out("no").exists());
}

#[test]
fn pictures_are_found_beside_in_a_folder_and_where_one_says() {
    let data = data();
    let run_on = |words: Vec<std::ffi::OsString>| {
        let model = crate::golden_models::fixture("owlvit_tiny");
        let out = data.out("out");
        let words = [words!["eval"], words, words!["--model", model, "-q", "--json"]].concat();
        let words = [words, words!["--out", out, "--overwrite"]].concat();
        run(words, 0).json()["overall"].clone()
    };
    let first = run_on(words![data.path()]);
    let moved = tempfile::TempDir::new().unwrap();
    let pictures = moved.path().join("elsewhere");
    fs::rename(data.path().join("images"), &pictures).unwrap();
    assert_eq!(run_on(words![data.file(), "--images", pictures]), first);
    for name in PICTURES {
        fs::rename(pictures.join(name), data.path().join(name)).unwrap();
    }
    assert_eq!(run_on(words![data.path()]), first);
}

#[test]
fn earlier_results_are_replaced_only_where_that_was_said() {
    let mut data = data();
    data.annotations["categories"][0]["name"] = json!("<b>\"x\" \u{1b}[31m");
    data.save();
    let out = data.out("out");
    let results = data.out("given.json");
    fs::write(&results, "[]").unwrap();
    let more = words!["--out", out, "--calibrate-every", "2"];
    data.score(&results, more, 0);
    assert!(out.join("prompts.yaml").exists());
    fs::write(out.join("mine.txt"), "").unwrap();
    let refused = data.score(&results, words!["--out", out], 2);
    refused.says(&["holds the results of an earlier run (eval.json, results.json", "--overwrite"]);
    data.score(&results, words!["--out", out, "--overwrite"], 0);
    assert_eq!(names_in(&out), ["eval.json", "mine.txt", "report.html", "results.json"]);
    let page = fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page.contains("&lt;b&gt;") && !page.contains("<b>"));
    // Nothing found is a number, too.
    assert_eq!(read(&out.join("eval.json"))["overall"]["ap"], json!(0.0));
}
