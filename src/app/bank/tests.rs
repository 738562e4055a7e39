//! From sources to a bank, with encoders whose vectors one can tell by hand.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use image::{Rgb, RgbImage};
use owlet::ground::asif::{Asif, AsifSettings};
use owlet::ground::{Bank, EncoderId, PairId, Side};
use owlet::tasks::{DetectError, EncodeError, ImageEncoder, ModelInfo, TextEncoder};
use owlet::types::PixelBox;
use owlet::vision::encode::encode_png;
use tempfile::TempDir;

use super::gather::{GatherOptions, Gatherer, PictureOrigin, Shown};
use super::skipped::{Kind, Skipped};
use super::{captions, coco};

fn info() -> ModelInfo {
    ModelInfo {
        name: "by hand".to_owned(),
        architecture: "none".to_owned(),
        device: "cpu".to_owned(),
        dtype: "f32".to_owned(),
        input_size: (1, 1),
        parameters: 0,
        useful_batch: 1,
    }
}

/// The mean colour.
struct Colours(ModelInfo);

impl ImageEncoder for Colours {
    fn info(&self) -> &ModelInfo {
        &self.0
    }

    fn dimension(&self) -> usize {
        3
    }

    fn encode(&mut self, images: &[Arc<RgbImage>]) -> Result<Vec<Vec<f32>>, DetectError> {
        let mean = |image: &Arc<RgbImage>| {
            let sum = |channel: usize| image.pixels().map(|pixel| f32::from(pixel[channel])).sum();
            (0..3).map(sum).map(|sum: f32| sum + 1e-3).collect()
        };
        Ok(images.iter().map(mean).collect())
    }
}

/// Which of a few words a text has; texts of more than four words are too long.
struct Words(ModelInfo);

const WORDS: [&str; 4] = ["red", "green", "blue", "block"];

impl TextEncoder for Words {
    fn info(&self) -> &ModelInfo {
        &self.0
    }

    fn dimension(&self) -> usize {
        WORDS.len()
    }

    fn encode(&mut self, texts: &[String]) -> Result<Vec<Vec<f32>>, EncodeError> {
        let encode = |(index, text): (usize, &String)| {
            let words: Vec<_> = text.split_whitespace().collect();
            match words.len() {
                0 => Err(EncodeError::Empty { index }),
                tokens @ 5.. => Err(EncodeError::TooLong { index, tokens, limit: 4 }),
                _ => Ok(WORDS.iter().map(|word| f32::from(words.contains(word)) + 1e-3).collect()),
            }
        };
        texts.iter().enumerate().map(encode).collect()
    }
}

fn empty_bank() -> Bank {
    let id = |name: &str, dimension| EncoderId {
        name: name.to_owned(),
        sha256: "0".repeat(64),
        dimension,
    };
    Bank::new(id("colours", 3), id("words", 4), AsifSettings::default()).unwrap()
}

