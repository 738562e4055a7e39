//! From parameters to what the link is opened with.

use std::path::PathBuf;

use hiroz::config::session_config;
use serde_json::json;
use zenoh::Config;

use super::super::ros::Names;
use super::super::zenoh::SessionOptions;

/// Where rmw_zenoh looks for its configuration file.
const CONFIG_VARIABLE: &str = "ZENOH_SESSION_CONFIG_URI";
/// What rmw_zenoh puts over the file: `key=value;key=value`, the values as JSON5.
const OVERRIDE_VARIABLE: &str = "ZENOH_CONFIG_OVERRIDE";

/// What the link is opened with. The parameters of the same names describe each field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RmwZenohOptions {
    /// Name of the node, with its namespace: `cell/owlet`.
    pub node: String,
    /// Remapping rules, as in `image:=/camera/image_raw`.
    pub remap: Vec<String>,
    /// The ROS domain; `None`: what `ROS_DOMAIN_ID` says, or else 0.
    pub domain_id: Option<u32>,
    /// How to take part in zenoh. Without a configuration file, here or in
    /// `ZENOH_SESSION_CONFIG_URI`, as nodes of rmw_zenoh do: a peer that finds the others through a
    /// router on tcp/localhost:7447. What `ZENOH_CONFIG_OVERRIDE` says stands over the file, and
    /// these options over that.
    pub session: SessionOptions,
    /// Large messages to nodes of the same machine; `None` leaves it to the file, or else off, as
    /// in rmw_zenoh.
    pub shared_memory: Option<SharedMemory>,
}

/// Large messages that go to nodes of the same machine through shared memory. Messages that come
/// are taken from it where the sender has put them there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SharedMemory {
    /// Bytes that are set aside for messages under way; what does not fit goes over the network.
    pub pool_bytes: usize,
    /// Messages of at least so many bytes go that way.
    pub threshold_bytes: usize,
}

/// Why options were refused.
#[derive(Debug, thiserror::Error)]
#[error("rmw_zenoh: {}", .problems.join("\nrmw_zenoh: "))]
pub struct RmwZenohRefused {
    /// Each with the name of its parameter, what was expected and what was found.
    pub problems: Vec<String>,
}

/// Options that were checked.
pub struct CheckedRmwZenoh {
    pub(super) names: Names,
    pub(super) domain_id: u32,
    pub(super) config: Config,
    /// Where a router is looked for, in words.
    pub(super) looks_at: String,
}

impl RmwZenohOptions {
    /// Checks all of them, and reads zenoh's own configuration file.
    ///
    /// # Errors
    /// Every problem, not only the first.
    pub fn check(&self) -> Result<CheckedRmwZenoh, RmwZenohRefused> {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let text = |name| variable(name).map(|value| value.to_string_lossy().into_owned());
        self.check_in(&Environment {
            domain: text("ROS_DOMAIN_ID"),
            file: variable(CONFIG_VARIABLE).map(PathBuf::from),
            overrides: text(OVERRIDE_VARIABLE),
        })
    }

    fn check_in(&self, environment: &Environment) -> Result<CheckedRmwZenoh, RmwZenohRefused> {
        let mut problems = Vec::new();
        let domain_id = match (self.domain_id, &environment.domain) {
            (Some(domain), _) => domain,
            (None, None) => 0,
            (None, Some(text)) => text.parse().unwrap_or_else(|_| {
                problems.push(format!("ROS_DOMAIN_ID: expected a whole number, found {text:?}"));
                0
            }),
        };
        let session = SessionOptions {
            config: self.session.config.clone().or_else(|| environment.file.clone()),
            ..self.session.clone()
        };
        let default = session_config().unwrap_or_else(|error| {
            problems.push(format!("the configuration of rmw_zenoh: {error}"));
            Config::default()
        });
        let mut config = session.file_or(default, &mut problems);
        if let Some(overrides) = &environment.overrides {
            put_over(&mut config, overrides, &mut problems);
        }
        let mut config = session.over(config, &mut problems);
        if let Some(memory) = self.shared_memory {
            let memory = json!({
                "enabled": true,
                "transport_optimization": {
                    "enabled": true,
                    "pool_size": memory.pool_bytes,
                    "message_size_threshold": memory.threshold_bytes,
                },
            });
            let inserted = config.insert_json5("transport/shared_memory", &memory.to_string());
            if let Err(error) = inserted {
                problems.push(format!("shared memory: {error}"));
            }
        }
        let looks_at = config.get_json("connect/endpoints").unwrap_or_default();
        match Names::new(&self.node, &self.remap) {
            Ok(names) if problems.is_empty() => {
                Ok(CheckedRmwZenoh { names, domain_id, config, looks_at })
            }
            Ok(_) => Err(RmwZenohRefused { problems }),
            Err(more) => {
                problems.extend(more);
                Err(RmwZenohRefused { problems })
            }
        }
    }
}

/// What the environment says of it, where it says something.
#[derive(Debug, Default)]
struct Environment {
    domain: Option<String>,
    file: Option<PathBuf>,
    overrides: Option<String>,
}

