//! Recordings that are cut, holed, incomplete or something else altogether.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use owlet::transport::rosbag2::{
    BagError, BagReader, BagWriter, LossKind, LossReport, OpenOptions, QosProfile, RawMessage,
    WriterOptions,
};
use owlet::types::Stamp;
use owlet::wire::Message;
use owlet::wire::sensor_msgs::CompressedImage;
use owlet::wire::std_msgs::Header;

use super::{is_rising, peers, read_all, read_whole};

/// A bag in MCAP of `count` messages in chunks of a few messages; gives its folder.
fn small_bag(scratch: &Path, count: i64) -> PathBuf {
    let folder = scratch.join("small");
    let mut bag = BagWriter::create(&folder, WriterOptions { chunk_bytes: 400 }).unwrap();
    let topic = bag.add_topic("/a", CompressedImage::TYPE, QosProfile::SENSOR_DATA).unwrap();
    for number in 0..count {
        let data: Vec<u8> = (0..100).map(|i| (i * 7 + number * 13) as u8).collect();
        let image = CompressedImage { header: Header::default(), format: "png", data: &data };
        bag.write(topic, Stamp(number * 10), &image).unwrap();
    }
    bag.finish().unwrap();
    folder
}

/// Reads a bag of which something must be lost; what is there must be a part of `whole`, in order.
fn read_damaged(path: &Path, whole: &[RawMessage]) -> (Vec<RawMessage>, LossReport) {
    let mut bag = BagReader::open(path).unwrap_or_else(|error| panic!("{error}"));
    let (messages, losses) = read_all(&mut bag);
    assert!(!losses.is_lossless(), "nothing was said to be lost");
    assert!(is_rising(&messages));
    let mut rest = whole.iter();
    for message in &messages {
        let same = |other: &&RawMessage| {
            other.topic == message.topic
                && other.log_time == message.log_time
                && other.data == message.data
        };
        assert!(
            rest.any(|other| same(&other)),
            "{}: {} at {} was never recorded{losses}",
            path.display(),
            message.topic,
            message.log_time,
        );
    }
    (messages, losses)
}

fn kinds(losses: &LossReport) -> Vec<LossKind> {
    losses.losses.iter().map(|loss| loss.kind).collect()
}

fn copy_of(bag: &str, scratch: &Path) -> PathBuf {
    let folder = scratch.join(bag);
    fs::create_dir_all(&folder).unwrap();
    for entry in fs::read_dir(peers::bags().join(bag)).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), folder.join(entry.file_name())).unwrap();
    }
    folder
}

fn cut(path: &Path, keep: impl FnOnce(usize) -> usize) {
    let bytes = fs::read(path).unwrap();
    fs::write(path, &bytes[..keep(bytes.len())]).unwrap();
}

#[test]
fn an_mcap_file_gives_all_messages_before_any_cut() {
    let scratch = tempfile::tempdir().unwrap();
    let folder = small_bag(scratch.path(), 40);
    let whole = read_whole(&folder);
    let path = folder.join("small_0.mcap");
    let bytes = fs::read(&path).unwrap();
    let mut before = 0;
    for len in (0..bytes.len()).step_by(61) {
        fs::write(&path, &bytes[..len]).unwrap();
        if len < 8 {
            assert!(matches!(BagReader::open(&folder), Err(BagError::NothingReadable { .. })));
            continue;
        }
        let mut bag = BagReader::open(&folder).unwrap();
        let (messages, losses) = read_all(&mut bag);
        assert_eq!(messages[..], whole[..messages.len()], "cut at {len}: a prefix");
        assert!(messages.len() >= before, "cut at {len}: never less than in a shorter file");
        before = messages.len();
        if losses.is_lossless() {
            // Only the summary is gone.
            assert_eq!(messages.len(), whole.len(), "cut at {len}");
            continue;
        }
        let expected_kinds = [LossKind::FileCut, LossKind::NotClosed];
        assert!(kinds(&losses).iter().all(|kind| expected_kinds.contains(kind)), "{losses}");
        assert_eq!(losses.expected_messages, Some(40), "metadata.yaml knows");
        assert_eq!(losses.lost_messages(), Some(40 - messages.len() as u64));
    }
    assert_eq!(before, whole.len());
}

