//! Exemplars of prompts: pictures by name or as data URL, and boxes.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::problem::Problems;
use super::super::yaml::{Node, Value};
use super::{check_keys, find};
use crate::types::{Exemplar, ExemplarPicture, PixelBox};
use crate::vision::exemplar::{is_data_url, picture_of_data_url, picture_of_file};

const KEYS: [&str; 2] = ["image", "box"];

/// Where the pictures of a set come from. Each file is read once.
pub(super) struct Pictures<'a> {
    /// That of the prompts file; `None` for a message, which may not name files of this machine.
    folder: Option<&'a Path>,
    read: HashMap<PathBuf, Option<Arc<ExemplarPicture>>>,
}

impl<'a> Pictures<'a> {
    /// Beside the prompts file at `path`, and as data URLs.
    pub(super) fn beside(path: &'a Path) -> Self {
        Self { folder: Some(path.parent().unwrap_or(Path::new(""))), read: HashMap::new() }
    }

    /// As data URLs only.
    pub(super) fn in_message() -> Self {
        Self { folder: None, read: HashMap::new() }
    }

    /// Whether the set came as a message.
    pub(super) fn are_in_message(&self) -> bool {
        self.folder.is_none()
    }

    /// Exemplars of one prompt; those that were refused are left out.
    pub(super) fn exemplars(
        &mut self,
        node: &Node,
        path: &str,
        problems: &mut Problems,
    ) -> Vec<Exemplar> {
        let Value::List(items) = &node.value else {
            problems.add(path, Some(node.line), "a list of exemplars", node.value.to_string());
            return Vec::new();
        };
        let one = |(index, item): (usize, &Node)| {
            self.exemplar(item, &format!("{path}[{index}]"), problems)
        };
        items.iter().enumerate().filter_map(one).collect()
    }

    fn exemplar(&mut self, item: &Node, path: &str, problems: &mut Problems) -> Option<Exemplar> {
        let Value::Map(entries) = &item.value else {
            let picture = self.picture(item, path, problems)?;
            return Some(Exemplar { picture, box_in_source_px: None });
        };
        check_keys(path, entries, &KEYS, problems);
        let corners =
            find(entries, "box").map(|node| corners(node, &format!("{path}.box"), problems));
        let Some(image) = find(entries, "image") else {
            problems.add(path, Some(item.line), "`image`", "no such key");
            return None;
        };
        let picture = self.picture(image, &format!("{path}.image"), problems)?;
        let box_in_source_px = match corners {
            Some(corners) => Some(corners?),
            None => None,
        };
        Some(Exemplar { picture, box_in_source_px })
    }

    fn picture(
        &mut self,
        node: &Node,
        path: &str,
        problems: &mut Problems,
    ) -> Option<Arc<ExemplarPicture>> {
        let mut refuse = |found: String| {
            problems.add(path, Some(node.line), "a picture (JPEG or PNG)", found);
            None
        };
        let text = match &node.value {
            Value::Text(text) if !text.trim().is_empty() => text,
            other => {
                let expected = "the name of a picture, or a data URL";
                problems.add(path, Some(node.line), expected, other.to_string());
                return None;
            }
        };
        if is_data_url(text) {
            return match picture_of_data_url(text) {
                Ok(picture) => Some(Arc::new(picture)),
                Err(error) => refuse(error.to_string()),
            };
        }
        let Some(folder) = self.folder else {
            let expected =
                "a data URL (data:image/png;base64,…): only a file of prompts names files";
            problems.add(path, Some(node.line), expected, node.value.to_string());
            return None;
        };
        let file = folder.join(text);
        if let Some(known) = self.read.get(&file) {
            return known.clone();
        }
        let picture = match picture_of_file(&file) {
            Ok(picture) => Some(Arc::new(picture)),
            Err(error) => refuse(error.to_string()),
        };
        self.read.insert(file, picture.clone());
        picture
    }
}

fn corners(node: &Node, path: &str, problems: &mut Problems) -> Option<PixelBox> {
    let number = |node: &Node| match node.value {
        Value::Number(number) if number.is_finite() => Some(number as f32),
        Value::Integer(integer) => Some(integer as f32),
        _ => None,
    };
    let items = match &node.value {
        Value::List(items) => items.as_slice(),
        _ => &[],
    };
    let corners: Option<Vec<f32>> = items.iter().map(number).collect();
    if let Some(&[x0, y0, x1, y1]) = corners.as_deref() {
        return Some(PixelBox::from_corners([x0, y0, x1, y1]));
    }
    let found = match items.iter().position(|item| number(item).is_none()) {
        // NaN and infinity are nothing in JSON, as which messages come here.
        Some(at) => format!("{} as number {} of {}", items[at].value, at + 1, items.len()),
        None => node.value.to_string(),
    };
    let expected = "four numbers, x0, y0, x1, y1 in pixels of the picture";
    problems.add(path, Some(node.line), expected, found);
    None
}
