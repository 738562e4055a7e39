//! Which files of a checkpoint folder hold its tensors.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path};

use serde::Deserialize;

use super::WeightsError;
use super::file::{SafetensorsFile, read_text};

const SINGLE_FILE: &str = "model.safetensors";
const INDEX_FILE: &str = "model.safetensors.index.json";

/// Endings of weights in forms that are never loaded.
const UNSAFE_ENDINGS: &[&str] = &["bin", "pt", "pth", "ckpt", "pkl", "pickle", "msgpack", "h5"];

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// Opens the one file, or all shards, of a folder. No tensor is in two of them.
pub(super) fn find(folder: &Path) -> Result<Vec<SafetensorsFile>, WeightsError> {
    if !folder.is_dir() {
        return Err(WeightsError::NoFolder { path: folder.to_owned() });
    }
    let single = folder.join(SINGLE_FILE);
    let index = folder.join(INDEX_FILE);
    if single.exists() {
        Ok(vec![SafetensorsFile::open(&single)?])
    } else if index.exists() {
        open_shards(folder, &index)
    } else {
        let found = unsafe_files(folder);
        let folder = folder.to_owned();
        Err(if found.is_empty() {
            WeightsError::NoWeights { folder }
        } else {
            WeightsError::OnlyUnsafe { folder, found }
        })
    }
}

fn unsafe_files(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut found: Vec<String> = entries
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| {
            path.extension()
                .and_then(|ending| ending.to_str())
                .is_some_and(|ending| UNSAFE_ENDINGS.contains(&ending))
        })
        .filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
        .collect();
    found.sort();
    found
}

/// Whether `name` is a plain file name that stays in its folder on every system.
fn is_plain_file_name(name: &str) -> bool {
    let mut components = Path::new(name).components();
    matches!((components.next(), components.next()), (Some(Component::Normal(_)), None))
        && !name.contains(['/', '\\', '\0'])
}

fn open_shards(folder: &Path, index_path: &Path) -> Result<Vec<SafetensorsFile>, WeightsError> {
    let bad = |reason| WeightsError::BadIndex { path: index_path.to_owned(), reason };
    let Index { weight_map } = serde_json::from_str(&read_text(index_path)?)
        .map_err(|error| bad(format!("expected an object with a weight_map: {error}")))?;

    let names: BTreeSet<&String> = weight_map.values().collect();
    if names.is_empty() {
        return Err(bad("its weight_map is empty".to_owned()));
    }
    if let Some(name) = names.iter().find(|name| !is_plain_file_name(name)) {
        return Err(bad(format!("expected names of files beside the index, found {name:?}")));
    }
    let files = names
        .iter()
        .map(|name| Ok((name.as_str(), SafetensorsFile::open(&folder.join(name))?)))
        .collect::<Result<BTreeMap<_, _>, WeightsError>>()?;

    for (tensor, name) in &weight_map {
        if !files.get(name.as_str()).is_some_and(|file| file.tensors().contains_key(tensor)) {
            return Err(bad(format!("it says that {tensor} is in {name}, which lacks it")));
        }
    }
    for (name, file) in &files {
        for tensor in file.tensors().keys() {
            if weight_map.get(tensor).map(String::as_str) != Some(*name) {
                return Err(bad(format!("{name} holds {tensor}, which it does not say")));
            }
        }
    }
    Ok(files.into_values().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_leave_the_folder_are_not_plain() {
        for name in ["model-00001-of-00002.safetensors", "a", "..a"] {
            assert!(is_plain_file_name(name), "{name:?}");
        }
        for name in ["", ".", "..", "/etc/passwd", "../a", "a/b", "a/", "a\\b", "..\\a", "a\0"] {
            assert!(!is_plain_file_name(name), "{name:?}");
        }
    }
}