#[test]
fn a_cut_chunk_gives_the_messages_before_the_cut() {
    let scratch = tempfile::tempdir().unwrap();
    let whole = read_whole(&peers::bags().join("mcap_v8"));
    // One chunk, not compressed, holds all of it.
    let folder = copy_of("mcap_v8", scratch.path());
    cut(&folder.join("mcap_v8.mcap"), |len| len / 2);
    let (messages, losses) = read_damaged(&folder, &whole);
    assert_eq!(kinds(&losses), [LossKind::FileCut]);
    assert!(messages.len() > 20 && messages.len() < whole.len(), "{}", messages.len());
    assert_eq!(losses.lost_messages(), Some((whole.len() - messages.len()) as u64));
    let said = format!("{} messages before the cut can be read", messages.len());
    assert!(losses.losses[0].first.contains(&said), "{losses}");

    // The same with nothing to tell how much there was.
    fs::remove_file(folder.join("metadata.yaml")).unwrap();
    let (again, losses) = read_damaged(&folder, &whole);
    assert_eq!(again, messages);
    assert_eq!((losses.expected_messages, losses.lost_messages()), (None, None));
}

#[test]
fn a_file_that_ends_in_zeros_is_cut_there() {
    let scratch = tempfile::tempdir().unwrap();
    let folder = small_bag(scratch.path(), 40);
    let whole = read_whole(&folder);
    let path = folder.join("small_0.mcap");
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..].fill(0);
    fs::write(&path, &bytes).unwrap();
    let (messages, losses) = read_damaged(&folder, &whole);
    assert!(!messages.is_empty());
    assert!(kinds(&losses).contains(&LossKind::FileCut), "{losses}");
}

#[test]
fn a_chunk_with_a_wrong_byte_is_dropped_and_the_rest_is_read() {
    let scratch = tempfile::tempdir().unwrap();
    for bag in ["zstd.mcap", "lz4.mcap", "by_topic.mcap"] {
        let whole = read_whole(&peers::bags().join(bag));
        let path = scratch.path().join(bag);
        let mut bytes = fs::read(peers::bags().join(bag)).unwrap();
        // Well inside the first chunk: its content starts after some 60 bytes of heads.
        bytes[300] ^= 0x10;
        fs::write(&path, &bytes).unwrap();
        let (messages, losses) = read_damaged(&path, &whole);
        assert_eq!(kinds(&losses), [LossKind::ChunkDamaged], "{bag}{losses}");
        assert!(messages.len() > whole.len() / 2 && messages.len() < whole.len(), "{bag}");
        assert_eq!(losses.lost_messages(), Some((whole.len() - messages.len()) as u64), "{bag}");
        assert!(losses.losses[0].first.starts_with("chunk at byte "), "{losses}");
    }
}

#[test]
fn lengths_that_cannot_be_true_cost_one_chunk_and_no_memory() {
    let scratch = tempfile::tempdir().unwrap();
    let whole = read_whole(&peers::bags().join("zstd.mcap"));
    let bytes = fs::read(peers::bags().join("zstd.mcap")).unwrap();
    // The first chunk stands behind the magic and the header record. Its own length is at 1, the
    // uncompressed size behind two times, the compressed size behind the name "zstd".
    let header_len = u64::from_le_bytes(bytes[9..17].try_into().unwrap());
    let chunk_at = 17 + header_len as usize;
    assert_eq!(bytes[chunk_at], 6);
    for field_at in [1, 9 + 16, 9 + 16 + 8 + 4 + 4 + 4] {
        for length in [u64::MAX, 1 << 62, 1 << 40] {
            let mut bytes = bytes.clone();
            bytes[chunk_at + field_at..][..8].copy_from_slice(&u64::to_le_bytes(length));
            let path = scratch.path().join("zstd.mcap");
            fs::write(&path, &bytes).unwrap();
            let (messages, losses) = read_damaged(&path, &whole);
            assert_eq!(kinds(&losses), [LossKind::ChunkDamaged], "{field_at} {length}{losses}");
            assert_eq!(losses.losses[0].times, 1);
            assert!(messages.len() > whole.len() / 2, "{}", messages.len());
        }
    }
}

