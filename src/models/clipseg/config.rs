//! `config.json` of CLIPSeg checkpoints.

use std::path::Path;

use serde::Deserialize;

use crate::models::ConfigError;
use crate::models::config::{self, Problems, RawTextConfig, RawVisionConfig};
use crate::nn::{ImageTowerConfig, TextTowerConfig};

/// A configuration whose values were checked.
#[derive(Clone, Debug, PartialEq)]
pub struct ClipSegConfig {
    /// The text tower.
    pub text: TextTowerConfig,
    /// The image tower. Its `image_size` is that of the positions that were learned; the network
    /// takes squares of any size.
    pub image: ImageTowerConfig,
    /// Size of the space that texts and images share (`projection_dim`); also the size of a
    /// condition.
    pub projection: i64,
    /// Indices (from 0) of the image tower's layers that the decoder reads (`extract_layers`). It
    /// reads them from the last of the list to the first.
    pub extract_layers: Vec<usize>,
    /// The decoder.
    pub decoder: DecoderConfig,
}

/// Sizes of the decoder, which has a layer for each one that it reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecoderConfig {
    /// Channels of a token (`reduce_dim`); a multiple of `heads`.
    pub size: i64,
    /// Attention heads (`decoder_num_attention_heads`).
    pub heads: i64,
    /// Channels inside the two-layer perceptrons (`decoder_intermediate_size`).
    pub intermediate: i64,
    /// The layer of the decoder whose input the prompt modulates (`conditional_layer`).
    pub conditional_layer: usize,
    /// Whether three convolutions make the map, and not one
    /// (`use_complex_transposed_convolution`).
    pub refined: bool,
}

impl ClipSegConfig {
    /// Reads `config.json` in `folder`. Keys that are absent take the defaults of `transformers`
    /// 5.23.0 (`configuration_clipseg.py`), as the checkpoints on the hub rely on; keys that say
    /// nothing about inference are ignored. So is `decoder_hidden_act`, as in the reference: the
    /// decoder's perceptrons always use ReLU.
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
        config::checked(text, path, "clipseg", RawConfig::check)
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
    extract_layers: Option<Vec<i64>>,
    reduce_dim: Option<i64>,
    decoder_num_attention_heads: Option<i64>,
    decoder_intermediate_size: Option<i64>,
    conditional_layer: Option<i64>,
    use_complex_transposed_convolution: Option<bool>,
}

