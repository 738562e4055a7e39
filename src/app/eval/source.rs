//! The dataset and its pictures on the disk.

use std::path::{Path, PathBuf};

use owlet::eval::{Dataset, DatasetError, Remarks};

use super::super::Refused;

/// The annotation file of a folder.
const ANNOTATIONS: &str = "annotations.json";
/// The pictures of a folder, where they are not in the folder itself.
const IMAGES: &str = "images";

/// A dataset and where its pictures are.
pub(in crate::app) struct Source {
    /// The annotation file.
    pub(super) path: PathBuf,
    pub(in crate::app) dataset: Dataset,
    /// What the file names of images are relative to.
    folder: PathBuf,
}

impl Source {
    /// Opens a folder or an annotation file; `images` is where the user says that pictures are.
    pub(in crate::app) fn open(
        path: &Path,
        images: Option<&Path>,
        remarks: &mut Remarks,
    ) -> anyhow::Result<Self> {
        let (file, around) = match path.is_dir() {
            true => (path.join(ANNOTATIONS), path),
            false => (path.to_owned(), path.parent().unwrap_or(Path::new(""))),
        };
        let dataset = Dataset::read(&file, remarks).map_err(refused)?;
        let beside = around.join(IMAGES);
        let folder = match images {
            Some(images) => images.to_owned(),
            // A name may say `images/` by itself.
            None if beside.is_dir() && !is_there(around, &dataset) => beside,
            None => around.to_owned(),
        };
        Ok(Self { path: file, dataset, folder })
    }

    /// The picture of the image at a position.
    pub(in crate::app) fn picture(&self, image: usize) -> PathBuf {
        self.folder.join(&self.dataset.images[image].file_name)
    }

    /// Where pictures are looked for, where not one of them is there.
    pub(super) fn folder_without_pictures(&self) -> Option<&Path> {
        let any = (0..self.dataset.images.len()).any(|image| self.picture(image).exists());
        (!any).then_some(&self.folder)
    }
}

fn is_there(folder: &Path, dataset: &Dataset) -> bool {
    dataset.images.first().is_some_and(|image| folder.join(&image.file_name).exists())
}

/// A file that cannot be read has failed; one that is wrong was refused.
pub(super) fn refused(error: DatasetError) -> anyhow::Error {
    match error {
        DatasetError::Read { .. } => error.into(),
        error => Refused(error.to_string()).into(),
    }
}
