//! What Owlet says of a recording.

use std::path::PathBuf;

use owlet::transport::inspect::{PictureInspection, UsedAs, inspect};
use owlet::transport::rosbag2::{Compression, Storage};

use super::peers;

#[test]
fn topics_are_described_and_judged() {
    for bag in ["sqlite3_v8", "mcap_chunks_v9", "mcap_message_v9", "mcap_file_v9", "no_chunks.mcap"]
    {
        let found = inspect(peers::bags().join(bag)).unwrap();
        assert!(found.losses.is_lossless(), "{bag}{}", found.losses);
        assert_eq!(found.topics.len(), 31, "{bag}");
        assert_eq!(found.message_count, 31 * 3, "{bag}");
        let topic = |name: &str| found.topics.iter().find(|topic| topic.name == name).unwrap();

        let nv12 = topic("/cam/nv12");
        let picture = PictureInspection {
            encoding: "nv12".to_owned(),
            width: 12,
            height: 8,
            frame_id: "cam_optical".to_owned(),
        };
        assert_eq!(nv12.picture, Some(picture), "{bag}");
        assert_eq!((nv12.used_as, &nv12.reason), (Some(UsedAs::Color), &None));
        assert_eq!(nv12.message_count, 3);
        // Every message comes 1,000,003 ns after the one before, topic by topic. A file that would
        // have to be unpacked tells its rate by the length of the whole bag.
        let rate_hz = match bag {
            "mcap_file_v9" => 2.0 / (92.0 * 1_000_003e-9),
            _ => 1.0 / (31.0 * 1_000_003e-9),
        };
        assert!((nv12.rate_hz.unwrap() / rate_hz - 1.0).abs() < 1e-6, "{bag} {:?}", nv12.rate_hz);

        assert_eq!(topic("/cam/16UC1_be").used_as, Some(UsedAs::Depth));
        let packed_depth = topic("/cam/depth/compressedDepth");
        assert_eq!(packed_depth.used_as, Some(UsedAs::Depth));
        assert_eq!(
            packed_depth.picture.as_ref().map(|picture| picture.encoding.as_str()),
            Some("16UC1; compressedDepth png")
        );
        assert_eq!(topic("/cam/camera_info").used_as, Some(UsedAs::Calibration));
        let chatter = topic("/chatter");
        assert_eq!((chatter.used_as, chatter.reason.as_deref()), (None, Some("not an image")));
        assert_eq!(chatter.message_type, "std_msgs/msg/String");
    }
}

#[test]
fn an_inspection_is_json_for_machines() {
    let found = inspect(peers::bags().join("mcap_file_v9")).unwrap();
    assert_eq!((found.storage, found.compression), (Some(Storage::Mcap), Compression::File));
    let json = serde_json::to_value(&found).unwrap();
    assert_eq!(json["storage"], "mcap");
    assert_eq!(json["compression"], "file");
    assert_eq!(json["files"][0]["state"], "packed");
    assert_eq!(json["ros_distro"], "rosbags");
    assert_eq!(json["topics"][0]["used_as"], "depth", "{}", json["topics"][0]);
    assert_eq!(json["losses"]["losses"], serde_json::json!([]));
}

#[test]
fn topics_that_cannot_be_used_say_why() {
    let found = inspect(peers::bags().join("json.mcap")).unwrap();
    let reasons: Vec<_> = found.topics.iter().map(|topic| topic.reason.as_deref()).collect();
    assert_eq!(reasons, [Some("encoded as \"json\"; only \"cdr\" can be read"); 2]);
    assert!(found.topics.iter().all(|topic| topic.used_as.is_none() && topic.picture.is_none()));
}

#[test]
fn a_broken_first_picture_is_not_the_end_of_a_topic() {
    use owlet::transport::rosbag2::{BagWriter, QosProfile, WriterOptions};
    use owlet::types::Stamp;
    use owlet::wire::Message;
    use owlet::wire::sensor_msgs::Image;

    let scratch = tempfile::tempdir().unwrap();
    let folder: PathBuf = scratch.path().join("bag");
    let mut bag = BagWriter::create(&folder, WriterOptions::default()).unwrap();
    let good =
        Image { height: 1, width: 1, encoding: "mono8", step: 1, data: &[7], ..Image::default() };
    let qos = QosProfile::SENSOR_DATA;
    let late = bag.add_topic("/late", Image::TYPE, qos).unwrap();
    let never = bag.add_topic("/never", Image::TYPE, qos).unwrap();
    bag.add_topic("/silent", Image::TYPE, qos).unwrap();
    for number in 0..5 {
        let data: &[u8] = if number < 2 { &[] } else { &[7] };
        bag.write(late, Stamp(number), &Image { data, ..good }).unwrap();
        bag.write(never, Stamp(number), &Image { encoding: "thermal", ..good }).unwrap();
    }
    bag.finish().unwrap();
    let found = inspect(&folder).unwrap();
    let [late, never, silent] = found.topics.as_slice() else { panic!("three topics") };
    assert_eq!(late.used_as, Some(UsedAs::Color));
    assert_eq!(never.used_as, None);
    assert!(never.reason.as_deref().unwrap().contains("\"thermal\" is not known"), "{never:?}");
    assert_eq!(silent.reason.as_deref(), Some("no message on it can be read"));
}
