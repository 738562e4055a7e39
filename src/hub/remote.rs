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
use reqwest::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, ETAG};
use reqwest::header::{HeaderMap, HeaderValue, RANGE, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Method, Response, StatusCode, Url};

use super::HubError;
use super::answer::{
    Body, ERROR_MESSAGE, Failure, Linked, REDIRECT_LIMIT, REPO_COMMIT, RemoteFile, check_body,
    header, is_passing, next_url, too_many_redirects, with_causes, without_query,
};
use super::digest::bare_etag;
use super::settings::{HubSettings, Token};

/// The branch that is meant where none is named.
pub(super) const DEFAULT_REVISION: &str = "main";

/// What a revision is.
#[derive(Debug)]
pub(super) struct Revision {
    /// Forty hexadecimal digits.
    pub(super) commit: String,
    /// Every file of the repository.
    pub(super) files: Vec<String>,
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
        let token = settings.token.as_ref().map(bearer).transpose()?;
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
                return Err(self.failure_of_response(&response, commit, path));
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
                return Err(self.failure_of_response(&response, commit, &file.path));
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

    fn is_hub(&self, url: &Url) -> bool {
        url.origin() == self.endpoint.origin()
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
            && self.is_hub(url)
        {
            request = request.header(AUTHORIZATION, token.clone());
        }
        request.send().await.map_err(|error| Failure::Passing {
            reason: with_causes(&error.without_url()),
            wait: None,
            no_answer: true,
        })
    }

    fn failure_of_response(&self, response: &Response, commit: &str, path: &str) -> Failure {
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
            // A storage that refuses was never sent the token.
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if self.is_hub(response.url()) => {
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
            // JSON that is none, unlike a body that broke off, is no better the next time.
            HFError::Request { source, url }
                if source.source().is_some_and(|cause| cause.is::<serde_json::Error>()) =>
            {
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

fn bearer(token: &Token) -> Result<HeaderValue, HubError> {
    let value = HeaderValue::from_str(&format!("Bearer {}", token.secret()));
    let mut value = value.map_err(|_| HubError::BadSetting {
        variable: "HF_TOKEN",
        why: "it has a character that no token has".to_owned(),
    })?;
    value.set_sensitive(true);
    Ok(value)
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

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
