//! Every parameter as data: the checks, the default file, the tables for people and (with a node)
//! the descriptors of ROS all come from this one table.

use std::path::{Path, PathBuf};

use super::{Config, ros_name};

/// When a change of a parameter can take effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changes {
    /// Only before the model is loaded.
    AtStart,
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
}

/// All parameters, in the order in which files and tables show them.
pub static PARAMETERS: &[Parameter] = &[
    Parameter {
        name: "model",
        description: "The model: a known name (see `owlet models`) or a folder in Hugging Face \
                      layout.",
        changes: Changes::AtStart,
        example: None,
        kind: ParameterKind::Text {
            form: "the name of a model or the path of a folder",
            get: |config| config.model.clone(),
            set: |config, text, _| {
                let usable = !text.trim().is_empty();
                if usable {
                    config.model = text.to_owned();
                }
                usable
            },
        },
    },
    Parameter {
        name: "device",
        description: "Where the model runs. `auto` takes the first CUDA device where there is one; \
                      a device that is asked for by name and is missing stops the start.",
        changes: Changes::AtStart,
        example: None,
        kind: ParameterKind::Text {
            form: "auto, cpu, cuda or cuda:N",
            get: |config| config.device.to_string(),
            set: |config, text, _| text.parse().map(|device| config.device = device).is_ok(),
        },
    },
    Parameter {
        name: "dtype",
        description: "The number format of the model. `auto` is f16 on CUDA and f32 on the CPU.",
        changes: Changes::AtStart,
        example: None,
        kind: ParameterKind::Text {
            form: "auto, f32, f16 or bf16",
            get: |config| config.dtype.to_string(),
            set: |config, text, _| text.parse().map(|dtype| config.dtype = dtype).is_ok(),
        },
    },
    Parameter {
        name: "threads",
        description: "CPU threads of the model; 0 uses every core.",
        changes: Changes::AtStart,
        example: None,
        kind: ParameterKind::Integer {
            min: 0,
            max: 1024,
            get: |config| config.threads as i64,
            set: |config, value| config.threads = value as usize,
        },
    },
    Parameter {
        name: "prompts",
        description: "What to look for; each text is also the name of what it finds. Added after \
                      those of `prompts_file`.",
        changes: Changes::WhileRunning,
        example: Some("[\"a cat\", \"a remote control\"]"),
        kind: ParameterKind::TextList {
            item: "a text that is not blank",
            accepts: |text| !text.trim().is_empty(),
            get: |config| config.prompts.clone(),
            set: |config, prompts| config.prompts = prompts,
        },
    },
    Parameter {
        name: "prompts_file",
        description: "A file of prompts with synonyms, thresholds and distractors (see \
                      `config/prompts.yaml`), relative to the file that names it. Empty for none.",
        changes: Changes::WhileRunning,
        example: Some("prompts.yaml"),
        kind: ParameterKind::Text {
            form: "the path of a file",
            get: |config| {
                config.prompts_file.as_deref().map_or("".into(), Path::to_string_lossy).into_owned()
            },
            set: |config, text, folder| {
                config.prompts_file = (!text.is_empty()).then(|| folder.join(PathBuf::from(text)));
                true
            },
        },
    },
    Parameter {
        name: "threshold",
        description: "Lowest score that is reported, for prompts with no threshold of their own.",
        changes: Changes::WhileRunning,
        example: None,
        kind: ParameterKind::Number {
            min: 0.0,
            min_included: true,
            max: 1.0,
            get: |config| config.threshold,
            set: |config, value| config.threshold = value,
        },
    },
    Parameter {
        name: "nms_iou",
        description: "Of two boxes of one prompt that overlap by more than this (intersection over \
                      union) only the better one stays; 1.0 keeps all, as the reference does.",
        changes: Changes::WhileRunning,
        example: None,
        kind: ParameterKind::Number {
            min: 0.0,
            min_included: false,
            max: 1.0,
            get: |config| config.nms_iou.unwrap_or(1.0),
            set: |config, value| config.nms_iou = (value < 1.0).then_some(value),
        },
    },
    Parameter {
        name: "max_detections",
        description: "The most detections of one frame; the best are kept.",
        changes: Changes::WhileRunning,
        example: None,
        kind: ParameterKind::Integer {
            min: 1,
            max: 10_000,
            get: |config| config.max_detections as i64,
            set: |config, value| config.max_detections = value as usize,
        },
    },
    Parameter {
        name: "max_batch",
        description: "The most frames that go through the model in one pass.",
        changes: Changes::AtStart,
        example: None,
        kind: ParameterKind::Integer {
            min: 1,
            max: 64,
            get: |config| config.max_batch as i64,
            set: |config, value| config.max_batch = value as usize,
        },
    },
    Parameter {
        name: "image_topics",
        description: "Image topics to use. Empty: in a recording, every topic of colour images.",
        changes: Changes::AtStart,
        example: Some("[/camera/image_raw]"),
        kind: ParameterKind::TextList {
            item: "a ROS topic name",
            accepts: ros_name::is_topic,
            get: |config| config.image_topics.clone(),
            set: |config, topics| config.image_topics = topics,
        },
    },
    Parameter {
        name: "overlay",
        description: "Whether pictures with the boxes drawn in are made.",
        changes: Changes::WhileRunning,
        example: None,
        kind: ParameterKind::Flag {
            get: |config| config.overlay,
            set: |config, value| config.overlay = value,
        },
    },
    Parameter {
        name: "report_pictures",
        description: "The most pictures in a report, spread over the run; the best frame of each \
                      prompt comes on top of them.",
        changes: Changes::AtStart,
        example: None,
        kind: ParameterKind::Integer {
            min: 0,
            max: 500,
            get: |config| config.report_pictures as i64,
            set: |config, value| config.report_pictures = value as usize,
        },
    },
    Parameter {
        name: "jpeg_quality",
        description: "Quality of the pictures that are written.",
        changes: Changes::WhileRunning,
        example: None,
        kind: ParameterKind::Integer {
            min: 1,
            max: 100,
            get: |config| i64::from(config.jpeg_quality),
            set: |config, value| config.jpeg_quality = value as u8,
        },
    },
];

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
        }
    }

    /// Its value in `config`, as YAML.
    #[must_use]
    pub fn yaml(&self, config: &Config) -> String {
        // A JSON string is a YAML string whatever it holds.
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        match self.kind {
            ParameterKind::Text { get, .. } => quoted(&get(config)),
            ParameterKind::Flag { get, .. } => get(config).to_string(),
            ParameterKind::Integer { get, .. } => get(config).to_string(),
            // `1.0`, not `1`: to ROS the latter is an integer.
            ParameterKind::Number { get, .. } => format!("{:?}", get(config)),
            ParameterKind::TextList { get, .. } => {
                let items: Vec<_> = get(config).iter().map(|item| quoted(item)).collect();
                format!("[{}]", items.join(", "))
            }
        }
    }

    /// When it can be changed, in words.
    #[must_use]
    pub fn changes_text(&self) -> &'static str {
        match self.changes {
            Changes::AtStart => "at start",
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
                ParameterKind::Text { .. } | ParameterKind::Flag { .. } => {}
            }
        }
    }

    #[test]
    fn what_is_set_is_what_is_read() {
        for parameter in PARAMETERS {
            let mut config = Config::default();
            let before = parameter.yaml(&config);
            match parameter.kind {
                ParameterKind::Text { set, .. } => {
                    let taken = ["cpu", "f16"].map(|text| set(&mut config, text, Path::new("")));
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
            }
            assert_ne!(parameter.yaml(&config), before, "{} was not written", parameter.name);
        }
    }
}
