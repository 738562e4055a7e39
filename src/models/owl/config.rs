//! `config.json` of OWL-ViT and OWLv2 checkpoints.

use std::path::Path;

use serde::Deserialize;

use crate::models::ConfigError;
use crate::models::config::{self, Problems, RawTextConfig, RawVisionConfig};
use crate::nn::{ImageTowerConfig, TextTowerConfig};

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
        let (text, path) = config::read(folder)?;
        Self::parse(&text, &path)
    }

    /// The configuration in `text`; `path` is for errors only.
    ///
    /// # Errors
    /// As [`open`](Self::open), except for reading.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let version = match config::model_type(text, path)?.as_str() {
            "owlvit" => OwlVersion::OwlVit,
            "owlv2" => OwlVersion::Owlv2,
            other => {
                return Err(ConfigError::ModelType {
                    path: path.to_owned(),
                    expected: "owlvit or owlv2",
                    found: other.to_owned(),
                });
            }
        };
        let raw: RawConfig = config::parse(text, path)?;
        let mut problems = Problems::default();
        let config = raw.check(version, &mut problems);
        problems.finish(config, path)
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawConfig {
    text_config: Option<RawTextConfig>,
    vision_config: Option<RawVisionConfig>,
    projection_dim: Option<i64>,
}

impl RawConfig {
    fn check(self, version: OwlVersion, problems: &mut Problems) -> OwlConfig {
        let text = self.text_config.unwrap_or_default().check(16, problems);
        let patch_size = version.default_patch_size();
        let image = self.vision_config.unwrap_or_default().check(768, patch_size, problems);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::Activation;

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
