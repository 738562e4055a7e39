//! Random damage: nothing panics, nothing hangs, and no more is read than was there.

use std::fs;
use std::path::Path;

use owlet::transport::frames::frame_from_message;
use owlet::transport::inspect::inspect;
use owlet::transport::rosbag2::BagReader;
use owlet::wire::Message;
use owlet::wire::sensor_msgs::{CameraInfo, CompressedImage, Image};
use owlet::wire::vision_msgs::Detection2DArray;
use proptest::prelude::*;

use super::peers;

/// One change to a file.
#[derive(Clone, Debug)]
enum Change {
    /// Puts another byte at a place, given as a share of the length.
    Byte(f64, u8),
    /// Puts a number where a length may stand.
    Number(f64, u64),
    /// Takes the rest away.
    Cut(f64),
    /// Takes some bytes out.
    Remove(f64, u8),
}

fn change() -> impl Strategy<Value = Change> {
    let number = prop_oneof![Just(u64::MAX), Just(1 << 40), Just(0), any::<u64>(), 0..5000_u64];
    prop_oneof![
        4 => (0.0..1.0, any::<u8>()).prop_map(|(at, byte)| Change::Byte(at, byte)),
        3 => (0.0..1.0, number).prop_map(|(at, number)| Change::Number(at, number)),
        1 => (0.0..1.0).prop_map(Change::Cut),
        1 => (0.0..1.0, any::<u8>()).prop_map(|(at, count)| Change::Remove(at, count)),
    ]
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    let len = bytes.len();
    let place = |share: f64| ((len as f64 * share) as usize).min(len.saturating_sub(1));
    match *change {
        _ if len == 0 => {}
        Change::Byte(at, byte) => bytes[place(at)] = byte,
        Change::Number(at, number) => {
            for (target, byte) in bytes[place(at)..].iter_mut().zip(number.to_le_bytes()) {
                *target = byte;
            }
        }
        Change::Cut(at) => bytes.truncate(place(at)),
        Change::Remove(at, count) => {
            let from = place(at);
            bytes.drain(from..(from + usize::from(count)).min(len));
        }
    }
}

/// Opens, reads and inspects whatever stands at the path.
fn use_up(path: &Path) {
    let Ok(mut bag) = BagReader::open(path) else { return };
    let mut read = 0;
    for message in bag.messages(None).unwrap().flatten() {
        read += 1;
        let _ = frame_from_message(&message.topic, &message.message_type, &message.data);
        // The bags hold 93 messages. Damaged lengths may split one into more, but not endlessly.
        assert!(read < 5_000, "the recording does not end");
    }
    assert_eq!(bag.losses().read_messages, read);
    let _ = inspect(path);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..Default::default() })]

    #[test]
    fn damaged_files_never_panic(
        bag in prop::sample::select(vec![
            "zstd.mcap",
            "lz4.mcap",
            "no_chunks.mcap",
            "no_summary.mcap",
            "by_topic.mcap",
            "mcap_v8/mcap_v8.mcap",
            "sqlite3_v8/sqlite3_v8.db3",
            "sqlite3_message_v9/sqlite3_message_v9.db3",
            "mcap_file_v9/mcap_file_v9.mcap.zstd",
        ]),
        changes in prop::collection::vec(change(), 1..6),
    ) {
        let scratch = tempfile::tempdir().unwrap();
        let mut bytes = fs::read(peers::bags().join(bag)).unwrap();
        changes.iter().for_each(|change| apply(&mut bytes, change));
        let path = scratch.path().join(Path::new(bag).file_name().unwrap());
        fs::write(&path, bytes).unwrap();
        use_up(&path);
    }

    #[test]
    fn damaged_metadata_never_panics(changes in prop::collection::vec(change(), 1..6)) {
        let scratch = tempfile::tempdir().unwrap();
        for entry in fs::read_dir(peers::bags().join("mcap_split")).unwrap() {
            let entry = entry.unwrap();
            let mut bytes = fs::read(entry.path()).unwrap();
            if entry.file_name() == "metadata.yaml" {
                changes.iter().for_each(|change| apply(&mut bytes, change));
            }
            fs::write(scratch.path().join(entry.file_name()), bytes).unwrap();
        }
        use_up(scratch.path());
    }

    #[test]
    fn bytes_that_are_no_message_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut cdr = vec![0, 1, 0, 0];
        cdr.extend(&bytes);
        for bytes in [&bytes, &cdr] {
            let _ = Image::decode(bytes);
            let _ = CompressedImage::decode(bytes);
            let _ = CameraInfo::decode(bytes);
            let _ = Detection2DArray::decode(bytes);
        }
    }
}
