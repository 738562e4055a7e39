//! Recordings that ROS 2 itself wrote.

use std::collections::BTreeMap;
use std::path::PathBuf;

use owlet::transport::rosbag2::{BagReader, RawMessage, Storage};
use owlet::types::Stamp;
use owlet::wire::cdr::Reader;

use super::{is_rising, read_all};

/// The folder of recordings; `None`, said aloud, where none was given.
fn recordings() -> Option<PathBuf> {
    let Some(data) = std::env::var_os("OWLET_TEST_DATA") else {
        println!("skipped: OWLET_TEST_DATA is not set, so there are no recordings of ROS 2 itself");
        return None;
    };
    let folder = PathBuf::from(data).join("rosbag2");
    assert!(folder.is_dir(), "{} is missing", folder.display());
    Some(folder)
}

fn open(name: &str) -> Option<(BagReader, Vec<RawMessage>)> {
    let path = recordings()?.join(name);
    let mut bag = BagReader::open(&path).unwrap_or_else(|error| panic!("{error}"));
    let (messages, losses) = read_all(&mut bag);
    assert!(losses.is_lossless(), "{name}:{losses}");
    assert_eq!(losses.expected_messages, Some(messages.len() as u64), "{name}");
    assert!(is_rising(&messages), "{name}");
    Some((bag, messages))
}

/// The one field of a `std_msgs/msg/String`.
fn text(message: &RawMessage) -> &str {
    Reader::new(&message.data).unwrap().string("data").unwrap()
}

#[test]
fn split_bags_give_all_messages_in_order_and_both_storages_the_same() {
    let Some((mcap, from_mcap)) = open("mcap/wbag") else { return };
    let Some((sqlite, from_sqlite)) = open("sqlite3/wbag") else { return };
    assert_eq!(from_mcap.len(), 6074);
    assert_eq!(mcap.info().storage, Some(Storage::Mcap));
    assert_eq!(sqlite.info().storage, Some(Storage::Sqlite3));
    assert_eq!(mcap.info().files.len(), 5);
    assert_eq!(mcap.info().metadata_version, Some(4));
    // This version of rosbag2 wrote the start and duration of the last file only.
    for info in [mcap.info(), sqlite.info()] {
        assert_eq!((info.start, info.duration.as_nanos()), (Some(Stamp(1000)), 1998));
    }
    assert_eq!((from_mcap[0].log_time.0, from_mcap[6073].log_time.0), (1000, 2998));
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for message in &from_mcap {
        *counts.entry(&message.topic).or_default() += 1;
    }
    let expected = [
        ("AAA", 804),
        ("BBB", 742),
        ("CCC", 742),
        ("DDD", 753),
        ("EEE", 804),
        ("FFF", 772),
        ("GGG", 731),
        ("HHH", 726),
    ];
    assert_eq!(counts, BTreeMap::from(expected));
    let content = |messages: &[RawMessage]| -> Vec<_> {
        let content = messages.iter().map(|m| (m.log_time.0, m.topic.to_string(), m.data.clone()));
        content.collect()
    };
    // Within one nanosecond the two storages were written in one order, topic by topic.
    let (mut a, mut b) = (content(&from_mcap), content(&from_sqlite));
    a.sort();
    b.sort();
    assert!(a == b, "the storages disagree");
}

#[test]
fn what_was_said_is_heard() {
    for name in ["mcap/talker", "sqlite3/talker"] {
        let Some((bag, messages)) = open(name) else { return };
        assert_eq!(messages.len(), 20, "{name}");
        assert_eq!(bag.info().topics.len(), 3, "the topic with no message is listed");
        assert_eq!(bag.info().start.map(|start| start.0), Some(1_585_866_235_112_411_371));
        let said: Vec<_> =
            messages.iter().filter(|message| &*message.topic == "/topic").map(text).collect();
        let expected: Vec<_> = (0..10).map(|n| format!("Hello, world! {n}")).collect();
        assert_eq!(said, expected, "{name}");
        for message in messages.iter().filter(|message| &*message.topic == "/rosout") {
            assert_eq!(&*message.message_type, "rcl_interfaces/msg/Log");
        }
    }
}

#[test]
fn all_kinds_of_fields_are_kept_byte_for_byte() {
    let Some((_, from_mcap)) = open("mcap/cdr_test") else { return };
    let Some((_, from_sqlite)) = open("sqlite3/cdr_test") else { return };
    let content = |messages: &[RawMessage]| -> Vec<_> {
        let mut content: Vec<_> = messages
            .iter()
            .map(|message| (message.log_time, message.topic.to_string(), message.data.clone()))
            .collect();
        content.sort();
        content
    };
    assert_eq!(content(&from_mcap), content(&from_sqlite));
    let types: Vec<_> = from_mcap.iter().map(|message| &*message.message_type).collect();
    assert_eq!(types.iter().filter(|name| **name == "test_msgs/msg/BasicTypes").count(), 3);
    assert_eq!(types.iter().filter(|name| **name == "test_msgs/msg/Arrays").count(), 4);
}
