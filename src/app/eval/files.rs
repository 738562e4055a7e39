//! What `owlet eval` writes, and what it reads of an earlier run.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context;
use owlet::config::{Config, prompts};
use owlet::eval::{EvalRecord, results_text};
use owlet::report::{EvalReport, EvalReportOptions};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::super::out_folder::{FolderLock, remove_written, results_in};
use super::super::{Refused, replace_file};
use super::asked::Asked;
use super::detected::Detected;
use super::measured::Measured;
use super::source::Source;
use super::{EvalArgs, pictures};

const RECORD: &str = "eval.json";
const RESULTS: &str = "results.json";
const PROMPTS: &str = "prompts.yaml";
const REPORT: &str = "report.html";
const ALL: [&str; 4] = [RECORD, RESULTS, PROMPTS, REPORT];

/// The folder of the results, held against other programs.
pub(super) struct OutFolder {
    path: PathBuf,
    _lock: FolderLock,
}

impl OutFolder {
    /// Makes the folder where it is missing. Changes nothing in it yet.
    ///
    /// # Errors
    /// Results that nobody said what to do with.
    pub(super) fn claim(path: &Path, overwrite: bool) -> anyhow::Result<Self> {
        let lock = FolderLock::make(path)?;
        let found = results_in(path, &ALL);
        if !found.is_empty() && !overwrite {
            let text = format!(
                "{}: holds the results of an earlier run ({}): --overwrite replaces it",
                path.display(),
                found.join(", ")
            );
            return Err(Refused(text).into());
        }
        Ok(Self { path: path.to_owned(), _lock: lock })
    }
}

/// All that is written from.
pub(super) struct Output<'a> {
    pub(super) args: &'a EvalArgs,
    pub(super) config: &'a Config,
    pub(super) source: &'a Source,
    pub(super) asked: &'a Asked,
    pub(super) measured: &'a Measured,
    pub(super) detected: &'a Detected,
    pub(super) record: &'a EvalRecord,
}

impl Output<'_> {
    /// Writes every file in one step each; what an earlier run left and this one does not make is
    /// removed.
    pub(super) fn write(&self, folder: Option<&OutFolder>) -> anyhow::Result<()> {
        let prompts = self.prompts_text();
        if let (Some(path), Some(text)) = (&self.args.prompts_out, &prompts) {
            replace_file(path, text.as_bytes())?;
        }
        let Some(OutFolder { path: folder, .. }) = folder else { return Ok(()) };
        let record = serde_json::to_string_pretty(self.record)? + "\n";
        replace_file(&folder.join(RECORD), record.as_bytes())?;
        let results = results_text(&self.detected.found, &self.source.dataset)?;
        replace_file(&folder.join(RESULTS), results.as_bytes())?;
        match &prompts {
            Some(text) => replace_file(&folder.join(PROMPTS), text.as_bytes())?,
            None => remove_written(folder, PROMPTS)?,
        }
        self.report().write(&folder.join(REPORT))?;
        Ok(())
    }

    /// Where the results are, one path on a line.
    pub(super) fn list(&self) -> String {
        let in_folder =
            ALL.iter().filter(|name| **name != PROMPTS || self.measured.chosen.is_some());
        let folder = self.args.out.iter();
        let mut paths: Vec<_> =
            folder.flat_map(|out| in_folder.clone().map(|name| out.join(name))).collect();
        paths.extend(self.args.prompts_out.clone());
        paths.iter().map(|path| format!("{}\n", path.display())).collect()
    }

    /// The prompts with the thresholds that were chosen.
    fn prompts_text(&self) -> Option<String> {
        let (chosen, at) = self.measured.chosen.as_ref()?;
        let about = &chosen.record;
        let mut comment = format!(
            "Written by owlet eval: the thresholds with the best F1 at an overlap of 0.5 on {} images \
             with {} objects.\n",
            about.images, about.objects
        );
        if let Some(f1) = at.total.f1 {
            comment += &format!(
                "On the {} other images their F1 is {f1:.3}.\n",
                self.record.dataset.images
            );
        }
        for kept in &about.kept {
            comment += &format!("Kept as it was: {:?}, {}.\n", kept.prompt, kept.reason);
        }
        Some(prompts::to_yaml(&self.asked.with_thresholds(&chosen.thresholds), &comment, None))
    }

    fn report(&self) -> EvalReport<'_> {
        let mut notes = Vec::new();
        if self.detected.random_weights {
            notes.push("The weights are random: the numbers mean nothing.".to_owned());
        }
        let left_out = self.record.dataset.left_out.len();
        if left_out > 0 {
            notes.push(format!("{left_out} images could not be looked at and are left out."));
        }
        let path = self.source.path.canonicalize().unwrap_or_else(|_| self.source.path.clone());
        // `annotations.json` says less than the folder that it is in.
        let name = match path.parent().and_then(Path::file_name) {
            Some(folder) if path.file_name().is_some_and(|name| name == "annotations.json") => {
                folder
            }
            _ => path.file_name().unwrap_or(path.as_os_str()),
        };
        EvalReport::new(
            EvalReportOptions {
                title: format!("Owlet on {}", name.to_string_lossy()),
                notes,
                command_line: std::env::args().collect(),
            },
            self.record,
            pictures::draw(self.source, self.measured, self.config),
        )
    }
}

/// An earlier evaluation, with its path for people.
pub(super) fn read_earlier(path: &Path) -> anyhow::Result<(String, EvalRecord)> {
    let shown = path.display().to_string();
    let text = std::fs::read(path).with_context(|| format!("--against: cannot read {shown}"))?;
    match serde_json::from_slice(&text) {
        Ok(record) => Ok((shown, record)),
        Err(error) => {
            let text = format!("--against {shown}: expected an eval.json of owlet eval: {error}");
            Err(Refused(text).into())
        }
    }
}

/// A results file by its content.
pub(super) fn about_results(path: &Path) -> anyhow::Result<Value> {
    let shown = path.display().to_string();
    let mut hash = Sha256::new();
    File::open(path)
        .and_then(|mut file| io::copy(&mut file, &mut HashWriter(&mut hash)))
        .with_context(|| format!("cannot read {shown}"))?;
    let digest: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(json!({ "results": shown, "sha256": digest }))
}

struct HashWriter<'a>(&'a mut Sha256);

impl io::Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
