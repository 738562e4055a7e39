//! Recordings that rosbags and the reference implementation of MCAP wrote.

use owlet::transport::frames::frame_from_message;
use owlet::transport::rosbag2::{BagError, BagReader, Compression, FileState, RawMessage, Storage};
use owlet::types::{Picture, Stamp};
use owlet::vision::decode::{decode_compressed, decode_compressed_depth};
use owlet::wire::Message;
use owlet::wire::sensor_msgs::CameraInfo;
use serde_json::Value;

use super::{is_rising, peers, read_all, read_whole, sha256};

/// Compares topic, type, time and content of every message, in order.
fn assert_expected(bag: &str, messages: &[RawMessage], expected: &Value) {
    let expected = expected["messages"].as_array().unwrap();
    assert_eq!(messages.len(), expected.len(), "{bag}");
    for (message, expected) in messages.iter().zip(expected) {
        assert_eq!(*message.topic, *expected["topic"].as_str().unwrap(), "{bag}");
        assert_eq!(*message.message_type, *expected["type"].as_str().unwrap(), "{bag}");
        assert_eq!(message.log_time.0, expected["log_time"].as_i64().unwrap(), "{bag}");
        assert_eq!(sha256(&message.data), expected["sha256"].as_str().unwrap(), "{bag}");
    }
}

#[test]
fn every_way_of_keeping_messages_gives_the_same_messages() {
    let expected = peers::expected();
    let bags = expected["bags"].as_array().unwrap();
    assert_eq!(bags.len(), 18);
    for bag in bags {
        let bag = bag.as_str().unwrap();
        let path = peers::bags().join(bag);
        let mut reader = BagReader::open(&path).unwrap_or_else(|error| panic!("{bag}: {error}"));
        let (messages, losses) = read_all(&mut reader);
        assert!(losses.is_lossless(), "{bag}:{losses}");
        assert_expected(bag, &messages, &expected);
        assert_eq!(losses.expected_messages, Some(messages.len() as u64), "{bag}");
        let info = reader.info();
        assert_eq!(info.message_count, messages.len() as u64, "{bag}");
        assert_eq!(info.start, messages.first().map(|message| message.log_time), "{bag}");
        let (first, last) = (messages[0].log_time.0, messages[messages.len() - 1].log_time.0);
        assert_eq!(info.duration.as_nanos(), u128::from(last.abs_diff(first)), "{bag}");
        for topic in &info.topics {
            let count = messages.iter().filter(|message| message.topic == topic.name).count();
            assert_eq!(topic.message_count, count as u64, "{bag} {}", topic.name);
        }
    }
}

#[test]
fn a_bag_says_how_it_is_kept() {
    let about = |bag: &str| {
        let reader = BagReader::open(peers::bags().join(bag)).unwrap();
        let info = reader.info();
        let states: Vec<_> = info.files.iter().map(|file| file.state).collect();
        (info.storage.unwrap(), info.compression, info.metadata_version, states)
    };
    use FileState::{Packed, Ready};
    assert_eq!(about("sqlite3_v8"), (Storage::Sqlite3, Compression::None, Some(8), vec![Ready]));
    assert_eq!(
        about("sqlite3_file_v9"),
        (Storage::Sqlite3, Compression::File, Some(9), vec![Packed])
    );
    assert_eq!(
        about("mcap_message_v9"),
        (Storage::Mcap, Compression::Message, Some(9), vec![Ready])
    );
    assert_eq!(
        about("mcap_split_file"),
        (Storage::Mcap, Compression::File, Some(8), vec![Packed, Packed])
    );
    assert_eq!(about("mcap_split_bare"), (Storage::Mcap, Compression::None, None, vec![Ready; 2]));
    assert_eq!(about("lz4.mcap"), (Storage::Mcap, Compression::None, None, vec![Ready]));
}

#[test]
fn single_files_of_a_bag_can_be_read() {
    for path in [
        "mcap_split/mcap_split_1.mcap",
        "mcap_split_file/mcap_split_file_1.mcap.zstd",
        "sqlite3_split/sqlite3_split_1.db3",
    ] {
        let messages = read_whole(&peers::bags().join(path));
        let expected = peers::expected();
        let all = expected["messages"].as_array().unwrap();
        assert_eq!(messages.len(), all.len() - all.len() / 2, "{path}");
    }
}

