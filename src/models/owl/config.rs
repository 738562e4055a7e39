//! `config.json` of OWL-ViT and OWLv2 checkpoints.

use std::fmt::Display;
use std::path::Path;

use serde::Deserialize;

use crate::models::ConfigError;
use crate::nn::{Activation, EncoderConfig, ImageTowerConfig, TextTowerConfig};

/// Which of the two architectures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwlVersion {
    /// OWL-ViT: Minderer et al. 2022, arXiv:2205.06230.
    OwlVit,
    /// OWLv2: Minderer et al. 2023, arXiv:2306.09683. The same network with an objectness head.
    Owlv2,
}

impl OwlVersion {
    /// The `model_type` of its configurations, which is also the first part of its keys.
    #[must_use]
    pub fn model_type(self) -> &'static str {
        match self {
            Self::OwlVit => "owlvit",
            Self::Owlv2 => "owlv2",
        }
    }

    /// `patch_size` where a configuration leaves it out.
    fn default_patch_size(self) -> i64 {
        match self {
            Self::OwlVit => 32,
            Self::Owlv2 => 16,
        }
    }
}

/// A configuration whose values were checked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OwlConfig {
    /// Which architecture.
    pub version: OwlVersion,
    /// The text tower.
    pub text: TextTowerConfig,
    /// The image tower.
    pub image: ImageTowerConfig,
    /// Size of the space that texts and images share (`projection_dim`); also the size of a
    /// query.
    pub projection: i64,
}

impl OwlConfig {
    /// Reads `config.json` in `folder`. Keys that are absent take the defaults of `transformers`
    /// 5.23.0 (`configuration_owlvit.py`, `configuration_owlv2.py`), as the checkpoints on the hub
    /// rely on; keys that say nothing about inference are ignored.
    ///
    /// # Errors
    /// A file that cannot be read, another architecture, and every value that cannot be used.
    pub fn open(folder: &Path) -> Result<Self, ConfigError> {
        let path = folder.join("config.json");
        let text = std::fs::read_to_string(&path)
            .map_err(|source| ConfigError::Io { path: path.clone(), source })?;
        Self::parse(&text, &path)
    }

    /// The configuration in `text`; `path` is for errors only.
    ///
    /// # Errors
    /// As [`open`](Self::open), except for reading.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let json = |source| ConfigError::Json { path: path.to_owned(), source };
        // First only the architecture: the keys of another one would give misleading errors.
        let ModelType { model_type } = serde_json::from_str(text).map_err(json)?;
        let version = match model_type.as_deref() {
            Some("owlvit") => OwlVersion::OwlVit,
            Some("owlv2") => OwlVersion::Owlv2,
            other => {
                return Err(ConfigError::ModelType {
                    path: path.to_owned(),
                    expected: "owlvit or owlv2",
                    found: other.unwrap_or_default().to_owned(),
                });
            }
        };
        let raw: RawConfig = serde_json::from_str(text).map_err(json)?;
        let mut problems = Problems(Vec::new());
        let config = raw.check(version, &mut problems);
        match problems.0 {
            problems if problems.is_empty() => Ok(config),
            problems => Err(ConfigError::Values { path: path.to_owned(), problems }),
        }
    }
}

