//! Banks on the disk.

use std::fs;

use tempfile::TempDir;

use super::{bank, content, pair, vector};
use crate::ground::asif::{Asif, AsifSettings};
use crate::ground::bank::{Bank, BankError, PairId, Side, snapshot};

#[test]
fn a_bank_comes_back_from_the_disk_as_it_was() {
    let home = TempDir::new().unwrap();
    let folder = home.path().join("bank");
    let mut bank = bank(AsifSettings { k: 3, p: 2.5 });
    bank.add((0..20).map(pair).collect()).unwrap();
    bank.remove(&[PairId(20), PairId(3)]).unwrap();
    bank.save(&folder).unwrap();
    let mut again = Bank::load(&folder).unwrap();
    assert_eq!(content(&again), content(&bank));
    assert_eq!(
        (again.ids().collect::<Vec<_>>(), again.settings()),
        (bank.ids().collect(), bank.settings())
    );
    again.check_encoders(bank.encoder(Side::Image), bank.encoder(Side::Text)).unwrap();

    // An id is never given again, not even that of the pair that was removed last.
    assert_eq!(again.add(vec![pair(30)]).unwrap(), [PairId(21)]);
    again.save(&folder).unwrap();
    let mut names: Vec<_> =
        fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    let expected = [
        "bank.json",
        "embeddings-0-2.safetensors",
        "pairs-0-2.jsonl",
        "thumbnails-0-2.safetensors",
    ];
    assert_eq!(names, expected);
    // Thumbnails of the state before are read from files that have no name any more.
    assert_eq!(content(&Bank::load(&folder).unwrap()), content(&again));

    // The first one is behind now.
    let error = bank.save(&folder).unwrap_err();
    assert!(matches!(error, BankError::ChangedMeanwhile { expected: 1, found: 2, .. }), "{error}");
    assert_eq!(content(&Bank::load(&folder).unwrap()), content(&again));
}

#[test]
fn an_empty_bank_is_one() {
    let home = TempDir::new().unwrap();
    let bank = bank(AsifSettings::default());
    bank.save(home.path()).unwrap();
    let again = Bank::load(home.path()).unwrap();
    assert!(again.is_empty());
    let mut asif = Asif::new(again);
    asif.set_texts(&[vector(3, 4)]).unwrap();
    let region = asif.describe(&[vector(4, 5)]).unwrap().remove(0);
    assert_eq!(asif.scores(&region), [0.0]);
}

/// A save that is cut anywhere before its last step leaves the bank that was there.
#[test]
fn a_torn_save_leaves_the_state_before() {
    let home = TempDir::new().unwrap();
    let folder = home.path();
    let mut bank = bank(AsifSettings::default());
    bank.add((0..4).map(pair).collect()).unwrap();
    bank.save(folder).unwrap();
    let before = content(&bank);
    // What a save that was cut has left: whole files, half a file, no manifest of their own.
    fs::write(folder.join("embeddings-0-2.safetensors"), [7; 100]).unwrap();
    fs::write(folder.join("pairs-0-2.jsonl"), "{").unwrap();
    fs::write(folder.join(".tmpAbc"), "{").unwrap();
    let mut again = Bank::load(folder).unwrap();
    assert_eq!(content(&again), before);
    again.add(vec![pair(9)]).unwrap();
    again.save(folder).unwrap();
    assert_eq!(content(&Bank::load(folder).unwrap()), content(&again));
}

