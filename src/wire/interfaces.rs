//! The messages and services of [`wire`](super) held against their `.msg` and `.srv` files: fields,
//! and the hashes by which ROS 2 knows a type.

mod standard;
mod type_hash;

use std::collections::BTreeSet;
use std::path::Path;

use super::cdr::{Fields, Message, Service};
use super::definitions::ALL;
use super::{lifecycle_msgs, owlet_msgs, rcl_interfaces, rosgraph_msgs};
use type_hash::Interfaces;

const OWLET_MSGS: [(&str, &str); 8] = [
    ("owlet_msgs/msg/Exemplar", include_str!("../../msg/msg/Exemplar.msg")),
    ("owlet_msgs/msg/FinerLabel", include_str!("../../msg/msg/FinerLabel.msg")),
    ("owlet_msgs/msg/Prompt", include_str!("../../msg/msg/Prompt.msg")),
    ("owlet_msgs/msg/PromptSet", include_str!("../../msg/msg/PromptSet.msg")),
    ("owlet_msgs/srv/Detect", include_str!("../../msg/srv/Detect.srv")),
    ("owlet_msgs/srv/GetPrompts", include_str!("../../msg/srv/GetPrompts.srv")),
    ("owlet_msgs/srv/SetPrompts", include_str!("../../msg/srv/SetPrompts.srv")),
    ("owlet_msgs/srv/Teach", include_str!("../../msg/srv/Teach.srv")),
];

/// Every type that Owlet knows: those of the definitions, the rest of the packages of which it
/// takes part, and its own.
fn interfaces() -> Interfaces {
    let mut interfaces = Interfaces::default();
    for definition in ALL {
        interfaces.add_definition(definition.message_type, definition.text);
    }
    for (name, text) in standard::INTERFACES.into_iter().chain(OWLET_MSGS) {
        interfaces.add(name, text);
    }
    interfaces
}

/// Holds the structs against the files, and collects the names of those that were held.
struct Check {
    interfaces: Interfaces,
    seen: BTreeSet<&'static str>,
}

impl Check {
    fn message<T: Fields + Message<'static>>(&mut self) {
        assert_eq!(T::fields(), self.interfaces.fields(T::TYPE), "{}", T::TYPE);
        self.seen.insert(T::TYPE);
    }

    fn service<S: Service>(&mut self)
    where
        S::Request<'static>: Fields,
        S::Response<'static>: Fields,
    {
        self.message::<S::Request<'static>>();
        self.message::<S::Response<'static>>();
        assert_eq!(S::Request::TYPE, format!("{}_Request", S::TYPE));
        assert_eq!(S::Response::TYPE, format!("{}_Response", S::TYPE));
        assert_eq!(S::TYPE_HASH, self.interfaces.hash(S::TYPE), "{}", S::TYPE);
        self.seen.insert(S::TYPE);
    }
}

#[test]
fn structs_and_hashes_are_those_of_the_interface_files() {
    let mut check = Check { interfaces: interfaces(), seen: BTreeSet::new() };
    check.message::<owlet_msgs::Exemplar<'_>>();
    check.message::<owlet_msgs::FinerLabel<'_>>();
    check.message::<owlet_msgs::Prompt<'_>>();
    check.message::<owlet_msgs::PromptSet<'_>>();
    check.service::<owlet_msgs::Detect>();
    check.service::<owlet_msgs::GetPrompts>();
    check.service::<owlet_msgs::SetPrompts>();
    check.service::<owlet_msgs::Teach>();
    for (name, _) in OWLET_MSGS {
        assert!(check.seen.contains(name), "{name} has no struct");
    }

    check.message::<rosgraph_msgs::Clock>();
    check.message::<lifecycle_msgs::State<'_>>();
    check.message::<lifecycle_msgs::Transition<'_>>();
    check.message::<lifecycle_msgs::TransitionDescription<'_>>();
    check.message::<lifecycle_msgs::TransitionEvent<'_>>();
    check.service::<lifecycle_msgs::ChangeState>();
    check.service::<lifecycle_msgs::GetState>();
    check.service::<lifecycle_msgs::GetAvailableStates>();
    check.service::<lifecycle_msgs::GetAvailableTransitions>();
    check.message::<rcl_interfaces::Parameter<'_>>();
    check.message::<rcl_interfaces::ParameterValue<'_>>();
    check.message::<rcl_interfaces::ParameterDescriptor<'_>>();
    check.message::<rcl_interfaces::FloatingPointRange>();
    check.message::<rcl_interfaces::IntegerRange>();
    check.message::<rcl_interfaces::SetParametersResult<'_>>();
    check.message::<rcl_interfaces::ListParametersResult<'_>>();
    check.message::<rcl_interfaces::ParameterEvent<'_>>();
    check.service::<rcl_interfaces::GetParameters>();
    check.service::<rcl_interfaces::GetParameterTypes>();
    check.service::<rcl_interfaces::SetParameters>();
    check.service::<rcl_interfaces::SetParametersAtomically>();
    check.service::<rcl_interfaces::ListParameters>();
    check.service::<rcl_interfaces::DescribeParameters>();
    for (name, _) in standard::INTERFACES {
        let spare = name == standard::SERVICE_EVENT_INFO;
        assert!(spare || check.seen.contains(name), "{name} has no struct");
    }
}

#[test]
fn the_hash_of_every_definition_is_that_of_its_text() {
    let interfaces = interfaces();
    for definition in ALL {
        let (name, hash) = (definition.message_type, definition.type_hash);
        assert_eq!(hash, interfaces.hash(name), "{name}");
    }
}

/// Names below `msg/` of the repository: `msg/Prompt.msg`.
fn files_of_the_package() -> BTreeSet<String> {
    let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("msg");
    let in_folder = |folder: &'static str| {
        let entries = std::fs::read_dir(package.join(folder)).unwrap();
        entries.map(move |entry| {
            format!("{folder}/{}", entry.unwrap().file_name().into_string().unwrap())
        })
    };
    in_folder("msg").chain(in_folder("srv")).collect()
}

#[test]
fn every_file_of_the_package_has_a_struct_and_is_built() {
    let files = files_of_the_package();
    let known = OWLET_MSGS.map(|(name, _)| {
        let (_, path) = name.split_once('/').unwrap();
        format!("{path}.{}", path.split_once('/').unwrap().0)
    });
    assert_eq!(files, BTreeSet::from(known));

    let cmake = include_str!("../../msg/CMakeLists.txt");
    let built = cmake.split('"').filter(|word| word.ends_with(".msg") || word.ends_with(".srv"));
    assert_eq!(files, built.map(str::to_owned).collect());
}

#[test]
fn every_field_of_the_package_is_explained() {
    for (name, text) in OWLET_MSGS {
        let mut explained = false;
        for line in text.lines() {
            let is_field = !line.is_empty() && !line.starts_with('#') && line != "---";
            assert!(!is_field || explained, "{name}: `{line}` has no comment above it");
            explained = line.starts_with('#');
        }
        assert!(text.starts_with("# "), "{name} does not say what it is");
    }
}