/// Puts each `key=value` over the configuration. What is wrong is added to `problems`.
fn put_over(config: &mut Config, overrides: &str, problems: &mut Vec<String>) {
    for pair in overrides.split(';').map(str::trim).filter(|pair| !pair.is_empty()) {
        let put = match pair.split_once('=') {
            None => Err("expected key=value".to_owned()),
            Some((key, json5)) => config
                .insert_json5(key.trim(), json5.trim())
                .map_err(|error| format!("expected a setting of zenoh: {error}")),
        };
        if let Err(reason) = put {
            problems.push(format!("{OVERRIDE_VARIABLE}: {reason}, found {pair:?}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> RmwZenohOptions {
        RmwZenohOptions { node: "cell/owlet".to_owned(), ..RmwZenohOptions::default() }
    }

    #[track_caller]
    fn checked(options: &RmwZenohOptions, environment: &Environment) -> CheckedRmwZenoh {
        options.check_in(environment).unwrap_or_else(|refused| panic!("{refused}"))
    }

    fn in_domain(domain: &str) -> Environment {
        Environment { domain: Some(domain.to_owned()), ..Environment::default() }
    }

    #[test]
    fn without_options_it_takes_part_as_nodes_of_rmw_zenoh_do() {
        let checked = checked(&options(), &Environment::default());
        let json = |key: &str| checked.config.get_json(key).unwrap();
        assert_eq!(checked.domain_id, 0);
        assert_eq!(checked.names.node(), "/cell/owlet");
        assert_eq!(json("mode"), "\"peer\"");
        assert_eq!(checked.looks_at, "[\"tcp/localhost:7447\"]");
        assert_eq!(json("scouting/multicast/enabled"), "false");
        assert_eq!(json("transport/shared_memory/enabled"), "false");
    }

    #[test]
    fn options_win_over_the_environment_and_the_rest_stays() {
        let memory = SharedMemory { pool_bytes: 1 << 26, threshold_bytes: 4096 };
        let options = RmwZenohOptions {
            domain_id: Some(7),
            session: SessionOptions {
                mode: Some("client".to_owned()),
                connect: vec!["tcp/10.0.0.1:7447".to_owned()],
                ..SessionOptions::default()
            },
            shared_memory: Some(memory),
            ..options()
        };
        let checked = checked(&options, &in_domain("3"));
        let json = |key: &str| checked.config.get_json(key).unwrap();
        assert_eq!(checked.domain_id, 7);
        assert_eq!(json("mode"), "\"client\"");
        assert_eq!(checked.looks_at, "[\"tcp/10.0.0.1:7447\"]");
        assert_eq!(json("scouting/multicast/enabled"), "false");
        let optimization = "transport/shared_memory/transport_optimization";
        assert_eq!(json(&format!("{optimization}/pool_size")), (1 << 26).to_string());
        assert_eq!(json(&format!("{optimization}/message_size_threshold")), "4096");
    }

    #[test]
    fn overrides_of_the_environment_stand_between_the_file_and_the_options() {
        let file = tempfile::NamedTempFile::with_suffix(".json5").unwrap();
        let text = "{mode: 'client', connect: {endpoints: ['tcp/a:1']}, \
                    scouting: {multicast: {enabled: false}, gossip: {enabled: false}}}";
        std::fs::write(file.path(), text).unwrap();
        let environment = Environment {
            file: Some(file.path().to_owned()),
            overrides: Some(
                "mode=\"peer\"; connect/endpoints=[\"tcp/b:2\"];scouting/multicast/enabled=true;"
                    .to_owned(),
            ),
            ..Environment::default()
        };
        let by_environment = checked(&options(), &environment);
        let json = |key: &str| by_environment.config.get_json(key).unwrap();
        assert_eq!(json("mode"), "\"peer\"");
        assert_eq!(by_environment.looks_at, "[\"tcp/b:2\"]");
        assert_eq!(json("scouting/multicast/enabled"), "true");
        assert_eq!(json("scouting/gossip/enabled"), "false");
        let connect = vec!["tcp/c:3".to_owned()];
        let session = SessionOptions { connect, ..SessionOptions::default() };
        let by_option = checked(&RmwZenohOptions { session, ..options() }, &environment);
        assert_eq!(by_option.looks_at, "[\"tcp/c:3\"]");
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        let options = RmwZenohOptions {
            node: "a b".to_owned(),
            remap: vec!["image".to_owned()],
            session: SessionOptions {
                listen: vec!["nowhere".to_owned()],
                ..SessionOptions::default()
            },
            ..RmwZenohOptions::default()
        };
        let environment = Environment {
            domain: Some("many".to_owned()),
            file: Some(PathBuf::from("/nonexistent/session.json5")),
            overrides: Some("mode; no/such/key=1".to_owned()),
        };
        let Err(refused) = options.check_in(&environment) else { panic!("refused") };
        let starts: Vec<_> =
            refused.problems.iter().map(|text| text.split(':').next().unwrap_or("")).collect();
        let expected = [
            "ROS_DOMAIN_ID",
            "zenoh_config",
            "ZENOH_CONFIG_OVERRIDE",
            "ZENOH_CONFIG_OVERRIDE",
            "zenoh_listen[0]",
            "node",
            "ros_remap[0]",
        ];
        assert_eq!(starts, expected, "{refused}");
    }
}
