//! Checkpoints with random weights, for demonstrations, benchmarks and parity at full size.
//!
//! [`write_checkpoint`] writes a whole Hugging Face folder that both Owlet and `transformers`
//! load. It is the same, bit for bit, for a seed on every machine. The weights have learned
//! nothing: what such a model finds means nothing. Their scales keep activations near 1 and
//! scores spread, so that results differ from box to box and from prompt to prompt, and an error
//! in any layer shows.

mod files;
mod values;
mod vocabulary;

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::clip::{self, ClipConfig};
use super::clipseg::{self, ClipSegConfig};
use super::groupvit::{self, GroupVitConfig};
use super::owl::{self, OwlConfig};
use super::sam::{self, SamConfig};
use crate::nn::TextTowerConfig;
use values::{Spread, Stream};

/// What random weights can be made for.
#[derive(Clone, Copy, Debug)]
pub enum RandomConfig<'a> {
    /// A detector.
    Owl(&'a OwlConfig),
    /// A segmenter.
    ClipSeg(&'a ClipSegConfig),
    /// A segmenter for boxes and points, which has no tokenizer.
    Sam(&'a SamConfig),
    /// A segmenter that compares prompts.
    GroupVit(&'a GroupVitConfig),
    /// An encoder of images and texts.
    Clip(&'a ClipConfig),
}

impl<'a> From<&'a OwlConfig> for RandomConfig<'a> {
    fn from(config: &'a OwlConfig) -> Self {
        Self::Owl(config)
    }
}

impl<'a> From<&'a ClipSegConfig> for RandomConfig<'a> {
    fn from(config: &'a ClipSegConfig) -> Self {
        Self::ClipSeg(config)
    }
}

impl<'a> From<&'a SamConfig> for RandomConfig<'a> {
    fn from(config: &'a SamConfig) -> Self {
        Self::Sam(config)
    }
}

impl<'a> From<&'a GroupVitConfig> for RandomConfig<'a> {
    fn from(config: &'a GroupVitConfig) -> Self {
        Self::GroupVit(config)
    }
}

impl<'a> From<&'a ClipConfig> for RandomConfig<'a> {
    fn from(config: &'a ClipConfig) -> Self {
        Self::Clip(config)
    }
}

impl RandomConfig<'_> {
    fn text(self) -> Option<TextTowerConfig> {
        match self {
            Self::Owl(config) => Some(config.text),
            Self::ClipSeg(config) => Some(config.text),
            Self::GroupVit(config) => Some(config.text),
            Self::Clip(config) => Some(config.text),
            Self::Sam(_) => None,
        }
    }

    fn parameter_shapes(self) -> Vec<(String, Vec<i64>)> {
        match self {
            Self::Owl(config) => owl::parameter_shapes(config),
            Self::ClipSeg(config) => clipseg::parameter_shapes(config),
            Self::Sam(config) => sam::parameter_shapes(config),
            Self::GroupVit(config) => groupvit::parameter_shapes(config),
            Self::Clip(config) => clip::parameter_shapes(config),
        }
    }

    fn projection(self) -> i64 {
        match self {
            Self::Owl(config) => config.projection,
            Self::ClipSeg(config) => config.projection,
            Self::Sam(config) => config.size,
            Self::GroupVit(config) => config.projection,
            Self::Clip(config) => config.projection,
        }
    }

    fn config_json(self) -> Value {
        match self {
            Self::Owl(config) => files::owl_config(config),
            Self::ClipSeg(config) => files::clipseg_config(config),
            Self::Sam(config) => files::sam_config(config),
            Self::GroupVit(config) => files::groupvit_config(config),
            Self::Clip(config) => files::clip_config(config),
        }
    }

    fn preprocessor_json(self) -> Value {
        match self {
            Self::Owl(config) => files::owl_preprocessor(config),
            Self::ClipSeg(_) => files::clipseg_preprocessor(),
            Self::Sam(config) => files::sam_preprocessor(config),
            Self::GroupVit(config) => files::clip_preprocessor(config.image.image_size),
            Self::Clip(config) => files::clip_preprocessor(config.image.image_size),
        }
    }
}

/// Names of the released checkpoints that can be written with random weights.
pub fn known_names() -> impl Iterator<Item = &'static str> {
    (owl::KNOWN_NAMES.into_iter())
        .chain(clipseg::KNOWN_NAMES)
        .chain(sam::KNOWN_NAMES)
        .chain(groupvit::KNOWN_NAMES)
        .chain(clip::KNOWN_NAMES)
}

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

