//! Images of a recording, and pictures that are made.

use super::super::super::ros_name;
use super::super::{Changes, Parameter, ParameterKind};

pub(super) const IMAGES: &[Parameter] = &[
    Parameter {
        name: "polygons",
        description: "Whether masks in JSON have their outlines as polygons beside their run \
                      lengths: to three quarters of a pixel, with at most 1000 corners each mask.",
        changes: Changes::WhenConfigured,
        example: None,
        kind: ParameterKind::Flag {
            get: |config| config.polygons,
            set: |config, value| config.polygons = value,
        },
    },
    Parameter {
        name: "depth_topics",
        description: "Depth topics of a recording, in the order of `image_topics`. Empty: for each \
                      image topic one of the same frame, or else the one with the most similar \
                      name.",
        changes: Changes::AtStart,
        example: Some("[/camera/aligned_depth_to_color/image_raw]"),
        kind: ParameterKind::TextList {
            item: "a ROS topic name",
            accepts: ros_name::is_topic,
            get: |config| config.depth_topics.clone(),
            set: |config, topics| config.depth_topics = topics,
        },
    },
    Parameter {
        name: "image_topics",
        description: "Image topics to use. Empty: in a recording, every topic of colour images.",
        changes: Changes::AtStart,
        example: Some("[/camera/image_raw]"),
        kind: ParameterKind::TextList {
            item: "a ROS topic name",
            accepts: ros_name::is_topic,
            get: |config| config.image_topics.clone(),
            set: |config, topics| config.image_topics = topics,
        },
    },
    Parameter {
        name: "overlay",
        description: "Whether pictures with the boxes drawn in are made.",
        changes: Changes::WhileRunning,
        example: None,
        kind: ParameterKind::Flag {
            get: |config| config.overlay,
            set: |config, value| config.overlay = value,
        },
    },
    Parameter {
        name: "report_pictures",
        description: "The most pictures in a report, spread over the run; the best frame of each \
                      prompt comes on top of them.",
        changes: Changes::AtStart,
        example: None,
        kind: ParameterKind::Integer {
            min: 0,
            max: 500,
            get: |config| config.report_pictures as i64,
            set: |config, value| config.report_pictures = value as usize,
        },
    },
    Parameter {
        name: "jpeg_quality",
        description: "Quality of the pictures that are written.",
        changes: Changes::WhileRunning,
        example: None,
        kind: ParameterKind::Integer {
            min: 1,
            max: 100,
            get: |config| i64::from(config.jpeg_quality),
            set: |config, value| config.jpeg_quality = value as u8,
        },
    },
];
