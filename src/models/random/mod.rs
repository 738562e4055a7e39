//! Checkpoints with random weights, for demonstrations, benchmarks and parity at full size.
//!
//! [`write_checkpoint`] writes a whole Hugging Face folder that both Owlet and `transformers`
//! load. It is the same, bit for bit, for a seed on every machine. The weights have learned
//! nothing: what such a model finds means nothing. Their scales keep activations near 1 and
//! scores spread, so that results differ from box to box and from prompt to prompt, and an error
//! in any layer shows.

mod values;
mod vocabulary;

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::owl::{OwlConfig, OwlVersion, parameter_shapes};
use crate::nn::EncoderConfig;
use values::{Spread, Stream};

/// Why a checkpoint was not written.
#[derive(Debug, thiserror::Error)]
pub enum RandomError {
    /// A file could not be written.
    #[error("cannot write {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The vocabulary of the configuration has no room for the tokenizer.
    #[error("the vocabulary has {found} tokens, the tokenizer needs at least {expected}")]
    VocabularyTooSmall {
        /// Tokens that are needed.
        expected: usize,
        /// Tokens that the configuration has.
        found: i64,
    },
}

/// Writes `config.json`, `model.safetensors` (F32), `preprocessor_config.json` and the tokenizer's
/// files into `folder`, which is made where it is missing. Memory stays below a few megabytes,
/// whatever the size of the model.
///
/// # Errors
/// What cannot be written; a vocabulary below about a thousand tokens.
pub fn write_checkpoint(folder: &Path, config: &OwlConfig, seed: u64) -> Result<(), RandomError> {
    let vocabulary = vocabulary::files(config.text.vocabulary)?;
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| RandomError::Io { path, source }
    };
    fs::create_dir_all(folder).map_err(io(folder))?;
    let weights = folder.join("model.safetensors");
    // Under another name until it is whole, so that half a file is never taken for a checkpoint.
    let partial = folder.join("model.safetensors.partial");
    write_weights(&partial, config, seed).map_err(io(&partial))?;
    fs::rename(&partial, &weights).map_err(io(&weights))?;
    let files = [
        ("config.json", pretty(&config_json(config))),
        ("preprocessor_config.json", pretty(&preprocessor_json(config))),
        ("tokenizer_config.json", pretty(&tokenizer_json(config))),
        ("vocab.json", vocabulary.vocab_json),
        ("merges.txt", vocabulary.merges_txt),
    ];
    for (name, text) in files {
        let path = folder.join(name);
        fs::write(&path, text).map_err(io(&path))?;
    }
    Ok(())
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

/// A safetensors file, tensor by tensor.
fn write_weights(path: &Path, config: &OwlConfig, seed: u64) -> io::Result<()> {
    let mut shapes = parameter_shapes(config);
    shapes.sort();
    let mut header = json!({ "__metadata__": { "format": "pt" } });
    let mut offset = 0_u64;
    for (name, shape) in &shapes {
        let end = offset + 4 * elements(shape);
        header[name] = json!({ "dtype": "F32", "shape": shape, "data_offsets": [offset, end] });
        offset = end;
    }
    let mut header = header.to_string();
    // The data starts at a multiple of 8 bytes, as writers of the format do it.
    header.extend(std::iter::repeat_n(' ', header.len().next_multiple_of(8) - header.len()));

    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    file.write_all(&(header.len() as u64).to_le_bytes())?;
    file.write_all(header.as_bytes())?;
    for (name, shape) in &shapes {
        let spread = Spread::of(name, shape, config);
        let mut stream = Stream::new(seed, name);
        for _ in 0..elements(shape) {
            file.write_all(&spread.place(stream.next_unit()).to_le_bytes())?;
        }
    }
    file.into_inner()?.sync_all()
}

fn elements(shape: &[i64]) -> u64 {
    shape.iter().product::<i64>().unsigned_abs()
}

fn config_json(config: &OwlConfig) -> Value {
    let version = config.version.model_type();
    let class = match config.version {
        OwlVersion::OwlVit => "OwlViTForObjectDetection",
        OwlVersion::Owlv2 => "Owlv2ForObjectDetection",
    };
    let encoder = |part: &str, encoder: &EncoderConfig| {
        json!({
            "model_type": format!("{version}_{part}_model"),
            "hidden_act": encoder.activation.name(),
            "hidden_size": encoder.size,
            "intermediate_size": encoder.intermediate,
            "layer_norm_eps": encoder.layer_norm_eps,
            "num_attention_heads": encoder.heads,
            "num_hidden_layers": encoder.layers,
        })
    };
    let mut text = encoder("text", &config.text.encoder);
    text["max_position_embeddings"] = config.text.max_tokens.into();
    text["vocab_size"] = config.text.vocabulary.into();
    let mut vision = encoder("vision", &config.image.encoder);
    vision["image_size"] = config.image.image_size.into();
    vision["patch_size"] = config.image.patch_size.into();
    json!({
        "architectures": [class],
        "model_type": version,
        "projection_dim": config.projection,
        "text_config": text,
        "vision_config": vision,
    })
}

