//! `config.json` of GroupViT checkpoints.

use std::path::Path;

use serde::Deserialize;

use crate::models::ConfigError;
use crate::models::config::{self, Problems, RawTextConfig, RawVisionConfig};
use crate::nn::{Activation, EncoderConfig, ImageTowerConfig, TextTowerConfig};

/// What `configuration_groupvit.py` of `transformers` 5.23.0 says of a text tower.
pub(super) const TEXT_DEFAULTS: EncoderConfig = EncoderConfig {
    size: 256,
    intermediate: 1024,
    layers: 12,
    heads: 4,
    activation: Activation::QuickGelu,
    layer_norm_eps: 1e-5,
};

/// The same of an image tower.
pub(super) const IMAGE_DEFAULTS: EncoderConfig = EncoderConfig {
    size: 384,
    intermediate: 1536,
    layers: 12,
    heads: 6,
    activation: Activation::Gelu,
    layer_norm_eps: 1e-5,
};

/// A configuration whose values were checked.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupVitConfig {
    /// The text tower.
    pub text: TextTowerConfig,
    /// The image tower. How many layers it has says [`GroupingConfig::depths`].
    pub image: ImageTowerConfig,
    /// How patches become groups.
    pub grouping: GroupingConfig,
    /// Size of the space that texts and groups share (`projection_dim`).
    pub projection: i64,
    /// Channels inside both projections (`projection_intermediate_dim`).
    pub projection_intermediate: i64,
}

/// The stages of the image tower: each but the last joins its tokens to fewer groups.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupingConfig {
    /// Layers of each stage (`depths`).
    pub depths: Vec<i64>,
    /// Group tokens of each stage (`num_group_tokens`); 0 for the last one alone.
    pub group_tokens: Vec<i64>,
    /// Groups that each stage gives (`num_output_groups`); that of the last one has no meaning.
    pub output_groups: Vec<i64>,
    /// Added to the number of tokens of a group before it is averaged (`assign_eps`).
    pub assign_eps: f64,
    /// Width of the perceptron that makes groups of group tokens (the first of
    /// `assign_mlp_ratio`, in units of the tower's channels).
    pub mixed_tokens: i64,
    /// Width of the perceptron behind a grouping (the second of them).
    pub mixed_channels: i64,
}

