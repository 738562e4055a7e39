//! Files of prompts, good and bad.

use std::sync::Arc;

use image::RgbImage;
use owlet::config::{ConfigError, prompts};
use owlet::types::{FinerLabel, Prompt, PromptSet};
use owlet::vision::exemplar::{data_url, picture_of_image};

use super::{file, problems, repository};
use crate::bad_pictures::{cut_png, giant_jpeg};

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
                ..Prompt::default()
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
            "6: prompts[3].text: expected one of name, texts, exemplars, threshold, negative, asif, \
             average, templates, finer, found the key \"text\" (did you mean \"texts\"?)",
            "7: prompts[4].texts: expected at least one text, found an empty list",
            "7: prompts[4].threshold: expected a number from 0 to 1, found -0.1",
            "8: prompts[5].name: expected a text that is not blank, found a list of 1",
            "8: prompts[5].texts[1]: expected a text that is not blank, found nothing",
            "9: prompts[6]: expected `name` or `texts`, found neither",
            "9: prompts[6].negative: expected true or false, found the text \"maybe\"",
            "10: prompts[7]: expected each name once, found \"a cat\" again (first on line 3)",
            "11: prompts[7].name: expected each key once, found it again (first on line 10)",
            "12: prompts[8]: expected a text that is not blank, found a list of 1",
            "13: prompts[9]: expected a text that is not blank, found nothing",
            "14: colour: expected one of prompts, default_threshold, templates, found the key \
             \"colour\"",
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
    let many = format!("prompts:\n{}", "  - x\n".repeat(30_000));
    assert!(prompts_of(many).unwrap_err().to_string().contains("at most 20000 prompts"));
    let huge = format!("prompts: [{}]", "x".repeat(33 << 20));
    assert!(prompts_of(huge).unwrap_err().to_string().contains("at most 33554432 bytes"));
}

#[test]
fn a_thousand_prompts_are_read() {
    let text: String =
        (0..1203).fold("prompts:\n".to_owned(), |text, n| text + &format!("  - thing {n}\n"));
    assert_eq!(prompts_of(text).unwrap().len(), 1203);
}

#[test]
fn what_is_written_is_read_back() {
    let odd = [
        "7",
        "true",
        "a: b # c",
        "\"it's\" \\n",
        "två\tkatter\r\n",
        "\u{85}\u{2028}\u{feff}猫",
        "- x",
        "~",
    ];
    let mut prompts: Vec<Prompt> = odd
        .iter()
        .map(|text| Prompt { threshold: Some(0.123), ..Prompt::from_text(text) })
        .collect();
    prompts[0].texts = odd.iter().map(|text| (*text).to_owned()).collect();
    prompts[1].threshold = None;
    prompts[2].negative = true;
    prompts[3].threshold = Some(1e-9);
    prompts[4].threshold = Some(1.0);
    prompts[6].finer = [0, 3, 4]
        .map(|n| FinerLabel { name: odd[n].to_owned(), texts: odd.map(str::to_owned).to_vec() })
        .to_vec();
    prompts[5].templates = vec!["\"{}\": seen".to_owned(), "{}".to_owned()];
    let text = prompts::to_yaml(&prompts, "first line\nsecond: line", None);
    assert!(text.starts_with("# first line\n# second: line\nprompts:\n"), "{text}");
    assert_eq!(prompts_of(text).unwrap(), prompts);
}

