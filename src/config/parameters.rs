//! Every parameter as data: the checks, the default file, the tables for people and (with a node)
//! the descriptors of ROS all come from this one table.

mod table;

use std::path::Path;

pub use table::PARAMETERS;

use super::values::ParameterValue;
use super::{Config, prompts};
use crate::types::Prompt;

/// When a change of a parameter can take effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changes {
    /// Only when the program starts.
    AtStart,
    /// When the model is loaded: a live node that is not configured yet, or was cleaned up, takes
    /// it.
    WhenConfigured,
    /// Also while it runs.
    WhileRunning,
}

/// One parameter of the node and of every command that reads a configuration.
#[derive(Clone, Copy, Debug)]
pub struct Parameter {
    /// Its name in files, in overrides and in ROS.
    pub name: &'static str,
    /// What it does, in one or two sentences.
    pub description: &'static str,
    /// When it can be changed.
    pub changes: Changes,
    /// A value to copy, in YAML, where the default is empty.
    pub example: Option<&'static str>,
    /// Its type, its range, and how it is read from and written to a [`Config`].
    pub kind: ParameterKind,
}

/// Type, range and place of a parameter.
#[derive(Clone, Copy, Debug)]
pub enum ParameterKind {
    /// A text of some form.
    Text {
        /// What is understood, in words.
        form: &'static str,
        /// Reads it from a configuration.
        get: fn(&Config) -> String,
        /// Writes it where it has that form, else leaves the configuration and returns `false`.
        /// Relative paths are taken from the folder that is given.
        set: fn(&mut Config, &str, &Path) -> bool,
    },
    /// `true` or `false`.
    Flag {
        /// Reads it from a configuration.
        get: fn(&Config) -> bool,
        /// Writes it.
        set: fn(&mut Config, bool),
    },
    /// A whole number.
    Integer {
        /// Lowest value.
        min: i64,
        /// Highest value.
        max: i64,
        /// Reads it from a configuration.
        get: fn(&Config) -> i64,
        /// Writes a value in the range.
        set: fn(&mut Config, i64),
    },
    /// A real number.
    Number {
        /// Lowest value.
        min: f32,
        /// Whether `min` itself is allowed.
        min_included: bool,
        /// Highest value, which is allowed.
        max: f32,
        /// Reads it from a configuration.
        get: fn(&Config) -> f32,
        /// Writes a value in the range.
        set: fn(&mut Config, f32),
    },
    /// Texts, each once.
    TextList {
        /// What each item has to be, in words.
        item: &'static str,
        /// Whether a text is one.
        accepts: fn(&str) -> bool,
        /// Reads them from a configuration.
        get: fn(&Config) -> Vec<String>,
        /// Writes items that were accepted.
        set: fn(&mut Config, Vec<String>),
    },
    /// Prompts: a list of texts, or one text that holds a file of prompts.
    Prompts {
        /// Reads them from a configuration.
        get: fn(&Config) -> &[Prompt],
        /// Writes prompts that were checked.
        set: fn(&mut Config, Vec<Prompt>),
    },
}

