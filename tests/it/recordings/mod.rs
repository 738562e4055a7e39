//! Recordings: read those of other programs, be read by other programs, survive damage.

mod all_types;
mod damage;
mod inspected;
mod mutated;
pub(crate) mod peers;
mod read_by_peers;
mod read_peers;
mod read_ros;

use std::path::Path;

use owlet::transport::rosbag2::{BagReader, LossReport, RawMessage};
use sha2::{Digest, Sha256};

/// All messages of a bag, and what could not be read.
fn read_all(bag: &mut BagReader) -> (Vec<RawMessage>, LossReport) {
    let messages = bag.messages(None).unwrap().map(Result::unwrap).collect();
    (messages, bag.losses().clone())
}

/// All messages of the bag at a path, which must be whole.
pub(crate) fn read_whole(path: &Path) -> Vec<RawMessage> {
    let mut bag = BagReader::open(path).unwrap_or_else(|error| panic!("{error}"));
    let (messages, losses) = read_all(&mut bag);
    assert!(losses.is_lossless(), "{}:{losses}", path.display());
    assert_eq!(losses.read_messages, messages.len() as u64);
    messages
}

fn sha256(data: &[u8]) -> String {
    Sha256::digest(data).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn is_rising(messages: &[RawMessage]) -> bool {
    messages.windows(2).all(|pair| pair[0].log_time <= pair[1].log_time)
}
