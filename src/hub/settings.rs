//! How the hub is spoken to.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::Url;

use super::HubError;

const DEFAULT_ENDPOINT: &str = "https://huggingface.co";

/// Which hub, as whom, and how patiently.
#[derive(Clone, Debug)]
pub struct HubSettings {
    /// Its address, with `http` or `https`.
    pub endpoint: String,
    /// Sent to the endpoint, and to no other host that it redirects to.
    pub token: Option<Token>,
    /// Whether to ask nobody.
    pub offline: bool,
    /// What to do when a connection fails.
    pub retries: RetrySettings,
}

/// When to try again. Waits double from the first to the longest.
#[derive(Clone, Copy, Debug)]
pub struct RetrySettings {
    /// Attempts without progress before it is given up. Progress is a mebibyte of a file.
    pub attempts: u32,
    /// Wait after the first failure.
    pub first_wait: Duration,
    /// The longest wait, also where the hub asks for more.
    pub longest_wait: Duration,
    /// A connection that is not there by then has failed.
    pub connect_timeout: Duration,
    /// A connection that brings nothing for so long has failed.
    pub stall_timeout: Duration,
}

impl Default for RetrySettings {
    fn default() -> Self {
        Self {
            attempts: 5,
            first_wait: Duration::from_millis(500),
            longest_wait: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(15),
            stall_timeout: Duration::from_secs(60),
        }
    }
}

/// An access token, which no message shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// Takes a token as the hub gives it.
    #[must_use]
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }

    pub(super) fn secret(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(hidden)")
    }
}

impl HubSettings {
    /// What the environment says, read as Hugging Face's own tools do: `HF_ENDPOINT`; `HF_TOKEN`,
    /// or the file `HF_TOKEN_PATH`, or the file `token` in `HF_HOME` (none of them when
    /// `HF_HUB_DISABLE_IMPLICIT_TOKEN` is set); `HF_HUB_OFFLINE`.
    #[must_use]
    pub fn from_env() -> Self {
        Self::from_vars(|name| std::env::var_os(name), &hf_hub::hf_home())
    }

    fn from_vars(var: impl Fn(&str) -> Option<OsString>, hf_home: &std::path::Path) -> Self {
        let set = |name| {
            let text = var(name)?.to_string_lossy().trim().to_owned();
            (!text.is_empty()).then_some(text)
        };
        let is_on = |name| {
            set(name).is_some_and(|value| {
                ["1", "on", "yes", "true"].contains(&value.to_ascii_lowercase().as_str())
            })
        };
        let from_file = |path: PathBuf| {
            let text = std::fs::read_to_string(path).ok()?.trim().to_owned();
            (!text.is_empty()).then_some(text)
        };
        let token = if is_on("HF_HUB_DISABLE_IMPLICIT_TOKEN") {
            None
        } else {
            set("HF_TOKEN")
                .or_else(|| from_file(PathBuf::from(set("HF_TOKEN_PATH")?)))
                .or_else(|| from_file(hf_home.join("token")))
        };
        Self {
            endpoint: set("HF_ENDPOINT").unwrap_or_else(|| DEFAULT_ENDPOINT.to_owned()),
            token: token.map(Token),
            offline: is_on("HF_HUB_OFFLINE"),
            retries: RetrySettings::default(),
        }
    }

    /// The endpoint as an address without a slash at its end.
    pub(super) fn endpoint_url(&self) -> Result<Url, HubError> {
        let bad = |why: String| HubError::BadSetting { variable: "HF_ENDPOINT", why };
        let text = self.endpoint.trim_end_matches('/');
        let url = Url::parse(text).map_err(|error| bad(format!("{text:?}: {error}")))?;
        if !["http", "https"].contains(&url.scheme()) || url.host_str().is_none() {
            return Err(bad(format!("{text:?} is no http or https address")));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(bad("it holds a name or a password: HF_TOKEN is the place for it".into()));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(bad(format!("{text:?} has a query or a fragment")));
        }
        Ok(url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pairs: &[(&str, &str)], home: &std::path::Path) -> HubSettings {
        let var = |name: &str| {
            pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value))
        };
        HubSettings::from_vars(var, home)
    }

    #[test]
    fn the_environment_is_read_as_the_hubs_own_tools_read_it() {
        let home = tempfile::tempdir().unwrap();
        let plain = settings(&[], home.path());
        assert_eq!(plain.endpoint, "https://huggingface.co");
        assert_eq!((plain.token, plain.offline), (None, false));

        std::fs::write(home.path().join("token"), "from home\n").unwrap();
        std::fs::write(home.path().join("other"), "from path\n").unwrap();
        let other = home.path().join("other");
        let path = ("HF_TOKEN_PATH", other.to_str().unwrap());
        let token = |pairs: &[(&str, &str)]| settings(pairs, home.path()).token;
        assert_eq!(token(&[]), Some(Token::new("from home")));
        assert_eq!(token(&[path]), Some(Token::new("from path")));
        assert_eq!(token(&[path, ("HF_TOKEN", " mine ")]), Some(Token::new("mine")));
        assert_eq!(token(&[path, ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")]), None);

        for on in ["1", "ON", "yes", "True"] {
            assert!(settings(&[("HF_HUB_OFFLINE", on)], home.path()).offline, "{on}");
        }
        for off in ["", "0", "no"] {
            assert!(!settings(&[("HF_HUB_OFFLINE", off)], home.path()).offline, "{off}");
        }
    }

    #[test]
    fn an_endpoint_that_is_no_address_is_refused() {
        let with = |endpoint: &str| {
            settings(&[("HF_ENDPOINT", endpoint)], std::path::Path::new("/nowhere")).endpoint_url()
        };
        assert_eq!(with("http://127.0.0.1:9/").unwrap().port(), Some(9));
        assert_eq!(with("https://mirror.example/hub").unwrap().path(), "/hub");
        for bad in [
            "huggingface.co",
            "ftp://x",
            "http://",
            "http://x?y",
            "file:///x",
            "http://me:secret@x",
        ] {
            let error = with(bad).unwrap_err();
            assert!(matches!(error, HubError::BadSetting { .. }), "{bad}: {error:?}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_token_is_never_shown() {
        let mut shown = settings(&[], std::path::Path::new("/nowhere"));
        shown.token = Some(Token::new("hf_secret"));
        assert!(!format!("{shown:?}").contains("hf_secret"));
    }
}
