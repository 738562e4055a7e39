//! The released checkpoints, by configuration.

use super::ClipConfig;
use crate::nn::{Activation, EncoderConfig, ImageTowerConfig, TextTowerConfig};

/// Names of the released checkpoints whose configurations are known without a file.
pub const KNOWN_NAMES: [&str; 3] =
    ["clip-vit-base-patch32", "clip-vit-base-patch16", "clip-vit-large-patch14"];

impl ClipConfig {
    /// The configuration of the released checkpoint `name`, one of [`KNOWN_NAMES`].
    #[must_use]
    pub fn known(name: &str) -> Option<Self> {
        let encoder = |size: i64, layers: i64| EncoderConfig {
            size,
            intermediate: 4 * size,
            layers,
            heads: size / 64,
            activation: Activation::QuickGelu,
            layer_norm_eps: 1e-5,
        };
        let (patch_size, text, image) = match name {
            "clip-vit-base-patch32" => (32, encoder(512, 12), encoder(768, 12)),
            "clip-vit-base-patch16" => (16, encoder(512, 12), encoder(768, 12)),
            "clip-vit-large-patch14" => (14, encoder(768, 12), encoder(1024, 24)),
            _ => return None,
        };
        Some(Self {
            text: TextTowerConfig { vocabulary: 49_408, max_tokens: 77, encoder: text },
            image: ImageTowerConfig { image_size: 224, patch_size, encoder: image },
            projection: text.size,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::clip::parameter_shapes;

    /// Counts that `transformers` gives for the same configurations
    /// (`sum(p.numel() for p in model.parameters())`).
    #[test]
    fn known_configurations_have_the_published_sizes() {
        let counts = KNOWN_NAMES.map(|name| {
            let shapes = parameter_shapes(&ClipConfig::known(name).unwrap());
            shapes.iter().map(|(_, shape)| shape.iter().product::<i64>()).sum::<i64>()
        });
        assert_eq!(counts, [151_277_313, 149_620_737, 427_616_513]);
        assert!(ClipConfig::known("clip-vit-base-patch8").is_none());
    }
}
