//! A managed node as ROS 2 knows it, written once over [`RosLink`]: the services of its lifecycle
//! and of its parameters, what is told of both, and the time of a simulation.

mod lifecycle;
mod parameters;
mod time;

use std::sync::Arc;

use super::ManagedNode;
use crate::transport::ros::{Held, LinkError, RosLink};

/// The services of a managed node; they are served for as long as it is held.
pub struct Management {
    _services: Vec<Held>,
}

/// Serves the lifecycle and the parameters of a node, tells what becomes of them, and follows
/// `/clock` where the node is to:
///
/// | name | type |
/// | --- | --- |
/// | `~/change_state`, `~/get_state` | `lifecycle_msgs/srv/ChangeState`, `GetState` |
/// | `~/get_available_states` | `lifecycle_msgs/srv/GetAvailableStates` |
/// | `~/get_available_transitions`, `~/get_transition_graph` | `lifecycle_msgs/srv/GetAvailableTransitions` |
/// | `~/transition_event`, out | `lifecycle_msgs/msg/TransitionEvent` |
/// | `~/list_parameters`, `~/describe_parameters` | `rcl_interfaces/srv/ListParameters`, `DescribeParameters` |
/// | `~/get_parameters`, `~/get_parameter_types` | `rcl_interfaces/srv/GetParameters`, `GetParameterTypes` |
/// | `~/set_parameters`, `~/set_parameters_atomically` | `rcl_interfaces/srv/SetParameters`, `SetParametersAtomically` |
/// | `/parameter_events`, out | `rcl_interfaces/msg/ParameterEvent` |
/// | `/clock`, in, with `use_sim_time` | `rosgraph_msgs/msg/Clock` |
///
/// # Errors
/// A topic or service that the link refuses.
pub fn manage(link: &Arc<dyn RosLink>, node: &Arc<ManagedNode>) -> Result<Management, LinkError> {
    time::follow(link, node)?;
    let mut services = lifecycle::serve_lifecycle(&**link, node)?;
    services.extend(parameters::serve_parameters(&**link, node)?);
    Ok(Management { _services: services })
}

#[cfg(test)]
mod mangled;
#[cfg(test)]
mod stage;
#[cfg(test)]
mod tests;
