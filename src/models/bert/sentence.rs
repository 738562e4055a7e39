//! What sentence-transformers does with the tokens of a network, from its own files.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::models::ConfigError;
use crate::models::config::{self, Problems};

const MODULES_FILE: &str = "modules.json";
const LIMITS_FILE: &str = "sentence_bert_config.json";
const PROMPTS_FILE: &str = "config_sentence_transformers.json";

/// How the vectors of tokens become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    /// Their mean.
    Mean,
    /// That of the first token.
    Class,
}

/// What is done to a text before the network and to its tokens after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SentenceConfig {
    /// How the vectors of tokens become one.
    pub pooling: Pooling,
    /// Whether that one is scaled to length 1.
    pub normalize: bool,
    /// The most tokens of a text, with those for its start and end; `None` where the files do not
    /// say.
    pub max_tokens: Option<usize>,
    /// Whether a text is put into lower case before it is split into tokens.
    pub lower_case: bool,
}

impl SentenceConfig {
    /// Reads `modules.json`, the configuration of the pooling that it names,
    /// `sentence_bert_config.json` and `config_sentence_transformers.json` in `folder`, as far as
    /// they are there. Without the first it is what sentence-transformers does then: the mean, not
    /// normalised. `size` is the network's number of channels.
    ///
    /// # Errors
    /// A file that cannot be read or is no JSON, and every step that is not implemented.
    pub fn open(folder: &Path, size: i64) -> Result<Self, ConfigError> {
        let limits: Limits = read_if_there(folder.join(LIMITS_FILE))?.unwrap_or_default();
        let prompts: Prompts = read_if_there(folder.join(PROMPTS_FILE))?.unwrap_or_default();
        if let Some(name) = prompts.default_prompt_name {
            let mut problems = Problems::default();
            let expected = "nothing, since words put before every text are not implemented";
            problems.add("default_prompt_name", expected, format!("{name:?}"));
            return problems.finish(Self::plain(), &folder.join(PROMPTS_FILE));
        }
        let path = folder.join(MODULES_FILE);
        let mut config = match read_if_there::<Vec<Module>>(path.clone())? {
            Some(modules) => Self::of_modules(folder, size, &modules, &path)?,
            None => Self::plain(),
        };
        config.max_tokens = limits.max_seq_length.filter(|most| *most > 0);
        config.lower_case = limits.do_lower_case.unwrap_or(false);
        Ok(config)
    }

    fn plain() -> Self {
        Self { pooling: Pooling::Mean, normalize: false, max_tokens: None, lower_case: false }
    }

    fn of_modules(
        folder: &Path,
        size: i64,
        modules: &[Module],
        path: &Path,
    ) -> Result<Self, ConfigError> {
        let mut config = Self::plain();
        let kinds: Vec<&str> = modules.iter().map(Module::kind).collect();
        let (pooling, normalize) = match kinds[..] {
            ["Transformer", "Pooling"] => (&modules[1], false),
            ["Transformer", "Pooling", "Normalize"] => (&modules[1], true),
            _ => {
                let mut problems = Problems::default();
                let expected = "Transformer and Pooling, then Normalize or nothing";
                problems.add("modules", expected, format!("{kinds:?}"));
                return problems.finish(config, path);
            }
        };
        let is_plain = |name: &str| {
            name.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c)) && name.len() < 100
        };
        if !modules[0].path.is_empty() || !is_plain(&pooling.path) {
            let mut problems = Problems::default();
            let expected = "the folder itself for Transformer and one in it for Pooling";
            let found = format!("{:?} and {:?}", modules[0].path, pooling.path);
            problems.add("path", expected, found);
            return problems.finish(config, path);
        }
        config.normalize = normalize;
        let path = folder.join(&pooling.path).join("config.json");
        let settings: Map<String, Value> = read(&path)?;
        let mut problems = Problems::default();
        match pooling_of(&settings) {
            Ok(pooling) => config.pooling = pooling,
            Err(found) => problems.add("pooling_mode", "mean or cls alone", found),
        }
        let found = settings.get("word_embedding_dimension").and_then(Value::as_i64);
        if let Some(found) = found.filter(|found| *found != size) {
            problems.add("word_embedding_dimension", size, found);
        }
        problems.finish(config, &path)
    }
}

/// The one way of pooling that is switched on; else those that are, in words.
fn pooling_of(settings: &Map<String, Value>) -> Result<Pooling, String> {
    let named = |name: &str| match name {
        "mean" | "mean_tokens" => Some(Pooling::Mean),
        "cls" | "cls_token" => Some(Pooling::Class),
        _ => None,
    };
    // The newer form is a word, the older a flag for each way.
    if let Some(mode) = settings.get("pooling_mode") {
        return mode.as_str().and_then(named).ok_or_else(|| mode.to_string());
    }
    let switched_on: Vec<&str> = settings
        .iter()
        .filter(|(_, value)| value.as_bool() == Some(true))
        .filter_map(|(key, _)| key.strip_prefix("pooling_mode_"))
        .collect();
    match switched_on[..] {
        [name] => named(name).ok_or_else(|| name.to_owned()),
        _ => Err(format!("{switched_on:?}")),
    }
}