/// What the checkpoints on the hub ask for: OWL-ViT resizes with a bicubic filter, OWLv2 pads to a
/// square and resizes with a bilinear one.
fn preprocessor_json(config: &OwlConfig) -> Value {
    let side = config.image.image_size;
    let mut json = json!({
        "do_normalize": true,
        "do_rescale": true,
        "do_resize": true,
        "image_mean": [0.481_454_66, 0.457_827_5, 0.408_210_73],
        "image_std": [0.268_629_54, 0.261_302_58, 0.275_777_11],
        "rescale_factor": 1.0 / 255.0,
        "size": { "height": side, "width": side },
    });
    match config.version {
        OwlVersion::OwlVit => {
            json["crop_size"] = json!({ "height": side, "width": side });
            json["do_center_crop"] = false.into();
            json["image_processor_type"] = "OwlViTImageProcessor".into();
            json["resample"] = 3.into();
        }
        OwlVersion::Owlv2 => {
            json["do_pad"] = true.into();
            json["image_processor_type"] = "Owlv2ImageProcessor".into();
            json["resample"] = 2.into();
        }
    }
    json
}

fn tokenizer_json(config: &OwlConfig) -> Value {
    json!({
        "bos_token": "<|startoftext|>",
        "eos_token": "<|endoftext|>",
        "unk_token": "<|endoftext|>",
        "pad_token": "!",
        "model_max_length": config.text.max_tokens,
        "tokenizer_class": "CLIPTokenizer",
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::owl::{KNOWN_NAMES, Owl};
    use crate::nn::{Activation, ImageTowerConfig, TextTowerConfig};
    use crate::tokenize::ClipTokenizer;
    use tch::{Device, Kind, Tensor};

    fn small(version: OwlVersion) -> OwlConfig {
        let encoder = EncoderConfig {
            size: 64,
            intermediate: 128,
            layers: 2,
            heads: 4,
            activation: Activation::QuickGelu,
            layer_norm_eps: 1e-5,
        };
        OwlConfig {
            version,
            text: TextTowerConfig { vocabulary: 2048, max_tokens: 16, encoder },
            image: ImageTowerConfig { image_size: 96, patch_size: 16, encoder },
            projection: 64,
        }
    }

    #[test]
    fn a_written_folder_loads_and_its_results_are_spread() {
        for version in [OwlVersion::OwlVit, OwlVersion::Owlv2] {
            let folder = tempfile::tempdir().unwrap();
            write_checkpoint(folder.path(), &small(version), 7).unwrap();
            let owl = Owl::load(folder.path(), Device::Cpu, Kind::Float).unwrap();
            assert_eq!(owl.config(), &small(version));
            let tokenizer = ClipTokenizer::open(folder.path()).unwrap();
            let ids = ["a red cup", "a robot"]
                .map(|text| Tensor::from_slice(&tokenizer.encode(text, 16).unwrap()));
            let queries = owl.embed_texts(&Tensor::stack(&ids, 0)).unwrap();
            let pixels = Tensor::arange(3 * 96 * 96, (Kind::Float, Device::Cpu))
                .multiply_scalar(0.37)
                .sin()
                .view([1, 3, 96, 96]);
            let features = owl.image_features(&pixels).unwrap();
            let scores = owl.class_logits(&features, &queries).unwrap().sigmoid();
            let boxes = owl.boxes(&features).unwrap();
            assert!(scores.std_dim(1, true, false).min().double_value(&[]) > 0.001);
            assert!(boxes.std_dim(1, true, false).min().double_value(&[]) > 0.05);
        }
    }

    #[test]
    fn a_seed_gives_the_same_bytes_and_another_seed_others() {
        let bytes = [7, 7, 8].map(|seed| {
            let folder = tempfile::tempdir().unwrap();
            write_checkpoint(folder.path(), &small(OwlVersion::OwlVit), seed).unwrap();
            assert!(!folder.path().join("model.safetensors.partial").exists());
            fs::read(folder.path().join("model.safetensors")).unwrap()
        });
        assert_eq!(bytes[0], bytes[1]);
        assert_ne!(bytes[0], bytes[2]);
    }

    #[test]
    fn known_configurations_survive_their_own_file() {
        for name in KNOWN_NAMES {
            let config = OwlConfig::known(name).unwrap();
            let text = config_json(&config).to_string();
            assert_eq!(OwlConfig::parse(&text, Path::new(name)).unwrap(), config);
        }
    }

    #[test]
    fn what_cannot_be_written_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let error = write_checkpoint(&file, &small(OwlVersion::OwlVit), 0).unwrap_err();
        assert!(matches!(&error, RandomError::Io { path, .. } if path == &file), "{error}");
        let mut config = small(OwlVersion::OwlVit);
        config.text.vocabulary = 100;
        let error = write_checkpoint(folder.path(), &config, 0).unwrap_err();
        assert!(matches!(error, RandomError::VocabularyTooSmall { found: 100, .. }), "{error}");
    }
}
