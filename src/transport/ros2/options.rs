//! What the link is opened with.

use super::super::ros::Names;

/// What the link is opened with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ros2Options {
    /// Name of the node, with its namespace: `cell/owlet`. Rules may still change it.
    pub node: String,
    /// The remapping rules of the command line. rcl reads them there by itself, and nowhere else:
    /// here they are for saying what a topic is called.
    pub remap: Vec<String>,
}

/// Why options were refused.
#[derive(Debug, thiserror::Error)]
#[error("ros2: {}", .problems.join("\nros2: "))]
pub struct Ros2Refused {
    /// Each with the name of its parameter, what was expected and what was found.
    pub problems: Vec<String>,
}

/// Options that were checked.
pub struct CheckedRos2 {
    /// The node's name before any rule.
    pub(super) node: String,
    pub(super) names: Names,
}

impl Ros2Options {
    /// Checks all of them.
    ///
    /// # Errors
    /// Every problem, not only the first.
    pub fn check(&self) -> Result<CheckedRos2, Ros2Refused> {
        match Names::new(&self.node, &self.remap) {
            Ok(names) => Ok(CheckedRos2 { node: self.node.clone(), names }),
            Err(problems) => Err(Ros2Refused { problems }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        let options = Ros2Options { node: "9".to_owned(), remap: vec!["image".to_owned()] };
        let Err(refused) = options.check() else { panic!("refused") };
        assert_eq!(refused.problems.len(), 2, "{refused}");
        assert!(refused.to_string().contains("\nros2: "), "{refused}");
    }
}
