//! Why a checkpoint could not be found, fetched or trusted.

use std::io;
use std::path::{Path, PathBuf};

/// Everything that can be wrong with a checkpoint on disk or on the hub. Each message is one line
/// that says what to do where something can be done.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// A bare name that no table and no folder knows.
    #[error(
        "no model is called `{name}`: known names are {known}; any other one of the hub is given as owner/name, one on disk as the path of its folder"
    )]
    UnknownName {
        /// What was asked for.
        name: String,
        /// The known names, separated by commas.
        known: String,
    },
    /// A text that cannot name a repository of the hub.
    #[error("`{name}` is no model name: {why}")]
    BadName {
        /// What was asked for.
        name: String,
        /// The rule that it breaks.
        why: &'static str,
    },
    /// A text that cannot be a revision.
    #[error("`{revision}` is no revision: {why}")]
    BadRevision {
        /// What was asked for.
        revision: String,
        /// The rule that it breaks.
        why: &'static str,
    },
    /// A model that could be fetched and has not been.
    #[error(
        "the model `{name}` is not on this machine{}: fetch it with `owlet pull {name}` (looked in {searched})",
        interrupted_note(.interrupted)
    )]
    NotPulled {
        /// What was asked for.
        name: String,
        /// Where it was looked for, separated by commas.
        searched: String,
        /// Whether an unfinished download of it is there.
        interrupted: bool,
    },
    /// No place is known to keep models in.
    #[error("no folder for models: set OWLET_MODELS to one (XDG_DATA_HOME and HOME are unset too)")]
    NoModelsFolder,
    /// A path that is no folder.
    #[error("{} is not a model folder: {why}", .path.display())]
    NotAFolder {
        /// The path.
        path: PathBuf,
        /// What it is instead.
        why: &'static str,
    },
    /// A folder that lacks what every checkpoint has.
    #[error("the model folder {} lacks {}{}", .folder.display(), .missing.join(", "), pickle_note(.pickles))]
    Incomplete {
        /// The folder.
        folder: PathBuf,
        /// The files that are missing.
        missing: Vec<String>,
        /// Weights in formats that are never loaded.
        pickles: Vec<String>,
    },
    /// A JSON file of a checkpoint that cannot be used.
    #[error("{}: {why}", .path.display())]
    BadFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A list of shards or a manifest names a file outside of its folder.
    #[error(
        "{listed_in} lists the file name {name:?}, which is refused: only plain names of safetensors files are followed"
    )]
    UnsafeFileName {
        /// The list.
        listed_in: String,
        /// The name in it.
        name: String,
    },
    /// A file has another size than when it was fetched.
    #[error("{} is damaged: {expected_bytes} bytes expected, {found_bytes} found; `owlet pull` fetches it again", .path.display())]
    SizeChanged {
        /// The file.
        path: PathBuf,
        /// Its size by the manifest.
        expected_bytes: u64,
        /// Its size on disk.
        found_bytes: u64,
    },
    /// A file has other bytes than when it was fetched.
    #[error("{} is damaged: sha256 {expected_sha256} expected, {found_sha256} found; `owlet pull` fetches it again", .path.display())]
    DigestChanged {
        /// The file.
        path: PathBuf,
        /// Its digest by the manifest.
        expected_sha256: String,
        /// The digest of its bytes on disk.
        found_sha256: String,
    },
    /// The disk is full.
    #[error("the disk is full: {} could not be written{}; what was fetched is kept, and the next `owlet pull` goes on from there", .path.display(), needed_note(.needed_bytes))]
    DiskFull {
        /// The file being written.
        path: PathBuf,
        /// How many bytes of it were still to come, where known.
        needed_bytes: Option<u64>,
    },
    /// What the file system reported.
    #[error("cannot {action} {}: {source}", .path.display())]
    Io {
        /// What was being done.
        action: &'static str,
        /// To which file or folder.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// A folder of that name holds something that `owlet pull` did not put there.
    #[error("{} was not made by `owlet pull` and is left as it is: move it away, or give its path as the model", .path.display())]
    NotOurs {
        /// The folder.
        path: PathBuf,
    },
    /// Another process is fetching the same model.
    #[error("another `owlet pull` is fetching {name} (lock {})", .lock.display())]
    Busy {
        /// The model.
        name: String,
        /// The file that the other process holds.
        lock: PathBuf,
    },
    /// `HF_HUB_OFFLINE` forbids to ask the hub.
    #[error("{name} is not on this machine and HF_HUB_OFFLINE forbids to fetch it")]
    Offline {
        /// The model, with its revision where one was asked for.
        name: String,
    },
    /// `HF_ENDPOINT` or `HF_TOKEN` cannot be used.
    #[error("{variable} cannot be used: {why}")]
    BadSetting {
        /// The environment variable that sets it.
        variable: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// The hub could not be reached.
    #[error(
        "{endpoint} cannot be reached ({attempts} attempts): {reason}; check the network, a proxy (HTTPS_PROXY) or HF_ENDPOINT"
    )]
    NoConnection {
        /// The hub.
        endpoint: String,
        /// How often it was tried.
        attempts: u32,
        /// What the last attempt met.
        reason: String,
    },
    /// The hub answers, and only to say that it cannot.
    #[error("{endpoint} fails at {what} ({attempts} attempts): {reason}; try again later")]
    KeepsFailing {
        /// The hub.
        endpoint: String,
        /// What was asked for.
        what: String,
        /// How often it was tried.
        attempts: u32,
        /// What the last attempt met.
        reason: String,
    },
    /// The hub wants a token, or another one.
    #[error("{endpoint} refuses {repo} (HTTP {status}{}): the name is wrong, or it is private or gated; {}", said(.message), token_note(.token_sent))]
    NotAuthorised {
        /// The hub.
        endpoint: String,
        /// The repository.
        repo: String,
        /// 401 or 403.
        status: u16,
        /// Whether a token was sent.
        token_sent: bool,
        /// The hub's own words.
        message: Option<String>,
    },
    /// There is no such repository.
    #[error("{endpoint} has no model {repo}")]
    RepoNotFound {
        /// The hub.
        endpoint: String,
        /// The repository.
        repo: String,
    },
    /// There is no such branch, tag or commit.
    #[error("{repo} has no revision `{revision}` on {endpoint}")]
    RevisionNotFound {
        /// The hub.
        endpoint: String,
        /// The repository.
        repo: String,
        /// What was asked for.
        revision: String,
    },
    /// A file that the hub itself listed, or that an index names, is not there.
    #[error("{repo} at {commit} has no file {file}")]
    FileNotFound {
        /// The repository.
        repo: String,
        /// Its commit.
        commit: String,
        /// The file.
        file: String,
    },
    /// A repository without what every checkpoint has.
    #[error("{repo} at {commit} lacks {}{}", .missing.join(", "), pickle_note(.pickles))]
    RepoLacks {
        /// The repository.
        repo: String,
        /// Its commit.
        commit: String,
        /// What is missing.
        missing: Vec<String>,
        /// Weights in formats that are never loaded.
        pickles: Vec<String>,
    },
    /// An answer of the hub that no rule covers.
    #[error("{url} answered HTTP {status}{}", said(.message))]
    Status {
        /// What was asked.
        url: String,
        /// The HTTP status.
        status: u16,
        /// The hub's own words.
        message: Option<String>,
    },
    /// An answer that cannot be understood.
    #[error("the answer of {url} cannot be used: {why}")]
    BadAnswer {
        /// What was asked.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// A download that kept breaking off.
    #[error(
        "the download of {file} broke off {attempts} times, at last after {got_bytes} of {expected_bytes} bytes ({reason}); what was fetched is kept, and the next `owlet pull` goes on from there"
    )]
    BrokenOff {
        /// The file.
        file: String,
        /// Bytes that are there.
        got_bytes: u64,
        /// Bytes that the hub promised.
        expected_bytes: u64,
        /// Attempts without progress.
        attempts: u32,
        /// What the last attempt met.
        reason: String,
    },
    /// The hub sends another size than it announced.
    #[error("{file} has the wrong size: {expected_bytes} bytes announced, {found_bytes} sent")]
    WrongSize {
        /// The file.
        file: String,
        /// Announced size.
        expected_bytes: u64,
        /// Size of what is sent, or how much of it was seen.
        found_bytes: u64,
    },
    /// The bytes that came are not those that the hub announced. They were deleted.
    #[error(
        "{file} came damaged: {algorithm} {expected} announced, {found} received; it was deleted, try `owlet pull` again"
    )]
    Corrupt {
        /// The file.
        file: String,
        /// `sha256` or `git-sha1`.
        algorithm: &'static str,
        /// The hub's digest.
        expected: String,
        /// The digest of what came.
        found: String,
    },
}

