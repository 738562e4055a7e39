//! Bag folders in MCAP that `ros2 bag`, Foxglove and rviz open.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

use mcap::records::MessageHeader;

use crate::types::Stamp;
use crate::wire::{Message, MessageDefinition, definition_of};

use super::error::BagError;
use super::info::{Compression, Storage};
use super::metadata::{self, QosProfile, Written, WrittenFile, WrittenTopic};
use super::reader::BagReader;

/// How a bag is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriterOptions {
    /// Uncompressed bytes after which a chunk is closed. What stands in closed chunks survives a
    /// power cut; small chunks compress less.
    pub chunk_bytes: u64,
}

impl Default for WriterOptions {
    /// 768 KiB, as rosbag2.
    fn default() -> Self {
        Self { chunk_bytes: 768 << 10 }
    }
}

/// A topic of a bag that is being written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicId(usize);

struct Topic {
    written: WrittenTopic,
    definition: Option<&'static MessageDefinition>,
    /// Number of the channel in the file that is being written.
    channel: Option<u16>,
}

/// Writes a bag folder: `<name>_<n>.mcap` with zstd chunks, and `metadata.yaml`, where `<name>` is
/// that of the folder without `.mcap`.
///
/// The same messages give the same bytes: nothing of the clock, the machine or the number of cores
/// goes in.
///
/// Where a writer is dropped before [`finish`](Self::finish), the file is closed as far as that is
/// possible and `metadata.yaml` is not written: [`BagReader`] and `ros2 bag reindex` then still
/// read all of it. Where the process is killed, what stands in closed chunks can be read.
pub struct BagWriter {
    folder: PathBuf,
    file_path: PathBuf,
    mcap: mcap::Writer<BufWriter<File>>,
    /// Files of earlier sessions, and the one that is being written as the last.
    files: Vec<WrittenFile>,
    topics: Vec<Topic>,
}

