//! Things that are shown while the node runs.

use owlet::ground::{Bank, PairId};
use owlet::vision::exemplar::data_url;
use serde_json::json;

use super::{Node, next};
use crate::bad_pictures::{cut_png, giant_jpeg, one_pixel};
use crate::cli::grounding::Kitchen;
use crate::cli::{picture, words};

#[test]
fn a_thing_that_is_shown_is_looked_for_from_the_next_frame_on() {
    let node = Node::start("teach", &["-p", "cat", "-t", "0"]);
    let found = node.subscribe("detections/*");
    let png = std::fs::read(picture("square.png")).unwrap();
    let teach = |lesson: serde_json::Value| {
        node.ask("teach", Some(("application/json", lesson.to_string().as_bytes())))
    };
    let image = data_url(&png);
    let taught = teach(json!({ "name": "my gadget", "image": image })).unwrap();
    assert_eq!(
        (&taught["version"], &taught["prompts"][1]["name"]),
        (&json!(2), &json!("my gadget"))
    );
    assert_eq!(taught["prompts"][1]["exemplars"], json!([{ "image": image }]), "byte by byte");
    assert_eq!(node.ask("prompts", None).unwrap(), taught);
    node.send("front", "image/png", &png, 1);
    let record = next(&found);
    assert_eq!(record["prompts_version"], 2);
    let detections = record["detections"].as_array().unwrap();
    assert!(detections.iter().any(|found| found["prompt"] == "my gadget"), "{record}");

    // What was got can be put back.
    let again = taught.to_string();
    let again = node.ask("prompts", Some(("application/json", again.as_bytes()))).unwrap();
    let exemplars = |set: &serde_json::Value| set["prompts"][1]["exemplars"].clone();
    assert_eq!((&again["version"], exemplars(&again)), (&json!(3), exemplars(&taught)));

    for (lesson, expected) in [
        (json!({ "name": "x" }), "missing field `image`"),
        (json!({ "image": image }), "missing field `name`"),
        (json!({ "name": "x", "image": image, "caption": "x" }), "no bank is configured"),
        (json!({ "forget": "x" }), "no bank is configured"),
        (json!({ "name": "x", "forget": "x" }), "expected `forget` alone"),
        (json!({ "name": "x", "image": "mug.png" }), "expected \\\"data:image/png;base64,"),
        (json!({ "name": "x", "image": &image[..82] }), "PNG"),
        (json!({ "name": "x", "image": image, "box": [0, 0, 99, 9] }), "not inside its picture"),
        (json!({ "name": "x", "image": image, "box": [0, 0, 64, 1] }), "sees no object there"),
        (json!({ "name": "", "image": image }), "name: expected a text that is not blank"),
        (json!([]), "expected an object with `name`"),
    ] {
        let refused = teach(lesson).unwrap_err().to_string();
        assert!(refused.contains(expected), "{expected} is not in {refused}");
    }
    assert_eq!(node.ask("prompts", None).unwrap(), again);
}

#[test]
fn a_pair_is_taught_found_saved_and_forgotten() {
    let kitchen = Kitchen::new();
    // Else a region is told only as what it looks most like.
    let words = [kitchen.with_bank(), words!["--param", "names_per_box=4"]].concat();
    let words: Vec<_> = words.iter().map(|word| word.to_str().unwrap()).collect();
    let node = Node::start("pairs", &words);
    let found = node.subscribe("detections/*");
    let png = std::fs::read(picture("square.png")).unwrap();
    let teach = |lesson: serde_json::Value| {
        node.ask("teach", Some(("application/json", lesson.to_string().as_bytes())))
    };
    let explained = |number: i64| {
        node.send("front", "image/png", &png, number);
        let record = next(&found);
        let detections = record["detections"].as_array().unwrap().clone();
        let pairs: Vec<(String, u64)> = detections
            .iter()
            .flat_map(|found| {
                let name = found["prompt"].as_str().unwrap().to_owned();
                let evidence = found["explanation"]["evidence"].as_array().cloned();
                let pairs = evidence.unwrap_or_default();
                pairs.into_iter().map(move |pair| (name.clone(), pair["pair"].as_u64().unwrap()))
            })
            .collect();
        (record["prompts_version"].clone(), pairs)
    };
    let (version, pairs) = explained(1);
    assert!(pairs.iter().all(|(_, pair)| *pair <= 3) && !pairs.is_empty(), "{pairs:?}");

    let image = data_url(&png);
    let lesson = json!({ "name": "gadget", "image": image, "caption": "red dog" });
    let taught = teach(lesson.clone()).unwrap();
    let prompts = taught["prompts"].as_array().unwrap();
    let last = prompts.last().unwrap();
    assert_eq!((&last["name"], &last["asif"]), (&json!("gadget"), &json!(true)), "{taught}");
    let on_disk = || Bank::load(&kitchen.bank()).unwrap();
    assert_eq!(on_disk().origin(PairId(4)).unwrap().caption, "red dog");
    assert!(on_disk().thumbnail(PairId(4)).unwrap().is_some());
    let (after, pairs) = explained(2);
    assert_eq!(after.as_u64(), version.as_u64().map(|version| version + 1));
    assert!(pairs.contains(&("gadget".to_owned(), 4)), "{pairs:?}");
    // One more under the same name needs no other set.
    assert_eq!(teach(lesson.clone()).unwrap()["version"], taught["version"]);
    assert_eq!(on_disk().len(), 5);

    let with = |key: &str, value: serde_json::Value| {
        let mut changed = lesson.clone();
        changed[key] = value;
        changed
    };
    for (bad, expected) in [
        (with("caption", json!("a cat on a dog on a cup")), "the encoder takes at most 6"),
        (with("caption", json!(" ")), "caption: expected a text that is not blank"),
        (with("box", json!([90, 0, 99, 9])), "has no part of an image of 64x64"),
        (with("name", json!("a cat")), "one that is looked up in the bank (asif), found one"),
        (with("name", json!("")), "name: expected a text that is not blank"),
        (json!({ "forget": "a spoon" }), "has no pair with the caption"),
        (json!({ "forget": 77 }), "the bank has no pair 77"),
        (json!({ "forget": -1 }), "the caption of pairs or the id of one"),
        (json!({ "forget": [4] }), "the caption of pairs or the id of one"),
        (with("forget", json!(4)), "expected `forget` alone"),
    ] {
        let refused = teach(bad).unwrap_err().to_string();
        assert!(refused.contains(expected), "{expected} is not in {refused}");
        assert_eq!(on_disk().len(), 5);
    }
    // A name whose set is refused takes its pair along.
    let long = "x".repeat(9000);
    assert!(teach(with("name", json!(long))).unwrap_err().to_string().contains("bytes"));
    teach(json!({ "forget": "red dog" })).unwrap();
    assert_eq!(on_disk().len(), 3);
    let (_, pairs) = explained(3);
    assert!(pairs.iter().all(|(_, pair)| *pair <= 3) && !pairs.is_empty(), "{pairs:?}");
    // One by its id, as explanations tell it.
    teach(json!({ "forget": pairs[0].1 })).unwrap();
    assert!(!on_disk().contains(PairId(pairs[0].1)));
    assert_eq!(on_disk().len(), 2);
    // An id is never given again.
    teach(lesson).unwrap();
    let newest = on_disk().ids().max();
    assert!(newest > Some(PairId(5)), "{newest:?}");
}

