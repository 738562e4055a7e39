//! Places in a replay: frames are held until what belongs to them has been read, so that what is
//! found depends on the recording alone and not on how fast it is read.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use owlet::pipeline::Incoming;
use owlet::spatial::{
    CalibrationOf, Depth, LazyDepth, LocatedFrame, PlaceCounts, Resolution, Spatial,
    SpatialSettings, View, picture_kind_of,
};
use owlet::transport::frames::{frame_from_message, header_of_message};
use owlet::transport::rosbag2::RawMessage;
use owlet::types::{FrameDetections, FrameHeader, NoPlace, NoPlaceKind, Picture, Stamp};
use owlet::wire::Message;
use owlet::wire::sensor_msgs::CameraInfo;
use owlet::wire::tf2_msgs::TFMessage;
use serde_json::{Value, json};

use super::space_topics::{SpaceTopics, is_static};

/// Frames that are held at most: where log times stand still, patience has no end.
const MOST_HELD: usize = 32;

/// What belongs to one frame.
pub(super) struct FrameSpace {
    header: FrameHeader,
    view: Result<Box<View>, NoPlace>,
}

impl FrameSpace {
    /// Where the detections of the frame are.
    pub(super) fn locate(
        &self,
        found: &FrameDetections,
        image: Option<&image::RgbImage>,
    ) -> LocatedFrame {
        match &self.view {
            Ok(view) => view.locate(found, image),
            Err(missing) => {
                LocatedFrame::without(self.header.clone(), found.detections.len(), missing.clone())
            }
        }
    }
}

/// Messages on one topic that could not be used.
#[derive(Clone, Debug)]
pub(super) struct Unusable {
    count: u64,
    first: String,
}

/// The reader's side: what was read of depth, calibrations and transforms, and frames that wait for
/// it.
pub(super) struct SpaceReader<'a> {
    topics: &'a SpaceTopics,
    spatial: Spatial,
    held: VecDeque<Incoming>,
    unusable: BTreeMap<Arc<str>, Unusable>,
}

impl<'a> SpaceReader<'a> {
    pub(super) fn new(topics: &'a SpaceTopics, settings: SpatialSettings) -> Self {
        let mut spatial = Spatial::new(settings);
        for camera in &topics.cameras {
            spatial.set_picture_kind(&camera.image, picture_kind_of(&camera.image));
        }
        Self { topics, spatial, held: VecDeque::new(), unusable: BTreeMap::new() }
    }

    /// Takes a message that is not of an image topic.
    pub(super) fn take(&mut self, message: RawMessage) {
        let topic = Arc::clone(&message.topic);
        if let Err(reason) = self.try_take(message) {
            let unusable = self.unusable.entry(Arc::clone(&topic));
            let unusable = unusable.or_insert_with(|| {
                tracing::warn!("{topic}: {reason}");
                Unusable { count: 0, first: reason }
            });
            unusable.count += 1;
        }
    }

    fn try_take(&mut self, message: RawMessage) -> Result<(), String> {
        let RawMessage { topic, message_type, data, .. } = message;
        match &*message_type {
            TFMessage::TYPE => {
                let message = TFMessage::decode(&data).map_err(|error| error.to_string())?;
                let taken = self.spatial.transforms(&message.to_transforms(), is_static(&topic));
                return taken.map_err(|(_, reason)| reason);
            }
            CameraInfo::TYPE => {
                let info = CameraInfo::decode(&data).map_err(|error| error.to_string())?;
                let calibration = info.to_calibration();
                for camera in &self.topics.cameras {
                    let parts = [
                        (&camera.info, CalibrationOf::Colour),
                        (&camera.depth_info, CalibrationOf::Depth),
                    ];
                    for (name, of) in parts {
                        if name.as_deref() == Some(&*topic) {
                            let taken =
                                self.spatial.calibration(&camera.image, of, calibration.clone());
                            taken.map_err(|error| error.to_string())?;
                        }
                    }
                }
                return Ok(());
            }
            _ => {}
        }
        let header = header_of_message(&topic, &message_type, &data);
        let header = header.map_err(|error| error.to_string())?;
        let name = Arc::clone(&topic);
        let picture = LazyDepth::new(Box::new(move || {
            let message = frame_from_message(&topic, &message_type, &data);
            match message.map_err(|error| error.to_string())?.picture {
                Picture::Depth(depth) => Ok(depth),
                Picture::Color(_) => Err(format!("{topic}: expected depth, found colour")),
            }
        }));
        let depth = Depth { header, picture };
        for camera in &self.topics.cameras {
            if camera.depth.as_deref() == Some(&*name) {
                self.spatial.depth(&camera.image, depth.clone());
            }
        }
        Ok(())
    }

