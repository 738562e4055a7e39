//! Small recordings, made for one test each.

use std::path::{Path, PathBuf};

use owlet::transport::rosbag2::{BagReader, BagWriter, QosProfile, RawMessage, WriterOptions};
use owlet::types::Stamp;
use owlet::wire::Message;
use owlet::wire::sensor_msgs::Image;
use owlet::wire::std_msgs::Header;

const START_NANOS: i64 = 1_700_000_000_000_000_000;
/// Between two frames of a camera.
const STEP_NANOS: i64 = 100_000_000;
pub(super) const WIDTH: u32 = 48;
pub(super) const HEIGHT: u32 = 32;

/// The stamp of a frame by its number.
pub(super) fn stamp(number: usize) -> i64 {
    START_NANOS + number as i64 * STEP_NANOS
}

/// One image message.
#[derive(Clone)]
pub(super) struct Shot {
    pub(super) topic: String,
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) encoding: &'static str,
    pub(super) step: u32,
    pub(super) data: Vec<u8>,
}

/// A picture of [`WIDTH`] by [`HEIGHT`] that differs from number to number, of `channels` bytes for
/// each pixel.
pub(super) fn shot(topic: &str, encoding: &'static str, channels: u32, number: usize) -> Shot {
    let bytes = (WIDTH * HEIGHT * channels) as usize;
    let data = (0..bytes).map(|at| ((at * (7 + number % 13) + number * 31) % 251) as u8).collect();
    let (width, height) = (WIDTH, HEIGHT);
    Shot { topic: topic.to_owned(), width, height, encoding, step: width * channels, data }
}

/// A colour picture.
pub(super) fn color(topic: &str, number: usize) -> Shot {
    shot(topic, "rgb8", 3, number)
}

/// A message whose pixels are fewer than it says.
pub(super) fn broken(topic: &str, number: usize) -> Shot {
    let mut shot = color(topic, number);
    shot.data.truncate(100);
    shot
}

/// Writes a bag with one shot at each step of time.
pub(super) fn write(folder: &Path, shots: &[Shot]) -> PathBuf {
    write_with(folder, shots, WriterOptions::default())
}

/// As [`write`], with small chunks where wanted.
pub(super) fn write_with(folder: &Path, shots: &[Shot], options: WriterOptions) -> PathBuf {
    let bag = folder.join("bag");
    let mut writer = BagWriter::create(&bag, options).unwrap();
    for (number, shot) in shots.iter().enumerate() {
        let Shot { topic, width, height, encoding, step, data } = shot;
        let id = writer.add_topic(topic, Image::TYPE, QosProfile::SENSOR_DATA).unwrap();
        let stamp = Stamp(stamp(number));
        let image = Image {
            header: Header { stamp: stamp.into(), frame_id: "cam" },
            height: *height,
            width: *width,
            encoding,
            is_bigendian: 0,
            step: *step,
            data,
        };
        writer.write(id, Stamp(stamp.0 + 1_000), &image).unwrap();
    }
    writer.finish().unwrap();
    bag
}

/// `count` colour frames of one camera.
pub(super) fn one_camera(folder: &Path, count: usize) -> PathBuf {
    write(folder, &(0..count).map(|number| color("/camera/image", number)).collect::<Vec<_>>())
}

/// All messages of a bag, which must be whole.
pub(super) fn messages(bag: &Path) -> Vec<RawMessage> {
    let mut bag = BagReader::open(bag).unwrap();
    let messages = bag.messages(None).unwrap().map(Result::unwrap).collect();
    assert!(bag.losses().is_lossless(), "{}", bag.losses());
    messages
}
