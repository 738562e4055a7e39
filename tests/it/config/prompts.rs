//! Files of prompts, good and bad.

use owlet::config::{ConfigError, prompts};
use owlet::types::Prompt;

use super::{file, problems, repository};

fn prompts_of(text: impl AsRef<[u8]>) -> Result<Vec<Prompt>, ConfigError> {
    let (_folder, path) = file("prompts.yaml", text);
    prompts::read(&path)
}

#[test]
fn the_example_of_a_prompts_file_is_read() {
    let prompts = prompts::read(&repository("config/prompts.yaml")).unwrap();
    assert_eq!(
        prompts,
        [
            Prompt { threshold: Some(0.1), ..Prompt::from_text("a cat") },
            Prompt {
                name: "remote control".to_owned(),
                texts: vec!["a remote control".to_owned(), "a tv remote".to_owned()],
                threshold: Some(0.15),
                negative: false,
            },
            Prompt { threshold: Some(0.1), negative: true, ..Prompt::from_text("cushion") },
        ]
    );
}

#[test]
fn a_prompts_file_can_be_json_and_names_or_texts_alone_are_enough() {
    let prompts = prompts_of(
        r#"{
	"prompts": [
		"no",
		{"texts": ["a mug", "a cup"]},
		{"name": "ball", "threshold": 1}
	]
}"#,
    )
    .unwrap();
    assert_eq!(prompts[0], Prompt::from_text("no"));
    assert_eq!((prompts[1].name.as_str(), prompts[1].texts.len()), ("a mug", 2));
    assert_eq!((prompts[2].texts[0].as_str(), prompts[2].threshold), ("ball", Some(1.0)));
}

#[test]
fn every_problem_of_a_prompts_file_is_told_at_once() {
    let error = prompts_of(
        "default_threshold: .nan
prompts:
  - a cat
  - 7
  - ''
  - {name: mug, text: [a mug]}
  - {name: cup, texts: [], threshold: -0.1}
  - {name: [x], texts: [a, null]}
  - {threshold: 0.5, negative: maybe}
  - name: a cat
    name: other
  - [nested]
  - ~
colour: red
",
    )
    .unwrap_err();
    assert_eq!(
        problems(&error),
        [
            "1: default_threshold: expected a number from 0 to 1, found NaN",
            "4: prompts[1]: expected a text that is not blank, found 7 (put it in quotes if a \
             text is meant)",
            "5: prompts[2]: expected a text that is not blank, found the text \"\"",
            "6: prompts[3].text: expected one of name, texts, threshold, negative, found the key \
             \"text\" (did you mean \"texts\"?)",
            "7: prompts[4].texts: expected at least one text, found an empty list",
            "7: prompts[4].threshold: expected a number from 0 to 1, found -0.1",
            "8: prompts[5].name: expected a text that is not blank, found a list of 1",
            "8: prompts[5].texts[1]: expected a text that is not blank, found nothing",
            "9: prompts[6].negative: expected true or false, found the text \"maybe\"",
            "9: prompts[6]: expected `name` or `texts`, found neither",
            "10: prompts[7]: expected each name once, found \"a cat\" again (first on line 3)",
            "11: prompts[7].name: expected each key once, found it again (first on line 10)",
            "12: prompts[8]: expected a text that is not blank, found a list of 1",
            "13: prompts[9]: expected a text that is not blank, found nothing",
            "14: colour: expected one of prompts, default_threshold, found the key \"colour\"",
        ]
    );
}

#[test]
fn prompts_files_of_another_shape_are_refused() {
    for (text, path) in [
        ("[a cat, a dog]", ""),
        ("a cat", ""),
        ("default_threshold: 0.1", "prompts"),
        ("prompts: a cat", "prompts"),
        ("prompts: {a: cat}", "prompts"),
        ("prompts:", "prompts"),
        ("prompts: [a", ""),
        ("", ""),
    ] {
        let error = prompts_of(text).unwrap_err();
        assert_eq!(error.problems.len(), 1, "{text}: {error}");
        assert_eq!(error.problems[0].path, path, "{text}");
    }
    assert!(prompts_of(b"prompts: [\xff]").is_err());
    let many = format!("prompts:\n{}", "  - x\n".repeat(300_000));
    assert!(prompts_of(many).unwrap_err().to_string().contains("at most 1048576 bytes"));
}

#[test]
fn a_thousand_prompts_are_read() {
    let text: String =
        (0..1203).fold("prompts:\n".to_owned(), |text, n| text + &format!("  - thing {n}\n"));
    assert_eq!(prompts_of(text).unwrap().len(), 1203);
}
