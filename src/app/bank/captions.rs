//! Folders of pictures with captions beside them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use owlet::types::PixelBox;
use serde::Deserialize;

use super::gather::Shown;
use super::skipped::{Kind, Skipped};

/// Files of captions, each line an object; the second is the name that `datasets` has for it.
const CAPTION_FILES: [&str; 2] = ["captions.jsonl", "metadata.jsonl"];

/// Endings of pictures, in small letters.
const PICTURES: [&str; 3] = ["jpg", "jpeg", "png"];

/// Folders in folders that are looked into.
const MAX_DEPTH: usize = 16;

/// The largest file of captions that is read.
const MAX_CAPTION_FILE_BYTES: u64 = 1 << 30;

/// A line of a caption file.
#[derive(Deserialize)]
struct Line {
    #[serde(alias = "file_name")]
    image: PathBuf,
    #[serde(alias = "text")]
    caption: String,
    box_px: Option<[f32; 4]>,
}

/// The pictures of a folder that have captions, by path. What has no counterpart is counted.
pub(super) fn read(
    folder: &Path,
    skipped: &mut Skipped,
) -> anyhow::Result<Vec<(PathBuf, Vec<Shown>)>> {
    let mut files = BTreeSet::new();
    list(folder, 0, &mut files)?;
    let mut shown: BTreeMap<PathBuf, Vec<Shown>> = BTreeMap::new();
    for path in &files {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if CAPTION_FILES.contains(&name) {
            read_lines(path, &files, &mut shown, skipped)?;
        } else if ending(path) == "txt" {
            read_text(path, &files, &mut shown, skipped)?;
        }
    }
    for picture in files.iter().filter(|path| PICTURES.contains(&&*ending(path))) {
        if !shown.contains_key(picture) {
            skipped.add(Kind::PictureWithoutCaption, || picture.display().to_string());
        }
    }
    Ok(shown.into_iter().collect())
}

/// Links to folders are not followed: they may lead in a circle.
fn list(folder: &Path, depth: usize, files: &mut BTreeSet<PathBuf>) -> anyhow::Result<()> {
    let failed = || format!("cannot look into {}", folder.display());
    for entry in fs::read_dir(folder).with_context(failed)? {
        let entry = entry.with_context(failed)?;
        let kind = entry.file_type().with_context(failed)?;
        if kind.is_dir() && depth < MAX_DEPTH {
            list(&entry.path(), depth + 1, files)?;
        } else if !kind.is_dir() {
            files.insert(entry.path());
        }
    }
    Ok(())
}

fn ending(path: &Path) -> String {
    path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_ascii_lowercase()
}

/// `None` where it is no text, which is counted.
fn text_of(path: &Path, skipped: &mut Skipped) -> anyhow::Result<Option<String>> {
    let failed = || format!("cannot read {}", path.display());
    let bytes = fs::metadata(path).with_context(failed)?.len();
    let text = match bytes > MAX_CAPTION_FILE_BYTES {
        true => Err(format!("{bytes} bytes, at most {MAX_CAPTION_FILE_BYTES} are read")),
        false => String::from_utf8(fs::read(path).with_context(failed)?)
            .map_err(|error| format!("no UTF-8: {}", error.utf8_error())),
    };
    match text {
        Ok(text) => Ok(Some(text.strip_prefix('\u{feff}').unwrap_or(&text).to_owned())),
        Err(reason) => {
            skipped.add(Kind::CaptionsUnreadable, || format!("{}: {reason}", path.display()));
            Ok(None)
        }
    }
}

/// `NAME.txt`: each line that is not blank is a caption of `NAME.jpg`.
fn read_text(
    path: &Path,
    files: &BTreeSet<PathBuf>,
    shown: &mut BTreeMap<PathBuf, Vec<Shown>>,
    skipped: &mut Skipped,
) -> anyhow::Result<()> {
    let beside = files
        .iter()
        .filter(|other| PICTURES.contains(&&*ending(other)))
        .find(|other| other.with_extension("") == path.with_extension(""));
    let Some(picture) = beside else {
        skipped.add(Kind::CaptionWithoutPicture, || path.display().to_string());
        return Ok(());
    };
    let Some(text) = text_of(path, skipped)? else { return Ok(()) };
    let mut captions: Vec<_> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| Shown { caption: line.to_owned(), box_in_source_px: None })
        .collect();
    if captions.is_empty() {
        skipped.add(Kind::CaptionRefused, || format!("{}: it is empty", path.display()));
    }
    shown.entry(picture.clone()).or_default().append(&mut captions);
    Ok(())
}

