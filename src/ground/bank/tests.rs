//! Banks in memory.

mod disk;

use std::collections::HashMap;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::ground::asif::Asif;
use crate::types::{PixelBox, Stamp};

pub(super) fn encoder(name: &str, dimension: usize) -> EncoderId {
    EncoderId { name: name.to_owned(), sha256: format!("{name:0>64}"), dimension }
}

fn bank(settings: AsifSettings) -> Bank {
    Bank::new(encoder("picture", 5), encoder("word", 4), settings).unwrap()
}

/// A vector that follows from a number, never of length 0.
fn vector(seed: u64, length: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let numbers = (0..length).map(|_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / 8_388_608.0 - 1.0
    });
    numbers.map(|number| number + 1e-3).collect()
}

fn pair(seed: u64) -> NewPair {
    NewPair {
        image: vector(seed, 5),
        text: vector(seed + 1000, 4),
        origin: PairOrigin {
            caption: format!("caption {seed} \"ü\""),
            source: format!("folder/{}.jpg", seed % 3).into(),
            topic: seed.is_multiple_of(2).then(|| "/camera".into()),
            stamp: seed.is_multiple_of(2).then_some(Stamp(seed as i64 - 7)),
            box_in_source_px: seed
                .is_multiple_of(3)
                .then(|| PixelBox::from_corners([0.5, 1.0, 2.0 + seed as f32, 3.1])),
        },
        thumbnail: seed.is_multiple_of(4).then(|| vec![seed as u8; 1 + seed as usize % 9]),
    }
}

/// Origin, both vectors and thumbnail of a pair.
type Whole = (PairOrigin, Vec<f32>, Vec<f32>, Option<Vec<u8>>);

/// All that a bank holds, by id.
fn content(bank: &Bank) -> HashMap<PairId, Whole> {
    bank.pairs()
        .map(|(id, origin)| {
            let vector = |side| bank.vector(side, id).unwrap().unwrap();
            let thumbnail = bank.thumbnail(id).unwrap();
            (id, (origin.clone(), vector(Side::Image), vector(Side::Text), thumbnail))
        })
        .collect()
}

#[test]
fn what_cannot_be_a_pair_is_refused_and_nothing_of_it_is_kept() {
    let mut bank = bank(AsifSettings::default());
    let refused = |change: fn(&mut NewPair), bank: &mut Bank| {
        let mut bad = pair(1);
        change(&mut bad);
        let error = bank.add(vec![pair(0), bad]).unwrap_err();
        assert!(error.is_refusal());
        error.to_string()
    };
    for (change, expected) in [
        (
            (|pair| pair.image.truncate(3)) as fn(&mut NewPair),
            "image vector 1: expected 5 numbers, found 3",
        ),
        (|pair| pair.text[2] = f32::NAN, "text vector 1: number 2 is NaN"),
        (|pair| pair.text.fill(0.0), "text vector 1: it has length 0"),
        (|pair| pair.origin.caption = " \n".to_owned(), "pair 1: the caption is empty"),
        (|pair| pair.origin.caption = "x".repeat(20_000), "the caption has 20000 bytes"),
        (|pair| pair.origin.source = "x".repeat(5000).into(), "the source has 5000 bytes"),
        (
            |pair| {
                pair.origin.box_in_source_px = Some(PixelBox::from_corners([1.0, 1.0, 1.0, 2.0]))
            },
            "has no area",
        ),
        (|pair| pair.thumbnail = Some(vec![0; 70_000]), "the thumbnail has 70000 bytes"),
    ] {
        let text = refused(change, &mut bank);
        assert!(text.contains(expected), "{expected:?} is not in {text:?}");
    }
    assert!(bank.is_empty());
    assert_eq!(bank.add(vec![pair(0)]).unwrap(), [PairId(1)]);
    for settings in [AsifSettings { k: 0, p: 8.0 }, AsifSettings { k: 1, p: -1.0 }] {
        assert!(bank.set_settings(settings).is_err());
    }
    assert!(Bank::new(encoder("a", 0), encoder("b", 4), AsifSettings::default()).is_err());
}