impl Parameter {
    /// The parameter with this name.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        PARAMETERS.iter().find(|parameter| parameter.name == name)
    }

    /// The name of its type.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self.kind {
            ParameterKind::Text { .. } => "text",
            ParameterKind::Flag { .. } => "flag",
            ParameterKind::Integer { .. } => "integer",
            ParameterKind::Number { .. } => "number",
            ParameterKind::TextList { .. } => "list of texts",
            ParameterKind::Prompts { .. } => "list of texts, or text",
        }
    }

    /// What it accepts, in words.
    #[must_use]
    pub fn range(&self) -> String {
        match self.kind {
            ParameterKind::Text { form, .. } => form.to_owned(),
            ParameterKind::Flag { .. } => "true or false".to_owned(),
            ParameterKind::Integer { min, max, .. } => format!("{min} to {max}"),
            ParameterKind::Number { min, min_included: true, max, .. } => format!("{min} to {max}"),
            ParameterKind::Number { min, max, .. } => format!("above {min}, up to {max}"),
            ParameterKind::TextList { item, .. } => format!("each {item}"),
            ParameterKind::Prompts { .. } => {
                "each a text that is not blank; or the YAML of a prompts file".to_owned()
            }
        }
    }

    /// Its value in `config`.
    #[must_use]
    pub fn value(&self, config: &Config) -> ParameterValue {
        match self.kind {
            ParameterKind::Text { get, .. } => ParameterValue::Text(get(config)),
            ParameterKind::Flag { get, .. } => ParameterValue::Flag(get(config)),
            ParameterKind::Integer { get, .. } => ParameterValue::Integer(get(config)),
            ParameterKind::Number { get, .. } => {
                let number = get(config);
                // The decimal that was written, not the binary digits of the f32.
                let decimal = number.to_string().parse();
                ParameterValue::Number(decimal.unwrap_or_else(|_| number.into()))
            }
            ParameterKind::TextList { get, .. } => ParameterValue::TextList(get(config)),
            ParameterKind::Prompts { get, .. } => {
                let prompts = get(config);
                if prompts.iter().all(Prompt::is_plain) {
                    let names = prompts.iter().map(|prompt| prompt.name.clone());
                    ParameterValue::TextList(names.collect())
                } else {
                    ParameterValue::Text(prompts::to_yaml(prompts, "", None))
                }
            }
        }
    }

    /// Its value in `config` as everybody is told of it: as [`value`](Self::value), but without
    /// pictures that came as messages. Those are megabytes, of which whoever only watches has no
    /// use.
    #[must_use]
    pub fn told(&self, config: &Config) -> ParameterValue {
        match self.kind {
            ParameterKind::Prompts { get, .. } if !get(config).iter().all(Prompt::is_plain) => {
                ParameterValue::Text(prompts::to_yaml_without_pictures(get(config)))
            }
            _ => self.value(config),
        }
    }

    /// Whether it has the same value in both.
    #[must_use]
    pub fn is_same(&self, one: &Config, other: &Config) -> bool {
        match self.kind {
            // Not as texts, which hold whole pictures.
            ParameterKind::Prompts { get, .. } => get(one) == get(other),
            _ => self.value(one) == self.value(other),
        }
    }

    /// Its value in `config`, as YAML.
    #[must_use]
    pub fn yaml(&self, config: &Config) -> String {
        self.value(config).to_string()
    }

    /// When it can be changed, in words.
    #[must_use]
    pub fn changes_text(&self) -> &'static str {
        match self.changes {
            Changes::AtStart => "at start",
            Changes::WhenConfigured => "when configured",
            Changes::WhileRunning => "while running",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_every_default_is_in_its_range() {
        let defaults = Config::default();
        let mut names: Vec<_> = PARAMETERS.iter().map(|parameter| parameter.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), PARAMETERS.len());
        for parameter in PARAMETERS {
            match parameter.kind {
                ParameterKind::Integer { min, max, get, .. } => {
                    assert!((min..=max).contains(&get(&defaults)), "{}", parameter.name);
                }
                ParameterKind::Number { min, max, get, .. } => {
                    assert!((min..=max).contains(&get(&defaults)), "{}", parameter.name);
                }
                ParameterKind::TextList { get, accepts, .. } => {
                    assert!(get(&defaults).iter().all(|item| accepts(item)), "{}", parameter.name);
                    assert!(parameter.example.is_some(), "{} needs an example", parameter.name);
                }
                ParameterKind::Prompts { get, .. } => {
                    assert!(get(&defaults).is_empty());
                    assert!(parameter.example.is_some(), "{} needs an example", parameter.name);
                }
                ParameterKind::Text { .. } | ParameterKind::Flag { .. } => {}
            }
        }
    }

    #[test]
    fn a_text_that_is_refused_leaves_the_configuration_alone() {
        let (mut before, mut refused) = (Config::default(), Vec::new());
        before.metrics_listen = Some(([127, 0, 0, 1], 9464).into());
        for parameter in PARAMETERS {
            let ParameterKind::Text { set, .. } = parameter.kind else { continue };
            let mut config = before.clone();
            if !set(&mut config, "no such thing", Path::new("")) {
                assert_eq!(config, before, "{}", parameter.name);
                refused.push(parameter.name);
            }
        }
        assert!(refused.contains(&"metrics_listen") && refused.len() > 5, "{refused:?}");
    }

    #[test]
    fn what_is_set_is_what_is_read() {
        for parameter in PARAMETERS {
            let mut config = Config::default();
            let before = parameter.yaml(&config);
            match parameter.kind {
                ParameterKind::Text { set, .. } => {
                    let taken = [
                        "0 1 0 1 0 2",
                        "cpu",
                        "f16",
                        "client",
                        "ros2",
                        "never",
                        "segmenter",
                        "9464",
                    ]
                    .map(|text| set(&mut config, text, Path::new("")));
                    assert!(taken.contains(&true), "{}", parameter.name);
                }
                ParameterKind::Flag { get, set } => {
                    let flipped = !get(&config);
                    set(&mut config, flipped);
                }
                ParameterKind::Integer { min, max, get, set } => {
                    for value in [min, max] {
                        set(&mut config, value);
                        assert_eq!(get(&config), value, "{}", parameter.name);
                    }
                }
                ParameterKind::Number { max, get, set, .. } => {
                    for value in [max, 0.625] {
                        set(&mut config, value);
                        assert_eq!(get(&config), value, "{}", parameter.name);
                    }
                }
                ParameterKind::TextList { get, set, .. } => {
                    set(&mut config, vec!["x".to_owned()]);
                    assert_eq!(get(&config), ["x"], "{}", parameter.name);
                }
                ParameterKind::Prompts { get, set } => {
                    let prompts = vec![Prompt { negative: true, ..Prompt::from_text("x") }];
                    set(&mut config, prompts.clone());
                    assert_eq!(get(&config), prompts, "{}", parameter.name);
                }
            }
            assert_ne!(parameter.yaml(&config), before, "{} was not written", parameter.name);
        }
    }
}
