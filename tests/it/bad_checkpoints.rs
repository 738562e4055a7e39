//! Checkpoints that must be refused, each with words that help.

use std::fs;
use std::path::Path;

use owlet::models::owl::Owl;
use owlet::models::{ConfigError, LoadError};
use owlet::weights::{KeyProblems, NotSafetensors, Weights, WeightsError, WrongDtype, WrongShape};
use safetensors::{Dtype, SafeTensors};
use tch::{Device, Kind};
use tempfile::TempDir;

use crate::golden_models::fixture;

/// A copy of a fixture's configuration and weights that a test may spoil.
fn copy_of(name: &str) -> TempDir {
    let copy = TempDir::new().unwrap();
    for entry in fs::read_dir(fixture(name)).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
        }
    }
    copy
}

fn load(folder: &Path) -> Result<Owl, LoadError> {
    Owl::load(folder, Device::Cpu, Kind::Float)
}

#[track_caller]
fn weights_error(folder: &Path) -> WeightsError {
    match load(folder).unwrap_err() {
        LoadError::Weights(error) => error,
        other => panic!("expected an error of the weights, found {other}"),
    }
}

#[test]
fn a_missing_folder_and_missing_files_are_named() {
    let folder = TempDir::new().unwrap();
    let nowhere = folder.path().join("nowhere");
    let error = load(&nowhere).unwrap_err();
    assert!(matches!(&error, LoadError::Config(ConfigError::Io { path, .. })
        if path == &nowhere.join("config.json")));
    assert!(matches!(Weights::open(&nowhere), Err(WeightsError::NoFolder { .. })));

    fs::copy(fixture("owlvit_tiny/config.json"), folder.path().join("config.json")).unwrap();
    let error = weights_error(folder.path());
    assert!(matches!(error, WeightsError::NoWeights { .. }), "{error}");
    assert!(error.to_string().contains("expected model.safetensors"), "{error}");

    let sharded = copy_of("owlvit_tiny_sharded");
    let shard = sharded.path().join("model-00002-of-00002.safetensors");
    fs::remove_file(&shard).unwrap();
    let error = weights_error(sharded.path());
    assert!(matches!(&error, WeightsError::Io { path, .. } if path == &shard), "{error}");
}

#[test]
fn pickles_are_never_loaded_whatever_they_are_called() {
    let folder = copy_of("owlvit_tiny");
    let weights = folder.path().join("model.safetensors");
    for (start, expected) in [
        (&b"PK\x03\x04rest of a zip archive"[..], NotSafetensors::Zip),
        (&b"\x80\x02}q\x00X\x06\x00\x00\x00weightq\x01K\x01s."[..], NotSafetensors::Pickle),
        (&b"version https://git-lfs.github.com/spec/v1\n"[..], NotSafetensors::LfsPointer),
        (&b"<!DOCTYPE html><html>not found</html>"[..], NotSafetensors::Html),
    ] {
        fs::write(&weights, start).unwrap();
        let error = weights_error(folder.path());
        assert!(
            matches!(&error, WeightsError::NotSafetensors { path, found }
                if path == &weights && *found == expected),
            "{error}"
        );
    }

    fs::remove_file(&weights).unwrap();
    fs::write(folder.path().join("pytorch_model.bin"), b"PK\x03\x04").unwrap();
    fs::write(folder.path().join("flax_model.msgpack"), b"\x81").unwrap();
    let error = weights_error(folder.path());
    assert!(
        matches!(&error, WeightsError::OnlyUnsafe { found, .. }
            if found == &["flax_model.msgpack", "pytorch_model.bin"]),
        "{error}"
    );
}

