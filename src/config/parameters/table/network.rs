//! zenoh and the metrics endpoint.

use std::path::{Path, PathBuf};

use super::super::super::transport::listen_address;
use super::super::{Changes, Parameter, ParameterKind};

pub(super) const NETWORK: &[Parameter] = &[
    Parameter {
        name: "metrics_listen",
        description: "Where the status of a live node is to be had for Prometheus \
                      (`http://ADDRESS/metrics`). A port alone is one of loopback. Empty: nowhere.",
        changes: Changes::AtStart,
        example: Some("127.0.0.1:9464"),
        kind: ParameterKind::Text {
            form: "a port, or an address with a port, or nothing",
            get: |config| {
                config.metrics_listen.map_or_else(String::new, |address| address.to_string())
            },
            set: |config, text, _| {
                let address = listen_address(text);
                let is_understood = text.is_empty() || address.is_some();
                if is_understood {
                    config.metrics_listen = address;
                }
                is_understood
            },
        },
    },
    Parameter {
        name: "zenoh_config",
        description: "zenoh's own configuration file (JSON5, JSON or YAML), for TLS, access control, \
                      shared memory and all else that has no parameter here; relative to the file \
                      that names it. Empty for none.",
        changes: Changes::AtStart,
        example: Some("zenoh.json5"),
        kind: ParameterKind::Text {
            form: "the path of a file",
            get: |config| {
                config.zenoh_config.as_deref().map_or("".into(), Path::to_string_lossy).into_owned()
            },
            set: |config, text, folder| {
                config.zenoh_config = (!text.is_empty()).then(|| folder.join(PathBuf::from(text)));
                true
            },
        },
    },
    Parameter {
        name: "zenoh_mode",
        description: "How to take part in zenoh: `client` of a router, or `peer`. Empty: what \
                      `zenoh_config` says, or else `peer`.",
        changes: Changes::AtStart,
        example: Some("client"),
        kind: ParameterKind::Text {
            form: "peer, client or nothing",
            get: |config| config.zenoh_mode.clone().unwrap_or_default(),
            set: |config, text, _| {
                let usable = ["", "peer", "client"].contains(&text);
                if usable {
                    config.zenoh_mode = (!text.is_empty()).then(|| text.to_owned());
                }
                usable
            },
        },
    },
    Parameter {
        name: "zenoh_connect",
        description: "Endpoints to connect to. Empty: what `zenoh_config` says, or else whoever is \
                      found on the local network; with `rmw_zenoh` its router on \
                      tcp/localhost:7447.",
        changes: Changes::AtStart,
        example: Some("[tcp/192.168.1.10:7447]"),
        kind: ParameterKind::TextList {
            item: "a zenoh endpoint",
            accepts: |text| !text.trim().is_empty(),
            get: |config| config.zenoh_connect.clone(),
            set: |config, endpoints| config.zenoh_connect = endpoints,
        },
    },
    Parameter {
        name: "zenoh_listen",
        description: "Endpoints to listen on. Empty: what `zenoh_config` says, or else zenoh's own \
                      choice.",
        changes: Changes::AtStart,
        example: Some("[\"tcp/[::]:7447\"]"),
        kind: ParameterKind::TextList {
            item: "a zenoh endpoint",
            accepts: |text| !text.trim().is_empty(),
            get: |config| config.zenoh_listen.clone(),
            set: |config, endpoints| config.zenoh_listen = endpoints,
        },
    },
    Parameter {
        name: "zenoh_images",
        description: "Key expressions of images. The camera's name is what the wildcards stand for; \
                      of a key without wildcards the last part that is not `image`, `image_raw` or \
                      `compressed`. Empty: `owlet/NODE/camera/*/image`.",
        changes: Changes::AtStart,
        example: Some("[robot/front/image, \"cell/*/rgb\"]"),
        kind: ParameterKind::TextList {
            item: "a zenoh key expression",
            accepts: |text| !text.trim().is_empty(),
            get: |config| config.zenoh_images.clone(),
            set: |config, expressions| config.zenoh_images = expressions,
        },
    },
    Parameter {
        name: "zenoh_cdr",
        description: "Whether detections also go out as CDR (`vision_msgs/msg/Detection2DArray`, \
                      `Detection3DArray`).",
        changes: Changes::AtStart,
        example: None,
        kind: ParameterKind::Flag {
            get: |config| config.zenoh_cdr,
            set: |config, value| config.zenoh_cdr = value,
        },
    },
];