impl GroupVitConfig {
    /// Reads `config.json` in `folder`. Keys that are absent take the defaults of `transformers`
    /// 5.23.0; keys that say nothing about inference are ignored.
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
        config::checked(text, path, "groupvit", RawConfig::check)
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawConfig {
    text_config: Option<RawTextConfig>,
    /// An older name, which wins in the reference.
    text_config_dict: Option<RawTextConfig>,
    vision_config: Option<RawImageConfig>,
    vision_config_dict: Option<RawImageConfig>,
    projection_dim: Option<i64>,
    projection_intermediate_dim: Option<i64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawImageConfig {
    depths: Option<Vec<i64>>,
    num_group_tokens: Option<Vec<i64>>,
    num_output_groups: Option<Vec<i64>>,
    assign_eps: Option<f64>,
    assign_mlp_ratio: Option<[f64; 2]>,
    #[serde(flatten)]
    tower: RawVisionConfig,
}

impl RawConfig {
    fn check(self, problems: &mut Problems) -> GroupVitConfig {
        let text = self.text_config_dict.or(self.text_config).unwrap_or_default();
        let end = text.eos_token_id.clone();
        let text = text.check_with(77, TEXT_DEFAULTS, problems);
        config::check_end(end.as_ref(), text.vocabulary, problems);
        let vision = self.vision_config_dict.or(self.vision_config).unwrap_or_default();
        let RawImageConfig { depths, num_group_tokens, num_output_groups, .. } = &vision;
        let depths = depths.clone().unwrap_or_else(|| vec![6, 3, 3]);
        let group_tokens = num_group_tokens.clone().unwrap_or_else(|| vec![64, 8, 0]);
        let output_groups = num_output_groups.clone().unwrap_or_else(|| vec![64, 8, 8]);
        check_stages(&depths, &group_tokens, &output_groups, problems);
        let assign_eps = vision.assign_eps.unwrap_or(1.0);
        if !(assign_eps > 0.0 && assign_eps.is_finite()) {
            problems.add("vision_config.assign_eps", "a number above 0", assign_eps);
        }
        let ratios = vision.assign_mlp_ratio.unwrap_or([0.5, 4.0]);
        let image = vision.tower.check_with(224, 16, IMAGE_DEFAULTS, problems);
        // Rounded down, as in the reference.
        let [mixed_tokens, mixed_channels] = ratios.map(|ratio| {
            let width = (ratio * image.encoder.size as f64) as i64;
            problems.in_range("vision_config.assign_mlp_ratio, in channels", width, 1_048_576)
        });
        GroupVitConfig {
            text,
            image,
            grouping: GroupingConfig {
                depths,
                group_tokens,
                output_groups,
                assign_eps,
                mixed_tokens,
                mixed_channels,
            },
            projection: problems.in_range(
                "projection_dim",
                self.projection_dim.unwrap_or(256),
                65_536,
            ),
            projection_intermediate: problems.in_range(
                "projection_intermediate_dim",
                self.projection_intermediate_dim.unwrap_or(4096),
                1_048_576,
            ),
        }
    }
}

/// The stages fit each other, and at least one of them makes groups.
fn check_stages(depths: &[i64], tokens: &[i64], groups: &[i64], problems: &mut Problems) {
    let count = depths.len();
    if !(2..=16).contains(&count) {
        problems.add("vision_config.depths", "2 to 16 stages", count);
        return;
    }
    for (key, list) in [("num_group_tokens", tokens), ("num_output_groups", groups)] {
        if list.len() != count {
            let expected = format_args!("one number for each stage ({count})");
            problems.add(&format!("vision_config.{key}"), expected, format_args!("{list:?}"));
        }
    }
    for depth in depths {
        problems.in_range("vision_config.depths", *depth, 1024);
    }
    let (tokens_fit, groups_fit) = (tokens.len() == count, groups.len() == count);
    if tokens_fit {
        for found in &tokens[..count - 1] {
            problems.in_range("vision_config.num_group_tokens", *found, 65_536);
        }
        if tokens[count - 1] != 0 {
            problems.add(
                "vision_config.num_group_tokens",
                "0 for the last stage",
                format_args!("{tokens:?}"),
            );
        }
    }
    if groups_fit {
        for found in groups {
            problems.in_range("vision_config.num_output_groups", *found, 65_536);
        }
    }
    // The projector between two stages takes group tokens and is made for output groups.
    if tokens_fit && groups_fit && (1..count - 1).any(|i| tokens[i - 1] != groups[i - 1]) {
        problems.add(
            "vision_config.num_output_groups",
            format_args!("as many as num_group_tokens ({tokens:?}) before a stage that groups"),
            format_args!("{groups:?}"),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<GroupVitConfig, ConfigError> {
        GroupVitConfig::parse(text, Path::new("config.json"))
    }

    #[test]
    fn absent_keys_take_the_defaults_of_the_reference() {
        let config = parse(r#"{"model_type": "groupvit", "vision_config": null}"#).unwrap();
        assert_eq!(Some(config), GroupVitConfig::known("groupvit-gcc-yfcc"));
    }

    #[test]
    fn the_older_names_of_the_towers_win() {
        let config = parse(
            r#"{"model_type": "groupvit", "vision_config": {"depths": [1, 1]},
                "vision_config_dict": {"depths": [2, 1, 1], "assign_mlp_ratio": [1, 2.5],
                                       "hidden_size": 36},
                "text_config": {"eos_token_id": 2}}"#,
        )
        .unwrap();
        assert_eq!(config.grouping.depths, [2, 1, 1]);
        assert_eq!((config.grouping.mixed_tokens, config.grouping.mixed_channels), (36, 90));
    }

    #[test]
    fn values_that_make_no_network_are_refused_all_at_once() {
        let error = parse(
            r#"{"model_type": "groupvit", "projection_dim": 0,
                "vision_config": {"depths": [1, 0, 1], "num_group_tokens": [9, 4, 2],
                    "num_output_groups": [8, 4, 4], "assign_eps": 0, "assign_mlp_ratio": [0, 4],
                    "hidden_size": 33}}"#,
        )
        .unwrap_err()
        .to_string();
        for part in [
            "projection_dim: expected 1 to 65536, found 0",
            "vision_config.depths: expected 1 to 1024, found 0",
            "num_group_tokens: expected 0 for the last stage, found [9, 4, 2]",
            "num_output_groups: expected as many as num_group_tokens ([9, 4, 2])",
            "assign_eps: expected a number above 0, found 0",
            "assign_mlp_ratio, in channels: expected 1 to 1048576, found 0",
            "num_attention_heads: expected a divisor of hidden_size (33), found 6",
        ] {
            assert!(error.contains(part), "{part} is not in:\n{error}");
        }
        for (stages, part) in [
            (r#""depths": [4]"#, "depths: expected 2 to 16 stages, found 1"),
            (r#""num_group_tokens": [4, 0]"#, "expected one number for each stage (3)"),
        ] {
            let text = format!(r#"{{"model_type": "groupvit", "vision_config": {{{stages}}}}}"#);
            let error = parse(&text).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
        let error = parse(r#"{"model_type": "clip"}"#).unwrap_err().to_string();
        assert!(error.contains("expected model_type groupvit, found \"clip\""), "{error}");
    }
}
