//! The released checkpoints, by configuration.

use super::{OwlConfig, OwlVersion};
use crate::nn::{Activation, EncoderConfig, ImageTowerConfig, TextTowerConfig};

/// Names of the released checkpoints whose configurations are known without a file.
pub const KNOWN_NAMES: [&str; 5] = [
    "owlvit-base-patch32",
    "owlvit-base-patch16",
    "owlvit-large-patch14",
    "owlv2-base-patch16-ensemble",
    "owlv2-large-patch14-ensemble",
];

impl OwlConfig {
    /// The configuration of the released checkpoint `name`, one of [`KNOWN_NAMES`], as its
    /// `config.json` on the hub gives it.
    #[must_use]
    pub fn known(name: &str) -> Option<Self> {
        let (version, large, image_size, patch_size) = match name {
            "owlvit-base-patch32" => (OwlVersion::OwlVit, false, 768, 32),
            "owlvit-base-patch16" => (OwlVersion::OwlVit, false, 768, 16),
            "owlvit-large-patch14" => (OwlVersion::OwlVit, true, 840, 14),
            "owlv2-base-patch16-ensemble" => (OwlVersion::Owlv2, false, 960, 16),
            "owlv2-large-patch14-ensemble" => (OwlVersion::Owlv2, true, 1008, 14),
            _ => return None,
        };
        // CLIP's B and L: heads of 64 channels, perceptrons four times as wide.
        let encoder = |size: i64, layers: i64| EncoderConfig {
            size,
            intermediate: 4 * size,
            layers,
            heads: size / 64,
            activation: Activation::QuickGelu,
            layer_norm_eps: 1e-5,
        };
        let (text, image) = match large {
            false => (encoder(512, 12), encoder(768, 12)),
            true => (encoder(768, 12), encoder(1024, 24)),
        };
        Some(Self {
            version,
            text: TextTowerConfig { vocabulary: 49_408, max_tokens: 16, encoder: text },
            image: ImageTowerConfig { image_size, patch_size, encoder: image },
            projection: text.size,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::models::owl::parameter_shapes;

    /// What can be pulled by name can be written with random weights, and the other way round.
    #[test]
    fn the_hub_knows_the_same_names() {
        // Encoders have no random checkpoints.
        let encoders = ["vit", "dinov2", "bert", "mpnet"];
        let on_hub: BTreeSet<_> = crate::hub::KNOWN_MODELS
            .iter()
            .filter(|model| !encoders.contains(&model.architecture))
            .map(|model| model.name)
            .collect();
        let known: BTreeSet<_> = crate::models::random::known_names().collect();
        assert_eq!(on_hub, known);
    }

    /// Counts that `transformers` gives for the same configurations
    /// (`sum(p.numel() for p in model.parameters())`).
    #[test]
    fn known_configurations_have_the_published_sizes() {
        let counts = KNOWN_NAMES.map(|name| {
            let shapes = parameter_shapes(&OwlConfig::known(name).unwrap());
            shapes.iter().map(|(_, shape)| shape.iter().product::<i64>()).sum::<i64>()
        });
        assert_eq!(counts, [153_231_879, 152_789_511, 433_888_519, 154_966_792, 437_610_760]);
        assert!(OwlConfig::known("owlvit-huge").is_none());
    }
}
