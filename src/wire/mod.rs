//! Floor 1: message structs and CDR; no I/O.
//!
//! The messages that Owlet reads and writes, laid out as ROS 2 has them (all but
//! `vision_msgs` are the same from humble on; that is 4.x, as in humble and jazzy). Decoding borrows: strings and pixels stay in the message's bytes.
//!
//! The encoding is plain CDR version 1 with a four-byte encapsulation header, which every ROS 2
//! middleware puts on the wire and rosbag2 keeps on disk. It is written here and not taken from
//! the crate `cdr-encoding`, because that one cannot say in which field or at which byte a message
//! is broken, copies every string, and takes strings whose terminating NUL is missing.

pub mod cdr;
pub mod definitions;
pub mod diagnostic_msgs;
pub mod geometry_msgs;
#[cfg(test)]
mod interfaces;
pub mod lifecycle_msgs;
pub mod owlet_msgs;
pub mod rcl_interfaces;
pub mod rosgraph_msgs;
pub mod sensor_msgs;
pub mod std_msgs;
pub mod tf2_msgs;
pub mod vision_msgs;

pub use cdr::{DecodeError, Message, Service};
pub use definitions::{MessageDefinition, definition_of};
