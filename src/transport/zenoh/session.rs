//! How to take part in zenoh, whatever is spoken over it.

use std::path::PathBuf;

use zenoh::Config;
use zenoh::config::EndPoint;

/// The links that Owlet is built with.
const PROTOCOLS: [&str; 4] = ["tcp", "tls", "udp", "unixsock-stream"];

/// What a session is opened with. The parameters `zenoh_config`, `zenoh_mode` and so on describe
/// each field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionOptions {
    /// zenoh's own configuration file.
    pub config: Option<PathBuf>,
    /// `peer` or `client`.
    pub mode: Option<String>,
    /// Endpoints to connect to; they take the place of those of the file.
    pub connect: Vec<String>,
    /// Endpoints to listen on; they take the place of those of the file.
    pub listen: Vec<String>,
}

impl SessionOptions {
    /// zenoh's configuration: that of the file, or `default` where there is none. What is wrong is
    /// added to `problems`.
    pub(in crate::transport) fn file_or(
        &self,
        default: Config,
        problems: &mut Vec<String>,
    ) -> Config {
        match &self.config {
            None => default,
            Some(path) => Config::from_file(path).unwrap_or_else(|error| {
                let path = path.display();
                problems.push(format!(
                    "zenoh_config: expected a configuration of zenoh in {path}: {error}"
                ));
                default
            }),
        }
    }

    /// `config`, with the other options put over it. What is wrong is added to `problems`.
    pub(in crate::transport) fn over(
        &self,
        mut config: Config,
        problems: &mut Vec<String>,
    ) -> Config {
        if let Some(mode) = &self.mode {
            insert(&mut config, "mode", &quoted(mode), "zenoh_mode", problems);
        }
        for (name, key, endpoints) in [
            ("zenoh_connect", "connect/endpoints", &self.connect),
            ("zenoh_listen", "listen/endpoints", &self.listen),
        ] {
            let before = problems.len();
            for (index, endpoint) in endpoints.iter().enumerate() {
                if let Err(reason) = check_endpoint(endpoint) {
                    problems.push(format!("{name}[{index}]: {reason}"));
                }
            }
            if problems.len() == before && !endpoints.is_empty() {
                let list: Vec<_> = endpoints.iter().map(|endpoint| quoted(endpoint)).collect();
                insert(&mut config, key, &format!("[{}]", list.join(",")), name, problems);
            }
        }
        config
    }
}

fn insert(config: &mut Config, key: &str, json: &str, name: &str, problems: &mut Vec<String>) {
    if let Err(error) = config.insert_json5(key, json) {
        problems.push(format!("{name}: {error}"));
    }
}

fn check_endpoint(text: &str) -> Result<(), String> {
    let form = "an endpoint such as tcp/192.168.1.10:7447";
    let endpoint: EndPoint =
        text.parse().map_err(|error| format!("expected {form}, found {text:?}: {error}"))?;
    let protocol = endpoint.protocol();
    match PROTOCOLS.contains(&protocol.as_str()) {
        true => Ok(()),
        false => Err(format!("expected one of the links {}, found {text:?}", PROTOCOLS.join(", "))),
    }
}

/// A text as JSON.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
