//! What stands between `--ros-args` and `--` on a command line, as rcl understands it
//! (`rcl/src/rcl/arguments.c`): rules for names, parameters, and how much is logged.

use std::path::PathBuf;

use super::problem::{ConfigError, Problems};
use super::sections::PARAMETERS_KEY;

/// The source of problems with these arguments.
pub(super) const SOURCE: &str = "--ros-args";

/// Arguments with a value behind them.
const WITH_VALUE: [&str; 10] = [
    "--remap",
    "--param",
    "--params-file",
    "--log-level",
    "--enclave",
    "--log-config-file",
    "--log-file-name",
    "-r",
    "-p",
    "-e",
];
/// Arguments that stand alone. Owlet logs to stderr, and to nowhere else.
const ALONE: [&str; 6] = [
    "--enable-rosout-logs",
    "--disable-rosout-logs",
    "--enable-stdout-logs",
    "--disable-stdout-logs",
    "--enable-external-lib-logs",
    "--disable-external-lib-logs",
];

/// How much is logged, in the words of ROS 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// Everything that helps to find a fault.
    Debug,
    /// What happens.
    Info,
    /// What may be wrong.
    Warn,
    /// What is wrong.
    Error,
    /// What ends the program.
    Fatal,
}

/// The arguments of a node that is started by `ros2 run` or `ros2 launch`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RosArgs {
    /// Rules for names as they stand behind `-r`: `image:=/camera/image_raw`, `__ns:=/cell`,
    /// `owlet:__node:=left`. Whoever resolves names checks them.
    pub remaps: Vec<String>,
    /// Parameters, in the order in which they apply.
    pub parameters: Vec<RosParameter>,
    /// Levels: of all loggers (with no name) or of those below a name (`cell.owlet`).
    pub log_levels: Vec<(Option<String>, LogLevel)>,
    /// Arguments that are understood and change nothing here.
    pub without_effect: Vec<String>,
}

/// Parameters that were given to a node at its start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RosParameter {
    /// A parameter file.
    File(PathBuf),
    /// One value.
    Value {
        /// The node it is meant for, with wildcards; `None` for every node.
        node: Option<String>,
        /// The parameter's name.
        name: String,
        /// Its value as YAML.
        yaml: String,
    },
}

impl RosArgs {
    /// Reads the words between `--ros-args` and `--`; of several such parts, all of them.
    ///
    /// # Errors
    /// Every word that cannot be understood.
    pub fn parse<'a>(words: impl IntoIterator<Item = &'a str>) -> Result<Self, ConfigError> {
        let mut args = Self::default();
        let mut problems = Problems::of(SOURCE);
        let mut words = words.into_iter().peekable();
        while let Some(word) = words.next() {
            // The start and the end of a part.
            if ["--ros-args", "--"].contains(&word) {
                continue;
            }
            if ALONE.contains(&word) {
                args.without_effect.push(word.to_owned());
                continue;
            }
            if !WITH_VALUE.contains(&word) {
                refuse(word, &mut problems);
                continue;
            }
            // A word with a dash in front is the next argument, and this one's value is missing.
            match words.next_if(|value| !value.starts_with("--") && !WITH_VALUE.contains(value)) {
                Some(value) => args.take(word, value, &mut problems),
                None => problems.add(word, None, form(word), "nothing"),
            }
        }
        match problems.into_vec() {
            problems if problems.is_empty() => Ok(args),
            problems => Err(ConfigError { problems }),
        }
    }

    fn take(&mut self, word: &str, value: &str, problems: &mut Problems) {
        match word {
            "-r" | "--remap" if value.contains(":=") => self.remaps.push(value.to_owned()),
            "-p" | "--param" => match parameter(value) {
                Some(parameter) => self.parameters.push(parameter),
                None => problems.add(word, None, form(word), format!("{value:?}")),
            },
            "--params-file" => self.parameters.push(RosParameter::File(value.into())),
            "--log-level" => match level(value) {
                Some(Some(level)) => self.log_levels.push(level),
                // `unset` leaves it to whatever holds otherwise.
                Some(None) => {}
                None => problems.add(word, None, form(word), format!("{value:?}")),
            },
            "-e" | "--enclave" | "--log-config-file" | "--log-file-name" => {
                self.without_effect.push(format!("{word} {value}"));
            }
            _ => problems.add(word, None, form(word), format!("{value:?}")),
        }
    }

    /// The level that was asked for a node (`/cell/owlet`): that of the longest logger's name which
    /// is its own or stands above it, or else that of all; of several for one name the last.
    #[must_use]
    pub fn log_level_of(&self, node: &str) -> Option<LogLevel> {
        let logger = node.trim_start_matches('/').replace('/', ".");
        let holds = |name: &str| {
            logger.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        self.log_levels
            .iter()
            .filter(|(name, _)| name.as_deref().is_none_or(holds))
            .max_by_key(|(name, _)| name.as_ref().map_or(0, String::len))
            .map(|(_, level)| *level)
    }
}

