//! Holds the house in order: imports go downwards only, and heavy crates are named where the
//! design allows it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The floor of every module of the library. A module that is not listed fails the test.
const FLOORS: &[(&str, u8)] = &[
    ("types", 0),
    ("vision", 1),
    ("geometry", 1),
    ("track", 1),
    ("wire", 1),
    ("hub", 1),
    ("config", 2),
    ("tasks", 2),
    ("nn", 2),
    ("weights", 3),
    ("tokenize", 3),
    ("models", 3),
    ("detect", 4),
    ("segment", 4),
    ("ground", 4),
    ("pipeline", 5),
    ("transport", 5),
    ("eval", 5),
    ("spatial", 5),
    ("report", 6),
    ("node", 6),
];

/// Modules of one floor that may use each other.
const TOGETHER: &[&[&str]] = &[&["weights", "tokenize", "models"]];

/// Crates that only some modules, or folders in them, may name.
const GUESTS: &[(&str, &[&str])] = &[
    ("tch", &["nn", "models", "weights", "detect", "segment", "ground"]),
    ("opencv", &["vision"]),
    ("turbojpeg", &["vision"]),
    ("nalgebra", &["geometry", "track", "spatial"]),
    ("pathfinding", &["track"]),
    ("mcap", &["transport"]),
    ("rusqlite", &["transport"]),
    ("hf_hub", &["hub"]),
    ("tokenizers", &["tokenize"]),
    // hiroz hands over zenoh's own samples and queries.
    ("zenoh", &["transport/zenoh", "transport/rmw_zenoh"]),
    ("hiroz", &["transport/rmw_zenoh"]),
    ("r2r", &["transport/ros2"]),
];

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The module of the library that a file belongs to, or `None` for the binary and the map.
fn module_of(file: &Path, src: &Path) -> Option<String> {
    let relative = file.strip_prefix(src).unwrap();
    let first = relative.components().next().unwrap().as_os_str().to_str().unwrap();
    let module = first.strip_suffix(".rs").unwrap_or(first);
    (!["lib", "main", "app"].contains(&module)).then(|| module.to_owned())
}

/// Lines of code: comments and doc links do not count.
fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line.split("//").next().unwrap_or("")))
        .filter(|(_, line)| !line.trim().is_empty())
}

/// The identifiers that follow `prefix` where it stands as a whole word, with `use crate::{a, b}`
/// opened up.
fn names_after<'a>(line: &'a str, prefix: &str) -> Vec<&'a str> {
    let word = |text: &'a str| {
        let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
        &text[..end]
    };
    line.match_indices(prefix)
        .filter(|(at, _)| {
            !line[..*at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$')
        })
        .flat_map(|(at, _)| {
            let rest = &line[at + prefix.len()..];
            match rest.strip_prefix('{') {
                Some(list) => list.split([',', '}']).map(|item| word(item.trim())).collect(),
                None => vec![word(rest)],
            }
        })
        .filter(|name| !name.is_empty())
        .collect()
}

fn violations(files: &BTreeMap<String, Vec<(PathBuf, String)>>) -> Vec<String> {
    let floors: BTreeMap<_, _> = FLOORS.iter().copied().collect();
    let mut found = Vec::new();
    for (module, sources) in files {
        let Some(floor) = floors.get(module.as_str()) else {
            found.push(format!("module `{module}` has no floor: add it to the table"));
            continue;
        };
        for (path, text) in sources {
            for (number, line) in code_lines(text) {
                for used in names_after(line, "crate::") {
                    let Some(used_floor) = floors.get(used) else { continue };
                    let together = TOGETHER
                        .iter()
                        .any(|set| set.contains(&module.as_str()) && set.contains(&used));
                    if used != module && used_floor >= floor && !together {
                        found.push(format!(
                            "{}:{number}: `{module}` (floor {floor}) uses `{used}` (floor {used_floor})",
                            path.display()
                        ));
                    }
                }
                for (guest, allowed) in GUESTS {
                    let named = !names_after(line, &format!("{guest}::")).is_empty();
                    let is_at_home = |home: &&str| {
                        let path = path.with_extension("");
                        *home == module
                            || format!("{}/", path.display()).contains(&format!("/{home}/"))
                    };
                    if named && !allowed.iter().any(is_at_home) {
                        found.push(format!(
                            "{}:{number}: `{module}` names `{guest}`, which belongs in {allowed:?}",
                            path.display()
                        ));
                    }
                }
            }
        }
    }
    found
}

fn library() -> BTreeMap<String, Vec<(PathBuf, String)>> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    rust_files(&src, &mut paths);
    let mut files: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for path in paths {
        if let Some(module) = module_of(&path, &src) {
            let text = fs::read_to_string(&path).unwrap();
            files.entry(module).or_default().push((path, text));
        }
    }
    files
}

#[test]
fn imports_go_downwards_only() {
    let found = violations(&library());
    assert!(found.is_empty(), "upward imports:\n{}", found.join("\n"));
}

#[test]
fn the_check_sees_what_it_must() {
    let breaks = |module: &str, text: &str| {
        let path = PathBuf::from(format!("{module}.rs"));
        violations(&BTreeMap::from([(module.to_owned(), vec![(path, text.to_owned())])])).len()
    };
    assert_eq!(breaks("types", "use crate::vision::decode;"), 1);
    assert_eq!(breaks("types", "use crate::{types, pipeline, transport::x};"), 2);
    assert_eq!(breaks("pipeline", "let bag = crate::transport::open();"), 1);
    assert_eq!(breaks("pipeline", "use crate::types::Frame; // crate::transport"), 0);
    assert_eq!(breaks("models", "use crate::weights::Weights;"), 0);
    assert_eq!(breaks("transport", "use tch::Tensor;"), 1);
    assert_eq!(breaks("vision", "use opencv::core::Mat;"), 0);
    assert_eq!(breaks("transport", "use zenoh::Session;"), 1);
    assert_eq!(breaks("transport", "use hiroz::Builder;"), 1);
    assert_eq!(breaks("transport", "let node = r2r::Node::create();"), 1);
    let at_home = |path: &str, text: &str| {
        let file = (PathBuf::from(path), text.to_owned());
        violations(&BTreeMap::from([("transport".to_owned(), vec![file])])).is_empty()
    };
    assert!(at_home("src/transport/rmw_zenoh/mod.rs", "use hiroz::Builder;"));
    assert!(at_home("src/transport/ros2.rs", "use r2r::Node;"));
    assert!(!at_home("src/transport/ros/mod.rs", "use r2r::Node;"));
    assert_eq!(breaks("node", "use crate::pipeline::Pipeline;"), 0);
    assert_eq!(breaks("cellar", ""), 1);
}

/// The node through rcl is built only where there is a ROS 2: a service that it does not know ends
/// its start there, and nowhere else.
#[test]
fn every_service_of_owlet_msgs_is_known_to_the_link_through_rcl() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let known = fs::read_to_string(root.join("src/transport/ros2/services.rs")).unwrap();
    let mut services = 0;
    for entry in fs::read_dir(root.join("msg/srv")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        let is_known =
            code_lines(&known).any(|(_, line)| line == format!("    owlet_msgs::{name},"));
        assert!(is_known, "src/transport/ros2/services.rs has no owlet_msgs::{name}");
        services += 1;
    }
    assert!(services > 0);
}
