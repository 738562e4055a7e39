//! Configuration files as users write them, good and bad.

mod prompts;

use std::fs;
use std::path::{Path, PathBuf};

use owlet::config::{
    Config, ConfigError, ConfigLoader, PARAMETERS, RegionSource, Transport, default_file,
    markdown_table,
};
use owlet::types::{DeviceChoice, DtypeChoice, LocateMode, Prompt};
use tempfile::TempDir;

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Writes `text` as `name` into a new folder.
fn file(name: &str, text: impl AsRef<[u8]>) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, text).unwrap();
    (folder, path)
}

fn load(text: impl AsRef<[u8]>) -> Result<Config, ConfigError> {
    let (_folder, path) = file("owlet.yaml", text);
    let mut loader = ConfigLoader::new();
    loader.add_file(&path);
    loader.finish()
}

/// Each problem as `line path: expected …, found … (hint)`, without the path of the file.
fn problems(error: &ConfigError) -> Vec<String> {
    error
        .problems
        .iter()
        .map(|problem| {
            let text = problem.to_string();
            text.strip_prefix(problem.source.as_ref()).unwrap().trim_start_matches(':').to_owned()
        })
        .collect()
}

#[test]
fn the_commented_file_is_what_the_program_writes_and_equals_the_defaults() {
    let path = repository("config/owlet.yaml");
    if std::env::var_os("OWLET_BLESS").is_some() {
        fs::write(&path, default_file()).unwrap();
    }
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text, default_file(), "run the test with OWLET_BLESS=1 to write config/owlet.yaml");
    for parameter in PARAMETERS {
        assert!(text.contains(&format!(" {}:", parameter.name)), "{} is missing", parameter.name);
    }

    let mut loader = ConfigLoader::new();
    loader.add_file(&path);
    assert_eq!(loader.finish().unwrap(), Config::default());
}

#[test]
fn the_readme_has_the_table_that_the_program_prints() {
    let path = repository("README.md");
    let text = fs::read_to_string(&path).unwrap();
    let table = markdown_table();
    let header = table.lines().next().unwrap();
    let start = text.find("\n| parameter |").expect("the README has a table of parameters") + 1;
    let end = start + text[start..].find("\n\n").map_or(text.len() - start, |end| end + 1);
    if std::env::var_os("OWLET_BLESS").is_some() {
        fs::write(&path, [&text[..start], &table, &text[end..]].concat()).unwrap();
        return;
    }
    assert_eq!(text.matches(header).count(), 1);
    let hint = "run the test with OWLET_BLESS=1 to write the table into README.md";
    assert_eq!(text[start..end], table, "{hint}");
}

#[test]
fn the_commented_examples_are_valid_when_they_are_uncommented() {
    let mut text = default_file();
    for parameter in PARAMETERS.iter().filter(|parameter| parameter.example.is_some()) {
        let commented = format!("# {}: ", parameter.name);
        assert!(text.contains(&commented), "{}", parameter.name);
        text = text.replace(&commented, &format!("{}: ", parameter.name));
    }
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("owlet.yaml"), text).unwrap();
    fs::write(folder.path().join("prompts.yaml"), "prompts: [a mug]").unwrap();
    let mut loader = ConfigLoader::new();
    loader.add_file(&folder.path().join("owlet.yaml"));
    let config = loader.finish().unwrap();
    let names: Vec<_> = config.read_prompts().unwrap().into_iter().map(|p| p.name).collect();
    assert_eq!(names, ["a mug", "a cat", "a remote control"]);
    assert_eq!(config.image_topics, ["/camera/image_raw"]);
}

