//! A hub on loopback: the parts of the Hugging Face Hub's HTTP interface that a download uses,
//! and a storage server on another port to which it redirects for large files, as the hub does.
//! Faults are put in by the test; every request is written down.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::json;
use sha2::Digest;

/// What goes wrong with the bytes of a file, once each.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// The connection breaks after so many bytes of the answer.
    CutAfter(usize),
    /// Nothing comes any more after so many bytes of the answer.
    StallAfter(usize),
    /// One bit is wrong.
    FlipBit,
    /// The answer is shorter than was announced, and complete in itself.
    Shorter,
    /// The answer is longer than was announced, and does not say how long.
    Longer,
    /// No range is served.
    IgnoreRange,
    /// The server is busy.
    Status(u16),
}

/// One request, as the server saw it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// `hub` or `storage`.
    pub(crate) host: &'static str,
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) range: Option<String>,
    pub(crate) token: Option<String>,
    /// Content-Length of the answer.
    pub(crate) answered_bytes: usize,
}

#[derive(Clone)]
struct RepoFile {
    bytes: Vec<u8>,
    /// Large files are kept in the storage, the others in the hub itself.
    is_large: bool,
}

/// A repository: what each revision is, and the files of each commit.
#[derive(Clone, Default)]
struct Repo {
    commits: BTreeMap<String, String>,
    files: BTreeMap<String, BTreeMap<String, RepoFile>>,
    token: Option<(String, u16)>,
    moved_to: Option<String>,
}

#[derive(Default)]
struct Hub {
    repos: BTreeMap<String, Repo>,
    faults: BTreeMap<String, VecDeque<Fault>>,
    api_faults: VecDeque<u16>,
    /// Answers of a server that is no hub.
    pages: VecDeque<&'static str>,
    seen: Vec<Seen>,
    storage: Option<SocketAddr>,
}

type Shared = Arc<Mutex<Hub>>;

/// The hub and its storage; they end with it.
pub(crate) struct HubServer {
    hub: Shared,
    address: SocketAddr,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl HubServer {
    pub(crate) fn start() -> Self {
        let hub = Shared::default();
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let (sender, addresses) = std::sync::mpsc::channel();
        let shared = Arc::clone(&hub);
        let thread = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let bind = || tokio::net::TcpListener::bind("127.0.0.1:0");
                let (front, storage) = (bind().await.unwrap(), bind().await.unwrap());
                let addresses = (front.local_addr().unwrap(), storage.local_addr().unwrap());
                sender.send(addresses).unwrap();
                let front_router = Router::new()
                    .route("/api/models/{owner}/{name}/revision/{revision}", get(info))
                    .route("/{owner}/{name}/resolve/{commit}/{*file}", get(resolve))
                    .with_state(Arc::clone(&shared));
                let storage_router =
                    Router::new().route("/blobs/{file}/{sha256}", get(blob)).with_state(shared);
                tokio::select! {
                    served = async { axum::serve(front, front_router).await } => served.unwrap(),
                    served = async { axum::serve(storage, storage_router).await } => served.unwrap(),
                    _ = stopped => {}
                }
            });
        });
        let (address, storage) = addresses.recv().unwrap();
        hub.lock().unwrap().storage = Some(storage);
        Self { hub, address, stop: Some(stop), thread: Some(thread) }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    fn hub(&self) -> MutexGuard<'_, Hub> {
        self.hub.lock().unwrap()
    }

    /// Publishes files as a commit and lets a branch or tag point to it; returns the commit.
    /// Files of weights are kept in the storage.
    pub(crate) fn publish(&self, repo: &str, revision: &str, files: &[(&str, &[u8])]) -> String {
        let mut named = sha1::Sha1::new();
        let mut commit_files = BTreeMap::new();
        for (name, bytes) in files {
            named.update(name.as_bytes());
            named.update(bytes);
            let is_large = name.ends_with(".safetensors") || name.ends_with(".bin");
            let file = RepoFile { bytes: bytes.to_vec(), is_large };
            commit_files.insert((*name).to_owned(), file);
        }
        let commit = hex(&named.finalize());
        let mut hub = self.hub();
        let repo = hub.repos.entry(repo.to_owned()).or_default();
        repo.files.insert(commit.clone(), commit_files);
        repo.commits.insert(commit.clone(), commit.clone());
        repo.commits.insert(revision.to_owned(), commit.clone());
        commit
    }

    /// Asks for a token from now on, and answers with `status` without it.
    pub(crate) fn protect(&self, repo: &str, token: &str, status: u16) {
        let mut hub = self.hub();
        hub.repos.get_mut(repo).unwrap().token = Some((token.to_owned(), status));
    }

    /// Answers for the files of `from` with a redirect, as for a repository that was renamed.
    pub(crate) fn rename(&self, from: &str, to: &str) {
        let mut hub = self.hub();
        let mut repo = hub.repos[from].clone();
        hub.repos.insert(to.to_owned(), repo.clone());
        repo.moved_to = Some(to.to_owned());
        hub.repos.insert(from.to_owned(), repo);
    }

    /// The next requests for the bytes of a file meet these faults, one each.
    pub(crate) fn fail(&self, file: &str, faults: impl IntoIterator<Item = Fault>) {
        self.hub().faults.entry(file.to_owned()).or_default().extend(faults);
    }

    /// The next questions for a revision are answered with these statuses.
    pub(crate) fn fail_revisions(&self, statuses: impl IntoIterator<Item = u16>) {
        self.hub().api_faults.extend(statuses);
    }

    /// The next question for a revision is answered with this text instead.
    pub(crate) fn answer_with(&self, page: &'static str) {
        self.hub().pages.push_back(page);
    }

    /// Every request since the last call.
    pub(crate) fn take_seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.hub().seen)
    }

    /// The requests for the bytes of files since the last call, without those that were
    /// redirected.
    pub(crate) fn take_downloads(&self) -> Vec<Seen> {
        let mut seen = self.take_seen();
        seen.retain(|seen| {
            let is_bytes = seen.path.contains("/resolve/") || seen.host == "storage";
            seen.method == Method::GET && is_bytes && seen.answered_bytes > 0
        });
        seen
    }
}

