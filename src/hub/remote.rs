//! Requests to the hub: what a revision is, what a file is, and its bytes from an offset on.
//!
//! hf-hub answers the first question. Files are asked for here, over the same HTTP stack, since
//! hf-hub 1.0 cannot do what a checkpoint of gigabytes needs: its downloads to a folder start at
//! the first byte again after every cut; it follows the redirect to the storage before it reads
//! the headers, and so loses the SHA-256 that only the hub's own answer carries (`X-Linked-Etag`);
//! and its tree listing leaves the SHA-256 out. The storage's plain HTTP answers serve every file,
//! also those kept in Xet.

use std::error::Error;
use std::time::Duration;

use hf_hub::{HFClient, HFError};
use reqwest::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, CONTENT_RANGE, ETAG};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue, LOCATION, RANGE, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Method, Response, StatusCode, Url};

use super::HubError;
use super::digest::bare_etag;
use super::settings::HubSettings;

const LINKED_ETAG: HeaderName = HeaderName::from_static("x-linked-etag");
const LINKED_SIZE: HeaderName = HeaderName::from_static("x-linked-size");
const REPO_COMMIT: HeaderName = HeaderName::from_static("x-repo-commit");
const ERROR_MESSAGE: HeaderName = HeaderName::from_static("x-error-message");

/// The branch that is meant where none is named.
pub(super) const DEFAULT_REVISION: &str = "main";

/// Of a chain that is longer nobody knows where it ends.
const REDIRECT_LIMIT: usize = 10;

/// Why one attempt failed, and whether another one may help.
#[derive(Debug)]
pub(super) enum Failure {
    /// It would fail again.
    Final(HubError),
    /// A lost connection or a busy server.
    Passing {
        reason: String,
        /// How long the server asks to wait.
        wait: Option<Duration>,
        /// Whether no answer came at all.
        no_answer: bool,
    },
}

impl From<HubError> for Failure {
    fn from(error: HubError) -> Self {
        Self::Final(error)
    }
}

/// What a revision is.
#[derive(Debug)]
pub(super) struct Revision {
    /// Forty hexadecimal digits.
    pub(super) commit: String,
    /// Every file of the repository.
    pub(super) files: Vec<String>,
}

/// What the hub announces of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RemoteFile {
    pub(super) path: String,
    pub(super) size_bytes: u64,
    /// Without quotes; empty where the server gives none.
    pub(super) etag: String,
}

/// The bytes of a file, from `from` on.
#[derive(Debug)]
pub(super) struct Body {
    pub(super) response: Response,
    /// 0 when the server does not serve ranges, whatever was asked for.
    pub(super) from: u64,
}

/// One repository of the hub.
pub(super) struct Remote {
    endpoint: Url,
    repo: String,
    token: Option<HeaderValue>,
    hub: HFClient,
    http: reqwest::Client,
}

impl Remote {
    pub(super) fn new(settings: &HubSettings, repo: &str) -> Result<Self, HubError> {
        let endpoint = settings.endpoint_url()?;
        let token =
            settings.token.as_ref().map(|token| {
                let mut value = HeaderValue::from_str(&format!("Bearer {}", token.secret()))
                    .map_err(|_| HubError::BadSetting {
                        variable: "HF_TOKEN",
                        why: "it has a character that no token has".to_owned(),
                    })?;
                value.set_sensitive(true);
                Ok::<_, HubError>(value)
            });
        let token = token.transpose()?;
        let client = |redirects| {
            let mut builder = reqwest::Client::builder()
                .user_agent(concat!("owlet/", env!("CARGO_PKG_VERSION")))
                .redirect(redirects)
                .connect_timeout(settings.retries.connect_timeout)
                .read_timeout(settings.retries.stall_timeout);
            if is_loopback(&endpoint) {
                // No proxy can reach what is on this machine.
                builder = builder.no_proxy();
            }
            builder.build().map_err(|error| HubError::BadAnswer {
                url: endpoint.to_string(),
                why: format!("no HTTP client: {}", with_causes(&error)),
            })
        };
        // Retries are counted in one place, which is not inside hf-hub.
        let mut hub = HFClient::builder()
            .endpoint(endpoint.as_str())
            .client(client(Policy::default())?)
            .cache_enabled(false)
            .retry_max_attempts(0);
        if let Some(token) = &settings.token {
            hub = hub.token(token.secret());
        }
        let hub = hub.build().map_err(|error| HubError::BadSetting {
            variable: "HF_ENDPOINT",
            why: error.to_string(),
        })?;
        let http = client(Policy::none())?;
        Ok(Self { endpoint, repo: repo.to_owned(), token, hub, http })
    }

