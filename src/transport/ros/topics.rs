//! Topics that are written.

use std::sync::atomic::{AtomicBool, Ordering};

use super::{LinkError, Qos, RosEndpoint, RosLink, RosPublisher, RosType};
use crate::wire::{Message, definition_of};

/// The type of messages that Owlet has a definition of.
///
/// # Panics
/// Where there is none, which is a mistake in this program.
#[must_use]
pub fn ros_type<'a, M: Message<'a>>() -> RosType {
    let definition = definition_of(M::TYPE).expect("every message that travels is defined");
    RosType { name: definition.message_type, hash: definition.type_hash }
}

/// A topic that is open for writing. What cannot be sent is told once, not for every message.
pub struct Out {
    topic: String,
    publisher: Box<dyn RosPublisher>,
    is_failing: AtomicBool,
}

impl Out {
    /// Opens it.
    ///
    /// # Errors
    /// The link refuses it.
    pub fn open<'a, M: Message<'a>>(
        link: &dyn RosLink,
        topic: &str,
        qos: Qos,
    ) -> Result<Self, LinkError> {
        let publisher = link.publisher(RosEndpoint { topic, ros_type: ros_type::<M>(), qos })?;
        Ok(Self { topic: link.resolve(topic), publisher, is_failing: AtomicBool::new(false) })
    }

    /// Its full name.
    pub(super) fn topic(&self) -> &str {
        &self.topic
    }

    pub(super) fn has_readers(&self) -> bool {
        self.publisher.subscribers() > 0
    }

    /// Sends one message.
    pub fn send<'a>(&self, message: &impl Message<'a>) {
        self.send_encoded(&message.encode());
    }

    /// A message that is serialized already.
    pub(super) fn send_encoded(&self, cdr: &[u8]) {
        match self.publisher.publish(cdr) {
            Ok(()) => self.is_failing.store(false, Ordering::Relaxed),
            Err(error) if self.is_failing.swap(true, Ordering::Relaxed) => {
                tracing::debug!("{error}");
            }
            Err(error) => tracing::warn!("{error}"),
        }
    }
}