impl RawConfig {
    fn check(self, problems: &mut Problems) -> ClipSegConfig {
        let text = self.text_config_dict.or(self.text_config).unwrap_or_default();
        let end = text.eos_token_id.clone();
        let text = text.check(77, problems);
        config::check_end(end.as_ref(), text.vocabulary, problems);
        let vision = self.vision_config_dict.or(self.vision_config).unwrap_or_default();
        let image = vision.check(224, 32, problems);
        let projection =
            problems.in_range("projection_dim", self.projection_dim.unwrap_or(512), 65_536);

        let layers = self.extract_layers.unwrap_or_else(|| vec![3, 6, 9]);
        let depth = image.encoder.layers;
        if layers.is_empty() || layers.iter().any(|layer| !(0..depth).contains(layer)) {
            problems.add(
                "extract_layers",
                format_args!("at least one layer of the image tower, 0 to {}", depth - 1),
                format_args!("{layers:?}"),
            );
        }
        let conditional_layer = self.conditional_layer.unwrap_or(0);
        if !(0..layers.len() as i64).contains(&conditional_layer) {
            problems.add(
                "conditional_layer",
                format_args!("less than the number of extract_layers ({})", layers.len()),
                conditional_layer,
            );
        }
        let size = problems.in_range("reduce_dim", self.reduce_dim.unwrap_or(64), 65_536);
        let heads = self.decoder_num_attention_heads.unwrap_or(4);
        let heads = problems.in_range("decoder_num_attention_heads", heads, 65_536);
        if heads > 0 && size % heads != 0 {
            problems.add(
                "decoder_num_attention_heads",
                format_args!("a divisor of reduce_dim ({size})"),
                heads,
            );
        }
        let refined = self.use_complex_transposed_convolution.unwrap_or(false);
        // Each of its two transposed convolutions enlarges by a quarter of the patch.
        if refined && image.patch_size < 4 {
            problems.add("vision_config.patch_size", "at least 4", image.patch_size);
        }
        if refined && size < 2 {
            problems.add("reduce_dim", "at least 2", size);
        }
        let intermediate = self.decoder_intermediate_size.unwrap_or(2048);
        ClipSegConfig {
            text,
            image,
            projection,
            extract_layers: layers
                .iter()
                .filter_map(|layer| usize::try_from(*layer).ok())
                .collect(),
            decoder: DecoderConfig {
                size,
                heads,
                intermediate: problems.in_range(
                    "decoder_intermediate_size",
                    intermediate,
                    1_048_576,
                ),
                conditional_layer: usize::try_from(conditional_layer).unwrap_or(0),
                refined,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::Activation;

    fn parse(text: &str) -> Result<ClipSegConfig, ConfigError> {
        ClipSegConfig::parse(text, Path::new("config.json"))
    }

    #[test]
    fn absent_keys_take_the_defaults_of_the_reference() {
        let config = parse(r#"{"model_type": "clipseg", "vision_config": null}"#).unwrap();
        assert_eq!((config.image.image_size, config.image.patch_size), (224, 32));
        assert_eq!((config.text.vocabulary, config.text.max_tokens), (49_408, 77));
        assert_eq!(config.image.encoder.activation, Activation::QuickGelu);
        assert_eq!((config.projection, &*config.extract_layers), (512, &[3, 6, 9][..]));
        let DecoderConfig { size, heads, intermediate, conditional_layer, refined } =
            config.decoder;
        assert_eq!((size, heads, intermediate), (64, 4, 2048));
        assert_eq!((conditional_layer, refined), (0, false));
    }

    #[test]
    fn the_older_names_of_the_towers_win() {
        let config = parse(
            r#"{"model_type": "clipseg", "vision_config": {"patch_size": 32, "image_size": 64},
                "vision_config_dict": {"patch_size": 16}, "text_config_dict": null,
                "text_config": {"eos_token_id": 2}}"#,
        )
        .unwrap();
        assert_eq!((config.image.image_size, config.image.patch_size), (224, 16));
    }

    #[test]
    fn values_that_make_no_network_are_refused_all_at_once() {
        let error = parse(
            r#"{"model_type": "clipseg", "extract_layers": [3, 12], "conditional_layer": 2,
                "reduce_dim": 30, "use_complex_transposed_convolution": true,
                "decoder_intermediate_size": 0, "text_config": {"eos_token_id": 7},
                "vision_config": {"patch_size": 2, "hidden_act": "swish"}}"#,
        )
        .unwrap_err()
        .to_string();
        for part in [
            "extract_layers: expected at least one layer of the image tower, 0 to 11, found [3, 12]",
            "conditional_layer: expected less than the number of extract_layers (2), found 2",
            "decoder_num_attention_heads: expected a divisor of reduce_dim (30), found 4",
            "decoder_intermediate_size: expected 1 to 1048576, found 0",
            "text_config.eos_token_id: expected 49407, the last token of the vocabulary, or 2, found 7",
            "vision_config.patch_size: expected at least 4, found 2",
            "vision_config.hidden_act: expected one of quick_gelu",
        ] {
            assert!(error.contains(part), "{part} is not in:\n{error}");
        }
        let error = parse(r#"{"model_type": "owlvit"}"#).unwrap_err().to_string();
        assert!(error.contains("expected model_type clipseg, found \"owlvit\""), "{error}");
        let error = parse(r#"{"model_type": "clipseg", "extract_layers": []}"#).unwrap_err();
        assert!(error.to_string().contains("extract_layers: expected at least one"), "{error}");
    }
}