impl Drop for HubServer {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    hex(&sha2::Sha256::digest(bytes))
}

/// The id that git gives to a file.
pub(crate) fn git_sha1_hex(bytes: &[u8]) -> String {
    let mut hasher = sha1::Sha1::new();
    hasher.update(format!("blob {}\0", bytes.len()));
    hasher.update(bytes);
    hex(&hasher.finalize())
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).map(|value| value.to_str().unwrap())
}

fn refuse(status: u16, code: &str, message: &str) -> Response {
    let status = StatusCode::from_u16(status).unwrap();
    let headers = [("x-error-code", code.to_owned()), ("x-error-message", message.to_owned())];
    (status, headers, axum::Json(json!({"error": message}))).into_response()
}

impl Hub {
    fn note(&mut self, host: &'static str, method: &Method, path: String, headers: &HeaderMap) {
        self.seen.push(Seen {
            host,
            method: method.clone(),
            path,
            range: text(headers, "range").map(str::to_owned),
            token: text(headers, "authorization").map(str::to_owned),
            answered_bytes: 0,
        });
    }

    /// The repository, or the refusal.
    fn repo(&self, id: &str, headers: &HeaderMap) -> Result<&Repo, Box<Response>> {
        let Some(repo) = self.repos.get(id) else {
            return Err(Box::new(refuse(404, "RepoNotFound", "Repository not found")));
        };
        if let Some((token, status)) = &repo.token
            && text(headers, "authorization") != Some(&format!("Bearer {token}"))
        {
            let message = "Access to this model is restricted";
            return Err(Box::new(refuse(*status, "GatedRepo", message)));
        }
        Ok(repo)
    }
}

/// `GET /api/models/{repo}/revision/{revision}`.
async fn info(
    State(hub): State<Shared>,
    Path((owner, name, revision)): Path<(String, String, String)>,
    method: Method,
    headers: HeaderMap,
) -> Response {
    let mut hub = hub.lock().unwrap();
    let id = format!("{owner}/{name}");
    hub.note("hub", &method, format!("/api/models/{id}/revision/{revision}"), &headers);
    if let Some(status) = hub.api_faults.pop_front() {
        return refuse(status, "Busy", "try again");
    }
    if let Some(page) = hub.pages.pop_front() {
        return page.into_response();
    }
    let repo = match hub.repo(&id, &headers) {
        Ok(repo) => repo,
        Err(refusal) => return *refusal,
    };
    let Some(commit) = repo.commits.get(&revision) else {
        return refuse(404, "RevisionNotFound", "Invalid rev id");
    };
    let siblings: Vec<_> =
        repo.files[commit].keys().map(|name| json!({"rfilename": name})).collect();
    let info = json!({"_id": "0", "id": id, "sha": commit, "private": false, "siblings": siblings});
    axum::Json(info).into_response()
}

