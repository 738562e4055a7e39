//! ASIF against a dense computation in NumPy (`tools/make_asif_goldens.py`).

use std::collections::HashMap;

use owlet::ground::asif::{Asif, AsifSettings};
use owlet::ground::{Bank, EncoderId, NewPair, PairOrigin};
use tch::Tensor;

use crate::golden_models::{assert_close, facts, fixture, goldens};

/// Scores are in [0, 1]. Similarities of f32 are off by 1e-7, which a power of 8 makes eight times
/// as much of each weight.
const SCORES: f64 = 1e-5;

fn rows(goldens: &HashMap<String, Tensor>, name: &str) -> Vec<Vec<f32>> {
    let tensor = &goldens[name];
    (0..tensor.size()[0]).map(|row| Vec::try_from(tensor.get(row)).unwrap()).collect()
}

fn encoder(name: &str, dimension: usize) -> EncoderId {
    EncoderId { name: name.to_owned(), sha256: "0".repeat(64), dimension }
}

fn bank(goldens: &HashMap<String, Tensor>, settings: AsifSettings) -> Bank {
    let (images, texts) = (rows(goldens, "pair_images"), rows(goldens, "pair_texts"));
    let encoders = (encoder("images", images[0].len()), encoder("texts", texts[0].len()));
    let mut bank = Bank::new(encoders.0, encoders.1, settings).unwrap();
    let pairs = images.into_iter().zip(texts).enumerate().map(|(index, (image, text))| NewPair {
        image,
        text,
        origin: PairOrigin {
            caption: format!("pair {index}"),
            source: "golden".into(),
            topic: None,
            stamp: None,
            box_in_source_px: None,
        },
        thumbnail: None,
    });
    bank.add(pairs.collect()).unwrap();
    bank
}

#[test]
fn scores_are_those_of_the_dense_reference() {
    let path = fixture("asif.safetensors");
    let golden = goldens(&path);
    let facts = facts(&path);
    let settings = facts["settings"].as_array().unwrap();
    assert_eq!(settings.len(), 6);
    for (index, setting) in settings.iter().enumerate() {
        let k = setting[0].as_u64().unwrap() as usize;
        let p = setting[1].as_f64().unwrap();
        let mut asif = Asif::new(bank(&golden, AsifSettings { k, p }));
        asif.set_texts(&rows(&golden, "texts")).unwrap();
        let regions = asif.describe(&rows(&golden, "regions")).unwrap();
        let scores: Vec<Vec<f32>> = regions.iter().map(|region| asif.scores(region)).collect();
        let expected = &golden[&format!("scores.{index}")];
        let found = Tensor::from_slice(&scores.concat()).view_as(expected);
        assert_close(&format!("k={k} p={p}"), &found, expected, SCORES);

        // What explains a score sums to it.
        for (region, scores) in regions.iter().zip(&scores) {
            for (text, score) in scores.iter().enumerate() {
                let explained = asif.explain(region, text, usize::MAX);
                let sum: f32 = explained.evidence.iter().map(|one| one.product).sum();
                // One sum in two orders.
                assert!((sum - score).abs() < 1e-6, "{sum} {score}");
                assert!((explained.score - score).abs() < 1e-6, "{} {score}", explained.score);
                assert_eq!(explained.pairs, explained.evidence.len());
            }
        }
    }
}
