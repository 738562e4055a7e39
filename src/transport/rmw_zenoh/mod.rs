//! A node of ROS 2 over the protocol of rmw_zenoh, with no ROS installed: nodes of rmw_zenoh_cpp
//! see it as one of theirs. The only place that names hiroz; zenoh is named for the samples and
//! queries that hiroz hands over.
//!
//! Topics are zenoh keys (`<domain>/<topic>/<type>/<hash>`), every message carries an attachment
//! (sequence number, stamp, who sent it), and who is there is told by liveliness tokens
//! (`@ros2_lv/...`). A type with another hash is another key: who was built with another version of
//! a message is not heard.

mod options;
mod words;

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use hiroz::Builder;
use hiroz::attachment::Attachment;
use hiroz::context::{ZContext, ZContextBuilder};
use hiroz::dynamic::{DynPub, DynamicMessage};
use hiroz::entity::{EndpointKind, entity_get_endpoint};
use hiroz::graph::Graph;
use hiroz::msg::ZService;
use hiroz::node::ZNode;
use hiroz::queue::BoundedQueue;
use zenoh::Wait;
use zenoh::bytes::ZBytes;
use zenoh::query::Query;
use zenoh::sample::Sample;

pub use options::{CheckedRmwZenoh, RmwZenohOptions, RmwZenohRefused, SharedMemory};

use super::closing;
use super::live::Connections;
use super::ros::{
    Held, LinkError, Names, PublisherSeen, RosBytes, RosEndpoint, RosLink, RosPublisher, RosReply,
    RosType,
};

/// A node in the graph of rmw_zenoh. Dropping it takes the node out of the graph.
pub struct RmwZenohLink {
    names: Names,
    context: ZContext,
    node: ZNode,
    looks_at: String,
}

impl RmwZenohLink {
    /// Enters the graph. A router that is not there is waited for in the background, unless the
    /// configuration says otherwise.
    ///
    /// # Errors
    /// Whatever keeps zenoh from opening a session: an address that is taken, a router that a
    /// client cannot reach.
    pub fn open(options: CheckedRmwZenoh) -> Result<Arc<Self>, LinkError> {
        let CheckedRmwZenoh { names, domain_id, config, looks_at } = options;
        let refused =
            |error: zenoh::Error| LinkError::Open { node: names.node(), reason: error.to_string() };
        let context = ZContextBuilder::default()
            .with_zenoh_config(config)
            .with_domain_id(domain_id as usize)
            .build()
            .map_err(refused)?;
        let key = (names.namespace().trim_end_matches('/').to_owned(), names.name().to_owned());
        if context.graph().node_exists(key) {
            let name = names.node();
            tracing::warn!("{name}: a node of this name is there already; give this one another");
        }
        // Parameters are served by whoever has them.
        let node = context
            .create_node(names.name())
            .with_namespace(names.namespace())
            .without_parameters()
            .build()
            .map_err(refused)?;
        Ok(Arc::new(Self { names, context, node, looks_at }))
    }

    /// Where a router is looked for, as zenoh's configuration has it.
    #[must_use]
    pub fn looks_at(&self) -> &str {
        &self.looks_at
    }
}

impl RosLink for RmwZenohLink {
    fn node_name(&self) -> String {
        self.names.node()
    }

    fn resolve(&self, name: &str) -> String {
        self.names.resolve(name)
    }

    fn publisher(&self, endpoint: RosEndpoint<'_>) -> Result<Box<dyn RosPublisher>, LinkError> {
        let refused = |reason| refused("publisher", endpoint.topic, endpoint.ros_type, reason);
        let topic = self.names.resolve(endpoint.topic);
        let info = words::type_info(endpoint.ros_type).map_err(refused)?;
        // Messages come serialized: the type that hiroz wants for them is never made.
        let publisher = self
            .node
            .create_pub_impl::<DynamicMessage>(&topic, Some(info))
            .with_qos(words::to_hiroz(endpoint.qos))
            .build()
            .map_err(|error| refused(error.to_string()))?;
        let graph = Arc::clone(self.node.graph());
        Ok(Box::new(Publisher { topic, publisher, graph }))
    }

