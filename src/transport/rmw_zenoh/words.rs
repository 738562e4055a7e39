//! Types and quality of service: Owlet's words and hiroz's.

use std::num::NonZeroUsize;

use hiroz::dynamic::ros_type_name_from_dds;
use hiroz::entity::{EndpointEntity, TypeHash, TypeInfo};
use hiroz::qos::{QosDurability, QosHistory, QosProfile, QosReliability};

use super::super::ros::{Durability, PublisherSeen, Qos, Reliability, RosType};

/// The type as it stands in keys: `sensor_msgs::msg::dds_::Image_`.
///
/// # Errors
/// A name that is not `package/kind/Name`, or a hash of another form, in words.
pub(super) fn type_info(ros_type: RosType) -> Result<TypeInfo, String> {
    let RosType { name, hash } = ros_type;
    let (space, short) = name
        .rsplit_once('/')
        .filter(|(space, _)| space.contains('/'))
        .ok_or_else(|| format!("expected a type such as sensor_msgs/msg/Image, found {name:?}"))?;
    let known = TypeHash::from_rihs_string(hash)
        .ok_or_else(|| format!("expected RIHS01_ and 64 digits as its hash, found {hash:?}"))?;
    Ok(TypeInfo::new(&format!("{}::dds_::{short}_", space.replace('/', "::")), known))
}

pub(super) fn to_hiroz(qos: Qos) -> QosProfile {
    QosProfile {
        reliability: match qos.reliability {
            Reliability::Reliable => QosReliability::Reliable,
            Reliability::BestEffort => QosReliability::BestEffort,
        },
        durability: match qos.durability {
            Durability::TransientLocal => QosDurability::TransientLocal,
            Durability::Volatile => QosDurability::Volatile,
        },
        history: QosHistory::KeepLast(NonZeroUsize::new(qos.depth).unwrap_or(NonZeroUsize::MIN)),
        ..QosProfile::default()
    }
}

/// A publisher of the graph. hiroz does not give names to the words of its graph, so they are
/// compared with its defaults: reliable, volatile. "Keep all" is a depth of 0.
pub(super) fn publisher_seen(endpoint: &EndpointEntity) -> PublisherSeen {
    let default = QosProfile::default().to_protocol_qos();
    let node = endpoint.node.as_ref();
    PublisherSeen {
        node: node.map_or_else(String::new, |node| format!("{}/{}", node.namespace, node.name)),
        type_name: endpoint
            .type_info
            .as_ref()
            .map_or_else(String::new, |info| ros_type_name_from_dds(&info.name)),
        qos: Qos {
            reliability: match endpoint.qos.reliability == default.reliability {
                true => Reliability::Reliable,
                false => Reliability::BestEffort,
            },
            durability: match endpoint.qos.durability == default.durability {
                true => Durability::Volatile,
                false => Durability::TransientLocal,
            },
            depth: endpoint.qos.history.depth(),
        },
    }
}

#[cfg(test)]
mod tests {
    use hiroz::entity::EndpointKind;

    use super::*;

    const IMAGE: RosType = RosType {
        name: "sensor_msgs/msg/Image",
        hash: "RIHS01_d31d41a9a4c4bc8eae9be757b0beed306564f7526c88ea6a4588fb9582527d47",
    };

    #[test]
    fn types_have_their_name_of_the_wire() {
        let info = type_info(IMAGE).unwrap();
        assert_eq!(info.name, "sensor_msgs::msg::dds_::Image_");
        assert_eq!(info.hash.to_rihs_string(), IMAGE.hash);
        for wrong in [RosType { name: "Image", ..IMAGE }, RosType { hash: "RIHS01_d3", ..IMAGE }] {
            assert!(type_info(wrong).unwrap_err().starts_with("expected"));
        }
    }

    #[test]
    fn quality_of_service_comes_back_from_the_graph() {
        for qos in [Qos::SENSOR_DATA, Qos::RELIABLE, Qos::LATCHED] {
            let endpoint = EndpointEntity {
                id: 1,
                node: None,
                kind: EndpointKind::Publisher,
                topic: "/image".to_owned(),
                type_info: type_info(IMAGE).ok(),
                qos: to_hiroz(qos).to_protocol_qos(),
            };
            let seen = publisher_seen(&endpoint);
            assert_eq!((seen.type_name.as_str(), seen.qos), (IMAGE.name, qos));
        }
    }
}
