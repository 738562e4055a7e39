//! Commands that work on pictures one by one.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{anyhow, bail};
use image::RgbImage;
use owlet::vision::decode::DecodeFileError;

use super::console::{PrintError, print_error};
use super::{Finish, visible};

const NONE_DONE: &str = "none of the pictures could be worked on";

/// Whether there is anything to do, as far as the names tell: known before gigabytes are read.
///
/// # Errors
/// Why none of the pictures is there.
pub(super) fn some_are_there(images: &[PathBuf]) -> anyhow::Result<()> {
    let missing: Vec<_> = images.iter().filter_map(|path| why_missing(path)).collect();
    if missing.len() == images.len() { Err(none_done(missing)) } else { Ok(()) }
}

/// Works on each picture, told its place; one that fails is reported and costs the others nothing.
///
/// # Errors
/// Where nobody reads the results any more, and where no picture could be worked on.
pub(super) fn for_each_picture(
    images: &[PathBuf],
    mut work: impl FnMut(usize, &Path) -> anyhow::Result<()>,
) -> anyhow::Result<Finish> {
    let mut lost = 0;
    for (index, path) in images.iter().enumerate() {
        match work(index, path) {
            Ok(()) => {}
            // Without stdout the other pictures are of no use; and the reason comes last.
            Err(error) if error.is::<PrintError>() || images.len() == 1 => return Err(error),
            Err(error) => {
                print_error(&error);
                lost += 1;
            }
        }
    }
    match images.len() {
        _ if lost == 0 => Ok(Finish::Done),
        all if lost == all => bail!(NONE_DONE),
        _ => Ok(Finish::DataLost),
    }
}

/// The reason where there is one picture; of several reasons the last line is a sum.
fn none_done(reasons: Vec<DecodeFileError>) -> anyhow::Error {
    let mut errors: Vec<anyhow::Error> = reasons.into_iter().map(Into::into).collect();
    match errors.pop() {
        Some(only) if errors.is_empty() => only,
        last => {
            errors.iter().chain(&last).for_each(print_error);
            anyhow!(NONE_DONE)
        }
    }
}

/// Why nothing can be read at a path, as far as its name tells.
fn why_missing(path: &Path) -> Option<DecodeFileError> {
    let source = match fs::metadata(path) {
        Ok(about) if about.is_dir() => io::Error::from(io::ErrorKind::IsADirectory),
        Ok(_) => return None,
        Err(error) => error,
    };
    Some(DecodeFileError::Read { path: path.to_owned(), source })
}

/// The line above what was found in a picture.
pub(super) fn heading(path: &Path, image: &RgbImage) -> String {
    let (width, height) = image.dimensions();
    format!("{} ({width}x{height})\n", visible(&path.display().to_string()))
}
