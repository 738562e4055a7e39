//! The hash of a type out of the text of its interface (REP 2016): SHA-256 over a JSON description
//! of its fields and of every type that it uses, written as Python's `json.dumps` does.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use sha2::{Digest, Sha256};

/// Names and numbers of `type_description_interfaces/msg/FieldType`. A `char` of a `.msg` file is a
/// `uint8` from IDL on.
const PRIMITIVES: [(&str, u32); 14] = [
    ("int8", 2),
    ("uint8", 3),
    ("char", 3),
    ("int16", 4),
    ("uint16", 5),
    ("int32", 6),
    ("uint32", 7),
    ("int64", 8),
    ("uint64", 9),
    ("float32", 10),
    ("float64", 11),
    ("bool", 15),
    ("byte", 16),
    ("string", 17),
];
const NESTED: u32 = 1;
const ARRAY: u32 = 48;
const BOUNDED_SEQUENCE: u32 = 96;
const UNBOUNDED_SEQUENCE: u32 = 144;

/// The field, a `uint8`, that `rosidl` gives to what has none.
const OF_THE_EMPTY: &str = "structure_needs_at_least_one_member";

#[derive(Clone, Debug, PartialEq, Eq)]
struct FieldDescription {
    name: String,
    /// A primitive, or the full name of a message.
    of: String,
    /// What stands in the brackets; `None` without brackets.
    brackets: Option<String>,
}

impl FieldDescription {
    /// `type name` with an optional default value; a type without a package is of `package`.
    fn parse(line: &str, package: &str) -> Self {
        let mut words = line.split_whitespace();
        let (full, name) = (words.next().unwrap(), words.next().expect("a name behind the type"));
        let (of, brackets) = match full.split_once('[') {
            None => (full, None),
            Some((of, rest)) => (of, Some(rest.strip_suffix(']').unwrap().to_owned())),
        };
        let primitive = PRIMITIVES.iter().any(|(known, _)| *known == of);
        let of = match of.split('/').count() {
            1 if primitive => of.to_owned(),
            1 => format!("{package}/msg/{of}"),
            2 => of.replace('/', "/msg/"),
            _ => of.to_owned(),
        };
        Self { name: name.to_owned(), of, brackets }
    }

    fn json(&self) -> String {
        let primitive = PRIMITIVES.iter().find(|(known, _)| *known == self.of);
        let (of, nested) = match primitive {
            Some((_, number)) => (*number, ""),
            None => (NESTED, self.of.as_str()),
        };
        let (kind, capacity) = match self.brackets.as_deref() {
            None => (0, "0"),
            Some("") => (UNBOUNDED_SEQUENCE, "0"),
            Some(bounded) if bounded.starts_with("<=") => (BOUNDED_SEQUENCE, &bounded[2..]),
            Some(len) => (ARRAY, len),
        };
        format!(
            r#"{{"name": "{}", "type": {{"type_id": {}, "capacity": {capacity}, "string_capacity": 0, "nested_type_name": "{nested}"}}}}"#,
            self.name,
            of + kind,
        )
    }
}

/// Types by their full names.
#[derive(Default)]
pub(super) struct Interfaces(BTreeMap<String, Vec<FieldDescription>>);

impl Interfaces {
    /// Adds a message or service from the text of its file.
    pub(super) fn add(&mut self, name: &str, text: &str) {
        if !name.contains("/srv/") {
            return self.add_message(name, text);
        }
        let lines: Vec<_> = text.lines().collect();
        let parts: Vec<_> = lines.split(|line| *line == "---").collect();
        let [request, response] = parts[..] else { panic!("{name} has {} parts", parts.len()) };
        self.add_message(&format!("{name}_Request"), &request.join("\n"));
        self.add_message(&format!("{name}_Response"), &response.join("\n"));
        let event = format!(
            "service_msgs/ServiceEventInfo info\n{name}_Request[<=1] request\n\
             {name}_Response[<=1] response"
        );
        self.add_message(&format!("{name}_Event"), &event);
        let service = format!(
            "{name}_Request request_message\n{name}_Response response_message\n\
             {name}_Event event_message"
        );
        self.add_message(name, &service);
    }

    /// Adds a message and those that it uses, as they stand in a recording.
    pub(super) fn add_definition(&mut self, name: &str, text: &str) {
        let between = format!("{}\nMSG: ", "=".repeat(80));
        let mut parts = text.split(&between);
        self.add_message(name, parts.next().unwrap());
        for part in parts {
            let (used, text) = part.split_once('\n').unwrap();
            self.add_message(&used.replace('/', "/msg/"), text);
        }
    }

    fn add_message(&mut self, name: &str, text: &str) {
        let (package, _) = name.split_once('/').unwrap();
        let mut fields: Vec<_> = text
            .lines()
            .map(|line| line.split('#').next().unwrap().trim())
            .filter(|line| !line.is_empty() && !line.replace("<=", "").contains('='))
            .map(|line| FieldDescription::parse(line, package))
            .collect();
        if fields.is_empty() {
            fields.push(FieldDescription::parse(&format!("uint8 {OF_THE_EMPTY}"), package));
        }
        let before = self.0.insert(name.to_owned(), fields.clone());
        assert!(before.is_none_or(|before| before == fields), "two definitions of {name}");
    }

