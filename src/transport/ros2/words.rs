//! Quality of service and errors: Owlet's words and r2r's.

use std::any::Any;

use r2r::QosProfile;
use r2r::qos::{DurabilityPolicy, HistoryPolicy, ReliabilityPolicy};

use super::super::ros::{Durability, PublisherSeen, Qos, Reliability};

pub(super) fn to_r2r(qos: Qos) -> QosProfile {
    QosProfile {
        history: HistoryPolicy::KeepLast,
        depth: qos.depth.max(1),
        reliability: match qos.reliability {
            Reliability::Reliable => ReliabilityPolicy::Reliable,
            Reliability::BestEffort => ReliabilityPolicy::BestEffort,
        },
        durability: match qos.durability {
            Durability::TransientLocal => DurabilityPolicy::TransientLocal,
            Durability::Volatile => DurabilityPolicy::Volatile,
        },
        ..QosProfile::default()
    }
}

/// What a publisher offers, as the graph tells it. "Keep all" is a depth of 0; so is a depth that
/// the middleware does not tell (DDS does not).
fn to_owlet(qos: &QosProfile) -> Qos {
    Qos {
        reliability: match qos.reliability {
            ReliabilityPolicy::BestEffort => Reliability::BestEffort,
            _ => Reliability::Reliable,
        },
        durability: match qos.durability {
            DurabilityPolicy::TransientLocal => Durability::TransientLocal,
            _ => Durability::Volatile,
        },
        depth: match qos.history {
            HistoryPolicy::KeepAll => 0,
            _ => qos.depth,
        },
    }
}

/// A publisher of the graph. r2r does not export the struct that it is told in.
pub(super) fn publisher_seen(
    namespace: &str,
    name: &str,
    type_name: String,
    qos: &QosProfile,
) -> PublisherSeen {
    let node = format!("{}/{name}", namespace.trim_end_matches('/'));
    PublisherSeen { node, type_name, qos: to_owlet(qos) }
}

/// r2r's error in words. rcl itself has said more on stderr.
pub(super) fn reason(error: &r2r::Error) -> String {
    match error {
        r2r::Error::InvalidMessageType { msgtype } => {
            let package = msgtype.split('/').next().unwrap_or_default();
            format!(
                "this program was built without it: build it again where {package} is sourced, \
                 and named in IDL_PACKAGE_FILTER"
            )
        }
        error => error.to_string(),
    }
}

/// What somebody said when they panicked.
pub(super) fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it panicked").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quality_of_service_comes_back_as_it_was() {
        for qos in [Qos::SENSOR_DATA, Qos::RELIABLE, Qos::LATCHED] {
            assert_eq!(to_owlet(&to_r2r(qos)), qos);
        }
        assert_eq!(to_owlet(&QosProfile::default().keep_all()).depth, 0);
    }

    #[test]
    fn nodes_have_their_full_names() {
        let seen = |namespace| {
            let type_name = "sensor_msgs/msg/Image".to_owned();
            publisher_seen(namespace, "camera", type_name, &QosProfile::sensor_data())
        };
        assert_eq!(seen("/").node, "/camera");
        assert_eq!(seen("/cell/left").node, "/cell/left/camera");
        assert_eq!(seen("/").qos.reliability, Reliability::BestEffort);
    }
}
