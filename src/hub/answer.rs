//! What the hub's answers say: sizes and digests, ranges, redirects, failures.

use std::error::Error;
use std::time::Duration;

use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, HeaderMap, HeaderName, LOCATION};
use reqwest::{Response, StatusCode, Url};

use super::HubError;
use super::digest::bare_etag;

const LINKED_ETAG: HeaderName = HeaderName::from_static("x-linked-etag");
const LINKED_SIZE: HeaderName = HeaderName::from_static("x-linked-size");
pub(super) const REPO_COMMIT: HeaderName = HeaderName::from_static("x-repo-commit");
pub(super) const ERROR_MESSAGE: HeaderName = HeaderName::from_static("x-error-message");

/// Of a chain that is longer nobody knows where it ends.
pub(super) const REDIRECT_LIMIT: usize = 10;

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

/// What the hub says of a file before it redirects to where the bytes are.
#[derive(Default)]
pub(super) struct Linked {
    pub(super) etag: Option<String>,
    pub(super) size_bytes: Option<u64>,
}

impl Linked {
    pub(super) fn read(&mut self, headers: &HeaderMap) {
        if let Some(etag) = header(headers, &LINKED_ETAG) {
            self.etag = Some(bare_etag(etag).to_owned());
        }
        if let Some(size) = header(headers, &LINKED_SIZE).and_then(|size| size.parse().ok()) {
            self.size_bytes = Some(size);
        }
    }
}

/// Compares what an answer says of its bytes with what was asked for.
pub(super) fn check_body(
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

pub(super) fn next_url(url: &Url, response: &Response) -> Result<Url, HubError> {
    let bad = |why: &str| HubError::BadAnswer { url: without_query(url), why: why.to_owned() };
    let location = header(response.headers(), &LOCATION);
    let location = location.ok_or_else(|| bad("it redirects to nowhere"))?;
    let next = url.join(location).map_err(|_| bad("it redirects to what is no address"))?;
    match (url.scheme(), next.scheme()) {
        (_, "https") | ("http", "http") => Ok(next),
        _ => Err(bad("it redirects away from https")),
    }
}

pub(super) fn too_many_redirects(url: &Url) -> HubError {
    let why = format!("more than {REDIRECT_LIMIT} redirects");
    HubError::BadAnswer { url: without_query(url), why }
}

pub(super) fn header<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

pub(super) fn is_passing(status: StatusCode) -> bool {
    status.is_server_error()
        || [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS].contains(&status)
}

/// An address that a message can show: the query of a storage address is its signature.
pub(super) fn without_query(url: &Url) -> String {
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
}
