//! Floor 1: checkpoints on disk and on the hub.
//!
//! A model is a folder in the Hugging Face layout: `config.json`, `model.safetensors` or
//! `model.safetensors.index.json` with its shards, and the files of its preprocessor and tokenizer.
//! [`resolve`] turns a name or a path into such a folder and checks its files; [`pull`] fetches one
//! from the hub; [`list`] tells which are there. Only safetensors is ever fetched or accepted.
//!
//! A folder that was pulled holds two more files: `owlet-manifest.json` (repository, commit, and
//! size and SHA-256 of each file) and `owlet-verified.json` (which files were found right since
//! they last changed).

mod answer;
mod digest;
mod dir;
mod error;
mod fetch;
mod known;
mod list;
mod locations;
mod manifest;
mod partial;
mod patience;
mod pull;
mod remote;
mod settings;
mod verify;

pub use digest::sha256_of;
pub use dir::ModelDir;
pub use error::HubError;

pub use known::{KNOWN_MODELS, KnownModel, ModelName, split_revision};
pub use list::{InstalledModel, ModelList, ModelState, list};
pub use locations::{ModelLocations, resolve};
pub use manifest::{MANIFEST_FILE, Manifest, ManifestFile};
pub use patience::PullEvent;
pub use pull::{PullRequest, pull};
pub use settings::{HubSettings, RetrySettings, Token};
pub use verify::{Verification, Verify};