    /// Takes a frame, in the order of the recording.
    pub(super) fn hold(&mut self, incoming: Incoming) {
        let frame = &incoming.frame;
        if self.topics.of(&frame.camera).is_some() {
            self.spatial.image(&frame.camera, frame.header.stamp, frame.received);
        }
        self.held.push_back(incoming);
    }

    /// The next frame, once all that belongs to it has come; `now` is the log time up to which the
    /// recording was read, `None` its end.
    pub(super) fn next(&mut self, now: Option<Stamp>) -> Option<(Incoming, Option<FrameSpace>)> {
        let frame = &self.held.front()?.frame;
        let mut space = None;
        if self.topics.of(&frame.camera).is_some() {
            let is_full = self.held.len() > MOST_HELD;
            let now = now.filter(|_| !is_full).unwrap_or(Stamp(i64::MAX));
            let size_px = frame.image.dimensions().into();
            let view = match self.spatial.resolve(&frame.camera, &frame.header, size_px, now) {
                Resolution::Ready(view) => view,
                // With time at its end nothing waits, unless an image was to wait for longer.
                Resolution::Wait(_) if now == Stamp(i64::MAX) => {
                    Err(NoPlace::new(NoPlaceKind::Late, "the recording ended"))
                }
                Resolution::Wait(_) => return None,
            };
            let header = self.spatial.places_header(&frame.header);
            space = Some(FrameSpace { header, view });
        }
        self.held.pop_front().map(|incoming| (incoming, space))
    }

    /// Messages that could not be used, in sentences.
    pub(super) fn notes(&self) -> Vec<String> {
        let unusable = self.unusable.iter();
        unusable
            .map(|(topic, Unusable { count, first })| match count {
                1 => format!("{topic}: one message could not be used for places: {first}"),
                _ => format!("{topic}: {count} messages could not be used for places: {first}"),
            })
            .collect()
    }
}

/// What came of the places of each camera.
#[derive(Default)]
pub(super) struct PlacesTally(BTreeMap<Arc<str>, PlaceCounts>);

impl PlacesTally {
    pub(super) fn add(&mut self, camera: &Arc<str>, located: &LocatedFrame) {
        let counts = self.0.entry(Arc::clone(camera)).or_default();
        counts.add(&located.places, located.missing.as_ref());
    }

    /// For `run.json`; `None` where no places were looked for.
    pub(super) fn to_json(&self) -> Option<Value> {
        let cameras = self.0.iter().map(|(camera, counts)| {
            let value = json!({
                "frames": counts.frames,
                "frames_without": named(&counts.frames_without),
                "located": counts.located,
                "unlocated": named(&counts.unlocated),
            });
            (camera.to_string(), value)
        });
        (!self.0.is_empty()).then(|| Value::Object(cameras.collect()))
    }

    /// In a sentence for each camera.
    pub(super) fn to_sentences(&self) -> Vec<String> {
        let cameras = self.0.iter();
        cameras
            .map(|(camera, counts)| {
                let all = counts.detections();
                let why: Vec<_> = counts
                    .unlocated
                    .iter()
                    .map(|(kind, count)| format!("{} {count}", kind.name()))
                    .collect();
                let without = match why.is_empty() {
                    true => String::new(),
                    false => format!("; without: {}", why.join(", ")),
                };
                format!("{camera}: {} of {all} detections have a place{without}", counts.located)
            })
            .collect()
    }
}

fn named(by_kind: &BTreeMap<NoPlaceKind, u64>) -> BTreeMap<&'static str, u64> {
    by_kind.iter().map(|(kind, count)| (kind.name(), *count)).collect()
}
