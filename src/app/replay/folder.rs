//! The folder of a replay's results, and what an earlier run left in it.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, ErrorKind};
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::super::Refused;
use super::super::out_folder::{FolderLock, remove_matching, remove_written, results_in};
use super::coco;
use super::identity::RunIdentity;
use super::known::KnownFrames;
use super::outputs::{BAG, JSONL, OVERLAYS, REPORT, is_overlay_name};
use super::run_file::{self, RunFile};
use crate::app::args::ReplayArgs;

/// What is to become of the results of an earlier run.
enum Earlier {
    None,
    Replaced,
    GoneOnWith(Box<RunFile>),
}

/// The folder, held against other replays.
pub(super) struct OutFolder {
    path: PathBuf,
    earlier: Earlier,
    _lock: FolderLock,
}

impl OutFolder {
    /// Makes the folder where it is missing and decides what happens to what is in it. Changes
    /// nothing of that yet.
    ///
    /// # Errors
    /// Results that nobody said what to do with, or that `--resume` cannot go on with.
    pub(super) fn claim(args: &ReplayArgs, identity: &RunIdentity) -> anyhow::Result<Self> {
        let path = args.out.clone();
        let lock = FolderLock::make(&path)?;
        let found = results_in(&path, &[run_file::NAME, JSONL, REPORT, BAG]);
        let refused = |text: String| Err(Refused(format!("{}: {text}", path.display())).into());
        let earlier = match found.first() {
            None => Earlier::None,
            Some(_) if args.overwrite => Earlier::Replaced,
            Some(&run_file::NAME) if args.resume => {
                let earlier = RunFile::read(&path)?;
                earlier.must_match(identity)?;
                Earlier::GoneOnWith(Box::new(earlier))
            }
            Some(_) if args.resume => {
                return refused(format!(
                    "--resume: there is no {}, which says what {} came from; --overwrite replaces \
                     what is there",
                    run_file::NAME,
                    found.join(", ")
                ));
            }
            Some(_) => {
                return refused(format!(
                    "holds the results of an earlier run ({}): --resume goes on with it, \
                     --overwrite replaces it",
                    found.join(", ")
                ));
            }
        };
        if args.resume && matches!(earlier, Earlier::None) {
            tracing::info!("nothing to go on with in {}: starting anew", path.display());
        }
        Ok(Self { path, earlier, _lock: lock })
    }

    /// Makes room for the results: the frames that an earlier run was done with.
    ///
    /// # Errors
    /// An earlier run on another device; what the file system reports.
    pub(super) fn prepare(
        &self,
        run: &RunFile,
        frames_per_pass: usize,
    ) -> anyhow::Result<KnownFrames> {
        match &self.earlier {
            Earlier::None => Ok(KnownFrames::none()),
            Earlier::Replaced => {
                remove_results(&self.path)?;
                Ok(KnownFrames::none())
            }
            Earlier::GoneOnWith(earlier) => {
                earlier.must_match_model(run)?;
                remove_bag(&self.path)?;
                recover(&self.path, frames_per_pass)
            }
        }
    }
}

/// Removes what an earlier replay wrote, and nothing else.
fn remove_results(folder: &Path) -> anyhow::Result<()> {
    remove_bag(folder)?;
    remove_matching(&folder.join(OVERLAYS), is_overlay_name)?;
    for name in [REPORT, JSONL, coco::NAME, run_file::NAME] {
        remove_written(folder, name)?;
    }
    Ok(())
}

fn remove_bag(folder: &Path) -> anyhow::Result<()> {
    remove_matching(&folder.join(BAG), |name| {
        let number = name.strip_prefix("detections_").and_then(|rest| rest.strip_suffix(".mcap"));
        name == "metadata.yaml" || number.is_some_and(|number| number.parse::<u32>().is_ok())
    })
}

/// Cuts the records of an earlier run to whole batches, so that the batches to come are those of a
/// run in one go. The recording and the pictures are made again from them.
fn recover(folder: &Path, frames_per_pass: usize) -> anyhow::Result<KnownFrames> {
    let path = folder.join(JSONL);
    let failed = || format!("cannot go on with {}", path.display());
    let file = match OpenOptions::new().read(true).write(true).open(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(KnownFrames::none()),
        opened => opened.with_context(failed)?,
    };
    let (mut frames, mut end, mut kept) = (0_usize, 0, (0, 0));
    let mut reader = BufReader::new(&file);
    let mut line = Vec::new();
    loop {
        line.clear();
        reader.read_until(b'\n', &mut line).with_context(failed)?;
        // A last line without its end is what an interrupted write leaves behind.
        if !line.ends_with(b"\n") {
            break;
        }
        frames += 1;
        end += line.len() as u64;
        if frames.is_multiple_of(frames_per_pass) {
            kept = (frames, end);
        }
    }
    let (frames, bytes) = kept;
    file.set_len(bytes).with_context(failed)?;
    KnownFrames::open(&path, frames)
}