#[test]
fn damaged_files_are_refused_by_name() {
    let home = TempDir::new().unwrap();
    let folder = home.path();
    let mut bank = bank(AsifSettings::default());
    bank.add((0..9).map(pair).collect()).unwrap();
    bank.save(folder).unwrap();
    let files = [
        "bank.json",
        "embeddings-0-1.safetensors",
        "pairs-0-1.jsonl",
        "thumbnails-0-1.safetensors",
    ];
    for name in files {
        let path = folder.join(name);
        let whole = fs::read(&path).unwrap();
        let mut turned = whole.clone();
        let last = turned.len() - 2;
        turned[last] ^= 1;
        for (how, bytes) in [
            ("half", &whole[..whole.len() / 2]),
            ("without its end", &whole[..whole.len() - 2]),
            ("empty", &[]),
            ("with a bit turned", &turned),
        ] {
            // A manifest whose last brace became something else is no JSON.
            fs::write(&path, bytes).unwrap();
            let error = Bank::load(folder).unwrap_err();
            assert!(error.to_string().contains(name), "{name} {how}: {error}");
            assert!(error.is_refusal(), "{name} {how}: {error}");
        }
        fs::remove_file(&path).unwrap();
        let error = Bank::load(folder).unwrap_err();
        assert!(error.to_string().contains(name), "{name} gone: {error}");
        fs::write(&path, &whole).unwrap();
    }
    assert_eq!(content(&Bank::load(folder).unwrap()), content(&bank));
}

/// Whoever can write a manifest can also write checksums; nothing else is trusted for them.
#[test]
fn a_manifest_that_lies_is_refused() {
    let home = TempDir::new().unwrap();
    let folder = home.path();
    let mut bank = bank(AsifSettings::default());
    bank.add((0..3).map(pair).collect()).unwrap();
    bank.save(folder).unwrap();
    let path = folder.join("bank.json");
    let manifest = fs::read_to_string(&path).unwrap();
    for (from, to, expected) in [
        ("\"format\": 2", "\"format\": 3", "another owlet wrote it"),
        ("\"pairs\": 3", "\"pairs\": 2", "expected F32 [2, 5], found F32 [3, 5]"),
        ("\"pairs\": 3,\n  \"next", "\"pairs\": 4,\n  \"next", "expected 4 of 4 pairs, found 3"),
        ("\"pairs\": 3,\n  \"next", "\"pairs\": 16387,\n  \"next", "found 3"),
        ("\"pairs\": 3,\n  \"next", "\"pairs\": 0,\n  \"next", "expected 0 of 0 pairs"),
        ("\"pairs\": 3", "\"pairs\": 99999999999", "at most"),
        ("\"next_id\": 4", "\"next_id\": 3", "there is a pair 3"),
        ("\"dimension\": 5", "\"dimension\": 6", "expected F32 [3, 6]"),
        ("\"k\": 800", "\"k\": 0", "k: expected"),
        ("\"pairs-0-1.jsonl\"", "\"../pairs-0-1.jsonl\"", "no name of a file beside it"),
    ] {
        let changed = manifest.replace(from, to);
        assert_ne!(changed, manifest, "{from}");
        fs::write(&path, changed).unwrap();
        let text = Bank::load(folder).unwrap_err().to_string();
        assert!(text.contains(expected), "{to}: {text}");
    }
    let nowhere = Bank::load(&folder.join("nowhere")).unwrap_err();
    assert!(matches!(nowhere, BankError::NotABank { .. }), "{nowhere}");
}

/// Another thread saves what was there when it was asked to, whatever happens meanwhile.
#[test]
fn a_snapshot_is_the_bank_as_it_was() {
    let mut bank = bank(AsifSettings::default());
    bank.set_margin(0.5).unwrap();
    let ids = bank.add((0..6).map(pair).collect()).unwrap();
    let before = content(&bank);
    let snapshot = bank.snapshot();
    bank.remove(&[ids[1], ids[5]]).unwrap();
    bank.add((20..23).map(pair).collect()).unwrap();
    let changed = content(&bank);
    assert_ne!(changed, before);
    let home = TempDir::new().unwrap();
    let folder = home.path().to_owned();
    std::thread::spawn(move || snapshot.save(&folder)).join().unwrap().unwrap();
    let saved = Bank::load(home.path()).unwrap();
    assert_eq!((content(&saved), saved.margin()), (before, 0.5));
    // And the bank knows that it was.
    bank.save(home.path()).unwrap();
    assert_eq!(content(&Bank::load(home.path()).unwrap()), changed);
}