    /// The hub's address, for messages.
    pub(super) fn endpoint(&self) -> String {
        self.endpoint.as_str().trim_end_matches('/').to_owned()
    }

    /// Which commit a revision is, and which files it has.
    pub(super) async fn revision(&self, asked: Option<&str>) -> Result<Revision, Failure> {
        let (owner, name) = hf_hub::split_id(&self.repo);
        let revision = asked.unwrap_or(DEFAULT_REVISION);
        let info = self.hub.model(owner, name).info().revision(revision).send().await;
        let info = info.map_err(|error| self.failure_of(error, asked))?;
        let url = format!("{}/api/models/{}/revision/{revision}", self.endpoint(), self.repo);
        let bad = |why: &str| HubError::BadAnswer { url: url.clone(), why: why.to_owned() };
        let commit = info.sha.ok_or_else(|| bad("it names no commit"))?.to_ascii_lowercase();
        if commit.len() != 40 || !commit.chars().all(|c| c.is_ascii_hexdigit()) {
            return Err(bad(&format!("{commit:?} is no commit")).into());
        }
        let siblings = info.siblings.ok_or_else(|| bad("it lists no files"))?;
        Ok(Revision { commit, files: siblings.into_iter().map(|file| file.rfilename).collect() })
    }

    /// Size and digest of a file. `path` is a plain name.
    pub(super) async fn file(&self, commit: &str, path: &str) -> Result<RemoteFile, Failure> {
        let mut url = self.file_url(commit, path);
        let mut linked = Linked::default();
        for _ in 0..REDIRECT_LIMIT {
            let response = self.send(Method::HEAD, &url, HeaderMap::new()).await?;
            linked.read(response.headers());
            if let Some(answered) = header(response.headers(), &REPO_COMMIT)
                && !answered.eq_ignore_ascii_case(commit)
            {
                let why = format!("commit {commit} was asked for and {answered} answered");
                return Err(HubError::BadAnswer { url: url.to_string(), why }.into());
            }
            let status = response.status();
            if status.is_redirection() {
                // What the storage says of itself adds nothing.
                if let Some(size_bytes) = linked.size_bytes
                    && let Some(etag) = linked.etag
                {
                    return Ok(RemoteFile { path: path.to_owned(), size_bytes, etag });
                }
                url = next_url(&url, &response)?;
                continue;
            }
            if !status.is_success() {
                return Err(self.failure_of_response(response, commit, path).await);
            }
            // A HEAD has no body: its length is only in the header.
            let length = header(response.headers(), &CONTENT_LENGTH).and_then(|v| v.parse().ok());
            let own_etag = header(response.headers(), &ETAG).map(|etag| bare_etag(etag).to_owned());
            let size_bytes = linked.size_bytes.or(length).ok_or_else(|| HubError::BadAnswer {
                url: url.to_string(),
                why: "it tells no size".to_owned(),
            })?;
            let etag = linked.etag.or(own_etag).unwrap_or_default();
            return Ok(RemoteFile { path: path.to_owned(), size_bytes, etag });
        }
        Err(too_many_redirects(&url).into())
    }

    /// The bytes of a file from an offset on.
    pub(super) async fn bytes(
        &self,
        commit: &str,
        file: &RemoteFile,
        from: u64,
    ) -> Result<Body, Failure> {
        let mut url = self.file_url(commit, &file.path);
        let mut headers = HeaderMap::new();
        if from > 0
            && let Ok(range) = HeaderValue::from_str(&format!("bytes={from}-"))
        {
            headers.insert(RANGE, range);
        }
        for _ in 0..REDIRECT_LIMIT {
            let response = self.send(Method::GET, &url, headers.clone()).await?;
            let status = response.status();
            if status.is_redirection() {
                url = next_url(&url, &response)?;
                continue;
            }
            if !status.is_success() {
                return Err(self.failure_of_response(response, commit, &file.path).await);
            }
            return check_body(&url, file, from, response);
        }
        Err(too_many_redirects(&url).into())
    }

