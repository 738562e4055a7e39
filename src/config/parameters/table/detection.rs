//! What is looked for, which frames are looked at, and what is kept of what is found.

use std::path::{Path, PathBuf};

use super::super::{Changes, Parameter, ParameterKind};

pub(super) const DETECTION: &[Parameter] = &[
    Parameter {
        name: "prompts",
        description: "What to look for; each text is also the name of what it finds. Added after \
                      those of `prompts_file`. As one text: prompts in the form of such a file.",
        changes: Changes::WhileRunning,
        example: Some("[\"a cat\", \"a remote control\"]"),
        kind: ParameterKind::Prompts {
            get: |config| &config.prompts,
            set: |config, prompts| config.prompts = prompts,
        },
    },
    Parameter {
        name: "prompts_file",
        description: "A file of prompts with synonyms, thresholds and distractors (see \
                      `config/prompts.yaml`), relative to the file that names it. Empty for none.",
        changes: Changes::WhileRunning,
        example: Some("prompts.yaml"),
        kind: ParameterKind::Text {
            form: "the path of a file",
            get: |config| {
                config.prompts_file.as_deref().map_or("".into(), Path::to_string_lossy).into_owned()
            },
            set: |config, text, folder| {
                config.prompts_file = (!text.is_empty()).then(|| folder.join(PathBuf::from(text)));
                true
            },
        },
    },
    Parameter {
        name: "threshold",
        description: "Lowest score that is reported, for prompts with no threshold of their own.",
        changes: Changes::WhileRunning,
        example: None,
        kind: ParameterKind::Number {
            min: 0.0,
            min_included: true,
            max: 1.0,
            get: |config| config.threshold,
            set: |config, value| config.threshold = value,
        },
    },
    Parameter {
        name: "nms_iou",
        description: "Of two boxes of one prompt that overlap by more than this (intersection over \
                      union) only the better one stays; 1.0 keeps all, as the reference does.",
        changes: Changes::WhileRunning,
        example: None,
        kind: ParameterKind::Number {
            min: 0.0,
            min_included: false,
            max: 1.0,
            get: |config| config.nms_iou.unwrap_or(1.0),
            set: |config, value| config.nms_iou = (value < 1.0).then_some(value),
        },
    },
    Parameter {
        name: "nms_across_prompts",
        description: "Whether `nms_iou` holds for boxes of different prompts as well: of two that \
                      overlap so much only the better one stays, whatever their names, and one box \
                      keeps one name.",
        changes: Changes::WhileRunning,
        example: None,
        kind: ParameterKind::Flag {
            get: |config| config.nms_across_prompts,
            set: |config, value| config.nms_across_prompts = value,
        },
    },
    Parameter {
        name: "names_per_box",
        description: "The most prompts that one box is reported for. 1 gives it to its best prompt, \
                      as the reference does; more where prompts overlap (a cup, a red cup) or mAP \
                      is measured.",
        changes: Changes::WhileRunning,
        example: None,
        kind: ParameterKind::Integer {
            min: 1,
            max: 100,
            get: |config| config.names_per_box as i64,
            set: |config, value| config.names_per_box = value as usize,
        },
    },
    Parameter {
        name: "max_detections",
        description: "The most detections of one frame; the best are kept.",
        changes: Changes::WhileRunning,
        example: None,
        kind: ParameterKind::Integer {
            min: 1,
            max: 10_000,
            get: |config| config.max_detections as i64,
            set: |config, value| config.max_detections = value as usize,
        },
    },
    Parameter {
        name: "max_batch",
        description: "The most frames that go through the model in one pass.",
        changes: Changes::WhenConfigured,
        example: None,
        kind: ParameterKind::Integer {
            min: 1,
            max: 64,
            get: |config| config.max_batch as i64,
            set: |config, value| config.max_batch = value as usize,
        },
    },
    Parameter {
        name: "max_rate_hz",
        description: "The most frames of one camera that a live node looks at in a second; those \
                      that come sooner are left out before they are decoded. 0 for no limit.",
        changes: Changes::WhileRunning,
        example: None,
        kind: ParameterKind::Number {
            min: 0.0,
            min_included: true,
            max: 1000.0,
            get: |config| config.max_rate_hz,
            set: |config, value| config.max_rate_hz = value,
        },
    },
    Parameter {
        name: "tracking",
        description: "Whether objects get ids that stay the same from frame to frame. A detection \
                      has none until its object was seen in two frames. Ids of one camera say \
                      nothing of another's, are counted to 65535 and then from 1 again past those \
                      in use, and are new where stamps jump back.",
        changes: Changes::WhenConfigured,
        example: None,
        kind: ParameterKind::Flag {
            get: |config| config.tracking,
            set: |config, value| config.tracking = value,
        },
    },
];
