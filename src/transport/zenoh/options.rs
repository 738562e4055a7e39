//! From parameters to zenoh's configuration.

use std::path::PathBuf;

use zenoh::Config;
use zenoh::config::EndPoint;

use super::error::ZenohError;
use super::keys::Keys;

/// The links that Owlet is built with.
const PROTOCOLS: [&str; 4] = ["tcp", "tls", "udp", "unixsock-stream"];

/// What a session is opened with. The parameters of the same names describe each field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ZenohOptions {
    /// Name of the node.
    pub node: String,
    /// zenoh's own configuration file.
    pub config: Option<PathBuf>,
    /// `peer` or `client`.
    pub mode: Option<String>,
    /// Endpoints to connect to; they take the place of those of the file.
    pub connect: Vec<String>,
    /// Endpoints to listen on; they take the place of those of the file.
    pub listen: Vec<String>,
    /// Key expressions of images.
    pub images: Vec<String>,
    /// Whether detections also go out as CDR.
    pub cdr: bool,
    /// Whether places in space are looked for: what they need is subscribed to.
    pub locates: bool,
}

/// Options that were checked.
pub(super) struct Prepared {
    pub(super) config: Config,
    pub(super) keys: Keys,
    pub(super) cdr: bool,
    pub(super) locates: bool,
}

/// # Errors
/// Every problem.
pub(super) fn prepare(options: &ZenohOptions) -> Result<Prepared, ZenohError> {
    let mut problems = Vec::new();
    let mut config = match &options.config {
        None => Config::default(),
        Some(path) => Config::from_file(path).unwrap_or_else(|error| {
            let path = path.display();
            problems.push(format!(
                "zenoh_config: expected a configuration of zenoh in {path}: {error}"
            ));
            Config::default()
        }),
    };
    if let Some(mode) = &options.mode {
        insert(&mut config, "mode", &quoted(mode), "zenoh_mode", &mut problems);
    }
    for (name, key, endpoints) in [
        ("zenoh_connect", "connect/endpoints", &options.connect),
        ("zenoh_listen", "listen/endpoints", &options.listen),
    ] {
        let before = problems.len();
        for (index, endpoint) in endpoints.iter().enumerate() {
            if let Err(reason) = check_endpoint(endpoint) {
                problems.push(format!("{name}[{index}]: {reason}"));
            }
        }
        if problems.len() == before && !endpoints.is_empty() {
            let list: Vec<_> = endpoints.iter().map(|endpoint| quoted(endpoint)).collect();
            insert(&mut config, key, &format!("[{}]", list.join(",")), name, &mut problems);
        }
    }
    match Keys::new(&options.node, &options.images) {
        Ok(keys) if problems.is_empty() => {
            let ZenohOptions { cdr, locates, .. } = *options;
            Ok(Prepared { config, keys, cdr, locates })
        }
        Ok(_) => Err(ZenohError::Refused { problems }),
        Err(more) => {
            problems.extend(more);
            Err(ZenohError::Refused { problems })
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        let options = ZenohOptions {
            node: "owlet".to_owned(),
            config: Some("/nonexistent/zenoh.json5".into()),
            mode: None,
            connect: vec!["tcp/localhost:7447".into(), "nowhere".into(), "quic/a:1".into()],
            listen: vec!["tcp".into()],
            images: vec!["a//b".into()],
            ..ZenohOptions::default()
        };
        let Err(ZenohError::Refused { problems }) = prepare(&options) else { panic!("refused") };
        let starts: Vec<_> =
            problems.iter().map(|problem| problem.split(':').next().unwrap_or("")).collect();
        assert_eq!(
            starts,
            [
                "zenoh_config",
                "zenoh_connect[1]",
                "zenoh_connect[2]",
                "zenoh_listen[0]",
                "zenoh_images[0]"
            ],
            "{problems:?}"
        );
        assert!(problems[2].contains("unixsock-stream"), "{problems:?}");
    }

    #[test]
    fn parameters_win_over_the_file_and_the_rest_of_it_stays() {
        let file = tempfile::NamedTempFile::with_suffix(".json5").unwrap();
        let text = "{mode: 'client', connect: {endpoints: ['tcp/a:1']}, \
                    scouting: {multicast: {enabled: false}}}";
        std::fs::write(file.path(), text).unwrap();
        let options = ZenohOptions {
            node: "owlet".to_owned(),
            config: Some(file.path().to_owned()),
            connect: vec!["tcp/b:2".into()],
            ..ZenohOptions::default()
        };
        let prepared = prepare(&options).unwrap_or_else(|error| panic!("{error}"));
        let json = |key| prepared.config.get_json(key).unwrap();
        assert_eq!(json("mode"), "\"client\"");
        assert_eq!(json("connect/endpoints"), "[\"tcp/b:2\"]");
        assert_eq!(json("scouting/multicast/enabled"), "false");
    }
}