#[test]
fn other_encoders_are_refused_with_both_names_and_checksums() {
    let bank = bank(AsifSettings::default());
    let renamed = EncoderId { name: "elsewhere".to_owned(), ..encoder("picture", 5) };
    bank.check_encoders(&renamed, &encoder("word", 4)).unwrap();
    let error = bank.check_encoders(&encoder("other", 5), &encoder("word", 8)).unwrap_err();
    let text = error.to_string();
    for part in [
        "image encoder: expected picture (sha256 0",
        "picture, 5 numbers), found other (sha256 0",
        "text encoder: expected word",
        "word, 4 numbers), found word",
        "8 numbers)",
    ] {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
}

#[test]
fn a_merge_takes_what_is_new_under_new_ids() {
    let mut here = bank(AsifSettings::default());
    here.add((0..5).map(pair).collect()).unwrap();
    here.remove(&[PairId(2)]).unwrap();
    let mut there = bank(AsifSettings { k: 1, p: 1.0 });
    there.add([9, 0, 10].map(pair).into()).unwrap();
    let before = content(&here);
    let merged = here.merge(&there).unwrap();
    assert_eq!(merged.already_there, 1);
    assert_eq!(merged.added, [(PairId(1), PairId(6)), (PairId(3), PairId(7))]);
    let after = content(&here);
    assert!(before.iter().all(|(id, pair)| after[id] == *pair));
    let theirs = content(&there);
    for (old, new) in &merged.added {
        assert_eq!(after[new].0, theirs[old].0);
        // Made unit length a second time.
        assert!(after[new].1.iter().zip(&theirs[old].1).all(|(a, b)| (a - b).abs() < 1e-6));
        assert_eq!(after[new].3, theirs[old].3);
    }
    assert_eq!(after.len(), 6);
    let other = Bank::new(encoder("other", 5), encoder("word", 4), AsifSettings::default());
    assert!(matches!(here.merge(&other.unwrap()), Err(BankError::OtherEncoders { .. })));
}

#[derive(Clone, Debug)]
enum Change {
    Add(u8),
    Remove(prop::sample::Index),
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let change = prop_oneof![
        (1u8..5).prop_map(Change::Add),
        any::<prop::sample::Index>().prop_map(Change::Remove)
    ];
    prop::collection::vec(change, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever is added and removed while texts are in use: ids keep their pairs, and scores are
    /// those of a bank that is made of the same pairs at once.
    #[test]
    fn a_bank_that_changes_scores_as_one_made_at_once(changes in changes(), k in 1usize..12) {
        let settings = AsifSettings { k, p: 4.0 };
        let texts: Vec<_> = (0..3).map(|seed| vector(seed + 500, 4)).collect();
        let regions: Vec<_> = (0..3).map(|seed| vector(seed + 700, 5)).collect();
        let mut asif = Asif::new(bank(settings));
        asif.set_texts(&texts).unwrap();
        let mut expected: Vec<(PairId, u64)> = Vec::new();
        let mut seed = 0;
        for change in changes {
            match change {
                Change::Add(count) => {
                    let seeds: Vec<u64> = (seed..seed + u64::from(count)).collect();
                    seed += u64::from(count);
                    let ids = asif.add(seeds.iter().map(|seed| pair(*seed)).collect()).unwrap();
                    expected.extend(ids.into_iter().zip(seeds));
                }
                Change::Remove(_) if expected.is_empty() => {
                    prop_assert_eq!(asif.remove(&[PairId(999)]).unwrap(), 0);
                }
                Change::Remove(index) => {
                    let (id, _) = expected.swap_remove(index.index(expected.len()));
                    prop_assert_eq!(asif.remove(&[id, id]).unwrap(), 1);
                    prop_assert!(!asif.bank().contains(id));
                }
            }
        }
        prop_assert_eq!(asif.bank().len(), expected.len());
        let mut at_once = Asif::new(bank(settings));
        at_once.add(expected.iter().map(|(_, seed)| pair(*seed)).collect()).unwrap();
        at_once.set_texts(&texts).unwrap();
        for (id, seed) in &expected {
            prop_assert_eq!(asif.bank().origin(*id), Some(&pair(*seed).origin));
        }
        let home = TempDir::new().unwrap();
        asif.bank().save(home.path()).unwrap();
        prop_assert_eq!(content(&Bank::load(home.path()).unwrap()), content(asif.bank()));

        let described = asif.describe(&regions).unwrap();
        for (one, other) in described.iter().zip(at_once.describe(&regions).unwrap()) {
            for (a, b) in asif.scores(one).iter().zip(at_once.scores(&other)) {
                // Products of matrices of other shapes differ in their last bits, and the power of 4
                // makes that four times as much.
                prop_assert!((a - b).abs() < 1e-5, "{} {}", a, b);
                prop_assert!((0.0..=1.0).contains(a));
            }
        }
    }
}
