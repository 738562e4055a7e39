//! The two encoders of a bank, by name or folder.

use anyhow::Context;
use owlet::ground::encode::{EncoderError, EncoderOptions, load_image_encoder, load_text_encoder};
use owlet::ground::{EncoderId, Identified};
use owlet::hub::ModelDir;
use owlet::nn::DeviceRefused;
use owlet::tasks::{ImageEncoder, TextEncoder};

use crate::app::Refused;
use crate::app::args::ModelArgs;
use crate::app::loading::{Task, find_model, say_what_runs};

/// Both encoders, with what tells them from others.
pub(super) struct Encoders {
    pub(super) image: Identified<dyn ImageEncoder>,
    pub(super) text: Identified<dyn TextEncoder>,
}

impl Encoders {
    /// # Errors
    /// Models that are not there or encode nothing.
    pub(super) fn load(image: &str, text: &str, how: &ModelArgs) -> anyhow::Result<Self> {
        let image_dir = find_model(image, Task::Encode)?;
        let text_dir = find_model(text, Task::Encode)?;
        let encoder = loaded(load_image_encoder(&options(&image_dir, image, how)), image)?;
        say_what_runs(encoder.info());
        let id = identify(&image_dir, image, encoder.dimension())?;
        let image = Identified { encoder, id };
        let encoder = loaded(load_text_encoder(&options(&text_dir, text, how)), text)?;
        say_what_runs(encoder.info());
        let id = identify(&text_dir, text, encoder.dimension())?;
        Ok(Self { image, text: Identified { encoder, id } })
    }
}

fn options(dir: &ModelDir, name: &str, how: &ModelArgs) -> EncoderOptions {
    let mut options = EncoderOptions::new(dir.path(), name);
    options.device = how.device.unwrap_or(options.device);
    options.dtype = how.dtype.unwrap_or(options.dtype);
    options
}

/// A model for something else, and a number format that the device has not, are the user's to
/// change.
fn loaded<E>(encoder: Result<E, EncoderError>, name: &str) -> anyhow::Result<E> {
    encoder
        .map_err(|error| match error {
            EncoderError::Architecture { .. }
            | EncoderError::Device(DeviceRefused::HalfOnCpu { .. }) => {
                anyhow::Error::new(Refused(error.to_string()))
            }
            error => error.into(),
        })
        .with_context(|| format!("cannot load {name}"))
}

fn identify(dir: &ModelDir, name: &str, dimension: usize) -> anyhow::Result<EncoderId> {
    Ok(EncoderId { name: name.to_owned(), sha256: dir.weights_sha256()?, dimension })
}
