//! Names in ROS 2: which full name a node, a topic or a service gets.
//!
//! As in rcl: a relative name lies in the node's namespace, `~/a` below the node itself, `/a` is
//! full already. Then the first remapping rule whose left side, expanded in the same way, is that
//! name gives the new one.

use crate::config::ros_name::{is_node, is_topic};

/// The names of one node: its own, and those that it gives to topics and services.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// With a slash in front and none at the end; empty for the root.
    namespace: String,
    name: String,
    rules: Vec<Rule>,
}

/// `from:=to`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    from: String,
    to: String,
}

/// What a rule begins with that renames the node, or moves it.
const NODE_RULES: [&str; 2] = ["__node", "__name"];
const NAMESPACE_RULE: &str = "__ns";

impl Names {
    /// The names of `node` (`owlet`, `cell/owlet`) under rules as they stand behind `--remap`:
    /// `image:=/camera/image_raw`, `__ns:=/cell`, `__node:=left`, each with `other_node:` before
    /// it where it is meant for a node of that name only.
    ///
    /// # Errors
    /// Every name that is none, and every rule that cannot be understood.
    pub fn new(node: &str, remaps: &[String]) -> Result<Self, Vec<String>> {
        let mut problems = Vec::new();
        if !is_node(node) {
            problems.push(format!("node: expected a name such as cell/owlet, found {node:?}"));
        }
        let (namespace, name) = node.rsplit_once('/').unwrap_or(("", node));
        let mut names = Self {
            namespace: if namespace.is_empty() { String::new() } else { format!("/{namespace}") },
            name: name.to_owned(),
            rules: Vec::new(),
        };
        let mut parsed = Vec::new();
        for (index, text) in remaps.iter().enumerate() {
            match split(text) {
                Ok(rule) => parsed.push(rule),
                Err(reason) => problems.push(format!("ros_remap[{index}]: {reason}")),
            }
        }
        // Of several rules for one thing the first one holds, and a node's name comes first: rules
        // that are meant for one node go by its new name.
        let own = |rules: &[(Option<&str>, &str, &str)], name: &str, wanted: &[&str]| {
            let mut rules = rules.iter().filter(|(node, ..)| node.is_none_or(|node| node == name));
            rules.find(|(_, from, _)| wanted.contains(from)).map(|(.., to)| (*to).to_owned())
        };
        if let Some(name) = own(&parsed, &names.name, &NODE_RULES) {
            names.name = name;
        }
        if let Some(namespace) = own(&parsed, &names.name, &[NAMESPACE_RULE]) {
            names.namespace = namespace.trim_end_matches('/').to_owned();
        }
        for (node, from, to) in parsed {
            let is_of_node = NODE_RULES.contains(&from) || from == NAMESPACE_RULE;
            if !is_of_node && node.is_none_or(|node| node == names.name) {
                let rule = Rule { from: names.expand(from), to: names.expand(to) };
                names.rules.push(rule);
            }
        }
        if problems.is_empty() { Ok(names) } else { Err(problems) }
    }

    /// The node's name without its namespace.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The namespace, `/` for the root.
    #[must_use]
    pub fn namespace(&self) -> &str {
        if self.namespace.is_empty() { "/" } else { &self.namespace }
    }

