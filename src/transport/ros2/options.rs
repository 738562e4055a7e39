//! What the link is opened with.

use super::super::ros::Names;
use crate::config::RosArgs;

/// What the link is opened with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ros2Options {
    /// Name of the node, with its namespace: `cell/owlet`. Rules may still change it.
    pub node: String,
    /// Remapping rules. rcl reads them on the command line by itself, and nowhere else: here they
    /// are for saying what a topic is called, and each has to stand there.
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
    /// Checks all of them, also against the command line of the process.
    ///
    /// # Errors
    /// Every problem, not only the first.
    pub fn check(&self) -> Result<CheckedRos2, Ros2Refused> {
        self.check_with(&std::env::args().collect::<Vec<_>>())
    }

    fn check_with(&self, command_line: &[String]) -> Result<CheckedRos2, Ros2Refused> {
        let known = rules_of(command_line);
        let mut problems = Vec::new();
        for (index, rule) in self.remap.iter().enumerate() {
            if !known.contains(rule) {
                problems.push(format!(
                    "ros_remap[{index}]: expected it on the command line, where rcl reads rules: \
                     `--ros-args -r {rule}`"
                ));
            }
        }
        match Names::new(&self.node, &self.remap) {
            Ok(names) if problems.is_empty() => Ok(CheckedRos2 { node: self.node.clone(), names }),
            Ok(_) => Err(Ros2Refused { problems }),
            Err(more) => {
                problems.extend(more);
                Err(Ros2Refused { problems })
            }
        }
    }
}

/// The remapping rules of a command line: in every part from `--ros-args` to `--` or the end.
fn rules_of(command_line: &[String]) -> Vec<String> {
    let parts = command_line.split(|word| word == "--");
    let words = parts.filter_map(|part| {
        let start = part.iter().position(|word| word == "--ros-args")?;
        Some(&part[start..])
    });
    // Whoever reads the command line has said what is wrong with it.
    RosArgs::parse(words.flatten().map(String::as_str)).unwrap_or_default().remaps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn rules_stand_behind_ros_args() {
        let line = words(
            "owlet run -r a:=b --ros-args -r image:=/camera/image --remap __node:=left -- -r c:=d \
             --ros-args -r e:=f",
        );
        let rules = words("image:=/camera/image __node:=left e:=f");
        assert_eq!(rules_of(&line), rules);
        let options = Ros2Options { node: "owlet".to_owned(), remap: rules };
        let Ok(checked) = options.check_with(&line) else { panic!("nothing is wrong") };
        assert_eq!(checked.names.node(), "/left");
        assert_eq!(checked.names.resolve("image"), "/camera/image");
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        let options = Ros2Options { node: "9".to_owned(), remap: words("image:=/camera/image") };
        let Err(refused) = options.check_with(&words("owlet run")) else { panic!("refused") };
        assert_eq!(refused.problems.len(), 2, "{refused}");
        assert!(refused.problems[0].contains("--ros-args -r image:=/camera/image"), "{refused}");
    }
}
