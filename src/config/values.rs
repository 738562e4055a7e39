//! Values of parameters as ROS has them, for a node whose parameters change while it runs.

use std::fmt;
use std::path::Path;

use super::Config;
use super::loader::write;
use super::parameters::{PARAMETERS, Parameter};
use super::problem::{Problems, nearest};
use super::sections::Setting;
use super::yaml::{Node, Value};

/// The value of a parameter.
#[derive(Clone, Debug, PartialEq)]
pub enum ParameterValue {
    /// `true` or `false`.
    Flag(bool),
    /// A whole number.
    Integer(i64),
    /// A real number.
    Number(f64),
    /// A text.
    Text(String),
    /// Texts.
    TextList(Vec<String>),
    /// Something that no parameter takes, in words.
    Other(String),
}

impl fmt::Display for ParameterValue {
    /// The value as YAML.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A JSON string is a YAML string whatever it holds.
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        match self {
            Self::Flag(flag) => flag.fmt(f),
            Self::Integer(integer) => integer.fmt(f),
            // `1.0`, not `1`: to ROS the latter is an integer.
            Self::Number(number) => write!(f, "{number:?}"),
            Self::Text(text) => f.write_str(&quoted(text)),
            Self::TextList(texts) => {
                let items: Vec<_> = texts.iter().map(|text| quoted(text)).collect();
                write!(f, "[{}]", items.join(", "))
            }
            Self::Other(words) => f.write_str(words),
        }
    }
}

impl Config {
    /// Sets one parameter, checked as in a file. Relative paths are taken from the current folder.
    ///
    /// # Errors
    /// Why not, in words; the configuration is as it was.
    pub fn set(
        &mut self,
        name: &str,
        value: &ParameterValue,
    ) -> Result<&'static Parameter, String> {
        let parameter = Parameter::find(name).ok_or_else(|| unknown(name))?;
        let node = Node { value: to_yaml(value), line: 0 };
        let mut problems = Problems::of(name);
        let setting =
            Setting { name: name.to_owned(), path: String::new(), key_line: None, node: &node };
        write(parameter, &setting, Path::new(""), self, &mut problems);
        match problems.into_vec() {
            problems if problems.is_empty() => Ok(parameter),
            problems => {
                let all: Vec<_> = problems.iter().map(ToString::to_string).collect();
                Err(match value {
                    // Where nothing else says what was given.
                    ParameterValue::Other(words) => format!("{}, given {words}", all.join("; ")),
                    _ => all.join("; "),
                })
            }
        }
    }
}

/// Why there is no such parameter, in words.
fn unknown(name: &str) -> String {
    const MAX_CHARS: usize = 60;
    let names: Vec<_> = PARAMETERS.iter().map(|parameter| parameter.name).collect();
    let shown: String = name.chars().take(MAX_CHARS).collect();
    match nearest(&shown, &names) {
        Some(nearest) => format!("there is no parameter {shown:?} (did you mean {nearest:?}?)"),
        None => format!("there is no parameter {shown:?}"),
    }
}

