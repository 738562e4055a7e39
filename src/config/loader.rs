//! Lays files and overrides over the defaults.

use std::path::Path;

use super::parameters::{PARAMETERS, Parameter, ParameterKind};
use super::problem::{ConfigError, Problem, Problems};
use super::prompts;
use super::ros_args::{RosArgs, RosParameter, SOURCE as ROS_ARGS};
use super::sections::{Setting, matches, settings_for};
use super::yaml::{self, Node, Value};
use super::{Config, DEFAULT_NODE};
use crate::types::Prompt;

/// The source of problems with overrides.
const COMMAND_LINE: &str = "command line";
/// Parameters that ROS 2 itself declares on every node: they pass, and ROS reads them.
const PARAMETERS_OF_ROS: [&str; 1] = ["start_type_description_service"];
const PREFIX_OF_ROS: &str = "qos_overrides.";

/// Gathers a configuration: defaults, then files in the order given, then overrides. All problems
/// wait for [`finish`](Self::finish), so that a user sees them together.
///
/// ```
/// # use owlet::config::ConfigLoader;
/// let mut loader = ConfigLoader::new();
/// loader.apply_override("threshold", "0.2");
/// loader.apply_override("prompts", "[a cat, a dog]");
/// let config = loader.finish().unwrap();
/// assert_eq!(config.threshold, 0.2);
/// ```
#[derive(Debug)]
pub struct ConfigLoader {
    node_name: String,
    config: Config,
    problems: Vec<Problem>,
    warnings: Vec<String>,
}

/// What becomes of a file with sections for other nodes only.
#[derive(Clone, Copy, PartialEq, Eq)]
enum OnlyOthers {
    /// It was given to this program alone, so a name is wrong.
    Refuse,
    /// A launch file gives one file to several nodes.
    Warn,
}

impl Default for ConfigLoader {
    fn default() -> Self {
        Self::new()
    }
}

impl ConfigLoader {
    /// The defaults, for the node [`DEFAULT_NODE`].
    #[must_use]
    pub fn new() -> Self {
        Self::for_node(DEFAULT_NODE)
    }

