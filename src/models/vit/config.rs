//! `config.json` of ViT, DINO and DINOv2 checkpoints.

use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::models::ConfigError;
use crate::models::config::{self, Problems, RawEncoderConfig, Side};
use crate::nn::{Activation, EncoderConfig};

/// What `configuration_vit.py` of `transformers` 5.23.0 takes where a configuration says nothing.
const VIT_DEFAULTS: EncoderConfig = EncoderConfig {
    size: 768,
    intermediate: 3072,
    layers: 12,
    heads: 12,
    activation: Activation::Gelu,
    layer_norm_eps: 1e-12,
};

/// The same of `configuration_dinov2.py`.
const DINOV2_DEFAULTS: EncoderConfig = EncoderConfig { layer_norm_eps: 1e-6, ..VIT_DEFAULTS };

/// timm's plain ViTs by the second word of their names: channels, layers, heads. Their
/// perceptrons are four times as wide.
const TIMM_SIZES: [(&str, [i64; 3]); 5] = [
    ("tiny", [192, 12, 3]),
    ("small", [384, 12, 6]),
    ("base", [768, 12, 12]),
    ("large", [1024, 24, 16]),
    ("huge", [1280, 32, 16]),
];

/// Whose network and key names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VitFamily {
    /// `ViTModel` of `transformers`: supervised ViT and DINO.
    Vit,
    /// `Dinov2Model` of `transformers`.
    Dinov2,
    /// `VisionTransformer` of timm.
    Timm,
}

impl VitFamily {
    /// What [`architecture`](crate::models::architecture) calls it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Vit => "vit",
            Self::Dinov2 => "dinov2",
            Self::Timm => "timm",
        }
    }
}

/// What stands between the residuals beside attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeedForward {
    /// Two layers and an activation.
    Mlp,
    /// SwiGLU (Shazeer 2020, arXiv:2002.05202): one layer's output gates that of another.
    SwiGlu,
}

/// A configuration whose values were checked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VitConfig {
    /// Whose network and key names.
    pub family: VitFamily,
    /// Side of the square input in pixels that positions were learned for; the network takes
    /// others.
    pub image_size: i64,
    /// Side of a square patch in pixels.
    pub patch_size: i64,
    /// The transformer. `intermediate` is the number of channels inside of its feed-forward layers.
    pub encoder: EncoderConfig,
    /// Whether queries, keys and values have a bias.
    pub qkv_bias: bool,
    /// The feed-forward layers.
    pub feed_forward: FeedForward,
}

impl VitConfig {
    /// Reads `config.json` in `folder`. Keys that are absent take the defaults of the reference;
    /// keys that say nothing about inference are ignored.
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
        let mut problems = Problems::default();
        let config = match config::model_type(text, path)?.as_str() {
            "vit" => config::parse::<RawConfig>(text, path)?.check(VitFamily::Vit, &mut problems),
            "dinov2" => {
                config::parse::<RawConfig>(text, path)?.check(VitFamily::Dinov2, &mut problems)
            }
            "" => match config::parse::<RawTimm>(text, path)? {
                RawTimm { architecture: Some(name), model_args, global_pool } => {
                    of_timm(&name, model_args.unwrap_or_default(), global_pool, &mut problems)
                }
                RawTimm { architecture: None, .. } => return Err(other_type(path, "")),
            },
            other => return Err(other_type(path, other)),
        };
        problems.finish(config, path)
    }

    /// Patches along one side of the input that positions were learned for.
    #[must_use]
    pub fn grid(&self) -> i64 {
        self.image_size / self.patch_size
    }
}

