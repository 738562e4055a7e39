//! The parts that `config.json` of every checkpoint with transformers has.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::ConfigError;
use crate::nn::{Activation, EncoderConfig, ImageTowerConfig, TextTowerConfig};

/// What the configurations of `transformers` 5.23.0 say of a text tower that they say nothing of.
const TEXT_DEFAULTS: EncoderConfig = EncoderConfig {
    size: 512,
    intermediate: 2048,
    layers: 12,
    heads: 8,
    activation: Activation::QuickGelu,
    layer_norm_eps: 1e-5,
};

/// The same of an image tower.
const IMAGE_DEFAULTS: EncoderConfig =
    EncoderConfig { size: 768, intermediate: 3072, heads: 12, ..TEXT_DEFAULTS };

/// The text of `config.json` in `folder`, and its path for errors.
pub(super) fn read(folder: &Path) -> Result<(String, PathBuf), ConfigError> {
    let path = folder.join("config.json");
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok((text, path)),
        Err(source) => Err(ConfigError::Io { path, source }),
    }
}

/// The `model_type` of a configuration; empty where there is none. Read before all else: the keys
/// of another architecture would give misleading errors.
pub(super) fn model_type(text: &str, path: &Path) -> Result<String, ConfigError> {
    #[derive(Deserialize)]
    struct ModelType {
        model_type: Option<String>,
    }
    let read: ModelType = parse(text, path)?;
    Ok(read.model_type.unwrap_or_default())
}

/// What the checkpoint in `folder` is: the `model_type` of its `config.json`, or `timm` where that
/// is one that timm wrote; empty where it says neither.
///
/// # Errors
/// A file that cannot be read or is no JSON.
pub fn architecture(folder: &Path) -> Result<String, ConfigError> {
    #[derive(Deserialize)]
    struct Timm {
        architecture: Option<String>,
        pretrained_cfg: Option<serde_json::Value>,
    }
    let (text, path) = read(folder)?;
    let found = model_type(&text, &path)?;
    if !found.is_empty() {
        return Ok(found);
    }
    let timm: Timm = parse(&text, &path)?;
    let is_timm = timm.architecture.is_some() && timm.pretrained_cfg.is_some();
    Ok(if is_timm { "timm" } else { "" }.to_owned())
}

/// `text` as JSON.
pub(super) fn parse<'a, T: Deserialize<'a>>(text: &'a str, path: &Path) -> Result<T, ConfigError> {
    serde_json::from_str(text).map_err(|source| ConfigError::Json { path: path.to_owned(), source })
}

