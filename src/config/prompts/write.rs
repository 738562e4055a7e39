//! Prompts as text.

use std::path::Path;

use crate::types::{Exemplar, ExemplarPicture, FinerLabel, Prompt};
use crate::vision::exemplar::data_url;

/// A file that [`read`](super::read) gives the same prompts back from, with `comment` above them.
/// Texts are quoted as in JSON, so that none is taken for something else. Pictures that were read
/// from files in or below `folder`, where the text is to stand, are named; all others stand in the
/// text as data URLs.
#[must_use]
pub fn to_yaml(prompts: &[Prompt], comment: &str, folder: Option<&Path>) -> String {
    all_to_yaml(prompts, comment, &|picture| reference(picture, folder))
}

/// The same to look at: what stands for a picture that came as a message is its size, which
/// [`read`](super::read) refuses.
#[must_use]
pub fn to_yaml_without_pictures(prompts: &[Prompt]) -> String {
    all_to_yaml(prompts, "", &|picture| match &picture.file {
        Some(file) => file.display().to_string(),
        None => {
            let (width, height) = picture.image.dimensions();
            format!("<{width}x{height}, {} bytes>", picture.encoded.len())
        }
    })
}

/// What stands for a picture.
type Reference<'a> = &'a dyn Fn(&ExemplarPicture) -> String;

fn all_to_yaml(prompts: &[Prompt], comment: &str, reference: Reference<'_>) -> String {
    let mut text = String::new();
    for line in comment.lines() {
        text += &format!("# {line}\n");
    }
    text += "prompts:\n";
    for prompt in prompts {
        text += &one_to_yaml(prompt, reference);
    }
    text
}

/// One item of the list of prompts, as [`to_yaml`] writes it.
#[must_use]
pub fn prompt_to_yaml(prompt: &Prompt, folder: Option<&Path>) -> String {
    one_to_yaml(prompt, &|picture| reference(picture, folder))
}

fn one_to_yaml(prompt: &Prompt, reference: Reference<'_>) -> String {
    let Prompt { name, texts, exemplars, threshold, negative, asif, average, templates, finer } =
        prompt;
    let mut text = format!("  - name: {}\n", quoted(name));
    for (key, list) in [("texts", texts), ("templates", templates)] {
        if !list.is_empty() {
            text += &format!("    {key}: {}\n", list_of(list));
        }
    }
    if !exemplars.is_empty() {
        text += "    exemplars:\n";
        for exemplar in exemplars {
            text += &format!("      - {}\n", exemplar_to_yaml(exemplar, reference));
        }
    }
    if !finer.is_empty() {
        text += "    finer:\n";
        for FinerLabel { name, texts } in finer {
            text += &format!("      - {{name: {}, texts: {}}}\n", quoted(name), list_of(texts));
        }
    }
    if let Some(threshold) = threshold {
        text += &format!("    threshold: {threshold}\n");
    }
    for (name, is_set) in [("negative", negative), ("asif", asif), ("average", average)] {
        if *is_set {
            text += &format!("    {name}: true\n");
        }
    }
    text
}

fn exemplar_to_yaml(exemplar: &Exemplar, reference: Reference<'_>) -> String {
    let image = quoted(&reference(&exemplar.picture));
    match exemplar.box_in_source_px {
        None => format!("{{image: {image}}}"),
        Some(area) => {
            let [x0, y0, x1, y1] = area.corners();
            format!("{{image: {image}, box: [{x0}, {y0}, {x1}, {y1}]}}")
        }
    }
}

/// How a file in `folder` names a picture.
fn reference(picture: &ExemplarPicture, folder: Option<&Path>) -> String {
    let below = folder.zip(picture.file.as_deref());
    let below = below.and_then(|(folder, file)| file.strip_prefix(folder).ok()?.to_str());
    below.map_or_else(|| data_url(&picture.encoded), str::to_owned)
}

fn list_of(texts: &[String]) -> String {
    let texts: Vec<_> = texts.iter().map(|text| quoted(text)).collect();
    format!("[{}]", texts.join(", "))
}

/// In double quotes, with everything escaped that is not plainly visible.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            // Control characters, and breaks of line that YAML would fold.
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}') => {
                quoted += &format!("\\u{:04x}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted + "\""
}
