//! Reading and writing recordings, from and to a warm page cache. Names are
//! `recordings/DIRECTION/FORM/PAYLOAD`; the throughput is that of the messages, not of the files.
#![allow(missing_docs, reason = "criterion's macros make public functions without docs")]
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot start should say why and stop")]

use std::fs::File;
use std::hint::black_box;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use owlet::transport::rosbag2::{BagReader, BagWriter, QosProfile, WriterOptions};
use owlet::types::Stamp;
use owlet::wire::Message;
use owlet::wire::sensor_msgs::{CompressedImage, Image};
use owlet::wire::std_msgs::Header;
use owlet::wire::vision_msgs::{
    BoundingBox2D, Detection2D, Detection2DArray, ObjectHypothesisWithPose,
};

/// 60 raw images of 640x480, or 20,000 messages of 100 bytes.
struct Payload {
    name: &'static str,
    messages: Vec<Vec<u8>>,
}

fn payloads() -> [Payload; 2] {
    let (width, height) = (640_u32, 480_u32);
    // Flat with four bits of noise: zstd saves half, by its entropy coder alone, as with photographs.
    let data: Vec<u8> = (0..width * height * 3)
        .map(|at| {
            let mixed = (at ^ (at >> 7)).wrapping_mul(2_654_435_761);
            let noise = (mixed ^ (mixed >> 15)).wrapping_mul(2_246_822_519) >> 28;
            (at / (width * 3) / 60 * 16 + noise) as u8
        })
        .collect();
    let header = Header::default();
    let image = Image {
        header,
        height,
        width,
        encoding: "rgb8",
        is_bigendian: 0,
        step: width * 3,
        data: &data,
    };
    let small = CompressedImage { header, format: "jpeg", data: &data[..64] };
    [
        Payload { name: "rgb8_640x480", messages: vec![image.encode(); 60] },
        Payload { name: "100_bytes", messages: vec![small.encode(); 20_000] },
    ]
}

fn write_mcap(path: &Path, payload: &Payload, compression: Option<mcap::Compression>) {
    let file = BufWriter::new(File::create(path).unwrap());
    let options = mcap::WriteOptions::new().compression(compression).chunk_size(Some(768 << 10));
    let mut writer = options.profile("ros2").create(file).unwrap();
    let schema = writer.add_schema("test_msgs/msg/Any", "ros2msg", b"").unwrap();
    let channel_id = writer.add_channel(schema, "/a", "cdr", &Default::default()).unwrap();
    for (log_time, message) in (0..).zip(&payload.messages) {
        let header =
            mcap::records::MessageHeader { channel_id, sequence: 0, log_time, publish_time: 0 };
        writer.write_to_known_channel(&header, message).unwrap();
    }
    writer.finish().unwrap();
}

fn write_sqlite(path: &Path, payload: &Payload) {
    let mut database = rusqlite::Connection::open(path).unwrap();
    database
        .execute_batch(
            "CREATE TABLE topics(id INTEGER PRIMARY KEY, name TEXT NOT NULL, type TEXT NOT NULL,
                 serialization_format TEXT NOT NULL, offered_qos_profiles TEXT NOT NULL);
             CREATE TABLE messages(id INTEGER PRIMARY KEY, topic_id INTEGER NOT NULL,
                 timestamp INTEGER NOT NULL, data BLOB NOT NULL);
             CREATE INDEX timestamp_idx ON messages (timestamp ASC);
             INSERT INTO topics VALUES (1, '/a', 'test_msgs/msg/Any', 'cdr', '');",
        )
        .unwrap();
    let all = database.transaction().unwrap();
    for (time, message) in (0_i64..).zip(&payload.messages) {
        all.execute(
            "INSERT INTO messages(topic_id, timestamp, data) VALUES (1, ?1, ?2)",
            rusqlite::params![time, message],
        )
        .unwrap();
    }
    all.commit().unwrap();
}

fn read(path: &Path) -> usize {
    let mut bag = BagReader::open(path).unwrap();
    let bytes = bag.messages(None).unwrap().map(|message| message.unwrap().data.len()).sum();
    assert!(bag.losses().is_lossless());
    bytes
}

fn reading(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    for payload in &payloads() {
        let bytes: usize = payload.messages.iter().map(Vec::len).sum();
        let at = |form: &str| -> PathBuf { folder.path().join(format!("{}_{form}", payload.name)) };
        write_mcap(&at("plain.mcap"), payload, None);
        write_mcap(&at("zstd.mcap"), payload, Some(mcap::Compression::Zstd));
        write_mcap(&at("lz4.mcap"), payload, Some(mcap::Compression::Lz4));
        write_sqlite(&at("plain.db3"), payload);
        let mut group = criterion.benchmark_group("recordings/read");
        group.sample_size(10);
        for form in ["plain.mcap", "zstd.mcap", "lz4.mcap", "plain.db3"] {
            group.throughput(Throughput::ElementsAndBytes {
                elements: payload.messages.len() as u64,
                bytes: bytes as u64,
            });
            let path = at(form);
            assert_eq!(read(&path), bytes);
            let (storage, compression) = match form.split_once('.') {
                Some((compression, "mcap")) => ("mcap", compression),
                _ => ("sqlite3", "plain"),
            };
            group.bench_function(format!("{storage}_{compression}/{}", payload.name), |bencher| {
                bencher.iter(|| read(black_box(&path)));
            });
        }
        group.finish();
    }
}

/// What a replay writes: one message with twenty detections for each frame.
fn writing(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let detection = Detection2D {
        results: vec![ObjectHypothesisWithPose {
            class_id: "a cat",
            score: 0.5,
            ..Default::default()
        }],
        bbox: BoundingBox2D { center_x: 10.0, center_y: 20.0, ..Default::default() },
        ..Default::default()
    };
    let message = Detection2DArray { detections: vec![detection; 20], ..Default::default() };
    let frames = 1000;
    let mut group = criterion.benchmark_group("recordings/write");
    group.sample_size(10).throughput(Throughput::Elements(frames));
    let mut number = 0;
    group.bench_function("mcap_zstd/20_detections", |bencher| {
        bencher.iter(|| {
            number += 1;
            let path = folder.path().join(number.to_string());
            let mut bag = BagWriter::create(path, WriterOptions::default()).unwrap();
            let qos = QosProfile::RELIABLE;
            let topic = bag.add_topic("/detections", Detection2DArray::TYPE, qos).unwrap();
            for time in 0..frames {
                bag.write(topic, Stamp(time as i64), black_box(&message)).unwrap();
            }
            bag.finish().unwrap();
        });
    });
    group.finish();
}

criterion_group!(benches, reading, writing);
criterion_main!(benches);
