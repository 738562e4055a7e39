//! Floor 3: strict loading of checkpoints.
//!
//! Only safetensors is ever read: a pickle can run code when it is opened. [`Weights::open`] finds
//! the file or the shards of a Hugging Face folder and reads their headers; [`Weights::loader`]
//! gives blocks their tensors; [`Loader::finish`] tells, for all keys at once, what was missing,
//! left over, wrongly shaped or of a wrong type.
//!
//! Tensors are read by position and not mapped into memory, so that a file which is cut short
//! while it is being read is an error and not a signal that ends the process.

mod error;
mod file;
mod folder;
mod loader;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tch::{Device, Kind};

pub use error::{KeyProblems, NotSafetensors, WeightsError, WrongDtype, WrongShape};
pub use file::SafetensorsFile;
pub use loader::Loader;

use file::StoredTensor;

/// The learned tensors of one checkpoint folder: headers are read, data is not yet.
#[derive(Debug)]
pub struct Weights {
    folder: PathBuf,
    files: Vec<SafetensorsFile>,
    /// Where each tensor is: the index into `files`, and what that file says about it.
    tensors: BTreeMap<String, (usize, StoredTensor)>,
}

impl Weights {
    /// Opens `model.safetensors`, or the shards that `model.safetensors.index.json` lists, in
    /// `folder`.
    ///
    /// # Errors
    /// A folder or file that is missing, a file that is not safetensors (a pickle is named as
    /// such), a header that is damaged or disagrees with the file's length, an index that names a
    /// file outside the folder or disagrees with its shards.
    pub fn open(folder: &Path) -> Result<Self, WeightsError> {
        let files = folder::find(folder)?;
        let mut tensors = BTreeMap::new();
        for (index, file) in files.iter().enumerate() {
            for (name, tensor) in file.tensors() {
                tensors.insert(name.clone(), (index, tensor.clone()));
            }
        }
        Ok(Self { folder: folder.to_owned(), files, tensors })
    }

    /// Names of all stored tensors, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// Starts giving tensors to blocks, converted to `kind` and moved to `device`.
    #[must_use]
    pub fn loader(self, device: Device, kind: Kind) -> Loader {
        Loader::new(self, device, kind)
    }
}
