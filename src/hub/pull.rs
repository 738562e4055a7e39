//! `owlet pull`: a checkpoint from the hub into its folder.
//!
//! Everything is fetched into `<folder>.partial`, which takes the folder's place at the end. What
//! an interrupted download left there is used by the next one, file by file, where the hub still
//! announces the same file.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::mpsc;

use super::dir::{CONFIG_FILE, INDEX_FILE, POOLING_FILE, WEIGHTS_FILE};
use super::dir::{entries, is_foreign_weights, shard_names};
use super::fetch::fetch;
use super::known::{OLD_SUFFIX, PARTIAL_SUFFIX, check_revision};
use super::manifest::{Manifest, ManifestFile};
use super::partial::{Partial, STATE_FILE, remove_file};
use super::patience::{Events, Patience, PullEvent};
use super::remote::{DEFAULT_REVISION, Remote, Revision};
use super::settings::HubSettings;
use super::{HubError, ModelDir, ModelLocations, ModelName, Verify};

/// What is fetched beside the weights where a repository has it. Nothing else ever is: no code,
/// no pickle, no other framework's weights.
const SMALL_FILES: &[&str] = &[
    CONFIG_FILE,
    "preprocessor_config.json",
    "processor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "vocab.txt",
    // Sentence encoders.
    "modules.json",
    "sentence_bert_config.json",
    "config_sentence_transformers.json",
    POOLING_FILE,
];

/// Events that may wait for a slow listener.
const EVENTS_IN_FLIGHT: usize = 256;

/// What to fetch, from where, to where.
#[derive(Clone, Debug)]
pub struct PullRequest {
    /// A short name or `owner/name`.
    pub name: String,
    /// A branch, a tag or a commit; the main branch where none is given.
    pub revision: Option<String>,
    /// Which hub, as whom, and how patiently.
    pub settings: HubSettings,
    /// Whose `models_dir` takes the model.
    pub locations: ModelLocations,
}