    fn subscribe(
        &self,
        endpoint: RosEndpoint<'_>,
        on_message: Box<dyn Fn(Box<dyn RosBytes>) + Send + Sync>,
    ) -> Result<Held, LinkError> {
        let refused = |reason| refused("subscription", endpoint.topic, endpoint.ros_type, reason);
        let topic = self.names.resolve(endpoint.topic);
        let info = words::type_info(endpoint.ros_type).map_err(refused)?;
        // hiroz puts a sample into its queue and then calls the notifier, on zenoh's own thread:
        // it is taken out there and then, so that nothing waits and nothing is copied.
        let queue: Arc<OnceLock<Arc<BoundedQueue<Sample>>>> = Arc::default();
        let on_message = Arc::new(on_message);
        let (its_queue, its_on_message) = (Arc::clone(&queue), Arc::clone(&on_message));
        let subscription = self
            .node
            .create_sub_impl::<DynamicMessage>(&topic, Some(info))
            .with_qos(words::to_hiroz(endpoint.qos))
            .build_with_notifier(move || {
                if let Some(queue) = its_queue.get() {
                    drain(queue, &**its_on_message);
                }
            })
            .map_err(|error| refused(error.to_string()))?;
        if let Some(filled) = &subscription.queue {
            let filled = queue.get_or_init(|| Arc::clone(filled));
            // What came before the notifier knew of the queue.
            drain(filled, &**on_message);
        }
        Ok(Box::new(subscription))
    }

    fn serve(
        &self,
        service: &str,
        ros_type: RosType,
        on_request: Box<dyn Fn(Vec<u8>, RosReply) + Send + Sync>,
    ) -> Result<Held, LinkError> {
        let refused = |reason| refused("service", service, ros_type, reason);
        let name = self.names.resolve(service);
        let info = words::type_info(ros_type).map_err(refused)?;
        let server = self
            .node
            .create_service_impl::<Serialized>(&name, Some(info))
            .build_with_callback(move |query| hand_over(query, &*on_request))
            .map_err(|error| refused(error.to_string()))?;
        Ok(Box::new(server))
    }

    fn publishers_on(&self, topic: &str) -> Vec<PublisherSeen> {
        let entities =
            self.node.graph().get_entities_by_topic(EndpointKind::Publisher, self.resolve(topic));
        let endpoints = entities.iter().filter_map(|entity| entity_get_endpoint(entity));
        endpoints.map(words::publisher_seen).collect()
    }

    fn connections(&self) -> Option<Connections> {
        let info = self.node.session().info();
        Some(Connections {
            routers: info.routers_zid().wait().count(),
            peers: info.peers_zid().wait().count(),
        })
    }

    fn close(&self, patience: Duration) {
        let context = self.context.clone();
        closing::within(patience, "rmw_zenoh", move || context.shutdown());
    }
}

fn refused(what: &'static str, name: &str, ros_type: RosType, reason: String) -> LinkError {
    LinkError::Endpoint { what, name: name.to_owned(), type_name: ros_type.name, reason }
}

fn drain(queue: &BoundedQueue<Sample>, on_message: &(dyn Fn(Box<dyn RosBytes>) + Send + Sync)) {
    while let Some(sample) = queue.try_recv() {
        on_message(Box::new(Received(sample.payload().clone())));
    }
}

/// A message in zenoh's own buffers.
struct Received(ZBytes);

impl RosBytes for Received {
    fn bytes(&self) -> Cow<'_, [u8]> {
        self.0.to_bytes()
    }
}

struct Publisher {
    topic: String,
    publisher: DynPub,
    graph: Arc<Graph>,
}

impl RosPublisher for Publisher {
    fn publish(&self, cdr: &[u8]) -> Result<(), LinkError> {
        self.publisher.publish_serialized(cdr).map_err(|error| LinkError::Publish {
            topic: self.topic.clone(),
            reason: error.to_string(),
        })
    }

    fn subscribers(&self) -> usize {
        self.graph.count(EndpointKind::Subscription, &self.topic)
    }
}

/// A service whose requests and responses stay serialized.
struct Serialized;

impl ZService for Serialized {
    type Request = DynamicMessage;
    type Response = DynamicMessage;
}

/// Hands a request over with what answers it: the answer carries the client's own sequence number
/// and id, by which it knows it.
fn hand_over(query: Query, on_request: &(dyn Fn(Vec<u8>, RosReply) + Send + Sync)) {
    let asked = query.attachment().map(Attachment::try_from);
    let Some(Ok(asked)) = asked else {
        let reason = "expected an attachment with sequence number, stamp and id, as rmw_zenoh has";
        tracing::debug!("{}: {reason}", query.key_expr());
        log(query.reply_err(reason).wait());
        return;
    };
    let request = query.payload().map(|payload| payload.to_bytes().into_owned());
    let reply = move |cdr: Vec<u8>| {
        let attachment = Attachment::new(asked.sequence_number, asked.source_gid);
        log(query.reply(query.key_expr(), cdr).attachment(attachment).wait());
    };
    on_request(request.unwrap_or_default(), Box::new(reply));
}

fn log(sent: zenoh::Result<()>) {
    if let Err(error) = sent {
        tracing::debug!("rmw_zenoh: an answer was not sent: {error}");
    }
}