fn other_type(path: &Path, found: &str) -> ConfigError {
    ConfigError::ModelType {
        path: path.to_owned(),
        expected: "vit or dinov2, or an architecture of timm",
        found: found.to_owned(),
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawConfig {
    num_channels: Option<i64>,
    image_size: Option<Side>,
    patch_size: Option<Side>,
    qkv_bias: Option<bool>,
    mlp_ratio: Option<f64>,
    use_swiglu_ffn: Option<bool>,
    #[serde(flatten)]
    encoder: RawEncoderConfig,
}

impl RawConfig {
    fn check(mut self, family: VitFamily, problems: &mut Problems) -> VitConfig {
        if let Some(channels) = self.num_channels
            && channels != 3
        {
            problems.add("num_channels", 3, channels);
        }
        let dinov2 = family == VitFamily::Dinov2;
        let (defaults, patch_size) =
            if dinov2 { (DINOV2_DEFAULTS, 14) } else { (VIT_DEFAULTS, 16) };
        let mut feed_forward = FeedForward::Mlp;
        if dinov2 {
            let ratio = self.mlp_ratio.unwrap_or(4.0);
            if !(ratio > 0.0 && ratio <= 64.0) {
                problems.add("mlp_ratio", "a number above 0, at most 64", ratio);
            }
            // Truncated like the reference's `int`.
            let size = self.encoder.hidden_size.unwrap_or(defaults.size);
            let mut channels = (size as f64 * ratio) as i64;
            if self.use_swiglu_ffn.unwrap_or(false) {
                feed_forward = FeedForward::SwiGlu;
                channels = swiglu_channels(channels);
            }
            self.encoder.intermediate_size = Some(channels);
        }
        let image_size = problems.square("image_size", self.image_size, 224, 16_384);
        let patch_size = problems.square("patch_size", self.patch_size, patch_size, 16_384);
        if patch_size > image_size {
            let expected = format!("at most image_size ({image_size})");
            problems.add("patch_size", expected, patch_size);
        }
        VitConfig {
            family,
            image_size,
            patch_size,
            encoder: self.encoder.check("", defaults, problems),
            qkv_bias: self.qkv_bias.unwrap_or(true),
            feed_forward,
        }
    }
}

/// Two thirds of the channels of a plain perceptron, rounded up to a multiple of 8.
fn swiglu_channels(mlp: i64) -> i64 {
    let two_thirds = (mlp as f64 * 2.0 / 3.0) as i64;
    two_thirds.saturating_add(7) / 8 * 8
}

#[derive(Deserialize)]
struct RawTimm {
    architecture: Option<String>,
    model_args: Option<Map<String, Value>>,
    global_pool: Option<String>,
}

/// timm names the sizes of a network in its architecture: `vit_tiny_patch16_224`.
fn of_timm(
    name: &str,
    model_args: Map<String, Value>,
    global_pool: Option<String>,
    problems: &mut Problems,
) -> VitConfig {
    let parts: Vec<&str> = name.split('_').collect();
    let named = match parts[..] {
        ["vit", size, patch, side] => TIMM_SIZES
            .iter()
            .find(|(known, _)| *known == size)
            .zip(patch.strip_prefix("patch").and_then(|patch| patch.parse().ok()))
            .zip(side.parse().ok()),
        _ => None,
    };
    if named.is_none() {
        let sizes = TIMM_SIZES.map(|(size, _)| size).join(", ");
        let expected = format!("vit_SIZE_patchP_SIDE with SIZE one of {sizes}");
        problems.add("architecture", expected, format!("{name:?}"));
    }
    if let Some(pool) = global_pool.filter(|pool| pool != "token") {
        problems.add("global_pool", "\"token\"", format!("{pool:?}"));
    }
    let (((_, [size, layers, heads]), patch_size), image_size) =
        named.unwrap_or(((&TIMM_SIZES[0], 16), 224));
    // What a checkpoint was made with instead of what its name says.
    let mut sizes = [
        ("img_size", image_size, 16_384),
        ("patch_size", patch_size, 16_384),
        ("embed_dim", *size, 65_536),
        ("depth", *layers, 1024),
        ("num_heads", *heads, 65_536),
    ];
    for (key, value) in model_args {
        let known = sizes.iter_mut().find(|(known, ..)| *known == key);
        match (known, value.as_i64()) {
            (Some((_, size, _)), Some(found)) => *size = found,
            // Each of the others would be another network or another pooling.
            (known, _) => {
                let expected = if known.is_some() { "a whole number" } else { "nothing" };
                problems.add(&format!("model_args.{key}"), expected, value);
            }
        }
    }
    let [image_size, patch_size, size, layers, heads] = sizes
        .map(|(key, size, max)| problems.in_range(&format!("{key} of architecture"), size, max));
    if patch_size > image_size {
        let expected = format!("at most img_size ({image_size})");
        problems.add("patch_size of architecture", expected, patch_size);
    }
    if heads > 0 && size % heads != 0 {
        let expected = format!("a divisor of embed_dim ({size})");
        problems.add("num_heads of architecture", expected, heads);
    }
    VitConfig {
        family: VitFamily::Timm,
        image_size,
        patch_size,
        encoder: EncoderConfig {
            size,
            intermediate: size.saturating_mul(4),
            layers,
            heads,
            activation: Activation::Gelu,
            layer_norm_eps: 1e-6,
        },
        qkv_bias: true,
        feed_forward: FeedForward::Mlp,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<VitConfig, ConfigError> {
        VitConfig::parse(text, Path::new("config.json"))
    }

    #[test]
    fn released_configurations_are_understood() {
        let dinov2 = parse(
            r#"{"model_type": "dinov2", "hidden_size": 384, "num_attention_heads": 6,
                "image_size": 518, "mlp_ratio": 4, "use_swiglu_ffn": false}"#,
        )
        .unwrap();
        assert_eq!((dinov2.grid(), dinov2.patch_size), (37, 14));
        assert_eq!((dinov2.encoder.intermediate, dinov2.encoder.layer_norm_eps), (1536, 1e-6));
        // dinov2-giant.
        let giant = parse(
            r#"{"model_type": "dinov2", "hidden_size": 1536, "num_attention_heads": 24,
                "num_hidden_layers": 40, "image_size": 518, "use_swiglu_ffn": true}"#,
        )
        .unwrap();
        assert_eq!((giant.feed_forward, giant.encoder.intermediate), (FeedForward::SwiGlu, 4096));
        let vit = parse(r#"{"model_type": "vit"}"#).unwrap();
        assert_eq!((vit.grid(), vit.encoder), (14, VIT_DEFAULTS));
        let timm = parse(
            r#"{"architecture": "vit_tiny_patch16_224", "num_classes": 1000, "num_features": 192,
                "global_pool": "token", "pretrained_cfg": {"input_size": [3, 224, 224]}}"#,
        )
        .unwrap();
        assert_eq!((timm.family, timm.grid(), timm.encoder.heads), (VitFamily::Timm, 14, 3));
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        for (text, named) in [
            (r#"{"model_type": "bert"}"#, "vit or dinov2"),
            (r#"{}"#, "vit or dinov2"),
            (r#"{"model_type": "vit", "num_channels": 1}"#, "num_channels"),
            (r#"{"model_type": "vit", "patch_size": 300}"#, "patch_size"),
            (r#"{"model_type": "vit", "hidden_act": "swish"}"#, "hidden_act"),
            (r#"{"model_type": "dinov2", "mlp_ratio": -1}"#, "mlp_ratio"),
            (r#"{"model_type": "dinov2", "num_attention_heads": 5}"#, "a divisor"),
            (r#"{"architecture": "resnet50"}"#, "vit_SIZE_patchP_SIDE"),
            (r#"{"architecture": "vit_tiny_patch16_clip_224"}"#, "architecture"),
            (r#"{"architecture": "vit_tiny_patch0_224"}"#, "patch_size of architecture"),
            (
                r#"{"architecture": "vit_base_patch16_224", "model_args": {"num_heads": 7}}"#,
                "a divisor of embed_dim (768)",
            ),
            (
                r#"{"architecture": "vit_base_patch16_224", "model_args": {"depth": "two"}}"#,
                "a whole number",
            ),
            (r#"{"architecture": "vit_base_patch16_224", "global_pool": "avg"}"#, "global_pool"),
            (
                r#"{"architecture": "vit_base_patch16_224", "model_args": {"pre_norm": true}}"#,
                "model_args.pre_norm",
            ),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(named), "{text}: {error}");
        }
    }
}
