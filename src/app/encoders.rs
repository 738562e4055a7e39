//! The two encoders of a bank, by name or folder.

use anyhow::Context;
use owlet::ground::encode::{EncoderError, EncoderOptions, load_image_encoder, load_text_encoder};
use owlet::ground::{EncoderId, Identified};
use owlet::hub::ModelDir;
use owlet::nn::DeviceRefused;
use owlet::tasks::{ImageEncoder, TextEncoder};
use owlet::types::{DeviceChoice, DtypeChoice};

use super::Refused;
use super::loading::{Task, find_model, say_what_runs};

/// Where both encoders are, and how they are to run.
#[derive(Clone, Debug)]
pub(crate) struct EncodersSource {
    image: EncoderSource,
    text: EncoderSource,
}

#[derive(Clone, Debug)]
struct EncoderSource {
    dir: ModelDir,
    options: EncoderOptions,
}

/// Both encoders, with what tells them from others.
pub(crate) struct Encoders {
    pub(crate) image: Identified<dyn ImageEncoder>,
    pub(crate) text: Identified<dyn TextEncoder>,
}

impl EncodersSource {
    /// # Errors
    /// Models that are not there.
    pub(crate) fn find(
        image: &str,
        text: &str,
        device: DeviceChoice,
        dtype: DtypeChoice,
        threads: Option<usize>,
    ) -> anyhow::Result<Self> {
        let find = |name: &str| -> anyhow::Result<EncoderSource> {
            let dir = find_model(name, Task::Encode)?;
            let model_dir = dir.path().to_owned();
            let options =
                EncoderOptions { model_dir, name: name.to_owned(), device, dtype, threads };
            Ok(EncoderSource { dir, options })
        };
        Ok(Self { image: find(image)?, text: find(text)? })
    }

    pub(crate) fn dirs(&self) -> [&ModelDir; 2] {
        [&self.image.dir, &self.text.dir]
    }

    /// # Errors
    /// Models that encode something else or cannot be loaded.
    pub(crate) fn load(&self) -> anyhow::Result<Encoders> {
        let Self { image, text } = self;
        let encoder = loaded(load_image_encoder(&image.options), &image.options.name)?;
        say_what_runs(encoder.info());
        let id = image.identify(encoder.dimension())?;
        let of_images = Identified { encoder, id };
        let encoder = loaded(load_text_encoder(&text.options), &text.options.name)?;
        say_what_runs(encoder.info());
        let id = text.identify(encoder.dimension())?;
        Ok(Encoders { image: of_images, text: Identified { encoder, id } })
    }
}

impl EncoderSource {
    fn identify(&self, dimension: usize) -> anyhow::Result<EncoderId> {
        let name = self.options.name.clone();
        Ok(EncoderId { name, sha256: self.dir.weights_sha256()?, dimension })
    }
}

/// A model for something else, and a number format that the device has not, are the user's to
/// change.
fn loaded<E>(encoder: Result<E, EncoderError>, name: &str) -> anyhow::Result<E> {
    encoder
        .map_err(|error| match error {
            EncoderError::Architecture { .. }
            | EncoderError::Threads { .. }
            | EncoderError::Device(DeviceRefused::HalfOnCpu { .. }) => {
                anyhow::Error::new(Refused(error.to_string()))
            }
            error => error.into(),
        })
        .with_context(|| format!("cannot load {name}"))
}
