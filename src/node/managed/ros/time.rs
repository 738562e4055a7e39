//! `use_sim_time`: the time of a simulation, or of a recording that is played.

use std::sync::{Arc, Mutex, PoisonError};

use super::super::ManagedNode;
use crate::transport::live::NodeClock;
use crate::transport::ros::{
    Durability, Held, LinkError, Qos, Reliability, RosEndpoint, RosLink, ros_type,
};
use crate::wire::Message;
use crate::wire::rosgraph_msgs::Clock;

const TOPIC: &str = "/clock";
/// As rclcpp listens to it: only the newest counts.
const QOS: Qos =
    Qos { reliability: Reliability::BestEffort, durability: Durability::Volatile, depth: 1 };

/// Listens to `/clock` for as long as the parameter says so.
pub(super) fn follow(link: &Arc<dyn RosLink>, node: &Arc<ManagedNode>) -> Result<(), LinkError> {
    let follower = Follower {
        link: Arc::clone(link),
        clock: Arc::clone(node.clock()),
        subscription: Mutex::new(None),
    };
    follower.set(node.config().use_sim_time)?;
    node.on_parameters(Box::new(move |changed, config| {
        if changed.iter().any(|parameter| parameter.name == "use_sim_time")
            && let Err(error) = follower.set(config.use_sim_time)
        {
            tracing::warn!("{error}");
        }
    }));
    Ok(())
}

struct Follower {
    link: Arc<dyn RosLink>,
    clock: Arc<NodeClock>,
    subscription: Mutex<Option<Held>>,
}

impl Follower {
    fn set(&self, is_simulated: bool) -> Result<(), LinkError> {
        self.clock.simulate(is_simulated);
        let subscription = match is_simulated {
            true => Some(self.subscribe()?),
            false => None,
        };
        *self.subscription.lock().unwrap_or_else(PoisonError::into_inner) = subscription;
        Ok(())
    }

    fn subscribe(&self) -> Result<Held, LinkError> {
        let clock = Arc::clone(&self.clock);
        self.link.subscribe(
            RosEndpoint { topic: TOPIC, ros_type: ros_type::<Clock>(), qos: QOS },
            Box::new(move |message| match Clock::decode(&message.bytes()) {
                Ok(told) => clock.tell(told.clock.into()),
                Err(error) => tracing::warn!("{TOPIC}: {error}"),
            }),
        )
    }
}
