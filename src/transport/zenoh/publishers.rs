//! What goes out.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use serde_json::json;
use zenoh::bytes::Encoding;
use zenoh::key_expr::{OwnedKeyExpr, keyexpr};
use zenoh::pubsub::Publisher;
use zenoh::{Session, Wait};

use super::super::heightmaps::HeightmapPictures;
use super::super::live::{MakeRecord, PromptsAnswer, PromptsRecord, SpaceOutputs};
use super::super::masks::MaskPictures;
use super::super::records::BestPickRecord;
use super::keys::Keys;
use crate::types::{Cloud, FrameDetections, FrameHeader, FramePlaces, Heightmap};
use crate::wire::Message;
use crate::wire::geometry_msgs::PoseStamped;
use crate::wire::sensor_msgs::{Image, PointCloud2, point_bytes};
use crate::wire::vision_msgs::{
    Detection2DArray, Detection3DArray, best_pick, detection_2d_array, detection_3d_array,
};

/// The publishers of a node, made as cameras turn up.
pub(super) struct Publishers {
    session: Session,
    keys: Keys,
    outputs: Outputs,
    cameras: Mutex<HashMap<String, Option<Arc<CameraPublishers>>>>,
    spaces: Mutex<HashMap<String, Option<Arc<SpacePublishers>>>>,
}

struct CameraPublishers {
    detections: Publisher<'static>,
    cdr: Option<Publisher<'static>>,
    overlay: Publisher<'static>,
    /// As CDR, where that is asked for: in JSON each detection has its own mask.
    instances: Option<Publisher<'static>>,
}

/// Made for cameras that have places.
struct SpacePublishers {
    detections: Publisher<'static>,
    cdr: Option<Publisher<'static>>,
    cloud: Publisher<'static>,
    /// The best pick, as JSON, and as CDR where that is asked for.
    pick: Option<Publisher<'static>>,
    pick_cdr: Option<Publisher<'static>>,
    /// Heights, scores, labels, colours and scores of each prompt, as CDR.
    heightmap: Option<[Publisher<'static>; 5]>,
}

/// What goes out beside what is found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Outputs {
    /// Whether all of it also goes out as CDR.
    pub(super) cdr: bool,
    /// Beside places.
    pub(super) space: SpaceOutputs,
}

impl Publishers {
    pub(super) fn new(session: Session, keys: Keys, outputs: Outputs) -> Self {
        Self { session, keys, outputs, cameras: Mutex::default(), spaces: Mutex::default() }
    }

    pub(super) fn places(
        &self,
        camera: &str,
        record: MakeRecord<'_>,
        found: &FrameDetections,
        places: &FramePlaces,
    ) {
        let Some(publishers) = self.space_of(camera) else { return };
        let sent = publishers.detections.put(to_json(&record())).wait();
        log(&self.session, publishers.detections.key_expr(), sent);
        if let Some(publisher) = &publishers.cdr {
            let message = detection_3d_array(found, places).encode();
            log(&self.session, publisher.key_expr(), publisher.put(message).wait());
        }
        if let Some(publisher) = &publishers.pick
            && let Some(best) = BestPickRecord::of(found, places)
        {
            log(&self.session, publisher.key_expr(), publisher.put(to_json(&best)).wait());
        }
        if let Some(publisher) = &publishers.pick_cdr
            && let Some(pose) = best_pick(found, places)
        {
            log(&self.session, publisher.key_expr(), publisher.put(pose.encode()).wait());
        }
    }

    pub(super) fn wants_heightmap(&self, camera: &str) -> bool {
        let space = self.space_of(camera);
        space.is_some_and(|space| space.heightmap.iter().flatten().any(has_subscriber))
    }

    pub(super) fn heightmap(&self, camera: &str, map: &Heightmap) {
        let Some(space) = self.space_of(camera) else { return };
        let pictures = HeightmapPictures::of(map);
        for (publisher, message) in space.heightmap.iter().flatten().zip(pictures.all()) {
            if let Some(message) = message
                && has_subscriber(publisher)
            {
                let sent = publisher.put(message.encode()).wait();
                log(&self.session, publisher.key_expr(), sent);
            }
        }
    }

    pub(super) fn wants_cloud(&self, camera: &str) -> bool {
        self.space_of(camera).is_some_and(|publishers| has_subscriber(&publishers.cloud))
    }

    pub(super) fn cloud(&self, camera: &str, cloud: &Cloud) {
        let Some(publishers) = self.space_of(camera) else { return };
        let bytes = point_bytes(&cloud.points);
        // Made of whole points, and of no more than a message counts.
        let Some(message) = PointCloud2::of_points((&cloud.header).into(), &bytes) else { return };
        let sent = publishers.cloud.put(message.encode()).wait();
        log(&self.session, publishers.cloud.key_expr(), sent);
    }

    pub(super) fn detections(
        &self,
        camera: &str,
        record: MakeRecord<'_>,
        found: Option<&FrameDetections>,
    ) {
        let Some(publishers) = self.of(camera) else { return };
        let sent = publishers.detections.put(to_json(&record())).wait();
        log(&self.session, publishers.detections.key_expr(), sent);
        if let (Some(publisher), Some(found)) = (&publishers.cdr, found) {
            let message = detection_2d_array(found).encode();
            log(&self.session, publisher.key_expr(), publisher.put(message).wait());
        }
        if let (Some(publisher), Some(found)) = (&publishers.instances, found)
            && found.has_masks
            && has_subscriber(publisher)
        {
            let message = MaskPictures::of(found).instances().encode();
            log(&self.session, publisher.key_expr(), publisher.put(message).wait());
        }
    }