fn read_lines(
    path: &Path,
    files: &BTreeSet<PathBuf>,
    shown: &mut BTreeMap<PathBuf, Vec<Shown>>,
    skipped: &mut Skipped,
) -> anyhow::Result<()> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let Some(text) = text_of(path, skipped)? else { return Ok(()) };
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let place = format!("{}, line {}", path.display(), index + 1);
        match serde_json::from_str::<Line>(line) {
            Err(error) => skipped.add(Kind::CaptionsUnreadable, || format!("{place}: {error}")),
            // A name may lead out of the folder, as long as there is a picture.
            Ok(Line { image, .. })
                if !files.contains(&folder.join(&image)) && !folder.join(&image).is_file() =>
            {
                let name = image.display().to_string();
                skipped.add(Kind::CaptionWithoutPicture, || format!("{place}: {name}"));
            }
            Ok(Line { image, caption, box_px }) => {
                let box_in_source_px = box_px.map(PixelBox::from_corners);
                shown
                    .entry(folder.join(image))
                    .or_default()
                    .push(Shown { caption, box_in_source_px });
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn write(folder: &Path, files: &[(&str, &[u8])]) {
        for (name, content) in files {
            let path = folder.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
    }

    #[test]
    fn captions_stand_beside_pictures_or_in_a_file_of_lines() {
        let home = TempDir::new().unwrap();
        let lines = "{\"image\": \"b.png\", \"caption\": \"ein Becher\", \"box_px\": [1, 2, 3, 4]}\n\n\
                     {\"file_name\": \"in/c.JPG\", \"text\": \"杯\"}\nnonsense\n\
                     {\"image\": \"gone.png\", \"caption\": \"x\"}\n{\"image\": \"b.png\"}\n";
        write(
            home.path(),
            &[
                ("a.jpg", b""),
                ("a.txt", "\u{feff}a red mug\n\n  \na cup\r\n".as_bytes()),
                ("b.png", b""),
                ("in/c.JPG", b""),
                ("in/d.jpeg", b""),
                ("in/e.jpg", b""),
                ("in/e.txt", b"\n"),
                ("lonely.txt", b"text"),
                ("f.jpg", b""),
                ("f.txt", b"\xff\xfe"),
                ("captions.jsonl", lines.as_bytes()),
                ("notes.md", b"not looked at"),
            ],
        );
        let mut skipped = Skipped::default();
        let found = read(home.path(), &mut skipped).unwrap();
        let found: Vec<_> = found
            .iter()
            .map(|(path, shown)| {
                let name = path.strip_prefix(home.path()).unwrap().to_str().unwrap();
                let texts = shown.iter().map(|one| one.caption.as_str()).collect::<Vec<_>>();
                (name, texts)
            })
            .collect();
        assert_eq!(
            found,
            [
                ("a.jpg", vec!["a red mug", "a cup"]),
                ("b.png", vec!["ein Becher"]),
                ("in/c.JPG", vec!["杯"]),
                ("in/e.jpg", vec![]),
            ]
        );
        assert_eq!(skipped.count(Kind::PictureWithoutCaption), 2, "{skipped:?}");
        assert_eq!(skipped.count(Kind::CaptionWithoutPicture), 2, "{skipped:?}");
        assert_eq!(skipped.count(Kind::CaptionsUnreadable), 3, "{skipped:?}");
        assert_eq!(skipped.count(Kind::CaptionRefused), 1, "{skipped:?}");
        assert!(format!("{skipped:?}").contains("captions.jsonl, line 4: "), "{skipped:?}");
    }
}
