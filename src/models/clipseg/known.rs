//! The released checkpoints, by configuration.

use super::{ClipSegConfig, DecoderConfig};
use crate::nn::{Activation, EncoderConfig, ImageTowerConfig, TextTowerConfig};

/// Names of the released checkpoints whose configurations are known without a file.
pub const KNOWN_NAMES: [&str; 3] = ["clipseg-rd64-refined", "clipseg-rd64", "clipseg-rd16"];

/// Side of the images that their preprocessing makes, in pixels.
pub(in crate::models) const RELEASED_SIDE_PX: u32 = 352;

impl ClipSegConfig {
    /// The configuration of the released checkpoint `name`, one of [`KNOWN_NAMES`]: CLIP's B/16
    /// and a decoder.
    #[must_use]
    pub fn known(name: &str) -> Option<Self> {
        let (size, refined) = match name {
            "clipseg-rd64-refined" => (64, true),
            "clipseg-rd64" => (64, false),
            "clipseg-rd16" => (16, false),
            _ => return None,
        };
        let encoder = |size: i64| EncoderConfig {
            size,
            intermediate: 4 * size,
            layers: 12,
            heads: size / 64,
            activation: Activation::QuickGelu,
            layer_norm_eps: 1e-5,
        };
        Some(Self {
            text: TextTowerConfig { vocabulary: 49_408, max_tokens: 77, encoder: encoder(512) },
            image: ImageTowerConfig { image_size: 224, patch_size: 16, encoder: encoder(768) },
            projection: 512,
            extract_layers: vec![3, 6, 9],
            decoder: DecoderConfig {
                size,
                heads: 4,
                intermediate: 2048,
                conditional_layer: 0,
                refined,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::clipseg::parameter_shapes;

    /// Counts that `transformers` gives for the same configurations
    /// (`sum(p.numel() for p in model.parameters())`).
    #[test]
    fn known_configurations_have_the_published_sizes() {
        let counts = KNOWN_NAMES.map(|name| {
            let shapes = parameter_shapes(&ClipSegConfig::known(name).unwrap());
            shapes.iter().map(|(_, shape)| shape.iter().product::<i64>()).sum::<i64>()
        });
        assert_eq!(counts, [150_747_746, 150_693_890, 149_884_418]);
        assert!(ClipSegConfig::known("clipseg-rd32").is_none());
    }
}
