//! A checkpoint's folder in the Hugging Face layout.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::HubError;
use super::digest::{sha256_of, sha256_of_text};
use super::manifest::{MANIFEST_FILE, Manifest};
use super::verify::{self, Verification, Verify};

pub(super) const CONFIG_FILE: &str = "config.json";
pub(super) const WEIGHTS_FILE: &str = "model.safetensors";
pub(super) const INDEX_FILE: &str = "model.safetensors.index.json";

/// The one file below a checkpoint's folder: how a sentence encoder pools its tokens.
pub(super) const POOLING_FILE: &str = "1_Pooling/config.json";

/// No JSON file of a checkpoint comes near; a file beyond it is not read into memory.
const JSON_LIMIT_BYTES: u64 = 64 << 20;

/// The largest published checkpoints have a few hundred shards.
const SHARD_LIMIT: usize = 4096;

/// A checkpoint on disk whose layout was checked: `config.json` is a JSON object and all files of
/// its weights are there. What is in the weights is checked by whoever loads them.
#[derive(Clone, Debug)]
pub struct ModelDir {
    path: PathBuf,
    architecture: Option<String>,
    weight_files: Vec<PathBuf>,
    manifest: Option<Manifest>,
}

#[derive(Deserialize)]
struct ConfigHead {
    model_type: Option<String>,
}

