//! The two encoders of a bank, by name or folder.

use owlet::ground::{EncoderId, Identified};
use owlet::hub::ModelDir;
use owlet::tasks::{ImageEncoder, TextEncoder};

use crate::app::Refused;
use crate::app::args::ModelArgs;
use crate::app::settings::{Task, find_model};

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
        let encoder = load_image_encoder(&image_dir, image, how)?;
        let id = identify(&image_dir, image, encoder.dimension())?;
        let image = Identified { encoder, id };
        let encoder = load_text_encoder(&text_dir, text, how)?;
        let id = identify(&text_dir, text, encoder.dimension())?;
        Ok(Self { image, text: Identified { encoder, id } })
    }
}

fn identify(dir: &ModelDir, name: &str, dimension: usize) -> anyhow::Result<EncoderId> {
    Ok(EncoderId { name: name.to_owned(), sha256: dir.weights_sha256()?, dimension })
}

fn load_image_encoder(
    _dir: &ModelDir,
    name: &str,
    _how: &ModelArgs,
) -> anyhow::Result<Box<dyn ImageEncoder>> {
    Err(Refused(format!("{name} encodes no pictures")).into())
}

fn load_text_encoder(
    _dir: &ModelDir,
    name: &str,
    _how: &ModelArgs,
) -> anyhow::Result<Box<dyn TextEncoder>> {
    Err(Refused(format!("{name} encodes no texts")).into())
}