    pub(super) fn wants_overlay(&self, camera: &str) -> bool {
        self.of(camera).is_some_and(|publishers| has_subscriber(&publishers.overlay))
    }

    pub(super) fn overlay(&self, camera: &str, header: &FrameHeader, jpeg: Vec<u8>) {
        let Some(publishers) = self.of(camera) else { return };
        let attachment = json!({ "stamp_ns": header.stamp.0, "frame_id": &*header.frame_id });
        let sent = publishers.overlay.put(jpeg).attachment(to_json(&attachment)).wait();
        log(&self.session, publishers.overlay.key_expr(), sent);
    }

    pub(super) fn put(&self, key: &OwnedKeyExpr, json: Vec<u8>) {
        let put = self.session.put(key, json).encoding(Encoding::APPLICATION_JSON);
        log(&self.session, key, put.wait());
    }

    /// Where what became of a put of prompts is published.
    pub(super) fn answers(&self) -> AnswerPublisher {
        AnswerPublisher { session: self.session.clone(), key: self.keys.prompts_answer() }
    }

    /// The publishers of a camera; a camera for which they cannot be had is told once.
    fn of(&self, camera: &str) -> Option<Arc<CameraPublishers>> {
        let mut cameras = self.cameras.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = cameras.get(camera) {
            return known.clone();
        }
        let made = self.declare(camera).map(Arc::new);
        cameras.insert(camera.to_owned(), made.clone());
        made
    }

    /// The same for what is in space.
    fn space_of(&self, camera: &str) -> Option<Arc<SpacePublishers>> {
        let mut spaces = self.spaces.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = spaces.get(camera) {
            return known.clone();
        }
        let made = self.declare_space(camera).map(Arc::new);
        spaces.insert(camera.to_owned(), made.clone());
        made
    }

    fn declare(&self, camera: &str) -> Option<CameraPublishers> {
        let declare = |output, encoding| self.publisher(camera, output, encoding);
        let cdr = cdr_of(Detection2DArray::TYPE);
        Some(CameraPublishers {
            detections: declare("detections", Encoding::APPLICATION_JSON)?,
            cdr: if self.outputs.cdr { Some(declare("detections_cdr", cdr)?) } else { None },
            overlay: declare("overlay", Encoding::IMAGE_JPEG)?,
            instances: match self.outputs.cdr {
                true => Some(declare("instances_cdr", cdr_of(Image::TYPE))?),
                false => None,
            },
        })
    }

    fn declare_space(&self, camera: &str) -> Option<SpacePublishers> {
        let declare = |output, encoding| self.publisher(camera, output, encoding);
        let cdr = cdr_of(Detection3DArray::TYPE);
        Some(SpacePublishers {
            detections: declare("detections_3d", Encoding::APPLICATION_JSON)?,
            cdr: if self.outputs.cdr { Some(declare("detections_3d_cdr", cdr)?) } else { None },
            cloud: declare("cloud", cdr_of(PointCloud2::TYPE))?,
            pick: match self.outputs.space.picks {
                true => Some(declare("pick", Encoding::APPLICATION_JSON)?),
                false => None,
            },
            pick_cdr: match self.outputs.space.picks && self.outputs.cdr {
                true => Some(declare("pick_cdr", cdr_of(PoseStamped::TYPE))?),
                false => None,
            },
            heightmap: match self.outputs.space.heightmap {
                true => Some([
                    declare("heightmap", cdr_of(Image::TYPE))?,
                    declare("heightmap_scores", cdr_of(Image::TYPE))?,
                    declare("heightmap_labels", cdr_of(Image::TYPE))?,
                    declare("heightmap_color", cdr_of(Image::TYPE))?,
                    declare("heightmap_prompts", cdr_of(Image::TYPE))?,
                ]),
                false => None,
            },
        })
    }

    fn publisher(
        &self,
        camera: &str,
        output: &str,
        encoding: Encoding,
    ) -> Option<Publisher<'static>> {
        let key = self.keys.output(output, camera)?;
        let publisher = self.session.declare_publisher(key.clone()).encoding(encoding).wait();
        publisher.inspect_err(|error| tracing::warn!("zenoh: {key}: {error}")).ok()
    }
}

fn cdr_of(message_type: &str) -> Encoding {
    Encoding::APPLICATION_CDR.with_schema(message_type)
}

fn has_subscriber(publisher: &Publisher<'_>) -> bool {
    publisher.matching_status().wait().is_ok_and(|status| status.matching())
}

/// Publishes what became of prompts that were put.
#[derive(Clone)]
pub(super) struct AnswerPublisher {
    session: Session,
    key: OwnedKeyExpr,
}

impl AnswerPublisher {
    pub(super) fn publish(&self, answer: &PromptsAnswer) {
        let json = match answer {
            Ok(prompts) => to_json(&PromptsRecord::from(&**prompts)),
            Err(refused) => to_json(refused),
        };
        let put = self.session.put(&self.key, json).encoding(Encoding::APPLICATION_JSON);
        log(&self.session, &self.key, put.wait());
    }
}

/// Plain data as JSON.
pub(super) fn to_json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("records hold no map with keys that are not texts")
}

/// What is sent while the session closes reaches nobody any more, and nobody misses it.
fn log(session: &Session, key: &keyexpr, sent: zenoh::Result<()>) {
    if let Err(error) = sent
        && !session.is_closed()
    {
        tracing::warn!("zenoh: {key}: {error}");
    }
}