#[test]
fn a_missing_file_of_a_split_bag_is_named_and_the_rest_is_read() {
    let scratch = tempfile::tempdir().unwrap();
    for (bag, file) in [
        ("mcap_split", "mcap_split_0.mcap"),
        ("sqlite3_split", "sqlite3_split_1.db3"),
        ("mcap_split_file", "mcap_split_file_1.mcap.zstd"),
    ] {
        let whole = read_whole(&peers::bags().join(bag));
        let folder = copy_of(bag, scratch.path());
        fs::remove_file(folder.join(file)).unwrap();
        let (messages, losses) = read_damaged(&folder, &whole);
        assert_eq!(kinds(&losses), [LossKind::FileMissing]);
        assert_eq!(losses.losses[0].file, file);
        let lost = (whole.len() - messages.len()) as u64;
        assert!(lost > 40, "{bag}");
        assert_eq!(losses.losses[0].messages, Some(lost), "{bag}");
        assert_eq!(losses.lost_messages(), Some(lost), "{bag}");
    }
}

#[test]
fn an_empty_or_foreign_file_of_a_split_bag_is_named_and_the_rest_is_read() {
    let scratch = tempfile::tempdir().unwrap();
    let whole = read_whole(&peers::bags().join("mcap_split"));
    for content in ["", "not a recording at all"] {
        let folder = copy_of("mcap_split", scratch.path());
        fs::write(folder.join("mcap_split_1.mcap"), content).unwrap();
        let (messages, losses) = read_damaged(&folder, &whole);
        assert_eq!(kinds(&losses), [LossKind::FileUnreadable]);
        assert_eq!(messages[..], whole[..messages.len()]);
    }
}

#[test]
fn a_cut_sqlite_file_gives_the_rows_that_can_be_reached() {
    let scratch = tempfile::tempdir().unwrap();
    let whole = read_whole(&peers::bags().join("sqlite3_v8"));
    let folder = copy_of("sqlite3_v8", scratch.path());
    let path = folder.join("sqlite3_v8.db3");
    cut(&path, |len| len * 2 / 3);
    let (messages, losses) = read_damaged(&folder, &whole);
    assert!(messages.len() > whole.len() / 3 && messages.len() < whole.len(), "{}", messages.len());
    assert!(kinds(&losses).contains(&LossKind::PagesDamaged), "{losses}");
    assert_eq!(losses.lost_messages(), Some((whole.len() - messages.len()) as u64));
    // In the middle of any page, and with no metadata: what sqlite3 takes for zeros is not believed.
    fs::remove_file(folder.join("metadata.yaml")).unwrap();
    let bytes = fs::read(&path).unwrap();
    for len in (bytes.len() / 2..bytes.len()).step_by(997) {
        fs::write(&path, &bytes[..len]).unwrap();
        let (fewer, losses) = read_damaged(&folder, &whole);
        assert!(fewer.len() <= messages.len());
        assert_eq!(losses.expected_messages, None);
    }
}

