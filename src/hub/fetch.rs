//! One file from the hub onto the disk: goes on where an earlier attempt or an earlier process
//! ended, tries again a bounded number of times, and keeps only what has the announced digest.

use std::fs::{self, File};
use std::io::{Seek as _, Write as _};
use std::path::{Path, PathBuf};

use super::HubError;
use super::answer::{Failure, RemoteFile, with_causes};
use super::digest::{DigestMismatch, FileHasher, HubDigest, for_each_block};
use super::manifest::ManifestFile;
use super::patience::{Events, Patience, PullEvent};
use super::remote::Remote;

/// An attempt that brought this much starts the count of failures anew. With it the number of
/// attempts is bounded by the size of the file.
const PROGRESS_BYTES: u64 = 1 << 20;

/// Between two events of progress: often enough for a bar, rarely enough to cost nothing.
const EVENT_BYTES: u64 = 1 << 18;

/// Brings one file into a folder and checks it.
pub(super) async fn fetch(
    remote: &Remote,
    commit: &str,
    file: &RemoteFile,
    folder: &Path,
    mut patience: Patience<'_>,
) -> Result<ManifestFile, HubError> {
    let events = patience.events();
    let path = folder.join(&file.path);
    let digest = HubDigest::from_etag(&file.etag);
    if digest == HubDigest::Opaque {
        tracing::warn!(
            "{} gives no digest of {}: only its size is checked",
            remote.endpoint(),
            file.path
        );
    }
    let mut download = Download::open(remote, commit, file, path, &digest, events)?;
    let started_with_bytes = download.have_bytes;
    let size_bytes = file.size_bytes;
    events.send(PullEvent::FileStarted {
        file: file.path.clone(),
        size_bytes,
        present_bytes: started_with_bytes,
    });
    download.finish_bytes(&mut patience).await?;
    let sha256 = match download.finish(&digest)? {
        Ok(sha256) => sha256,
        // What lay there from before was damaged: one fresh start, once.
        Err(mismatch) if started_with_bytes > 0 => {
            let reason = format!("what was there of it is damaged ({})", mismatch.algorithm);
            let waited = patience.wait(&file.path, &reason, None).await;
            waited.map_err(|_| corrupt(file, mismatch))?;
            let path = folder.join(&file.path);
            let mut again = Download::open(remote, commit, file, path, &digest, events)?;
            again.finish_bytes(&mut patience).await?;
            again.finish(&digest)?.map_err(|mismatch| corrupt(file, mismatch))?
        }
        Err(mismatch) => return Err(corrupt(file, mismatch)),
    };
    events.send(PullEvent::FileDone { file: file.path.clone(), size_bytes });
    Ok(ManifestFile { path: file.path.clone(), size_bytes, sha256, etag: file.etag.clone() })
}

fn corrupt(file: &RemoteFile, mismatch: DigestMismatch) -> HubError {
    let DigestMismatch { algorithm, expected, found } = mismatch;
    HubError::Corrupt { file: file.path.clone(), algorithm, expected, found }
}

/// A file that is being written.
struct Download<'a> {
    remote: &'a Remote,
    commit: &'a str,
    announced: &'a RemoteFile,
    digest: &'a HubDigest,
    events: &'a Events,
    path: PathBuf,
    file: File,
    hasher: FileHasher,
    have_bytes: u64,
    told_bytes: u64,
}

impl<'a> Download<'a> {
    /// Opens a file to go on with it: what is there is hashed first.
    fn open(
        remote: &'a Remote,
        commit: &'a str,
        announced: &'a RemoteFile,
        path: PathBuf,
        digest: &'a HubDigest,
        events: &'a Events,
    ) -> Result<Self, HubError> {
        let mut hasher = FileHasher::new(announced.size_bytes, digest);
        let mut have_bytes = fs::metadata(&path).map_or(0, |metadata| metadata.len());
        if have_bytes > announced.size_bytes {
            // Removed, not truncated: it may be a link to a file of the revision before.
            fs::remove_file(&path).map_err(|source| HubError::io("delete", &path, source))?;
            have_bytes = 0;
        }
        if have_bytes > 0 {
            for_each_block(&path, |block| hasher.update(block))?;
        }
        let file = File::options().create(true).append(true).open(&path);
        let file = file.map_err(|source| HubError::io("write", &path, source))?;
        let told_bytes = have_bytes;
        Ok(Self {
            remote,
            commit,
            announced,
            digest,
            events,
            path,
            file,
            hasher,
            have_bytes,
            told_bytes,
        })
    }

