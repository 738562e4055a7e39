//! Which topics of a recording say where things are.

use owlet::config::Config;
use owlet::transport::inspect::{Inspection, TopicInspection, UsedAs};
use owlet::types::LocateMode;

use super::super::Refused;
use super::source::Topic;

/// What belongs to one image topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct CameraTopics {
    pub image: String,
    pub depth: Option<String>,
    pub info: Option<String>,
    /// Of the depth camera, where it is not that of the images.
    pub depth_info: Option<String>,
}

/// All that places are made from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SpaceTopics {
    /// Those whose detections get places.
    pub cameras: Vec<CameraTopics>,
    /// Topics of transforms.
    pub transforms: Vec<String>,
}

impl SpaceTopics {
    /// What the recording has for these image topics.
    ///
    /// # Errors
    /// Depth topics that were asked for and are not there.
    pub(super) fn choose(
        recording: &Inspection,
        images: &[Topic],
        config: &Config,
    ) -> Result<Self, Refused> {
        if config.locate == LocateMode::Never {
            return Ok(Self::default());
        }
        check_asked(recording, images, &config.depth_topics)?;
        let cameras = images.iter().enumerate().filter_map(|(index, image)| {
            let depth = match config.depth_topics.as_slice() {
                [] => depth_for(recording, images, &image.name),
                asked => asked.get(index).cloned(),
            };
            let is_wanted = depth.is_some() || config.locate == LocateMode::Always;
            is_wanted.then(|| camera_topics(recording, &image.name, depth))
        });
        let cameras: Vec<_> = cameras.collect();
        let is_tf = |topic: &&TopicInspection| topic.used_as == Some(UsedAs::Transforms);
        let transforms = match cameras.is_empty() {
            true => Vec::new(),
            false => recording.topics.iter().filter(is_tf).map(|tf| tf.name.clone()).collect(),
        };
        Ok(Self { cameras, transforms })
    }

    /// The names of all of them, without the images.
    pub(super) fn names(&self) -> Vec<&str> {
        let of_cameras = self.cameras.iter().flat_map(|camera| {
            [&camera.depth, &camera.info, &camera.depth_info].into_iter().flatten()
        });
        let mut names: Vec<_> = of_cameras.chain(&self.transforms).map(String::as_str).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// What belongs to an image topic whose detections get places.
    pub(super) fn of(&self, image: &str) -> Option<&CameraTopics> {
        self.cameras.iter().find(|camera| camera.image == image)
    }
}

/// Whether a topic of transforms holds for ever.
pub(super) fn is_static(topic: &str) -> bool {
    topic.ends_with("tf_static")
}

fn check_asked(recording: &Inspection, images: &[Topic], asked: &[String]) -> Result<(), Refused> {
    let mut problems = Vec::new();
    if asked.len() > images.len() {
        problems.push(format!(
            "expected at most one for each of {} image topics, found {}",
            images.len(),
            asked.len()
        ));
    }
    for name in asked {
        let is_depth =
            |topic: &TopicInspection| topic.name == *name && topic.used_as == Some(UsedAs::Depth);
        if !recording.topics.iter().any(is_depth) {
            let all = names_of(recording, UsedAs::Depth);
            let others = match all.is_empty() {
                true => "there are none".to_owned(),
                false => format!("there are {}", all.join(", ")),
            };
            problems.push(format!("{name}: no topic with depth images; {others}"));
        }
    }
    match problems.is_empty() {
        true => Ok(()),
        false => Err(Refused(format!("depth_topics: {}", problems.join("; ")))),
    }
}

fn names_of(recording: &Inspection, used_as: UsedAs) -> Vec<&str> {
    let topics = recording.topics.iter().filter(|topic| topic.used_as == Some(used_as));
    topics.map(|topic| topic.name.as_str()).collect()
}

/// The depth topic of an image topic: one in the frame of the images; else the only one there is,
/// or one below the same name.
fn depth_for(recording: &Inspection, images: &[Topic], image: &str) -> Option<String> {
    let frame_of = |name: &str, used_as| {
        let is_it = |topic: &&TopicInspection| topic.name == name && topic.used_as == Some(used_as);
        let topic = recording.topics.iter().find(is_it)?;
        topic.picture.as_ref().map(|picture| picture.frame_id.clone())
    };
    let depths = names_of(recording, UsedAs::Depth);
    let frame = frame_of(image, UsedAs::Color);
    let registered: Vec<_> =
        depths.iter().copied().filter(|depth| frame_of(depth, UsedAs::Depth) == frame).collect();
    if let Some(depth) = most_alike(image, &registered) {
        return Some(depth.to_owned());
    }
    match depths.as_slice() {
        [only] if images.len() == 1 => Some((*only).to_owned()),
        _ => {
            let below = depths.iter().copied().filter(|depth| alike(image, depth) > 0);
            most_alike(image, &below.collect::<Vec<_>>()).map(str::to_owned)
        }
    }
}

fn camera_topics(recording: &Inspection, image: &str, depth: Option<String>) -> CameraTopics {
    let infos = names_of(recording, UsedAs::Calibration);
    // Where drivers put it; else the only one, or one below the same name.
    let beside = |topic: &str| {
        let expected = format!("{}/camera_info", namespace_of(topic));
        infos.iter().copied().find(|info| *info == expected)
    };
    let info = beside(image).or_else(|| match infos.as_slice() {
        [only] => Some(*only),
        _ => {
            let below: Vec<_> =
                infos.iter().copied().filter(|info| alike(image, info) > 0).collect();
            most_alike(image, &below)
        }
    });
    let depth_info = depth.as_deref().and_then(beside).filter(|own| Some(*own) != info);
    CameraTopics {
        image: image.to_owned(),
        info: info.map(str::to_owned),
        depth_info: depth_info.map(str::to_owned),
        depth,
    }
}

/// `/camera/color` of `/camera/color/image_raw/compressed`.
fn namespace_of(topic: &str) -> &str {
    let parent = |topic| str::rsplit_once(topic, '/').map_or("", |(parent, _)| parent);
    match topic.rsplit('/').next() {
        Some("compressed" | "compressedDepth" | "zstd") => parent(parent(topic)),
        _ => parent(topic),
    }
}

/// Parts at their beginning that two names share.
fn alike(one: &str, other: &str) -> usize {
    let parts = one.split('/').zip(other.split('/'));
    parts.filter(|(part, _)| !part.is_empty()).take_while(|(a, b)| a == b).count()
}

/// The first of those that share most.
fn most_alike<'a>(topic: &str, others: &[&'a str]) -> Option<&'a str> {
    others.iter().copied().rev().max_by_key(|other| alike(topic, other))
}