/// Fetches a checkpoint, or finds that it is there and right. Blocks; events come on the thread of
/// the caller. It can be called with or without an async runtime around it.
///
/// A model that is there at another commit is replaced, with the files that did not change kept; a
/// damaged one is mended. A full commit that is there needs no network.
///
/// # Errors
/// One error for each cause, see [`HubError`]. What was fetched before it stays for the next call,
/// except for a file that came damaged.
pub fn pull(
    request: &PullRequest,
    on_event: &mut dyn FnMut(PullEvent),
) -> Result<ModelDir, HubError> {
    let name = ModelName::parse(&request.name)?;
    if let Some(revision) = &request.revision {
        check_revision(revision)?;
    }
    let models_dir = request.locations.models_dir.as_ref().ok_or(HubError::NoModelsFolder)?;
    let job = Job::new(request, &name, models_dir)?;
    let present = Present::look(&job.folder, name.repo())?;
    if let Some(commit) = present.answers(request) {
        on_event(PullEvent::UpToDate { commit });
        return ModelDir::open(&job.folder);
    }
    if request.settings.offline {
        let revision = request.revision.as_ref().map(|revision| format!("@{revision}"));
        let name = format!("{}{}", name.display(), revision.unwrap_or_default());
        return Err(HubError::Offline { name });
    }
    fs::create_dir_all(models_dir)
        .map_err(|source| HubError::io("make the folder", models_dir, source))?;
    let lock = Lock::take(&job)?;
    // A thread of its own: a runtime cannot be started inside of another one.
    let outcome = std::thread::scope(|scope| {
        let (sender, events) = mpsc::sync_channel(EVENTS_IN_FLIGHT);
        let (job, present) = (&job, &present);
        let worker = scope.spawn(move || job.run(present, Events(sender)));
        for event in events {
            on_event(event);
        }
        worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    drop(lock);
    outcome?;
    ModelDir::open(&job.folder)
}

/// What lies in the model's folder.
enum Present {
    Nothing,
    /// A model of ours that lacks something or is damaged.
    Damaged(Option<Manifest>),
    Whole(Manifest),
}

impl Present {
    fn look(folder: &Path, repo: &str) -> Result<Self, HubError> {
        if !folder.exists() || (folder.is_dir() && entries(folder)?.is_empty()) {
            return Ok(Self::Nothing);
        }
        let not_ours = || HubError::NotOurs { path: folder.to_owned() };
        let manifest = match Manifest::read(folder) {
            Ok(manifest) => manifest.ok_or_else(not_ours)?,
            Err(HubError::BadFile { .. } | HubError::UnsafeFileName { .. }) => {
                return Ok(Self::Damaged(None));
            }
            Err(error) => return Err(error),
        };
        if manifest.repo != repo {
            return Err(not_ours());
        }
        match ModelDir::open(folder).and_then(|model| model.verify(Verify::IfChanged)) {
            Ok(_) => Ok(Self::Whole(manifest)),
            Err(error) => {
                tracing::info!("{error}");
                Ok(Self::Damaged(Some(manifest)))
            }
        }
    }

    /// The commit, if what is there answers a request without a question to the hub: the commit
    /// itself was asked for, or nobody may be asked.
    fn answers(&self, request: &PullRequest) -> Option<String> {
        let Self::Whole(manifest) = self else { return None };
        let asked = request.revision.as_deref();
        let is_commit = asked.is_some_and(|asked| asked.eq_ignore_ascii_case(&manifest.commit));
        let is_what_was_pulled = asked.is_none_or(|asked| asked == manifest.revision);
        (is_commit || (request.settings.offline && is_what_was_pulled))
            .then(|| manifest.commit.clone())
    }

    fn manifest(&self) -> Option<&Manifest> {
        match self {
            Self::Nothing => None,
            Self::Damaged(manifest) => manifest.as_ref(),
            Self::Whole(manifest) => Some(manifest),
        }
    }
}

/// One download.
struct Job<'a> {
    request: &'a PullRequest,
    repo: &'a str,
    revision: &'a str,
    folder: PathBuf,
    partial: PathBuf,
    old: PathBuf,
    lock: PathBuf,
}

impl<'a> Job<'a> {
    fn new(
        request: &'a PullRequest,
        name: &'a ModelName,
        models_dir: &Path,
    ) -> Result<Self, HubError> {
        let folder = name.folder();
        Ok(Self {
            request,
            repo: name.repo(),
            revision: request.revision.as_deref().unwrap_or(DEFAULT_REVISION),
            partial: models_dir.join(folder.clone() + PARTIAL_SUFFIX),
            old: models_dir.join(folder.clone() + OLD_SUFFIX),
            lock: models_dir.join(format!(".{folder}.lock")),
            folder: models_dir.join(folder),
        })
    }

    fn run(&self, present: &Present, events: Events) -> Result<(), HubError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|source| HubError::Io {
            action: "start the network for",
            path: self.folder.clone(),
            source,
        })?;
        runtime.block_on(self.fetch_all(present, &events))
    }

    async fn fetch_all(&self, present: &Present, events: &Events) -> Result<(), HubError> {
        let retries = self.request.settings.retries;
        let patience = || Patience::new(retries, events);
        let remote = Remote::new(&self.request.settings, self.repo)?;
        let what = format!("{} at {}", self.repo, self.revision);
        let asked = self.request.revision.as_deref();
        let revision = patience()
            .until_answered(&remote, &what, async || remote.revision(asked).await)
            .await?;
        let commit = &revision.commit;
        if let Present::Whole(manifest) = present
            && manifest.commit == *commit
        {
            events.send(PullEvent::UpToDate { commit: commit.clone() });
            return Ok(());
        }
        let announced = async |path: &str| {
            let ask = async || remote.file(commit, path).await;
            patience().until_answered(&remote, path, ask).await
        };

        let wanted = Wanted::of(self.repo, &revision)?;
        let mut partial = Partial::open(&self.partial)?;
        let mut files = Vec::new();
        for path in &wanted.small {
            files.push(announced(path).await?);
        }
        partial.admit(&files, &self.folder, present.manifest())?;
        if wanted.is_sharded {
            // Which shards there are stands in the index, which is one of the small files.
            let index = files.iter().filter(|file| file.path == INDEX_FILE);
            for file in index {
                fetch(&remote, commit, file, &self.partial, patience()).await?;
            }
            let listed_in = format!("{INDEX_FILE} of {}", self.repo);
            let shards = shard_names(&self.partial.join(INDEX_FILE), &listed_in)?;
            let missing: Vec<_> =
                shards.iter().filter(|shard| !revision.files.contains(shard)).cloned().collect();
            if !missing.is_empty() {
                let (repo, commit) = (self.repo.to_owned(), commit.clone());
                return Err(HubError::RepoLacks { repo, commit, missing, pickles: Vec::new() });
            }
            for shard in &shards {
                files.push(announced(shard).await?);
            }
        } else {
            files.push(announced(WEIGHTS_FILE).await?);
        }
        let present_bytes = partial.admit(&files, &self.folder, present.manifest())?;
        partial.keep_only(&files)?;
        events.send(PullEvent::Resolved {
            repo: self.repo.to_owned(),
            commit: commit.clone(),
            files: files.len(),
            total_bytes: files.iter().map(|file| file.size_bytes).sum(),
            present_bytes,
        });
        let mut fetched = Vec::new();
        for file in &files {
            fetched.push(fetch(&remote, commit, file, &self.partial, patience()).await?);
        }
        self.install(commit, fetched)
    }

    /// Puts the finished folder in its place.
    fn install(&self, commit: &str, mut files: Vec<ManifestFile>) -> Result<(), HubError> {
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Manifest::new(self.repo, self.revision, commit, files).write(&self.partial)?;
        // What is refused later is refused before it replaces something that works.
        ModelDir::open(&self.partial)?;
        sync_folder(&self.partial)?;
        if self.folder.exists() {
            remove_folder(&self.old)?;
            rename(&self.folder, &self.old)?;
        }
        if let Err(error) = rename(&self.partial, &self.folder) {
            if self.old.exists() {
                rename(&self.old, &self.folder)?;
            }
            return Err(error);
        }
        // Only now: were this process to end before, the state is what saves a second download.
        remove_file(&self.folder.join(STATE_FILE))?;
        remove_folder(&self.old)?;
        self.folder.parent().map_or(Ok(()), sync_folder)
    }
}

