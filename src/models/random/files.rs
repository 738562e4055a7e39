//! The JSON files of a checkpoint.

use serde_json::{Value, json};

use crate::models::clip::ClipConfig;
use crate::models::clipseg::{ClipSegConfig, RELEASED_SIDE_PX};
use crate::models::groupvit::GroupVitConfig;
use crate::models::owl::{OwlConfig, OwlVersion};
use crate::models::sam::{ImageEncoderConfig, SamConfig};
use crate::nn::{EncoderConfig, ImageTowerConfig, TextTowerConfig};

/// Mean and standard deviation of each channel, as CLIP has them.
const CLIP_STATISTICS: [[f64; 3]; 2] =
    [[0.481_454_66, 0.457_827_5, 0.408_210_73], [0.268_629_54, 0.261_302_58, 0.275_777_11]];

/// Those of ImageNet.
const IMAGENET_STATISTICS: [[f64; 3]; 2] = [[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]];

fn encoder_json(model_type: String, encoder: &EncoderConfig) -> Value {
    json!({
        "model_type": model_type,
        "hidden_act": encoder.activation.name(),
        "hidden_size": encoder.size,
        "intermediate_size": encoder.intermediate,
        "layer_norm_eps": encoder.layer_norm_eps,
        "num_attention_heads": encoder.heads,
        "num_hidden_layers": encoder.layers,
    })
}

fn text_json(family: &str, config: &TextTowerConfig) -> Value {
    let mut json = encoder_json(format!("{family}_text_model"), &config.encoder);
    json["max_position_embeddings"] = config.max_tokens.into();
    json["vocab_size"] = config.vocabulary.into();
    json
}

fn vision_json(family: &str, config: &ImageTowerConfig) -> Value {
    let mut json = encoder_json(format!("{family}_vision_model"), &config.encoder);
    json["image_size"] = config.image_size.into();
    json["patch_size"] = config.patch_size.into();
    json
}

fn common_preprocessor(side: i64, [mean, std]: [[f64; 3]; 2]) -> Value {
    json!({
        "do_normalize": true,
        "do_rescale": true,
        "do_resize": true,
        "image_mean": mean,
        "image_std": std,
        "rescale_factor": 1.0 / 255.0,
        "size": { "height": side, "width": side },
    })
}

pub(super) fn owl_config(config: &OwlConfig) -> Value {
    let version = config.version.model_type();
    let class = match config.version {
        OwlVersion::OwlVit => "OwlViTForObjectDetection",
        OwlVersion::Owlv2 => "Owlv2ForObjectDetection",
    };
    json!({
        "architectures": [class],
        "model_type": version,
        "projection_dim": config.projection,
        "text_config": text_json(version, &config.text),
        "vision_config": vision_json(version, &config.image),
    })
}

/// What the checkpoints on the hub ask for: OWL-ViT resizes with a bicubic filter, OWLv2 pads to a
/// square and resizes with a bilinear one.
pub(super) fn owl_preprocessor(config: &OwlConfig) -> Value {
    let side = config.image.image_size;
    let mut json = common_preprocessor(side, CLIP_STATISTICS);
    match config.version {
        OwlVersion::OwlVit => {
            json["crop_size"] = json!({ "height": side, "width": side });
            json["do_center_crop"] = false.into();
            json["image_processor_type"] = "OwlViTImageProcessor".into();
            json["resample"] = 3.into();
        }
        OwlVersion::Owlv2 => {
            json["do_pad"] = true.into();
            json["image_processor_type"] = "Owlv2ImageProcessor".into();
            json["resample"] = 2.into();
        }
    }
    json
}

pub(super) fn clipseg_config(config: &ClipSegConfig) -> Value {
    let decoder = &config.decoder;
    let mut text = text_json("clipseg", &config.text);
    // The reference looks for it by its id.
    text["eos_token_id"] = (config.text.vocabulary - 1).into();
    json!({
        "architectures": ["CLIPSegForImageSegmentation"],
        "model_type": "clipseg",
        "projection_dim": config.projection,
        "text_config": text,
        "vision_config": vision_json("clipseg", &config.image),
        "extract_layers": config.extract_layers,
        "reduce_dim": decoder.size,
        "decoder_num_attention_heads": decoder.heads,
        "decoder_intermediate_size": decoder.intermediate,
        "conditional_layer": decoder.conditional_layer,
        "use_complex_transposed_convolution": decoder.refined,
    })
}

/// What the checkpoints on the hub ask for.
pub(super) fn clipseg_preprocessor() -> Value {
    let mut json = common_preprocessor(RELEASED_SIDE_PX.into(), IMAGENET_STATISTICS);
    json["image_processor_type"] = "ViTImageProcessor".into();
    json["resample"] = 2.into();
    json
}

