//! Pictures with their boxes drawn in.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use image::RgbImage;
use owlet::types::Detection;
use owlet::vision::encode::{encode_jpeg, encode_png};
use owlet::vision::overlay;

use super::super::Refused;
use super::super::settings::Settings;
use crate::app::args::DetectArgs;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    Png,
    Jpeg,
}

/// By the ending of the name.
fn format_of(path: &Path) -> Option<Format> {
    let ending = path.extension()?.to_str()?.to_ascii_lowercase();
    match ending.as_str() {
        "png" => Some(Format::Png),
        "jpg" | "jpeg" => Some(Format::Jpeg),
        _ => None,
    }
}

/// Where the overlay of each picture goes. Folders are made here, so that what cannot be written
/// is known before anything is looked at.
pub(super) fn overlay_paths(args: &DetectArgs) -> anyhow::Result<Vec<Option<PathBuf>>> {
    let Some(overlay) = &args.overlay else { return Ok(vec![None; args.images.len()]) };
    let refused = |what: &str| {
        let found = overlay.display();
        Err(Refused(format!("--overlay: expected {what}, found {found}")).into())
    };
    let is_folder = overlay.is_dir() || overlay.extension().is_none();
    let folder = match (is_folder, args.images.as_slice()) {
        (true, _) => overlay.as_path(),
        (false, [_]) if format_of(overlay).is_none() => {
            return refused("a file that ends in .png or .jpg, or a folder");
        }
        (false, [_]) => overlay.parent().unwrap_or(Path::new("")),
        (false, _) if format_of(overlay).is_some() => {
            return refused("a folder, as there are several pictures");
        }
        (false, _) => overlay.as_path(),
    };
    if !folder.as_os_str().is_empty() {
        fs::create_dir_all(folder)
            .with_context(|| format!("--overlay: cannot make the folder {}", folder.display()))?;
    }
    let mut paths = Vec::with_capacity(args.images.len());
    for (index, image) in args.images.iter().enumerate() {
        let path = match folder == overlay {
            // The position keeps pictures of one name from different folders apart.
            true => {
                let stem = image.file_stem().unwrap_or_default().to_string_lossy();
                overlay.join(format!("{:03}_{stem}.png", index + 1))
            }
            false => overlay.clone(),
        };
        if args.images.iter().any(|image| is_same_file(image, &path)) {
            return refused(&format!("another file than the picture {}", path.display()));
        }
        paths.push(Some(path));
    }
    Ok(paths)
}

fn is_same_file(a: &Path, b: &Path) -> bool {
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

pub(super) fn write_overlay(
    path: &Path,
    image: &RgbImage,
    found: &[Detection],
    settings: &Settings,
) -> anyhow::Result<()> {
    let drawn = overlay::draw(image, &overlay::items(found, &settings.prompts));
    let cannot_write = || format!("cannot write {}", path.display());
    let bytes = match format_of(path) {
        Some(Format::Jpeg) => encode_jpeg(&drawn, settings.config.jpeg_quality),
        _ => encode_png(&drawn),
    }
    .with_context(cannot_write)?;
    fs::write(path, bytes).with_context(cannot_write)?;
    tracing::info!("drawn: {}", path.display());
    Ok(())
}
