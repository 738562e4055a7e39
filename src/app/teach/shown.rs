//! The picture that shows a thing: a file, or a frame of a recording.

use std::sync::Arc;

use anyhow::Context;
use owlet::transport::frames::{MessagePicture, frame_from_message};
use owlet::transport::inspect::inspect;
use owlet::transport::rosbag2::BagReader;
use owlet::types::{ExemplarPicture, Picture};
use owlet::vision::exemplar::{picture_of_file, picture_of_image};

use super::TeachArgs;
use crate::app::Refused;
use crate::app::replay::choose_topics;

const RECORDINGS: [&str; 3] = ["mcap", "db3", "zstd"];

pub(super) fn read_picture(args: &TeachArgs) -> anyhow::Result<ExemplarPicture> {
    let extension = args.input.extension().and_then(|extension| extension.to_str());
    let is_recording = args.input.is_dir() || extension.is_some_and(|e| RECORDINGS.contains(&e));
    if is_recording {
        return frame_of(args);
    }
    picture_of_file(&args.input).with_context(|| args.input.display().to_string())
}

fn frame_of(args: &TeachArgs) -> anyhow::Result<ExemplarPicture> {
    if !(0.0..=1e9).contains(&args.at) {
        let text = format!("--at: expected seconds from 0, found {}", args.at);
        return Err(Refused(text).into());
    }
    let recording = inspect(&args.input)?;
    let asked: Vec<_> = args.topic.iter().cloned().collect();
    let topics = choose_topics(&recording, &asked)?;
    let [topic] = topics.as_slice() else {
        let names: Vec<_> = topics.iter().map(|topic| &*topic.name).collect();
        let text = format!("--topic: expected one of {}, found none", names.join(", "));
        return Err(Refused(text).into());
    };
    let mut bag = BagReader::open(&args.input)?;
    let mut first = None;
    for message in bag.messages(Some(&[&*topic.name]))? {
        let message = message?;
        let start = *first.get_or_insert(message.log_time);
        if message.log_time.secs_since(start) < args.at {
            continue;
        }
        let picture = frame_from_message(&message.topic, &message.message_type, &message.data)
            .with_context(|| format!("{} at {}", message.topic, message.log_time))?;
        return match picture {
            MessagePicture { picture: Picture::Color(image), .. } => {
                Ok(picture_of_image(Arc::new(image))?)
            }
            MessagePicture { .. } => {
                Err(Refused(format!("{}: expected colour, found depth", topic.name)).into())
            }
        };
    }
    let text = format!("--at {}: {} has no picture so late", args.at, topic.name);
    Err(Refused(text).into())
}
