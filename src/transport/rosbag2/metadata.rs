//! `metadata.yaml`, versions 1 to 9.
//!
//! Read are the fields that Owlet uses; what newer versions add is passed over. Written is version
//! 8, which readers from galactic on understand: version 9 (jazzy and later) differs only in that
//! quality of service is written in words, which older readers refuse.

use std::fmt;
use std::fs;
use std::io::{self, Read, Write};
use std::path::Path;

use serde::Deserialize;

use super::error::BagError;

/// Name of the file in a bag folder.
pub(super) const FILE_NAME: &str = "metadata.yaml";

/// A bag of a million files has less than this.
const LIMIT_BYTES: u64 = 64 << 20;

/// The version that is written.
const WRITTEN_VERSION: u32 = 8;

#[derive(Debug, Deserialize)]
struct Document {
    rosbag2_bagfile_information: Metadata,
}

/// What `metadata.yaml` says.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Metadata {
    pub(super) version: u32,
    #[serde(default)]
    pub(super) storage_identifier: String,
    pub(super) relative_file_paths: Vec<String>,
    pub(super) duration: Nanoseconds,
    pub(super) starting_time: SinceEpoch,
    pub(super) message_count: u64,
    pub(super) topics_with_message_count: Vec<Topic>,
    #[serde(default)]
    pub(super) compression_mode: Option<String>,
    #[serde(default)]
    pub(super) files: Option<Vec<FileInformation>>,
    #[serde(default)]
    pub(super) ros_distro: Option<String>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct Nanoseconds {
    pub(super) nanoseconds: i64,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct SinceEpoch {
    pub(super) nanoseconds_since_epoch: i64,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Topic {
    pub(super) topic_metadata: TopicMetadata,
    pub(super) message_count: u64,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct TopicMetadata {
    pub(super) name: String,
    #[serde(rename = "type")]
    pub(super) message_type: String,
    pub(super) serialization_format: String,
    #[serde(default)]
    pub(super) type_description_hash: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct FileInformation {
    pub(super) path: String,
    pub(super) starting_time: SinceEpoch,
    pub(super) message_count: u64,
}

impl Metadata {
    /// What is said of one file, from version 5 on.
    pub(super) fn file(&self, name: &str) -> Option<&FileInformation> {
        self.files.iter().flatten().find(|file| file_name(&file.path) == name)
    }
}

/// The name of a file that metadata gives a path of. Bags are flat, and early versions put the name
/// of the folder before it; nothing outside the folder is ever read.
pub(super) fn file_name(relative_path: &str) -> &str {
    relative_path.rsplit(['/', '\\']).next().unwrap_or(relative_path)
}

/// Reads `metadata.yaml` in `folder`; `None` where there is none.
///
/// # Errors
/// Where it cannot be read or understood.
pub(super) fn read(folder: &Path) -> Result<Option<Metadata>, BagError> {
    let path = folder.join(FILE_NAME);
    let mut text = String::new();
    match fs::File::open(&path) {
        Ok(file) => {
            let read = file.take(LIMIT_BYTES).read_to_string(&mut text);
            match read {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    return Err(BagError::Metadata { path, reason: error.to_string() });
                }
                Err(error) => return Err(BagError::io(path, "read the file")(error)),
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(BagError::io(path, "open the file")(error)),
    }
    match serde_saphyr::from_str::<Document>(&text) {
        Ok(document) => Ok(Some(document.rosbag2_bagfile_information)),
        Err(error) => Err(BagError::Metadata { path, reason: error.to_string() }),
    }
}

/// How a publisher offers a topic, as rosbag2 keeps it beside the messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QosProfile {
    /// How many messages are kept for late readers.
    pub depth: u32,
    /// Whether messages are sent again until they arrive.
    pub reliable: bool,
    /// Whether a reader that joins late gets the last messages.
    pub transient_local: bool,
}

impl QosProfile {
    /// Reliable, ten messages deep: what Owlet's results are offered with.
    pub const RELIABLE: Self = Self { depth: 10, reliable: true, transient_local: false };
    /// Reliable, the newest message for who comes later, too.
    pub const LATCHED: Self = Self { depth: 1, reliable: true, transient_local: true };
    /// Best effort, five deep: what cameras offer.
    pub const SENSOR_DATA: Self = Self { depth: 5, reliable: false, transient_local: false };

    /// The YAML text that rosbag2 keeps, with the numbers of `rmw_qos_profile_t`.
    pub(super) fn to_yaml(self) -> String {
        let (reliability, durability) =
            (if self.reliable { 1 } else { 2 }, if self.transient_local { 1 } else { 2 });
        // No deadline, no lifespan, no lease: rmw's "infinite".
        let forever = "{sec: 9223372036, nsec: 854775807}";
        format!(
            "- {{history: 1, depth: {}, reliability: {reliability}, durability: {durability}, \
             deadline: {forever}, lifespan: {forever}, liveliness: 1, \
             liveliness_lease_duration: {forever}, avoid_ros_namespace_conventions: false}}",
            self.depth
        )
    }
}

/// What is to be written into `metadata.yaml`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) files: Vec<WrittenFile>,
    pub(super) topics: Vec<WrittenTopic>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct WrittenFile {
    pub(super) name: String,
    /// Log times of the first and last message, in nanoseconds.
    pub(super) time_range: Option<(i64, i64)>,
    pub(super) message_count: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct WrittenTopic {
    pub(super) name: String,
    pub(super) message_type: String,
    pub(super) type_hash: String,
    pub(super) qos: String,
    pub(super) message_count: u64,
}

/// A YAML double-quoted scalar; JSON's escapes are a part of YAML's.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

impl Written {
    fn time_range(&self) -> Option<(i64, i64)> {
        let ranges = self.files.iter().filter_map(|file| file.time_range);
        ranges.reduce(|(start, end), (from, to)| (start.min(from), end.max(to)))
    }

    /// The whole file. Written by hand, field for field in rosbag2's own order, since yaml-cpp
    /// reads it and the bytes must not change with a library.
    pub(super) fn to_yaml(&self) -> String {
        let mut text = String::from("rosbag2_bagfile_information:\n");
        for line in self.information().lines() {
            text.push_str("  ");
            text.push_str(line);
            text.push('\n');
        }
        text
    }

    /// The part under the top key.
    pub(super) fn information(&self) -> String {
        let times = |range: Option<(i64, i64)>| {
            let (start, end) = range.unwrap_or((0, 0));
            (start, end.saturating_sub(start))
        };
        let (start, duration) = times(self.time_range());
        let count: u64 = self.files.iter().map(|file| file.message_count).sum();
        let mut text = format!(
            "version: {WRITTEN_VERSION}\nstorage_identifier: mcap\n\
             duration:\n  nanoseconds: {duration}\n\
             starting_time:\n  nanoseconds_since_epoch: {start}\n\
             message_count: {count}\n"
        );
        let mut line = |line: fmt::Arguments| {
            fmt::Write::write_fmt(&mut text, line).expect("writing to a string cannot fail");
            text.push('\n');
        };
        match self.topics.as_slice() {
            [] => line(format_args!("topics_with_message_count: []")),
            topics => {
                line(format_args!("topics_with_message_count:"));
                for topic in topics {
                    line(format_args!("  - topic_metadata:"));
                    line(format_args!("      name: {}", quoted(&topic.name)));
                    line(format_args!("      type: {}", quoted(&topic.message_type)));
                    line(format_args!("      serialization_format: cdr"));
                    line(format_args!("      offered_qos_profiles: {}", quoted(&topic.qos)));
                    line(format_args!("      type_description_hash: {}", quoted(&topic.type_hash)));
                    line(format_args!("    message_count: {}", topic.message_count));
                }
            }
        }
        line(format_args!("compression_format: \"\"\ncompression_mode: \"\""));
        line(format_args!("relative_file_paths:"));
        for file in &self.files {
            line(format_args!("  - {}", quoted(&file.name)));
        }
        line(format_args!("files:"));
        for file in &self.files {
            let (start, duration) = times(file.time_range);
            line(format_args!("  - path: {}", quoted(&file.name)));
            line(format_args!("    starting_time:\n      nanoseconds_since_epoch: {start}"));
            line(format_args!("    duration:\n      nanoseconds: {duration}"));
            line(format_args!("    message_count: {}", file.message_count));
        }
        line(format_args!("custom_data: ~\nros_distro: \"\""));
        text
    }
}

/// Puts a `metadata.yaml` into `folder`, whole or not at all.
///
/// # Errors
/// Where the file system fails.
pub(super) fn write(folder: &Path, written: &Written) -> Result<(), BagError> {
    let path = folder.join(FILE_NAME);
    let put = || -> io::Result<()> {
        let partial = folder.join(".metadata.yaml.partial");
        let mut file = fs::File::create(&partial)?;
        file.write_all(written.to_yaml().as_bytes())?;
        file.sync_all()?;
        fs::rename(&partial, &path)
    };
    put().map_err(BagError::io(&path, "write the file"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Metadata, serde_saphyr::Error> {
        serde_saphyr::from_str::<Document>(text).map(|found| found.rosbag2_bagfile_information)
    }

    const VERSION_4: &str = "
rosbag2_bagfile_information:
  version: 4
  storage_identifier: sqlite3
  relative_file_paths:
    - a/a_0.db3
  duration:
    nanoseconds: 411
  starting_time:
    nanoseconds_since_epoch: 2623
  message_count: 3
  topics_with_message_count:
    - topic_metadata:
        name: HHH
        type: std_msgs/msg/String
        serialization_format: cdr
        offered_qos_profiles: \"- history: 3\\n  depth: 0\"
      message_count: 3
  compression_format: ''
  compression_mode: ''
";

    #[test]
    fn version_4_and_what_later_ones_added() {
        let old = parse(VERSION_4).unwrap();
        assert_eq!(file_name(&old.relative_file_paths[0]), "a_0.db3");
        assert!(old.files.is_none() && old.ros_distro.is_none());

        let new = VERSION_4.replace("version: 4", "version: 9").replace(
            "\"- history: 3\\n  depth: 0\"",
            "\n          - history: keep_last\n            depth: 3\n        \
             type_description_hash: RIHS01_00",
        ) + "  files:
    - path: a_0.db3
      starting_time:
        nanoseconds_since_epoch: 2623
      duration:
        nanoseconds: 411
      message_count: 3
  custom_data: ~
  ros_distro: jazzy
";
        let new = parse(&new).unwrap();
        assert_eq!(new.version, 9);
        assert_eq!(new.file("a_0.db3").map(|file| file.message_count), Some(3));
        let topic = &new.topics_with_message_count[0].topic_metadata;
        assert_eq!(topic.type_description_hash.as_deref(), Some("RIHS01_00"));
        assert_eq!(new.ros_distro.as_deref(), Some("jazzy"));
    }

    #[test]
    fn version_1_had_no_compression() {
        let first = VERSION_4
            .replace("  compression_format: ''\n  compression_mode: ''\n", "")
            .replace("version: 4", "version: 1");
        assert_eq!(parse(&first).unwrap().compression_mode, None);
    }

    #[test]
    fn what_is_written_is_read_back() {
        let written = Written {
            files: vec![
                WrittenFile {
                    name: "out_0.mcap".to_owned(),
                    time_range: Some((100, 300)),
                    message_count: 2,
                },
                WrittenFile { name: "out_1.mcap".to_owned(), time_range: None, message_count: 0 },
            ],
            topics: vec![WrittenTopic {
                name: "/a \"b\": c".to_owned(),
                message_type: "sensor_msgs/msg/Image".to_owned(),
                type_hash: "RIHS01_12".to_owned(),
                qos: QosProfile::SENSOR_DATA.to_yaml(),
                message_count: 2,
            }],
        };
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &written).unwrap();
        let read = read(folder.path()).unwrap().unwrap();
        assert_eq!(read.starting_time.nanoseconds_since_epoch, 100);
        assert_eq!(read.duration.nanoseconds, 200);
        assert_eq!(read.message_count, 2);
        assert_eq!(read.relative_file_paths, ["out_0.mcap", "out_1.mcap"]);
        assert_eq!(read.topics_with_message_count[0].topic_metadata.name, "/a \"b\": c");
        assert_eq!(read.file("out_1.mcap").map(|file| file.message_count), Some(0));
        let names: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
        assert_eq!(names.len(), 1, "no scratch file stays behind");
    }

    #[test]
    fn broken_metadata_says_where() {
        let folder = tempfile::tempdir().unwrap();
        assert!(read(folder.path()).unwrap().is_none());
        fs::write(folder.path().join(FILE_NAME), VERSION_4.replace("411", "four")).unwrap();
        let error = read(folder.path()).unwrap_err().to_string();
        assert!(error.contains("metadata.yaml") && error.contains("8"), "{error}");
        fs::write(folder.path().join(FILE_NAME), [0xff, 0xfe]).unwrap();
        assert!(matches!(read(folder.path()), Err(BagError::Metadata { .. })));
    }
}