#[test]
fn templates_of_a_file_are_taken_by_the_prompts_that_have_none() {
    let text = "templates: [\"a photo of {}\", \"{}\"]
prompts:
  - a cat
  - {name: dog, templates: [\"the {}\"]}
  - {name: owl, templates: []}
  - name: cow
    exemplars: []
";
    let templates = |text: &str| -> Vec<_> {
        let prompts = prompts_of(text).unwrap();
        prompts.iter().map(|prompt| prompt.templates.join("|")).collect()
    };
    // What is shown has no words to put into them, unless for its labels.
    assert_eq!(templates(text), ["a photo of {}|{}", "the {}", "", ""]);
    let labels = format!("{text}    finer: [a calf, a bull]\n");
    assert_eq!(templates(&labels)[3], "a photo of {}|{}");
    let message = "{\"templates\": [\"a {}\"], \"prompts\": [\"cat\"]}";
    let message = prompts::parse_message(message.as_bytes()).unwrap();
    assert_eq!(message.prompts[0].templates, ["a {}"]);
    let error = prompts_of("templates: a {}\nprompts: [{name: x, templates: [7]}]\n").unwrap_err();
    assert_eq!(
        problems(&error),
        [
            "1: templates: expected a list of texts, found the text \"a {}\"",
            "2: prompts[0].templates[0]: expected a text that is not blank, found 7 (put it in \
             quotes if a text is meant)",
        ]
    );
}

#[test]
fn finer_labels_are_texts_or_have_names() {
    let text = "prompts:
  - name: a mug
    finer: [a clean mug, {name: dirty, texts: [a dirty mug, a stained mug]}, {texts: [a cup]}]
";
    let prompts = prompts_of(text).unwrap();
    let labels: Vec<_> =
        prompts[0].finer.iter().map(|label| (label.name.as_str(), label.texts.join("|"))).collect();
    let expected = [
        ("a clean mug", "a clean mug".to_owned()),
        ("dirty", "a dirty mug|a stained mug".to_owned()),
        ("a cup", "a cup".to_owned()),
    ];
    assert_eq!(labels, expected);
    let error = prompts_of(
        "prompts:
  - {name: a, finer: [only one]}
  - {name: b, finer: {a: b}}
  - {name: c, finer: [7, {names: x}, {name: y, texts: []}]}
",
    )
    .unwrap_err();
    assert_eq!(
        problems(&error),
        [
            "2: prompts[0].finer: expected a list of at least two labels, found a list of 1",
            "3: prompts[1].finer: expected a list of at least two labels, found a map of 1",
            "4: prompts[2].finer[0]: expected a text that is not blank, found 7 (put it in quotes \
             if a text is meant)",
            "4: prompts[2].finer[1].names: expected one of name, texts, found the key \"names\" \
             (did you mean \"name\"?)",
            "4: prompts[2].finer[1]: expected `name` or `texts`, found neither",
            "4: prompts[2].finer[2].texts: expected at least one text, found an empty list",
        ]
    );
}

#[test]
fn a_message_is_read_like_a_file_and_may_say_what_it_replaces() {
    let read = |text: &str| prompts::parse_message(text.as_bytes());
    let message =
        read("{\"prompts\": [\"a cat\"], \"version\": 3, \"default_threshold\": 0.5}").unwrap();
    assert_eq!(message.replaces, Some(3));
    assert_eq!(message.prompts, [Prompt { threshold: Some(0.5), ..Prompt::from_text("a cat") }]);
    assert_eq!(read("prompts: [a cat]").unwrap().replaces, None);
    let error = read("version: new\nprompts: [\"\"]\ncolour: red\n").unwrap_err().to_string();
    for expected in ["\n  line 1: version", "\n  line 2: prompt 1: ", "\n  line 3: colour"] {
        assert!(error.contains(expected), "{error}");
    }
    let huge = vec![b'x'; 33 << 20];
    for (bytes, expected) in [
        (b"".as_slice(), "expected a YAML map"),
        (b"\xff", "expected UTF-8 text"),
        (&huge, "expected at most 33554432 bytes, found 34603008 bytes"),
    ] {
        let error = prompts::parse_message(bytes).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
    // What only a message may say.
    assert!(prompts_of("version: 3\nprompts: [a cat]\n").is_err());
}

#[test]
fn pictures_stand_beside_a_file_or_in_it_and_are_written_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("prompts.yaml");
    std::fs::create_dir(folder.path().join("pictures")).unwrap();
    let image = RgbImage::from_pixel(40, 30, image::Rgb([200, 10, 10]));
    image.save(folder.path().join("pictures/mug.png")).unwrap();
    let picture = picture_of_image(Arc::new(image.clone())).unwrap();
    let url = data_url(&picture.encoded);
    let text = format!(
        "prompts:
  - name: gadget
    exemplars:
      - pictures/mug.png
      - {{image: pictures/mug.png, box: [1, 2.5, 30, 20]}}
    average: true
  - {{name: widget, texts: [a widget], exemplars: [{{image: \"{url}\", box: [0, 0, 9, 9]}}]}}
  - {{name: gizmo, asif: true}}
"
    );
    std::fs::write(&path, text).unwrap();
    let prompts = prompts::read(&path).unwrap();
    let [gadget, widget, gizmo] = prompts.as_slice() else { panic!("three prompts") };
    assert!(gadget.texts.is_empty() && gadget.average);
    let [whole, part] = gadget.exemplars.as_slice() else { panic!("two exemplars") };
    assert_eq!(*whole.picture.image, image);
    assert!(Arc::ptr_eq(&whole.picture, &part.picture), "a file is read once");
    assert_eq!(part.box_in_source_px.unwrap().corners(), [1.0, 2.5, 30.0, 20.0]);
    assert_eq!((widget.texts.len(), widget.exemplars[0].picture.as_ref()), (1, &picture));
    assert_eq!((gizmo.asif, gizmo.texts.as_slice()), (true, &["gizmo".to_owned()][..]));

    // In the same folder files are named; anywhere else the pictures go along.
    let beside = prompts::to_yaml(&prompts, "", Some(folder.path()));
    assert!(beside.contains("{image: \"pictures/mug.png\", box: [1, 2.5, 30, 20]}"), "{beside}");
    std::fs::write(&path, beside).unwrap();
    assert_eq!(prompts::read(&path).unwrap(), prompts);
    let alone = prompts::to_yaml(&prompts, "", None);
    assert!(!alone.contains("pictures/"), "{alone}");
    assert_eq!(prompts_of(&alone).unwrap(), prompts);
    assert_eq!(prompts::parse_message(alone.as_bytes()).unwrap().prompts, prompts);
}

#[test]
fn every_problem_of_a_picture_is_told_and_a_message_names_no_files() {
    let text = "prompts:
  - {name: a, exemplars: [missing.png]}
  - {name: b, exemplars: mug.png}
  - {name: c, exemplars: [{box: [0, 0, 1, 1]}, {image: 7}, {image: 'data:,x', bocks: 1}]}
  - {name: d, exemplars: [{image: 'data:image/png;base64,AAAA', box: [0, 0, 1]}]}
  - {exemplars: [missing.png]}
";
    let error = prompts_of(text).unwrap_err().to_string();
    for expected in [
        "prompts[0].exemplars[0]: expected a picture (JPEG or PNG), found cannot read",
        "prompts[1].exemplars: expected a list of exemplars, found the text \"mug.png\"",
        "prompts[2].exemplars[0]: expected `image`, found no such key",
        "prompts[2].exemplars[1].image: expected the name of a picture, or a data URL, found 7",
        "prompts[2].exemplars[2].bocks: expected one of image, box",
        "prompts[2].exemplars[2].image: expected a picture (JPEG or PNG), found expected \"data:",
        "prompts[3].exemplars[0].box: expected four numbers, x0, y0, x1, y1 in pixels of the \
         picture, found a list of 3",
        "prompts[3].exemplars[0].image: expected a picture (JPEG or PNG), found neither JPEG",
        "prompts[4]: expected `name` or `texts`, found neither",
    ] {
        assert!(error.contains(expected), "{expected} is not in\n{error}");
    }
    let file = "prompts: [{name: a, exemplars: [/etc/passwd]}]";
    let error = prompts::parse_message(file.as_bytes()).unwrap_err().to_string();
    assert!(error.contains("only a file of prompts names files"), "{error}");
}

#[test]
fn a_picture_beside_a_prompts_file_that_is_none_is_refused_by_its_place() {
    let (folder, path) = file(
        "prompts.yaml",
        "prompts:
  - {name: a, exemplars: [good.png, cut.png]}
  - {name: b, exemplars: [{image: giant.jpg, box: [0, 0, 9, 9]}]}
  - {name: c, exemplars: [{image: good.png, box: [.nan, 0, 9, 9]}]}
",
    );
    let good = picture_of_image(Arc::new(RgbImage::new(40, 30))).unwrap();
    std::fs::write(folder.path().join("good.png"), good.encoded).unwrap();
    std::fs::write(folder.path().join("cut.png"), cut_png()).unwrap();
    std::fs::write(folder.path().join("giant.jpg"), giant_jpeg()).unwrap();
    let error = prompts::read(&path).unwrap_err().to_string();
    for expected in [
        "2: prompts[0].exemplars[1]: expected a picture (JPEG or PNG), found the PNG cannot be",
        "3: prompts[1].exemplars[0].image: expected a picture (JPEG or PNG), found ",
        "65500x65500",
        "4: prompts[2].exemplars[0].box: expected four numbers, x0, y0, x1, y1 in pixels of the \
         picture, found NaN as number 1 of 4",
    ] {
        assert!(error.contains(expected), "{expected} is not in\n{error}");
    }
    // What a box misses is told when the set is checked, with the prompt's name.
    let boxes = "prompts: [{name: d, exemplars: [{image: good.png, box: [0, 0, 41, 9]}]}]";
    std::fs::write(&path, boxes).unwrap();
    let prompts = prompts::read(&path).unwrap();
    let set = PromptSet { version: 1, prompts, default_threshold: 0.1 };
    let refused = set.check().unwrap_err().to_string();
    assert!(refused.contains("\"d\": exemplars[0]: the box [0, 0, 41, 9] is not"), "{refused}");
}
