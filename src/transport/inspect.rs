//! What is in a recording, and what Owlet could do with it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::types::Picture;
use crate::wire::Message as _;
use crate::wire::tf2_msgs::TFMessage;

use super::frames::{TopicForm, frame_from_message, usable};
use super::rosbag2::{
    BagError, BagFile, BagReader, Compression, FileState, LossReport, Storage, TopicInfo,
    TopicTimes,
};

/// Messages of a topic that are tried before it is said that its pictures cannot be decoded:
/// cameras may start with a broken one.
const TRIES: u32 = 3;

/// What is in a recording.
#[derive(Clone, Debug, Serialize)]
pub struct Inspection {
    /// Where it is.
    pub path: PathBuf,
    /// What its messages are kept in.
    pub storage: Option<Storage>,
    /// How rosbag2 compressed it.
    pub compression: Compression,
    /// Version of its `metadata.yaml`.
    pub metadata_version: Option<u32>,
    /// The ROS distribution that recorded it.
    pub ros_distro: Option<String>,
    /// Its files in the order of recording.
    pub files: Vec<BagFile>,
    /// Log time of the first message, in nanoseconds.
    pub start_nanos: Option<i64>,
    /// From the first message to the last, in seconds.
    pub duration_secs: f64,
    /// Messages on all topics.
    pub message_count: u64,
    /// Its topics, by name.
    pub topics: Vec<TopicInspection>,
    /// What the user should know of how the recording was opened.
    pub notes: Vec<String>,
    /// What is known to be damaged or missing without reading all of it.
    pub losses: LossReport,
}

/// One topic of a recording.
#[derive(Clone, Debug, Serialize)]
pub struct TopicInspection {
    /// Its name.
    pub name: String,
    /// Full name of its type.
    pub message_type: String,
    /// How its messages are encoded.
    pub encoding: String,
    /// Messages on it.
    pub message_count: u64,
    /// Messages a second, between the first and the last one on the topic by their log times;
    /// `None` with fewer than two messages.
    pub rate_hz: Option<f64>,
    /// The first picture on it, where there are pictures.
    pub picture: Option<PictureInspection>,
    /// What Owlet can use it for; `None` is nothing.
    pub used_as: Option<UsedAs>,
    /// Why it cannot be used.
    pub reason: Option<String>,
}

/// What a topic can be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum UsedAs {
    /// Colour images: things can be found in them.
    Color,
    /// Depth images.
    Depth,
    /// Calibration of a camera.
    Calibration,
    /// Transforms between frames.
    Transforms,
}

/// What a topic's pictures look like.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PictureInspection {
    /// Name of the layout of the pixels, as the messages give it.
    pub encoding: String,
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Coordinate frame of the camera.
    pub frame_id: String,
}

/// Looks into a recording: reads what it says of itself, the times in its indexes, and the first
/// picture of every topic with pictures. Time does not grow with the pictures in it, except for
/// files that are compressed as a whole, which must be unpacked.
///
/// # Errors
/// Where there is no recording, or none of its files can be read.
pub fn inspect(path: impl AsRef<Path>) -> Result<Inspection, BagError> {
    let mut bag = BagReader::open(path)?;
    let times = bag.topic_times()?;
    let mut first_pictures = first_pictures(&mut bag)?;
    let losses = bag.losses().clone();
    let info = bag.info();
    let duration_secs = info.duration.as_secs_f64();
    let mut topics: Vec<TopicInspection> = info
        .topics
        .iter()
        .zip(times.into_iter().chain(std::iter::repeat(None)))
        .map(|(topic, times)| {
            let found = first_pictures.remove(&key(topic));
            let (picture, used_as, reason) = judge(topic, found);
            TopicInspection {
                name: topic.name.to_string(),
                message_type: topic.message_type.to_string(),
                encoding: topic.encoding.clone(),
                message_count: topic.message_count,
                rate_hz: rate_hz(topic.message_count, times, duration_secs),
                picture,
                used_as,
                reason,
            }
        })
        .collect();
    topics.sort_by(|a, b| (&a.name, &a.message_type).cmp(&(&b.name, &b.message_type)));
    Ok(Inspection {
        path: info.path.clone(),
        storage: info.storage,
        compression: info.compression,
        metadata_version: info.metadata_version,
        ros_distro: info.ros_distro.clone(),
        files: info.files.clone(),
        start_nanos: info.start.map(|start| start.0),
        duration_secs,
        message_count: info.message_count,
        topics,
        notes: info.notes.clone(),
        losses,
    })
}