/// `HEAD` and `GET /{repo}/resolve/{commit}/{file}`.
async fn resolve(
    State(shared): State<Shared>,
    Path((owner, name, commit, file)): Path<(String, String, String, String)>,
    method: Method,
    headers: HeaderMap,
) -> Response {
    let mut hub = shared.lock().unwrap();
    let id = format!("{owner}/{name}");
    hub.note("hub", &method, format!("/{id}/resolve/{commit}/{file}"), &headers);
    let repo = match hub.repo(&id, &headers) {
        Ok(repo) => repo,
        Err(refusal) => return *refusal,
    };
    if let Some(new) = &repo.moved_to {
        let location = format!("/{new}/resolve/{commit}/{file}");
        return (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, location)]).into_response();
    }
    let Some(found) = repo.files.get(&commit).and_then(|files| files.get(&file)).cloned() else {
        return refuse(404, "EntryNotFound", "Entry not found");
    };
    let commit_header = ("x-repo-commit", commit);
    if !found.is_large {
        let etag = ("etag", format!("\"{}\"", git_sha1_hex(&found.bytes)));
        let body = serve(&mut hub, &file, &found.bytes, &method, &headers);
        return ([commit_header, etag], body).into_response();
    }
    let sha256 = sha256_hex(&found.bytes);
    let storage = hub.storage.unwrap();
    let headers = [
        commit_header,
        ("x-linked-etag", format!("\"{sha256}\"")),
        ("x-linked-size", found.bytes.len().to_string()),
        ("location", format!("http://{storage}/blobs/{file}/{sha256}?signature=secret")),
    ];
    // As on the hub, the redirect has an ETag and a length of its own.
    (StatusCode::FOUND, headers, [("etag", "\"redirect\"")]).into_response()
}

/// `GET /blobs/{file}/{sha256}` of the storage.
async fn blob(
    State(shared): State<Shared>,
    Path((file, sha256)): Path<(String, String)>,
    method: Method,
    headers: HeaderMap,
) -> Response {
    let mut hub = shared.lock().unwrap();
    hub.note("storage", &method, format!("/blobs/{file}/{sha256}"), &headers);
    let all = hub.repos.values().flat_map(|repo| repo.files.values());
    let mut all = all.filter_map(|files| files.get(&file));
    let Some(found) = all.find(|found| sha256_hex(&found.bytes) == sha256).cloned() else {
        return StatusCode::NOT_FOUND.into_response();
    };
    serve(&mut hub, &file, &found.bytes, &method, &headers)
}

/// The bytes of a file, or a range of them, with the fault that waits for it.
fn serve(
    hub: &mut Hub,
    file: &str,
    bytes: &[u8],
    method: &Method,
    headers: &HeaderMap,
) -> Response {
    if method == Method::HEAD {
        return ([(header::CONTENT_LENGTH, bytes.len())], Body::empty()).into_response();
    }
    let fault = hub.faults.get_mut(file).and_then(VecDeque::pop_front);
    if let Some(Fault::Status(status)) = fault {
        return refuse(status, "Busy", "try again");
    }
    let asked = text(headers, "range")
        .map(|range| range.strip_prefix("bytes=").unwrap().strip_suffix('-').unwrap())
        .map(|start| start.parse::<usize>().unwrap())
        .filter(|_| !matches!(fault, Some(Fault::IgnoreRange)));
    let start = asked.unwrap_or(0);
    if start >= bytes.len() && !bytes.is_empty() {
        return StatusCode::RANGE_NOT_SATISFIABLE.into_response();
    }
    let mut body = bytes[start..].to_vec();
    match fault {
        Some(Fault::FlipBit) => {
            let middle = body.len() / 2;
            body[middle] ^= 1;
        }
        Some(Fault::Shorter) => drop(body.pop()),
        Some(Fault::Longer) => body.push(0),
        _ => {}
    }
    if let Some(seen) = hub.seen.last_mut() {
        seen.answered_bytes = body.len();
    }
    let mut response = Response::builder();
    if asked.is_some() {
        let range = format!("bytes {start}-{}/{}", bytes.len() - 1, bytes.len());
        response = response.status(206).header(header::CONTENT_RANGE, range);
    }
    if !matches!(fault, Some(Fault::Longer)) {
        response = response.header(header::CONTENT_LENGTH, body.len());
    }
    let body = match fault {
        Some(Fault::CutAfter(count)) => broken(body, count, Duration::from_millis(50)),
        Some(Fault::StallAfter(count)) => broken(body, count, Duration::from_secs(60)),
        // In pieces, so that no length is known beforehand.
        Some(Fault::Longer) => broken(body.clone(), body.len(), Duration::ZERO),
        _ => Body::from(body),
    };
    response.body(body).unwrap()
}

/// A body that gives `count` bytes, waits, and then breaks if more was to come.
fn broken(bytes: Vec<u8>, count: usize, wait: Duration) -> Body {
    let is_whole = count == bytes.len();
    let first = Bytes::from(bytes[..count].to_vec());
    let stream = futures_util::stream::unfold(Some(first), move |next| async move {
        match next {
            Some(first) => Some((Ok(first), None)),
            None => {
                // Time for the bytes before to reach the client.
                tokio::time::sleep(wait).await;
                (!is_whole).then(|| (Err(std::io::Error::other("cut")), None))
            }
        }
    });
    Body::from_stream(stream)
}