/// What a gathering came to: skipped, added, already there.
fn gather(bank: &mut Bank, work: impl FnOnce(&mut Gatherer<'_>)) -> (Skipped, u64, u64) {
    let (mut image, mut text) = (Colours(info()), Words(info()));
    let options = GatherOptions { margin: 0.0, thumbnails: true };
    let mut gatherer = Gatherer::new(bank, &mut image, &mut text, options);
    work(&mut gatherer);
    gatherer.flush().unwrap();
    (gatherer.skipped, gatherer.added, gatherer.already_there)
}

fn shown(caption: &str, corners: Option<[f32; 4]>) -> Shown {
    let box_in_source_px = corners.map(PixelBox::from_corners);
    Shown { caption: caption.to_owned(), box_in_source_px }
}

fn picture(folder: &Path, name: &str, colour: [u8; 3]) -> PathBuf {
    let path = folder.join(name);
    let image = RgbImage::from_pixel(200, 100, Rgb(colour));
    std::fs::write(&path, encode_png(&image).unwrap()).unwrap();
    path
}

/// Two halves of a picture, named, found again by colours and words that stand in other pairs.
#[test]
fn what_is_shown_is_named() {
    let image = Arc::new(RgbImage::from_fn(200, 100, |x, _| {
        if x < 100 { Rgb([250, 10, 10]) } else { Rgb([10, 10, 250]) }
    }));
    let from = PictureOrigin { source: "shown".into(), topic: None, stamp: None };
    let mut bank = empty_bank();
    let (skipped, added, already_there) = gather(&mut bank, |gatherer| {
        let halves = vec![
            shown("red block", Some([0.0, 0.0, 100.0, 100.0])),
            shown(" blue block\n", Some([100.0, 0.0, 200.0, 100.0])),
            shown("blue block", Some([100.0, 0.0, 200.0, 100.0])),
            shown("blue", Some([300.0, 0.0, 400.0, 100.0])),
            shown("a caption of five words", None),
            shown("  ", None),
        ];
        gatherer.offer(&image, &from, halves).unwrap();
    });
    assert_eq!((added, already_there), (2, 1));
    for kind in [Kind::BoxOutside, Kind::CaptionTooLong, Kind::CaptionRefused] {
        assert_eq!(skipped.count(kind), 1, "{skipped:?}");
    }
    assert!(format!("{skipped:?}").contains("5 tokens, at most 4"), "{skipped:?}");
    assert_eq!(bank.origin(PairId(2)).unwrap().caption, "blue block");
    let thumbnail = bank.thumbnail(PairId(1)).unwrap().unwrap();
    assert!(thumbnail.starts_with(&[0xff, 0xd8]) && thumbnail.len() < 4096);

    let mut asif = Asif::new(bank);
    let texts = ["blue", "red"].map(str::to_owned);
    asif.set_texts(&Words(info()).encode(&texts).unwrap()).unwrap();
    let region = asif.describe(&[vec![30.0, 5.0, 200.0]]).unwrap().remove(0);
    let scores = asif.scores(&region);
    assert!(scores[0] > 0.9 && scores[1] < 0.1, "{scores:?}");
    let why = asif.explain(&region, 0, 1);
    assert_eq!(why.evidence[0].pair, PairId(2));
}

#[test]
fn a_folder_is_gathered_once_whatever_the_number_of_captions() {
    let home = TempDir::new().unwrap();
    // More captions than are encoded at once, and one of each of several kinds that is not used.
    let many: String = (0..100).map(|number| format!("block {number}\n")).collect();
    picture(home.path(), "a.png", [200, 0, 0]);
    std::fs::write(home.path().join("a.txt"), many + "one two three four five\n").unwrap();
    picture(home.path(), "b.png", [0, 200, 0]);
    std::fs::write(home.path().join("c.png"), "no picture").unwrap();
    std::fs::write(home.path().join("c.txt"), "green").unwrap();
    let mut bank = empty_bank();
    let mut gather_all = || {
        gather(&mut bank, |gatherer| {
            for (path, shown) in captions::read(home.path(), &mut gatherer.skipped).unwrap() {
                gatherer.offer_file(&path, shown).unwrap();
            }
        })
    };
    let (skipped, added, already_there) = gather_all();
    assert_eq!((added, already_there), (100, 0));
    for kind in [Kind::PictureWithoutCaption, Kind::PictureUnreadable, Kind::CaptionTooLong] {
        assert_eq!(skipped.count(kind), 1, "{skipped:?}");
    }
    let (_, added, already_there) = gather_all();
    assert_eq!((added, already_there), (0, 100));
    assert_eq!(bank.len(), 100);
}

#[test]
fn boxes_of_a_dataset_take_the_texts_of_their_category_in_turn() {
    let home = TempDir::new().unwrap();
    picture(home.path(), "a.png", [200, 0, 0]);
    let annotations = r#"{
        "images": [{"id": 1, "file_name": "a.png", "width": 200, "height": 100}],
        "categories": [{"id": 1, "name": "mug", "texts": ["red", "block"]},
                       {"id": 2, "name": "green"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 10, 10]},
            {"id": 2, "image_id": 1, "category_id": 1, "bbox": [10, 0, 10, 10]},
            {"id": 3, "image_id": 1, "category_id": 1, "bbox": [20, 0, 10, 10]},
            {"id": 4, "image_id": 1, "category_id": 2, "bbox": [30, 0, 10, 20]},
            {"id": 5, "image_id": 1, "category_id": 2, "bbox": [0, 0, 99, 99], "iscrowd": 1},
            {"id": 6, "image_id": 7, "category_id": 2, "bbox": [0, 0, 9, 9]}]}"#;
    let file = home.path().join("annotations.json");
    std::fs::write(&file, annotations).unwrap();
    let mut skipped = Skipped::default();
    let found = coco::read(&file, None, &mut skipped).unwrap();
    assert_eq!(skipped.count(Kind::Annotation), 1, "{skipped:?}");
    assert_eq!(found.len(), 1);
    let texts: Vec<_> = found[0].1.iter().map(|one| one.caption.as_str()).collect();
    assert_eq!(texts, ["red", "block", "red", "green"]);
    assert_eq!(found[0].1[3].box_in_source_px.unwrap().corners(), [30.0, 0.0, 40.0, 20.0]);
    let mut bank = empty_bank();
    let (_, added, _) = gather(&mut bank, |gatherer| {
        for (path, shown) in found {
            gatherer.offer_file(&path, shown).unwrap();
        }
    });
    assert_eq!(added, 4);
    assert_eq!(bank.dimension(Side::Image), 3);
}