impl HubError {
    /// Wraps what the file system reported; a full disk is its own error.
    pub(super) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::DiskFull { path: path.to_owned(), needed_bytes: None }
            }
            _ => Self::Io { action, path: path.to_owned(), source },
        }
    }
}

fn pickle_note(pickles: &[String]) -> String {
    if pickles.is_empty() {
        return String::new();
    }
    format!(
        "; found {}, which can run code when opened and is never loaded: convert it to safetensors (a pull request on the hub may hold a conversion: NAME@refs/pr/NUMBER)",
        pickles.join(", ")
    )
}

fn needed_note(needed_bytes: &Option<u64>) -> String {
    needed_bytes.map_or_else(String::new, |bytes| {
        format!(" ({} MB more are needed)", bytes.div_ceil(1_000_000))
    })
}

fn said(message: &Option<String>) -> String {
    message.as_ref().map_or_else(String::new, |message| format!(": {message}"))
}

fn interrupted_note(interrupted: &bool) -> &'static str {
    if *interrupted { " (a download of it was interrupted)" } else { "" }
}

fn token_note(token_sent: &bool) -> &'static str {
    if *token_sent {
        "the token of HF_TOKEN was not accepted for it"
    } else {
        "set HF_TOKEN to a token that may read it"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_from_other_failures() {
        // The device that is always full gives the system's own error.
        let mut full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let source = io::Write::write_all(&mut full, b"x").unwrap_err();
        let error = HubError::io("write", Path::new("/models/x"), source);
        assert!(matches!(error, HubError::DiskFull { .. }), "{error:?}");
        assert!(error.to_string().starts_with("the disk is full: /models/x"), "{error}");

        let source = io::Error::from(io::ErrorKind::PermissionDenied);
        let error = HubError::io("write", Path::new("/models/x"), source);
        assert!(matches!(error, HubError::Io { .. }), "{error:?}");
    }

    #[test]
    fn a_refusal_says_whether_a_token_was_sent() {
        let refusal = |token_sent| HubError::NotAuthorised {
            endpoint: "http://hub".to_owned(),
            repo: "a/b".to_owned(),
            status: 401,
            token_sent,
            message: None,
        };
        assert!(refusal(false).to_string().contains("set HF_TOKEN"));
        assert!(refusal(true).to_string().contains("was not accepted"));
    }
}