impl BagWriter {
    /// Starts a new bag. The folder is made where it is missing.
    ///
    /// # Errors
    /// Where the folder holds anything, or the file system fails.
    pub fn create(folder: impl AsRef<Path>, options: WriterOptions) -> Result<Self, BagError> {
        let folder = folder.as_ref();
        fs::create_dir_all(folder).map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => BagError::NotEmpty { path: folder.to_owned() },
            _ => BagError::io(folder, "make the folder")(source),
        })?;
        let mut listing = fs::read_dir(folder).map_err(BagError::io(folder, "list the folder"))?;
        if listing.next().is_some() {
            return Err(BagError::NotEmpty { path: folder.to_owned() });
        }
        Self::start(folder, options, Vec::new(), Vec::new())
    }

    /// Goes on with a bag that was finished, or dropped before it was finished: what it holds
    /// stays as it is, and new messages go into a further file.
    ///
    /// # Errors
    /// Where the bag cannot be read, was not written in this form, or is damaged.
    pub fn resume(folder: impl AsRef<Path>, options: WriterOptions) -> Result<Self, BagError> {
        let folder = folder.as_ref();
        let bag = BagReader::open(folder)?;
        let info = bag.info();
        let refused = |reason: String| BagError::CannotContinue { path: folder.to_owned(), reason };
        if !bag.losses().is_lossless() {
            return Err(refused(format!("it is damaged:{}", bag.losses())));
        }
        if info.storage != Some(Storage::Mcap) || info.compression != Compression::None {
            return Err(refused("only plain MCAP files can be continued".to_owned()));
        }
        let files = bag.surveyed_files().map(|(name, time_range, message_count)| WrittenFile {
            name: name.to_owned(),
            time_range,
            message_count,
        });
        let topics = info.topics.iter().map(|topic| Topic {
            written: WrittenTopic {
                name: topic.name.to_string(),
                message_type: topic.message_type.to_string(),
                type_hash: topic.type_hash.clone(),
                qos: String::new(),
                message_count: topic.message_count,
            },
            definition: definition_of(&topic.message_type),
            channel: None,
        });
        Self::start(folder, options, files.collect(), topics.collect())
    }

    fn start(
        folder: &Path,
        options: WriterOptions,
        mut files: Vec<WrittenFile>,
        topics: Vec<Topic>,
    ) -> Result<Self, BagError> {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        let name = match name.strip_suffix(".mcap").unwrap_or(&name) {
            "" => "bag",
            name => name,
        };
        // A file of an earlier session never stands in the way: its number is passed over.
        let taken = |number: usize| folder.join(format!("{name}_{number}.mcap")).exists();
        let number = (files.len()..).find(|number| !taken(*number)).unwrap_or(files.len());
        let file_name = format!("{name}_{number}.mcap");
        let file_path = folder.join(&file_name);
        let file =
            File::create_new(&file_path).map_err(BagError::io(&file_path, "make the file"))?;
        let mcap = mcap::WriteOptions::new()
            .profile("ros2")
            .library(concat!("owlet ", env!("CARGO_PKG_VERSION")))
            .compression(Some(mcap::Compression::Zstd))
            // More threads would cut the stream by the number of cores of the machine.
            .compression_threads(0)
            .chunk_size(Some(options.chunk_bytes))
            .create(BufWriter::with_capacity(1 << 16, file))
            .map_err(|source| BagError::Write { path: file_path.clone(), source })?;
        files.push(WrittenFile { name: file_name, time_range: None, message_count: 0 });
        Ok(Self { folder: folder.to_owned(), file_path, mcap, files, topics })
    }

    fn failed(&self, source: mcap::McapError) -> BagError {
        BagError::Write { path: self.file_path.clone(), source }
    }

    /// Adds a topic; asking again for the same one gives the same id.
    ///
    /// # Errors
    /// Where the type is not one of [`definition_of`], or the topic has another type.
    pub fn add_topic(
        &mut self,
        name: &str,
        message_type: &str,
        qos: QosProfile,
    ) -> Result<TopicId, BagError> {
        let definition = definition_of(message_type)
            .ok_or_else(|| BagError::UnknownType { message_type: message_type.to_owned() })?;
        let known = self.topics.iter().position(|topic| topic.written.name == name);
        let index = known.unwrap_or_else(|| {
            self.topics.push(Topic {
                written: WrittenTopic {
                    name: name.to_owned(),
                    message_type: message_type.to_owned(),
                    type_hash: definition.type_hash.to_owned(),
                    qos: String::new(),
                    message_count: 0,
                },
                definition: Some(definition),
                channel: None,
            });
            self.topics.len() - 1
        });
        let topic = &mut self.topics[index];
        if topic.written.message_type != message_type {
            return Err(BagError::TopicTaken {
                topic: name.to_owned(),
                existing: topic.written.message_type.clone(),
                asked: message_type.to_owned(),
            });
        }
        topic.written.qos = qos.to_yaml();
        // The channel goes into the file at once, so that a topic with no message is listed.
        self.channel(index)?;
        Ok(TopicId(index))
    }

    /// The number of a topic's channel, which is written into the file first where it is not there.
    fn channel(&mut self, index: usize) -> Result<u16, BagError> {
        let topic = &mut self.topics[index];
        if let Some(channel) = topic.channel {
            return Ok(channel);
        }
        let text = topic.definition.map_or("", |definition| definition.text);
        let add = |mcap: &mut mcap::Writer<_>| {
            let schema =
                mcap.add_schema(&topic.written.message_type, "ros2msg", text.as_bytes())?;
            let metadata = BTreeMap::from([
                ("offered_qos_profiles".to_owned(), topic.written.qos.clone()),
                ("topic_type_hash".to_owned(), topic.written.type_hash.clone()),
            ]);
            mcap.add_channel(schema, &topic.written.name, "cdr", &metadata)
        };
        match add(&mut self.mcap) {
            Ok(channel) => {
                topic.channel = Some(channel);
                Ok(channel)
            }
            Err(error) => Err(self.failed(error)),
        }
    }

    /// Writes one message.
    ///
    /// # Errors
    /// Where the topic has another type, the stamp is before the epoch, or the disk fails.
    pub fn write<'m, M: Message<'m>>(
        &mut self,
        topic: TopicId,
        log_time: Stamp,
        message: &M,
    ) -> Result<(), BagError> {
        let written = &self.topics[topic.0].written;
        if written.message_type != M::TYPE {
            return Err(BagError::TopicTaken {
                topic: written.name.clone(),
                existing: written.message_type.clone(),
                asked: M::TYPE.to_owned(),
            });
        }
        self.write_encoded(topic, log_time, &message.encode())
    }

    /// Writes one message that is already in CDR, with its encapsulation header.
    ///
    /// # Errors
    /// Where the stamp is before the epoch, or the disk fails.
    pub fn write_encoded(
        &mut self,
        topic: TopicId,
        log_time: Stamp,
        message: &[u8],
    ) -> Result<(), BagError> {
        let Ok(nanos) = u64::try_from(log_time.0) else {
            let topic = self.topics[topic.0].written.name.clone();
            return Err(BagError::NegativeStamp { topic, stamp: log_time });
        };
        let channel_id = self.channel(topic.0)?;
        let header =
            MessageHeader { channel_id, sequence: 0, log_time: nanos, publish_time: nanos };
        self.mcap.write_to_known_channel(&header, message).map_err(|error| self.failed(error))?;
        self.topics[topic.0].written.message_count += 1;
        if let Some(file) = self.files.last_mut() {
            file.message_count += 1;
            let (start, end) = file.time_range.unwrap_or((log_time.0, log_time.0));
            file.time_range = Some((start.min(log_time.0), end.max(log_time.0)));
        }
        Ok(())
    }

    /// Messages in the bag, those of earlier sessions included.
    #[must_use]
    pub fn message_count(&self) -> u64 {
        self.files.iter().map(|file| file.message_count).sum()
    }

    /// Closes the file, brings it to the disk, and writes `metadata.yaml`, whole or not at all.
    ///
    /// # Errors
    /// Where the disk fails.
    pub fn finish(mut self) -> Result<(), BagError> {
        let written = Written {
            files: std::mem::take(&mut self.files),
            topics: self.topics.iter().map(|topic| topic.written.clone()).collect(),
        };
        // rosbag2 keeps its metadata inside the file as well.
        let inside = mcap::records::Metadata {
            name: "rosbag2".to_owned(),
            metadata: BTreeMap::from([("serialized_metadata".to_owned(), written.information())]),
        };
        let Self { folder, file_path, mut mcap, .. } = self;
        let failed = |source| BagError::Write { path: file_path.clone(), source };
        mcap.write_metadata(&inside).map_err(failed)?;
        mcap.finish().map_err(failed)?;
        let file =
            mcap.into_inner().into_inner().map_err(|error| failed(error.into_error().into()))?;
        file.sync_all().map_err(BagError::io(&file_path, "bring the file to the disk"))?;
        metadata::write(&folder, &written)
    }
}

