//! Services: a message that asks and one that answers.

use super::Message;

/// A service type.
pub trait Service {
    /// Full name of the ROS 2 type, such as `rcl_interfaces/srv/GetParameters`.
    const TYPE: &'static str;

    /// Its hash (REP 2016), over the request, the response and the event made of both; a test
    /// computes it from the `.srv` file.
    const TYPE_HASH: &'static str;

    /// What is asked.
    type Request<'a>: Message<'a>;

    /// What is answered.
    type Response<'a>: Message<'a>;
}
