//! The recording of results.

use std::path::Path;
use std::sync::Arc;

use owlet::spatial::{Extras, LocatedFrame};
use owlet::transport::heightmaps::HeightmapPictures;
use owlet::transport::masks::MaskPictures;
use owlet::transport::rosbag2::{BagError, BagWriter, QosProfile, TopicId, WriterOptions};
use owlet::types::{Frame, FrameDetections, Heightmap, Stamp};
use owlet::wire::Message;
use owlet::wire::geometry_msgs::PoseStamped;
use owlet::wire::sensor_msgs::{Image, PointCloud2, point_bytes};
use owlet::wire::std_msgs::Header;
use owlet::wire::vision_msgs::{
    Detection2DArray, Detection3DArray, LabelInfo, best_pick, detection_2d_array,
    detection_3d_array, label_info, picks_array,
};

use super::super::settings::Settings;
use super::source::Topic;
use super::space_topics::SpaceTopics;

/// An open recording, with the topics of all cameras.
pub(super) struct BagOutputs {
    writer: BagWriter,
    cameras: Vec<CameraOutputs>,
}

/// The output topics of one camera.
struct CameraOutputs {
    camera: Arc<str>,
    detections: TopicId,
    masks: Option<MaskTopics>,
    /// Where its detections get places.
    space: Option<SpaceOutputs>,
}

/// Where masks are made.
struct MaskTopics {
    instances: TopicId,
    labels: TopicId,
    label_info: TopicId,
    is_told: bool,
}

/// Where detections get places.
struct SpaceOutputs {
    detections: TopicId,
    cloud: Option<TopicId>,
    /// The best one, and all.
    picks: Option<[TopicId; 2]>,
    /// Heights, scores, labels, colours and scores of each prompt.
    heightmap: Option<[TopicId; 5]>,
}

impl BagOutputs {
    pub(super) fn create(
        folder: &Path,
        settings: &Settings,
        topics: &[Topic],
        space_topics: &SpaceTopics,
    ) -> anyhow::Result<Self> {
        let config = &settings.config;
        let mut writer = BagWriter::create(folder, WriterOptions::default())?;
        let mut cameras = Vec::new();
        for topic in topics {
            let camera = Arc::clone(&topic.name);
            let mut add_with = |output: &str, message_type, qos| {
                let name = output_topic(output, &camera, topics.len());
                writer.add_topic(&name, message_type, qos)
            };
            let masks = match settings.makes_masks() {
                true => Some(MaskTopics {
                    instances: add_with("instances", Image::TYPE, QosProfile::RELIABLE)?,
                    labels: add_with("labels", Image::TYPE, QosProfile::RELIABLE)?,
                    label_info: add_with("labels/info", LabelInfo::TYPE, QosProfile::LATCHED)?,
                    is_told: false,
                }),
                false => None,
            };
            let mut add =
                |output: &str, message_type| add_with(output, message_type, QosProfile::RELIABLE);
            let detections = add("detections", Detection2DArray::TYPE)?;
            let space = match space_topics.of(&camera) {
                None => None,
                Some(_) => Some(SpaceOutputs {
                    detections: add("detections_3d", Detection3DArray::TYPE)?,
                    cloud: match config.clouds {
                        true => Some(add("cloud", PointCloud2::TYPE)?),
                        false => None,
                    },
                    picks: match config.picks {
                        true => Some([
                            add("pick", PoseStamped::TYPE)?,
                            add("picks", Detection3DArray::TYPE)?,
                        ]),
                        false => None,
                    },
                    heightmap: match config.heightmap {
                        true => Some([
                            add("heightmap", Image::TYPE)?,
                            add("heightmap/scores", Image::TYPE)?,
                            add("heightmap/labels", Image::TYPE)?,
                            add("heightmap/color", Image::TYPE)?,
                            add("heightmap/prompts", Image::TYPE)?,
                        ]),
                        false => None,
                    },
                }),
            };
            cameras.push(CameraOutputs { camera, detections, masks, space });
        }
        Ok(Self { writer, cameras })
    }

    /// What is made of a frame beside places.
    pub(super) fn extras<'a>(&self, frame: &'a Frame) -> Extras<'a> {
        let camera = self.cameras.iter().find(|known| known.camera == frame.camera);
        let space = camera.and_then(|camera| camera.space.as_ref());
        let image = |is_wanted: bool| is_wanted.then_some(&*frame.image);
        Extras {
            cloud: image(space.is_some_and(|space| space.cloud.is_some())),
            heightmap: image(space.is_some_and(|space| space.heightmap.is_some())),
        }
    }

    pub(super) fn add(
        &mut self,
        found: &FrameDetections,
        located: Option<&LocatedFrame>,
        frame: &Frame,
    ) -> Result<(), BagError> {
        let Self { writer, cameras } = self;
        let camera = cameras.iter_mut().find(|known| known.camera == found.camera);
        let Some(camera) = camera else { return Ok(()) };
        let at = frame.received;
        writer.write(camera.detections, at, &detection_2d_array(found))?;
        if let Some(masks) = &mut camera.masks {
            if !std::mem::replace(&mut masks.is_told, true) {
                let names = found.prompts.prompts.iter().map(|prompt| prompt.name.as_str());
                let threshold = found.prompts.default_threshold;
                let info = label_info(Header::from(&found.header), names, threshold);
                writer.write(masks.label_info, at, &info)?;
            }
            let pictures = MaskPictures::of(found);
            writer.write(masks.instances, at, &pictures.instances())?;
            writer.write(masks.labels, at, &pictures.labels())?;
        }
        let (Some(space), Some(located)) = (&camera.space, located) else { return Ok(()) };
        let places = &located.places;
        writer.write(space.detections, at, &detection_3d_array(found, places))?;
        if let (Some(topic), Some(cloud)) = (space.cloud, &located.cloud) {
            let bytes = point_bytes(&cloud.points);
            if let Some(message) = PointCloud2::of_points((&cloud.header).into(), &bytes) {
                writer.write(topic, at, &message)?;
            }
        }
        if let Some([best, all]) = space.picks {
            if let Some(pose) = best_pick(found, places) {
                writer.write(best, at, &pose)?;
            }
            writer.write(all, at, &picks_array(found, places))?;
        }
        if let (Some(topics), Some(map)) = (space.heightmap, &located.heightmap) {
            write_heightmap(writer, topics, at, map)?;
        }
        Ok(())
    }

    /// Closes the recording.
    pub(super) fn finish(self) -> Result<(), BagError> {
        self.writer.finish()
    }
}

fn write_heightmap(
    writer: &mut BagWriter,
    topics: [TopicId; 5],
    at: Stamp,
    map: &Heightmap,
) -> Result<(), BagError> {
    let pictures = HeightmapPictures::of(map);
    for (topic, message) in topics.into_iter().zip(pictures.all()) {
        if let Some(message) = message {
            writer.write(topic, at, &message)?;
        }
    }
    Ok(())
}

/// `~/detections` of the node; with several cameras each has its own, named after its topic.
fn output_topic(output: &str, camera: &str, cameras: usize) -> String {
    match cameras {
        1 => format!("/owlet/{output}"),
        _ => format!("/owlet/{output}/{}", camera.trim_start_matches('/')),
    }
}