    /// Attempt after attempt until every byte is there.
    async fn finish_bytes(&mut self, patience: &mut Patience<'_>) -> Result<(), HubError> {
        let mut furthest_bytes = self.have_bytes;
        while self.have_bytes < self.announced.size_bytes {
            let (reason, asked, no_answer) = match self.attempt().await {
                Ok(()) => continue,
                Err(Failure::Final(error)) => {
                    if matches!(error, HubError::WrongSize { .. }) {
                        self.delete()?;
                    }
                    return Err(error);
                }
                Err(Failure::Passing { reason, wait, no_answer }) => (reason, wait, no_answer),
            };
            // Against the furthest point, not the last: a server that serves no ranges and always
            // cuts at the same place makes no progress.
            if self.have_bytes >= furthest_bytes + PROGRESS_BYTES {
                furthest_bytes = self.have_bytes;
                patience.renew();
            }
            if let Err(attempts) = patience.wait(&self.announced.path, &reason, asked).await {
                // Already on the disk even if this process ends now.
                self.sync()?;
                return Err(if no_answer && self.have_bytes == 0 {
                    HubError::NoConnection { endpoint: self.remote.endpoint(), attempts, reason }
                } else {
                    HubError::BrokenOff {
                        file: self.announced.path.clone(),
                        got_bytes: self.have_bytes,
                        expected_bytes: self.announced.size_bytes,
                        attempts,
                        reason,
                    }
                });
            }
        }
        Ok(())
    }

    /// One connection: takes what comes. Ends well only with every byte.
    async fn attempt(&mut self) -> Result<(), Failure> {
        let body = self.remote.bytes(self.commit, self.announced, self.have_bytes).await?;
        if body.from != self.have_bytes {
            self.start_over()?;
        }
        let mut response = body.response;
        let reason = loop {
            let chunk = match response.chunk().await {
                Ok(Some(chunk)) => chunk,
                Ok(None) => break "the answer ended early".to_owned(),
                Err(error) => break with_causes(&error.without_url()),
            };
            let left_bytes = self.announced.size_bytes - self.have_bytes;
            if chunk.len() as u64 > left_bytes {
                let found_bytes = self.have_bytes + chunk.len() as u64;
                let (file, expected_bytes) =
                    (self.announced.path.clone(), self.announced.size_bytes);
                return Err(HubError::WrongSize { file, expected_bytes, found_bytes }.into());
            }
            self.take(&chunk)?;
        };
        if self.have_bytes == self.announced.size_bytes {
            return Ok(());
        }
        Err(Failure::Passing { reason, wait: None, no_answer: false })
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), HubError> {
        if let Err(source) = self.file.write_all(bytes) {
            // Of a write that failed a part may stand in the file.
            let _ = self.file.set_len(self.have_bytes);
            let needed = self.announced.size_bytes - self.have_bytes;
            return Err(match HubError::io("write", &self.path, source) {
                HubError::DiskFull { path, .. } => {
                    HubError::DiskFull { path, needed_bytes: Some(needed) }
                }
                other => other,
            });
        }
        self.hasher.update(bytes);
        self.have_bytes += bytes.len() as u64;
        let is_whole = self.have_bytes == self.announced.size_bytes;
        if is_whole || self.have_bytes >= self.told_bytes + EVENT_BYTES {
            self.told_bytes = self.have_bytes;
            self.events.send(PullEvent::Progress {
                file: self.announced.path.clone(),
                done_bytes: self.have_bytes,
                size_bytes: self.announced.size_bytes,
            });
        }
        Ok(())
    }

    fn start_over(&mut self) -> Result<(), HubError> {
        let failed = |source| HubError::io("write", &self.path, source);
        self.file.set_len(0).map_err(failed)?;
        self.file.rewind().map_err(failed)?;
        self.hasher = FileHasher::new(self.announced.size_bytes, self.digest);
        (self.have_bytes, self.told_bytes) = (0, 0);
        Ok(())
    }

    /// The SHA-256 of a whole file, or what differs; then the file is gone.
    fn finish(self, digest: &HubDigest) -> Result<Result<String, DigestMismatch>, HubError> {
        self.sync()?;
        let Self { path, hasher, .. } = self;
        let outcome = hasher.finish(digest);
        if outcome.is_err() {
            fs::remove_file(&path).map_err(|source| HubError::io("delete", &path, source))?;
        }
        Ok(outcome)
    }

    fn sync(&self) -> Result<(), HubError> {
        self.file.sync_all().map_err(|source| HubError::io("write", &self.path, source))
    }

    fn delete(&self) -> Result<(), HubError> {
        fs::remove_file(&self.path).map_err(|source| HubError::io("delete", &self.path, source))
    }
}
