//! `config.json` of SAM checkpoints.

mod raw;

use std::path::Path;

use crate::models::ConfigError;
use crate::models::config;
use crate::nn::EncoderConfig;
use raw::RawConfig;

/// A configuration whose values were checked.
#[derive(Clone, Debug, PartialEq)]
pub struct SamConfig {
    /// Side of the square input in pixels (`image_size`).
    pub image_size: i64,
    /// Channels of image embeddings, and of tokens of prompts and decoder (`output_channels`).
    pub size: i64,
    /// The image encoder.
    pub image: ImageEncoderConfig,
    /// Channels inside the embedding of mask prompts (`mask_input_channels`), which is part of
    /// every checkpoint.
    pub mask_input_channels: i64,
    /// The mask decoder.
    pub decoder: MaskDecoderConfig,
}

/// The image encoders that there are.
#[derive(Clone, Debug, PartialEq)]
pub enum ImageEncoderConfig {
    /// SAM's own.
    Vit(VitConfig),
    /// MobileSAM's.
    TinyVit(TinyVitConfig),
}

/// Sizes of a TinyViT, which the reference does not know: Owlet's own keys in `vision_config`,
/// beside `"model_type": "tiny_vit"`. All lists are for its four stages; each has its default in
/// brackets, which is what was released.
#[derive(Clone, Debug, PartialEq)]
pub struct TinyVitConfig {
    /// Channels (`embed_dims`, `[64, 128, 160, 320]`).
    pub sizes: [i64; 4],
    /// Blocks; those of the first stage are convolutions (`depths`, `[2, 2, 6, 2]`).
    pub depths: [i64; 4],
    /// Attention heads; that of the first stage is not used (`num_heads`, `[2, 4, 5, 10]`).
    pub heads: [i64; 4],
    /// Sides of windows; that of the first stage is not used (`window_sizes`, `[7, 7, 14, 7]`).
    pub windows: [i64; 4],
    /// How much wider perceptrons are inside (`mlp_ratio`, 4).
    pub mlp_ratio: f64,
    /// How much wider the blocks of the first stage are inside (`mbconv_expand_ratio`, 4).
    pub expand_ratio: f64,
    /// Side of the convolutions between attention and perceptron, odd (`local_conv_size`, 3).
    pub local_conv: i64,
}

impl TinyVitConfig {
    /// Pixels that a place of its result stands for.
    pub const STRIDE: i64 = 16;

    /// Channels inside of perceptrons for tokens of `size`.
    pub(in crate::models) fn intermediate(&self, size: i64) -> i64 {
        (size as f64 * self.mlp_ratio) as i64
    }

    /// Channels inside the blocks of the first stage.
    pub(in crate::models) fn expanded(&self) -> i64 {
        (self.sizes[0] as f64 * self.expand_ratio) as i64
    }
}

/// Sizes of a vision transformer with windows (`vision_config` of the reference).
#[derive(Clone, Debug, PartialEq)]
pub struct VitConfig {
    /// Side of a square patch in pixels; divides `image_size`.
    pub patch_size: i64,
    /// The layers (`mlp_dim` is its `intermediate`).
    pub encoder: EncoderConfig,
    /// Whether queries, keys and values have a bias.
    pub qkv_bias: bool,
    /// Whether each place has a learned embedding (`use_abs_pos`).
    pub absolute_positions: bool,
    /// Whether attention knows how far apart places are (`use_rel_pos`).
    pub relative_positions: bool,
    /// Side of the windows in patches; 0 for none (`window_size`).
    pub window: i64,
    /// Layers (from 0) that see the whole image (`global_attn_indexes`).
    pub global_layers: Vec<i64>,
}

/// Sizes of the decoder.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MaskDecoderConfig {
    /// Layers, heads, size of the perceptron (`mlp_dim`), activation and norm.
    pub encoder: EncoderConfig,
    /// How much narrower attention between tokens and image is (`attention_downsample_rate`).
    pub downsample: i64,
    /// Masks of a prompt beside the single one (`num_multimask_outputs`).
    pub masks: i64,
    /// Layers of the head that says how good masks are, at least 2 (`iou_head_depth`).
    pub iou_layers: i64,
    /// Channels inside of it (`iou_head_hidden_dim`).
    pub iou_size: i64,
}

impl SamConfig {
    /// Reads `config.json` in `folder`. Keys that are absent take the defaults of `transformers`
    /// 5.23.0 (`configuration_sam.py`); keys that say nothing about inference are ignored.
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
        config::checked(text, path, "sam", RawConfig::check)
    }

    /// Places of the image embedding along one side.
    #[must_use]
    pub fn grid(&self) -> i64 {
        match &self.image {
            ImageEncoderConfig::Vit(vit) => self.image_size / vit.patch_size,
            ImageEncoderConfig::TinyVit(_) => self.image_size / TinyVitConfig::STRIDE,
        }
    }

    /// Side of the masks that the decoder draws.
    #[must_use]
    pub fn mask_side(&self) -> i64 {
        4 * self.grid()
    }
}