#[derive(Deserialize)]
struct Module {
    path: String,
    #[serde(rename = "type")]
    class: String,
}

impl Module {
    /// The last part of the class's name: packages were moved between versions.
    fn kind(&self) -> &str {
        self.class.rsplit('.').next().unwrap_or_default()
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Limits {
    max_seq_length: Option<usize>,
    do_lower_case: Option<bool>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Prompts {
    default_prompt_name: Option<String>,
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<T, ConfigError> {
    match std::fs::read_to_string(path) {
        Ok(text) => config::parse(&text, path),
        Err(source) => Err(ConfigError::Io { path: path.to_owned(), source }),
    }
}

fn read_if_there<T: DeserializeOwned>(path: PathBuf) -> Result<Option<T>, ConfigError> {
    if path.exists() { read(&path).map(Some) } else { Ok(None) }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn folder(modules: &str, pooling: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(MODULES_FILE), modules).unwrap();
        fs::create_dir(folder.path().join("1_Pooling")).unwrap();
        fs::write(folder.path().join("1_Pooling/config.json"), pooling).unwrap();
        folder
    }

    fn modules(kinds: &[(&str, &str)]) -> String {
        let one = |(kind, path): &(&str, &str)| serde_json::json!({"path": path, "type": format!("sentence_transformers.models.{kind}")});
        serde_json::Value::from_iter(kinds.iter().map(one)).to_string()
    }

    const THREE: &[(&str, &str)] =
        &[("Transformer", ""), ("Pooling", "1_Pooling"), ("Normalize", "2_Normalize")];

    #[test]
    fn released_files_are_understood() {
        // As all-MiniLM-L6-v2 has them.
        let released = folder(
            &modules(THREE),
            r#"{"word_embedding_dimension": 384, "pooling_mode_cls_token": false,
                "pooling_mode_mean_tokens": true, "pooling_mode_max_tokens": false,
                "pooling_mode_mean_sqrt_len_tokens": false}"#,
        );
        let limits = r#"{"max_seq_length": 256, "do_lower_case": false}"#;
        fs::write(released.path().join(LIMITS_FILE), limits).unwrap();
        let versions = r#"{"__version__": {"pytorch": "1.8.1"}}"#;
        fs::write(released.path().join(PROMPTS_FILE), versions).unwrap();
        let config = SentenceConfig::open(released.path(), 384).unwrap();
        let expected = SentenceConfig {
            pooling: Pooling::Mean,
            normalize: true,
            max_tokens: Some(256),
            lower_case: false,
        };
        assert_eq!(config, expected);
        for pooling in [r#"{"pooling_mode": "cls"}"#, r#"{"pooling_mode_cls_token": true}"#] {
            let config = SentenceConfig::open(folder(&modules(&THREE[..2]), pooling).path(), 8);
            let config = config.unwrap();
            assert_eq!((config.pooling, config.normalize), (Pooling::Class, false));
        }
        let nothing = tempfile::tempdir().unwrap();
        assert_eq!(SentenceConfig::open(nothing.path(), 8).unwrap(), SentenceConfig::plain());
    }

    #[test]
    fn steps_that_are_not_implemented_are_named() {
        let dense = &[THREE[0], THREE[1], ("Dense", "2_Dense")];
        let outside = &[THREE[0], ("Pooling", "../1_Pooling")];
        let mean = r#"{"pooling_mode_mean_tokens": true}"#;
        let two = r#"{"pooling_mode_mean_tokens": true, "pooling_mode_cls_token": true}"#;
        for (modules, pooling, named) in [
            (modules(dense), mean, "Dense"),
            (modules(outside), mean, "../1_Pooling"),
            (modules(THREE), two, "cls_token"),
            (modules(THREE), r#"{"pooling_mode": "lasttoken"}"#, "lasttoken"),
            (modules(THREE), "{}", "pooling_mode"),
            (
                modules(THREE),
                r#"{"word_embedding_dimension": 9, "pooling_mode": "mean"}"#,
                "expected 8, found 9",
            ),
        ] {
            let error = SentenceConfig::open(folder(&modules, pooling).path(), 8).unwrap_err();
            assert!(error.to_string().contains(named), "{error}");
        }
        let prompted = tempfile::tempdir().unwrap();
        let prompts = r#"{"default_prompt_name": "query"}"#;
        fs::write(prompted.path().join(PROMPTS_FILE), prompts).unwrap();
        let error = SentenceConfig::open(prompted.path(), 8).unwrap_err().to_string();
        assert!(error.contains("\"query\""), "{error}");
    }
}
