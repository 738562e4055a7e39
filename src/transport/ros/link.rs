//! What a way into ROS 2 has to offer: serialized messages in and out, services, and who else is
//! there. Names may be relative, private (`~/detections`) or absolute; the link expands and remaps
//! them as ROS 2 does.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use super::super::live::Connections;

/// A message or service type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RosType {
    /// As ROS 2 writes it: `sensor_msgs/msg/Image`, `lifecycle_msgs/srv/GetState`.
    pub name: &'static str,
    /// Its hash (REP 2016): `RIHS01_` and 64 hexadecimal digits.
    pub hash: &'static str,
}

/// Whether a message that is lost is sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reliability {
    /// It is.
    Reliable,
    /// It is not.
    BestEffort,
}

/// Whether who comes late gets what was said before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// They get the last messages, as many as the depth says.
    TransientLocal,
    /// They do not.
    Volatile,
}

/// Quality of service: the last `depth` messages are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Qos {
    /// Whether a message that is lost is sent again.
    pub reliability: Reliability,
    /// Whether who comes late gets what was said before.
    pub durability: Durability,
    /// Messages that are kept for a slow or late reader.
    pub depth: usize,
}

impl Qos {
    /// Streams of sensors: the newest is worth more than all (REP 2003).
    pub const SENSOR_DATA: Self =
        Self { reliability: Reliability::BestEffort, durability: Durability::Volatile, depth: 5 };
    /// Results.
    pub const RELIABLE: Self =
        Self { reliability: Reliability::Reliable, durability: Durability::Volatile, depth: 10 };
    /// What holds until it is said anew.
    pub const LATCHED: Self = Self {
        reliability: Reliability::Reliable,
        durability: Durability::TransientLocal,
        depth: 1,
    };
}

impl fmt::Display for Qos {
    /// As the tools of ROS name it, without the depth, which no reader depends on.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reliability = match self.reliability {
            Reliability::Reliable => "reliable",
            Reliability::BestEffort => "best effort",
        };
        let durability = match self.durability {
            Durability::TransientLocal => "transient local",
            Durability::Volatile => "volatile",
        };
        write!(f, "{reliability}, {durability}")
    }
}

/// A topic with what travels on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RosEndpoint<'a> {
    /// Its name, before remapping.
    pub topic: &'a str,
    /// The type of its messages.
    pub ros_type: RosType,
    /// How it is carried.
    pub qos: Qos,
}

/// Somebody who publishes on a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublisherSeen {
    /// Fully qualified name of the node.
    pub node: String,
    /// Type of its messages, `sensor_msgs/msg/Image`.
    pub type_name: String,
    /// How it publishes.
    pub qos: Qos,
}

/// A serialized message (CDR, with its four bytes of header) that was received. It may be kept and
/// read on other threads.
pub trait RosBytes: Send + Sync {
    /// The bytes; copied only where they did not arrive in one piece.
    fn bytes(&self) -> Cow<'_, [u8]>;
}

impl RosBytes for Vec<u8> {
    fn bytes(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(self)
    }
}

/// Takes the serialized answer to a request, once, on any thread. Dropped, it leaves the client
/// without an answer.
pub type RosReply = Box<dyn FnOnce(Vec<u8>) + Send>;

/// Something that goes on for as long as it is held: a subscription, a service.
pub type Held = Box<dyn Send + Sync>;

/// Why a link cannot do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// No connection.
    #[error("cannot enter ROS 2 as {node}: {reason}")]
    Open {
        /// The node's name.
        node: String,
        /// The link's own words.
        reason: String,
    },
    /// A topic or service was refused.
    #[error("{what} {name} ({type_name}): {reason}")]
    Endpoint {
        /// "publisher", "subscription" or "service".
        what: &'static str,
        /// Its name, before remapping.
        name: String,
        /// Its type.
        type_name: &'static str,
        /// The link's own words.
        reason: String,
    },
    /// A message did not go out.
    #[error("cannot publish on {topic}: {reason}")]
    Publish {
        /// The topic.
        topic: String,
        /// The link's own words.
        reason: String,
    },
}

/// One node in ROS 2. Callbacks are called on the link's threads and never wait for work to be
/// done.
pub trait RosLink: Send + Sync {
    /// The node's fully qualified name: `/robot/owlet`.
    fn node_name(&self) -> String;

    /// The full name that a topic or service gets: expanded and remapped.
    fn resolve(&self, name: &str) -> String;

    /// Opens a topic for writing.
    ///
    /// # Errors
    /// The name or type is refused.
    fn publisher(&self, endpoint: RosEndpoint<'_>) -> Result<Box<dyn RosPublisher>, LinkError>;

    /// Hands every message of a topic to `on_message` until the answer is dropped.
    ///
    /// # Errors
    /// The name or type is refused.
    fn subscribe(
        &self,
        endpoint: RosEndpoint<'_>,
        on_message: Box<dyn Fn(Box<dyn RosBytes>) + Send + Sync>,
    ) -> Result<Held, LinkError>;

    /// Hands every request (CDR) to `on_request` until the answer is dropped.
    ///
    /// # Errors
    /// The name or type is refused.
    fn serve(
        &self,
        service: &str,
        ros_type: RosType,
        on_request: Box<dyn Fn(Vec<u8>, RosReply) + Send + Sync>,
    ) -> Result<Held, LinkError>;

    /// Who publishes on a topic (a name as in [`RosEndpoint::topic`]), with the QoS they offer.
    fn publishers_on(&self, topic: &str) -> Vec<PublisherSeen>;

    /// What may keep large messages from coming that somebody sends, as a sentence; `None` where
    /// nothing is known to.
    fn loses_large_messages(&self) -> Option<&'static str> {
        None
    }

    /// Who the node is connected to; `None` where that is nothing the link can tell.
    fn connections(&self) -> Option<Connections> {
        None
    }

    /// Whether it hears nothing any more, for ever: something of it broke, and the log says what.
    fn has_ended(&self) -> bool {
        false
    }

    /// Leaves ROS 2, so that everybody knows, taking no longer than `patience`.
    fn close(&self, patience: Duration);
}

/// A topic that is open for writing.
pub trait RosPublisher: Send + Sync {
    /// Sends one serialized message (CDR, with its four bytes of header).
    ///
    /// # Errors
    /// The link's reason.
    fn publish(&self, cdr: &[u8]) -> Result<(), LinkError>;

    /// How many read the topic.
    fn subscribers(&self) -> usize;
}
