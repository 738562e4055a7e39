//! The node as a client in ROS sees it, over a link in memory.

mod lifecycle;
mod parameters;
mod prompts;

use super::stage::Stage;
use crate::config::Config;
use crate::types::Prompt;
use crate::wire::Service;
use crate::wire::lifecycle_msgs::ChangeState;

fn with_a_cat(config: &mut Config) {
    config.prompts = vec![Prompt::from_text("cat")];
}

#[test]
fn the_services_have_the_types_of_ros() {
    // What a client asks for by another type is not served.
    let stage = Stage::new(|_| ());
    let wrong = crate::transport::ros::RosType { name: ChangeState::TYPE, hash: "RIHS01_00" };
    assert!(stage.client.call("/cell/owlet/change_state", wrong, Vec::new()).is_none());
}