#[cfg(test)]
mod tests {
    use owlet::transport::inspect::PictureInspection;

    use super::*;

    fn topic(name: &str, used_as: UsedAs, frame_id: &str) -> TopicInspection {
        let picture = PictureInspection {
            encoding: String::new(),
            width: 1,
            height: 1,
            frame_id: frame_id.to_owned(),
        };
        TopicInspection {
            name: name.to_owned(),
            message_type: String::new(),
            encoding: "cdr".to_owned(),
            message_count: 1,
            rate_hz: None,
            picture: (used_as != UsedAs::Calibration).then_some(picture),
            used_as: Some(used_as),
            reason: None,
        }
    }

    fn chosen(topics: &[(&str, UsedAs, &str)], config: &Config) -> Result<SpaceTopics, Refused> {
        let recording = Inspection {
            path: "bag".into(),
            storage: None,
            compression: owlet::transport::rosbag2::Compression::None,
            metadata_version: None,
            ros_distro: None,
            files: Vec::new(),
            start_nanos: None,
            duration_secs: 0.0,
            message_count: 0,
            topics: topics.iter().map(|(name, used, frame)| topic(name, *used, frame)).collect(),
            notes: Vec::new(),
            losses: Default::default(),
        };
        let images: Vec<_> = names_of(&recording, UsedAs::Color)
            .into_iter()
            .map(|name| Topic { name: name.into(), message_type: "".into(), messages: 1 })
            .collect();
        SpaceTopics::choose(&recording, &images, config)
    }

    use UsedAs::{Calibration, Color, Depth};

    const REALSENSE: [(&str, UsedAs, &str); 6] = [
        ("/cam/aligned_depth_to_color/camera_info", Calibration, ""),
        ("/cam/aligned_depth_to_color/image_raw", Depth, "color_optical"),
        ("/cam/color/camera_info", Calibration, ""),
        ("/cam/color/image_raw/compressed", Color, "color_optical"),
        ("/cam/depth/camera_info", Calibration, ""),
        ("/cam/depth/image_rect_raw/compressedDepth", Depth, "depth_optical"),
    ];

    #[test]
    fn depth_in_the_frame_of_the_images_is_taken_first() {
        let found = chosen(&REALSENSE, &Config::default()).unwrap();
        assert_eq!(
            found.cameras,
            [CameraTopics {
                image: "/cam/color/image_raw/compressed".to_owned(),
                depth: Some("/cam/aligned_depth_to_color/image_raw".to_owned()),
                info: Some("/cam/color/camera_info".to_owned()),
                depth_info: Some("/cam/aligned_depth_to_color/camera_info".to_owned()),
            }]
        );
        // Without it that of the depth camera, with its own calibration.
        let found = chosen(&REALSENSE[2..], &Config::default()).unwrap();
        let camera = &found.cameras[0];
        assert_eq!(camera.depth.as_deref(), Some("/cam/depth/image_rect_raw/compressedDepth"));
        assert_eq!(camera.depth_info.as_deref(), Some("/cam/depth/camera_info"));
    }

    #[test]
    fn each_of_several_cameras_has_its_own_depth_or_none() {
        let topics = [
            ("/left/depth", Depth, "left_depth"),
            ("/left/image", Color, "left"),
            ("/right/camera_info", Calibration, ""),
            ("/right/image", Color, "right"),
        ];
        let found = chosen(&topics, &Config::default()).unwrap();
        assert_eq!(found.cameras.len(), 1);
        assert_eq!(found.of("/left/image").unwrap().depth.as_deref(), Some("/left/depth"));
        let on = Config { locate: LocateMode::Always, ..Config::default() };
        let found = chosen(&topics, &on).unwrap();
        assert_eq!(found.of("/right/image").unwrap().depth, None);
        let off = Config { locate: LocateMode::Never, ..Config::default() };
        assert_eq!(chosen(&topics, &off).unwrap(), SpaceTopics::default());
    }

    #[test]
    fn what_is_asked_for_is_taken_or_refused() {
        let ask = |topics: &[&str]| {
            let depth_topics = topics.iter().map(|topic| (*topic).to_owned()).collect();
            chosen(&REALSENSE, &Config { depth_topics, ..Config::default() })
        };
        let asked = "/cam/depth/image_rect_raw/compressedDepth";
        assert_eq!(ask(&[asked]).unwrap().cameras[0].depth.as_deref(), Some(asked));
        let error = ask(&["/nowhere", asked]).unwrap_err().to_string();
        assert!(error.contains("at most one for each of 1 image topics"), "{error}");
        assert!(error.contains("/nowhere: no topic with depth images; there are /cam"), "{error}");
    }
}