#[test]
fn a_file_that_is_cut_or_lies_about_its_length_is_damaged() {
    let folder = copy_of("owlvit_tiny");
    let path = folder.path().join("model.safetensors");
    let whole = fs::read(&path).unwrap();
    let header = |json: &str| {
        let mut bytes = (json.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(json.as_bytes());
        bytes
    };
    let mut longer = whole.clone();
    longer.push(0);
    let mut endless = whole.clone();
    endless[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    let spoilt: &[(&str, Vec<u8>)] = &[
        ("empty", Vec::new()),
        ("cut in the length", whole[..5].to_vec()),
        ("cut in the header", whole[..100].to_vec()),
        ("cut in the data", whole[..whole.len() - 4].to_vec()),
        ("longer than its header says", longer),
        ("an endless header", endless),
        ("no JSON", header("{\"weight\": ")),
        ("not UTF-8", header("{\"\u{fffd}\":").into_iter().map(|b| b | 0x80).collect()),
        ("a gap in the data", header(r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#)),
        (
            "offsets that end before they begin",
            header(r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[8,4]}}"#),
        ),
        (
            "a shape that overflows",
            header(
                r#"{"a":{"dtype":"F32","shape":[4294967296,4294967296,2],"data_offsets":[0,0]}}"#,
            ),
        ),
        (
            "nearly 2^64 bytes",
            header(
                r#"{"a":{"dtype":"U8","shape":[18446744073709551615],"data_offsets":[0,18446744073709551615]}}"#,
            ),
        ),
    ];
    for (what, bytes) in spoilt {
        fs::write(&path, bytes).unwrap();
        let error = weights_error(folder.path());
        assert!(matches!(&error, WeightsError::Damaged { .. }), "{what}: {error}");
        assert!(error.to_string().contains("model.safetensors is damaged"), "{what}: {error}");
    }
}

#[test]
fn an_index_stays_in_its_folder_and_agrees_with_its_shards() {
    let folder = copy_of("owlvit_tiny_sharded");
    let path = folder.path().join("model.safetensors.index.json");
    let good: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let name = "class_head.dense0.bias";
    let spoil = |change: &dyn Fn(&mut serde_json::Map<String, serde_json::Value>)| {
        let mut index = good.clone();
        change(index["weight_map"].as_object_mut().unwrap());
        fs::write(&path, index.to_string()).unwrap();
        let error = weights_error(folder.path());
        assert!(matches!(&error, WeightsError::BadIndex { .. }), "{error}");
        error.to_string()
    };
    for outside in ["../model.safetensors", "/etc/passwd", "a/b.safetensors", "", "..", "a\\b"] {
        let error = spoil(&|map| {
            map.insert(name.to_owned(), outside.into());
        });
        assert!(error.contains("expected names of files beside the index"), "{error}");
    }
    let error = spoil(&|map| {
        map.remove(name);
    });
    assert!(error.contains(&format!("holds {name}")), "{error}");
    let error = spoil(&|map| {
        map.insert("nobody.knows".to_owned(), map[name].clone());
    });
    assert!(error.contains("nobody.knows") && error.contains("lacks it"), "{error}");
    let error = spoil(&|map| map.clear());
    assert!(error.contains("empty"), "{error}");
    fs::write(&path, "[]").unwrap();
    assert!(matches!(weights_error(folder.path()), WeightsError::BadIndex { .. }));
}

#[test]
fn every_key_that_does_not_fit_is_named_at_once() {
    let folder = copy_of("owlvit_tiny");
    let path = folder.path().join("model.safetensors");
    let bytes = fs::read(&path).unwrap();
    let stored = SafeTensors::deserialize(&bytes).unwrap();
    let mut tensors: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> = stored
        .iter()
        .map(|(name, view)| {
            (name.to_owned(), view.dtype(), view.shape().to_vec(), view.data().to_vec())
        })
        .collect();
    let layer = "owlvit.vision_model.encoder.layers.1";
    tensors.retain(|(name, ..)| {
        name != &format!("{layer}.mlp.fc1.bias") && name != "box_head.dense2.weight"
    });
    for (name, dtype, shape, data) in &mut tensors {
        if name == "class_head.dense0.weight" {
            shape.reverse();
        } else if name == "layer_norm.bias" {
            // As many bytes, another type.
            *dtype = Dtype::I32;
        } else if name == "owlvit.logit_scale" {
            *shape = vec![1];
        } else if name == "layer_norm.weight" {
            *dtype = Dtype::F64;
            *shape = vec![20];
            data.truncate(160);
        }
    }
    tensors.push(("objectness_head.dense0.bias".to_owned(), Dtype::F32, vec![1], vec![0; 4]));
    // A buffer that older writers stored: not a problem.
    let buffer = "owlvit.text_model.embeddings.position_ids";
    tensors.push((buffer.to_owned(), Dtype::I64, vec![1, 1], vec![0; 8]));
    let views = tensors.iter().map(|(name, dtype, shape, data)| {
        (name, safetensors::tensor::TensorView::new(*dtype, shape.clone(), data).unwrap())
    });
    fs::write(&path, safetensors::serialize(views, None).unwrap()).unwrap();

    let error = weights_error(folder.path());
    let text = error.to_string();
    let WeightsError::Keys { problems, .. } = error else { panic!("{error}") };
    assert_eq!(
        problems,
        KeyProblems {
            missing: vec!["box_head.dense2.weight".to_owned(), format!("{layer}.mlp.fc1.bias")],
            unexpected: vec!["objectness_head.dense0.bias".to_owned()],
            wrong_shape: vec![
                WrongShape {
                    name: "class_head.dense0.weight".to_owned(),
                    expected: vec![48, 40],
                    found: vec![40, 48],
                },
                WrongShape {
                    name: "layer_norm.weight".to_owned(),
                    expected: vec![40],
                    found: vec![20],
                },
                WrongShape {
                    name: "owlvit.logit_scale".to_owned(),
                    expected: vec![],
                    found: vec![1],
                },
            ],
            wrong_dtype: vec![
                WrongDtype { name: "layer_norm.bias".to_owned(), found: "I32".to_owned() },
                WrongDtype { name: "layer_norm.weight".to_owned(), found: "F64".to_owned() },
            ],
        }
    );
    for part in [
        "missing: box_head.dense2.weight",
        "unexpected: objectness_head.dense0.bias",
        "wrong shape: class_head.dense0.weight: expected [48, 40], found [40, 48]",
        "wrong type: layer_norm.bias: expected F32, F16 or BF16, found I32",
    ] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn weights_of_the_other_architecture_are_refused() {
    let folder = copy_of("owlvit_tiny");
    fs::copy(fixture("owlv2_tiny/model.safetensors"), folder.path().join("model.safetensors"))
        .unwrap();
    let WeightsError::Keys { problems, .. } = weights_error(folder.path()) else { panic!() };
    assert!(problems.missing.contains(&"owlvit.logit_scale".to_owned()));
    assert!(problems.unexpected.contains(&"owlv2.logit_scale".to_owned()));
    assert!(problems.unexpected.contains(&"objectness_head.dense2.weight".to_owned()));
}

/// Loads with a changed configuration and gives the error's text.
#[track_caller]
fn config_error(folder: &TempDir, config: &str) -> String {
    fs::write(folder.path().join("config.json"), config).unwrap();
    match load(folder.path()).unwrap_err() {
        LoadError::Config(error) => error.to_string(),
        other => panic!("expected an error of the configuration, found {other}"),
    }
}

#[test]
fn a_configuration_is_refused_with_every_reason() {
    let folder = copy_of("owlvit_tiny");
    for model_type in ["\"clip\"", "\"OWLVIT\"", "null"] {
        let error = config_error(&folder, &format!("{{\"model_type\": {model_type}}}"));
        assert!(error.contains("expected model_type owlvit or owlv2"), "{error}");
    }
    assert!(config_error(&folder, "{\"model_type\": ").contains("not a usable configuration"));
    assert!(
        config_error(&folder, r#"{"model_type": "owlvit", "text_config": {"vocab_size": "many"}}"#)
            .contains("not a usable configuration")
    );
    let error = config_error(
        &folder,
        r#"{
            "model_type": "owlv2",
            "projection_dim": 256,
            "text_config": {
                "hidden_act": "swish", "num_attention_heads": 7, "layer_norm_eps": 0.0
            },
            "vision_config": {
                "image_size": [960, 720], "patch_size": -16, "num_channels": 4,
                "num_hidden_layers": 1000000000000
            }
        }"#,
    );
    for part in [
        "text_config.hidden_act: expected one of quick_gelu",
        "text_config.num_attention_heads: expected a divisor of hidden_size (512), found 7",
        "text_config.layer_norm_eps: expected a number between 0 and 1, found 0",
        "vision_config.image_size: expected a square, found 960 x 720",
        "vision_config.patch_size: expected 1 to 16384, found -16",
        "vision_config.num_channels: expected 3, found 4",
        "vision_config.num_hidden_layers: expected 1 to 1024, found 1000000000000",
        "projection_dim: expected text_config.hidden_size (512), found 256",
    ] {
        assert!(error.contains(part), "{part} is not in:\n{error}");
    }
}