/// What has to stand behind an argument.
fn form(word: &str) -> &'static str {
    match word {
        "-r" | "--remap" => "FROM:=TO, as in image:=/camera/image_raw",
        "-p" | "--param" => "NAME:=VALUE, as in threshold:=0.2",
        "--params-file" => "the path of a parameter file",
        "--log-level" => "debug, info, warn, error or fatal, or LOGGER:=LEVEL",
        _ => "a value",
    }
}

fn refuse(word: &str, problems: &mut Problems) {
    let known: Vec<_> = WITH_VALUE.iter().chain(&ALONE).copied().collect();
    problems.unknown_argument(word, &known);
    if word.contains(":=") {
        problems
            .hint(format!("a rule for names stands behind -r, a parameter behind -p: -r {word}"));
    }
}

/// `name:=value` or `node:name:=value`.
fn parameter(text: &str) -> Option<RosParameter> {
    let (left, yaml) = text.split_once(":=")?;
    let (node, name) = match left.rsplit_once(':') {
        Some((node, name)) => (Some(node), name),
        None => (None, left),
    };
    let is_right = node.is_none_or(|node| !node.trim_matches('/').is_empty())
        && !name.trim().is_empty()
        && name != PARAMETERS_KEY;
    is_right.then(|| RosParameter::Value {
        node: node.map(str::to_owned),
        name: name.to_owned(),
        yaml: yaml.to_owned(),
    })
}

type Level = (Option<String>, LogLevel);

/// `level` or `logger:=level`; within, `None` for `unset`.
fn level(text: &str) -> Option<Option<Level>> {
    let (logger, level) = match text.split_once(":=") {
        Some((logger, _)) if logger.trim().is_empty() => return None,
        Some((logger, level)) => (Some(logger.to_owned()), level),
        None => (None, text),
    };
    let level = match level.to_ascii_lowercase().as_str() {
        "unset" => return Some(None),
        "debug" => LogLevel::Debug,
        "info" => LogLevel::Info,
        "warn" => LogLevel::Warn,
        "error" => LogLevel::Error,
        "fatal" => LogLevel::Fatal,
        _ => return None,
    };
    Some(Some((logger, level)))
}

#[cfg(test)]
mod tests {
    use super::super::{Config, ConfigLoader};
    use super::*;

    fn parse(line: &str) -> Result<RosArgs, Vec<String>> {
        RosArgs::parse(line.split_whitespace())
            .map_err(|error| error.problems.iter().map(ToString::to_string).collect())
    }

    fn load(node: &str, line: &str) -> Result<Config, String> {
        let mut loader = ConfigLoader::for_node(node);
        loader.add_ros_args(&parse(line).unwrap());
        loader.finish().map_err(|error| error.to_string())
    }

    #[test]
    fn all_that_ros_2_puts_on_a_command_line_is_understood() {
        let args = parse(
            "-r image:=/camera/image_raw --remap owlet:__node:=left -p threshold:=0.2 \
             --params-file /tmp/launch_params_1 -p /cell/*:overlay:=false --log-level debug \
             --log-level cell.left:=WARN -e /cell --disable-stdout-logs --log-level unset -- \
             --ros-args -r __ns:=/cell --param prompts:=[a,b]",
        )
        .unwrap();
        assert_eq!(args.remaps, ["image:=/camera/image_raw", "owlet:__node:=left", "__ns:=/cell"]);
        let value = |node: Option<&str>, name: &str, yaml: &str| RosParameter::Value {
            node: node.map(str::to_owned),
            name: name.to_owned(),
            yaml: yaml.to_owned(),
        };
        let expected = [
            value(None, "threshold", "0.2"),
            RosParameter::File("/tmp/launch_params_1".into()),
            value(Some("/cell/*"), "overlay", "false"),
            value(None, "prompts", "[a,b]"),
        ];
        assert_eq!(args.parameters, expected);
        assert_eq!(args.without_effect, ["-e /cell", "--disable-stdout-logs"]);
        assert_eq!(args.log_level_of("/cell/left"), Some(LogLevel::Warn));
        assert_eq!(args.log_level_of("/cell/left/arm"), Some(LogLevel::Warn));
        assert_eq!(args.log_level_of("/cell/leftmost"), Some(LogLevel::Debug));
        assert_eq!(RosArgs::default().log_level_of("/owlet"), None);
    }