/// Writes `config.json`, `model.safetensors` (F32), `preprocessor_config.json` and, where the model
/// reads texts, the tokenizer's files into `folder`, which is made where it is missing. Memory stays below a few megabytes,
/// whatever the size of the model.
///
/// # Errors
/// What cannot be written; a vocabulary below about a thousand tokens.
pub fn write_checkpoint<'a>(
    folder: &Path,
    config: impl Into<RandomConfig<'a>>,
    seed: u64,
) -> Result<(), RandomError> {
    let config = config.into();
    let text = config.text();
    let vocabulary = text.map(|text| vocabulary::files(text.vocabulary)).transpose()?;
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
    let mut files = vec![
        ("config.json", pretty(&config.config_json())),
        ("preprocessor_config.json", pretty(&config.preprocessor_json())),
    ];
    if let (Some(text), Some(vocabulary)) = (text, vocabulary) {
        files.extend([
            ("tokenizer_config.json", pretty(&tokenizer_json(&text))),
            ("vocab.json", vocabulary.vocab_json),
            ("merges.txt", vocabulary.merges_txt),
        ]);
    }
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
fn write_weights(path: &Path, config: RandomConfig<'_>, seed: u64) -> io::Result<()> {
    let mut shapes = config.parameter_shapes();
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
        let spread = Spread::of(name, shape, config.projection());
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

fn tokenizer_json(text: &TextTowerConfig) -> Value {
    json!({
        "bos_token": "<|startoftext|>",
        "eos_token": "<|endoftext|>",
        "unk_token": "<|endoftext|>",
        "pad_token": "!",
        "model_max_length": text.max_tokens,
        "tokenizer_class": "CLIPTokenizer",
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::clipseg::{ClipSeg, DecoderConfig};
    use crate::models::owl::{Owl, OwlVersion};
    use crate::nn::{Activation, EncoderConfig, ImageTowerConfig};
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
    fn a_segmenter_can_be_written_too_and_its_maps_depend_on_the_prompt() {
        for refined in [false, true] {
            let OwlConfig { text, image, projection, .. } = small(OwlVersion::OwlVit);
            let decoder = DecoderConfig {
                size: 16,
                heads: 4,
                intermediate: 32,
                conditional_layer: 0,
                refined,
            };
            let config =
                ClipSegConfig { text, image, projection, extract_layers: vec![0, 1], decoder };
            let folder = tempfile::tempdir().unwrap();
            write_checkpoint(folder.path(), &config, 7).unwrap();
            let model = ClipSeg::load(folder.path(), 128, Device::Cpu, Kind::Float).unwrap();
            assert_eq!(model.config(), &config);
            let tokenizer = ClipTokenizer::open(folder.path()).unwrap();
            let ids = ["a red cup", "a robot"]
                .map(|text| Tensor::from_slice(&tokenizer.encode(text, 16).unwrap()));
            let conditions = model.embed_texts(&Tensor::stack(&ids, 0)).unwrap();
            let pixels = Tensor::arange(3 * 128 * 128, (Kind::Float, Device::Cpu))
                .multiply_scalar(0.37)
                .sin()
                .view([1, 3, 128, 128]);
            let input = model.decoder_input(&model.layers(&pixels).unwrap()).unwrap();
            let scores = model.logits(&input, &conditions).unwrap().sigmoid();
            assert_eq!(scores.size(), [1, 2, 128, 128]);
            assert!(scores.std(true).double_value(&[]) > 0.1);
            let apart = (scores.select(1, 0) - scores.select(1, 1)).abs().mean(Kind::Float);
            assert!(apart.double_value(&[]) > 0.01, "{apart:?}");
        }
    }

    #[test]
    fn a_segmenter_for_boxes_has_no_tokenizer_and_its_masks_depend_on_the_box() {
        let mut config = SamConfig::known("sam-vit-base").unwrap();
        config.image_size = 128;
        let sam::ImageEncoderConfig::Vit(vit) = &mut config.image else { panic!("a ViT") };
        vit.encoder =
            EncoderConfig { size: 48, intermediate: 96, layers: 3, heads: 4, ..vit.encoder };
        vit.window = 3;
        let folder = tempfile::tempdir().unwrap();
        write_checkpoint(folder.path(), &config, 7).unwrap();
        assert!(!folder.path().join("vocab.json").exists());
        let model = sam::Sam::load(folder.path(), Device::Cpu, Kind::Float).unwrap();
        assert_eq!(model.config(), &config);
        let pixels = Tensor::arange(3 * 128 * 128, (Kind::Float, Device::Cpu))
            .multiply_scalar(0.37)
            .sin()
            .view([1, 3, 128, 128]);
        let image = model.embed_images(&pixels).unwrap();
        let prompts = [[0.0, 0.0, 60.0, 50.0], [70.0, 20.0, 127.0, 100.0]].map(|corners| {
            sam::CanvasPrompt { box_in_canvas_px: Some(corners), points: Vec::new() }
        });
        let tokens = model.embed_prompts(&prompts).unwrap();
        let logits = model.decode(&image, &tokens).unwrap().logits().unwrap();
        assert_eq!(logits.size(), [2, 3, 32, 32]);
        assert!(logits.std(true).double_value(&[]) > 0.5);
        let apart = (logits.get(0) - logits.get(1)).abs().mean(Kind::Float);
        assert!(apart.double_value(&[]) > 0.05, "{apart:?}");
        let inside = logits.gt(0.0).to_kind(Kind::Float).mean(Kind::Float).double_value(&[]);
        assert!((0.05..0.95).contains(&inside), "{inside}");
    }

    #[test]
    fn a_segmenter_that_compares_prompts_has_several_groups_and_tells_prompts_apart() {
        let mut config = GroupVitConfig::known("groupvit-gcc-yfcc").unwrap();
        config.text.vocabulary = 2048;
        config.image.image_size = 96;
        config.grouping.depths = vec![2, 1, 1];
        let folder = tempfile::tempdir().unwrap();
        write_checkpoint(folder.path(), &config, 7).unwrap();
        let model = groupvit::GroupVit::load(folder.path(), Device::Cpu, Kind::Float).unwrap();
        let learned = groupvit::parameter_shapes(&config)
            .iter()
            .filter(|(name, _)| !name.contains(".running_"))
            .map(|(_, shape)| elements(shape))
            .sum::<u64>();
        assert_eq!(model.parameters(), learned);
        let tokenizer = ClipTokenizer::open(folder.path()).unwrap();
        let ids = ["a red cup", "a robot"]
            .map(|text| Tensor::from_slice(&tokenizer.encode(text, 16).unwrap()));
        let texts = model.embed_texts(&Tensor::stack(&ids, 0)).unwrap();
        let pixels = Tensor::arange(3 * 96 * 96, (Kind::Float, Device::Cpu))
            .multiply_scalar(0.37)
            .sin()
            .view([1, 3, 96, 96]);
        let groups = model.groups(&pixels).unwrap();
        let owners = Vec::<i64>::try_from(groups.shares.argmax(1, false).flatten(0, -1)).unwrap();
        let owners: std::collections::BTreeSet<i64> = owners.into_iter().collect();
        assert!(owners.len() > 2, "{owners:?}");
        let logits = model.group_logits(&groups, &texts).unwrap();
        let apart = (logits.select(2, 0) - logits.select(2, 1)).abs().mean(Kind::Float);
        assert!(apart.double_value(&[]) > 0.05, "{apart:?}");
        assert!(logits.std_dim(1, true, false).min().double_value(&[]) > 0.02);
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
        for name in owl::KNOWN_NAMES {
            let config = OwlConfig::known(name).unwrap();
            let text = RandomConfig::from(&config).config_json().to_string();
            assert_eq!(OwlConfig::parse(&text, Path::new(name)).unwrap(), config);
        }
        for name in clipseg::KNOWN_NAMES {
            let config = ClipSegConfig::known(name).unwrap();
            let text = RandomConfig::from(&config).config_json().to_string();
            assert_eq!(ClipSegConfig::parse(&text, Path::new(name)).unwrap(), config);
        }
        for name in sam::KNOWN_NAMES.into_iter().chain([sam::MOBILE_SAM]) {
            let config = SamConfig::known(name).unwrap();
            let text = RandomConfig::from(&config).config_json().to_string();
            assert_eq!(SamConfig::parse(&text, Path::new(name)).unwrap(), config);
        }
        for name in groupvit::KNOWN_NAMES {
            let config = GroupVitConfig::known(name).unwrap();
            let text = RandomConfig::from(&config).config_json().to_string();
            assert_eq!(GroupVitConfig::parse(&text, Path::new(name)).unwrap(), config);
        }
        for name in clip::KNOWN_NAMES {
            let config = ClipConfig::known(name).unwrap();
            let text = RandomConfig::from(&config).config_json().to_string();
            assert_eq!(ClipConfig::parse(&text, Path::new(name)).unwrap(), config);
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
