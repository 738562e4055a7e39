//! Two evaluations side by side.

use std::fs;

use serde_json::json;

use super::data::{data, read};
use crate::cli::words;

#[test]
fn differences_are_told_largest_first_and_a_fall_can_fail() {
    let data = data();
    let first = data.out("first");
    data.eval(words!["--out", first], 0);
    let (earlier, results) = (first.join("eval.json"), first.join("results.json"));
    let same = data.score(&results, words!["--against", earlier, "--json", "--fail-below", "0"], 0);
    for change in same.json()["against"]["overall"].as_array().unwrap() {
        assert_eq!(change["before"], change["now"]);
    }
    // All that was found of one prompt is lost.
    let mut found = read(&results);
    found.as_array_mut().unwrap().retain(|one| one["category_id"] != 20);
    let fewer = data.out("fewer.json");
    fs::write(&fewer, found.to_string()).unwrap();
    let more = words!["--against", earlier, "--out", data.out("second"), "--fail-below", "0.0001"];
    let ran = data.score(&fewer, more, 1);
    ran.says(&["AP fell by 0.", "which is more than 0.0001 (--fail-below)"]);
    let record = read(&data.out("second").join("eval.json"));
    let prompts = &record["against"]["prompts"];
    assert_eq!((&prompts[0]["name"], &prompts[0]["now"]["ap"]), (&json!("a dog"), &json!(0.0)));
    assert_eq!(prompts[1]["before"], prompts[1]["now"]);
    assert_eq!(record["against"]["groups"][0]["name"], "unseen");
    for text in ["all, AP50", "a dog, AP", "difference"] {
        assert!(ran.stdout.contains(text), "{text} is not in\n{}", ran.stdout);
    }
    let page = fs::read_to_string(data.out("second").join("report.html")).unwrap();
    assert!(page.contains("Against an earlier run"));
    // A large enough limit lets it pass.
    data.score(&fewer, words!["--against", earlier, "--fail-below", "1"], 0);
}

#[test]
fn what_cannot_be_compared_is_refused_with_the_reason() {
    let mut data = data();
    let first = data.out("first");
    data.eval(words!["--out", first], 0);
    let (earlier, results) = (first.join("eval.json"), first.join("results.json"));
    // Other images of the same dataset are known only in the end: all is written all the same.
    let part = data.out("part");
    let more = words!["--against", earlier, "--out", part, "--calibrate-every", "2"];
    let ran = data.score(&results, more, 2);
    ran.says(&["expected an evaluation of the same images", "(4 then, 2 now)"]);
    assert!(part.join("eval.json").exists());

    data.annotations["annotations"][0]["bbox"][0] = json!(0.5);
    data.save();
    let ran = data.score(&results, words!["--against", earlier], 2);
    ran.says(&["--against", "expected an evaluation of the same dataset", "fingerprint"]);
    let ran = data.score(&results, words!["--against", results], 2);
    ran.says(&["expected an eval.json of owlet eval"]);
    data.score(&results, words!["--against", data.out("none.json")], 1).says(&["cannot read"]);
}