#[test]
fn topics_can_be_chosen_and_wrong_ones_are_named() {
    for bag in ["sqlite3_split", "mcap_chunks_v9", "by_topic.mcap", "no_indexes.mcap"] {
        let mut reader = BagReader::open(peers::bags().join(bag)).unwrap();
        let wanted = ["/cam/nv12", "/chatter"];
        let messages: Vec<_> =
            reader.messages(Some(&wanted)).unwrap().map(Result::unwrap).collect();
        let topics: Vec<_> = messages.iter().map(|message| &*message.topic).collect();
        assert_eq!(topics, [wanted, wanted, wanted].concat(), "{bag}");
        assert!(is_rising(&messages));
        assert_eq!(reader.losses().expected_messages, Some(6), "{bag}");
        assert!(reader.losses().is_lossless());
        for message in &messages {
            assert_eq!(reader.info().topics[message.topic_index].name, message.topic);
        }
        // A second pass starts anew.
        assert_eq!(
            reader.messages(None).unwrap().count(),
            read_whole(&peers::bags().join(bag)).len()
        );
        match reader.messages(Some(&["/cam/nv21"])).err() {
            Some(BagError::NoSuchTopic { topic, available }) => {
                assert_eq!(topic, "/cam/nv21");
                assert!(available.contains(&"/cam/nv12".to_owned()));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_topic_that_is_not_cdr_is_refused_by_name() {
    let mut reader = BagReader::open(peers::bags().join("json.mcap")).unwrap();
    match reader.messages(Some(&["/chatter"])).err() {
        Some(BagError::TopicEncoding { topic, found }) => {
            assert_eq!((topic.as_str(), found.as_str()), ("/chatter", "json"));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(reader.messages(None).unwrap().count(), 0);
    assert!(reader.losses().is_lossless(), "what is not asked for is not lost");
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect()
}

#[test]
fn pictures_of_every_encoding_show_what_was_put_in() {
    let expected = peers::expected();
    let pictures = expected["pictures"].as_object().unwrap();
    for bag in ["sqlite3_message_v9", "mcap_chunks_v9"] {
        let messages = read_whole(&peers::bags().join(bag));
        let mut seen = 0;
        for message in &messages {
            let Some(expected) = pictures.get(&*message.topic) else { continue };
            seen += 1;
            let found = frame_from_message(&message.topic, &message.message_type, &message.data)
                .unwrap_or_else(|error| panic!("{error}"));
            let name = &message.topic;
            assert_eq!(found.header.stamp, Stamp(message.log_time.0 - 500), "{name}");
            assert_eq!(&*found.header.frame_id, "cam_optical");
            assert_eq!(found.encoding, expected["encoding"].as_str().unwrap());
            let pixels =
                std::fs::read(peers::bags().join(expected["file"].as_str().unwrap())).unwrap();
            match (&found.picture, expected["kind"].as_str().unwrap()) {
                (Picture::Color(image), "color") => {
                    assert_eq!(u64::from(image.width()), expected["width"].as_u64().unwrap());
                    assert_eq!(image.as_raw().len(), pixels.len(), "{name}");
                    let differences =
                        image.as_raw().iter().zip(&pixels).map(|(a, b)| a.abs_diff(*b));
                    // Fixed-point colour conversion rounds differently from floats.
                    let tolerance = expected["tolerance"].as_u64().unwrap();
                    assert!(u64::from(differences.max().unwrap()) <= tolerance, "{name}");
                }
                (Picture::Depth(depth), "depth") => {
                    assert_eq!(u64::from(depth.height()), expected["height"].as_u64().unwrap());
                    let bits = |metres: &[f32]| -> Vec<_> {
                        metres.iter().map(|m| (!m.is_nan()).then(|| m.to_bits())).collect()
                    };
                    assert_eq!(bits(depth.metres()), bits(&floats(&pixels)), "{name}");
                    assert!(depth.metres()[0].is_nan(), "unknown depth stays unknown");
                }
                (_, kind) => panic!("{name} should be {kind}"),
            }
        }
        assert_eq!(seen, 3 * pictures.len(), "{bag}");
    }
}

#[test]
fn compressed_pictures_and_calibrations_arrive_as_they_were_sent() {
    let fixture = |name: &str| {
        let path = format!("{}/tests/fixtures/images/{name}", env!("CARGO_MANIFEST_DIR"));
        std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
    };
    let depth = decode_compressed_depth(
        "16UC1; compressedDepth png",
        &fixture("depth_16uc1.compressed_depth"),
    );
    let sent = [
        ("/cam/jpeg/compressed", decode_compressed("jpeg", &fixture("color.jpg")).unwrap()),
        ("/cam/png/compressed", decode_compressed("png", &fixture("alpha.png")).unwrap()),
        ("/cam/depth/compressedDepth", Picture::Depth(depth.unwrap())),
    ];
    let messages = read_whole(&peers::bags().join("mcap_v8"));
    for (topic, picture) in &sent {
        let found = messages.iter().filter(|message| &*message.topic == *topic);
        let found: Vec<_> = found
            .map(|message| frame_from_message(topic, &message.message_type, &message.data).unwrap())
            .collect();
        assert_eq!(found.len(), 3, "{topic}");
        for found in &found {
            match (&found.picture, picture) {
                (Picture::Depth(found), Picture::Depth(sent)) => {
                    let bits =
                        |metres: &[f32]| metres.iter().map(|m| m.to_bits()).collect::<Vec<_>>();
                    assert_eq!(bits(found.metres()), bits(sent.metres()));
                }
                (found, sent) => assert_eq!(found, sent, "{topic}"),
            }
        }
    }
    for message in messages.iter().filter(|message| &*message.topic == "/cam/camera_info") {
        let info = CameraInfo::decode(&message.data).unwrap();
        assert_eq!((info.width, info.height, info.distortion_model), (12, 8, "plumb_bob"));
        assert_eq!(info.d, [0.1, -0.2, 0.0, 0.0, 0.0]);
        assert_eq!(info.k, [500.0, 0.0, 6.0, 0.0, 500.0, 4.0, 0.0, 0.0, 1.0]);
        assert_eq!(info.r, [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]);
    }
}