    #[test]
    fn every_word_that_makes_no_sense_is_told() {
        let problems = parse(
            "-r image -p threshold -p :=1 --log-level loud --parms-file x image:=y -p \
             --params-file -- -e",
        )
        .unwrap_err();
        let expected = [
            "--ros-args: -r: expected FROM:=TO, as in image:=/camera/image_raw, found \"image\"",
            "--ros-args: -p: expected NAME:=VALUE, as in threshold:=0.2, found \"threshold\"",
            "--ros-args: -p: expected NAME:=VALUE, as in threshold:=0.2, found \":=1\"",
            "--ros-args: --log-level: expected debug, info, warn, error or fatal, or \
             LOGGER:=LEVEL, found \"loud\"",
            "--ros-args: --parms-file: expected an argument of ROS 2, found none of that name \
             (did you mean \"--params-file\"?)",
            "--ros-args: x: expected an argument of ROS 2, found none of that name",
            "--ros-args: image:=y: expected an argument of ROS 2, found none of that name (a rule \
             for names stands behind -r, a parameter behind -p: -r image:=y)",
            "--ros-args: -p: expected NAME:=VALUE, as in threshold:=0.2, found nothing",
            "--ros-args: --params-file: expected the path of a parameter file, found nothing",
            "--ros-args: -e: expected a value, found nothing",
        ];
        assert_eq!(problems, expected);
    }

    #[test]
    fn parameters_are_typed_as_yaml_and_meant_for_their_node() {
        let config = load(
            "/cell/owlet",
            "-p threshold:=0.25 -p overlay:=false -p model:=nano -p prompts:=[cat,dog] -p \
             other:max_batch:=1 -p /**/owlet:max_detections:=7 -p owlet:jpeg_quality:=1 -p \
             use_sim_time:=true -p qos_overrides./clock.depth:=3 -p dtype:='f32'",
        )
        .unwrap();
        let names: Vec<_> = config.prompts.iter().map(|prompt| prompt.name.as_str()).collect();
        assert_eq!(names, ["cat", "dog"]);
        let expected = Config {
            threshold: 0.25,
            overlay: false,
            model: "nano".to_owned(),
            prompts: config.prompts.clone(),
            max_detections: 7,
            use_sim_time: true,
            dtype: crate::types::DtypeChoice::F32,
            ..Config::default()
        };
        assert_eq!(config, expected);

        let error = load("/owlet", "-p treshold:=1 -p model:=7 -p overlay:=[ -p max_batch:=0.5")
            .unwrap_err();
        for text in [
            "4 problems",
            "--ros-args: treshold: ",
            "did you mean \"threshold\"?",
            "model: expected the name of a model or the path of a folder, found 7 (put it in",
            "overlay: expected YAML",
            "max_batch: expected an integer",
        ] {
            assert!(error.contains(text), "{text:?} is not in\n{error}");
        }
    }

    #[test]
    fn files_and_values_apply_in_their_order_and_files_for_others_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let ours = file(
            "ours.yaml",
            "/**:\n  ros__parameters: {threshold: 0.3}\n/cell/*:\n  ros__parameters: {max_batch: 3}\n",
        );
        let theirs = file("theirs.yaml", "camera:\n  ros__parameters: {rate: 30}\n");
        let line = format!("-p threshold:=0.9 --params-file {ours} -p max_batch:=4");
        let config = load("/cell/owlet", &line).unwrap();
        assert_eq!((config.threshold, config.max_batch), (0.3, 4));

        let mut loader = ConfigLoader::for_node("/owlet");
        loader.add_ros_args(&parse(&format!("--params-file {theirs}")).unwrap());
        assert_eq!(loader.warnings().len(), 1);
        assert!(loader.warnings()[0].contains("sections for /camera only"));
        assert!(loader.finish().is_ok());
        let error = load("/owlet", "--params-file /nonexistent.yaml").unwrap_err();
        assert!(error.contains("/nonexistent.yaml: expected a file that can be read"), "{error}");
    }
}
