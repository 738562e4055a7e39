//! What places in space need and what comes of them: calibrations, depth and transforms in; boxes
//! in metres and clouds out.

use std::sync::Arc;

use super::topics::{Out, ros_type};
use super::{Durability, Held, LinkError, Qos, Reliability, RosBytes, RosEndpoint, RosLink};
use crate::transport::frames::{MessagePicture, frame_from_message};
use crate::transport::heightmaps::HeightmapPictures;
use crate::transport::live::{
    CameraPart, DepthMessage, ImageError, NodeInput, SpaceKeys, SpaceOutputs, TransformKind,
};
use crate::types::{
    Cloud, DepthImage, FrameDetections, FrameHeader, FramePlaces, Heightmap, Picture,
};
use crate::wire::Message;
use crate::wire::geometry_msgs::PoseStamped;
use crate::wire::sensor_msgs::{CameraInfo, Image, PointCloud2, point_bytes};
use crate::wire::tf2_msgs::TFMessage;
use crate::wire::vision_msgs::{Detection3DArray, best_pick, detection_3d_array, picks_array};

/// As tf2 listens to `/tf`, and to `/tf_static`.
const TF: Qos =
    Qos { reliability: Reliability::Reliable, durability: Durability::Volatile, depth: 100 };
const TF_STATIC: Qos = Qos { durability: Durability::TransientLocal, ..TF };

/// The topics of one camera.
pub(super) struct SpaceTopics {
    camera: Arc<str>,
    /// In front of the names of topics that are read.
    prefix: String,
    /// The full name of the topic of depth.
    depth: Arc<str>,
    detections: Out,
    cloud: Out,
    picks: Option<PickTopics>,
    heightmap: Option<HeightmapTopics>,
}

struct PickTopics {
    best: Out,
    all: Out,
}

struct HeightmapTopics {
    heights: Out,
    scores: Out,
    labels: Out,
    colours: Out,
    prompts: Out,
}

impl HeightmapTopics {
    fn open(link: &dyn RosLink, prefix: &str) -> Result<Self, LinkError> {
        let open = |name: &str| {
            let topic = format!("{prefix}heightmap{name}");
            Out::open::<Image<'_>>(link, &topic, Qos::RELIABLE)
        };
        Ok(Self {
            heights: open("")?,
            scores: open("/scores")?,
            labels: open("/labels")?,
            colours: open("/color")?,
            prompts: open("/prompts")?,
        })
    }

    fn all(&self) -> [&Out; 5] {
        [&self.heights, &self.scores, &self.labels, &self.colours, &self.prompts]
    }
}

impl SpaceTopics {
    pub(super) fn open(
        link: &dyn RosLink,
        camera: &str,
        in_prefix: &str,
        out_prefix: &str,
        options: &SpaceOutputs,
    ) -> Result<Self, LinkError> {
        let (detections, cloud) =
            (format!("{out_prefix}detections_3d"), format!("{out_prefix}cloud"));
        Ok(Self {
            camera: camera.into(),
            prefix: in_prefix.to_owned(),
            depth: link.resolve(&format!("{in_prefix}depth")).into(),
            detections: Out::open::<Detection3DArray<'_>>(link, &detections, Qos::RELIABLE)?,
            cloud: Out::open::<PointCloud2<'_>>(link, &cloud, Qos::SENSOR_DATA)?,
            picks: match options.picks {
                true => Some(PickTopics {
                    best: Out::open::<PoseStamped<'_>>(
                        link,
                        &format!("{out_prefix}pick"),
                        Qos::RELIABLE,
                    )?,
                    all: Out::open::<Detection3DArray<'_>>(
                        link,
                        &format!("{out_prefix}picks"),
                        Qos::RELIABLE,
                    )?,
                }),
                false => None,
            },
            heightmap: match options.heightmap {
                true => Some(HeightmapTopics::open(link, out_prefix)?),
                false => None,
            },
        })
    }

    /// Takes calibrations and depth for as long as the answer is held.
    pub(super) fn listen(
        &self,
        link: &dyn RosLink,
        input: &Arc<dyn NodeInput>,
    ) -> Result<Vec<Held>, LinkError> {
        let mut held = Vec::new();
        for (name, part) in
            [("camera_info", CameraPart::Colour), ("depth_camera_info", CameraPart::Depth)]
        {
            let topic = format!("{}{name}", self.prefix);
            let (full, camera, input) =
                (link.resolve(&topic), Arc::clone(&self.camera), Arc::clone(input));
            let ros_type = ros_type::<CameraInfo<'_>>();
            held.push(link.subscribe(
                RosEndpoint { topic: &topic, ros_type, qos: Qos::SENSOR_DATA },
                Box::new(move |message| {
                    let info = CameraInfo::decode(&message.bytes())
                        .map(|info| info.to_calibration())
                        .map_err(|error| error.to_string());
                    input.calibration(&camera, part, &full, info);
                }),
            )?);
        }
        let (topic, camera) = (Arc::clone(&self.depth), Arc::clone(&self.camera));
        let input = Arc::clone(input);
        let ros_type = ros_type::<Image<'_>>();
        held.push(link.subscribe(
            RosEndpoint { topic: &self.depth, ros_type, qos: Qos::SENSOR_DATA },
            Box::new(move |bytes| {
                let message = ReceivedDepth { topic: Arc::clone(&topic), bytes };
                input.depth(&camera, &topic, Box::new(message));
            }),
        )?);
        Ok(held)
    }

    /// Where depth and calibration are waited for.
    pub(super) fn keys(&self, link: &dyn RosLink) -> SpaceKeys {
        SpaceKeys {
            depth: self.depth.to_string(),
            calibration: link.resolve(&format!("{}camera_info", self.prefix)),
        }
    }

    pub(super) fn places(&self, found: &FrameDetections, places: &FramePlaces) {
        self.detections.send(&detection_3d_array(found, places));
        if let Some(picks) = &self.picks {
            picks.all.send(&picks_array(found, places));
            // No pose says that there is none: who waits for one keeps waiting.
            if let Some(pose) = best_pick(found, places) {
                picks.best.send(&pose);
            }
        }
    }

    pub(super) fn wants_heightmap(&self) -> bool {
        self.heightmap.iter().flat_map(HeightmapTopics::all).any(Out::has_readers)
    }

    pub(super) fn heightmap(&self, map: &Heightmap) {
        let Some(topics) = &self.heightmap else { return };
        let pictures = HeightmapPictures::of(map);
        for (topic, message) in topics.all().into_iter().zip(pictures.all()) {
            if let Some(message) = message
                && topic.has_readers()
            {
                topic.send(&message);
            }
        }
    }

    pub(super) fn wants_cloud(&self) -> bool {
        self.cloud.has_readers()
    }

    pub(super) fn cloud(&self, cloud: &Cloud) {
        let bytes = point_bytes(&cloud.points);
        // Made of whole points, and of no more than a message counts.
        if let Some(message) = PointCloud2::of_points((&cloud.header).into(), &bytes) {
            self.cloud.send(&message);
        }
    }
}

