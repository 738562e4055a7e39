//! The live node, whatever it speaks.

use super::super::super::ros_name;
use super::super::{Changes, Parameter, ParameterKind};

pub(super) const NODE: &[Parameter] = &[
    Parameter {
        name: "node",
        description: "Name of the live node (`owlet run`), with its namespace where it has one \
                      (`cell/owlet`). All its zenoh keys lie below `owlet/NAME/`.",
        changes: Changes::AtStart,
        example: None,
        kind: ParameterKind::Text {
            form: "names of letters, digits and underscores, with / between them",
            get: |config| config.node.clone(),
            set: |config, text, _| {
                let usable = ros_name::is_node(text);
                if usable {
                    config.node = text.to_owned();
                }
                usable
            },
        },
    },
    Parameter {
        name: "autostart",
        description: "Whether a live node loads its model and takes images at once. Without, it \
                      waits to be configured and activated, as managed nodes of ROS 2 do.",
        changes: Changes::AtStart,
        example: None,
        kind: ParameterKind::Flag {
            get: |config| config.autostart,
            set: |config, value| config.autostart = value,
        },
    },
    Parameter {
        name: "watch_prompts",
        description: "Whether a live node reads `prompts_file` again whenever it changes. A file \
                      that is refused leaves the prompts in use.",
        changes: Changes::AtStart,
        example: None,
        kind: ParameterKind::Flag {
            get: |config| config.watch_prompts,
            set: |config, value| config.watch_prompts = value,
        },
    },
    Parameter {
        name: "text_cache",
        description: "Whether a live node keeps the vectors of texts that it has encoded, in \
                      `owlet/texts` of the user's cache, and finds them there when it starts again.",
        changes: Changes::WhenConfigured,
        example: None,
        kind: ParameterKind::Flag {
            get: |config| config.text_cache,
            set: |config, value| config.text_cache = value,
        },
    },
    Parameter {
        name: "use_sim_time",
        description: "Whether a node in ROS 2 takes the time from `/clock`, for ages and for the \
                      stamps that it makes itself.",
        changes: Changes::WhileRunning,
        example: None,
        kind: ParameterKind::Flag {
            get: |config| config.use_sim_time,
            set: |config, value| config.use_sim_time = value,
        },
    },
    Parameter {
        name: "transport",
        description: "What the live node speaks: plain `zenoh`; ROS 2 as `rmw_zenoh` does, with no \
                      ROS installed; or ROS 2 through the ROS around it (`ros2`).",
        changes: Changes::AtStart,
        example: None,
        kind: ParameterKind::Text {
            form: "zenoh, rmw_zenoh or ros2",
            get: |config| config.transport.to_string(),
            set: |config, text, _| text.parse().map(|it| config.transport = it).is_ok(),
        },
    },
];