/// Name and type: some writers put two types on one name.
fn key(topic: &TopicInfo) -> (String, String) {
    (topic.name.to_string(), topic.message_type.to_string())
}

/// By the first and last message of the topic where they are known, else over the whole bag.
fn rate_hz(count: u64, times: Option<TopicTimes>, bag_duration_secs: f64) -> Option<f64> {
    let (count, secs) = match times {
        // The difference as an integer: seconds since 1970 leave a float too few digits.
        Some(TopicTimes { count, first, last }) => (count, last.0.abs_diff(first.0) as f64 * 1e-9),
        None => (count, bag_duration_secs),
    };
    (count > 1 && secs > 0.0).then(|| (count - 1) as f64 / secs)
}

/// The first picture of a topic, or why its messages hold none.
enum First {
    Picture(PictureInspection, UsedAs),
    Broken { error: String, tries: u32 },
}

/// Decodes messages of every topic with pictures until one gives a picture.
fn first_pictures(bag: &mut BagReader) -> Result<BTreeMap<(String, String), First>, BagError> {
    let holds_pictures = |topic: &&TopicInfo| {
        let form = usable(&topic.message_type);
        topic.is_readable()
            && topic.message_count > 0
            && matches!(form, Ok(TopicForm::Image | TopicForm::CompressedImage))
    };
    let mut names: Vec<String> = bag
        .info()
        .topics
        .iter()
        .filter(holds_pictures)
        .map(|topic| topic.name.to_string())
        .collect();
    names.sort();
    names.dedup();
    // A file that is compressed as a whole is unpacked for each pass: one pass for all topics. Else
    // each topic is searched for by itself, which skips what stands between.
    let is_packed = bag.info().files.iter().any(|file| file.state == FileState::Packed);
    let passes: Vec<Vec<String>> = match is_packed {
        true if names.is_empty() => Vec::new(),
        true => vec![names],
        false => names.into_iter().map(|name| vec![name]).collect(),
    };
    let mut found = BTreeMap::new();
    for pass in passes {
        let mut open: Vec<&str> = pass.iter().map(String::as_str).collect();
        for message in bag.messages(Some(&open.clone()))? {
            let message = message?;
            let key = (message.topic.to_string(), message.message_type.to_string());
            let tries = match found.get(&key) {
                Some(First::Picture(..)) => continue,
                Some(First::Broken { tries, .. }) => *tries,
                None => 0,
            };
            let first = look_at(&message.topic, &message.message_type, &message.data, tries + 1);
            let is_settled = match &first {
                First::Picture(..) => true,
                First::Broken { tries, .. } => *tries >= TRIES,
            };
            found.insert(key, first);
            if is_settled {
                open.retain(|name| *name != &*message.topic);
            }
            if open.is_empty() {
                break;
            }
        }
    }
    Ok(found)
}

fn look_at(topic: &str, message_type: &str, data: &[u8], tries: u32) -> First {
    match frame_from_message(topic, message_type, data) {
        Ok(found) => {
            let (width, height, used_as) = match &found.picture {
                Picture::Color(image) => (image.width(), image.height(), UsedAs::Color),
                Picture::Depth(depth) => (depth.width(), depth.height(), UsedAs::Depth),
            };
            let frame_id = found.header.frame_id.to_string();
            let encoding = found.encoding;
            First::Picture(PictureInspection { encoding, width, height, frame_id }, used_as)
        }
        Err(error) => First::Broken { error: error.to_string(), tries },
    }
}

fn judge(
    topic: &TopicInfo,
    first: Option<First>,
) -> (Option<PictureInspection>, Option<UsedAs>, Option<String>) {
    let unused = |reason: String| (None, None, Some(reason));
    if !topic.is_readable() {
        return unused(format!("encoded as {:?}; only \"cdr\" can be read", topic.encoding));
    }
    if *topic.message_type == *TFMessage::TYPE {
        return (None, Some(UsedAs::Transforms), None);
    }
    match (usable(&topic.message_type), first) {
        (Err(reason), _) => unused(reason.to_owned()),
        (Ok(TopicForm::CameraInfo), _) => (None, Some(UsedAs::Calibration), None),
        (Ok(_), Some(First::Picture(picture, used_as))) => (Some(picture), Some(used_as), None),
        (Ok(_), Some(First::Broken { error, .. })) => {
            unused(format!("its pictures cannot be decoded: {error}"))
        }
        (Ok(_), None) => unused("no message on it can be read".to_owned()),
    }
}
