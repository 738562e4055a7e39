//! `rosgraph_msgs/msg/Clock`: the time of a simulation or of a recording that is played.

use super::cdr::message;
use super::std_msgs::Time;

message! {
    /// `rosgraph_msgs/msg/Clock`.
    #[derive(Copy, Eq)]
    pub struct Clock = "rosgraph_msgs/msg/Clock" {
        /// What time it is.
        pub clock: Time,
    }
}