#[test]
fn pages_in_the_middle_of_an_sqlite_file_can_be_lost() {
    let scratch = tempfile::tempdir().unwrap();
    let whole = read_whole(&peers::bags().join("sqlite3_v8"));
    let pages = fs::metadata(peers::bags().join("sqlite3_v8/sqlite3_v8.db3")).unwrap().len() / 4096;
    let (mut read, mut tried) = (0, 0);
    for page in 1..pages {
        let folder = copy_of("sqlite3_v8", scratch.path());
        let path = folder.join("sqlite3_v8.db3");
        let mut bytes = fs::read(&path).unwrap();
        bytes[page as usize * 4096..][..4096].fill(0xee);
        fs::write(&path, &bytes).unwrap();
        // The page may hold the list of topics, without which nothing can be told apart.
        let Ok(mut bag) = BagReader::open(&folder) else { continue };
        let (messages, losses) = read_all(&mut bag);
        let is_known = |message: &RawMessage| whole.iter().any(|other| other.data == message.data);
        // A page of pixels is pixels, whatever is in it: sqlite3 has no checksums.
        let strange = messages.iter().filter(|message| !is_known(message)).count();
        assert!(strange <= 2, "page {page}: {strange} messages were made up");
        assert!(messages.len() == whole.len() || !losses.is_lossless(), "page {page}");
        read += messages.len();
        tried += 1;
    }
    // Only the few pages at the top of the trees take much with them.
    assert!(read > tried * whole.len() * 3 / 4, "{read} of {}", tried * whole.len());
    // Two pages are at the root of everything.
    assert!(tried as u64 >= pages - 3, "{tried} of {pages}");
}

#[test]
fn a_cut_compressed_file_gives_what_could_be_unpacked() {
    let scratch = tempfile::tempdir().unwrap();
    for (bag, file) in [("mcap_v8", "mcap_v8.mcap"), ("sqlite3_v8", "sqlite3_v8.db3")] {
        let whole = read_whole(&peers::bags().join(bag));
        let folder = copy_of(bag, scratch.path());
        // Small blocks: zstd gives back whole blocks only.
        let plain = fs::read(folder.join(file)).unwrap();
        let mut packed = zstd::Encoder::new(Vec::new(), 1).unwrap();
        for piece in plain.chunks(5000) {
            packed.write_all(piece).unwrap();
            packed.flush().unwrap();
        }
        let packed = packed.finish().unwrap();
        let name = format!("{file}.zstd");
        fs::remove_file(folder.join(file)).unwrap();
        fs::write(folder.join(&name), &packed).unwrap();
        let metadata = fs::read_to_string(folder.join("metadata.yaml")).unwrap();
        fs::write(folder.join("metadata.yaml"), metadata.replace(file, &name)).unwrap();
        assert_eq!(read_whole(&folder), whole, "{bag}");

        cut(&folder.join(&name), |len| len * 3 / 4);
        let (messages, losses) = read_damaged(&folder, &whole);
        assert!(kinds(&losses).contains(&LossKind::FileCut), "{bag}{losses}");
        assert!(messages.len() > whole.len() / 4, "{bag}: {}", messages.len());
        assert_eq!(losses.lost_messages(), Some((whole.len() - messages.len()) as u64), "{bag}");
    }
}

#[test]
fn a_compressed_file_that_would_fill_the_disk_is_stopped() {
    let options = OpenOptions { unpacked_limit_bytes: 10_000, ..OpenOptions::default() };
    let folder = peers::bags().join("mcap_file_v9");
    let mut bag = BagReader::open_with(&folder, options).unwrap();
    let first = bag.messages(None).unwrap().next();
    assert!(matches!(first, Some(Err(BagError::UnpacksTooLarge { .. }))), "{first:?}");
}