/// The configuration of one architecture in `text`, with all that is wrong with its values.
pub(super) fn checked<'a, R: Deserialize<'a>, T>(
    text: &'a str,
    path: &Path,
    expected: &'static str,
    check: impl FnOnce(R, &mut Problems) -> T,
) -> Result<T, ConfigError> {
    match model_type(text, path)? {
        found if found == expected => {}
        found => return Err(ConfigError::ModelType { path: path.to_owned(), expected, found }),
    }
    let mut problems = Problems::default();
    let config = check(parse(text, path)?, &mut problems);
    problems.finish(config, path)
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct RawTextConfig {
    vocab_size: Option<i64>,
    max_position_embeddings: Option<i64>,
    /// A number, or a list where a model has several ends; only some architectures look at it.
    pub(super) eos_token_id: Option<serde_json::Value>,
    #[serde(flatten)]
    encoder: RawEncoderConfig,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct RawVisionConfig {
    num_channels: Option<i64>,
    image_size: Option<Side>,
    patch_size: Option<Side>,
    #[serde(flatten)]
    encoder: RawEncoderConfig,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct RawEncoderConfig {
    pub(super) hidden_size: Option<i64>,
    pub(super) intermediate_size: Option<i64>,
    num_hidden_layers: Option<i64>,
    num_attention_heads: Option<i64>,
    hidden_act: Option<String>,
    layer_norm_eps: Option<f64>,
}

/// A size that is written as one number or as height and width.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Side {
    Square(i64),
    HeightWidth([i64; 2]),
}

/// Collects what is wrong. Upper bounds keep a hostile file from claiming endless work; they are
/// far above any released model.
#[derive(Default)]
pub(super) struct Problems(Vec<String>);

impl Problems {
    pub(super) fn add(&mut self, key: &str, expected: impl Display, found: impl Display) {
        self.0.push(format!("{key}: expected {expected}, found {found}"));
    }

    /// Notes a value outside `1..=max`, and gives it back.
    pub(super) fn in_range(&mut self, key: &str, value: i64, max: i64) -> i64 {
        if !(1..=max).contains(&value) {
            self.add(key, format_args!("1 to {max}"), value);
        }
        value
    }

    /// The side of a square, in `1..=max`.
    pub(super) fn square(&mut self, key: &str, side: Option<Side>, default: i64, max: i64) -> i64 {
        match side.unwrap_or(Side::Square(default)) {
            Side::Square(side) => self.in_range(key, side, max),
            Side::HeightWidth([height, width]) if height == width => {
                self.in_range(key, height, max)
            }
            Side::HeightWidth([height, width]) => {
                self.add(key, "a square", format_args!("{height} x {width}"));
                height
            }
        }
    }

    /// An activation by its name.
    pub(super) fn activation(
        &mut self,
        key: &str,
        name: Option<&str>,
        default: Activation,
    ) -> Activation {
        match name.map(str::parse) {
            None => default,
            Some(Ok(activation)) => activation,
            Some(Err(error)) => {
                self.0.push(format!("{key}: {error}"));
                default
            }
        }
    }

    /// What a layer norm adds to the variance.
    pub(super) fn eps(&mut self, key: &str, value: Option<f64>, default: f64) -> f64 {
        let eps = value.unwrap_or(default);
        if !(eps > 0.0 && eps < 1.0) {
            self.add(key, "a number between 0 and 1", eps);
        }
        eps
    }

    /// The configuration, or why it cannot be used.
    pub(super) fn finish<T>(self, config: T, path: &Path) -> Result<T, ConfigError> {
        match self.0 {
            problems if problems.is_empty() => Ok(config),
            problems => Err(ConfigError::Values { path: path.to_owned(), problems }),
        }
    }
}

impl RawTextConfig {
    pub(super) fn check(self, max_tokens: i64, problems: &mut Problems) -> TextTowerConfig {
        self.check_with(max_tokens, TEXT_DEFAULTS, problems)
    }

    /// With the sizes that hold where the configuration names none.
    pub(super) fn check_with(
        self,
        max_tokens: i64,
        encoder: EncoderConfig,
        problems: &mut Problems,
    ) -> TextTowerConfig {
        TextTowerConfig {
            vocabulary: problems.in_range(
                "text_config.vocab_size",
                self.vocab_size.unwrap_or(49_408),
                10_000_000,
            ),
            max_tokens: problems.in_range(
                "text_config.max_position_embeddings",
                self.max_position_embeddings.unwrap_or(max_tokens),
                65_536,
            ),
            encoder: self.encoder.check("text_config.", encoder, problems),
        }
    }
}

impl RawVisionConfig {
    /// With the sides that hold where the configuration names none.
    pub(super) fn check(
        self,
        image_size: i64,
        patch_size: i64,
        problems: &mut Problems,
    ) -> ImageTowerConfig {
        self.check_with(image_size, patch_size, IMAGE_DEFAULTS, problems)
    }

    /// With those sides, and the sizes that hold where the configuration names none.
    pub(super) fn check_with(
        self,
        image_size: i64,
        patch_size: i64,
        encoder: EncoderConfig,
        problems: &mut Problems,
    ) -> ImageTowerConfig {
        if let Some(channels) = self.num_channels
            && channels != 3
        {
            problems.add("vision_config.num_channels", 3, channels);
        }
        let mut side = |key: &str, side: Option<Side>, default: i64| {
            problems.square(&format!("vision_config.{key}"), side, default, 16_384)
        };
        let image_size = side("image_size", self.image_size, image_size);
        let patch_size = side("patch_size", self.patch_size, patch_size);
        if patch_size > image_size {
            problems.add(
                "vision_config.patch_size",
                format_args!("at most image_size ({image_size})"),
                patch_size,
            );
        }
        ImageTowerConfig {
            image_size,
            patch_size,
            encoder: self.encoder.check("vision_config.", encoder, problems),
        }
    }
}

impl RawEncoderConfig {
    /// `place` stands before the keys in messages: `text_config.`, or nothing.
    pub(super) fn check(
        self,
        place: &str,
        defaults: EncoderConfig,
        problems: &mut Problems,
    ) -> EncoderConfig {
        let mut number = |key: &str, value: Option<i64>, default: i64, max: i64| {
            problems.in_range(&format!("{place}{key}"), value.unwrap_or(default), max)
        };
        let size = number("hidden_size", self.hidden_size, defaults.size, 65_536);
        let config = EncoderConfig {
            size,
            intermediate: number(
                "intermediate_size",
                self.intermediate_size,
                defaults.intermediate,
                1_048_576,
            ),
            layers: number("num_hidden_layers", self.num_hidden_layers, defaults.layers, 1024),
            heads: number("num_attention_heads", self.num_attention_heads, defaults.heads, 65_536),
            activation: problems.activation(
                &format!("{place}hidden_act"),
                self.hidden_act.as_deref(),
                defaults.activation,
            ),
            layer_norm_eps: problems.eps(
                &format!("{place}layer_norm_eps"),
                self.layer_norm_eps,
                defaults.layer_norm_eps,
            ),
        };
        if config.heads > 0 && config.size % config.heads != 0 {
            problems.add(
                &format!("{place}num_attention_heads"),
                format_args!("a divisor of hidden_size ({size})"),
                config.heads,
            );
        }
        config
    }
}

/// A text is read at the token with the highest id. The reference does that where the end token is
/// said to be 2, as in early checkpoints, and else looks for the end token: the same one, if it is
/// the last of the vocabulary.
pub(super) fn check_end(end: Option<&serde_json::Value>, vocabulary: i64, problems: &mut Problems) {
    let last = vocabulary - 1;
    let found = match end {
        None | Some(serde_json::Value::Null) => Some(49_407),
        Some(value) => value.as_i64(),
    };
    if found != Some(2) && found != Some(last) {
        problems.add(
            "text_config.eos_token_id",
            format_args!("{last}, the last token of the vocabulary, or 2"),
            end.map_or_else(|| "49407 by default".to_owned(), ToString::to_string),
        );
    }
}
