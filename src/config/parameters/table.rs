//! The table itself.

use std::path::{Path, PathBuf};

use super::super::ros_name;
use super::super::transport::listen_address;
use super::{Changes, Parameter, ParameterKind};

/// Three rising pairs of finite numbers.
fn bounds_of(text: &str) -> Option<[[f64; 2]; 3]> {
    let numbers: Option<Vec<f64>> = text.split_whitespace().map(|word| word.parse().ok()).collect();
    let numbers: [f64; 6] = numbers?.try_into().ok()?;
    let [x0, x1, y0, y1, z0, z1] = numbers;
    let bounds = [[x0, x1], [y0, y1], [z0, z1]];
    let is_rising = |[low, high]: [f64; 2]| low.is_finite() && high.is_finite() && low < high;
    bounds.into_iter().all(is_rising).then_some(bounds)
}

/// All parameters, in the order in which files and tables show them.
pub static PARAMETERS: &[Parameter] = &[
    Parameter {
        name: "model",
        description: "The model: a known name (see `owlet models`) or a folder in Hugging Face \
                      layout.",
        changes: Changes::WhenConfigured,
        example: None,
        kind: ParameterKind::Text {
            form: "the name of a model or the path of a folder",
            get: |config| config.model.clone(),
            set: |config, text, _| {
                let usable = !text.trim().is_empty();
                if usable {
                    config.model = text.to_owned();
                }
                usable
            },
        },
    },
    Parameter {
        name: "segmenter",
        description: "The model that draws the masks of what was found, by its boxes: a SAM, by \
                      name or folder. Empty for no masks. A `model` that draws masks by itself \
                      (CLIPSeg, GroupViT) needs none.",
        changes: Changes::WhenConfigured,
        example: Some("owlet-nano-seg"),
        kind: ParameterKind::Text {
            form: "the name of a model, the path of a folder, or nothing",
            get: |config| config.segmenter.clone().unwrap_or_default(),
            set: |config, text, _| {
                config.segmenter = (!text.trim().is_empty()).then(|| text.to_owned());
                true
            },
        },
    },
    Parameter {
        name: "classifier",
        description: "The model that says which of the finer labels of a prompt (`finer` in a \
                      prompts file) fits each thing that was found: a CLIP, by name or folder. \
                      Empty for none; prompts with finer labels are refused then.",
        changes: Changes::WhenConfigured,
        example: Some("clip-vit-base-patch32"),
        kind: ParameterKind::Text {
            form: "the name of a model, the path of a folder, or nothing",
            get: |config| config.classifier.clone().unwrap_or_default(),
            set: |config, text, _| {
                config.classifier = (!text.trim().is_empty()).then(|| text.to_owned());
                true
            },
        },
    },
    Parameter {
        name: "device",
        description: "Where the model runs. `auto` takes the first CUDA device where there is one; \
                      a device that is asked for by name and is missing stops the start.",
        changes: Changes::WhenConfigured,
        example: None,
        kind: ParameterKind::Text {
            form: "auto, cpu, cuda or cuda:N",
            get: |config| config.device.to_string(),
            set: |config, text, _| text.parse().map(|device| config.device = device).is_ok(),
        },
    },
    Parameter {
        name: "dtype",
        description: "The number format of the model. `auto` is f16 on CUDA and f32 on the CPU.",
        changes: Changes::WhenConfigured,
        example: None,
        kind: ParameterKind::Text {
            form: "auto, f32, f16 or bf16",
            get: |config| config.dtype.to_string(),
            set: |config, text, _| text.parse().map(|dtype| config.dtype = dtype).is_ok(),
        },
    },
    Parameter {
        name: "threads",
        description: "CPU threads of the model; 0 uses every core.",
        changes: Changes::WhenConfigured,
        example: None,
        kind: ParameterKind::Integer {
            min: 0,
            max: 1024,
            get: |config| config.threads as i64,
            set: |config, value| config.threads = value as usize,
        },
    },
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
                      nothing of another's, and are new where stamps jump back.",
        changes: Changes::WhenConfigured,
        example: None,
        kind: ParameterKind::Flag {
            get: |config| config.tracking,
            set: |config, value| config.tracking = value,
        },
    },
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
                config.metrics_listen = listen_address(text);
                text.is_empty() || config.metrics_listen.is_some()
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