#[test]
fn a_damaged_message_of_message_mode_costs_only_itself() {
    let scratch = tempfile::tempdir().unwrap();
    let whole = read_whole(&peers::bags().join("sqlite3_message_v9"));
    let folder = copy_of("sqlite3_message_v9", scratch.path());
    let path = folder.join("sqlite3_message_v9.db3");
    let database = rusqlite::Connection::open(&path).unwrap();
    let changed = database
        .execute(
            "UPDATE messages SET data = substr(data, 1, length(data) - 3) WHERE id IN (5, 9)",
            [],
        )
        .unwrap();
    assert_eq!(changed, 2);
    drop(database);
    let (messages, losses) = read_damaged(&folder, &whole);
    assert_eq!(messages.len(), whole.len() - 2);
    assert_eq!(kinds(&losses), [LossKind::MessageDamaged]);
    assert_eq!((losses.losses[0].times, losses.losses[0].messages), (2, Some(2)));
    assert_eq!(losses.lost_messages(), Some(2));
}

#[test]
fn fewer_messages_than_the_metadata_counts_are_missed() {
    let scratch = tempfile::tempdir().unwrap();
    let folder = small_bag(scratch.path(), 5);
    let whole = read_whole(&folder);
    let path = folder.join("metadata.yaml");
    let metadata = fs::read_to_string(&path).unwrap();
    fs::write(&path, metadata.replace("message_count: 5", "message_count: 8")).unwrap();
    let (messages, losses) = read_damaged(&folder, &whole);
    assert_eq!(messages.len(), 5);
    assert_eq!(kinds(&losses), [LossKind::FewerMessages]);
    assert_eq!(losses.lost_messages(), Some(3));
}

#[test]
fn what_is_no_recording_is_refused_in_plain_words() {
    let scratch = tempfile::tempdir().unwrap();
    let text = scratch.path().join("notes.mcap");
    fs::write(&text, "dear diary").unwrap();
    let error = BagReader::open(&text).err().unwrap().to_string();
    assert!(error.ends_with(
        "expected an MCAP or sqlite3 file, found a file that starts with \"dear diary\""
    ));

    let database = scratch.path().join("other.db3");
    let connection = rusqlite::Connection::open(&database).unwrap();
    connection.execute_batch("CREATE TABLE guests(name TEXT)").unwrap();
    drop(connection);
    assert!(matches!(BagReader::open(&database), Err(BagError::NotABag { .. })));

    let view = scratch.path().join("endless.db3");
    let connection = rusqlite::Connection::open(&view).unwrap();
    connection
        .execute_batch(
            "CREATE TABLE topics(id, name, type, serialization_format, offered_qos_profiles);
             CREATE VIEW messages AS WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n)
             SELECT id, 1 AS topic_id, id AS timestamp, x'00' AS data FROM n",
        )
        .unwrap();
    drop(connection);
    assert!(matches!(BagReader::open(&view), Err(BagError::NotABag { .. })));

    let folder = scratch.path().join("bag");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("bag_0.mcap"), "").unwrap();
    fs::write(folder.join("bag_1.mcap"), "x").unwrap();
    match BagReader::open(&folder).err() {
        Some(BagError::NothingReadable { losses, .. }) => assert_eq!(losses.losses.len(), 2),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_database_that_was_being_written_is_read_as_it_stands() {
    let scratch = tempfile::tempdir().unwrap();
    let whole = read_whole(&peers::bags().join("sqlite3_v8"));
    let folder = copy_of("sqlite3_v8", scratch.path());
    let path = folder.join("sqlite3_v8.db3");
    // A recorder in WAL mode that was killed: the newest rows are beside the file.
    let database = rusqlite::Connection::open(&path).unwrap();
    database.pragma_update(None, "journal_mode", "wal").unwrap();
    database.execute("DELETE FROM messages WHERE id > 50", []).unwrap();
    let crashed = scratch.path().join("crashed");
    fs::create_dir(&crashed).unwrap();
    for file in ["metadata.yaml", "sqlite3_v8.db3", "sqlite3_v8.db3-wal"] {
        fs::copy(folder.join(file), crashed.join(file)).unwrap();
    }
    drop(database);
    let (messages, losses) = read_damaged(&crashed, &whole);
    assert_eq!(messages[..], whole[..50]);
    assert_eq!(losses.lost_messages(), Some(whole.len() as u64 - 50));
}
