//! Real checkpoints: ViT-Ti/16 of the shared test data, and all-MiniLM-L6-v2 of the Python peers.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use owlet::ground::encode::{BertEncoder, VitEncoder};
use owlet::tasks::{ImageEncoder, TextEncoder};
use owlet::tokenize::{WordPieceRoles, WordPieceTokenizer};
use owlet::vision::decode::decode_file;
use serde_json::json;
use tch::{Kind, Tensor};
use tempfile::TempDir;

use super::options;
use crate::golden_models::{assert_close, facts, fixture, goldens};
use crate::peers;

/// For tokens of a few units (at most 12) after twelve layers in f32; 1.2e-5 was measured.
const VIT_TI: f64 = 1e-4;

/// For vectors of length 1 in 384 dimensions, each value near 0.05: the unit in the last place is
/// 4e-9, and six layers add up to a hundred of them.
const MINILM: f64 = 1e-6;

fn cosine(a: &Tensor, b: &Tensor) -> f64 {
    let (a, b) = (a.to_kind(Kind::Double), b.to_kind(Kind::Double));
    (a.dot(&b) / (a.norm() * b.norm())).double_value(&[])
}

#[test]
fn a_real_vit_gives_what_timm_gives_on_photographs() {
    let Some(data) = std::env::var_os("OWLET_TEST_DATA") else {
        println!("skipped: OWLET_TEST_DATA is not set, ViT-Ti/16 is not part of the repository");
        return;
    };
    let path = fixture("encoders").join("vit_ti.safetensors");
    let (golden, facts) = (goldens(&path), facts(&path));
    // The weights come without timm's configuration.
    let folder = TempDir::new().unwrap();
    let config = json!({
        "architecture": "vit_tiny_patch16_224",
        "num_classes": 1000,
        "pretrained_cfg": {
            "input_size": [3, 224, 224],
            "interpolation": "bicubic",
            "crop_pct": 0.9,
            "mean": [0.5, 0.5, 0.5],
            "std": [0.5, 0.5, 0.5],
        },
    });
    // What the script took from timm itself.
    for key in ["interpolation", "crop_pct", "mean", "std"] {
        assert_eq!(config["pretrained_cfg"][key], facts["data"][key], "{key}");
    }
    std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    let weights = Path::new(&data).join("vit_tiny/model.safetensors");
    assert!(weights.exists(), "{} is missing", weights.display());
    std::os::unix::fs::symlink(&weights, folder.path().join("model.safetensors")).unwrap();
    let mut encoder = VitEncoder::load(&options(folder.path())).unwrap();
    assert_eq!(encoder.info().architecture, "timm");

    for (name, file) in facts["photos"].as_object().unwrap() {
        let file = Path::new(&data).join(file.as_str().unwrap());
        let image = Arc::new(decode_file(&file).unwrap());
        let vector = Tensor::from_slice(&encoder.encode(&[Arc::clone(&image)]).unwrap()[0]);
        assert_close(name, &vector, &golden[&format!("{name}.class")], VIT_TI);
        // timm's own transform resizes with Pillow: at most a few levels of 8 bits away.
        let to_pillow = cosine(&vector, &golden[&format!("{name}.pillow_class")]);
        assert!(to_pillow > 0.9999, "{name}: {to_pillow}");
        let patches = &encoder.encode_patches(&[image]).unwrap()[0];
        assert_eq!((patches.rows, patches.columns), (14, 14));
        let sampled: Vec<Vec<f32>> = patches.vectors.iter().step_by(39).cloned().collect();
        assert_close(name, &super::rows(&sampled), &golden[&format!("{name}.patches")], VIT_TI);
    }
}

fn minilm() -> PathBuf {
    PathBuf::from(peers::run("find_minilm.py", &[]).trim())
}

#[test]
fn a_real_sentence_encoder_gives_what_transformers_gives() {
    let path = fixture("encoders").join("minilm.safetensors");
    let (golden, facts) = (goldens(&path), facts(&path));
    let folder = minilm();
    let texts: Vec<String> = facts["texts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|text| text.as_str().unwrap().to_owned())
        .collect();
    let tokenizer = WordPieceTokenizer::open(&folder, WordPieceRoles::Bert).unwrap();
    let mut encoder = BertEncoder::load(&options(&folder)).unwrap();
    // sentence_bert_config.json, not the tokenizer's 512 nor the 128 of its own cutting.
    assert_eq!((encoder.max_tokens(), encoder.dimension()), (256, 384));
    let vectors = encoder.encode(&texts).unwrap();
    for (index, (text, vector)) in texts.iter().zip(&vectors).enumerate() {
        let ids = Tensor::from_slice(&tokenizer.encode(text, 256).unwrap());
        assert_eq!(ids, golden[&format!("ids.{index}")], "{text:?}");
        let (found, expected) =
            (Tensor::from_slice(vector), &golden[&format!("embedding.{index}")]);
        assert_close(text, &found, expected, MINILM);
        assert!(cosine(&found, expected) > 0.999_99, "{text:?}");
    }
    // It knows what it says: a cat is more like two cats than like tape.
    let [cat, cats, tape] = [0, 1, 3].map(|index| Tensor::from_slice(&vectors[index]));
    assert!(cosine(&cat, &cats) > cosine(&cat, &tape) + 0.2);
    let refused = encoder.encode(&["word ".repeat(255)]).unwrap_err();
    assert!(refused.to_string().contains("257 tokens"), "{refused}");
}
