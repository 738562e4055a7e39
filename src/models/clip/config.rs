//! `config.json` of CLIP checkpoints.

use std::path::Path;

use serde::Deserialize;

use crate::models::ConfigError;
use crate::models::config::{self, Problems, RawTextConfig, RawVisionConfig};
use crate::nn::{ImageTowerConfig, TextTowerConfig};

/// A configuration whose values were checked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClipConfig {
    /// The text tower.
    pub text: TextTowerConfig,
    /// The image tower.
    pub image: ImageTowerConfig,
    /// Size of the space that texts and images share (`projection_dim`).
    pub projection: i64,
}

impl ClipConfig {
    /// Reads `config.json` in `folder`. Keys that are absent take the defaults of `transformers`
    /// 5.23.0 (`configuration_clip.py`), as the checkpoints on the hub rely on; keys that say
    /// nothing about inference are ignored.
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
        config::checked(text, path, "clip", RawConfig::check)
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawConfig {
    text_config: Option<RawTextConfig>,
    /// An older name, which wins in the reference.
    text_config_dict: Option<RawTextConfig>,
    vision_config: Option<RawVisionConfig>,
    vision_config_dict: Option<RawVisionConfig>,
    projection_dim: Option<i64>,
}

impl RawConfig {
    fn check(self, problems: &mut Problems) -> ClipConfig {
        let text = self.text_config_dict.or(self.text_config).unwrap_or_default();
        let end = text.eos_token_id.clone();
        let text = text.check(77, problems);
        config::check_end(end.as_ref(), text.vocabulary, problems);
        let vision = self.vision_config_dict.or(self.vision_config).unwrap_or_default();
        ClipConfig {
            text,
            image: vision.check(224, 32, problems),
            projection: problems.in_range(
                "projection_dim",
                self.projection_dim.unwrap_or(512),
                65_536,
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<ClipConfig, ConfigError> {
        ClipConfig::parse(text, Path::new("config.json"))
    }

    #[test]
    fn absent_keys_take_the_defaults_of_the_reference() {
        let config = parse(r#"{"model_type": "clip", "text_config_dict": null}"#).unwrap();
        assert_eq!(Some(config), ClipConfig::known("clip-vit-base-patch32"));
    }

    #[test]
    fn values_that_make_no_network_are_refused_all_at_once() {
        let error = parse(
            r#"{"model_type": "clip", "projection_dim": -1, "text_config": {"eos_token_id": 7},
                "vision_config": {"patch_size": 448}}"#,
        )
        .unwrap_err()
        .to_string();
        for part in [
            "projection_dim: expected 1 to 65536, found -1",
            "text_config.eos_token_id: expected 49407, the last token of the vocabulary, or 2",
            "vision_config.patch_size: expected at most image_size (224), found 448",
        ] {
            assert!(error.contains(part), "{part} is not in:\n{error}");
        }
        let error = parse(r#"{"model_type": "clipseg"}"#).unwrap_err().to_string();
        assert!(error.contains("expected model_type clip, found \"clipseg\""), "{error}");
    }
}
