//! The node in ROS 2.

use super::super::super::ros_name;
use super::super::{Changes, Parameter, ParameterKind};

pub(super) const ROS: &[Parameter] = &[
    Parameter {
        name: "cameras",
        description: "Names of the cameras in ROS 2: images of each come on `NAME/image`, what is \
                      found in them goes out on `~/NAME/detections`. Empty: one camera on `image`.",
        changes: Changes::AtStart,
        example: Some("[front, rear]"),
        kind: ParameterKind::TextList {
            item: "a relative ROS name",
            accepts: ros_name::is_node,
            get: |config| config.cameras.clone(),
            set: |config, cameras| config.cameras = cameras,
        },
    },
    Parameter {
        name: "ros_remap",
        description: "Remapping rules of ROS 2, for `rmw_zenoh`.",
        changes: Changes::AtStart,
        example: Some("[\"image:=/camera/image_raw\"]"),
        kind: ParameterKind::TextList {
            item: "a rule such as image:=/camera/image_raw",
            accepts: |text| text.contains(":="),
            get: |config| config.ros_remap.clone(),
            set: |config, rules| config.ros_remap = rules,
        },
    },
    Parameter {
        name: "ros_domain_id",
        description: "The ROS domain, for `rmw_zenoh`. -1: what ROS_DOMAIN_ID says, or else 0.",
        changes: Changes::AtStart,
        example: None,
        kind: ParameterKind::Integer {
            min: -1,
            max: 232,
            get: |config| config.ros_domain_id.map_or(-1, i64::from),
            set: |config, value| config.ros_domain_id = u32::try_from(value).ok(),
        },
    },
    Parameter {
        name: "ros_shm_mib",
        description: "Mebibytes of shared memory for large messages to nodes of the same machine, \
                      for `rmw_zenoh`; the sender of images has its own. 0: what `zenoh_config` \
                      says, or else none.",
        changes: Changes::AtStart,
        example: None,
        kind: ParameterKind::Integer {
            min: 0,
            max: 65_536,
            get: |config| config.ros_shm_mib as i64,
            set: |config, value| config.ros_shm_mib = value as usize,
        },
    },
    Parameter {
        name: "ros_shm_threshold_bytes",
        description: "Messages of at least so many bytes go through shared memory, where there is \
                      some.",
        changes: Changes::AtStart,
        example: None,
        kind: ParameterKind::Integer {
            min: 0,
            max: 1 << 30,
            get: |config| config.ros_shm_threshold_bytes as i64,
            set: |config, value| config.ros_shm_threshold_bytes = value as usize,
        },
    },
];