#[cfg(test)]
mod tests {
    use crate::wire::sensor_msgs::{CompressedImage, Image};
    use crate::wire::std_msgs::{Header, Time};

    use super::*;

    fn image(number: i32) -> Image<'static> {
        let header = Header { stamp: Time { sec: number, nanosec: 0 }, frame_id: "cam" };
        let (height, width, step) = (2, 1, 3);
        Image { header, height, width, encoding: "rgb8", is_bigendian: 0, step, data: b"abcdef" }
    }

    fn write_images(bag: &mut BagWriter, numbers: std::ops::Range<i32>) {
        let topic = bag.add_topic("/camera", Image::TYPE, QosProfile::SENSOR_DATA).unwrap();
        for number in numbers {
            bag.write(topic, Stamp(i64::from(number) * 1_000), &image(number)).unwrap();
        }
    }

    fn read_all(folder: &Path) -> Vec<(i64, Vec<u8>)> {
        let mut bag = BagReader::open(folder).unwrap();
        let messages = bag.messages(Some(&["/camera"])).unwrap();
        let read = messages.map(|message| message.map(|m| (m.log_time.0, m.data)).unwrap());
        let read = read.collect();
        assert!(bag.losses().is_lossless(), "{}", bag.losses());
        assert_eq!(bag.losses().expected_messages, Some(bag.losses().read_messages));
        read
    }

    fn expected(numbers: std::ops::Range<i32>) -> Vec<(i64, Vec<u8>)> {
        numbers.map(|number| (i64::from(number) * 1_000, image(number).encode())).collect()
    }

    #[test]
    fn the_same_messages_give_the_same_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let bytes = |name: &str| {
            // The name of the file is that of the folder; all else must be equal.
            let bag_folder = folder.path().join(name).join("detections.mcap");
            let mut bag =
                BagWriter::create(&bag_folder, WriterOptions { chunk_bytes: 200 }).unwrap();
            write_images(&mut bag, 0..20);
            bag.finish().unwrap();
            let read = |file: &str| fs::read(bag_folder.join(file)).unwrap();
            (read("detections_0.mcap"), read("metadata.yaml"))
        };
        assert_eq!(bytes("first"), bytes("second"));
        assert_eq!(read_all(&folder.path().join("first/detections.mcap")), expected(0..20));
    }

    #[test]
    fn a_bag_can_be_continued_in_a_further_file() {
        let folder = tempfile::tempdir().unwrap();
        let bag_folder = folder.path().join("out");
        for numbers in [0..3, 3..5] {
            let mut bag = match numbers.start {
                0 => BagWriter::create(&bag_folder, WriterOptions::default()).unwrap(),
                _ => BagWriter::resume(&bag_folder, WriterOptions::default()).unwrap(),
            };
            write_images(&mut bag, numbers.clone());
            assert_eq!(bag.message_count(), numbers.end as u64);
            bag.finish().unwrap();
        }
        let bag = BagReader::open(&bag_folder).unwrap();
        let names: Vec<_> = bag.info().files.iter().map(|file| file.name.as_str()).collect();
        assert_eq!(names, ["out_0.mcap", "out_1.mcap"]);
        assert_eq!(bag.info().message_count, 5);
        assert_eq!(read_all(&bag_folder), expected(0..5));
    }

    #[test]
    fn a_bag_that_was_dropped_is_readable_and_can_be_continued() {
        let folder = tempfile::tempdir().unwrap();
        let bag_folder = folder.path().join("out");
        let mut bag = BagWriter::create(&bag_folder, WriterOptions::default()).unwrap();
        write_images(&mut bag, 0..4);
        drop(bag);
        assert!(!bag_folder.join("metadata.yaml").exists());
        assert_eq!(read_all(&bag_folder), expected(0..4));
        let mut bag = BagWriter::resume(&bag_folder, WriterOptions::default()).unwrap();
        write_images(&mut bag, 4..6);
        bag.finish().unwrap();
        assert_eq!(read_all(&bag_folder), expected(0..6));
    }

    #[test]
    fn what_cannot_be_recorded_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mut bag = BagWriter::create(folder.path(), WriterOptions::default()).unwrap();
        let refused = |error: BagError| error.to_string();
        let qos = QosProfile::RELIABLE;
        let unknown = bag.add_topic("/a", "std_msgs/msg/String", qos).map_err(refused);
        assert!(unknown.unwrap_err().contains("std_msgs/msg/String"));
        let topic = bag.add_topic("/a", Image::TYPE, qos).unwrap();
        assert_eq!(bag.add_topic("/a", Image::TYPE, qos).unwrap(), topic);
        assert!(matches!(
            bag.add_topic("/a", CompressedImage::TYPE, qos),
            Err(BagError::TopicTaken { .. })
        ));
        assert!(matches!(
            bag.write(topic, Stamp(0), &CompressedImage::default()),
            Err(BagError::TopicTaken { .. })
        ));
        assert!(matches!(
            bag.write(topic, Stamp(-1), &image(0)),
            Err(BagError::NegativeStamp { .. })
        ));
        let again = BagWriter::create(folder.path(), WriterOptions::default());
        assert!(matches!(again, Err(BagError::NotEmpty { .. })));
    }

    #[test]
    fn a_damaged_bag_is_not_continued() {
        let folder = tempfile::tempdir().unwrap();
        let bag_folder = folder.path().join("out");
        let mut bag = BagWriter::create(&bag_folder, WriterOptions { chunk_bytes: 100 }).unwrap();
        write_images(&mut bag, 0..9);
        bag.finish().unwrap();
        let path = bag_folder.join("out_0.mcap");
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        let error = BagWriter::resume(&bag_folder, WriterOptions::default()).err().unwrap();
        assert!(matches!(&error, BagError::CannotContinue { .. }), "{error}");
    }
}
