//! `config.json` of SAM checkpoints.

use std::path::Path;

use serde::Deserialize;

use crate::models::ConfigError;
use crate::models::config::{self, Problems, Side};
use crate::nn::{Activation, EncoderConfig};

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
    pub(super) fn intermediate(&self, size: i64) -> i64 {
        (size as f64 * self.mlp_ratio) as i64
    }

    /// Channels inside the blocks of the first stage.
    pub(super) fn expanded(&self) -> i64 {
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
        let found = config::model_type(text, path)?;
        if found != "sam" {
            let expected = "sam";
            return Err(ConfigError::ModelType { path: path.to_owned(), expected, found });
        }
        let raw: RawConfig = config::parse(text, path)?;
        let mut problems = Problems::default();
        let config = raw.check(&mut problems);
        problems.finish(config, path)
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

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawConfig {
    vision_config: Option<RawVision>,
    prompt_encoder_config: Option<RawPrompt>,
    mask_decoder_config: Option<RawDecoder>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawVision {
    model_type: Option<String>,
    image_size: Option<Side>,
    patch_size: Option<Side>,
    num_channels: Option<i64>,
    output_channels: Option<i64>,
    num_pos_feats: Option<i64>,
    hidden_size: Option<i64>,
    num_hidden_layers: Option<i64>,
    num_attention_heads: Option<i64>,
    mlp_dim: Option<i64>,
    mlp_ratio: Option<f64>,
    hidden_act: Option<String>,
    layer_norm_eps: Option<f64>,
    qkv_bias: Option<bool>,
    use_abs_pos: Option<bool>,
    use_rel_pos: Option<bool>,
    window_size: Option<i64>,
    global_attn_indexes: Option<Vec<i64>>,
    #[serde(flatten)]
    tiny: RawTinyVit,
}

/// Keys of a TinyViT.
#[derive(Default, Deserialize)]
#[serde(default)]
struct RawTinyVit {
    embed_dims: Option<[i64; 4]>,
    depths: Option<[i64; 4]>,
    num_heads: Option<[i64; 4]>,
    window_sizes: Option<[i64; 4]>,
    mbconv_expand_ratio: Option<f64>,
    local_conv_size: Option<i64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawPrompt {
    hidden_size: Option<i64>,
    image_size: Option<Side>,
    patch_size: Option<Side>,
    mask_input_channels: Option<i64>,
    num_point_embeddings: Option<i64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawDecoder {
    hidden_size: Option<i64>,
    hidden_act: Option<String>,
    mlp_dim: Option<i64>,
    num_hidden_layers: Option<i64>,
    num_attention_heads: Option<i64>,
    attention_downsample_rate: Option<i64>,
    num_multimask_outputs: Option<i64>,
    iou_head_depth: Option<i64>,
    iou_head_hidden_dim: Option<i64>,
    layer_norm_eps: Option<f64>,
}

impl RawConfig {
    fn check(self, problems: &mut Problems) -> SamConfig {
        let vision = self.vision_config.unwrap_or_default();
        if let Some(channels) = vision.num_channels
            && channels != 3
        {
            problems.add("vision_config.num_channels", 3, channels);
        }
        let size = problems.in_range(
            "vision_config.output_channels",
            vision.output_channels.unwrap_or(256),
            65_536,
        );
        // Sine and cosine of each feature make a position.
        let features = vision.num_pos_feats.unwrap_or(128);
        if features.checked_mul(2) != Some(size) {
            problems.add(
                "vision_config.num_pos_feats",
                format_args!("half of output_channels ({size})"),
                features,
            );
        }
        let is_tiny = vision.model_type.as_deref() == Some("tiny_vit");
        let (image_size, stride, image) =
            if is_tiny { vision.check_tiny(problems) } else { vision.check(problems) };
        let prompt = self.prompt_encoder_config.unwrap_or_default();
        let mask_input_channels = prompt.check(size, image_size, stride, problems);
        let decoder = self.mask_decoder_config.unwrap_or_default().check(size, problems);
        SamConfig { image_size, size, image, mask_input_channels, decoder }
    }
}

impl RawVision {
    /// Side of the input, pixels of a place of the result, and the encoder.
    fn check(self, problems: &mut Problems) -> (i64, i64, ImageEncoderConfig) {
        let image_size = problems.square("vision_config.image_size", self.image_size, 1024, 16_384);
        let patch_size = problems.square("vision_config.patch_size", self.patch_size, 16, 16_384);
        if patch_size > 0 && image_size % patch_size != 0 {
            problems.add(
                "vision_config.patch_size",
                format_args!("a divisor of image_size ({image_size})"),
                patch_size,
            );
        }
        let mut number = |key: &str, value: Option<i64>, default: i64, max: i64| {
            problems.in_range(&format!("vision_config.{key}"), value.unwrap_or(default), max)
        };
        let size = number("hidden_size", self.hidden_size, 768, 65_536);
        let ratio = self.mlp_ratio.unwrap_or(4.0);
        let intermediate = number("mlp_dim", self.mlp_dim, (size as f64 * ratio) as i64, 1_048_576);
        let layers = number("num_hidden_layers", self.num_hidden_layers, 12, 1024);
        let heads = number("num_attention_heads", self.num_attention_heads, 12, 65_536);
        if heads > 0 && size % heads != 0 {
            problems.add(
                "vision_config.num_attention_heads",
                format_args!("a divisor of hidden_size ({size})"),
                heads,
            );
        }
        let window = self.window_size.unwrap_or(14);
        if !(0..=1024).contains(&window) {
            problems.add("vision_config.window_size", "0 to 1024", window);
        }
        let global_layers = self.global_attn_indexes.unwrap_or_else(|| vec![2, 5, 8, 11]);
        let encoder = EncoderConfig {
            size,
            intermediate,
            layers,
            heads,
            activation: problems.activation(
                "vision_config.hidden_act",
                self.hidden_act.as_deref(),
                Activation::Gelu,
            ),
            layer_norm_eps: problems.eps("vision_config.layer_norm_eps", self.layer_norm_eps, 1e-6),
        };
        let vit = VitConfig {
            patch_size,
            encoder,
            qkv_bias: self.qkv_bias.unwrap_or(true),
            absolute_positions: self.use_abs_pos.unwrap_or(true),
            relative_positions: self.use_rel_pos.unwrap_or(true),
            window,
            global_layers,
        };
        (image_size, patch_size, ImageEncoderConfig::Vit(vit))
    }

    /// The same for a TinyViT.
    fn check_tiny(self, problems: &mut Problems) -> (i64, i64, ImageEncoderConfig) {
        let stride = TinyVitConfig::STRIDE;
        let image_size = problems.square("vision_config.image_size", self.image_size, 1024, 16_384);
        if image_size % stride != 0 {
            problems.add(
                "vision_config.image_size",
                format_args!("a multiple of {stride}"),
                image_size,
            );
        }
        let RawTinyVit { embed_dims, depths, num_heads, window_sizes, .. } = self.tiny;
        let mut list = |key: &str, values: Option<[i64; 4]>, default: [i64; 4], max: i64| {
            let values = values.unwrap_or(default);
            let key = format!("vision_config.{key}");
            values.map(|value| problems.in_range(&key, value, max))
        };
        let sizes = list("embed_dims", embed_dims, [64, 128, 160, 320], 65_536);
        let depths = list("depths", depths, [2, 2, 6, 2], 1024);
        let heads = list("num_heads", num_heads, [2, 4, 5, 10], 65_536);
        let windows = list("window_sizes", window_sizes, [7, 7, 14, 7], 256);
        if sizes[0] % 2 != 0 {
            problems.add("vision_config.embed_dims", "an even number at first", sizes[0]);
        }
        for (size, heads) in sizes.into_iter().zip(heads).skip(1) {
            if heads > 0 && size % heads != 0 {
                let expected = format!("a divisor of {size} channels");
                problems.add("vision_config.num_heads", expected, heads);
            }
        }
        let local_conv = self.tiny.local_conv_size.unwrap_or(3);
        if local_conv % 2 != 1 || !(1..=31).contains(&local_conv) {
            problems.add("vision_config.local_conv_size", "an odd number up to 31", local_conv);
        }
        let mut ratio = |key: &str, value: Option<f64>| {
            let value = value.unwrap_or(4.0);
            if !(1.0..=16.0).contains(&value) {
                problems.add(&format!("vision_config.{key}"), "1 to 16", value);
            }
            value
        };
        let vit = TinyVitConfig {
            sizes,
            depths,
            heads,
            windows,
            mlp_ratio: ratio("mlp_ratio", self.mlp_ratio),
            expand_ratio: ratio("mbconv_expand_ratio", self.tiny.mbconv_expand_ratio),
            local_conv,
        };
        (image_size, stride, ImageEncoderConfig::TinyVit(vit))
    }
}

impl RawPrompt {
    /// Channels inside the embedding of mask prompts. The rest has to agree with the image.
    fn check(self, size: i64, image_size: i64, patch_size: i64, problems: &mut Problems) -> i64 {
        let mut agrees = |key: &str, found: i64, expected: i64, with: &str| {
            if found != expected {
                problems.add(
                    &format!("prompt_encoder_config.{key}"),
                    format_args!("{expected}, as {with}"),
                    found,
                );
            }
        };
        let side = |side: Option<Side>, default: i64| match side {
            None => default,
            Some(Side::Square(side)) => side,
            // What is no square agrees with nothing.
            Some(Side::HeightWidth([height, width])) => {
                if height == width {
                    height
                } else {
                    -1
                }
            }
        };
        let hidden = self.hidden_size.unwrap_or(256);
        agrees("hidden_size", hidden, size, "vision_config.output_channels");
        agrees("image_size", side(self.image_size, 1024), image_size, "vision_config.image_size");
        agrees("patch_size", side(self.patch_size, 16), patch_size, "the image encoder's stride");
        agrees("num_point_embeddings", self.num_point_embeddings.unwrap_or(4), 4, "of every SAM");
        let channels = self.mask_input_channels.unwrap_or(16);
        let key = "prompt_encoder_config.mask_input_channels";
        let channels = problems.in_range(key, channels, 65_536);
        if channels % 4 != 0 {
            problems.add(key, "a multiple of 4", channels);
        }
        channels
    }
}

impl RawDecoder {
    fn check(self, size: i64, problems: &mut Problems) -> MaskDecoderConfig {
        let hidden = self.hidden_size.unwrap_or(256);
        if hidden != size {
            problems.add(
                "mask_decoder_config.hidden_size",
                format_args!("{size}, as vision_config.output_channels"),
                hidden,
            );
        }
        if size % 8 != 0 {
            problems.add("vision_config.output_channels", "a multiple of 8", size);
        }
        let mut number = |key: &str, value: Option<i64>, default: i64, max: i64| {
            problems.in_range(&format!("mask_decoder_config.{key}"), value.unwrap_or(default), max)
        };
        let heads = number("num_attention_heads", self.num_attention_heads, 8, 65_536);
        let downsample =
            number("attention_downsample_rate", self.attention_downsample_rate, 2, 65_536);
        let layers = number("num_hidden_layers", self.num_hidden_layers, 2, 1024);
        let intermediate = number("mlp_dim", self.mlp_dim, 2048, 1_048_576);
        let masks = number("num_multimask_outputs", self.num_multimask_outputs, 3, 256);
        let iou_layers = number("iou_head_depth", self.iou_head_depth, 3, 64);
        let iou_size = number("iou_head_hidden_dim", self.iou_head_hidden_dim, 256, 65_536);
        if iou_layers < 2 {
            problems.add("mask_decoder_config.iou_head_depth", "at least 2", iou_layers);
        }
        let narrow = size / downsample.max(1);
        if heads > 0 && (size % heads != 0 || narrow % heads != 0 || narrow == 0) {
            problems.add(
                "mask_decoder_config.num_attention_heads",
                format_args!("a divisor of hidden_size ({size}) and of {narrow} channels"),
                heads,
            );
        }
        MaskDecoderConfig {
            encoder: EncoderConfig {
                size,
                intermediate,
                layers,
                heads,
                activation: problems.activation(
                    "mask_decoder_config.hidden_act",
                    self.hidden_act.as_deref(),
                    Activation::Relu,
                ),
                layer_norm_eps: problems.eps(
                    "mask_decoder_config.layer_norm_eps",
                    self.layer_norm_eps,
                    1e-6,
                ),
            },
            downsample,
            masks,
            iou_layers,
            iou_size,
        }
    }
}