    /// The defaults, for a node with this fully qualified name (`/cell/owlet`).
    #[must_use]
    pub fn for_node(node_name: &str) -> Self {
        Self {
            node_name: node_name.to_owned(),
            config: Config::default(),
            problems: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// Lays the sections of a file that are meant for the node over what there is. Of several
    /// sections that match, the later wins, as in ROS 2.
    pub fn add_file(&mut self, path: &Path) {
        self.add(path, OnlyOthers::Refuse);
    }

    fn add(&mut self, path: &Path, only_others: OnlyOthers) {
        let mut problems = Problems::of(path.to_string_lossy());
        if let Some(root) = yaml::read(path, yaml::MAX_FILE_BYTES, &mut problems) {
            let folder = path.parent().unwrap_or(Path::new(""));
            let chosen = settings_for(&self.node_name, &root, &mut problems);
            for setting in chosen.settings {
                self.apply(&setting, folder, &mut problems);
            }
            if let Some(found) = chosen.only_others {
                let expected = format!("a section for the node {} (or /**)", self.node_name);
                match only_others {
                    OnlyOthers::Refuse => problems.add("", None, expected, found),
                    OnlyOthers::Warn => {
                        let path = path.display();
                        self.warnings.push(format!("{path}: expected {expected}, found {found}"));
                    }
                }
            }
        }
        self.problems.extend(problems.into_vec());
    }

    /// Lays the parameters behind `--ros-args` over what there is, in their order. A file with
    /// sections for other nodes only is no problem there but a [warning](Self::warnings).
    pub fn add_ros_args(&mut self, args: &RosArgs) {
        for parameter in &args.parameters {
            match parameter {
                RosParameter::File(path) => self.add(path, OnlyOthers::Warn),
                RosParameter::Value { node, name, yaml } => {
                    let is_meant =
                        node.as_deref().is_none_or(|node| matches(node, &self.node_name));
                    if is_meant {
                        self.apply_yaml(ROS_ARGS, name, yaml::parse(yaml));
                    }
                }
            }
        }
    }

    /// What may be other than it was meant, so far.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Sets one parameter from text, as on a command line: a text is taken as it stands, anything
    /// else is read as YAML (`0.2`, `[a cat, a dog]`). Relative paths are taken from the current
    /// folder.
    pub fn apply_override(&mut self, name: &str, text: &str) {
        let is_text = Parameter::find(name)
            .is_some_and(|parameter| matches!(parameter.kind, ParameterKind::Text { .. }));
        self.apply_yaml(
            COMMAND_LINE,
            name,
            if is_text { Ok(text_node(text)) } else { yaml::parse(text) },
        );
    }

    /// Sets a parameter that is a list of texts (`prompts`, `image_topics`) from texts that are
    /// taken as they stand, as from an option that is given several times.
    pub fn apply_list_override(&mut self, name: &str, texts: &[String]) {
        let items = texts.iter().map(|text| text_node(text)).collect();
        self.apply_yaml(COMMAND_LINE, name, Ok(Node { value: Value::List(items), line: 0 }));
    }

    fn apply_yaml(
        &mut self,
        source: &'static str,
        name: &str,
        parsed: Result<Node, (Option<u64>, String)>,
    ) {
        let mut problems = Problems::of(source);
        match parsed {
            Ok(node) => {
                let path = name.to_owned();
                let setting = Setting { name: name.to_owned(), path, key_line: None, node: &node };
                self.apply(&setting, Path::new(""), &mut problems);
            }
            Err((_, message)) => problems.add(name, None, "YAML", message),
        }
        self.problems.extend(problems.into_vec());
    }

    /// The configuration, with the prompts file read once so that its problems come now.
    ///
    /// # Errors
    /// Every problem of every file and override.
    pub fn finish(mut self) -> Result<Config, ConfigError> {
        if let Err(error) = self.config.read_prompts() {
            self.problems.extend(error.problems);
        }
        if self.problems.is_empty() {
            Ok(self.config)
        } else {
            Err(ConfigError { problems: self.problems })
        }
    }

    fn apply(&mut self, setting: &Setting<'_>, folder: &Path, problems: &mut Problems) {
        match Parameter::find(&setting.name) {
            Some(parameter) => write(parameter, setting, folder, &mut self.config, problems),
            None if is_of_ros(&setting.name) => {}
            None => {
                let known: Vec<_> = PARAMETERS.iter().map(|parameter| parameter.name).collect();
                problems.unknown_key(&setting.path, setting.key_line, &setting.name, &known);
            }
        }
    }
}

fn text_node(text: &str) -> Node {
    Node { value: Value::Text(text.to_owned()), line: 0 }
}

fn is_of_ros(name: &str) -> bool {
    PARAMETERS_OF_ROS.contains(&name) || name.starts_with(PREFIX_OF_ROS)
}

/// Checks type and range and writes the value, or says what is wrong with it.
pub(super) fn write(
    parameter: &Parameter,
    setting: &Setting<'_>,
    folder: &Path,
    config: &mut Config,
    problems: &mut Problems,
) {
    let Setting { path, node, .. } = setting;
    let line = setting.key_line.map(|_| node.line);
    let mut refuse = |expected: String| problems.add(path, line, expected, node.value.to_string());
    match (parameter.kind, &node.value) {
        (ParameterKind::Text { form, set, .. }, Value::Text(text)) => {
            if !set(config, text, folder) {
                refuse(form.to_owned());
            }
        }
        (ParameterKind::Text { form, .. }, value) => {
            refuse(form.to_owned());
            hint_at_quotes(value, problems);
        }
        (ParameterKind::Flag { set, .. }, Value::Flag(flag)) => set(config, *flag),
        (ParameterKind::Flag { .. }, _) => refuse("true or false".to_owned()),
        (ParameterKind::Integer { min, max, set, .. }, Value::Integer(integer))
            if (min..=max).contains(integer) =>
        {
            set(config, *integer);
        }
        (ParameterKind::Integer { min, max, .. }, _) => {
            refuse(format!("an integer from {min} to {max}"));
        }
        (ParameterKind::Number { min, min_included, max, set, .. }, value) => {
            let number = match value {
                Value::Number(number) => Some(*number),
                Value::Integer(integer) => Some(*integer as f64),
                _ => None,
            };
            // Checked as f32, the form in which it is used: NaN fails every comparison.
            match number.map(|number| number as f32) {
                Some(number)
                    if number <= max && (number > min || (min_included && number == min)) =>
                {
                    set(config, number);
                }
                _ if min_included => refuse(format!("a number from {min} to {max}")),
                _ => refuse(format!("a number above {min} and up to {max}")),
            }
        }
        (ParameterKind::TextList { item, accepts, set, .. }, Value::List(items)) => {
            if let Some(texts) = texts(items, path, line.is_some(), (item, accepts), problems) {
                set(config, texts);
            }
        }
        (ParameterKind::TextList { .. }, Value::Text(_)) => {
            refuse("a list of texts".to_owned());
            problems.hint("put it in brackets: [a cat, a dog]");
        }
        (ParameterKind::TextList { .. }, _) => refuse("a list of texts".to_owned()),
        (ParameterKind::Prompts { set, .. }, value) => {
            if let Some(prompts) = prompts_of(value, path, line, problems) {
                set(config, prompts);
            }
        }
    }
}

/// Prompts as a list of texts or as a file of prompts; `None` where they were refused.
fn prompts_of(
    value: &Value,
    path: &str,
    line: Option<u64>,
    problems: &mut Problems,
) -> Option<Vec<Prompt>> {
    const FORM: &str = "a list of texts, or a text with the YAML of a prompts file";
    match value {
        Value::List(items) => {
            let not_blank = ("a text that is not blank", is_not_blank as fn(&str) -> bool);
            let texts = texts(items, path, line.is_some(), not_blank, problems)?;
            Some(texts.iter().map(|text| Prompt::from_text(text)).collect())
        }
        Value::Text(text) if text.trim().is_empty() => Some(Vec::new()),
        Value::Text(text) if !text.contains(':') => {
            problems.add(path, line, FORM, value.to_string());
            problems.hint("put it in brackets: [a cat, a dog]");
            None
        }
        Value::Text(_) | Value::Map(_) => {
            let mut inner = Problems::of("");
            let prompts = prompts::from_value(value, &mut inner);
            let is_right = inner.is_empty();
            problems.absorb(path, line, inner);
            is_right.then_some(prompts)
        }
        _ => {
            problems.add(path, line, FORM, value.to_string());
            None
        }
    }
}

fn is_not_blank(text: &str) -> bool {
    !text.trim().is_empty()
}

/// The items as texts, each once; `None` where an item was refused.
fn texts(
    items: &[Node],
    path: &str,
    with_lines: bool,
    (form, accepts): (&str, fn(&str) -> bool),
    problems: &mut Problems,
) -> Option<Vec<String>> {
    let mut texts = Vec::with_capacity(items.len());
    let mut seen = std::collections::HashSet::new();
    for (index, item) in items.iter().enumerate() {
        let path = format!("{path}[{index}]");
        let line = with_lines.then_some(item.line);
        match &item.value {
            Value::Text(text) if !accepts(text) => {
                problems.add(&path, line, form, item.value.to_string());
            }
            Value::Text(text) if !seen.insert(text) => {
                problems.add(&path, line, "each text once", format!("{text:?} again"));
            }
            Value::Text(text) => texts.push(text.clone()),
            other => {
                problems.add(&path, line, form, other.to_string());
                hint_at_quotes(other, problems);
            }
        }
    }
    (texts.len() == items.len()).then_some(texts)
}

/// Unquoted, YAML takes `7` for a number and `true` for a flag.
pub(super) fn hint_at_quotes(value: &Value, problems: &mut Problems) {
    if matches!(value, Value::Integer(_) | Value::Number(_) | Value::Flag(_)) {
        problems.hint("put it in quotes if a text is meant");
    }
}