#[test]
fn every_parameter_can_be_set_in_a_file() {
    let config = load(
        "/**:
  ros__parameters:
    use_sim_time: true
    qos_overrides: {/parameter_events: {publisher: {depth: 10}}}
    model: models/owlv2
    segmenter: models/sam
    classifier: models/clip
    bank: /banks/kitchen
    bank_image_encoder: models/dino
    bank_text_encoder: models/minilm
    bank_regions: 12
    bank_regions_by: segmenter
    device: cuda:1
    dtype: bf16
    threads: 4
    prompts: [a cat, 'true']
    prompts_file: ''
    threshold: 1
    nms_iou: 0.5
    nms_across_prompts: true
    names_per_box: 2
    max_detections: 10
    max_batch: 2
    max_rate_hz: 7.5
    tracking: false
    locate: always
    target_frame: base_link
    sync_slop_secs: 0.5
    clouds: true
    picks: true
    pick_prompt: a cat
    pick_radius_m: 0.02
    heightmap: true
    heightmap_bounds_m: -1 0.5 0 2 0.25 0.75
    heightmap_m_per_px: 0.01
    polygons: true
    depth_topics: [/left/depth]
    image_topics: [/left/image_raw, ~/image]
    overlay: false
    report_pictures: 0
    jpeg_quality: 100
    node: cell/left
    autostart: false
    watch_prompts: true
    text_cache: false
    transport: rmw_zenoh
    cameras: [front, rear/left]
    ros_remap: [\"image:=/camera/image_raw\"]
    ros_domain_id: 7
    ros_shm_mib: 64
    ros_shm_threshold_bytes: 1000
    metrics_listen: '9464'
    zenoh_config: zenoh.json5
    zenoh_mode: client
    zenoh_connect: [tcp/router:7447]
    zenoh_listen: [\"tcp/[::]:0\"]
    zenoh_images: [\"cell/*/rgb\"]
    zenoh_cdr: true
",
    )
    .unwrap();
    let expected = Config {
        model: "models/owlv2".to_owned(),
        segmenter: Some("models/sam".to_owned()),
        classifier: Some("models/clip".to_owned()),
        bank: Some("/banks/kitchen".into()),
        bank_image_encoder: Some("models/dino".to_owned()),
        bank_text_encoder: Some("models/minilm".to_owned()),
        bank_regions: 12,
        bank_regions_by: RegionSource::Segmenter,
        device: DeviceChoice::Cuda(1),
        dtype: DtypeChoice::Bf16,
        threads: 4,
        prompts: vec![Prompt::from_text("a cat"), Prompt::from_text("true")],
        prompts_file: None,
        threshold: 1.0,
        nms_iou: Some(0.5),
        nms_across_prompts: true,
        names_per_box: 2,
        max_detections: 10,
        max_batch: 2,
        max_rate_hz: 7.5,
        tracking: false,
        locate: LocateMode::Always,
        target_frame: Some("base_link".to_owned()),
        sync_slop_secs: 0.5,
        clouds: true,
        polygons: true,
        picks: true,
        pick_prompt: Some("a cat".to_owned()),
        pick_radius_m: 0.02,
        heightmap: true,
        heightmap_bounds_m: [[-1.0, 0.5], [0.0, 2.0], [0.25, 0.75]],
        heightmap_m_per_px: 0.01,
        depth_topics: vec!["/left/depth".to_owned()],
        image_topics: vec!["/left/image_raw".to_owned(), "~/image".to_owned()],
        overlay: false,
        report_pictures: 0,
        jpeg_quality: 100,
        node: "cell/left".to_owned(),
        autostart: false,
        watch_prompts: true,
        text_cache: false,
        use_sim_time: true,
        transport: Transport::RmwZenoh,
        cameras: vec!["front".to_owned(), "rear/left".to_owned()],
        ros_remap: vec!["image:=/camera/image_raw".to_owned()],
        ros_domain_id: Some(7),
        ros_shm_mib: 64,
        ros_shm_threshold_bytes: 1000,
        metrics_listen: Some(([127, 0, 0, 1], 9464).into()),
        zenoh_config: config.zenoh_config.clone(),
        zenoh_mode: Some("client".to_owned()),
        zenoh_connect: vec!["tcp/router:7447".to_owned()],
        zenoh_listen: vec!["tcp/[::]:0".to_owned()],
        zenoh_images: vec!["cell/*/rgb".to_owned()],
        zenoh_cdr: true,
    };
    // Beside the file that names it.
    assert!(config.zenoh_config.as_deref().is_some_and(|path| path.ends_with("zenoh.json5")));
    assert_eq!(config, expected);
    assert_eq!(config.prompt_set(3).unwrap().version, 3);
}

#[test]
fn every_problem_is_told_at_once_with_path_line_expectation_and_value() {
    let error = load(
        "/**:
  ros__parameters:
    treshold: 0.2
    device: gpu
    dtype: 16
    threads: -1
    threshold: 1.5
    nms_iou: 0
    overlay: 'yes'
    max_batch: 2.0
    jpeg_quality: 101
    prompts: [a cat, '', 7, a cat]
    image_topics: /camera/image_raw
    camera: {topic: x}
    model:
    overlay: true
",
    )
    .unwrap_err();
    let names: Vec<_> = PARAMETERS.iter().map(|parameter| parameter.name).collect();
    let names = names.join(", ");
    assert_eq!(
        problems(&error),
        [
            &format!(
                "3: /**.ros__parameters.treshold: expected one of {names}, found the key \
                 \"treshold\" (did you mean \"threshold\"?)"
            ),
            "4: /**.ros__parameters.device: expected auto, cpu, cuda or cuda:N, found the text \
             \"gpu\"",
            "5: /**.ros__parameters.dtype: expected auto, f32, f16 or bf16, found 16 (put it in \
             quotes if a text is meant)",
            "6: /**.ros__parameters.threads: expected an integer from 0 to 1024, found -1",
            "7: /**.ros__parameters.threshold: expected a number from 0 to 1, found 1.5",
            "8: /**.ros__parameters.nms_iou: expected a number above 0 and up to 1, found 0",
            "9: /**.ros__parameters.overlay: expected true or false, found the text \"yes\"",
            "10: /**.ros__parameters.max_batch: expected an integer from 1 to 64, found 2.0",
            "11: /**.ros__parameters.jpeg_quality: expected an integer from 1 to 100, found 101",
            "12: /**.ros__parameters.prompts[1]: expected a text that is not blank, found the \
             text \"\"",
            "12: /**.ros__parameters.prompts[2]: expected a text that is not blank, found 7 (put \
             it in quotes if a text is meant)",
            "12: /**.ros__parameters.prompts[3]: expected each text once, found \"a cat\" again",
            "13: /**.ros__parameters.image_topics: expected a list of texts, found the text \
             \"/camera/image_raw\" (put it in brackets: [a cat, a dog])",
            &format!(
                "14: /**.ros__parameters.camera.topic: expected one of {names}, found the key \
                 \"camera.topic\""
            ),
            "15: /**.ros__parameters.model: expected the name of a model or the path of a folder, \
             found nothing",
            "16: /**.ros__parameters.overlay: expected each key once, found it again (first on \
             line 9)",
        ]
    );
    assert!(error.to_string().starts_with("16 problems with the configuration:\n  /"));
}

#[test]
fn nan_and_infinity_are_not_in_any_range() {
    for number in [".nan", ".inf", "-.inf", "1e999"] {
        let error =
            load(format!("/**:\n  ros__parameters:\n    threshold: {number}\n")).unwrap_err();
        assert_eq!(error.problems.len(), 1, "{number}");
        assert_eq!(error.problems[0].path, "/**.ros__parameters.threshold");
    }
}

#[test]
fn later_files_and_overrides_win_and_sections_are_chosen_as_in_ros() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("a.yaml"), folder.path().join("b.yaml"));
    fs::write(
        &first,
        "/**:\n  ros__parameters: {threshold: 0.2, max_batch: 2, threads: 1}\n\
         /cell/owlet:\n  ros__parameters: {max_batch: 3}\n\
         /cell/camera:\n  ros__parameters: {rate: 30}\n",
    )
    .unwrap();
    fs::write(&second, "/cell:\n  owlet:\n    ros__parameters: {threads: 2}\n").unwrap();

    let mut loader = ConfigLoader::for_node("/cell/owlet");
    loader.add_file(&first);
    loader.add_file(&second);
    loader.apply_override("threshold", "0.4");
    let config = loader.finish().unwrap();
    assert_eq!((config.threshold, config.max_batch, config.threads), (0.4, 3, 2));

    let mut other = ConfigLoader::for_node("/bin/owlet");
    other.add_file(&first);
    assert_eq!(other.finish().unwrap().max_batch, 2);
}

#[test]
fn overrides_are_read_by_the_type_of_their_parameter() {
    let mut loader = ConfigLoader::new();
    loader.apply_override("model", "42");
    loader.apply_override("prompts", "[a cat, \"no\"]");
    loader.apply_override("overlay", "false");
    let config = loader.finish().unwrap();
    assert_eq!(config.model, "42");
    assert_eq!(config.prompts, ["a cat", "no"].map(Prompt::from_text));
    assert!(!config.overlay);

    let mut loader = ConfigLoader::new();
    let texts = ["no", "[a: cat", "7"].map(str::to_owned);
    loader.apply_list_override("prompts", &texts);
    assert_eq!(loader.finish().unwrap().prompts, texts.map(|text| Prompt::from_text(&text)));
    let mut loader = ConfigLoader::new();
    loader.apply_list_override("image_topics", &["/camera".to_owned(), "/a b".to_owned()]);
    loader.apply_list_override("threshold", &["0.1".to_owned()]);
    let error = loader.finish().unwrap_err();
    assert_eq!(
        problems(&error),
        [
            " image_topics[1]: expected a ROS topic name, found the text \"/a b\"",
            " threshold: expected a number from 0 to 1, found a list of 1",
        ]
    );

    let mut loader = ConfigLoader::new();
    loader.apply_override("thresh", "0.1");
    loader.apply_override("threshold", "high");
    loader.apply_override("prompts", "[a cat");
    loader.apply_override("prompts", "a cat");
    let error = loader.finish().unwrap_err();
    let told = problems(&error);
    assert_eq!(told.len(), 4, "{told:?}");
    assert!(error.problems.iter().all(|problem| problem.source.as_ref() == "command line"));
    assert!(error.problems.iter().all(|problem| problem.line.is_none()), "{told:?}");
    assert_eq!(told[1], " threshold: expected a number from 0 to 1, found the text \"high\"");
    assert!(told[2].starts_with(" prompts: expected YAML, found "));
}

#[test]
fn files_that_are_no_configuration_are_refused_by_name() {
    let mut loader = ConfigLoader::new();
    loader.add_file(Path::new("/nowhere/owlet.yaml"));
    loader.add_file(&repository("src"));
    let error = loader.finish().unwrap_err();
    assert_eq!(error.problems.len(), 2);
    assert_eq!(error.problems[0].source.as_ref(), "/nowhere/owlet.yaml");
    assert!(error.problems[0].found.contains("No such file"));

    let huge = format!("/**:\n  ros__parameters:\n    # {}\n", "x".repeat(2 << 20));
    let deep = format!("{}1{}", "[".repeat(50_000), "]".repeat(50_000));
    let bomb = "a: &a [x, x, x, x, x, x, x, x, x, x]\n".to_owned()
        + &(0..8)
            .scan('a', |last, _| {
                let next = char::from(*last as u8 + 1);
                let line =
                    format!("{next}: &{next} [{}]\n", vec![format!("*{last}"); 10].join(","));
                *last = next;
                Some(line)
            })
            .collect::<String>();
    for (text, expected) in [
        (b"".as_slice(), "a YAML map"),
        (b"# only a comment\n", "a YAML map"),
        (b"- a\n- b\n", "a map of node names"),
        (b"just text", "a map of node names"),
        (b"a: [1, 2\n", "YAML"),
        (b"\xff\xfea\0", "UTF-8 text"),
        (b"\x80", "UTF-8 text"),
        (huge.as_bytes(), "at most 1048576 bytes"),
        (deep.as_bytes(), "YAML"),
        (bomb.as_bytes(), "YAML"),
    ] {
        let error = load(text).unwrap_err();
        assert_eq!(error.problems.len(), 1, "{error}");
        assert_eq!(error.problems[0].expected, expected, "{error}");
        assert!(!error.problems[0].found.is_empty());
    }
}

#[test]
fn a_file_just_within_the_limit_is_read() {
    let start = "/**:\n  ros__parameters:\n    threads: 3\n# ";
    let text = format!("{start}{}", "x".repeat((1 << 20) - start.len()));
    assert_eq!(load(text).unwrap().threads, 3);
}

#[test]
fn the_prompts_file_is_found_beside_the_file_that_names_it_and_its_problems_come_along() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("owlet.yaml");
    fs::write(
        &path,
        "/**:\n  ros__parameters:\n    prompts_file: sub/p.yaml\n    prompts: [a dog, a cat]\n",
    )
    .unwrap();
    fs::create_dir(folder.path().join("sub")).unwrap();
    let read = |text: &str| {
        fs::write(folder.path().join("sub/p.yaml"), text).unwrap();
        let mut loader = ConfigLoader::new();
        loader.add_file(&path);
        loader.finish()
    };
    let config = read("prompts: [a mug]").unwrap();
    assert_eq!(config.prompts_file.as_deref(), Some(folder.path().join("sub/p.yaml").as_path()));
    let set = config.prompt_set(1).unwrap();
    assert_eq!(set.prompts.len(), 3);
    assert_eq!(set.default_threshold, config.threshold);
    set.check().unwrap();

    let error = read("prompts: [a cat]").unwrap_err();
    assert_eq!(
        problems(&error),
        [" prompts[1]: expected a name that the prompts file does not use, found \"a cat\""]
    );
    assert!(read("prompts: []").is_err());
    fs::remove_file(folder.path().join("sub/p.yaml")).unwrap();
    let mut loader = ConfigLoader::new();
    loader.add_file(&path);
    assert!(loader.finish().unwrap_err().problems[0].source.ends_with("sub/p.yaml"));
}
