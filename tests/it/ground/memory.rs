//! What a bank takes in memory.

use owlet::ground::asif::AsifSettings;
use owlet::ground::{Bank, EncoderId, NewPair, PairOrigin};
use tch::{Device, Kind, Tensor};
use tempfile::TempDir;

use crate::alone::{is_alone, memory_kib};

/// Numbers in a vector, of either side.
const DIMENSION: usize = 384;

/// Three segments on the disk.
const PAIRS: usize = 48_000;

/// Pairs that come at once, as encoders give them.
const PAIRS_PER_STEP: usize = 64;

/// Both sides of all pairs.
const EMBEDDINGS_KIB: u64 = (2 * PAIRS * DIMENSION * 4 / 1024) as u64;

/// The goal for a million pairs. Texts, ids and rows take some 300 bytes a pair, which is 1.10 here;
/// the rest is what the allocator leaves between them.
const MOST: f64 = 1.2;

fn encoder(name: &str) -> EncoderId {
    EncoderId { name: name.to_owned(), sha256: "0".repeat(64), dimension: DIMENSION }
}

fn vectors() -> Vec<Vec<f32>> {
    let shape = [PAIRS_PER_STEP as i64, DIMENSION as i64];
    let all = Tensor::randn(shape, (Kind::Float, Device::Cpu));
    (0..PAIRS_PER_STEP as i64).map(|row| Vec::try_from(all.get(row)).unwrap()).collect()
}

fn fill(bank: &mut Bank, steps: usize) {
    for step in 0..steps {
        let pairs = vectors().into_iter().zip(vectors()).enumerate().map(|(at, (image, text))| {
            let number = step * PAIRS_PER_STEP + at;
            let origin = PairOrigin {
                caption: format!("a caption of the length that captions have, number {number}"),
                source: format!("images/{number:07}.jpg").into(),
                topic: None,
                stamp: None,
                box_in_source_px: None,
            };
            NewPair { image, text, origin, thumbnail: None }
        });
        bank.add(pairs.collect()).unwrap();
    }
}

/// How many times the embeddings the memory has grown since it was `before`.
fn grown(before_kib: u64) -> f64 {
    (memory_kib("RssAnon:") - before_kib) as f64 / EMBEDDINGS_KIB as f64
}

/// One that was filled pair by pair, and one that comes from the disk.
#[test]
fn a_bank_takes_little_more_memory_than_its_embeddings() {
    const NAME: &str = "ground::memory::a_bank_takes_little_more_memory_than_its_embeddings";
    if !is_alone(NAME) {
        return;
    }
    let home = TempDir::new().unwrap();
    let make = || Bank::new(encoder("image"), encoder("text"), AsifSettings::default()).unwrap();
    // What libtorch takes when it is first used is no part of a bank.
    fill(&mut make(), 10);
    let before_kib = memory_kib("RssAnon:");
    let mut filled = make();
    fill(&mut filled, PAIRS / PAIRS_PER_STEP);
    let times = grown(before_kib);
    assert!(times < MOST, "filled: {times} times the embeddings");
    filled.save(home.path()).unwrap();

    let before_kib = memory_kib("RssAnon:");
    let loaded = Bank::load(home.path()).unwrap();
    let times = grown(before_kib);
    assert!(times > 0.9 && times < MOST, "loaded: {times} times the embeddings");
    assert_eq!(loaded.len(), filled.len());
}
