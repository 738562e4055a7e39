//! `owlet inspect`: what is in a recording.

use comfy_table::Table;
use indicatif::HumanBytes;
use owlet::transport::inspect::{Inspection, TopicInspection, UsedAs, inspect};
use owlet::types::Stamp;

use super::{Finish, plain_table, print_out, visible};
use crate::app::args::InspectArgs;

pub(crate) fn run(args: &InspectArgs) -> anyhow::Result<Finish> {
    let recording = inspect(&args.bag)?;
    if args.json {
        print_out(format_args!("{}\n", serde_json::to_string_pretty(&recording)?))?;
    } else {
        print_out(format_args!("{}\n{}\n", in_words(&recording), topic_table(&recording)))?;
    }
    for note in &recording.notes {
        tracing::warn!("{note}");
    }
    for loss in &recording.losses.losses {
        tracing::warn!("{loss}");
    }
    Ok(if recording.losses.is_lossless() { Finish::Done } else { Finish::DataLost })
}

fn in_words(recording: &Inspection) -> String {
    let bytes = recording.files.iter().map(|file| file.size_bytes).sum();
    let storage = recording.storage.map_or_else(|| "unknown".to_owned(), |s| s.to_string());
    let mut text = format!(
        "{}: {storage}, {} in {} {}, {} messages in {:.1} s",
        recording.path.display(),
        HumanBytes(bytes),
        recording.files.len(),
        if recording.files.len() == 1 { "file" } else { "files" },
        recording.message_count,
        recording.duration_secs,
    );
    if let Some(start_nanos) = recording.start_nanos {
        text += &format!(", from {}", Stamp(start_nanos));
    }
    if let Some(distro) = &recording.ros_distro {
        text += &format!(", ROS distribution {}", visible(distro));
    }
    text
}

fn topic_table(recording: &Inspection) -> Table {
    let header = ["topic", "type", "messages", "Hz", "pictures", "used as"];
    let mut table = plain_table(header, &[2, 3]);
    for topic in &recording.topics {
        table.add_row([
            visible(&topic.name),
            visible(&topic.message_type),
            topic.message_count.to_string(),
            topic.rate_hz.map_or_else(String::new, |rate| format!("{rate:.1}")),
            topic.picture.as_ref().map_or_else(String::new, |picture| {
                format!("{}x{} {}", picture.width, picture.height, visible(&picture.encoding))
            }),
            visible(&use_in_words(topic)),
        ]);
    }
    table
}

fn use_in_words(topic: &TopicInspection) -> String {
    match topic.used_as {
        Some(UsedAs::Color) => "colour".to_owned(),
        Some(UsedAs::Depth) => "depth".to_owned(),
        Some(UsedAs::Calibration) => "calibration".to_owned(),
        Some(UsedAs::Transforms) => "transforms".to_owned(),
        None => format!("no: {}", topic.reason.as_deref().unwrap_or("unknown")),
    }
}
