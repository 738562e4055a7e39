//! `owlet models`: what is there, and what could be.

use std::path::PathBuf;

use serde::Serialize;

use super::dir::entries;
use super::known::{KNOWN_MODELS, KnownModel, OLD_SUFFIX, PARTIAL_SUFFIX};
use super::{HubError, ModelDir, ModelLocations, Verify};

/// Every model that is there, every download that was interrupted, and the known models that are
/// not there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ModelList {
    /// Sorted by folder of the search list, then by name. A name that appears twice is loaded from
    /// its first place.
    pub installed: Vec<InstalledModel>,
    /// Names of folders whose download did not end; `owlet pull` goes on with them.
    pub interrupted: Vec<String>,
    /// Known models that are not there.
    pub available: Vec<KnownModel>,
}

/// A model on this machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InstalledModel {
    /// The name to ask for it by.
    pub name: String,
    /// Its folder.
    pub path: PathBuf,
    /// `model_type` of its `config.json`, where that can be read.
    pub architecture: Option<String>,
    /// Bytes of its files.
    pub size_bytes: u64,
    /// `owner/name` on the hub, for a model that was pulled.
    pub repo: Option<String>,
    /// The commit, for a model that was pulled.
    pub commit: Option<String>,
    /// Whether it comes with Owlet.
    pub builtin: bool,
    /// Whether its files are those that were pulled.
    pub state: ModelState,
}

/// How a model on disk compares with its manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "state", content = "problem")]
pub enum ModelState {
    /// Every file has the digest that it had when it was pulled.
    Verified,
    /// Sizes are right; digests are compared when it is loaded, or by a list that verifies.
    NotYetVerified,
    /// It was not pulled: there is nothing to compare with.
    NoManifest,
    /// It cannot be loaded, and why.
    Broken(String),
}

/// Looks through the folders of the search list.
///
/// With [`Verify::SizesOnly`] nothing is hashed and a model that was not verified since it changed
/// is [`ModelState::NotYetVerified`]; with the others it is hashed now.
///
/// # Errors
/// [`HubError::Io`] when a folder that exists cannot be listed. A model with a problem is no error
/// but a [`ModelState::Broken`].
pub fn list(locations: &ModelLocations, verify: Verify) -> Result<ModelList, HubError> {
    let mut installed = Vec::new();
    let mut interrupted = Vec::new();
    for (index, dir) in locations.search_list().enumerate() {
        if !dir.is_dir() {
            continue;
        }
        let builtin = index > 0 || locations.models_dir.is_none();
        for path in entries(dir)?.into_iter().filter(|path| path.is_dir()) {
            let folder = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if let Some(name) = folder.strip_suffix(PARTIAL_SUFFIX) {
                interrupted.push(name.to_owned());
            } else if !folder.ends_with(OLD_SUFFIX) && !folder.starts_with('.') {
                installed.push(look(path, folder, builtin, verify));
            }
        }
    }
    let is_there = |known: &KnownModel| {
        installed.iter().any(|model| model.name == known.name && !model.is_broken())
    };
    let available = KNOWN_MODELS.iter().filter(|known| !is_there(known)).copied().collect();
    Ok(ModelList { installed, interrupted, available })
}

impl InstalledModel {
    fn is_broken(&self) -> bool {
        matches!(self.state, ModelState::Broken(_))
    }
}

fn look(path: PathBuf, folder: String, builtin: bool, verify: Verify) -> InstalledModel {
    let broken = |error: HubError| ModelState::Broken(error.to_string());
    let model = match ModelDir::open(&path) {
        Ok(model) => model,
        Err(error) => {
            return InstalledModel {
                name: folder,
                path,
                architecture: None,
                size_bytes: 0,
                repo: None,
                commit: None,
                builtin,
                state: broken(error),
            };
        }
    };
    let state = match model.verify(verify) {
        Ok(done) if !done.has_manifest => ModelState::NoManifest,
        Ok(done) if done.unchecked > 0 => ModelState::NotYetVerified,
        Ok(_) => ModelState::Verified,
        Err(error) => broken(error),
    };
    let manifest = model.manifest();
    InstalledModel {
        name: model.name(),
        architecture: model.architecture().map(str::to_owned),
        size_bytes: model.size_on_disk_bytes().unwrap_or_default(),
        repo: manifest.map(|manifest| manifest.repo.clone()),
        commit: manifest.map(|manifest| manifest.commit.clone()),
        builtin,
        state,
        path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn what_is_there_is_listed_with_its_state() {
        let mine = tempfile::tempdir().unwrap();
        let builtin = tempfile::tempdir().unwrap();
        let model = |dir: &std::path::Path, name: &str, files: &[(&str, &str)]| {
            fs::create_dir(dir.join(name)).unwrap();
            for (file, text) in files {
                fs::write(dir.join(name).join(file), text).unwrap();
            }
        };
        let whole = [("config.json", r#"{"model_type": "owlvit"}"#), ("model.safetensors", "123")];
        model(mine.path(), "owlvit-base-patch32", &whole);
        model(mine.path(), "owlvit-base-patch16", &whole[..1]);
        model(mine.path(), "owlvit-large-patch14.partial", &[]);
        model(mine.path(), "something.old", &[]);
        fs::write(mine.path().join(".x.lock"), "").unwrap();
        model(builtin.path(), "owlet-nano", &whole);

        let locations = ModelLocations {
            models_dir: Some(mine.path().to_owned()),
            builtin_dirs: vec![builtin.path().to_owned(), PathBuf::from("/nowhere")],
        };
        let list = list(&locations, Verify::SizesOnly).unwrap();
        let names: Vec<_> = list.installed.iter().map(|model| model.name.as_str()).collect();
        assert_eq!(names, ["owlvit-base-patch16", "owlvit-base-patch32", "owlet-nano"]);
        assert!(list.installed[0].is_broken());
        assert_eq!(list.installed[1].state, ModelState::NoManifest);
        assert_eq!(list.installed[1].architecture.as_deref(), Some("owlvit"));
        assert_eq!(list.installed[1].size_bytes, 24 + 3);
        assert!(!list.installed[1].builtin && list.installed[2].builtin);
        assert_eq!(list.interrupted, ["owlvit-large-patch14"]);
        let available: Vec<_> = list.available.iter().map(|known| known.name).collect();
        assert_eq!(available.len(), KNOWN_MODELS.len() - 1);
        assert!(!available.contains(&"owlvit-base-patch32"));

        let json = serde_json::to_value(&list).unwrap();
        assert_eq!(json["installed"][1]["state"]["state"], "no_manifest");
        let problem = json["installed"][0]["state"]["problem"].as_str().unwrap();
        assert!(problem.contains("lacks model.safetensors"), "{problem}");
    }
}