#[derive(Deserialize)]
struct ModelType {
    model_type: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawConfig {
    text_config: Option<RawTextConfig>,
    vision_config: Option<RawVisionConfig>,
    projection_dim: Option<i64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawTextConfig {
    vocab_size: Option<i64>,
    max_position_embeddings: Option<i64>,
    #[serde(flatten)]
    encoder: RawEncoderConfig,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawVisionConfig {
    num_channels: Option<i64>,
    image_size: Option<Side>,
    patch_size: Option<Side>,
    #[serde(flatten)]
    encoder: RawEncoderConfig,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawEncoderConfig {
    hidden_size: Option<i64>,
    intermediate_size: Option<i64>,
    num_hidden_layers: Option<i64>,
    num_attention_heads: Option<i64>,
    hidden_act: Option<String>,
    layer_norm_eps: Option<f64>,
}

/// A size that is written as one number or as height and width.
#[derive(Deserialize)]
#[serde(untagged)]
enum Side {
    Square(i64),
    HeightWidth([i64; 2]),
}

/// Collects what is wrong. Upper bounds keep a hostile file from claiming endless work; they are
/// far above any released model.
struct Problems(Vec<String>);

impl Problems {
    fn add(&mut self, key: &str, expected: impl Display, found: impl Display) {
        self.0.push(format!("{key}: expected {expected}, found {found}"));
    }

    fn in_range(&mut self, key: &str, value: i64, max: i64) -> i64 {
        if !(1..=max).contains(&value) {
            self.add(key, format_args!("1 to {max}"), value);
        }
        value
    }

    fn square(&mut self, key: &str, side: Option<Side>, default: i64, max: i64) -> i64 {
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
}

impl RawConfig {
    fn check(self, version: OwlVersion, problems: &mut Problems) -> OwlConfig {
        let text = self.text_config.unwrap_or_default();
        let vision = self.vision_config.unwrap_or_default();
        let text_defaults = EncoderConfig {
            size: 512,
            intermediate: 2048,
            layers: 12,
            heads: 8,
            activation: Activation::QuickGelu,
            layer_norm_eps: 1e-5,
        };
        let image_defaults =
            EncoderConfig { size: 768, intermediate: 3072, heads: 12, ..text_defaults };

        let text = TextTowerConfig {
            vocabulary: problems.in_range(
                "text_config.vocab_size",
                text.vocab_size.unwrap_or(49_408),
                10_000_000,
            ),
            max_tokens: problems.in_range(
                "text_config.max_position_embeddings",
                text.max_position_embeddings.unwrap_or(16),
                65_536,
            ),
            encoder: text.encoder.check("text_config", text_defaults, problems),
        };
        if let Some(channels) = vision.num_channels
            && channels != 3
        {
            problems.add("vision_config.num_channels", 3, channels);
        }
        let image_size =
            problems.square("vision_config.image_size", vision.image_size, 768, 16_384);
        let patch_size = problems.square(
            "vision_config.patch_size",
            vision.patch_size,
            version.default_patch_size(),
            16_384,
        );
        if patch_size > image_size {
            problems.add(
                "vision_config.patch_size",
                format_args!("at most image_size ({image_size})"),
                patch_size,
            );
        }
        let image = ImageTowerConfig {
            image_size,
            patch_size,
            encoder: vision.encoder.check("vision_config", image_defaults, problems),
        };
        let projection =
            problems.in_range("projection_dim", self.projection_dim.unwrap_or(512), 65_536);
        // The class head makes vectors of the text tower's size and compares them with projected
        // texts.
        if projection != text.encoder.size {
            problems.add(
                "projection_dim",
                format_args!("text_config.hidden_size ({})", text.encoder.size),
                projection,
            );
        }
        OwlConfig { version, text, image, projection }
    }
}

impl RawEncoderConfig {
    fn check(self, tower: &str, defaults: EncoderConfig, problems: &mut Problems) -> EncoderConfig {
        let mut number = |key: &str, value: Option<i64>, default: i64, max: i64| {
            problems.in_range(&format!("{tower}.{key}"), value.unwrap_or(default), max)
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
            activation: match self.hidden_act.as_deref().map(str::parse) {
                None => defaults.activation,
                Some(Ok(activation)) => activation,
                Some(Err(error)) => {
                    problems.0.push(format!("{tower}.hidden_act: {error}"));
                    defaults.activation
                }
            },
            layer_norm_eps: self.layer_norm_eps.unwrap_or(defaults.layer_norm_eps),
        };
        if config.heads > 0 && config.size % config.heads != 0 {
            problems.add(
                &format!("{tower}.num_attention_heads"),
                format_args!("a divisor of hidden_size ({size})"),
                config.heads,
            );
        }
        if !(config.layer_norm_eps > 0.0 && config.layer_norm_eps < 1.0) {
            problems.add(
                &format!("{tower}.layer_norm_eps"),
                "a number between 0 and 1",
                config.layer_norm_eps,
            );
        }
        config
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> OwlConfig {
        OwlConfig::parse(text, Path::new("config.json")).unwrap()
    }

    #[test]
    fn absent_keys_take_the_defaults_of_their_architecture() {
        let owlvit = parse(r#"{"model_type": "owlvit"}"#);
        assert_eq!((owlvit.image.image_size, owlvit.image.patch_size), (768, 32));
        assert_eq!((owlvit.text.vocabulary, owlvit.text.max_tokens), (49_408, 16));
        let (text, image) = (owlvit.text.encoder, owlvit.image.encoder);
        assert_eq!((text.size, text.intermediate, text.layers, text.heads), (512, 2048, 12, 8));
        assert_eq!(
            (image.size, image.intermediate, image.layers, image.heads),
            (768, 3072, 12, 12)
        );
        assert_eq!((text.activation, text.layer_norm_eps), (Activation::QuickGelu, 1e-5));
        assert_eq!(owlvit.projection, 512);

        let owlv2 = parse(r#"{"model_type": "owlv2", "text_config": null}"#);
        assert_eq!((owlv2.image.image_size, owlv2.image.patch_size), (768, 16));
        assert_eq!(owlv2.text, owlvit.text);
    }

    #[test]
    fn given_keys_win_and_foreign_keys_are_ignored() {
        let config = parse(
            r#"{
                "model_type": "owlv2", "projection_dim": 768, "torch_dtype": "float32",
                "text_config": {"hidden_size": 768, "num_attention_heads": 12, "dropout": 0.0},
                "vision_config": {
                    "image_size": [1008, 1008], "patch_size": 14, "hidden_size": 1024,
                    "num_attention_heads": 16, "hidden_act": "gelu"
                }
            }"#,
        );
        assert_eq!(config.image.grid(), 72);
        assert_eq!((config.image.encoder.size, config.image.encoder.layers), (1024, 12));
        assert_eq!(config.image.encoder.activation, Activation::Gelu);
        assert_eq!(config.text.encoder.activation, Activation::QuickGelu);
    }
}
