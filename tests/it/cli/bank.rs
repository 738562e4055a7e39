//! `owlet bank` on banks that the library made.

use std::fs;
use std::path::Path;

use owlet::ground::asif::AsifSettings;
use owlet::ground::{Bank, EncoderId, NewPair, PairId, PairOrigin};
use serde_json::json;
use tch::{Device, Kind, Tensor};
use tempfile::TempDir;

use super::{gallery, picture, run, words};
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

/// A sentence encoder of one layer, whose weights follow from their places.
pub(super) fn tiny_bert(folder: &Path) {
    const SIZE: i64 = 8;
    const WORDS: [&str; 12] = [
        "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "cat", "red", "cup", "dog", "##s", "on",
    ];
    fs::write(folder.join("vocab.txt"), WORDS.join("\n")).unwrap();
    let config = json!({
        "model_type": "bert", "vocab_size": WORDS.len(), "hidden_size": SIZE,
        "intermediate_size": 2 * SIZE, "num_hidden_layers": 1, "num_attention_heads": 2,
        "max_position_embeddings": 6, "type_vocab_size": 2,
    });
    fs::write(folder.join("config.json"), config.to_string()).unwrap();
    let mut tensors: Vec<(String, Tensor)> = Vec::new();
    let mut put = |name: &str, shape: &[i64]| {
        let count: i64 = shape.iter().product();
        let places = Tensor::arange(count, (Kind::Float, Device::Cpu)) + tensors.len() as i64;
        tensors.push((name.to_owned(), (places * 1.7).sin().view(shape)));
    };
    put("embeddings.word_embeddings.weight", &[WORDS.len() as i64, SIZE]);
    put("embeddings.position_embeddings.weight", &[6, SIZE]);
    put("embeddings.token_type_embeddings.weight", &[2, SIZE]);
    for norm in ["embeddings", "encoder.layer.0.attention.output", "encoder.layer.0.output"] {
        put(&format!("{norm}.LayerNorm.weight"), &[SIZE]);
        put(&format!("{norm}.LayerNorm.bias"), &[SIZE]);
    }
    for (linear, inputs, outputs) in [
        ("attention.self.query", SIZE, SIZE),
        ("attention.self.key", SIZE, SIZE),
        ("attention.self.value", SIZE, SIZE),
        ("attention.output.dense", SIZE, SIZE),
        ("intermediate.dense", SIZE, 2 * SIZE),
        ("output.dense", 2 * SIZE, SIZE),
    ] {
        put(&format!("encoder.layer.0.{linear}.weight"), &[outputs, inputs]);
        put(&format!("encoder.layer.0.{linear}.bias"), &[outputs]);
    }
    Tensor::write_safetensors(&tensors, folder.join("model.safetensors")).unwrap();
}

