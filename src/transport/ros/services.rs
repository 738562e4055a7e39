//! Services: a request as bytes, an answer as a message.

use std::marker::PhantomData;

use super::{Held, LinkError, RosLink, RosReply, RosType};
use crate::wire::{Message, Service};

/// Takes the answer to one request. Dropped, it leaves the client without an answer.
pub struct Answer<S> {
    reply: RosReply,
    service: PhantomData<fn() -> S>,
}

impl<S: Service> Answer<S> {
    /// Answers.
    pub fn send(self, response: &S::Response<'_>) {
        (self.reply)(response.encode());
    }
}

/// Serves `S` as `name`. Requests come as they are: each service says itself what it makes of one
/// that cannot be read.
///
/// # Errors
/// The name is refused.
pub fn serve<S: Service + 'static>(
    link: &dyn RosLink,
    name: &str,
    on_request: impl Fn(Vec<u8>, Answer<S>) + Send + Sync + 'static,
) -> Result<Held, LinkError> {
    let ros_type = RosType { name: S::TYPE, hash: S::TYPE_HASH };
    link.serve(
        name,
        ros_type,
        Box::new(move |request, reply| {
            on_request(request, Answer { reply, service: PhantomData });
        }),
    )
}