pub(super) fn sam_config(config: &SamConfig) -> Value {
    let mut vision = match &config.image {
        ImageEncoderConfig::Vit(vit) => {
            let mut vision = encoder_json("sam_vision_model".to_owned(), &vit.encoder);
            vision["patch_size"] = vit.patch_size.into();
            vision["mlp_dim"] = vit.encoder.intermediate.into();
            vision["qkv_bias"] = vit.qkv_bias.into();
            vision["use_abs_pos"] = vit.absolute_positions.into();
            vision["use_rel_pos"] = vit.relative_positions.into();
            vision["window_size"] = vit.window.into();
            vision["global_attn_indexes"] = json!(vit.global_layers);
            vision
        }
        ImageEncoderConfig::TinyVit(vit) => json!({
            "model_type": "tiny_vit",
            "embed_dims": vit.sizes,
            "depths": vit.depths,
            "num_heads": vit.heads,
            "window_sizes": vit.windows,
            "mlp_ratio": vit.mlp_ratio,
            "mbconv_expand_ratio": vit.expand_ratio,
            "local_conv_size": vit.local_conv,
        }),
    };
    vision["image_size"] = config.image_size.into();
    vision["output_channels"] = config.size.into();
    vision["num_pos_feats"] = (config.size / 2).into();
    let mut decoder = encoder_json("sam_mask_decoder".to_owned(), &config.decoder.encoder);
    decoder["mlp_dim"] = config.decoder.encoder.intermediate.into();
    decoder["attention_downsample_rate"] = config.decoder.downsample.into();
    decoder["num_multimask_outputs"] = config.decoder.masks.into();
    decoder["iou_head_depth"] = config.decoder.iou_layers.into();
    decoder["iou_head_hidden_dim"] = config.decoder.iou_size.into();
    json!({
        "architectures": ["SamModel"],
        "model_type": "sam",
        "vision_config": vision,
        "prompt_encoder_config": {
            "hidden_size": config.size,
            "image_size": config.image_size,
            "patch_size": config.image_size / config.grid(),
            "mask_input_channels": config.mask_input_channels,
        },
        "mask_decoder_config": decoder,
    })
}

/// What the checkpoints on the hub ask for.
pub(super) fn sam_preprocessor(config: &SamConfig) -> Value {
    let side = config.image_size;
    let mut json = common_preprocessor(side, IMAGENET_STATISTICS);
    json["do_pad"] = true.into();
    json["image_processor_type"] = "SamImageProcessor".into();
    json["pad_size"] = json!({ "height": side, "width": side });
    json["resample"] = 2.into();
    json["size"] = json!({ "longest_edge": side });
    json
}

pub(super) fn groupvit_config(config: &GroupVitConfig) -> Value {
    let grouping = &config.grouping;
    let mut text = text_json("groupvit", &config.text);
    // The reference looks for it by its id.
    text["eos_token_id"] = (config.text.vocabulary - 1).into();
    let mut vision = vision_json("groupvit", &config.image);
    vision["num_hidden_layers"] = grouping.depths.iter().sum::<i64>().into();
    vision["depths"] = json!(grouping.depths);
    vision["num_group_tokens"] = json!(grouping.group_tokens);
    vision["num_output_groups"] = json!(grouping.output_groups);
    vision["assign_eps"] = grouping.assign_eps.into();
    let ratio = |width: i64| width as f64 / config.image.encoder.size as f64;
    vision["assign_mlp_ratio"] =
        json!([ratio(grouping.mixed_tokens), ratio(grouping.mixed_channels)]);
    json!({
        "architectures": ["GroupViTModel"],
        "model_type": "groupvit",
        "projection_dim": config.projection,
        "projection_intermediate_dim": config.projection_intermediate,
        "text_config": text,
        "vision_config": vision,
    })
}

pub(super) fn clip_config(config: &ClipConfig) -> Value {
    let mut text = text_json("clip", &config.text);
    // The reference looks for it by its id.
    text["eos_token_id"] = (config.text.vocabulary - 1).into();
    json!({
        "architectures": ["CLIPModel"],
        "model_type": "clip",
        "projection_dim": config.projection,
        "text_config": text,
        "vision_config": vision_json("clip", &config.image),
    })
}

/// What the checkpoints of CLIP and GroupViT on the hub ask for.
pub(super) fn clip_preprocessor(side: i64) -> Value {
    let mut json = common_preprocessor(side, CLIP_STATISTICS);
    json["crop_size"] = json!({ "height": side, "width": side });
    json["do_center_crop"] = true.into();
    json["image_processor_type"] = "CLIPImageProcessor".into();
    json["resample"] = 3.into();
    json["size"] = json!({ "shortest_edge": side });
    json
}
