//! ViT (Dosovitskiy et al. 2020, arXiv:2010.11929), as it was trained with labels, by DINO (Caron
//! et al. 2021, arXiv:2104.14294) and by DINOv2 (Oquab et al. 2023, arXiv:2304.07193): a picture
//! to one vector for the whole and one for each patch.
//!
//! Held against `transformers` 5.23.0, `models/vit/modeling_vit.py` (`ViTModel`) and
//! `models/dinov2/modeling_dinov2.py` (`Dinov2Model`), and against timm 1.0.31,
//! `models/vision_transformer.py` (`VisionTransformer.forward_features`).
//!
//! The vector of a picture is that of the class token after the last layer norm, which is what
//! DINO and DINOv2 are compared by in their papers and what timm's `forward_head(pre_logits=True)`
//! gives. The `pooler` of `transformers` is trained for nothing but a classifier; it and
//! classifiers may be in a checkpoint and are not used.

mod config;
mod layers;

use std::path::Path;

use tch::{Device, Kind, TchError, Tensor, no_grad};

pub use config::{FeedForward, VitConfig, VitFamily};

use super::inputs::check_pixel_values_of;
use super::{ConfigError, ForwardError, LoadError};
use crate::nn::{self, Scope};
use crate::weights::Weights;
use layers::Network;

/// A ViT for pictures of one size.
#[derive(Debug)]
pub struct Vit {
    config: VitConfig,
    canvas_height: i64,
    canvas_width: i64,
    device: Device,
    kind: Kind,
    parameters: u64,
    network: Network,
    /// `[1 + patches, size]` for the grid of that size.
    positions: Tensor,
}

impl Vit {
    /// Loads a folder: `config.json` and safetensors. The weights are converted to `kind` and
    /// moved to `device`. Pictures will be of `canvas_size_px` (width, height); where that has
    /// another grid than the one that positions were learned for, their embeddings are stretched
    /// to it, as in the reference.
    ///
    /// # Errors
    /// A configuration that cannot be used, pictures smaller than a patch, weights that do not fit
    /// (every key at once), a device without room.
    pub fn load(
        folder: &Path,
        canvas_size_px: (u32, u32),
        device: Device,
        kind: Kind,
    ) -> Result<Self, LoadError> {
        let config = VitConfig::open(folder)?;
        let (canvas_width, canvas_height) =
            (i64::from(canvas_size_px.0), i64::from(canvas_size_px.1));
        let shorter = canvas_width.min(canvas_height);
        if shorter < config.patch_size {
            let found = config.patch_size;
            return Err(LoadError::Config(ConfigError::Values {
                path: folder.join("config.json"),
                problems: vec![format!(
                    "patch_size: expected at most the side of the pictures ({shorter}), found \
                     {found}"
                )],
            }));
        }
        let weights = Weights::open(folder)?;
        let prefix = prefix_of(&config, &weights);
        let loader = weights.loader(device, kind).ignoring(unused(&config, prefix));
        let root = Scope::root(&loader);
        let network = match prefix {
            Some(prefix) => Network::new(&root.at(prefix), &config),
            None => Network::new(&root, &config),
        };
        let parameters = loader.finish()?;
        let (rows, columns) = (canvas_height / config.patch_size, canvas_width / config.patch_size);
        let positions = no_grad(|| {
            let learned = network.position_embeddings.f_squeeze_dim(0)?;
            if (rows, columns) == (config.grid(), config.grid()) {
                return Ok(learned);
            }
            nn::stretch_positions(&learned, config.grid(), (rows, columns))
        })?;
        Ok(Self {
            config,
            canvas_height,
            canvas_width,
            device,
            kind,
            parameters,
            network,
            positions,
        })
    }

    /// The configuration it was loaded from.
    #[must_use]
    pub fn config(&self) -> &VitConfig {
        &self.config
    }

    /// Where it runs.
    #[must_use]
    pub fn device(&self) -> Device {
        self.device
    }

    /// The number format of its weights.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Number of learned parameters in use.
    #[must_use]
    pub fn parameters(&self) -> u64 {
        self.parameters
    }

    /// Patches along the height and along the width of its pictures.
    #[must_use]
    pub fn grid(&self) -> (i64, i64) {
        let patch_size = self.config.patch_size;
        (self.canvas_height / patch_size, self.canvas_width / patch_size)
    }

    /// Runs the network.
    ///
    /// `pixel_values` is `[batch, 3, height, width]` of the size that it was loaded for, normalised
    /// as the checkpoint asks for, in any float format and on any device. The result is
    /// `[batch, 1 + patches, size]` in the model's number format, after the last layer norm: the
    /// class token, then the patches row by row. `last_hidden_state` of the reference.
    ///
    /// # Errors
    /// Another shape, what libtorch reports.
    pub fn tokens(&self, pixel_values: &Tensor) -> Result<Tensor, ForwardError> {
        check_pixel_values_of(pixel_values, (self.canvas_height, self.canvas_width))?;
        no_grad(|| -> Result<Tensor, TchError> {
            let pixel_values = pixel_values.f_to_device_(self.device, self.kind, false, false)?;
            let patches = self.network.patch_embedding.forward(&pixel_values)?;
            let (batch, _, size) = patches.size3()?;
            let class = self.network.class_token.f_expand([batch, 1, size], false)?;
            let x = Tensor::f_cat(&[class, patches], 1)?.f_add(&self.positions)?;
            let x = self.network.layers.iter().try_fold(x, |x, layer| layer.forward(&x))?;
            self.network.norm.forward(&x)
        })
        .map_err(ForwardError::from)
    }
}

/// What stands before the keys of the network in a checkpoint that was saved with a head.
fn prefix_of(config: &VitConfig, weights: &Weights) -> Option<&'static str> {
    let prefix = match config.family {
        VitFamily::Vit => "vit",
        VitFamily::Dinov2 => "dinov2",
        VitFamily::Timm => return None,
    };
    let first = format!("{prefix}.embeddings.cls_token");
    weights.names().any(|name| name == first).then_some(prefix)
}

/// Keys that a checkpoint may have for tasks that it is not loaded for.
fn unused(config: &VitConfig, prefix: Option<&str>) -> Vec<String> {
    let place = prefix.map(|prefix| format!("{prefix}.")).unwrap_or_default();
    let pair = |layer: String| [format!("{layer}.weight"), format!("{layer}.bias")];
    match config.family {
        VitFamily::Timm => pair("head".to_owned()).to_vec(),
        VitFamily::Vit | VitFamily::Dinov2 => {
            let mut names = vec![format!("{place}embeddings.mask_token")];
            names.extend(pair(format!("{place}pooler.dense")));
            names.extend(pair("classifier".to_owned()));
            names
        }
    }
}