/// From pictures and a recording, by the tower of a small OWL-ViT.
#[test]
fn a_bank_is_built_from_captions_and_from_what_a_detector_finds() {
    let home = TempDir::new().unwrap();
    let (bert, photos, out) =
        (home.path().join("bert"), home.path().join("photos"), home.path().join("out"));
    fs::create_dir(&bert).unwrap();
    fs::create_dir(&photos).unwrap();
    tiny_bert(&bert);
    for name in ["landscape", "portrait", "strip"] {
        fs::copy(picture(&format!("{name}.png")), photos.join(format!("{name}.png"))).unwrap();
    }
    fs::write(photos.join("landscape.txt"), "a red cup\na cat on a dog on a cat\n").unwrap();
    fs::write(photos.join("portrait.txt"), "ein Würfel").unwrap();
    let owl = fixture("owlvit_tiny");
    let encoders = words!["--image-encoder", owl, "--text-encoder", bert];

    let mut build = words!["bank", "build", photos, "--out", out, "--k", "3"];
    build.extend(encoders.clone());
    let built = run(build.clone(), 3);
    assert_eq!(built.stdout, "2 pairs added; the bank has 2\n");
    built.says(&["no caption: 1 (", "strip.png", "landscape.png", "10 tokens, at most 6"]);
    run(build, 2).says(&["there is a bank already"]);

    // The bank knows its encoders; each frame of the recording gives what is found in it.
    let mut add = words!["bank", "add", out, gallery(), "--model", owl, "-p", "a cat", "-t", "0"];
    add.extend(words!["--param", "max_detections=2", "--every", "1000", "-q"]);
    assert_eq!(run(add.clone(), 0).stdout, "2 pairs added; the bank has 4\n");
    assert_eq!(
        run(add, 0).stdout,
        "0 pairs added, 2 were there already; the bank has 4\n",
        "the same pairs again"
    );
    let facts = run(words!["bank", "info", out, "--pairs", "--json"], 0).json();
    assert_eq!((&facts["k"], &facts["image_encoder"]["dimension"]), (&json!(3), &json!(48)));
    let found = &facts["list"][2];
    assert_eq!(found["caption"], "a cat");
    assert!(found["topic"].is_string() && found["stamp_nanos"].is_i64(), "{found}");
    assert_eq!(found["box_px"].as_array().unwrap().len(), 4);

    let other = fixture("owlv2_tiny");
    let mut wrong = words!["bank", "add", out, photos, "--image-encoder", other];
    wrong.extend(words!["--text-encoder", bert]);
    run(wrong, 2).says(&["made with other encoders", "owlvit_tiny (sha256", "owlv2_tiny (sha256"]);
    let mut swapped = words!["bank", "build", photos, "--out", home.path().join("none")];
    swapped.extend(words!["--image-encoder", bert, "--text-encoder", owl]);
    run(swapped, 2).says(&["to encode pictures", "\"bert\""]);
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
    assert_eq!(left.ids().min(), Some(PairId(2)));
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

    let file = here.join("embeddings-0-1.safetensors");
    let whole = fs::read(&file).unwrap();
    fs::write(&file, &whole[..whole.len() - 4]).unwrap();
    run(words!["bank", "info", here], 2).says(&["embeddings-0-1.safetensors is damaged", "bytes"]);
    run(words!["bank", "merge", there, here], 2).says(&["embeddings-0-1.safetensors is damaged"]);
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

/// Where a text may be in a picture, by an encoder that gives patches.
#[test]
fn a_map_shows_where_a_text_may_be() {
    let home = TempDir::new().unwrap();
    let (bert, photos) = (home.path().join("bert"), home.path().join("photos"));
    fs::create_dir(&bert).unwrap();
    fs::create_dir(&photos).unwrap();
    tiny_bert(&bert);
    for (name, caption) in [("landscape", "a red cup"), ("portrait", "a cat"), ("strip", "dog")] {
        fs::copy(picture(&format!("{name}.png")), photos.join(format!("{name}.png"))).unwrap();
        fs::write(photos.join(format!("{name}.txt")), caption).unwrap();
    }
    let build = |image_encoder: &str, out: &Path| {
        let mut build = words!["bank", "build", photos, "--out", out, "-q"];
        build.extend(words!["--image-encoder", fixture(image_encoder), "--text-encoder", bert]);
        run(build, 0);
    };
    let (vit, owl, file) =
        (home.path().join("vit"), home.path().join("owl"), home.path().join("map.png"));
    build("encoders/vit", &vit);
    let map = |bank: &Path, text: &str| {
        let mut words = words!["bank", "map", bank, picture("landscape.png"), "--text", text];
        words.extend(words!["--out", file, "-q"]);
        words
    };
    let said = run(map(&vit, "a red cup"), 0).stdout;
    assert!(said.starts_with("4 x 4 patches; best score "), "{said}");
    let (drawn, source) = (image::open(&file).unwrap(), image::open(picture("landscape.png")));
    let (drawn, source) = (drawn.to_rgb8(), source.unwrap().to_rgb8());
    assert_eq!(drawn.dimensions(), source.dimensions());
    // Colours lie over what was grey.
    assert!(drawn.pixels().any(|pixel| pixel[0] != pixel[2]));

    run(map(&vit, "a cat on a dog on a cup"), 2).says(&["--text: ", "6"]);
    build("owlvit_tiny", &owl);
    run(map(&owl, "a red cup"), 2).says(&["that gives vectors of patches", "owlvit"]);
}
