//! The node as ROS 2 sees it, written once over [`RosLink`]: whatever carries the bytes, topics,
//! types, QoS and services are the same.

mod detect;
mod diagnostics;
mod images;
mod link;
pub mod memory;
mod names;
mod prompts;
mod services;
mod space;
mod teach;
mod topics;
mod transport;

pub use link::{
    Durability, Held, LinkError, PublisherSeen, Qos, Reliability, RosBytes, RosEndpoint, RosLink,
    RosPublisher, RosReply, RosType,
};
pub use names::Names;
pub use services::{Answer, serve};
pub use topics::{Out, ros_type};
pub use transport::{RosTransport, RosTransportOptions};