impl ModelDir {
    /// Checks the layout of a folder. No digest is computed: see [`verify`](Self::verify).
    ///
    /// # Errors
    /// [`HubError::NotAFolder`]; [`HubError::Incomplete`] with everything that is missing and the
    /// pickles that are there instead; [`HubError::BadFile`] for JSON that is none;
    /// [`HubError::UnsafeFileName`] for a shard outside of the folder.
    pub fn open(path: &Path) -> Result<Self, HubError> {
        if !path.is_dir() {
            let why = "there is no folder at this path";
            return Err(HubError::NotAFolder { path: path.to_owned(), why });
        }
        let mut missing = Vec::new();
        let config_path = path.join(CONFIG_FILE);
        let has_config = config_path.is_file();
        if !has_config {
            missing.push(CONFIG_FILE.to_owned());
        }
        let index_path = path.join(INDEX_FILE);
        let mut weight_files = Vec::new();
        // Where both are there, the single file wins, as in transformers.
        if path.join(WEIGHTS_FILE).is_file() {
            weight_files.push(path.join(WEIGHTS_FILE));
        } else if index_path.is_file() {
            for shard in shard_names(&index_path, &index_path.display().to_string())? {
                let shard_path = path.join(&shard);
                if !shard_path.is_file() {
                    missing.push(shard);
                }
                weight_files.push(shard_path);
            }
        } else {
            missing.push(format!("{WEIGHTS_FILE} (or {INDEX_FILE})"));
        }
        if !missing.is_empty() {
            let pickles = if weight_files.is_empty() { pickles_in(path)? } else { Vec::new() };
            return Err(HubError::Incomplete { folder: path.to_owned(), missing, pickles });
        }
        let head: ConfigHead = read_json(&config_path)?;
        Ok(Self {
            path: path.to_owned(),
            architecture: head.model_type,
            weight_files,
            manifest: Manifest::read(path)?,
        })
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The name that people use for it: that of its manifest, or the folder's.
    #[must_use]
    pub fn name(&self) -> String {
        if let Some(manifest) = &self.manifest
            && let Ok(name) = super::ModelName::parse(&manifest.repo)
        {
            return name.display().to_owned();
        }
        // `.` and `models/..` have no last part of their own.
        let full = self.path.canonicalize().unwrap_or_else(|_| self.path.clone());
        full.file_name().unwrap_or(full.as_os_str()).to_string_lossy().into_owned()
    }

    /// `model_type` of `config.json` (`owlvit`, `owlv2`).
    #[must_use]
    pub fn architecture(&self) -> Option<&str> {
        self.architecture.as_deref()
    }

    /// The path of `config.json`.
    #[must_use]
    pub fn config_path(&self) -> PathBuf {
        self.path.join(CONFIG_FILE)
    }

    /// The safetensors files: one, or the shards sorted by name.
    #[must_use]
    pub fn weight_files(&self) -> &[PathBuf] {
        &self.weight_files
    }

    /// What tells the weights from all others: SHA-256 of the file, or of the digests of all shards
    /// in the order of their names. Reads all of them.
    ///
    /// # Errors
    /// [`HubError::Io`] where one cannot be read.
    pub fn weights_sha256(&self) -> Result<String, HubError> {
        match self.weight_files() {
            [file] => sha256_of(file),
            shards => {
                let digests = shards.iter().map(|shard| sha256_of(shard));
                Ok(sha256_of_text(&digests.collect::<Result<String, _>>()?))
            }
        }
    }

    /// The path of another file of the folder (`preprocessor_config.json`, `tokenizer.json`), if
    /// it is there.
    #[must_use]
    pub fn file(&self, name: &str) -> Option<PathBuf> {
        Some(self.path.join(name)).filter(|path| path.is_file())
    }

    /// Where it came from; `None` for a folder that `owlet pull` did not make.
    #[must_use]
    pub fn manifest(&self) -> Option<&Manifest> {
        self.manifest.as_ref()
    }

    /// Compares the files with the manifest. A folder without a manifest has nothing to be
    /// compared with and passes.
    ///
    /// # Errors
    /// [`HubError::SizeChanged`] or [`HubError::DigestChanged`] for the first damaged file,
    /// [`HubError::Incomplete`] for one that is gone, [`HubError::BadFile`] for weights that the
    /// manifest does not list, [`HubError::Io`].
    pub fn verify(&self, how: Verify) -> Result<Verification, HubError> {
        let Some(manifest) = &self.manifest else {
            return Ok(Verification::no_manifest());
        };
        // What is loaded must be what was fetched, not something put beside it.
        for path in self.weight_files.iter().chain([&self.config_path()]) {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if manifest.file(name).is_none() {
                let why = format!("it was not fetched with the rest: {MANIFEST_FILE} lacks it");
                return Err(HubError::BadFile { path: path.clone(), why });
            }
        }
        verify::verify(&self.path, manifest, how)
    }

    /// Bytes of all files in the folder.
    ///
    /// # Errors
    /// [`HubError::Io`] when the folder cannot be read.
    pub fn size_on_disk_bytes(&self) -> Result<u64, HubError> {
        let mut sum = 0;
        for entry in entries(&self.path)? {
            // Through links: in a Hugging Face cache each file is a link to its bytes.
            sum += fs::metadata(&entry).ok().filter(fs::Metadata::is_file).map_or(0, |m| m.len());
        }
        Ok(sum)
    }
}

/// The shards that an index names, sorted, each a plain file name.
///
/// `listed_in` is how messages call the index.
pub(super) fn shard_names(index: &Path, listed_in: &str) -> Result<BTreeSet<String>, HubError> {
    #[derive(Deserialize)]
    struct Index {
        weight_map: std::collections::BTreeMap<String, String>,
    }
    let parsed: Index = read_json(index)?;
    let names: BTreeSet<String> = parsed.weight_map.into_values().collect();
    if let Some(name) = names.iter().find(|name| !is_plain_shard_name(name)) {
        let listed_in = listed_in.to_owned();
        return Err(HubError::UnsafeFileName { listed_in, name: name.clone() });
    }
    let why = match names.len() {
        0 => "weight_map names no file".to_owned(),
        1..=SHARD_LIMIT => return Ok(names),
        many => format!("weight_map names {many} files, more than {SHARD_LIMIT}"),
    };
    Err(HubError::BadFile { path: index.to_owned(), why })
}

fn is_plain_shard_name(name: &str) -> bool {
    name.ends_with(".safetensors") && is_plain_name(name)
}

/// Whether a name stays inside its folder on every system and in every URL.
pub(super) fn is_plain_name(name: &str) -> bool {
    name.len() <= 200
        && !name.starts_with(['.', '-'])
        && !name.is_empty()
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

/// Whether a path is that of a file that a checkpoint may have: a plain name, or the one file
/// below the folder.
pub(super) fn is_checkpoint_path(path: &str) -> bool {
    is_plain_name(path) || path == POOLING_FILE
}

/// Whether a file name is that of weights in a format that is never loaded: pickles, and the
/// formats of other frameworks.
pub(super) fn is_foreign_weights(name: &str) -> bool {
    let extension = Path::new(name).extension().and_then(|extension| extension.to_str());
    let formats = ["bin", "pt", "pth", "ckpt", "pkl", "pickle", "h5", "msgpack"];
    extension.is_some_and(|extension| formats.contains(&extension.to_ascii_lowercase().as_str()))
}

/// Reads a JSON file of bounded size.
pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, HubError> {
    let failed = |source| HubError::io("read", path, source);
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(JSON_LIMIT_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    let bad = |why| HubError::BadFile { path: path.to_owned(), why };
    if bytes.len() as u64 > JSON_LIMIT_BYTES {
        return Err(bad(format!("larger than {} MiB", JSON_LIMIT_BYTES >> 20)));
    }
    serde_json::from_slice(&bytes).map_err(|error| bad(format!("not the JSON expected: {error}")))
}

/// The paths in a folder, sorted.
pub(super) fn entries(folder: &Path) -> Result<Vec<PathBuf>, HubError> {
    let failed = |source| HubError::io("list", folder, source);
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        paths.push(entry.map_err(failed)?.path());
    }
    paths.sort();
    Ok(paths)
}

fn pickles_in(folder: &Path) -> Result<Vec<String>, HubError> {
    let names = entries(folder)?;
    let names = names.iter().filter_map(|path| path.file_name()?.to_str());
    Ok(names.filter(|name| is_foreign_weights(name)).map(str::to_owned).collect())
}

/// Whether a file of the folder is Owlet's own bookkeeping.
pub(super) fn is_bookkeeping(name: &str) -> bool {
    [MANIFEST_FILE, verify::VERIFIED_FILE, super::partial::STATE_FILE].contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    fn lacks(files: &[(&str, &str)]) -> (Vec<String>, Vec<String>) {
        match ModelDir::open(folder(files).path()).unwrap_err() {
            HubError::Incomplete { missing, pickles, .. } => (missing, pickles),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_whole_folder_opens() {
        let folder = folder(&[
            ("config.json", r#"{"model_type": "owlvit"}"#),
            ("model.safetensors", "weights"),
            ("tokenizer.json", "{}"),
        ]);
        let model = ModelDir::open(folder.path()).unwrap();
        assert_eq!(model.architecture(), Some("owlvit"));
        assert_eq!(model.weight_files(), [folder.path().join("model.safetensors")]);
        assert_eq!(model.file("tokenizer.json"), Some(folder.path().join("tokenizer.json")));
        assert_eq!(model.file("vocab.json"), None);
        assert_eq!(model.size_on_disk_bytes().unwrap(), 24 + 7 + 2);
        assert!(model.manifest().is_none());
        assert!(!model.verify(Verify::Full).unwrap().has_manifest);
        let folder_name = folder.path().file_name().unwrap().to_str().unwrap();
        assert_eq!(model.name(), folder_name);
    }

    #[test]
    fn shards_are_found_through_their_index() {
        let index = r#"{"weight_map": {"a": "model-2.safetensors", "b": "model-1.safetensors", "c": "model-2.safetensors"}}"#;
        let config = ("config.json", r#"{"model_type": "owlv2"}"#);
        let one = ("model-1.safetensors", "1");
        let whole = folder(&[config, (INDEX_FILE, index), one, ("model-2.safetensors", "2")]);
        let model = ModelDir::open(whole.path()).unwrap();
        let names = ["model-1.safetensors", "model-2.safetensors"];
        assert_eq!(model.weight_files(), names.map(|name| whole.path().join(name)));
        let (missing, _) = lacks(&[config, (INDEX_FILE, index), one]);
        assert_eq!(missing, ["model-2.safetensors"]);
    }

    #[test]
    fn what_is_missing_is_named() {
        let (missing, pickles) = lacks(&[("pytorch_model.bin", "x"), ("README.md", "x")]);
        assert_eq!(missing.len(), 2, "{missing:?}");
        assert!(missing[0] == "config.json" && missing[1].starts_with("model.safetensors"));
        assert_eq!(pickles, ["pytorch_model.bin"]);
        let (missing, pickles) = lacks(&[("model.safetensors", "x")]);
        assert_eq!((missing, pickles), (vec!["config.json".to_owned()], vec![]));
    }

    #[test]
    fn a_config_that_is_no_json_is_refused() {
        for text in ["", "{", "[1]", r#"{"model_type": 3}"#] {
            let folder = folder(&[("config.json", text), ("model.safetensors", "x")]);
            let error = ModelDir::open(folder.path()).unwrap_err();
            assert!(matches!(error, HubError::BadFile { .. }), "{text}: {error:?}");
        }
    }

    #[test]
    fn shards_outside_of_the_folder_are_refused() {
        for name in [
            "../model.safetensors",
            "/etc/model.safetensors",
            "a/b.safetensors",
            "a\\b.safetensors",
            ".hidden.safetensors",
            "model.bin",
            "",
        ] {
            let index = serde_json::json!({"weight_map": {"w": name}}).to_string();
            let folder = folder(&[("config.json", "{}"), (INDEX_FILE, &index)]);
            let error = ModelDir::open(folder.path()).unwrap_err();
            assert!(matches!(error, HubError::UnsafeFileName { .. }), "{name}: {error:?}");
        }
    }
}
