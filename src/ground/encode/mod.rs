//! Frozen encoders: pictures and texts to vectors.
//!
//! [`load_image_encoder`] and [`load_text_encoder`] look at a checkpoint's architecture and load
//! what it is. Whoever uses the vectors needs no torch.

mod bert;
mod clip;
mod error;
mod owl;
mod pictures;
mod vit;

use std::path::PathBuf;

use tch::{Device, Kind};

pub use bert::BertEncoder;
pub use clip::ClipEncoder;
pub use error::EncoderError;
pub use owl::OwlTowerEncoder;
pub use vit::VitEncoder;

pub use crate::tasks::PatchVectors;

use crate::models;
use crate::nn::{load_cuda_backend, resolve_device};
use crate::tasks::{ImageEncoder, TextEncoder};
use crate::types::{DeviceChoice, DtypeChoice};

/// What to load and how to run it.
#[derive(Clone, Debug, PartialEq)]
pub struct EncoderOptions {
    /// The checkpoint's folder.
    pub model_dir: PathBuf,
    /// What the model is called in outputs.
    pub name: String,
    /// Where to run it.
    pub device: DeviceChoice,
    /// The number format of its weights.
    pub dtype: DtypeChoice,
    /// CPU threads for libtorch and for preprocessing; `None` leaves libtorch its own choice. For
    /// the whole process. From 1 to 1024.
    pub threads: Option<usize>,
}

impl EncoderOptions {
    /// Device and number format chosen automatically.
    #[must_use]
    pub fn new(model_dir: impl Into<PathBuf>, name: impl Into<String>) -> Self {
        Self {
            model_dir: model_dir.into(),
            name: name.into(),
            device: DeviceChoice::Auto,
            dtype: DtypeChoice::Auto,
            threads: None,
        }
    }

    /// The device and the number format, once the rest was checked.
    fn resolve(&self) -> Result<(Device, Kind), EncoderError> {
        if let Some(found) = self.threads.filter(|threads| !(1..=1024).contains(threads)) {
            return Err(EncoderError::Threads { found });
        }
        load_cuda_backend();
        Ok(resolve_device(self.device, self.dtype)?)
    }

    /// Tells libtorch how many threads to use, once a model is loaded.
    fn set_threads(&self) {
        if let Some(threads) = self.threads.and_then(|threads| i32::try_from(threads).ok()) {
            tch::set_num_threads(threads);
        }
    }
}

/// Loads what a checkpoint is for pictures: ViT, DINO and DINOv2 (`transformers`), a plain ViT of
/// timm, CLIP, or the image tower of OWL-ViT and OWLv2.
///
/// # Errors
/// An option out of range, a device that is not there, another architecture, and every way in
/// which the folder is not a checkpoint that can be run.
pub fn load_image_encoder(options: &EncoderOptions) -> Result<Box<dyn ImageEncoder>, EncoderError> {
    match models::architecture(&options.model_dir)?.as_str() {
        "vit" | "dinov2" | "timm" => Ok(Box::new(VitEncoder::load(options)?)),
        "clip" => Ok(Box::new(ClipEncoder::load(options)?)),
        "owlvit" | "owlv2" => Ok(Box::new(OwlTowerEncoder::load(options)?)),
        other => Err(EncoderError::Architecture {
            model_dir: options.model_dir.clone(),
            encodes: "pictures",
            expected: "vit, dinov2, clip, owlvit or owlv2, or an architecture of timm",
            found: other.to_owned(),
        }),
    }
}

/// Loads what a checkpoint is for texts: BERT, MPNet or CLIP.
///
/// # Errors
/// As [`load_image_encoder`].
pub fn load_text_encoder(options: &EncoderOptions) -> Result<Box<dyn TextEncoder>, EncoderError> {
    match models::architecture(&options.model_dir)?.as_str() {
        "bert" | "mpnet" => Ok(Box::new(BertEncoder::load(options)?)),
        "clip" => Ok(Box::new(ClipEncoder::load(options)?)),
        other => Err(EncoderError::Architecture {
            model_dir: options.model_dir.clone(),
            encodes: "texts",
            expected: "bert, mpnet or clip",
            found: other.to_owned(),
        }),
    }
}
