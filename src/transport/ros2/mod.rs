//! A node of ROS 2 through rcl, so that it speaks whatever the sourced ROS 2 speaks
//! (`RMW_IMPLEMENTATION`). The only place that names r2r; built with the feature `ros2`.
//!
//! rcl reads the process's own command line: what stands behind `--ros-args` names, moves and
//! remaps this node as any other. [`Names`] follows the same rules, for saying what a topic is
//! called.

mod options;
mod services;
mod spin;
mod words;

use std::panic;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use r2r::{Context, Node, PublisherUntyped};

pub use options::{CheckedRos2, Ros2Options, Ros2Refused};

use self::spin::{Spinning, Turns};
use super::ros::{
    Held, LinkError, Names, PublisherSeen, RosBytes, RosEndpoint, RosLink, RosPublisher, RosReply,
    RosType,
};

/// One node in ROS 2, as rcl knows it.
pub struct Ros2Link {
    names: Names,
    node: Arc<Turns>,
    spinning: Spinning,
}

impl Ros2Link {
    /// Enters ROS 2.
    ///
    /// # Errors
    /// rcl's reason: a command line that it does not understand, no middleware.
    pub fn open(options: CheckedRos2) -> Result<Arc<Self>, LinkError> {
        let CheckedRos2 { node: asked, names } = options;
        let refused = |reason| LinkError::Open { node: names.node(), reason };
        // r2r panics where rcl refuses the command line.
        let context = panic::catch_unwind(Context::create)
            .map_err(|panic| refused(words::panic_message(&*panic)))?
            .map_err(|error| refused(words::reason(&error)))?;
        let (namespace, name) = asked.rsplit_once('/').unwrap_or(("", &asked));
        let node = Node::create(context, name, namespace)
            .map_err(|error| refused(words::reason(&error)))?;
        let full_name = node.fully_qualified_name().unwrap_or_default();
        if full_name != names.node() {
            return Err(refused(format!("rcl calls it {full_name}")));
        }
        let node = Arc::new(Turns::new(node));
        let spinning = Spinning::start(Arc::clone(&node))
            .map_err(|error| refused(format!("cannot start a thread: {error}")))?;
        Ok(Arc::new(Self { names, node, spinning }))
    }
}

impl RosLink for Ros2Link {
    fn node_name(&self) -> String {
        self.names.node()
    }

    fn resolve(&self, name: &str) -> String {
        self.names.resolve(name)
    }

    fn publisher(&self, endpoint: RosEndpoint<'_>) -> Result<Box<dyn RosPublisher>, LinkError> {
        let qos = words::to_r2r(endpoint.qos);
        let type_name = endpoint.ros_type.name;
        let publisher = self
            .node
            .take(|node| node.create_publisher_untyped(endpoint.topic, type_name, qos))
            .map_err(|reason| refused("publisher", endpoint.topic, type_name, reason))?;
        Ok(Box::new(Publisher {
            topic: self.resolve(endpoint.topic),
            publisher: Mutex::new(Some(publisher)),
            node: Arc::clone(&self.node),
        }))
    }

    fn subscribe(
        &self,
        endpoint: RosEndpoint<'_>,
        on_message: Box<dyn Fn(Box<dyn RosBytes>) + Send + Sync>,
    ) -> Result<Held, LinkError> {
        let qos = words::to_r2r(endpoint.qos);
        let type_name = endpoint.ros_type.name;
        let mut messages = self
            .node
            .take(|node| node.subscribe_raw(endpoint.topic, type_name, qos))
            .map_err(|reason| refused("subscription", endpoint.topic, type_name, reason))?;
        Ok(self.spinning.read(Box::new(move || {
            let message = messages.next().now_or_never().flatten()?;
            on_message(Box::new(message));
            Some(())
        })))
    }

    fn serve(
        &self,
        service: &str,
        ros_type: RosType,
        on_request: Box<dyn Fn(Vec<u8>, RosReply) + Send + Sync>,
    ) -> Result<Held, LinkError> {
        let refused = |reason| refused("service", service, ros_type.name, reason);
        let open = services::opener(ros_type.name).map_err(refused)?;
        let read = self.node.take(|node| open(node, service, on_request)).map_err(refused)?;
        Ok(self.spinning.read(read))
    }

    /// Between processes DDS sends a picture as thousands of datagrams, and one that is lost is the
    /// whole picture where nobody asks for it again, as camera topics are read.
    fn loses_large_messages(&self) -> Option<&'static str> {
        Some(
            "where it does send, its images may be too large for the receive buffers of DDS: see \
             \"Large images\" in ros/README.md",
        )
    }

    fn publishers_on(&self, topic: &str) -> Vec<PublisherSeen> {
        let topic = self.resolve(topic);
        match self.node.take(|node| node.get_publishers_info_by_topic(&topic, false)) {
            Ok(publishers) => publishers
                .into_iter()
                .map(|seen| {
                    let (namespace, name) = (&seen.node_namespace, &seen.node_name);
                    words::publisher_seen(namespace, name, seen.topic_type, &seen.qos_profile)
                })
                .collect(),
            Err(reason) => {
                tracing::debug!("who publishes on {topic}: {reason}");
                Vec::new()
            }
        }
    }

    fn has_ended(&self) -> bool {
        self.spinning.has_ended()
    }

    fn close(&self, patience: Duration) {
        if !self.spinning.stop(patience) {
            tracing::debug!("ros2 did not close within {patience:?}");
        }
    }
}

fn refused(what: &'static str, name: &str, type_name: &'static str, reason: String) -> LinkError {
    LinkError::Endpoint { what, name: name.to_owned(), type_name, reason }
}

struct Publisher {
    topic: String,
    /// Empty only while it is dropped. r2r's own may be sent to another thread, not shared.
    publisher: Mutex<Option<PublisherUntyped>>,
    node: Arc<Turns>,
}

impl Publisher {
    fn with<T>(&self, act: impl FnOnce(&PublisherUntyped) -> r2r::Result<T>) -> Result<T, String> {
        let publisher = self.publisher.lock().unwrap_or_else(PoisonError::into_inner);
        let publisher = publisher.as_ref().ok_or("it is closed")?;
        act(publisher).map_err(|error| words::reason(&error))
    }
}

impl RosPublisher for Publisher {
    fn publish(&self, cdr: &[u8]) -> Result<(), LinkError> {
        self.with(|publisher| publisher.publish_raw(cdr))
            .map_err(|reason| LinkError::Publish { topic: self.topic.clone(), reason })
    }

    fn subscribers(&self) -> usize {
        self.with(PublisherUntyped::get_inter_process_subscription_count).unwrap_or(0)
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        let publisher = self.publisher.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(publisher) = publisher {
            // Where the node has left already, its publishers are gone with it.
            let _ = self.node.take(|node| {
                node.destroy_publisher_untyped(publisher);
                Ok(())
            });
        }
    }
}
