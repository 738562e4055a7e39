//! Lays files and overrides over the defaults.

use std::path::Path;

use super::parameters::{PARAMETERS, Parameter, ParameterKind};
use super::problem::{ConfigError, Problem, Problems};
use super::sections::{Setting, settings_for};
use super::yaml::{self, Node, Value};
use super::{Config, DEFAULT_NODE};

/// The source of problems with overrides.
const COMMAND_LINE: &str = "command line";
/// Parameters that ROS 2 itself declares on every node: they pass, and ROS reads them.
const PARAMETERS_OF_ROS: [&str; 2] = ["use_sim_time", "start_type_description_service"];
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
        Self { node_name: node_name.to_owned(), config: Config::default(), problems: Vec::new() }
    }

    /// Lays the sections of a file that are meant for the node over what there is. Of several
    /// sections that match, the later wins, as in ROS 2.
    pub fn add_file(&mut self, path: &Path) {
        let mut problems = Problems::of(path.to_string_lossy());
        if let Some(root) = yaml::read(path, &mut problems) {
            let folder = path.parent().unwrap_or(Path::new(""));
            for setting in settings_for(&self.node_name, &root, &mut problems) {
                self.apply(&setting, folder, &mut problems);
            }
        }
        self.problems.extend(problems.into_vec());
    }

    /// Sets one parameter from text, as on a command line: a text is taken as it stands, anything
    /// else is read as YAML (`0.2`, `[a cat, a dog]`). Relative paths are taken from the current
    /// folder.
    pub fn apply_override(&mut self, name: &str, text: &str) {
        let is_text = Parameter::find(name)
            .is_some_and(|parameter| matches!(parameter.kind, ParameterKind::Text { .. }));
        match if is_text { Ok(text_node(text)) } else { yaml::parse(text) } {
            Ok(node) => self.apply_node(name, &node),
            Err((_, message)) => {
                let mut problems = Problems::of(COMMAND_LINE);
                problems.add(name, None, "YAML", message);
                self.problems.extend(problems.into_vec());
            }
        }
    }

    /// Sets a parameter that is a list of texts (`prompts`, `image_topics`) from texts that are
    /// taken as they stand, as from an option that is given several times.
    pub fn apply_list_override(&mut self, name: &str, texts: &[String]) {
        let items = texts.iter().map(|text| text_node(text)).collect();
        self.apply_node(name, &Node { value: Value::List(items), line: 0 });
    }

    fn apply_node(&mut self, name: &str, node: &Node) {
        let mut problems = Problems::of(COMMAND_LINE);
        let setting =
            Setting { name: name.to_owned(), path: name.to_owned(), key_line: None, node };
        self.apply(&setting, Path::new(""), &mut problems);
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
fn write(
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
    }
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
