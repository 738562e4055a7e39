//! The keys, and what they have to be.

use serde::Deserialize;

use super::{ImageEncoderConfig, MaskDecoderConfig, SamConfig, TinyVitConfig, VitConfig};
use crate::models::config::{Problems, Side};
use crate::nn::{Activation, EncoderConfig};

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct RawConfig {
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
    pub(super) fn check(self, problems: &mut Problems) -> SamConfig {
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