/// A change costs the files of the segments that it is in, however many others there are.
#[test]
fn only_what_has_changed_is_written_again() {
    let home = TempDir::new().unwrap();
    let files = || {
        let names = fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
        names.retain(|name| name.starts_with("embeddings"));
        names.sort();
        names
    };
    let rows = snapshot::SEGMENT_ROWS;
    let mut bank = bank(AsifSettings { k: 3, p: 2.0 });
    let ids = bank.add((0..rows as u64 + 2).map(pair).collect()).unwrap();
    bank.save(home.path()).unwrap();
    let names = |segments: [u64; 2]| -> Vec<String> {
        let name =
            |(at, generation): (usize, &u64)| format!("embeddings-{at}-{generation}.safetensors");
        segments.iter().enumerate().map(name).collect()
    };
    assert_eq!(files(), names([1, 1]));
    // Behind the last.
    bank.add(vec![pair(99_999)]).unwrap();
    bank.save(home.path()).unwrap();
    assert_eq!(files(), names([1, 2]));
    assert_eq!(content(&Bank::load(home.path()).unwrap()), content(&bank));
    // Nothing.
    let mut bank = Bank::load(home.path()).unwrap();
    bank.save(home.path()).unwrap();
    assert_eq!(files(), names([1, 2]));
    // In the first, where the last of all comes to lie.
    bank.remove(&[ids[5]]).unwrap();
    bank.save(home.path()).unwrap();
    assert_eq!(files(), names([4, 4]));
    assert_eq!(content(&Bank::load(home.path()).unwrap()), content(&bank));
    // A segment that goes, and one of its place that is new.
    bank.remove(&[ids[rows], ids[rows + 1]]).unwrap();
    bank.save(home.path()).unwrap();
    assert_eq!(files(), names([4, 4])[..1]);
    bank.add(vec![pair(99_998)]).unwrap();
    bank.save(home.path()).unwrap();
    assert_eq!(files(), names([4, 6]));
    assert_eq!(content(&Bank::load(home.path()).unwrap()), content(&bank));
    // Elsewhere all of it is written, and what somebody has deleted is, too.
    let elsewhere = TempDir::new().unwrap();
    bank.save(elsewhere.path()).unwrap();
    assert_eq!(content(&Bank::load(elsewhere.path()).unwrap()), content(&bank));
    fs::remove_file(elsewhere.path().join("pairs-0-1.jsonl")).unwrap();
    bank.save(elsewhere.path()).unwrap();
    assert_eq!(content(&Bank::load(elsewhere.path()).unwrap()), content(&bank));
}

#[test]
fn a_margin_is_kept_and_not_mixed_with_another() {
    let home = TempDir::new().unwrap();
    let mut wide = bank(AsifSettings::default());
    for bad in [-0.1, 4.1, f32::NAN, f32::INFINITY] {
        assert!(matches!(wide.set_margin(bad), Err(BankError::Margin { .. })), "{bad}");
    }
    wide.set_margin(0.3).unwrap();
    wide.add(vec![pair(1)]).unwrap();
    wide.save(home.path()).unwrap();
    let wide = Bank::load(home.path()).unwrap();
    assert_eq!(wide.margin(), 0.3);
    let mut usual = bank(AsifSettings::default());
    let refused = usual.merge(&wide).unwrap_err();
    assert!(refused.is_refusal());
    let told = refused.to_string();
    assert!(told.contains("expected 0.1") && told.contains("found 0.3"), "{told}");
    assert!(usual.is_empty());

    let manifest = home.path().join("bank.json");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text.replace("\"margin\": 0.3", "\"margin\": -7.0")).unwrap();
    assert!(matches!(Bank::load(home.path()), Err(BankError::Margin { .. })));
}