#[test]
fn an_exemplar_that_cannot_be_used_is_named_whichever_way_it_comes() {
    let node = Node::start("badly_shown", &["-p", "cat", "-t", "0"]);
    let before = node.ask("prompts", None).unwrap();
    let png = std::fs::read(picture("square.png")).unwrap();
    let good = data_url(&png);
    let boxed = |corners: serde_json::Value| json!({ "image": good, "box": corners });
    let picture = |bytes: &[u8]| json!({ "image": data_url(bytes) });
    let bad = [
        (boxed(json!([0, 0, 99, 9])), "the box [0, 0, 99, 9] is not inside its picture of 64x64"),
        (boxed(json!([-5, 0, 9, 9])), "is not inside its picture"),
        (boxed(json!([9, 9, 9, 30])), "has no pixel"),
        (boxed(json!([30, 9, 9, 30])), "has no pixel"),
        (boxed(json!([0, 0, 1e30, 9])), "is not inside its picture"),
        (boxed(json!([0, null, 9, 9])), "box"),
        (boxed(json!([0, 0, 9])), "box"),
        (boxed(json!([0, 0, 64, 1])), "the model sees no object there"),
        (picture(&cut_png()), "the PNG cannot be decoded"),
        (picture(&giant_jpeg()), "65500x65500"),
        (json!({ "image": "data:image/png;base64,a*" }), "no base64"),
    ];
    let answers = node.subscribe("prompts/answer");
    for (exemplar, expected) in &bad {
        let set = json!({ "prompts": [
            "a dog",
            { "name": "gadget", "exemplars": [{ "image": good }, exemplar] },
        ] });
        let set = set.to_string();
        let asked = node.ask("prompts", Some(("application/json", set.as_bytes()))).unwrap_err();
        node.put(&node.key("prompts"), "application/json", set.as_bytes(), None);
        let mut lesson = exemplar.clone();
        lesson["name"] = json!("gadget");
        let lesson = lesson.to_string();
        let lesson = node.ask("teach", Some(("application/json", lesson.as_bytes()))).unwrap_err();
        for refused in [asked, next(&answers)] {
            let reason = refused["reasons"][0].as_str().unwrap();
            assert!(reason.contains(expected), "{expected} is not in {refused}");
            assert!(reason.starts_with("prompt 2 (\"gadget\").exemplars[1]"), "{refused}");
        }
        assert!(lesson.to_string().contains(expected), "{expected} is not in {lesson}");
        assert_eq!(node.ask("prompts", None).unwrap(), before, "{expected}");
    }
    // A picture of one pixel shows something, or nothing; neither ends the node.
    let set = json!({ "prompts": [{ "name": "dot", "exemplars": [picture(&one_pixel())] }] });
    let found = node.subscribe("detections/*");
    node.send("front", "image/png", &png, 1);
    assert_eq!(next(&found)["prompts_version"], before["version"]);
    let answered = node.ask("prompts", Some(("application/json", set.to_string().as_bytes())));
    node.send("front", "image/png", &png, 2);
    let version = if answered.is_ok() { 2 } else { 1 };
    assert_eq!(next(&found)["prompts_version"], version);
}
