//! The released checkpoints, by configuration.

use super::{ImageEncoderConfig, MaskDecoderConfig, SamConfig, TinyVitConfig, VitConfig};
use crate::nn::{Activation, EncoderConfig};

/// Names of the checkpoints on the hub whose configurations are known without a file.
pub const KNOWN_NAMES: [&str; 3] = ["sam-vit-base", "sam-vit-large", "sam-vit-huge"];

/// The same of MobileSAM, which is not on the hub in this layout: `tools/convert_mobile_sam.py`
/// makes it.
pub const MOBILE_SAM: &str = "mobile-sam";

/// What MobileSAM's authors left out and the reference sets to 1e-6.
const DEFAULT_EPS: f64 = 1e-5;

impl SamConfig {
    /// The configuration of the released checkpoint `name`, one of [`KNOWN_NAMES`] or
    /// [`MOBILE_SAM`].
    #[must_use]
    pub fn known(name: &str) -> Option<Self> {
        if name == MOBILE_SAM {
            let mut config = Self::known("sam-vit-base")?;
            config.image = ImageEncoderConfig::TinyVit(TinyVitConfig {
                sizes: [64, 128, 160, 320],
                depths: [2, 2, 6, 2],
                heads: [2, 4, 5, 10],
                windows: [7, 7, 14, 7],
                mlp_ratio: 4.0,
                expand_ratio: 4.0,
                local_conv: 3,
            });
            config.decoder.encoder.layer_norm_eps = DEFAULT_EPS;
            return Some(config);
        }
        let (size, layers, heads, global_layers) = match name {
            "sam-vit-base" => (768, 12, 12, vec![2, 5, 8, 11]),
            "sam-vit-large" => (1024, 24, 16, vec![5, 11, 17, 23]),
            "sam-vit-huge" => (1280, 32, 16, vec![7, 15, 23, 31]),
            _ => return None,
        };
        Some(Self {
            image_size: 1024,
            size: 256,
            image: ImageEncoderConfig::Vit(VitConfig {
                patch_size: 16,
                encoder: EncoderConfig {
                    size,
                    intermediate: 4 * size,
                    layers,
                    heads,
                    activation: Activation::Gelu,
                    layer_norm_eps: 1e-6,
                },
                qkv_bias: true,
                absolute_positions: true,
                relative_positions: true,
                window: 14,
                global_layers,
            }),
            mask_input_channels: 16,
            decoder: MaskDecoderConfig {
                encoder: EncoderConfig {
                    size: 256,
                    intermediate: 2048,
                    layers: 2,
                    heads: 8,
                    activation: Activation::Relu,
                    layer_norm_eps: 1e-6,
                },
                downsample: 2,
                masks: 3,
                iou_layers: 3,
                iou_size: 256,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::sam::parameter_shapes;

    /// Counts that `transformers` gives for the same configurations
    /// (`sum(p.numel() for p in model.parameters())`); the last one is what
    /// `tools/convert_mobile_sam.py` writes.
    #[test]
    fn known_configurations_have_the_published_sizes() {
        let [base, large, huge] = KNOWN_NAMES;
        let counts = [base, large, huge, MOBILE_SAM].map(|name| {
            let shapes = parameter_shapes(&SamConfig::known(name).unwrap());
            shapes.iter().map(|(_, shape)| shape.iter().product::<i64>()).sum::<i64>()
        });
        assert_eq!(counts, [93_735_728, 312_343_088, 641_090_864, 9_803_780]);
        assert!(SamConfig::known("sam-vit-tiny").is_none());
    }
}
