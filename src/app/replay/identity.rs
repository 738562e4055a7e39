//! What decides what a replay finds.

use std::path::Path;

use owlet::ground::BankManifest;
use owlet::transport::rosbag2::BagInfo;
use serde::{Deserialize, Serialize};

use super::super::fingerprint::{PromptIdentity, weights};
use super::super::settings::Settings;
use super::source::Topic;
use super::space_topics::SpaceTopics;
use crate::app::args::ReplayArgs;

/// All that decides what a replay finds. Two runs of one identity on one machine give the same
/// records, so that one can go on with the other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct RunIdentity {
    owlet: String,
    bag: BagIdentity,
    topics: Vec<String>,
    model: String,
    /// The commit of a model that was pulled; else sizes and times of its files.
    weights: String,
    /// What draws masks, and its weights.
    #[serde(default)]
    segmenter: Option<[String; 2]>,
    /// What tells finer labels apart, and its weights.
    #[serde(default)]
    classifier: Option<[String; 2]>,
    /// The bank of pairs, whose manifest has checksums of all else, and the regions that are
    /// looked up in it: how many, and whether the segmenter proposes them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bank: Option<(BankManifest, usize, bool)>,
    prompts: Vec<PromptIdentity>,
    threshold: f32,
    nms_iou: Option<f32>,
    #[serde(default)]
    nms_across_prompts: bool,
    names_per_box: usize,
    max_detections: usize,
    max_batch: usize,
    threads: usize,
    tracking: bool,
    /// What places are made from: depth, calibration, and calibration of the depth camera for each
    /// camera that has any; empty where no places are looked for.
    space_topics: Vec<[Option<String>; 3]>,
    target_frame: Option<String>,
    sync_slop_secs: f32,
    clouds: bool,
    #[serde(default)]
    polygons: bool,
    /// Radius, where pick points are looked for.
    #[serde(default)]
    picks: Option<f32>,
    #[serde(default)]
    pick_prompt: Option<String>,
    /// Bounds and cells, where heightmaps are made.
    #[serde(default)]
    heightmap: Option<([[f64; 2]; 3], f32)>,
}

/// A recording, wherever it lies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct BagIdentity {
    name: String,
    messages: u64,
    size_bytes: u64,
    start_ns: Option<i64>,
}

impl RunIdentity {
    pub(super) fn new(
        args: &ReplayArgs,
        settings: &Settings,
        bag: &BagInfo,
        topics: &[Topic],
        space_topics: &SpaceTopics,
    ) -> Self {
        let config = &settings.config;
        Self {
            owlet: env!("CARGO_PKG_VERSION").to_owned(),
            bag: BagIdentity {
                name: name_of(&args.bag),
                messages: bag.message_count,
                size_bytes: bag.files.iter().map(|file| file.size_bytes).sum(),
                start_ns: bag.start.map(|start| start.0),
            },
            topics: topics.iter().map(|topic| topic.name.to_string()).collect(),
            model: config.model.clone(),
            weights: weights(&settings.model_dir),
            segmenter: config
                .segmenter
                .clone()
                .zip(settings.segmenter_dir.as_ref())
                .map(|(name, folder)| [name, weights(folder)]),
            classifier: config
                .classifier
                .clone()
                .zip(settings.classifier_dir.as_ref())
                .map(|(name, folder)| [name, weights(folder)]),
            bank: settings
                .bank
                .as_ref()
                .map(|bank| (bank.manifest.clone(), bank.regions, bank.regions_by_segmenter)),
            prompts: settings.prompts.prompts.iter().map(PromptIdentity::of).collect(),
            threshold: config.threshold,
            nms_iou: config.nms_iou,
            nms_across_prompts: config.nms_across_prompts,
            names_per_box: config.names_per_box,
            max_detections: config.max_detections,
            max_batch: config.max_batch,
            threads: config.threads,
            tracking: config.tracking,
            space_topics: space_topics
                .cameras
                .iter()
                .map(|camera| {
                    [camera.depth.clone(), camera.info.clone(), camera.depth_info.clone()]
                })
                .collect(),
            target_frame: config.target_frame.clone(),
            sync_slop_secs: config.sync_slop_secs,
            clouds: config.clouds,
            polygons: config.polygons,
            picks: config.picks.then_some(config.pick_radius_m),
            pick_prompt: config.pick_prompt.clone(),
            heightmap: config
                .heightmap
                .then_some((config.heightmap_bounds_m, config.heightmap_m_per_px)),
        }
    }
}

/// The name of a recording, also where it is given as `.` or with a slash at its end.
pub(super) fn name_of(bag: &Path) -> String {
    let path = bag.canonicalize().unwrap_or_else(|_| bag.to_owned());
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}
