//! Places in space, and what is made of them: clouds, picks, heightmaps.

use super::super::{Changes, Parameter, ParameterKind};

/// Three rising pairs of finite numbers.
fn bounds_of(text: &str) -> Option<[[f64; 2]; 3]> {
    let numbers: Option<Vec<f64>> = text.split_whitespace().map(|word| word.parse().ok()).collect();
    let numbers: [f64; 6] = numbers?.try_into().ok()?;
    let [x0, x1, y0, y1, z0, z1] = numbers;
    let bounds = [[x0, x1], [y0, y1], [z0, z1]];
    let is_rising = |[low, high]: [f64; 2]| low.is_finite() && high.is_finite() && low < high;
    bounds.into_iter().all(is_rising).then_some(bounds)
}

pub(super) const SPACE: &[Parameter] = &[
    Parameter {
        name: "locate",
        description: "Whether detections get places in space, as boxes in metres: needs depth and \
                      camera_info. `auto`: for cameras that have depth; `always`: a camera without \
                      is said to lack it.",
        changes: Changes::AtStart,
        example: None,
        kind: ParameterKind::Text {
            form: "never, auto or always",
            get: |config| config.locate.to_string(),
            set: |config, text, _| text.parse().map(|mode| config.locate = mode).is_ok(),
        },
    },
    Parameter {
        name: "target_frame",
        description: "The frame that places are given in, by the transforms (tf) at the stamp of \
                      the image; boxes stand upright in it (REP 103: z is up), unless its name \
                      holds `optical`. Empty: the frame of the image, in which boxes lie along \
                      what is visible.",
        changes: Changes::WhenConfigured,
        example: Some("base_link"),
        kind: ParameterKind::Text {
            form: "the name of a frame",
            get: |config| config.target_frame.clone().unwrap_or_default(),
            set: |config, text, _| {
                let usable = text.trim() == text;
                if usable {
                    config.target_frame = (!text.is_empty()).then(|| text.to_owned());
                }
                usable
            },
        },
    },
    Parameter {
        name: "sync_slop_secs",
        description: "By how much the stamps of an image and of its depth may differ, in seconds; \
                      0.0 asks for equal ones. The nearest is taken.",
        changes: Changes::WhenConfigured,
        example: None,
        kind: ParameterKind::Number {
            min: 0.0,
            min_included: true,
            max: 1.0,
            get: |config| config.sync_slop_secs,
            set: |config, value| config.sync_slop_secs = value,
        },
    },
    Parameter {
        name: "clouds",
        description: "Whether the visible surfaces of what was found are made into point clouds \
                      with colours and instance numbers: live for who takes them, in a replay \
                      into the recording of results.",
        changes: Changes::WhenConfigured,
        example: None,
        kind: ParameterKind::Flag {
            get: |config| config.clouds,
            set: |config, value| config.clouds = value,
        },
    },
    Parameter {
        name: "picks",
        description: "Whether it is said where a gripper may take hold of what was found: of each \
                      mask the middle of its largest even part, with the surface's normal, the \
                      way in, the width across and a score. Needs places (`locate`) and masks \
                      (`segmenter`).",
        changes: Changes::AtStart,
        example: None,
        kind: ParameterKind::Flag {
            get: |config| config.picks,
            set: |config, value| config.picks = value,
        },
    },
    Parameter {
        name: "pick_prompt",
        description: "The prompt whose best object is the one to be picked, and whose scores the \
                      one score map of a heightmap shows. Empty for all prompts.",
        changes: Changes::WhileRunning,
        example: Some("a red bowl"),
        kind: ParameterKind::Text {
            form: "the name of a prompt",
            get: |config| config.pick_prompt.clone().unwrap_or_default(),
            set: |config, text, _| {
                config.pick_prompt = (!text.trim().is_empty()).then(|| text.to_owned());
                true
            },
        },
    },
    Parameter {
        name: "pick_radius_m",
        description: "Radius of the patch of a surface that a gripper or a suction cup needs, in \
                      metres. A smaller even part lowers the score of a pick.",
        changes: Changes::WhenConfigured,
        example: None,
        kind: ParameterKind::Number {
            min: 0.001,
            min_included: true,
            max: 0.2,
            get: |config| config.pick_radius_m,
            set: |config, value| config.pick_radius_m = value,
        },
    },
    Parameter {
        name: "heightmap",
        description: "Whether the scene is drawn from straight above, in the form of CLIPort: \
                      heights, colours, and the scores of what was found there, of all prompts \
                      together and of each by itself. Needs places and a `target_frame` whose z is \
                      up.",
        changes: Changes::AtStart,
        example: None,
        kind: ParameterKind::Flag {
            get: |config| config.heightmap,
            set: |config, value| config.heightmap = value,
        },
    },
    Parameter {
        name: "heightmap_bounds_m",
        description: "What a heightmap shows of the `target_frame`: lowest and highest x, lowest \
                      and highest y, lowest and highest z, in metres.",
        changes: Changes::WhenConfigured,
        example: None,
        kind: ParameterKind::Text {
            form: "six numbers, each pair of them rising",
            get: |config| {
                let bounds = config.heightmap_bounds_m.as_flattened();
                bounds.iter().map(f64::to_string).collect::<Vec<_>>().join(" ")
            },
            set: |config, text, _| {
                bounds_of(text).map(|all| config.heightmap_bounds_m = all).is_some()
            },
        },
    },
    Parameter {
        name: "heightmap_m_per_px",
        description: "Side of a pixel of a heightmap, in metres. With the bounds it makes at most \
                      4194304 pixels.",
        changes: Changes::WhenConfigured,
        example: None,
        kind: ParameterKind::Number {
            min: 0.0,
            min_included: false,
            max: 1.0,
            get: |config| config.heightmap_m_per_px,
            set: |config, value| config.heightmap_m_per_px = value,
        },
    },
];
