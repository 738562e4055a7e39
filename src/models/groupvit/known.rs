//! The released checkpoints, by configuration.

use super::config::{IMAGE_DEFAULTS, TEXT_DEFAULTS};
use super::{GroupVitConfig, GroupingConfig};
use crate::nn::{ImageTowerConfig, TextTowerConfig};

/// Names of the released checkpoints whose configurations are known without a file.
pub const KNOWN_NAMES: [&str; 2] = ["groupvit-gcc-yfcc", "groupvit-gcc-redcaps"];

impl GroupVitConfig {
    /// The configuration of the released checkpoint `name`, one of [`KNOWN_NAMES`]; they differ in
    /// their weights only.
    #[must_use]
    pub fn known(name: &str) -> Option<Self> {
        KNOWN_NAMES.contains(&name).then(|| Self {
            text: TextTowerConfig { vocabulary: 49_408, max_tokens: 77, encoder: TEXT_DEFAULTS },
            image: ImageTowerConfig { image_size: 224, patch_size: 16, encoder: IMAGE_DEFAULTS },
            grouping: GroupingConfig {
                depths: vec![6, 3, 3],
                group_tokens: vec![64, 8, 0],
                output_groups: vec![64, 8, 8],
                assign_eps: 1.0,
                mixed_tokens: 192,
                mixed_channels: 1536,
            },
            projection: 256,
            projection_intermediate: 4096,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::groupvit::parameter_shapes;

    /// The count that `transformers` gives for the same configuration
    /// (`sum(p.numel() for p in model.parameters())`).
    #[test]
    fn known_configurations_have_the_published_size() {
        for name in KNOWN_NAMES {
            let shapes = parameter_shapes(&GroupVitConfig::known(name).unwrap());
            let learned = shapes.iter().filter(|(name, _)| !name.contains(".running_"));
            let count = learned.map(|(_, shape)| shape.iter().product::<i64>()).sum::<i64>();
            assert_eq!(count, 55_726_609, "{name}");
        }
        assert!(GroupVitConfig::known("groupvit").is_none());
    }
}
