//! The rules for names in ROS 2.

/// The longest topic name that every middleware can carry (`RMW_TOPIC_MAX_NAME_LENGTH`).
const MAX_BYTES: usize = 247;

/// Whether `name` can name a topic: absolute (`/a/b`), relative (`a/b`) or private (`~/a`), of
/// tokens of letters, digits and underscores that do not begin with a digit (the rules of
/// `rcl_validate_topic_name`, without substitutions).
#[must_use]
pub fn is_topic(name: &str) -> bool {
    let rest = name.strip_prefix("~/").or_else(|| name.strip_prefix('/')).unwrap_or(name);
    name.len() <= MAX_BYTES
        && rest.split('/').all(|token| {
            token.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                && token.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        })
}

/// Whether `name` can name a node, with or without its namespace (`owlet`, `cell/owlet`): tokens as
/// in [`is_topic`]. It is also a zenoh key.
#[must_use]
pub fn is_node(name: &str) -> bool {
    !name.starts_with(['/', '~']) && is_topic(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_and_refused_as_in_ros() {
        for name in ["/camera/image_raw", "image", "~/image", "/a/b/C9", "/_hidden"] {
            assert!(is_topic(name), "{name}");
        }
        let long = format!("/{}", "a".repeat(247));
        for name in
            ["", "/", "~", "//a", "/a/", "/a//b", "/9a", "/a b", "/a.b", "/{node}", "a/~/b", &long]
        {
            assert!(!is_topic(name), "{name}");
        }
    }

    #[test]
    fn nodes_are_named_without_a_slash_in_front() {
        for name in ["owlet", "cell/left_owlet"] {
            assert!(is_node(name), "{name}");
        }
        for name in ["", "/owlet", "~/owlet", "a b", "a//b", "owlet/", "a/*"] {
            assert!(!is_node(name), "{name}");
        }
    }
}
