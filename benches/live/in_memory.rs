//! The node by itself, over a link that goes nowhere.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use owlet::transport::ros::{
    Held, LinkError, PublisherSeen, RosBytes, RosEndpoint, RosLink, RosPublisher, RosReply, RosType,
};

use super::{Arrival, PATIENCE, measure, start_over};

/// A link that goes nowhere: what arrives is handed in by the benchmark.
#[derive(Default)]
struct InMemory {
    subscribed: Mutex<HashMap<String, OnMessage>>,
    published: Mutex<HashMap<String, Sender<Arrival>>>,
}

type OnMessage = Arc<dyn Fn(Box<dyn RosBytes>) + Send + Sync>;

impl InMemory {
    fn watch(&self, topic: &str) -> Receiver<Arrival> {
        let (sender, receiver) = channel();
        lock(&self.published).insert(topic.to_owned(), sender);
        receiver
    }
}

impl RosLink for InMemory {
    fn node_name(&self) -> String {
        "/owlet".to_owned()
    }

    fn resolve(&self, name: &str) -> String {
        match name.strip_prefix('~') {
            Some(rest) => format!("/owlet{rest}"),
            None => format!("/{}", name.trim_start_matches('/')),
        }
    }

    fn publisher(&self, endpoint: RosEndpoint<'_>) -> Result<Box<dyn RosPublisher>, LinkError> {
        let sender = lock(&self.published).get(&self.resolve(endpoint.topic)).cloned();
        Ok(Box::new(Published(sender)))
    }

    fn subscribe(
        &self,
        endpoint: RosEndpoint<'_>,
        on_message: Box<dyn Fn(Box<dyn RosBytes>) + Send + Sync>,
    ) -> Result<Held, LinkError> {
        lock(&self.subscribed).insert(self.resolve(endpoint.topic), on_message.into());
        Ok(Box::new(()))
    }

    fn serve(
        &self,
        _service: &str,
        _ros_type: RosType,
        _on_request: Box<dyn Fn(Vec<u8>, RosReply) + Send + Sync>,
    ) -> Result<Held, LinkError> {
        Ok(Box::new(()))
    }

    fn publishers_on(&self, _topic: &str) -> Vec<PublisherSeen> {
        Vec::new()
    }

    fn close(&self, _patience: Duration) {}
}

struct Published(Option<Sender<Arrival>>);

impl RosPublisher for Published {
    fn publish(&self, cdr: &[u8]) -> Result<(), LinkError> {
        let sent = self.0.as_ref().map(|sender| sender.send((cdr.to_vec(), Instant::now())));
        // Nobody may be watching any more.
        drop(sent);
        Ok(())
    }

    fn subscribers(&self) -> usize {
        0
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A frame that is shared, as a link shares the buffers in which it came.
struct Shared(Arc<Vec<u8>>);

impl RosBytes for Shared {
    fn bytes(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.0)
    }
}

/// From the callback of the link to what the node publishes.
pub(super) fn run(frames: usize) {
    let link = Arc::new(InMemory::default());
    let answers = link.watch("/owlet/detections");
    let (node, _transport) = start_over(Arc::clone(&link) as Arc<dyn RosLink>);
    let on_image = lock(&link.subscribed).get("/image").cloned().expect("it waits for images");
    measure("owlet, from callback to publish", frames, &answers, |message| {
        on_image(Box::new(Shared(Arc::clone(message))));
    });
    node.end(PATIENCE);
}
