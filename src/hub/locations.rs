//! Where models live, and how a name or a path becomes a folder.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::known::PARTIAL_SUFFIX;
use super::{HubError, ModelDir, ModelName, Verify};

/// The folders in which models are looked for. One folder per model in each of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelLocations {
    /// Where `owlet pull` puts models; looked in first. `None` when no setting names one.
    pub models_dir: Option<PathBuf>,
    /// Folders of models that come with Owlet; read only.
    pub builtin_dirs: Vec<PathBuf>,
}

impl ModelLocations {
    /// What this process's environment and the place of its executable say.
    ///
    /// The folder for models is `OWLET_MODELS`, or `owlet/models` under `XDG_DATA_HOME`, or under
    /// `~/.local/share`. Built-in models are looked for in `models` beside the executable, in
    /// `../share/owlet/models` (from `lib/owlet`, where a ROS package has its programs,
    /// `../../share/owlet/models`), and in `models` of the source tree when it runs from `target/`.
    #[must_use]
    pub fn from_env() -> Self {
        let executable = std::env::current_exe().ok();
        Self::from_vars(|name| std::env::var_os(name), executable.as_deref())
    }

    fn from_vars(var: impl Fn(&str) -> Option<OsString>, executable: Option<&Path>) -> Self {
        let set = |name| var(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let models_dir = set("OWLET_MODELS").or_else(|| {
            // The XDG specification tells to ignore a relative path.
            set("XDG_DATA_HOME")
                .filter(|path| path.is_absolute())
                .or_else(|| set("HOME").map(|home| home.join(".local/share")))
                .map(|data| data.join("owlet/models"))
        });
        let mut builtin_dirs = Vec::new();
        if let Some(folder) = executable.and_then(Path::parent) {
            builtin_dirs.push(folder.join("models"));
            let prefix = match folder.parent() {
                Some(lib) if lib.ends_with("lib") => lib.parent(),
                prefix => prefix,
            };
            builtin_dirs.extend(prefix.map(|prefix| prefix.join("share/owlet/models")));
            let target = folder.ancestors().find(|above| above.ends_with("target"));
            builtin_dirs.extend(target.and_then(Path::parent).map(|source| source.join("models")));
        }
        Self { models_dir, builtin_dirs }
    }

    /// Every folder, in the order in which they are searched.
    pub fn search_list(&self) -> impl Iterator<Item = &Path> {
        self.models_dir.iter().chain(&self.builtin_dirs).map(PathBuf::as_path)
    }

    /// The folder of a model that comes with Owlet, by its bare name.
    #[must_use]
    pub fn builtin(&self, name: &str) -> Option<PathBuf> {
        let bare = !name.is_empty() && !name.contains(['/', '\\']) && !name.starts_with('.');
        let mut folders = self.builtin_dirs.iter().map(|dir| dir.join(name));
        bare.then(|| folders.find(|folder| folder.is_dir())).flatten()
    }
}

/// Finds a checkpoint by the path of its folder, its short name or `owner/name`, and checks its
/// files against the manifest that `owlet pull` left.
///
/// A folder that exists under that path is taken before a name is thought of, as in Hugging Face's
/// libraries. A bare name also finds a folder of that name that somebody put among the models.
///
/// # Errors
/// [`HubError::UnknownName`] with the known names, [`HubError::NotPulled`] with the command that
/// fetches it, [`HubError::Incomplete`] with what a folder lacks, [`HubError::SizeChanged`] and
/// [`HubError::DigestChanged`] for a damaged file.
pub fn resolve(
    name_or_path: &str,
    locations: &ModelLocations,
    verify: Verify,
) -> Result<ModelDir, HubError> {
    let folder = find(name_or_path, locations)?;
    let model = ModelDir::open(&folder)?;
    model.verify(verify)?;
    Ok(model)
}

fn find(name_or_path: &str, locations: &ModelLocations) -> Result<PathBuf, HubError> {
    let path = Path::new(name_or_path);
    if path.is_dir() {
        return Ok(path.to_owned());
    }
    if path.is_file() {
        let why = "it is a file: give the folder that holds config.json and model.safetensors";
        return Err(HubError::NotAFolder { path: path.to_owned(), why });
    }
    let looks_like_a_path = name_or_path.starts_with(['.', '/', '~'])
        || name_or_path.ends_with('/')
        || name_or_path.matches('/').count() > 1;
    if looks_like_a_path {
        let why = "there is nothing at this path";
        return Err(HubError::NotAFolder { path: path.to_owned(), why });
    }

    let name = ModelName::parse(name_or_path);
    let folder = match &name {
        Ok(name) => name.folder(),
        // Checked by `parse`: one plain segment.
        Err(HubError::UnknownName { name, .. }) => name.clone(),
        Err(_) => return name.map(|_| PathBuf::new()),
    };
    if let Some(found) =
        locations.search_list().map(|dir| dir.join(&folder)).find(|path| path.is_dir())
    {
        return Ok(found);
    }
    let name = name?;
    let searched: Vec<_> = locations.search_list().map(|dir| dir.display().to_string()).collect();
    let interrupted = locations
        .models_dir
        .as_ref()
        .is_some_and(|dir| dir.join(folder.clone() + PARTIAL_SUFFIX).is_dir());
    Err(HubError::NotPulled {
        name: name.display().to_owned(),
        searched: searched.join(", "),
        interrupted,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vars<'a>(pairs: &'a [(&str, &str)]) -> impl Fn(&str) -> Option<OsString> + 'a {
        |name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value))
    }

    #[test]
    fn the_models_folder_follows_the_environment() {
        let of = |pairs: &[(&str, &str)]| ModelLocations::from_vars(vars(pairs), None).models_dir;
        let all = [("OWLET_MODELS", "m"), ("XDG_DATA_HOME", "/x"), ("HOME", "/h")];
        assert_eq!(of(&all), Some(PathBuf::from("m")));
        assert_eq!(of(&all[1..]), Some(PathBuf::from("/x/owlet/models")));
        assert_eq!(of(&all[2..]), Some(PathBuf::from("/h/.local/share/owlet/models")));
        assert_eq!(of(&[]), None);
        let empty = [("OWLET_MODELS", ""), ("XDG_DATA_HOME", "relative"), ("HOME", "/h")];
        assert_eq!(of(&empty), Some(PathBuf::from("/h/.local/share/owlet/models")));
    }

    #[test]
    fn builtin_models_are_beside_the_executable_or_in_the_source_tree() {
        let of =
            |path: &str| ModelLocations::from_vars(vars(&[]), Some(Path::new(path))).builtin_dirs;
        assert_eq!(
            of("/usr/bin/owlet"),
            [PathBuf::from("/usr/bin/models"), PathBuf::from("/usr/share/owlet/models")]
        );
        assert!(of("/ws/lib/owlet/owlet").contains(&PathBuf::from("/ws/share/owlet/models")));
        assert!(of("/src/target/debug/owlet").contains(&PathBuf::from("/src/models")));
        assert!(of("/src/target/debug/deps/it-1").contains(&PathBuf::from("/src/models")));
    }

    #[test]
    fn a_model_that_comes_along_is_found_by_its_bare_name() {
        let here = tempfile::tempdir().unwrap();
        std::fs::create_dir(here.path().join("nano")).unwrap();
        let locations =
            ModelLocations { models_dir: None, builtin_dirs: vec![here.path().to_owned()] };
        assert_eq!(locations.builtin("nano"), Some(here.path().join("nano")));
        for other in ["", ".", "..", "micro", "a/nano", "nano/"] {
            assert_eq!(locations.builtin(other), None, "{other:?}");
        }
    }

    #[test]
    fn what_is_not_there_is_told_apart() {
        let here = tempfile::tempdir().unwrap();
        let locations = ModelLocations {
            models_dir: Some(here.path().to_owned()),
            builtin_dirs: vec![PathBuf::from("/nowhere/models")],
        };
        let error = |name: &str| resolve(name, &locations, Verify::IfChanged).unwrap_err();

        let known = error("owlvit-base-patch32").to_string();
        assert!(known.contains("`owlet pull owlvit-base-patch32`"), "{known}");
        assert!(known.contains("/nowhere/models"), "{known}");
        assert!(!known.contains("interrupted"), "{known}");
        std::fs::create_dir(here.path().join("owlvit-base-patch32.partial")).unwrap();
        let again = error("google/owlvit-base-patch32").to_string();
        assert!(again.contains("interrupted"), "{again}");

        assert!(matches!(error("a/b"), HubError::NotPulled { .. }));
        assert!(matches!(error("owlvit"), HubError::UnknownName { .. }));
        assert!(matches!(error("./owlvit"), HubError::NotAFolder { .. }));
        assert!(matches!(error("/no/such/folder"), HubError::NotAFolder { .. }));
        assert!(matches!(error("a\\b"), HubError::BadName { .. }));
        let file = here.path().join("pytorch_model.bin");
        std::fs::write(&file, b"x").unwrap();
        let file = error(file.to_str().unwrap()).to_string();
        assert!(file.contains("give the folder"), "{file}");
    }
}