/// Which files of a repository are fetched.
struct Wanted {
    /// The small files that are there, and the index of shards.
    small: Vec<&'static str>,
    is_sharded: bool,
}

impl Wanted {
    fn of(repo: &str, revision: &Revision) -> Result<Self, HubError> {
        let has = |wanted: &str| revision.files.iter().any(|file| file == wanted);
        let mut small: Vec<_> = SMALL_FILES.iter().copied().filter(|file| has(file)).collect();
        // Where both are there, the single file wins, as in transformers.
        let is_sharded = !has(WEIGHTS_FILE) && has(INDEX_FILE);
        let mut missing = Vec::new();
        if !has(CONFIG_FILE) {
            missing.push(CONFIG_FILE.to_owned());
        }
        if !has(WEIGHTS_FILE) && !is_sharded {
            missing.push(format!("{WEIGHTS_FILE} (or {INDEX_FILE})"));
        }
        if missing.is_empty() {
            small.extend(is_sharded.then_some(INDEX_FILE));
            return Ok(Self { small, is_sharded });
        }
        let pickles =
            revision.files.iter().filter(|file| is_foreign_weights(file)).cloned().collect();
        let (repo, commit) = (repo.to_owned(), revision.commit.clone());
        Err(HubError::RepoLacks { repo, commit, missing, pickles })
    }
}

/// Held while a model is fetched. The file stays: deleting it would race with the next holder.
struct Lock(#[expect(dead_code, reason = "held for its lock, which ends with it")] File);

impl Lock {
    fn take(job: &Job<'_>) -> Result<Self, HubError> {
        let failed = |source| HubError::io("lock", &job.lock, source);
        let file = File::options().create(true).append(true).open(&job.lock).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => {
                Err(HubError::Busy { name: job.repo.to_owned(), lock: job.lock.clone() })
            }
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }
}

fn remove_folder(path: &Path) -> Result<(), HubError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(HubError::io("delete", path, error))
        }
        _ => Ok(()),
    }
}

fn rename(from: &Path, to: &Path) -> Result<(), HubError> {
    fs::rename(from, to).map_err(|source| HubError::io("put in place", to, source))
}

/// Makes names in a folder last through a power cut.
fn sync_folder(path: &Path) -> Result<(), HubError> {
    let synced = File::open(path).and_then(|folder| folder.sync_all());
    synced.map_err(|source| HubError::io("write", path, source))
}
