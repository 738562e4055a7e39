//! Encoders of pictures and texts against `transformers` 5.23.0 and timm 1.0.31.
//!
//! Checkpoints and golden tensors are made by `tools/make_encoder_goldens.py` with
//! `attn_implementation="eager"`, one thread, f32.

mod pictures;
mod real;
mod strict;
mod texts;

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use owlet::ground::encode::EncoderOptions;
use owlet::types::{DeviceChoice, DtypeChoice};
use tch::Tensor;
use tempfile::TempDir;

use crate::golden_models::{fixture, goldens};

/// For tokens of a few units through two layers: f32 keeps 7 digits, and sums in another order
/// (fused attention, blocked matrix products) cost one of them.
const TOKENS: f64 = 2e-5;

/// For vectors of length 1.
const UNIT: f64 = 2e-6;

fn folder(name: &str) -> PathBuf {
    fixture("encoders").join(name)
}

fn golden(name: &str) -> HashMap<String, Tensor> {
    goldens(&folder(name).join("goldens.safetensors"))
}

fn options(folder: &Path) -> EncoderOptions {
    EncoderOptions {
        device: DeviceChoice::Cpu,
        dtype: DtypeChoice::F32,
        ..EncoderOptions::new(folder, "tested")
    }
}

/// A copy of a checkpoint that can be changed.
fn copied(name: &str) -> TempDir {
    let copy = TempDir::new().unwrap();
    copy_files(&folder(name), copy.path());
    copy
}

fn copy_files(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() { copy_files(&path, &target) } else { drop(fs::copy(&path, target)) }
    }
}

/// Changes the stored tensors of a checkpoint.
fn change_weights(folder: &Path, change: impl FnOnce(&mut HashMap<String, Tensor>)) {
    let path = folder.join("model.safetensors");
    let mut tensors = goldens(&path);
    change(&mut tensors);
    let tensors: Vec<_> = tensors.into_iter().collect();
    Tensor::write_safetensors(&tensors, path).unwrap();
}

fn rows(vectors: &[Vec<f32>]) -> Tensor {
    let rows: Vec<_> = vectors.iter().map(|vector| Tensor::from_slice(vector)).collect();
    Tensor::stack(&rows, 0)
}