    fn file_url(&self, commit: &str, path: &str) -> Url {
        let mut url = self.endpoint.clone();
        // Neither part needs an escape: a repository and a plain name were checked to be plain.
        let base = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{base}/{}/resolve/{commit}/{path}", self.repo));
        url
    }

    /// One request, with the token only for the endpoint itself.
    async fn send(
        &self,
        method: Method,
        url: &Url,
        headers: HeaderMap,
    ) -> Result<Response, Failure> {
        let mut request = self.http.request(method, url.clone()).headers(headers);
        // Sizes and digests are those of the plain bytes.
        request = request.header(ACCEPT_ENCODING, "identity");
        if let Some(token) = &self.token
            && url.origin() == self.endpoint.origin()
        {
            request = request.header(AUTHORIZATION, token.clone());
        }
        request.send().await.map_err(|error| Failure::Passing {
            reason: with_causes(&error.without_url()),
            wait: None,
            no_answer: true,
        })
    }

    async fn failure_of_response(&self, response: Response, commit: &str, path: &str) -> Failure {
        let status = response.status();
        let message = header(response.headers(), &ERROR_MESSAGE).map(str::to_owned);
        let wait = header(response.headers(), &RETRY_AFTER)
            .and_then(|secs| secs.trim().parse().ok())
            .map(Duration::from_secs);
        let url = without_query(response.url());
        if is_passing(status) {
            return Failure::Passing { reason: format!("HTTP {status}"), wait, no_answer: false };
        }
        Failure::Final(match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                self.not_authorised(status, message)
            }
            StatusCode::NOT_FOUND => HubError::FileNotFound {
                repo: self.repo.clone(),
                commit: commit.to_owned(),
                file: path.to_owned(),
            },
            _ => HubError::Status { url, status: status.as_u16(), message },
        })
    }

    fn not_authorised(&self, status: StatusCode, message: Option<String>) -> HubError {
        HubError::NotAuthorised {
            endpoint: self.endpoint(),
            repo: self.repo.clone(),
            status: status.as_u16(),
            token_sent: self.token.is_some(),
            message,
        }
    }

    fn failure_of(&self, error: HFError, asked: Option<&str>) -> Failure {
        let (endpoint, repo) = (self.endpoint(), self.repo.clone());
        let bad_answer = |url: Option<String>, why| HubError::BadAnswer {
            url: url.unwrap_or(self.endpoint()),
            why,
        };
        Failure::Final(match error {
            HFError::AuthRequired { context } | HFError::Forbidden { context } => {
                self.not_authorised(context.status, context.server_message)
            }
            HFError::RepoNotFound { .. } => HubError::RepoNotFound { endpoint, repo },
            // hf-hub takes every 404 for the revision's; the hub's code tells which one it is.
            HFError::RevisionNotFound { context, .. } => {
                let code = context.and_then(|context| context.error_code);
                match asked {
                    Some(revision) if code.as_deref() != Some("RepoNotFound") => {
                        let revision = revision.to_owned();
                        HubError::RevisionNotFound { endpoint, repo, revision }
                    }
                    _ => HubError::RepoNotFound { endpoint, repo },
                }
            }
            HFError::RateLimited { retry_after, context } => {
                let reason = format!("HTTP {}", context.status);
                return Failure::Passing { reason, wait: retry_after, no_answer: false };
            }
            HFError::Http { context } if is_passing(context.status) => {
                let reason = format!("HTTP {}", context.status);
                return Failure::Passing { reason, wait: None, no_answer: false };
            }
            HFError::Http { context } => HubError::Status {
                url: context.url,
                status: context.status.as_u16(),
                message: context.server_message,
            },
            HFError::Request { source, url } if source.is_decode() => {
                bad_answer(url, with_causes(&source.without_url()))
            }
            HFError::Request { source, .. } => {
                let reason = with_causes(&source.without_url());
                return Failure::Passing { reason, wait: None, no_answer: true };
            }
            other => bad_answer(None, other.to_string()),
        })
    }
}

