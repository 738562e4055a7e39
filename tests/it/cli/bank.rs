//! `owlet bank` on banks that the library made.

use std::fs;
use std::path::Path;

use owlet::ground::asif::AsifSettings;
use owlet::ground::{Bank, EncoderId, NewPair, PairId, PairOrigin};
use serde_json::json;
use tempfile::TempDir;

use super::{run, words};
use crate::golden_models::fixture;

fn encoder(name: &str, dimension: usize) -> EncoderId {
    EncoderId { name: name.to_owned(), sha256: format!("{name:0>64}"), dimension }
}

/// A bank of one pair for each caption, all from one picture.
fn bank(folder: &Path, image_encoder: &str, captions: &[&str]) {
    let encoders = (encoder(image_encoder, 3), encoder("words", 2));
    let mut bank = Bank::new(encoders.0, encoders.1, AsifSettings { k: 9, p: 4.0 }).unwrap();
    let pairs = captions.iter().enumerate().map(|(index, caption)| NewPair {
        image: vec![1.0, index as f32, 0.5],
        text: vec![0.5, index as f32],
        origin: PairOrigin {
            caption: (*caption).to_owned(),
            source: "bin.jpg".into(),
            topic: None,
            stamp: None,
            box_in_source_px: None,
        },
        thumbnail: Some(vec![0xff, 0xd8]),
    });
    bank.add(pairs.collect()).unwrap();
    bank.save(folder).unwrap();
}

#[test]
fn a_bank_is_described_and_changed() {
    let home = TempDir::new().unwrap();
    let (here, there) = (home.path().join("here"), home.path().join("there"));
    bank(&here, "pictures", &["a mug", "a mug on a table", "ein Löffel \u{1b}[31m"]);
    bank(&there, "pictures", &["a mug", "a spoon"]);

    let text = run(words!["bank", "info", here], 0).stdout;
    for part in ["3 pairs of 3 captions and 1 pictures", "k 9, p 4", "pictures (sha256 0", "a mug"]
    {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
    let listed = run(words!["bank", "info", here, "--pairs"], 0).stdout;
    assert!(listed.contains("bin.jpg") && !listed.contains('\u{1b}'), "{listed}");
    let facts = run(words!["bank", "info", here, "--pairs", "--json"], 0).json();
    assert_eq!((&facts["pairs"], &facts["k"], &facts["p"]), (&json!(3), &json!(9), &json!(4.0)));
    assert_eq!(facts["list"][1]["caption"], "a mug on a table");
    assert_eq!(facts["list"][1]["id"], 2);

    let merged = run(words!["bank", "merge", here, there], 0);
    assert_eq!(merged.stdout, "1 pairs added, 1 were there already; the bank has 4\n");
    let removed = run(words!["bank", "remove", here, "--caption", "a spoon", "--id", "1"], 0);
    assert_eq!(removed.stdout, "2 pairs removed; the bank has 2\n");
    let left = Bank::load(&here).unwrap();
    assert_eq!(left.ids().iter().copied().min(), Some(PairId(2)));
    assert!(left.contains(PairId(3)) && left.len() == 2);
    let all = run(words!["bank", "remove", here, "--source", "bin.jpg"], 0);
    assert_eq!(all.stdout, "2 pairs removed; the bank has 0\n");
}

#[test]
fn what_is_no_bank_or_another_one_is_refused_with_every_reason() {
    let home = TempDir::new().unwrap();
    let (here, there) = (home.path().join("here"), home.path().join("there"));
    bank(&here, "pictures", &["a mug"]);
    bank(&there, "others", &["a mug"]);
    let before = fs::read(here.join("bank.json")).unwrap();

    run(words!["bank", "info", home.path()], 2).says(&["is not a bank", "bank.json"]);
    run(words!["bank", "merge", here, there], 2).says(&[
        "made with other encoders",
        "expected pictures (sha256 0",
        "found others (sha256 0",
    ]);
    run(words!["bank", "remove", here, "--id", "7", "--caption", "a cup"], 2)
        .says(&["there is no pair 7", "no pair with the caption \"a cup\""]);
    run(words!["bank", "remove", here], 2).says(&["--id", "--caption", "--source"]);
    run(words!["bank", "remove", home.path().join("nowhere"), "--id", "1"], 2)
        .says(&["is not a bank"]);
    assert!(!home.path().join("nowhere").exists(), "nothing is made for a bank that is not there");
    assert_eq!(fs::read(here.join("bank.json")).unwrap(), before);

    let file = here.join("embeddings-1.safetensors");
    let whole = fs::read(&file).unwrap();
    fs::write(&file, &whole[..whole.len() - 4]).unwrap();
    run(words!["bank", "info", here], 2).says(&["embeddings-1.safetensors is damaged", "bytes"]);
    run(words!["bank", "merge", there, here], 2).says(&["embeddings-1.safetensors is damaged"]);
}

#[test]
fn sources_and_options_are_checked_before_anything_is_loaded() {
    let home = TempDir::new().unwrap();
    let (out, odd) = (home.path().join("out"), home.path().join("odd.tiff"));
    fs::write(&odd, "").unwrap();
    let gone = home.path().join("gone");
    let model = fixture("owlvit_tiny");
    let build = |more: Vec<std::ffi::OsString>| {
        let mut all = words!["bank", "build", "--out", out, "--image-encoder", model];
        all.extend(words!["--text-encoder", model]);
        all.extend(more);
        all
    };
    run(build(words![odd, gone]), 2)
        .says(&["odd.tiff: expected a folder", "gone: there is nothing"]);
    run(build(words![home.path(), "-p", "a mug"]), 2).says(&["for recordings"]);
    run(build(words![home.path(), "--images", home.path()]), 2).says(&["for COCO annotations"]);
    run(build(words![home.path(), "--k", "0", "--p", "99"]), 2)
        .says(&["k: expected", "p: expected"]);
    run(build(words![home.path(), "--margin", "nan"]), 2).says(&["--margin"]);
    assert!(!out.exists());
    bank(&out, "pictures", &["a mug"]);
    run(build(words![home.path()]), 2).says(&["there is a bank already", "--overwrite"]);
}