    /// The node's full name: `/cell/owlet`.
    #[must_use]
    pub fn node(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// The full name that `name` gets; the text itself where it is no name.
    #[must_use]
    pub fn resolve(&self, name: &str) -> String {
        if !is_name(name) {
            return name.to_owned();
        }
        let full = self.expand(name);
        let rule = self.rules.iter().find(|rule| rule.from == full);
        rule.map_or(full, |rule| rule.to.clone())
    }

    fn expand(&self, name: &str) -> String {
        match name.strip_prefix('~') {
            Some(rest) => format!("{}{rest}", self.node()),
            None if name.starts_with('/') => name.to_owned(),
            None => format!("{}/{name}", self.namespace),
        }
    }
}

/// Whether a topic or service may be called so before it is expanded.
fn is_name(text: &str) -> bool {
    text == "~" || is_topic(text)
}

/// A rule in parts: the node that it is meant for, what it is for, what comes instead.
fn split(text: &str) -> Result<(Option<&str>, &str, &str), String> {
    let form = "FROM:=TO, as in image:=/camera/image_raw";
    let (left, to) =
        text.split_once(":=").ok_or_else(|| format!("expected {form}, found {text:?}"))?;
    if left.contains("://") {
        return Err(format!(
            "expected {form} with no rostopic:// or rosservice://, found {text:?}"
        ));
    }
    let (node, from) = match left.split_once(':') {
        Some((node, from)) => (Some(node), from),
        None => (None, left),
    };
    let (is_right, expected) = match from {
        _ if node.is_some_and(|node| !is_token(node)) => (false, "the name of a node before the :"),
        from if NODE_RULES.contains(&from) => (is_token(to), "a node's name after the :="),
        NAMESPACE_RULE => {
            (to == "/" || (to.starts_with('/') && is_topic(to)), "a namespace such as /cell")
        }
        from => (is_name(from) && is_name(to), form),
    };
    if is_right {
        Ok((node, from, to))
    } else {
        Err(format!("expected {expected}, found {text:?}"))
    }
}

fn is_token(text: &str) -> bool {
    is_node(text) && !text.contains('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(node: &str, remaps: &[&str]) -> Names {
        let remaps: Vec<_> = remaps.iter().map(|rule| (*rule).to_owned()).collect();
        Names::new(node, &remaps).unwrap()
    }

    #[test]
    fn names_are_expanded_as_in_ros() {
        let root = names("owlet", &[]);
        assert_eq!((root.namespace(), root.name(), root.node().as_str()), ("/", "owlet", "/owlet"));
        for (name, in_root, in_cell) in [
            ("image", "/image", "/cell/a/image"),
            ("image/compressed", "/image/compressed", "/cell/a/image/compressed"),
            ("~/detections", "/owlet/detections", "/cell/a/owlet/detections"),
            ("~", "/owlet", "/cell/a/owlet"),
            ("/tf", "/tf", "/tf"),
            ("no name", "no name", "no name"),
        ] {
            assert_eq!(root.resolve(name), in_root);
            assert_eq!(names("cell/a/owlet", &[]).resolve(name), in_cell);
        }
    }

    #[test]
    fn the_first_rule_for_a_name_holds_however_it_is_written() {
        let cell = names(
            "cell/owlet",
            &[
                "image:=/camera/image_raw",
                "/cell/image:=/never",
                "other:~/detections:=/never",
                "owlet:~/detections:=found",
                "/tf:=tf",
            ],
        );
        assert_eq!(cell.resolve("image"), "/camera/image_raw");
        assert_eq!(cell.resolve("/cell/image"), "/camera/image_raw");
        assert_eq!(cell.resolve("/image"), "/image");
        assert_eq!(cell.resolve("~/detections"), "/cell/found");
        assert_eq!(cell.resolve("/tf"), "/cell/tf");
        assert_eq!(cell.resolve("image/compressed"), "/cell/image/compressed");
    }

    #[test]
    fn a_node_can_be_renamed_and_moved() {
        let moved = names("owlet", &["__node:=left", "__ns:=/cell/two", "left:image:=cam"]);
        assert_eq!(moved.node(), "/cell/two/left");
        assert_eq!(moved.resolve("image"), "/cell/two/cam");
        assert_eq!(names("cell/owlet", &["__ns:=/"]).node(), "/owlet");
        assert_eq!(names("owlet", &["other:__node:=left"]).node(), "/owlet");
    }

    #[test]
    fn every_rule_that_is_none_is_told() {
        let rules = [
            "image",
            "image:=",
            "a b:=c",
            "rostopic://a:=b",
            "__ns:=cell",
            "__node:=a/b",
            "a/b:c:=d",
        ];
        let problems = Names::new("9", &rules.map(str::to_owned)).unwrap_err();
        assert_eq!(problems.len(), 1 + rules.len(), "{problems:#?}");
        assert!(problems[0].starts_with("node: expected a name"), "{problems:#?}");
        assert!(problems[1].starts_with("ros_remap[0]: expected FROM:=TO"), "{problems:#?}");
        assert!(problems[5].contains("a namespace such as /cell"), "{problems:#?}");
    }
}