/// What the hub says of a file before it redirects to where the bytes are.
#[derive(Default)]
struct Linked {
    etag: Option<String>,
    size_bytes: Option<u64>,
}

impl Linked {
    fn read(&mut self, headers: &HeaderMap) {
        if let Some(etag) = header(headers, &LINKED_ETAG) {
            self.etag = Some(bare_etag(etag).to_owned());
        }
        if let Some(size) = header(headers, &LINKED_SIZE).and_then(|size| size.parse().ok()) {
            self.size_bytes = Some(size);
        }
    }
}

/// Compares what an answer says of its bytes with what was asked for.
fn check_body(
    url: &Url,
    file: &RemoteFile,
    from: u64,
    response: Response,
) -> Result<Body, Failure> {
    let wrong_size = |found_bytes| {
        let expected_bytes = file.size_bytes;
        HubError::WrongSize { file: file.path.clone(), expected_bytes, found_bytes }
    };
    if response.status() != StatusCode::PARTIAL_CONTENT {
        let length = header(response.headers(), &CONTENT_LENGTH).and_then(|v| v.parse().ok());
        return match length {
            Some(length) if length != file.size_bytes => Err(wrong_size(length).into()),
            _ => Ok(Body { response, from: 0 }),
        };
    }
    let range = header(response.headers(), &CONTENT_RANGE).and_then(parse_content_range);
    match range {
        Some((_, Some(total))) if total != file.size_bytes => Err(wrong_size(total).into()),
        Some((start, _)) if start == from => Ok(Body { response, from }),
        _ => {
            let why = format!("it holds another range than the one from byte {from} on");
            Err(HubError::BadAnswer { url: without_query(url), why }.into())
        }
    }
}

/// Start and total of `bytes START-END/TOTAL`.
fn parse_content_range(value: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = value.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (start, _) = range.split_once('-')?;
    Some((start.trim().parse().ok()?, total.trim().parse().ok()))
}

fn next_url(url: &Url, response: &Response) -> Result<Url, HubError> {
    let bad = |why: &str| HubError::BadAnswer { url: without_query(url), why: why.to_owned() };
    let location = header(response.headers(), &LOCATION);
    let location = location.ok_or_else(|| bad("it redirects to nowhere"))?;
    let next = url.join(location).map_err(|_| bad("it redirects to what is no address"))?;
    match (url.scheme(), next.scheme()) {
        (_, "https") | ("http", "http") => Ok(next),
        _ => Err(bad("it redirects away from https")),
    }
}

fn too_many_redirects(url: &Url) -> HubError {
    let why = format!("more than {REDIRECT_LIMIT} redirects");
    HubError::BadAnswer { url: without_query(url), why }
}

fn header<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn is_passing(status: StatusCode) -> bool {
    status.is_server_error()
        || [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS].contains(&status)
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
}

/// An address that a message can show: the query of a storage address is its signature.
fn without_query(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.to_string()
}

/// An error with its causes, which reqwest's own words leave out.
pub(super) fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !text.ends_with(&words) {
            text = format!("{text}: {words}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges() {
        assert_eq!(parse_content_range("bytes 5-9/10"), Some((5, Some(10))));
        assert_eq!(parse_content_range("bytes 5-9/*"), Some((5, None)));
        for text in ["", "bytes */10", "items 5-9/10", "bytes 5/10", "bytes x-9/10"] {
            assert_eq!(parse_content_range(text), None, "{text}");
        }
    }

    #[test]
    fn only_addresses_of_this_machine_go_around_the_proxy() {
        for near in ["http://localhost:1", "http://127.3.2.1", "http://[::1]:80"] {
            assert!(is_loopback(&Url::parse(near).unwrap()), "{near}");
        }
        for far in ["https://huggingface.co", "http://10.0.0.1", "http://localhost.example"] {
            assert!(!is_loopback(&Url::parse(far).unwrap()), "{far}");
        }
    }
}