/// Takes transforms for as long as the answer is held.
pub(super) fn listen_to_transforms(
    link: &dyn RosLink,
    input: &Arc<dyn NodeInput>,
) -> Result<Vec<Held>, LinkError> {
    let topics =
        [("/tf", TF, TransformKind::Moving), ("/tf_static", TF_STATIC, TransformKind::Static)];
    let listen = |(topic, qos, kind)| {
        let (full, input) = (link.resolve(topic), Arc::clone(input));
        link.subscribe(
            RosEndpoint { topic, ros_type: ros_type::<TFMessage<'_>>(), qos },
            Box::new(move |message| {
                let transforms = TFMessage::decode(&message.bytes())
                    .map(|message| message.to_transforms())
                    .map_err(|error| error.to_string());
                input.transforms(&full, kind, transforms);
            }),
        )
    };
    topics.into_iter().map(listen).collect()
}

/// A depth picture as it came. Its bytes stay where the link has them until it is decoded.
struct ReceivedDepth {
    topic: Arc<str>,
    bytes: Box<dyn RosBytes>,
}

/// A message whose pixels are no depths.
#[derive(Debug, thiserror::Error)]
#[error("{topic}: expected depth (16UC1 or 32FC1), found {encoding}")]
struct NoDepth {
    topic: String,
    encoding: String,
}

impl DepthMessage for ReceivedDepth {
    fn header(&self) -> Result<FrameHeader, ImageError> {
        Ok(Image::decode(&self.bytes.bytes())?.header.to_frame_header())
    }

    fn decode(&self) -> Result<DepthImage, ImageError> {
        let bytes = self.bytes.bytes();
        let MessagePicture { picture, encoding, .. } =
            frame_from_message(&self.topic, Image::TYPE, &bytes)?;
        match picture {
            Picture::Depth(depth) => Ok(depth),
            Picture::Color(_) => Err(NoDepth { topic: self.topic.to_string(), encoding }.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Stamp;
    use crate::wire::std_msgs::Header;

    #[test]
    fn depth_is_read_late_and_what_is_none_is_named() {
        let header = Header { stamp: Stamp(5).into(), frame_id: "optical" };
        let data = [0xe8, 3, 0, 0];
        let image = Image {
            header,
            height: 1,
            width: 2,
            encoding: "16UC1",
            step: 4,
            data: &data,
            ..Image::default()
        };
        let received = |image: &Image<'_>| ReceivedDepth {
            topic: "/depth".into(),
            bytes: Box::new(image.encode()),
        };
        let depth = received(&image);
        assert_eq!(depth.header().unwrap().stamp, Stamp(5));
        let metres = depth.decode().unwrap();
        assert_eq!((metres.width(), metres.height()), (2, 1));
        assert_eq!(metres.metres()[0], 1.0);
        let colour = Image { encoding: "rgb8", width: 1, data: &data[..3], step: 3, ..image };
        let error = received(&colour).decode().unwrap_err().to_string();
        assert_eq!(error, "/depth: expected depth (16UC1 or 32FC1), found rgb8");
        let cut = ReceivedDepth { topic: "/depth".into(), bytes: Box::new(vec![0, 1, 0]) };
        assert!(cut.header().is_err() && cut.decode().is_err());
    }
}