fn to_yaml(value: &ParameterValue) -> Value {
    match value {
        ParameterValue::Flag(flag) => Value::Flag(*flag),
        ParameterValue::Integer(integer) => Value::Integer(*integer),
        ParameterValue::Number(number) => Value::Number(*number),
        ParameterValue::Text(text) => Value::Text(text.clone()),
        ParameterValue::TextList(texts) => {
            let text = |text: &String| Node { value: Value::Text(text.clone()), line: 0 };
            Value::List(texts.iter().map(text).collect())
        }
        ParameterValue::Other(_) => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(config: &mut Config, name: &str, value: ParameterValue) -> Result<(), String> {
        config.set(name, &value).map(drop)
    }

    #[test]
    fn every_parameter_takes_the_value_that_it_gives() {
        let defaults = Config::default();
        for parameter in PARAMETERS {
            let mut config = Config::default();
            let value = parameter.value(&defaults);
            assert_eq!(set(&mut config, parameter.name, value), Ok(()), "{}", parameter.name);
            assert_eq!(config, defaults, "{}", parameter.name);
        }
    }

    #[test]
    fn numbers_are_told_as_they_were_given() {
        let mut config = Config::default();
        set(&mut config, "threshold", ParameterValue::Number(0.35)).unwrap();
        let threshold = Parameter::find("threshold").unwrap();
        assert_eq!(threshold.value(&config), ParameterValue::Number(0.35));
        set(&mut config, "threshold", ParameterValue::Integer(1)).unwrap();
        assert_eq!(threshold.value(&config), ParameterValue::Number(1.0));
    }

    #[test]
    fn prompts_come_as_texts_or_as_a_file_of_prompts() {
        let mut config = Config::default();
        let texts = ParameterValue::TextList(vec!["a cat".to_owned(), "a dog".to_owned()]);
        set(&mut config, "prompts", texts.clone()).unwrap();
        let prompts = Parameter::find("prompts").unwrap();
        assert_eq!(prompts.value(&config), texts);

        let file = "{prompts: [a cat, {name: rug, negative: true}]}";
        set(&mut config, "prompts", ParameterValue::Text(file.to_owned())).unwrap();
        assert_eq!(config.prompts.len(), 2);
        assert!(config.prompts[1].negative);
        let told = prompts.value(&config);
        assert!(matches!(told, ParameterValue::Text(_)), "{told:?}");
        let mut again = Config::default();
        set(&mut again, "prompts", told).unwrap();
        assert_eq!(again.prompts, config.prompts);

        let before = config.clone();
        let bad = "{prompts: [{name: a, threshold: 7}, {nmae: b}]}";
        let error = set(&mut config, "prompts", ParameterValue::Text(bad.to_owned())).unwrap_err();
        assert!(
            error.contains("prompts: prompt 1 (\"a\").threshold: expected a number from 0 to 1"),
            "{error}"
        );
        assert!(error.contains("did you mean \"name\"?"), "{error}");
        let error = set(&mut config, "prompts", ParameterValue::Text("a cat".into())).unwrap_err();
        assert!(error.contains("put it in brackets"), "{error}");
        assert_eq!(config, before);
        set(&mut config, "prompts", ParameterValue::Text(String::new())).unwrap();
        assert!(config.prompts.is_empty());
    }

    #[test]
    fn hostile_values_change_nothing_and_say_why() {
        let long = "x".repeat(100_000);
        let text = |text: &str| ParameterValue::Text(text.to_owned());
        for (name, value, expected) in [
            ("treshold", ParameterValue::Number(0.1), "did you mean \"threshold\"?"),
            (long.as_str(), ParameterValue::Number(0.1), "there is no parameter"),
            ("threshold", ParameterValue::Number(f64::NAN), "expected a number from 0 to 1"),
            ("threshold", ParameterValue::Number(f64::INFINITY), "from 0 to 1, found inf"),
            ("threshold", text("0.1"), "found the text \"0.1\""),
            ("max_detections", ParameterValue::Integer(i64::MIN), "an integer from 1 to 10000"),
            ("max_detections", ParameterValue::Number(3.0), "found 3.0"),
            ("overlay", ParameterValue::Integer(1), "expected true or false"),
            ("device", text("gpu"), "auto, cpu, cuda or cuda:N"),
            ("device", ParameterValue::Other("3 bytes".into()), "given 3 bytes"),
            ("prompts", ParameterValue::TextList(vec![" ".into()]), "[0]: expected a text that"),
            ("prompts", text(&long), "expected"),
        ] {
            let mut config = Config::default();
            let error = set(&mut config, name, value).unwrap_err();
            assert!(error.contains(expected), "{name:.20}: {error:.300}");
            assert!(error.len() < 600, "{name:.20}: {} bytes of reason", error.len());
            assert_eq!(config, Config::default());
        }
    }
}