    /// Types and names of the fields that a type has of its own; bytes count as `uint8`, which
    /// they are on the wire.
    pub(super) fn fields(&self, name: &str) -> Vec<(String, &str)> {
        let own = self.0[name].iter().filter(|field| field.name != OF_THE_EMPTY);
        own.map(|field| {
            let of = if field.of == "byte" { "uint8" } else { &field.of };
            let brackets = field.brackets.as_ref().map(|inside| format!("[{inside}]"));
            (format!("{of}{}", brackets.unwrap_or_default()), field.name.as_str())
        })
        .collect()
    }

    fn used_by<'a>(&'a self, name: &str, used: &mut BTreeSet<&'a str>) {
        for FieldDescription { of, .. } in &self.0[name] {
            if of.contains('/') && used.insert(of) {
                self.used_by(of, used);
            }
        }
    }

    fn description(&self, name: &str) -> String {
        let fields: Vec<_> = self.0[name].iter().map(FieldDescription::json).collect();
        format!(r#"{{"type_name": "{name}", "fields": [{}]}}"#, fields.join(", "))
    }

    /// `RIHS01_` and 64 hexadecimal digits.
    pub(super) fn hash(&self, name: &str) -> String {
        let mut used = BTreeSet::new();
        self.used_by(name, &mut used);
        let used: Vec<_> = used.into_iter().map(|used| self.description(used)).collect();
        let json = format!(
            r#"{{"type_description": {}, "referenced_type_descriptions": [{}]}}"#,
            self.description(name),
            used.join(", ")
        );
        let mut hash = "RIHS01_".to_owned();
        for byte in Sha256::digest(json) {
            write!(hash, "{byte:02x}").unwrap();
        }
        hash
    }
}

/// Hashes as the generator of ROS 2 jazzy itself (`rosidl_generator_type_description`) gives them for
/// its own interfaces.
#[test]
fn hashes_are_those_of_ros_2_itself() {
    let published = [
        (
            "std_msgs/msg/Header",
            "RIHS01_f49fb3ae2cf070f793645ff749683ac6b06203e41c891e17701b1cb597ce6a01",
        ),
        (
            "lifecycle_msgs/msg/State",
            "RIHS01_dd2d02b82f3ebc858e53c431b1e6e91f3ffc71436fc81d0715214ac6ee2107a0",
        ),
        (
            "lifecycle_msgs/msg/TransitionDescription",
            "RIHS01_c5f1cd4bb1ad2ba0e3329d4ac7015c52a674a72c1faf7974c37a33f4f6048b28",
        ),
        (
            "rcl_interfaces/msg/ParameterDescriptor",
            "RIHS01_52175dbfda6c51153101d33d2a9da05743f66f02d5ab2ca9ec4709b46b73d704",
        ),
        (
            "lifecycle_msgs/srv/GetState",
            "RIHS01_800a0a5aae599782b02932de0caf563f6dc4e7e94b794eadde075ba2cbef9795",
        ),
        (
            "rcl_interfaces/srv/DescribeParameters",
            "RIHS01_845b484d71eb0673dae682f2e3ba3c4851a65a3dcfb97bddd82c5b57e91e4cff",
        ),
        (
            "rcl_interfaces/srv/GetParameters",
            "RIHS01_bf9803d5c74cf989a5de3e0c2e99444599a627c7ff75f97b8c05b01003675cbc",
        ),
        (
            "rcl_interfaces/srv/ListParameters",
            "RIHS01_3e6062bfbb27bfb8730d4cef2558221f51a11646d78e7bb30a1e83afac3aad9d",
        ),
    ];
    let interfaces = super::interfaces();
    for (name, hash) in published {
        assert_eq!(interfaces.hash(name), hash, "{name}");
    }
}

#[test]
fn every_change_of_an_interface_changes_its_hash() {
    let hash = |text: &str| {
        let mut interfaces = Interfaces::default();
        interfaces.add("test_msgs/msg/Other", "bool on");
        interfaces.add("test_msgs/msg/Test", text);
        interfaces.hash("test_msgs/msg/Test")
    };
    let texts = [
        "uint8[] data",
        "uint8[] date",
        "uint8 data",
        "uint8[3] data",
        "uint8[4] data",
        "uint8[<=3] data",
        "byte[] data",
        "int8[] data",
        "Other data",
        "Other[] data",
        "uint8[] data\nbool more",
        "bool more\nuint8[] data",
        "",
    ];
    let hashes: BTreeSet<_> = texts.iter().map(|text| hash(text)).collect();
    assert_eq!(hashes.len(), texts.len());
    let same = hash("# What it is\nuint8 ONE=1\n\nuint8[]   data  [1, 2] # a default");
    assert_eq!(same, hash("uint8[] data"), "comments, constants and defaults do not count");
}
